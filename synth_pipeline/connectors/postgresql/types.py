"""What PostgreSQL's types mean, whatever their wrapping: domains, arrays, enums, extensions' types.

A total function from pg_type to logical types; how values are read and written is `values`'.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from synth_pipeline.catalog.types import LogicalType

_PLAIN = {
    "int2": LogicalType("integer", bits=16), "int4": LogicalType("integer", bits=32), "int8": LogicalType("integer", bits=64),
    "oid": LogicalType("integer", bits=32, unsigned=True), "float4": LogicalType("float", bits=32), "float8": LogicalType("float", bits=64),
    "bool": LogicalType("boolean"), "text": LogicalType("text"), "name": LogicalType("text", length=63), "char": LogicalType("text", length=1),
    "bytea": LogicalType("binary"), "date": LogicalType("date"), "uuid": LogicalType("uuid"), "json": LogicalType("json"),
    "jsonb": LogicalType("json"), "xml": LogicalType("xml"), "interval": LogicalType("interval"),
    "money": LogicalType("decimal", precision=19, scale=2), "citext": LogicalType("text"),
    "geometry": LogicalType("geometry"), "geography": LogicalType("geometry"),
}  # fmt: skip
_EXTENSIONS = {"citext", "geometry", "geography"}
_HEADER = 4


@dataclass(frozen=True, slots=True)
class NativeType:
    """A row of pg_type."""

    name: str
    builtin: bool
    kind: str
    element: int
    base: int
    base_modifier: int
    not_null: bool
    labels: tuple[str, ...]


class Types:
    """All types of a database by their oid."""

    def __init__(self, rows: Iterable[Any]) -> None:
        self._types = {
            r.oid: NativeType(r.typname, r.builtin, r.typtype, r.element, r.typbasetype, r.typtypmod, r.typnotnull, tuple(r.labels or ()))
            for r in rows
        }  # fmt: skip

    def base(self, oid: int) -> NativeType | None:
        """The type below all domains."""
        found = self._types.get(oid)
        while found is not None and found.kind == "d":
            found = self._types.get(found.base)
        return found

    def not_null(self, oid: int) -> bool:
        """Whether a domain forbids NULL."""
        found = self._types.get(oid)
        while found is not None and found.kind == "d":
            if found.not_null:
                return True
            found = self._types.get(found.base)
        return False

    def domains(self, oid: int) -> list[int]:
        """The domain that the type is, and those that it builds on."""
        chain, found = [], self._types.get(oid)
        while found is not None and found.kind == "d":
            chain.append(oid)
            oid, found = found.base, self._types.get(found.base)
        return chain

    def logical(self, oid: int, modifier: int) -> LogicalType:
        """The meaning of a column's type and type modifier."""
        found = self._types.get(oid)
        if found is None:
            return LogicalType("other")
        if found.kind == "d":
            return self.logical(found.base, found.base_modifier)
        if found.kind == "e":
            return LogicalType("enum", values=found.labels)
        if found.element:
            return LogicalType("array", item=self.logical(found.element, modifier))
        if not found.builtin and found.name not in _EXTENSIONS:
            return LogicalType("other")
        return _builtin(found.name, modifier)


def _builtin(name: str, modifier: int) -> LogicalType:
    if name in ("varchar", "bpchar"):
        return LogicalType("text", length=modifier - _HEADER if modifier >= _HEADER else None, fixed=name == "bpchar" and modifier >= _HEADER)
    if name == "numeric":
        return _numeric(modifier)
    digits = modifier if modifier >= 0 else 6
    kinds = {"timestamp": "datetime", "timestamptz": "timestamp", "time": "time"}
    if name in kinds:
        return LogicalType(kinds[name], precision=digits)  # type: ignore[arg-type]
    return _PLAIN.get(name, LogicalType("other"))


def _numeric(modifier: int) -> LogicalType:
    if modifier < _HEADER:
        return LogicalType("decimal")
    precision = ((modifier - _HEADER) >> 16) & 0xFFFF
    scale = (((modifier - _HEADER) & 0x7FF) ^ 1024) - 1024  # eleven bits with a sign since PostgreSQL 15
    if scale < 0:
        return LogicalType("decimal", precision=precision - scale, scale=0)
    return LogicalType("decimal", precision=max(precision, scale), scale=scale)
