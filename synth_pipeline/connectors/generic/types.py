"""What SQLAlchemy's types mean: a total function to logical types, and one back to a type that can be bound or spelled."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from synth_pipeline.catalog.types import LogicalType

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect
    from sqlalchemy.types import TypeEngine

    from synth_pipeline.connectors.generic.traits import Traits

_BITS = {"TINYINT": 8, "SMALLINT": 16, "INT2": 16, "MEDIUMINT": 24, "INTEGER": 32, "INT": 32, "INT4": 32, "BIGINT": 64, "INT8": 64, "INT64": 64}
_NAMED = {
    "GEOMETRY": "geometry", "GEOGRAPHY": "geometry", "XML": "xml", "JSONB": "json", "VARIANT": "json", "OBJECT": "json", "JSON": "json",
    "INTERVAL": "interval", "ARRAY": "array", "UNIQUEIDENTIFIER": "uuid", "UUID": "uuid",
}  # fmt: skip
_INSTANTS = {"TIMESTAMPTZ", "TIMESTAMP_TZ", "TIMESTAMP_LTZ", "DATETIMEOFFSET"}


def spelled(kind: TypeEngine[Any], dialect: Dialect) -> str:
    """The type as the server spells it; empty where SQLAlchemy did not recognise it."""
    try:
        return str(kind.compile(dialect=dialect))
    except sa.exc.CompileError:
        return "" if isinstance(kind, sa.types.NullType) else type(kind).__name__.upper()


def logical(kind: TypeEngine[Any], native: str, traits: Traits) -> LogicalType:
    """What a reflected type means; `native` is its spelling."""
    word = re.split(r"[ (<]", native.upper(), maxsplit=1)[0]
    if isinstance(kind, sa.ARRAY) or word == "ARRAY":
        item = getattr(kind, "item_type", None)
        return LogicalType("array", item=logical(item, str(item), traits) if item is not None else None)
    if isinstance(kind, sa.Enum) and kind.enums:
        return LogicalType("enum", values=tuple(kind.enums))
    if isinstance(kind, sa.Uuid):
        return LogicalType("uuid")
    if isinstance(kind, sa.JSON):
        return LogicalType("json")
    if isinstance(kind, sa.Interval):
        return LogicalType("interval")
    if isinstance(kind, sa.Boolean) or word in ("BIT", "BOOL"):
        return LogicalType("boolean") if isinstance(kind, sa.Boolean) or getattr(kind, "length", None) in (None, 1) else LogicalType("other")
    if isinstance(kind, sa.Integer):
        unsigned = bool(getattr(kind, "unsigned", False))
        return LogicalType("integer", bits=_BITS.get(word, 64 if isinstance(kind, sa.BigInteger) else 32), unsigned=unsigned)
    if isinstance(kind, sa.Float):
        return LogicalType("float", bits=32 if word in ("REAL", "BINARY_FLOAT") else 64)
    if isinstance(kind, sa.Numeric):
        precision, scale = traits.decimals.get(word, (None, None)) if kind.precision is None else (kind.precision, kind.scale)
        return _number(precision, scale, word, traits.whole_digits)
    if isinstance(kind, sa.DateTime) or word in _INSTANTS or word.startswith(("TIMESTAMP", "DATETIME")):
        zoned = bool(getattr(kind, "timezone", False)) or word in (*_INSTANTS, *traits.instants) or "WITH TIME ZONE" in native.upper()
        precision = getattr(kind, "precision", None)
        return LogicalType("timestamp" if zoned else "datetime", precision=precision if isinstance(precision, int) else None)
    if isinstance(kind, sa.Date):
        return LogicalType("date")
    if isinstance(kind, sa.Time):
        return LogicalType("time")
    if isinstance(kind, sa.LargeBinary | sa.types._Binary):
        return LogicalType("binary", length=getattr(kind, "length", None))
    if word in _NAMED:
        return LogicalType(_NAMED[word])  # type: ignore[arg-type]
    if isinstance(kind, sa.String):
        return LogicalType("text", length=kind.length, fixed=isinstance(kind, sa.CHAR) and kind.length is not None)
    return LogicalType("other")


def _number(precision: int | None, scale: int | None, word: str, whole_digits: int) -> LogicalType:
    if word in ("MONEY", "SMALLMONEY"):
        return LogicalType("decimal", precision=19 if word == "MONEY" else 10, scale=4)
    if precision is None:
        return LogicalType("decimal")
    if scale in (0, None) and precision <= whole_digits:
        return LogicalType("integer", bits=64)
    return LogicalType("decimal", precision=max(precision, scale or 0) - min(scale or 0, 0), scale=max(scale or 0, 0))


def bound(logical: LogicalType) -> TypeEngine[Any]:
    """The type by which SQLAlchemy binds values of a column; opaque values go as the driver takes text."""
    match logical.kind:
        case "integer":
            return sa.BigInteger()
        case "decimal":
            return sa.Float(53) if logical.precision is None else sa.Numeric(logical.precision, logical.scale)
        case "float":
            return sa.Float(53)
        case "boolean":
            return sa.Boolean()
        case "text":
            return sa.Unicode()
        case "binary" | "geometry":
            return sa.LargeBinary()
        case "date":
            return sa.Date()
        case "time":
            return sa.Time()
        case "datetime":
            return sa.DateTime()
        case "timestamp":
            return sa.DateTime(timezone=True)
        case _:
            return sa.types.NullType()
