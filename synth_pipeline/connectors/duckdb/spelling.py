"""What DuckDB can be told to make, for schemas of other databases."""

from __future__ import annotations

from synth_pipeline.catalog.types import LogicalType
from synth_pipeline.connectors.dialects import DUCKDB
from synth_pipeline.connectors.translate.spelling import Native, Spelling, Use

_PLAIN = {
    "boolean": "BOOLEAN", "binary": "BLOB", "date": "DATE", "uuid": "UUID", "json": "JSON", "time": "TIME", "datetime": "TIMESTAMP",
    "timestamp": "TIMESTAMP WITH TIME ZONE", "text": "VARCHAR", "interval": "INTERVAL",
}  # fmt: skip
_MOST_DIGITS = 38


def native(logical: LogicalType, use: Use) -> Native:
    """The type for a logical one."""
    match logical.kind:
        case "integer":
            name = next(n for bits, n in ((8, "TINYINT"), (16, "SMALLINT"), (32, "INTEGER"), (64, "BIGINT")) if (logical.bits or 64) <= bits)
            return Native(f"U{name}" if logical.unsigned else name)
        case "decimal" if logical.precision is not None and logical.precision <= _MOST_DIGITS:
            return Native(f"DECIMAL({logical.precision},{logical.scale or 0})")
        case "decimal":
            return Native("DOUBLE", "more than 15 digits are rounded")
        case "float":
            return Native("FLOAT" if logical.bits == 32 else "DOUBLE")
        case "enum":
            labels = ", ".join("'" + v.replace("'", "''") + "'" for v in logical.values)
            return Native(f"ENUM({labels})" if labels else "VARCHAR")
        case "geometry":
            return Native("BLOB", "it is well-known binary")
        case "array" | "xml" | "other":
            return Native("VARCHAR", "it has no type of its own there")
        case kind:
            return Native(_PLAIN[kind])


SPELLING = Spelling(
    DUCKDB, "duckdb", native, default_schema="main", identity="DEFAULT nextval('{sequence}')", generated="GENERATED ALWAYS AS ({0}) VIRTUAL",
    insensitive="COLLATE NOCASE", actions=frozenset(), cyclic_keys=False, cross_schema_keys=False, comments="statement", name_bytes=10_000,
    notes=(("length", "DuckDB does not enforce the length of texts."),),
)  # fmt: skip
