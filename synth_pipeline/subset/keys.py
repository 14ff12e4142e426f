"""Matching keys on the client: which parent row does each child row point to, and in what order rows are written.

Works on Arrow columns of a bundle's types and returns numpy positions. Nothing here knows of a database; keys that are
still in the source are the business of `search`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from synth_pipeline.catalog.schema import DatabaseSchema, ForeignKey, Table

NULL = -1
"""Position of a reference that is NULL (in any of its columns, as SQL's MATCH SIMPLE has it)."""
DANGLING = -2
"""Position of a reference whose key matches no parent."""


def folds(schema: DatabaseSchema, fk: ForeignKey) -> list[bool]:
    """For every column pair of the key, whether the parent's collation takes `a` for `A`."""
    parent = schema.table(fk.parent)
    return [not parent.column(c).case_sensitive for c in fk.parent_columns]


def stored_keys(schema: DatabaseSchema, table_id: str) -> list[ForeignKey]:
    """The table's foreign keys within the schema, over columns that a bundle holds (none of them generated)."""

    def stored(owner: str, columns: tuple[str, ...]) -> bool:
        return all(schema.table(owner).column(c).generated is None for c in columns)

    return [f for f in schema.table(table_id).foreign_keys if f.parent in schema and stored(f.table, f.columns) and stored(f.parent, f.parent_columns)]


def positions(child: Sequence[pa.ChunkedArray], parent: Sequence[pa.ChunkedArray], fold: Sequence[bool] = ()) -> NDArray[np.int64]:
    """The parent row of every child row.

    Args:
        child: the columns of the reference, n rows each.
        parent: the columns referred to, in the same order, m rows each.
        fold: per column, whether upper and lower case are the same.

    Returns:
        n positions in 0..m-1, or `NULL`, or `DANGLING`.
    """
    codes_child, codes_parent = None, None
    null = np.zeros(len(child[0]), dtype=bool)
    for i, (left, right) in enumerate(zip(child, parent, strict=True)):
        a, b = _alike(left, right, fold[i] if i < len(fold) else False)
        null |= np.asarray(a.is_null())
        if len(child) == 1:
            found = _index_in(a, b)
            return np.where(null, NULL, np.where(found < 0, DANGLING, found))
        members = b.unique().drop_null()
        x, y = _index_in(a, members), _index_in(b, members)
        if codes_child is None or codes_parent is None:
            codes_child, codes_parent = x, y
            continue
        # Codes of the columns so far are made dense again, so that their product with the next stays in 64 bits.
        dense, inverse = np.unique(codes_parent, return_inverse=True)
        place = np.searchsorted(dense, codes_child).clip(max=max(len(dense) - 1, 0))
        known = dense[place] == codes_child if len(dense) else np.zeros(len(codes_child), dtype=bool)
        missing = ~known | (codes_child < 0) | (x < 0)
        codes_child = np.where(missing, -1, place * (len(members) + 1) + x)
        codes_parent = np.where((codes_parent < 0) | (y < 0), -1, inverse * (len(members) + 1) + y)
    assert codes_child is not None and codes_parent is not None, "a foreign key has columns"
    found = _first(codes_child, codes_parent)
    return np.where(null, NULL, np.where(found < 0, DANGLING, found))


def _first(wanted: NDArray[np.int64], among: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first position of every wanted code (≥ 0) among others, or -1."""
    order = np.argsort(among, kind="stable")
    ordered = among[order]
    place = np.searchsorted(ordered, wanted)
    inside = place < len(ordered)
    hit = np.zeros(len(wanted), dtype=bool)
    hit[inside] = ordered[place[inside]] == wanted[inside]
    hit &= wanted >= 0
    found = np.full(len(wanted), -1, dtype=np.int64)
    found[hit] = order[place[hit]]
    return found


def _index_in(values: Any, members: Any) -> NDArray[np.int64]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(members, pa.ChunkedArray):
        members = members.combine_chunks()
    found = pc.index_in(values, value_set=members, skip_nulls=True)
    return np.asarray(pc.fill_null(found, -1)).astype(np.int64)


def _alike(left: pa.ChunkedArray, right: pa.ChunkedArray, fold: bool) -> tuple[Any, Any]:
    """Both columns in one type: the parent's where every value fits, text otherwise."""
    import pyarrow as pa
    import pyarrow.compute as pc

    a: Any = left
    b: Any = right
    if a.type != b.type:
        try:
            a = a.cast(b.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            a, b = _text(a), _text(b)
    elif pa.types.is_decimal(a.type):
        a, b = _text(a), _text(b)
    if fold and pa.types.is_string(a.type):
        a, b = pc.utf8_lower(a), pc.utf8_lower(b)
    return a, b


def _text(values: Any) -> Any:
    import pyarrow as pa

    return values.cast(pa.binary()) if pa.types.is_binary(values.type) else values.cast(pa.string())


def server_order(table: Table) -> tuple[str, ...]:
    """The columns by which the server itself can give the rows in their final order: a primary key of whole numbers."""
    if table.primary_key and all(table.column(c).type.kind == "integer" for c in table.primary_key):
        return table.primary_key
    return ()


def final_order(table: Table, rows: pa.Table) -> NDArray[np.int64] | None:
    """The permutation that puts rows into an order that only depends on their values; None where they are in it already.

    By the primary key, where it is whole numbers (asked of the server) or not; else by every column, since rows that
    agree in all of them are the same whichever comes first.
    """
    import pyarrow.compute as pc

    if server_order(table) or rows.num_rows < 2:
        return None
    stored = {c.name for c in table.stored_columns}
    key = [c for c in table.primary_key if c in stored]
    by = [*key, *(c for c in rows.column_names if c not in key)]
    return np.asarray(pc.sort_indices(rows, sort_keys=[(c, "ascending") for c in by])).astype(np.int64)
