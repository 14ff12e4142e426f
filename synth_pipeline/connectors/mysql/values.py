"""The server's text to Arrow, and Arrow to what LOAD DATA reads: one total function each way, decided by a column's type.

What Arrow's types cannot hold is brought into their range by the server: dates with a zero in them become NULL, or the
first day where the column is NOT NULL, and times of more than a day become the nearest of one day.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from synth_pipeline.connectors.hexadecimal import from_hex, to_hex
from synth_pipeline.connectors.mysql import types

if TYPE_CHECKING:
    import pyarrow as pa

    from synth_pipeline.catalog.schema import Column

_SRID_BYTES = 4
_FIRST = {"date": "0001-01-01", "datetime": "0001-01-01 00:00:00", "timestamp": "1970-01-01 00:00:01"}
_ESCAPES = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\0", "\\0"))
NULL = "\\N"
_SHORT = {"integer", "decimal", "float", "boolean", "date", "time", "datetime", "timestamp", "uuid", "enum"}
_SHORT_BYTES = 1_024
_LONGEST_LINE = 2**18
"""A quarter of the smallest packet that servers are set to in practice."""


def select_expression(column: Column, reference: str) -> str:
    """How the column is read: whole numbers and floats as such, bytes as they are, all others as text."""
    kind = column.type.kind
    if kind in _FIRST:
        instead = "NULL" if column.nullable else f"'{_FIRST[kind]}'"
        return f"CAST(IF(YEAR({reference}) = 0 OR MONTH({reference}) = 0 OR DAYOFMONTH({reference}) = 0, {instead}, {reference}) AS CHAR)"
    match kind:
        case "integer" if column.type.unsigned and (column.type.bits or 64) >= 64:
            return f"CAST({reference} + 0 AS CHAR)"
        case "integer" | "boolean":
            return f"{reference} + 0"
        case "float":
            return f"CAST({reference} AS DOUBLE)"
        case "time":
            return f"CAST(LEAST(GREATEST({reference}, TIME'00:00:00'), TIME'23:59:59.999999') AS CHAR)"
        case "binary":
            return reference
        case "geometry":
            return f"ST_AsWKB({reference})"
        case _:
            return f"CAST({reference} AS CHAR)"


def decode(columns: Sequence[Column], fetched: Sequence[Sequence[Any]]) -> pa.RecordBatch:
    """What the driver gives for the `select_expression`s, column by column, to Arrow.

    Raises:
        ValueError: a flag holds another number than 0 and 1; the message is the column's name.
    """
    import pyarrow as pa

    arrays = [_decode(c, values) for c, values in zip(columns, fetched, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, names=[c.name for c in columns])


def _decode(column: Column, values: Sequence[Any] | pa.Array) -> pa.Array:
    """A column of what was fetched; an Arrow array where its text has been read already."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from synth_pipeline.catalog.types import arrow_type

    target = arrow_type(column.type)
    if pa.types.is_binary(target) or pa.types.is_floating(target) or pa.types.is_int64(target):
        return pa.array(values, target)
    if pa.types.is_boolean(target):
        numbers = pa.array(values, pa.int64())
        if pc.any(pc.or_(pc.less(numbers, 0), pc.greater(numbers, 1))).as_py():
            raise ValueError(column.name)
        return numbers.cast(target)
    texts = values if isinstance(values, pa.Array) else pa.array(values, pa.string())
    if pa.types.is_timestamp(target) and target.tz:
        return pc.assume_timezone(texts.cast(pa.timestamp("us")), "UTC")
    if pa.types.is_time(target):  # of a day of which Arrow can read the text
        day = pc.binary_join_element_wise(pa.scalar("1970-01-01"), texts, pa.scalar(" "))
        return day.cast(pa.timestamp("us")).cast(target)
    return texts if pa.types.is_string(target) else texts.cast(target)


def line_expression(columns: Sequence[Column], references: Sequence[str]) -> str | None:
    """A row as one line of CSV, which costs the driver a fraction; None where a row may be longer than a server puts into one."""
    if not columns or sum(_field_bytes(c) for c in columns) > _LONGEST_LINE:
        return None
    fields = [f"IFNULL({_field(c, r)}, '')" for c, r in zip(columns, references, strict=True)]
    return f"CAST(CONCAT_WS(',', {', '.join(fields)}, '1') AS BINARY)"


def _field_bytes(column: Column) -> int:
    if column.type.kind in _SHORT:
        return _SHORT_BYTES
    bounded = column.type.kind in ("text", "binary") and column.type.length is not None
    return 8 * (column.type.length or 0) + 2 if bounded else 2 * _LONGEST_LINE


