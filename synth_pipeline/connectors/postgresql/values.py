"""COPY's CSV to Arrow and back: one total function each way, decided by a column's type.

CSV tells NULL (nothing) from the empty string (two quotes) on both sides. What Arrow's types cannot hold is brought into
their range by the server: infinite dates and those outside of the years 1 to 9999 become the nearest one inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from synth_pipeline.connectors.hexadecimal import from_hex, to_hex

if TYPE_CHECKING:
    import pyarrow as pa

    from synth_pipeline.catalog.schema import Column

_LAST = "'9999-12-31 23:59:59.999999"
_BOUNDS = {
    "date": ("'0001-01-01'::date", "'9999-12-31'::date"),
    "datetime": ("'0001-01-01'::timestamp", f"{_LAST}'::timestamp"),
    "timestamp": ("'0001-01-01 00:00:00+00'::timestamptz", f"{_LAST}+00'::timestamptz"),
    "time": ("'00:00'::time", "'23:59:59.999999'::time"),
}
_END = "_end_of_row"
"""A constant column after the others, so that no row is an empty line."""


def select_expression(column: Column, reference: str) -> str:
    """How the column is read."""
    kind = column.type.kind
    if kind in _BOUNDS:
        low, high = _BOUNDS[kind]
        bounded = f"CASE WHEN {reference} > {high} THEN {high} WHEN {reference} < {low} THEN {low} ELSE {reference} END"
        return f"({bounded}) AT TIME ZONE 'UTC'" if kind == "timestamp" else bounded
    if kind == "binary":
        return f"encode({reference}, 'hex')"
    if kind == "decimal" and column.storage == "money":
        return f"{reference}::numeric"
    if kind == "decimal" and column.type.precision is not None:
        return f"nullif({reference}, 'NaN')"
    return f"{reference}::text" if kind == "geometry" or column.storage == "bpchar" else reference


def decode(columns: Sequence[Column], data: bytes) -> pa.RecordBatch:
    """CSV as the server writes it, of the `select_expression`s and a constant, to Arrow."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv as csv

    from synth_pipeline.catalog.types import arrow_type

    wanted = [arrow_type(c.type) for c in columns]
    read = [pa.string() if pa.types.is_binary(t) else pa.timestamp("us") if pa.types.is_timestamp(t) else t for t in wanted]
    names = [str(i) for i in range(len(columns))]
    table = csv.read_csv(
        pa.BufferReader(data),
        read_options=csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=[*names, _END]),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types=dict(zip(names, read, strict=True)), include_columns=names, null_values=[""], true_values=["t"], false_values=["f"],
            strings_can_be_null=True, quoted_strings_can_be_null=False, check_utf8=False,
        ),
    )  # fmt: skip
    arrays = []
    for name, target in zip(names, wanted, strict=True):
        array = table.column(name).combine_chunks()
        if pa.types.is_binary(target):
            array = from_hex(array)
        elif pa.types.is_timestamp(target) and target.tz:
            array = pc.assume_timezone(array, "UTC")
        arrays.append(array)
    return pa.RecordBatch.from_arrays(arrays, names=[c.name for c in columns])


def empty(columns: Sequence[Column]) -> pa.RecordBatch:
    """No rows of these columns."""
    import pyarrow as pa

    from synth_pipeline.catalog.types import arrow_type

    return pa.RecordBatch.from_arrays([pa.array([], arrow_type(c.type)) for c in columns], names=[c.name for c in columns])


def encode(columns: Sequence[Column], batch: pa.RecordBatch) -> pa.Buffer:
    """Arrow to the CSV that COPY takes; the inverse of `decode`."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv as csv

    arrays = []
    for i, column in enumerate(columns):
        array = batch.column(i)
        if pa.types.is_binary(array.type) or pa.types.is_large_binary(array.type):
            array = to_hex(array.cast(pa.binary()), "" if column.type.kind == "geometry" else "\\x")
        elif pa.types.is_string(array.type):
            array = pc.replace_substring(array, "\0", "")  # the server holds no such character
        elif pa.types.is_timestamp(array.type) and array.type.tz:
            array = pc.cast(array, pa.timestamp("us")).cast(pa.string())
            array = pc.binary_join_element_wise(array, pa.scalar("+00"), "")
        elif pa.types.is_decimal(array.type) and column.type.kind == "integer":
            array = array.cast(pa.string())
        arrays.append(array)
    names = [str(i) for i in range(len(arrays))]
    sink = pa.BufferOutputStream()
    options = csv.WriteOptions(include_header=False, quoting_style="needed")
    csv.write_csv(pa.RecordBatch.from_arrays(arrays, names=names), sink, options)
    return sink.getvalue()
