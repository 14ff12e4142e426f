"""Matching keys on the client: which parent row does each child row point to, and in what order rows are written.

Works on Arrow columns of a bundle's types and returns numpy positions. Nothing here knows of a database; keys that are
still in the source are the business of `search`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from synth_pipeline.catalog.branches import Branch, branches, used_columns
from synth_pipeline.keys import complete_rows, parent_rows, rows_of_branch

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


def stored_foreign_keys(schema: DatabaseSchema, table_id: str) -> list[ForeignKey]:
    """The table's foreign keys within the schema, over columns that a bundle holds (none of them generated)."""
    return [f for f in schema.table(table_id).foreign_keys if f.parent in schema and _stored(schema, f)]


def stored_keys(schema: DatabaseSchema, table_id: str) -> list[ForeignKey]:
    """The same, and the branches of its polymorphic keys: all that decides where a row leads."""
    return [*stored_foreign_keys(schema, table_id), *(b for b in branches(schema, table_id) if _stored(schema, b))]


def _stored(schema: DatabaseSchema, fk: ForeignKey) -> bool:
    sides = ((fk.table, used_columns(fk)), (fk.parent, fk.parent_columns))
    return all(schema.table(owner).column(c).generated is None for owner, columns in sides for c in columns)


def levels(schema: DatabaseSchema) -> list[list[str]]:
    """Groups of tables, parents before children, parents by polymorphic keys included; see `DatabaseSchema.levels`."""
    return schema.levels(after={t: {b.parent for b in branches(schema, t)} for t in schema.table_ids})


def parents_of(schema: DatabaseSchema, fk: ForeignKey, child: pa.Table, parent: pa.Table) -> NDArray[np.int64]:
    """The parent row of every child row by a key: see `positions`. Rows of other types than a branch's are `NULL`."""
    at = positions([child[c] for c in fk.columns], [parent[c] for c in fk.parent_columns], folds(schema, fk))
    return np.where(rows_of_branch(schema, fk, child[fk.type_column]), at, NULL) if isinstance(fk, Branch) else at


def positions(child: Sequence[pa.ChunkedArray], parent: Sequence[pa.ChunkedArray], fold: Sequence[bool] = ()) -> NDArray[np.int64]:
    """The parent row of every child row.

    Args:
        child: the columns of the reference, n rows each.
        parent: the columns referred to, in the same order, m rows each.
        fold: per column, whether upper and lower case are the same.

    Returns:
        n positions in 0..m-1, or `NULL`, or `DANGLING`.
    """
    folded = [*fold, *([False] * (len(child) - len(fold)))]
    left = [_lower(c) if f else c for c, f in zip(child, folded, strict=True)]
    right = [_lower(p) if f else p for p, f in zip(parent, folded, strict=True)]
    found = parent_rows(left, right)
    return np.where(complete_rows(left), np.where(found < 0, DANGLING, found), NULL)


def _lower(values: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.utf8_lower(values) if pa.types.is_string(values.type) else values


def server_order(table: Table) -> tuple[str, ...]:
    """The columns by which the server itself can give the rows in their final order: a primary key of whole numbers."""
    if table.primary_key and all(table.column(c).type.kind == "integer" for c in table.primary_key):
        return table.primary_key
    return ()


def final_order(table: Table, rows: pa.Table, *, ordered: bool) -> NDArray[np.int64] | None:
    """The permutation that puts rows into an order that only depends on their values; None where they are in it already.

    By the primary key, else by every column, since rows that agree in all of them are the same whichever comes first.
    `ordered` says that the server gave them by `server_order`.
    """
    import pyarrow.compute as pc

    if rows.num_rows < 2 or (ordered and server_order(table)):
        return None
    stored = {c.name for c in table.stored_columns}
    key = [c for c in table.primary_key if c in stored]
    by = [*key, *(c for c in rows.column_names if c not in key)]
    return np.asarray(pc.sort_indices(rows, sort_keys=[(c, "ascending") for c in by])).astype(np.int64)
