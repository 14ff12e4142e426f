"""The one protocol that every database family implements, and what flows through it.

Reading is SELECT only, under one snapshot; writing builds aside and swaps. Which dialect says what is data in
`dialects`; the algorithms that use a connector (subset, inference, export) do not belong here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import pyarrow as pa

    from synth_pipeline.catalog.schema import DatabaseSchema, Table
    from synth_pipeline.connectors.dialects import Dialect
    from synth_pipeline.connectors.translate.spelling import Spelling

PROFILE_ROWS = 2_000
BATCH_ROWS = 65_536


@dataclass(frozen=True)
class TableProfile:
    """A bounded look at a table, for inference; never stored.

    Attributes:
        table: the table's id.
        rows: how many rows the table has, exact or the catalogue's estimate; None where nobody knows.
        sample: at most `PROFILE_ROWS` rows spread over the table, with the catalogue's Arrow types.
    """

    table: str
    rows: int | None
    sample: pa.Table


@dataclass(frozen=True, slots=True)
class Inclusion:
    """Of `tested` distinct child values, `found` occur among the parent's; for undeclared foreign keys."""

    tested: int
    found: int


When = tuple[str, str]
"""Only the rows of a table in which a column has a value, given as text."""


def bound(table: Table, when: When) -> int | str:
    """The value of `when` as it is bound to a statement."""
    column, value = when
    return int(value) if table.column(column).type.kind == "integer" else value