def _field(column: Column, reference: str) -> str:
    if column.type.kind == "binary":
        return f"CONCAT('\"', HEX({reference}), '\"')"
    if column.type.kind in ("text", "enum", "uuid"):
        return f"CONCAT('\"', REPLACE(CONVERT({reference} USING utf8mb4), '\"', '\"\"'), '\"')"
    return select_expression(column, reference)


def decode_lines(columns: Sequence[Column], lines: Sequence[bytes]) -> pa.RecordBatch:
    """Lines of `line_expression` to Arrow.

    Raises:
        ValueError: as in `decode`.
    """
    import pyarrow as pa
    import pyarrow.csv as csv

    from synth_pipeline.catalog.types import arrow_type

    names = [str(i) for i in range(len(columns))]
    read = {}
    for name, column in zip(names, columns, strict=True):
        target = arrow_type(column.type)
        plain = pa.types.is_binary(target) or pa.types.is_time(target) or pa.types.is_timestamp(target)
        read[name] = pa.string() if plain else pa.int64() if pa.types.is_boolean(target) else target
    data = b"\n".join(lines)
    table = csv.read_csv(
        pa.BufferReader(data),
        read_options=csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=[*names, "end"]),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types=read, include_columns=names, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False, check_utf8=False,
        ),
    )  # fmt: skip
    arrays = []
    for name, column in zip(names, columns, strict=True):
        array = table.column(name).combine_chunks()
        arrays.append(from_hex(array) if column.type.kind == "binary" else _decode(column, array))
    return pa.RecordBatch.from_arrays(arrays, names=[c.name for c in columns])


def empty(columns: Sequence[Column]) -> pa.RecordBatch:
    """No rows of these columns."""
    return decode(columns, [()] * len(columns))


# --- writing -----------------------------------------------------------------------------------------------------------


def is_geometry(column: Column) -> bool:
    """Whether the column itself is one, and does not hold well-known binary as bytes."""
    return types.logical(column.native_type).kind == "geometry"


def as_text(column: Column, values: pa.Array) -> pa.Array:
    """The values as text that the server understands; bytes as hexadecimal digits."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = values.type
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        # The server's own form of a geometry starts with the number of its reference system.
        return to_hex(values.cast(pa.binary()), "00" * _SRID_BYTES if is_geometry(column) else "").cast(pa.string())
    if pa.types.is_boolean(kind):
        return values.cast(pa.int8()).cast(pa.string())
    if pa.types.is_timestamp(kind) and kind.tz:
        return pc.cast(values, pa.timestamp("us")).cast(pa.string())
    return values.cast(pa.string())


def lines(columns: Sequence[Column], batch: pa.RecordBatch) -> pa.Buffer:
    """Rows as LOAD DATA reads them by default: tabs between, a backslash before what is special, and `NULL` for none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = []
    for i, column in enumerate(columns):
        array = as_text(column, batch.column(i))
        if pa.types.is_string(batch.schema.field(i).type):
            for plain, escaped in _ESCAPES:
                array = pc.replace_substring(array, plain, escaped)
        texts.append(array.cast(pa.large_string()))
    end = pa.scalar("", pa.large_string())
    tab = pa.scalar("\t", pa.large_string())
    rows = pc.binary_join_element_wise(*texts, tab, null_handling="replace", null_replacement=NULL) if texts else None
    ended = pc.binary_join_element_wise(rows, end, pa.scalar("\n", pa.large_string()))
    whole = pa.concat_arrays([ended])
    return whole.buffers()[2]


def load_columns(columns: Sequence[Column], quote: Any) -> tuple[str, str]:
    """What LOAD DATA is told of the columns: their list, and the assignments of those that are read from another form."""
    listed, assigned = [], []
    for i, column in enumerate(columns):
        if column.type.kind in ("binary", "geometry"):
            listed.append(f"@v{i}")
            assigned.append(f"{quote(column.name)} = UNHEX(@v{i})")
        elif column.native_type.startswith("bit"):
            listed.append(f"@v{i}")
            assigned.append(f"{quote(column.name)} = CAST(@v{i} AS UNSIGNED)")
        else:
            listed.append(quote(column.name))
    return f"({', '.join(listed)})", f" SET {', '.join(assigned)}" if assigned else ""


def rows(columns: Sequence[Column], batch: pa.RecordBatch) -> list[tuple[Any, ...]]:
    """Rows as the parameters of an INSERT."""
    import pyarrow as pa

    found = []
    for i, column in enumerate(columns):
        array = batch.column(i)
        if pa.types.is_binary(array.type):
            head = bytes(_SRID_BYTES) if is_geometry(column) else b""
            found.append([None if v is None else head + v for v in array.to_pylist()])
        elif column.native_type.startswith("bit"):
            found.append([None if v is None else int(v) for v in array.to_pylist()])
        else:
            found.append(as_text(column, array).to_pylist())
    return list(zip(*found, strict=True))
