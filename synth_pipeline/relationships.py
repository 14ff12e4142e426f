"""The forms of an entry under `relationships` in a configuration: a foreign key, or a pair of columns that leads to several tables.

Both are keys that no database declares. What they name is held against the source by `selection`.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Tag


class RelationshipConfig(BaseModel):
    """A foreign key that the database does not declare."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    child: str
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]


class PolymorphicConfig(BaseModel):
    """A pair of columns of which `type_column` says the table in which `column` is to be looked up.

    `parents`: the values of the type, each with its table (then by the primary key) or table.column; without any, the column is
    an ordinary number, whatever inference would make of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    child: str
    type_column: str
    column: str
    parents: dict[str, str]


FORMS: dict[str, type[BaseModel]] = {"<foreign key>": RelationshipConfig, "<polymorphic key>": PolymorphicConfig}
"""The forms, by what pydantic puts into the place of an error."""


def _form(given: Any) -> str:
    keys = given if isinstance(given, dict) else vars(given) if isinstance(given, BaseModel) else ()
    return "<polymorphic key>" if "type_column" in keys or "parents" in keys else "<foreign key>"


AnyRelationship = Annotated[
    Annotated[RelationshipConfig, Tag("<foreign key>")] | Annotated[PolymorphicConfig, Tag("<polymorphic key>")], Discriminator(_form)
]
