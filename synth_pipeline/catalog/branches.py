"""A polymorphic key taken apart: for each parent table a foreign key that holds for the rows of some types only.

What compares rows by foreign keys can compare branches alike, once it looks at no other rows. They are never declared.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from synth_pipeline.catalog.schema import ForeignKey

if TYPE_CHECKING:
    from synth_pipeline.catalog.polymorphic import PolymorphicKey
    from synth_pipeline.catalog.schema import DatabaseSchema


@dataclass(frozen=True, slots=True)
class Branch(ForeignKey):
    """The rows of a polymorphic key whose `type_column` has one of `values` (as text); `columns` and `parent_columns` have one each."""

    key: str = ""
    type_column: str = ""
    values: tuple[str, ...] = ()

    @property
    def condition(self) -> str:
        """Which rows it is about, in words."""
        return f"{self.type_column} is {' or '.join(self.values)}"


def branches_of(key: PolymorphicKey) -> tuple[Branch, ...]:
    """One branch for each table and column that the key leads to, in the order of first mention."""
    types: dict[tuple[str, str], list[str]] = {}
    for value, parent, column in key.parents:
        types.setdefault((parent, column), []).append(value)
    return tuple(
        Branch(
            f"{key.id}->{parent}({column})", key.table, (key.column,), parent, (column,), declared=False,
            key=key.id, type_column=key.type_column, values=tuple(values),
        )
        for (parent, column), values in types.items()
    )  # fmt: skip


def branches(schema: DatabaseSchema, table_id: str) -> tuple[Branch, ...]:
    """The branches of all polymorphic keys of a table to what is part of the schema and stored."""
    found = (b for key in schema.table(table_id).polymorphic_keys for b in branches_of(key) if b.parent in schema)
    return tuple(b for b in found if schema.table(b.parent).column(b.parent_columns[0]).generated is None)


def with_branches(schema: DatabaseSchema) -> DatabaseSchema:
    """The schema with the branches among its foreign keys, for what looks at relationships only: it is no schema of a database."""
    tables = tuple(replace(t, foreign_keys=(*t.foreign_keys, *branches(schema, t.id))) for t in schema.tables)
    return replace(schema, tables=tables) if any(t.polymorphic_keys for t in schema.tables) else schema


def used_columns(fk: ForeignKey) -> tuple[str, ...]:
    """The columns of the child that decide where a row leads: those of the key, and the type of a branch."""
    return (*fk.columns, fk.type_column) if isinstance(fk, Branch) else fk.columns
