"""Columns that may stand for something which has no table of its own: the number of a receipt, the mail address of a customer.

By what they mean alone; whether they repeat, and what they say of other columns, is for those who see the rows or count them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from synth_pipeline.catalog.schema import DatabaseSchema, Table
    from synth_pipeline.metadata.model import SynthesisMetadata, TableMetadata

_PLAIN = frozenset({"numerical", "datetime", "boolean", "ordinal", "categorical"})
_ATTRIBUTES = frozenset(
    "first_name last_name prefix suffix street_address address secondary_address building_number city administrative_unit state state_abbr "
    "postcode zipcode country country_code currency_code language_code timezone locale latitude longitude color url password sentence "
    "paragraph".split()
)
"""What is said of somebody rather than who it is; places have an order of their own."""
_WORDS = frozenset({"text", "unknown", "name", "company"})
"""What two rows may have in common by chance: two songs of one title, two persons of one name."""


def naming_columns(table: Table, about: TableMetadata) -> list[str]:
    """The columns of a table that may name entities: exact, no attribute by their meaning, no key alone and no part of a key to others."""
    linked = {c for fk in table.foreign_keys for c in fk.columns}
    linked |= {c for key in table.polymorphic_keys if key.parents for c in (key.type_column, key.column)}
    unique = {key[0] for key in table.keys if len(key) == 1}
    found = []
    for column in table.stored_columns:
        meta, kind = about.columns[column.name], column.type.kind
        if column.name in linked | unique or meta.sdtype in _PLAIN | _ATTRIBUTES or not column.case_sensitive:
            continue
        if kind in ("text", "uuid") or kind in ("integer", "decimal") and (meta.sdtype == "id" or meta.pii):
            found.append(column.name)
    return found


def naming_tiers(schema: DatabaseSchema, metadata: SynthesisMetadata) -> dict[str, list[list[str]]]:
    """For each table the columns that may name entities, in two tiers: numbers, codes and addresses; names and other words.

    Columns of keys to tables that are left out name nothing, since nothing is left of their values.
    """
    cut = {(fk.table, c) for fk in schema.cut for c in fk.columns}
    found = {}
    for table in schema.tables:
        about = metadata.tables[table.id]
        names = [n for n in naming_columns(table, about) if (table.id, n) not in cut]
        words = [n for n in names if about.columns[n].sdtype in _WORDS]
        found[table.id] = [[n for n in names if n not in words], words]
    return found
