"""What DuckDB's types mean: a total function from their spelling in the catalogue to logical types."""

from __future__ import annotations

import re

from synth_pipeline.catalog.types import LogicalType

_INTEGERS = {"TINYINT": 8, "SMALLINT": 16, "INTEGER": 32, "BIGINT": 64}
_PLAIN = {
    "BOOLEAN": LogicalType("boolean"), "VARCHAR": LogicalType("text"), "BLOB": LogicalType("binary"), "DATE": LogicalType("date"),
    "TIME": LogicalType("time"), "TIMESTAMP": LogicalType("datetime"), "TIMESTAMP_S": LogicalType("datetime", precision=0),
    "TIMESTAMP_MS": LogicalType("datetime", precision=3), "TIMESTAMP_NS": LogicalType("datetime", precision=6),
    "TIMESTAMP WITH TIME ZONE": LogicalType("timestamp"), "UUID": LogicalType("uuid"), "JSON": LogicalType("json"),
    "INTERVAL": LogicalType("interval"), "FLOAT": LogicalType("float", bits=32), "DOUBLE": LogicalType("float"),
    "HUGEINT": LogicalType("decimal", precision=38, scale=0), "UHUGEINT": LogicalType("decimal", precision=38, scale=0),
}  # fmt: skip


def logical(native: str) -> LogicalType:
    """The meaning of a type as `duckdb_columns()` spells it."""
    if native in _PLAIN:
        return _PLAIN[native]
    name = native.removeprefix("U")
    if name in _INTEGERS:
        return LogicalType("integer", bits=_INTEGERS[name], unsigned=native.startswith("U"))
    found = re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", native)
    if found:
        return LogicalType("decimal", precision=int(found[1]), scale=int(found[2]))
    found = re.fullmatch(r"(.+)\[\d*\]", native, re.DOTALL)
    if found:
        return LogicalType("array", item=logical(found[1]))
    if native.startswith("ENUM("):
        return LogicalType("enum", values=tuple(v.replace("''", "'") for v in re.findall(r"'((?:[^']|'')*)'", native)))
    return LogicalType("other")