class Snapshot(Protocol):
    """A consistent, read-only view of the source; everything that it runs is a SELECT."""

    concurrent: bool
    """Whether several threads may read from it at a time."""

    def rows(
        self, table: Table, columns: Sequence[str] | None = None, *, tail: str = "", params: Sequence[Any] = (), batch: int = BATCH_ROWS
    ) -> Iterator[pa.RecordBatch]:
        """Streams `SELECT columns FROM table AS t <tail>` with the catalogue's Arrow types.

        `columns` None means all stored columns. `tail` holds joins, WHERE, ORDER BY in the source's dialect, in which the
        table is called `t`; parameters are bound, never written into the statement.
        """
        ...

    def select(self, sql: str, params: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Streams the plain tuples of any SELECT: keys, counts, aggregates."""
        ...


class Connector(Protocol):
    """A database, opened by URL. Opening does no more than check that it answers."""

    dialect: Dialect
    label: str
    """The URL without password and options, for messages."""

    def identity(self) -> str:
        """What makes two URLs the same database: server, database and schema, or the real path of a file."""
        ...

    def reflect(self, *, values: bool = True) -> DatabaseSchema:
        """All tables of the database (or of the schemas asked for) with keys, checks, indexes and native DDL.

        With `values` False no row is looked at: enough for `DatabaseSchema.declared_fingerprint`, not for reading rows
        where types follow the values.
        """
        ...

    def profile(self, table: Table, rows: int = PROFILE_ROWS) -> TableProfile:
        """A bounded sample of one table, spread over it, by SELECT with a limit and never a full read."""
        ...

    def inclusion(
        self, child: Table, columns: Sequence[str], parent: Table, parent_columns: Sequence[str], limit: int = 10_000, when: When | None = None
    ) -> Inclusion:  # fmt: skip
        """Tests up to `limit` distinct non-NULL values of the child's columns for membership in the parent's, of all rows or those of `when`."""
        ...

    def members(self, table: Table, column: str, limit: int) -> list[str] | None:
        """The distinct non-NULL values of a column as text, in no order; None where there are more than `limit`."""
        ...

    def is_unique(self, table: Table, columns: Sequence[str]) -> bool:
        """True where no two rows share the (non-NULL) values of `columns` and none of them is NULL; one aggregate."""
        ...

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        """Opens a read-only transaction at the strongest isolation of the database."""
        ...

    def close(self) -> None: ...


# --- writing -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Violation:
    """Rows that break a foreign key in the target, counted by the server; `key` is the foreign key's id."""

    key: str
    table: str
    rows: int


class Load(Protocol):
    """One export under way. Nothing is visible to others before `publish`; leaving without it discards everything."""

    def create(self, schema: DatabaseSchema) -> list[str]:
        """Makes all tables, without what `complete` adds after the load; returns what cannot be made, in readable lines."""
        ...

    def drop(self, tables: Sequence[str]) -> None:
        """Removes tables (by their ids) that an earlier export made."""
        ...

    def insert(self, table: Table, batches: Iterable[pa.RecordBatch]) -> int:
        """Writes rows of the catalogue's Arrow types in the column's stored form, CHECK and NOT NULL enforced.

        No trigger fires. Columns that the batches lack get their default; generated ones are never written.

        Raises:
            ExportError: a row breaks a constraint, or there is no space; the message holds no value.
        """
        ...

    def highest(self, table: str, column: str) -> int | None:
        """The greatest integer in a column of a table (by its id) of the target; None where it is empty."""
        ...

    def taken(self, table: Table, columns: Sequence[str], batches: Iterable[pa.RecordBatch]) -> bool:
        """True where a key of the batches is in the target already."""
        ...

    def complete(self, schema: DatabaseSchema) -> list[str]:
        """Adds keys, indexes, views and triggers, and sets sequences past the highest key; returns what is lost.

        Triggers of the target itself that were silenced for the load come back here.
        """
        ...

    def violations(self, schema: DatabaseSchema) -> list[Violation]:
        """Checks the foreign keys of `schema`, and the integrity of the target itself, on the side of the server."""
        ...

    def count(self, table: str) -> int:
        """The rows of a table, by its id."""
        ...

    def reflect(self) -> DatabaseSchema:
        """What has been made, by its declarations."""
        ...

    def publish(self) -> None:
        """Makes everything visible in one atomic step that survives a crash."""
        ...


class Target(Protocol):
    """A database to be written, named by URL; nothing is opened or changed before `load`."""

    dialect: Dialect
    spelling: Spelling | None
    """How schemas of other families are said here; None where they cannot be."""
    label: str
    renamed_kinds: tuple[str, ...]
    """Kinds of `DatabaseSchema.other_ddl` that `rename` can give other names."""
    shared_kinds: tuple[str, ...]
    """Kinds that tables with a prefix use as they are; what the target has already of them stays."""

    def is_same(self, source_identity: str) -> bool:
        """True where this is the database of that `Connector.identity`, by whatever name or link."""
        ...

    def exists(self) -> bool:
        """True where there is a database with something in it."""
        ...

    def reflect(self) -> DatabaseSchema:
        """What it holds now, by its declarations."""
        ...

    def rename(self, sql: str, new_name: Callable[[str], str | None]) -> str:
        """A native statement of a table or of one of `renamed_kinds` with other names; `new_name` gives None for what stays."""
        ...

    def require_writable(self) -> None:
        """Checks that an export can begin, before the work that leads to it.

        Raises:
            ExportError: the folder, or the database, cannot be written.
        """
        ...

    def load(self, schema: DatabaseSchema, *, in_place: bool) -> AbstractContextManager[Load]:
        """Starts an export: aside, to be swapped in, or (`in_place`) within one transaction on what is there."""
        ...


@runtime_checkable
class SchemaTarget(Target, Protocol):
    """A target of which some schemas can be written, under other names than the source's, and the rest is left alone."""

    def in_schemas(self, schema: DatabaseSchema, names: Mapping[str, str]) -> tuple[Target, DatabaseSchema, tuple[str, ...]]:
        """The target that is no more than those schemas, the definitions in them, and what may still mean the source's, in readable lines.

        Args:
            schema: in the target's own words.
            names: the source's schema to the target's; the former may be empty where there is only one.

        Raises:
            ConfigError: the names do not fit the source.
        """
        ...
