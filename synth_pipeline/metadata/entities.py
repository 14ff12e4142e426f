"""Columns that may stand for something which has no table of its own: the number of a receipt, the mail address of a customer.

By what they mean alone; whether they repeat, and what they say of other columns, is for those who see the rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from synth_pipeline.catalog.schema import Table
    from synth_pipeline.metadata.model import TableMetadata

_PLAIN = frozenset({"numerical", "datetime", "boolean", "ordinal", "categorical"})
_ATTRIBUTES = frozenset(
    "first_name last_name prefix suffix street_address address secondary_address building_number city administrative_unit state state_abbr "
    "postcode zipcode country country_code currency_code language_code timezone locale latitude longitude color url password sentence "
    "paragraph".split()
)
"""What is said of somebody rather than who it is; places have an order of their own."""


def naming_columns(table: Table, about: TableMetadata) -> list[str]:
    """The columns of a table that may name entities: exact, no attribute by their meaning, no key alone and no part of a foreign key."""
    linked = {c for fk in table.foreign_keys for c in fk.columns}
    unique = {key[0] for key in table.keys if len(key) == 1}
    found = []
    for column in table.stored_columns:
        meta, kind = about.columns[column.name], column.type.kind
        if column.name in linked | unique or meta.sdtype in _PLAIN | _ATTRIBUTES or not column.case_sensitive:
            continue
        if kind in ("text", "uuid") or kind in ("integer", "decimal") and (meta.sdtype == "id" or meta.pii):
            found.append(column.name)
    return found
