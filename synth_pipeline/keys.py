"""Rows compared by their keys, in Arrow columns of any type: codes, uniqueness, and which parent a child row refers to.

Vectorised and linear in rows; text is compared as the database that it comes from compares it. What a key means, and
whether a broken one is an error, does not belong here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from synth_pipeline.catalog.branches import Branch
    from synth_pipeline.catalog.schema import DatabaseSchema

Values = TypeVar("Values", "pa.Array[Any]", "pa.ChunkedArray[Any]")


def combined_codes(columns: list[pa.ChunkedArray[Any]]) -> np.ndarray[Any, Any]:
    """One integer per row that is equal exactly where the rows are equal in all columns; NULLs are equal to each other.

    Returns:
        int64, shape (rows,); not dense.
    """
    import numpy as np

    total, span = np.zeros(len(columns[0]), dtype=np.int64), 1
    for column in columns:
        codes = column_codes(column)
        size = int(codes.max(initial=-1)) + 2
        if span > 2**62 // size:
            _, total = np.unique(total, return_inverse=True)
            span = int(total.max(initial=-1)) + 1
        total = total * size + codes + 1
        span *= size
    return total


def column_codes(column: pa.ChunkedArray[Any]) -> np.ndarray[Any, Any]:
    """Dictionary codes of a column: int64, shape (rows,), -1 for NULL; equal values have equal codes."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if len(column) == 0:
        return np.zeros(0, dtype=np.int64)
    if pa.types.is_null(column.type):
        return np.full(len(column), -1, dtype=np.int64)
    encoded: Any = column.dictionary_encode().unify_dictionaries()
    indices: Any = pa.chunked_array([c.indices for c in encoded.chunks])
    codes: Any = pc.fill_null(indices, -1)
    return np.asarray(codes.to_numpy(), dtype=np.int64)


def by_appearance(codes: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Equal codes numbered in the order in which they first occur.

    Args:
        codes: integers, shape (rows,).

    Returns:
        The number of each row, from 0, int64 (rows,), and the first row of each number, int64 (numbers,).
    """
    import numpy as np
    import pandas as pd

    number = np.asarray(pd.factorize(codes)[0], dtype=np.int64)
    first = np.empty(int(number.max(initial=-1)) + 1, dtype=np.int64)
    first[number[::-1]] = np.arange(len(number))[::-1]  # of several rows the last one that is written stays
    return number, first


def complete_rows(columns: list[pa.ChunkedArray[Any]]) -> np.ndarray[Any, Any]:
    """True for rows without a NULL in any of the columns: only those can collide or refer to something."""
    import numpy as np

    mask = np.ones(len(columns[0]), dtype=bool)
    for column in columns:
        mask &= np.asarray(column.is_valid().to_numpy(), dtype=bool)
    return mask


def at_rows(values: Values, index: np.ndarray[Any, Any]) -> Values:
    """The values at some rows, int64 (n,); NULL where there is no such row: -1."""
    import pyarrow as pa

    return values.take(pa.array(index, mask=index < 0))


def spans(starts: np.ndarray[Any, Any], ends: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """All positions of half-open spans, one span after the other: the rows of each of some keys, among rows in the order of their keys.

    Args:
        starts: where each begins, int64, shape (spans,).
        ends: the position after its last one.

    Returns:
        int64, shape (sum of their lengths,).
    """
    import numpy as np

    lengths = ends - starts
    return np.asarray(np.arange(lengths.sum()) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths))


def stacked(a: pa.ChunkedArray[Any], b: pa.ChunkedArray[Any]) -> pa.ChunkedArray[Any]:
    """Both columns one after the other, in a type that holds the values of either."""
    import pyarrow as pa

    kind: Any = a.type if a.type == b.type else _common(a.type, b.type)
    chunks: list[Any] = [*a.cast(kind).chunks, *b.cast(kind).chunks]
    return pa.chunked_array(chunks, kind)


def _common(a: pa.DataType, b: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    def exact(t: pa.DataType) -> bool:
        return bool(pa.types.is_integer(t) or pa.types.is_decimal(t))

    if exact(a) and exact(b):
        return pa.decimal128(38, max((t.scale for t in (a, b) if pa.types.is_decimal(t)), default=0))
    if all(exact(t) or pa.types.is_floating(t) for t in (a, b)):
        return pa.float64()
    if all(pa.types.is_temporal(t) and not pa.types.is_time(t) for t in (a, b)):
        return pa.timestamp("us")
    return pa.string()


def parent_rows(child: Sequence[pa.ChunkedArray[Any]], parent: Sequence[pa.ChunkedArray[Any]]) -> np.ndarray[Any, Any]:
    """For every child row the number of the parent row with the same key: int64, shape (child rows,), -1 for none."""
    import numpy as np

    n, m = len(child[0]), len(parent[0])
    if n == 0 or m == 0:
        return np.full(n, -1, dtype=np.int64)
    codes = combined_codes([stacked(a, b) for a, b in zip(child, parent, strict=True)])
    mine, theirs = codes[:n], codes[n:]
    order = np.argsort(theirs, kind="stable")
    place = np.minimum(np.searchsorted(theirs, mine, sorter=order), m - 1)
    found = order[place]
    hit = (theirs[found] == mine) & complete_rows(list(child))
    return np.asarray(np.where(hit, found, -1), dtype=np.int64)


def folded(schema: DatabaseSchema, table: str, column: str, values: pa.ChunkedArray[Any], *, force: bool = False) -> pa.ChunkedArray[Any]:
    """Text in one case where the column's collation does not tell cases apart (or `force`); other values as they are."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_string(values.type) or (schema.table(table).column(column).case_sensitive and not force):
        return values
    return pc.ascii_lower(values) if schema.dialect == "sqlite" else pc.utf8_lower(values)  # NOCASE folds ASCII only


def reference_columns(
    schema: DatabaseSchema, table: str, columns: Sequence[str], child: pa.Table, parent: str, parent_columns: Sequence[str], keys: pa.Table
) -> tuple[list[pa.ChunkedArray[Any]], list[pa.ChunkedArray[Any]]]:
    """Both sides of a reference as the engine compares them: without case where either column's collation has none."""
    left, right = [], []
    for mine, theirs in zip(columns, parent_columns, strict=True):
        force = not (schema.table(table).column(mine).case_sensitive and schema.table(parent).column(theirs).case_sensitive)
        left.append(folded(schema, table, mine, child.column(mine), force=force))
        right.append(folded(schema, parent, theirs, keys.column(theirs), force=force))
    return left, right


def rows_of_branch(schema: DatabaseSchema, branch: Branch, types: pa.ChunkedArray[Any]) -> np.ndarray[Any, Any]:
    """Which rows a branch of a polymorphic key is about, by the values of its type column: bool, shape (rows,)."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = folded(schema, branch.table, branch.type_column, pa.chunked_array([pa.array(branch.values, pa.string())]))
    found = pc.is_in(folded(schema, branch.table, branch.type_column, types.cast(pa.string())), value_set=wanted.combine_chunks())
    return np.asarray(found.to_numpy(), dtype=bool)
