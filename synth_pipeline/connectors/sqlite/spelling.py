"""What SQLite can be told to make, for schemas of other databases.

The declared types are ones that `probe.declared_type` reads back as the same logical type, and whose affinity leaves the
stored form alone.
"""

from __future__ import annotations

from synth_pipeline.catalog.types import LogicalType
from synth_pipeline.connectors.dialects import SQLITE
from synth_pipeline.connectors.translate.spelling import Native, Spelling, Use

_PLAIN = {"boolean": "BOOLEAN", "binary": "BLOB", "date": "DATE", "uuid": "UUID", "json": "JSON TEXT", "float": "DOUBLE", "xml": "XML"}
_CLOCK = "%H:%M:%S[.%f]"
_TIMES = {
    "time": ("TIME", _CLOCK), "datetime": ("TIMESTAMP", f"%Y-%m-%d {_CLOCK}"), "timestamp": ("TIMESTAMP WITH TIME ZONE", f"%Y-%m-%d {_CLOCK}+00:00"),
}  # fmt: skip
_EXACT_DIGITS = 15


def native(logical: LogicalType, use: Use) -> Native:
    """The type for a logical one."""
    match logical.kind:
        case "integer":
            bits = logical.bits or 64
            if logical.unsigned and bits >= 64:
                return Native("DECIMAL(20,0)", "numbers past 2^63 are rounded to 15 digits")
            bits += 1 if logical.unsigned else 0
            return Native("SMALLINT" if bits <= 16 else "INTEGER" if bits <= 32 else "BIGINT")
        case "decimal":
            name = f"DECIMAL({logical.precision},{logical.scale or 0})" if logical.precision is not None else "NUMERIC"
            exact = logical.precision is not None and logical.precision <= _EXACT_DIGITS
            return Native(name, "" if exact else f"more than {_EXACT_DIGITS} digits are rounded")
        case "text" if logical.length:
            return Native(f"{'CHAR' if logical.fixed else 'VARCHAR'}({logical.length})")
        case "text" | "enum":
            return Native("TEXT")
        case "time" | "datetime" | "timestamp":
            name, storage = _TIMES[logical.kind]
            return Native(name, storage=storage)
        case "geometry":
            return Native("BLOB", "it is well-known binary")
        case "array" | "interval" | "other":
            return Native("TEXT", "it has no type of its own there")
        case kind:
            return Native(_PLAIN[kind])


SPELLING = Spelling(
    SQLITE, "sqlite", native, schemas=False, identity_key="INTEGER PRIMARY KEY", generated="GENERATED ALWAYS AS ({0}) STORED", checked_enums=True,
    insensitive="COLLATE NOCASE", deferrable="DEFERRABLE INITIALLY DEFERRED", partial_indexes=True, index_scope="database", name_bytes=10_000,
    notes=(("length", "SQLite does not enforce the length of texts."),),
)  # fmt: skip
