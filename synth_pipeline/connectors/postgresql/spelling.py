"""What PostgreSQL can be told to make, for schemas of other databases."""

from __future__ import annotations

from synth_pipeline.catalog.types import LogicalType
from synth_pipeline.connectors.dialects import POSTGRESQL
from synth_pipeline.connectors.translate.spelling import Native, Spelling, Use

_PLAIN = {
    "boolean": "boolean", "binary": "bytea", "date": "date", "uuid": "uuid", "json": "json", "interval": "interval", "xml": "xml",
}  # fmt: skip
_TIMES = {"time": "time({}) without time zone", "datetime": "timestamp({}) without time zone", "timestamp": "timestamp({}) with time zone"}
_MOST_DIGITS = 1000


def native(logical: LogicalType, use: Use) -> Native:
    """The type for a logical one."""
    match logical.kind:
        case "integer":
            bits = (logical.bits or 64) + (1 if logical.unsigned else 0)
            return Native("smallint" if bits <= 16 else "integer" if bits <= 32 else "bigint" if bits <= 64 else "numeric(20,0)")
        case "decimal" if logical.precision is not None and logical.precision <= _MOST_DIGITS:
            return Native(f"numeric({logical.precision},{logical.scale or 0})")
        case "decimal":
            return Native("numeric")
        case "float":
            return Native("real" if logical.bits == 32 else "double precision")
        case "text" if logical.length:
            return Native(f"{'character' if logical.fixed else 'character varying'}({logical.length})")
        case "text":
            return Native("text")
        case "time" | "datetime" | "timestamp":
            return Native(_TIMES[logical.kind].format(min(6, 6 if logical.precision is None else logical.precision)))
        case "json" if use.key_columns:
            return Native("jsonb", "its text is spelled anew")
        case "geometry":
            return Native("bytea", "it is well-known binary")
        case "array" | "other" | "enum":
            return Native("text", "it has no type of its own there")
        case kind:
            return Native(_PLAIN[kind])


SPELLING = Spelling(
    POSTGRESQL, "postgres", native, default_schema="public", late=True, named_enums=True, deferrable="DEFERRABLE INITIALLY DEFERRED",
    partial_indexes=True, comments="statement", folds=False, insensitive=None,
)  # fmt: skip
