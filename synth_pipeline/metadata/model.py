"""What was inferred about a database: the project's own superset of SDV metadata.

Pydantic models with a JSON form whose `tables` and `relationships` can be read as SDV's. How a decision is reached, and
the projection to SDV's own classes, do not belong here. No value of a personal column is ever held.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

METADATA_FORMAT = 1
REVIEW_BELOW = 0.8


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ColumnMetadata(_Model):
    """What a column holds.

    Attributes:
        sdtype: numerical, datetime, categorical, ordinal, boolean, id, text, unknown, or the name of a Faker provider.
        pii: whether its values are personal and must never leave the source.
        sensitive: whether nobody should be able to guess its value from the rest of a row (a diagnosis, a salary).
        datetime_format: strptime format, for date-times kept as text or integers (`epoch_s`, `epoch_ms` for epochs).
        regex_format: the shape of structured ids.
        decimals: most digits after the point that occur.
        minimum, maximum: bounds that are declared (CHECK) or follow from the type, never taken from the data.
        values: the members of an ENUM or CHECK … IN, as text.
        locale: Faker locale of personal values where known.
        reason: why, in one line; `evidence` is the longer list; `confidence` in 0..1.
        source: who decided: `declared` in the schema, `inferred`, or the `user`.
    """

    sdtype: str
    pii: bool = False
    sensitive: bool = False
    datetime_format: str | None = None
    regex_format: str | None = None
    decimals: int | None = None
    minimum: float | None = None
    maximum: float | None = None
    values: tuple[str, ...] | None = None
    locale: str | None = None
    reason: str = ""
    evidence: tuple[str, ...] = ()
    confidence: float = 1.0
    source: Literal["declared", "inferred", "user"] = "inferred"


class ColumnGroup(_Model):
    """Columns that form one thing: the parts of an address, a latitude with its longitude."""

    kind: Literal["address", "gps", "person"]
    columns: tuple[str, ...]


class TableMetadata(_Model):
    """A table's columns, its primary key (empty: none) and the groups among its columns."""

    columns: Mapping[str, ColumnMetadata]
    primary_key: tuple[str, ...] = ()
    primary_key_source: Literal["declared", "inferred", "user"] = "declared"
    groups: tuple[ColumnGroup, ...] = ()

    @field_validator("primary_key", mode="before")
    @classmethod
    def _key_as_list(cls, key: Any) -> Any:
        return (key,) if isinstance(key, str) else tuple(key or ())


class Relationship(_Model):
    """A foreign key in SDV's words, with the identity it has in the schema."""

    id: str
    parent_table_name: str
    parent_primary_key: tuple[str, ...]
    child_table_name: str
    child_foreign_key: tuple[str, ...]
    source: Literal["declared", "inferred", "user"] = "declared"
    confidence: float = 1.0
    reason: str = ""


class PolymorphicParent(_Model):
    """What one value of a type column leads to."""

    value: str
    table: str
    column: str


class PolymorphicRelationship(_Model):
    """A pair of columns of which `type_column` says in which table's column `key_column` is to be looked up.

    Types that are not among `parents` go with an ordinary number; without parents (the user's word), all do.
    """

    id: str
    child_table_name: str
    type_column: str
    key_column: str
    parents: tuple[PolymorphicParent, ...]
    source: Literal["inferred", "user"] = "inferred"
    confidence: float = 1.0
    reason: str = ""

    @property
    def by_table(self) -> dict[str, list[str]]:
        """The types that lead to each table."""
        found: dict[str, list[str]] = {}
        for parent in self.parents:
            found.setdefault(parent.table, []).append(parent.value)
        return found


class ReviewItem(_Model):
    """A decision that a person should look at."""

    table: str
    column: str | None
    question: str
    confidence: float


class SynthesisMetadata(_Model):
    """All that was inferred, for one schema fingerprint."""

    schema_fingerprint: str
    tables: Mapping[str, TableMetadata]
    relationships: tuple[Relationship, ...] = ()
    polymorphic: tuple[PolymorphicRelationship, ...] = ()
    review: tuple[ReviewItem, ...] = ()
    format: int = Field(default=METADATA_FORMAT)

    def column(self, table: str, column: str) -> ColumnMetadata:
        """KeyError where there is no such column."""
        return self.tables[table].columns[column]

    def personal_columns(self, table: str) -> tuple[str, ...]:
        return tuple(name for name, c in self.tables[table].columns.items() if c.pii)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; keys as lists."""
        return self.model_dump(mode="json")

    @classmethod
    def from_dict(cls, payload: Mapping[str, Any]) -> SynthesisMetadata:
        return cls.model_validate(payload)
