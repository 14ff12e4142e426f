"""How columns are read and written: casts of the SELECT and INSERT, so that Arrow holds the catalogue's types on both sides.

Nested values travel as DuckDB's own text, which it reads back. What Arrow's types cannot hold is brought into their range:
infinite dates and those outside of the years 1 to 9999 become the nearest one inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from synth_pipeline.connectors.dialects import DUCKDB

if TYPE_CHECKING:
    import pyarrow as pa

    from synth_pipeline.catalog.schema import Column

_LAST = "9999-12-31 23:59:59.999999"
_BOUNDS = {
    "date": ("DATE '0001-01-01'", "DATE '9999-12-31'"),
    "datetime": ("TIMESTAMP '0001-01-01 00:00:00'", f"TIMESTAMP '{_LAST}'"),
    "timestamp": ("TIMESTAMPTZ '0001-01-01 00:00:00+00'", f"TIMESTAMPTZ '{_LAST}+00'"),
    "time": ("TIME '00:00:00'", "TIME '23:59:59.999999'"),
}
STRICT = {"other", "interval", "json", "array", "uuid", "enum"}
"""Kinds whose made-up values the type may refuse."""


def select_expression(column: Column, reference: str) -> str:
    """How the column is read."""
    kind = column.type.kind
    if kind in _BOUNDS:
        low, high = _BOUNDS[kind]
        plain = f"CAST({reference} AS TIMESTAMP)" if kind == "datetime" and column.native_type != "TIMESTAMP" else reference
        return f"CASE WHEN {plain} > {high} THEN {high} WHEN {plain} < {low} THEN {low} ELSE {plain} END"
    if kind == "integer":
        wide = column.type.unsigned and (column.type.bits or 64) >= 64
        return f"CAST({reference} AS {'DECIMAL(20,0)' if wide else 'BIGINT'})"
    if kind == "float":
        return f"CAST({reference} AS DOUBLE)"
    if kind == "decimal":
        return f"CAST({reference} AS DECIMAL({column.type.precision},{column.type.scale or 0}))"
    return reference if kind in ("boolean", "binary") else f"CAST({reference} AS VARCHAR)"


def conformed(columns: Sequence[Column], batch: pa.RecordBatch) -> pa.RecordBatch:
    """A batch as DuckDB gives it, with exactly the catalogue's Arrow types."""
    import pyarrow as pa

    from synth_pipeline.catalog.types import arrow_type

    wanted = [arrow_type(c.type) for c in columns]
    arrays = [a if a.type == t else a.cast(t) for a, t in zip(batch.columns, wanted, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, names=[c.name for c in columns])


def empty(columns: Sequence[Column]) -> pa.RecordBatch:
    """No rows of these columns."""
    import pyarrow as pa

    from synth_pipeline.catalog.types import arrow_type

    return pa.RecordBatch.from_arrays([pa.array([], arrow_type(c.type)) for c in columns], names=[c.name for c in columns])


def insert_expression(column: Column) -> str:
    """How a column of a registered Arrow table becomes the stored value."""
    reference = DUCKDB.quote(column.name)
    # A double of the other databases' unbounded decimals is rounded to what the column holds by the insert itself.
    return reference if column.type.kind in ("boolean", "binary", "text") else f"CAST({reference} AS {column.native_type})"
