"""What MySQL's and MariaDB's types mean: a total function from COLUMN_TYPE to logical types, and one back.

How values are read and written is `values`'.
"""

from __future__ import annotations

import itertools
import re

from synth_pipeline.catalog.types import LogicalType

_INTEGERS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "integer": 32, "bigint": 64}
_TEXTS = {"tinytext": 255, "text": 65_535, "mediumtext": None, "longtext": None}
_BINARIES = {"tinyblob": 255, "blob": 65_535, "mediumblob": None, "longblob": None}
_GEOMETRIES = {
    "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection", "geomcollection",
}  # fmt: skip
_TYPE = re.compile(r"([a-z0-9_ ]+?)\s*(?:\((.*)\))?\s*((?:unsigned|zerofill|signed|\s)*)$", re.DOTALL | re.IGNORECASE)
_MEMBER = re.compile(r"'((?:[^'\\]|''|\\.)*)'", re.DOTALL)
_ESCAPE = re.compile(r"''|\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "b": "\b", "Z": "\x1a"}
SET_MEMBERS = 6
"""Sets of so many members are enums of all their combinations."""


def logical(column_type: str) -> LogicalType:
    """The meaning of a type as information_schema spells it, such as `decimal(10,2) unsigned`."""
    match = _TYPE.match(column_type.strip())
    name, inside, words = (match[1].lower(), match[2] or "", match[3].lower()) if match else (column_type.lower(), "", "")
    unsigned = "unsigned" in words or "zerofill" in words
    sizes = [int(n) for n in re.findall(r"\d+", inside)] if name not in ("enum", "set") else []
    first = sizes[0] if sizes else None
    if name in _INTEGERS:
        if name == "tinyint" and first == 1 and not unsigned:
            return LogicalType("boolean")
        return LogicalType("integer", bits=_INTEGERS[name], unsigned=unsigned)
    if name == "bit":
        return LogicalType("boolean") if (first or 1) == 1 else LogicalType("integer", bits=first, unsigned=True)
    if name == "year":
        return LogicalType("integer", bits=16, unsigned=True)
    if name in ("decimal", "numeric"):
        return LogicalType("decimal", precision=first or 10, scale=sizes[1] if len(sizes) > 1 else 0)
    if name in ("float", "double", "real"):
        return LogicalType("float", bits=32 if name == "float" else 64)
    if name in ("char", "varchar"):
        return LogicalType("text", length=first if first is not None else 1, fixed=name == "char")
    if name in _TEXTS:
        return LogicalType("text", length=_TEXTS[name])
    if name in ("binary", "varbinary"):
        return LogicalType("binary", length=first if first is not None else 1, fixed=name == "binary")
    if name in _BINARIES:
        return LogicalType("binary", length=_BINARIES[name])
    if name == "date":
        return LogicalType("date")
    if name in ("time", "datetime", "timestamp"):
        return LogicalType(name, precision=first or 0)  # type: ignore[arg-type]
    if name == "enum":
        return LogicalType("enum", values=members(inside))
    if name == "set":
        return _set(members(inside))
    if name in _GEOMETRIES:
        return LogicalType("geometry")
    return LogicalType(name) if name in ("json", "uuid") else LogicalType("other")  # type: ignore[arg-type]


def members(inside: str) -> tuple[str, ...]:
    """The members of an ENUM or SET, from what stands between its parentheses."""
    return tuple(_ESCAPE.sub(lambda m: "'" if m[1] is None else _ESCAPED.get(m[1], m[1]), text) for text in _MEMBER.findall(inside))


def set_members(column_type: str) -> tuple[str, ...]:
    """The members of a SET; none of other types."""
    return members(column_type[3:]) if column_type.lower().startswith("set(") else ()


def _set(parts: tuple[str, ...]) -> LogicalType:
    """A set's values are its members in declared order with commas between them."""
    if len(parts) > SET_MEMBERS:
        return LogicalType("text", length=sum(map(len, parts)) + len(parts) - 1)
    chosen = itertools.chain.from_iterable(itertools.combinations(parts, n) for n in range(len(parts) + 1))
    return LogicalType("enum", values=tuple(",".join(c) for c in chosen))
