"""A pair of columns of which one says in which table the other is to be looked up: a polymorphic reference.

No database declares one (Rails and Laravel write `commentable_type` and `commentable_id`, Django a content type and an object id),
so it is never part of a definition. How one is found belongs to `metadata`, what it means as foreign keys to `branches`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class PolymorphicKey:
    """The values of `column` are keys of the table that `type_column` says in the same row.

    Attributes:
        parents: (value of the type as text, table, its column). Rows of any other type hold an ordinary number; a key without
            parents says that all of them do, whatever the names look like.
    """

    id: str
    table: str
    type_column: str
    column: str
    parents: tuple[tuple[str, str, str], ...]

    def within(self, tables: Collection[str]) -> PolymorphicKey:
        """The same key without the parents that are not among `tables`."""
        return replace(self, parents=tuple(p for p in self.parents if p[1] in tables))

    @classmethod
    def from_dict(cls, payload: dict[str, Any]) -> PolymorphicKey:
        """From the fields as JSON holds them."""
        return cls(**{**payload, "parents": tuple((value, table, column) for value, table, column in payload["parents"])})


def key_id(table: str, type_column: str, column: str) -> str:
    """The identity of the polymorphic key of two columns."""
    return f"{table}({type_column},{column})"
