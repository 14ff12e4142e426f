"""Logical column types, and one total function each way to the types of Arrow.

A `LogicalType` says what a value *means* whatever database it lies in. Each connector maps its native type names to
logical types (and back, for other engines); every bundle holds exactly `arrow_type(logical)`. Standard library and
pyarrow only; native spellings of a dialect do not belong here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal[
    "integer", "decimal", "float", "boolean", "text", "binary", "date", "time", "datetime", "timestamp",
    "uuid", "enum", "json", "array", "interval", "xml", "geometry", "other",
]  # fmt: skip
"""`datetime` has no zone, `timestamp` is an instant (UTC in bundles)."""

_MAX_DECIMAL128 = 38
_MAX_DECIMAL256 = 76


@dataclass(frozen=True, slots=True)
class LogicalType:
    """What the values of a column mean.

    Attributes:
        kind: the family.
        bits: width of an integer or float (None: 64); `unsigned` integers use the full width.
        precision: digits of a decimal in all (None: unbounded, carried as a 64-bit float), or fractional digits of seconds.
        scale: digits of a decimal after the point.
        length: the most characters or bytes (None: unbounded); `fixed` pads to it.
        values: the members of an enum, in declared order.
        item: the type of an array's elements.
    """

    kind: Kind
    bits: int | None = None
    unsigned: bool = False
    precision: int | None = None
    scale: int | None = None
    length: int | None = None
    fixed: bool = False
    values: tuple[str, ...] = ()
    item: LogicalType | None = None

    @property
    def is_temporal(self) -> bool:
        return self.kind in ("date", "time", "datetime", "timestamp")

    @property
    def is_opaque(self) -> bool:
        """True for values that are carried over as a whole and never modelled in part."""
        return self.kind in ("binary", "json", "array", "interval", "xml", "geometry", "other")


def arrow_type(logical: LogicalType) -> pa.DataType:
    """The Arrow type that a bundle uses for `logical`; total, and the same on every connector.

    Arrays, JSON, XML, intervals, UUIDs, enums and whatever is unknown travel as canonical text; `binary` and `geometry`
    (well-known binary) as bytes.
    """
    import pyarrow as pa

    match logical.kind:
        case "integer":
            wide = logical.unsigned and (logical.bits or 64) >= 64
            return pa.decimal128(20, 0) if wide else pa.int64()
        case "decimal":
            if logical.precision is None or logical.precision > _MAX_DECIMAL256:
                return pa.float64()
            scale = logical.scale or 0
            if logical.precision <= _MAX_DECIMAL128:
                return pa.decimal128(logical.precision, scale)
            return pa.decimal256(logical.precision, scale)
        case "float":
            return pa.float64()
        case "boolean":
            return pa.bool_()
        case "binary" | "geometry":
            return pa.binary()
        case "date":
            return pa.date32()
        case "time":
            return pa.time64("us")
        case "datetime":
            return pa.timestamp("us")
        case "timestamp":
            return pa.timestamp("us", tz="UTC")
        case _:
            return pa.string()


def logical_type(arrow: pa.DataType) -> LogicalType:
    """The logical type of an Arrow type, for sources that have no catalogue (Parquet, CSV); the inverse of `arrow_type`."""
    import pyarrow as pa

    if pa.types.is_boolean(arrow):
        return LogicalType("boolean")
    if pa.types.is_integer(arrow):
        return LogicalType("integer", bits=arrow.bit_width, unsigned=pa.types.is_unsigned_integer(arrow))
    if pa.types.is_decimal(arrow):
        return LogicalType("decimal", precision=arrow.precision, scale=arrow.scale)
    if pa.types.is_floating(arrow):
        return LogicalType("float", bits=arrow.bit_width)
    if pa.types.is_date(arrow):
        return LogicalType("date")
    if pa.types.is_time(arrow):
        return LogicalType("time")
    if pa.types.is_timestamp(arrow):
        return LogicalType("timestamp" if arrow.tz else "datetime")
    if pa.types.is_binary(arrow) or pa.types.is_large_binary(arrow) or pa.types.is_fixed_size_binary(arrow):
        return LogicalType("binary")
    if pa.types.is_string(arrow) or pa.types.is_large_string(arrow) or pa.types.is_dictionary(arrow):
        return LogicalType("text")
    if pa.types.is_list(arrow) or pa.types.is_large_list(arrow):
        return LogicalType("array", item=logical_type(arrow.value_type))
    return LogicalType("other")
