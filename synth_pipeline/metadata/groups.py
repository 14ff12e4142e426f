"""Columns of one table that form one thing: an address, a position, a person.

Grouped by what stands before the decisive words, so that a billing and a shipping address stay two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from synth_pipeline.metadata.model import ColumnGroup, ColumnMetadata
from synth_pipeline.metadata.names import Name

_ADDRESS = frozenset(
    "street_address address secondary_address building_number city administrative_unit state state_abbr postcode country country_code".split()
)
_GPS = frozenset({"latitude", "longitude"})
_PERSON = frozenset("prefix first_name last_name name suffix user_name email".split())


def find_groups(columns: Mapping[str, ColumnMetadata], names: Mapping[str, Name]) -> tuple[ColumnGroup, ...]:
    """The groups among a table's columns, in column order; a group has at least two columns."""
    found: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for column, metadata in columns.items():
        kind = _kind(metadata.sdtype)
        if kind:
            found.setdefault((kind, _before(names[column])), []).append(column)
    groups = []
    for (kind, _), members in found.items():
        sdtypes = {columns[m].sdtype for m in members}
        if len(sdtypes) >= 2 and not (kind == "gps" and len(members) != 2) and sdtypes - {"city", "country"}:
            groups.append(ColumnGroup(kind=_literal(kind), columns=tuple(members)))
    return tuple(groups)


def _kind(sdtype: str) -> str | None:
    return "address" if sdtype in _ADDRESS else "gps" if sdtype in _GPS else "person" if sdtype in _PERSON else None


def _literal(kind: str) -> Literal["address", "gps", "person"]:
    return "address" if kind == "address" else "gps" if kind == "gps" else "person"


def _before(name: Name) -> tuple[str, ...]:
    size = len(name.phrase.split())
    return name.words[: len(name.words) - size] if name.phrase else ()
