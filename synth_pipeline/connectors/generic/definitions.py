"""Definitions in the words of a database, spelled by SQLAlchemy's compiler from what its inspector told.

A table's statement holds its columns, its keys and conditions; what is added after the rows (foreign keys, indexes, comments,
views) are statements of their own. Every name is quoted. Reflecting a copy gives the same statements again, so that schemas
can be compared by them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.schema import CreateColumn, SetColumnComment, SetTableComment
from sqlalchemy.sql.elements import quoted_name

from synth_pipeline.catalog.schema import Column, ForeignKey, Index, Table

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

    from synth_pipeline.connectors.generic.traits import Traits

Statement = tuple[str, str, str]


class Native(sa.types.UserDefinedType[Any]):
    """A type by the server's own spelling."""

    cache_ok = True

    def __init__(self, spelling: str) -> None:
        self.spelling = spelling

    def get_col_spec(self, **_: Any) -> str:
        return self.spelling


class NativeInteger(Native):
    """The same for whole numbers, which the server may hand out."""

    cache_ok = True
    _type_affinity = sa.Integer


def verbatim(dialect: Dialect) -> Dialect:
    """The dialect for statements that are sent without parameters: percent signs stay single."""
    found = copy.copy(dialect)
    found.identifier_preparer = copy.copy(dialect.identifier_preparer)
    found.identifier_preparer._double_percents = False
    return found


def unnamed(columns: Sequence[str]) -> str:
    """What a foreign key without a name of its own is called in its id."""
    return f"fk_{'_'.join(columns)}"


class Definitions:
    """Spells the statements of one database."""

    def __init__(self, dialect: Dialect, traits: Traits) -> None:
        self._dialect, self._traits = verbatim(dialect), traits
        self.quote: Callable[[str], str] = self._dialect.identifier_preparer.quote_identifier

    def name(self, table: Table) -> str:
        """The table's name with its schema, quoted."""
        return ".".join(self.quote(part) for part in (table.schema, table.name) if part)

    def _listed(self, columns: Iterable[str]) -> str:
        return ", ".join(self.quote(c) for c in columns)

    def table(self, table: Table, tables: dict[str, Table]) -> str | None:
        """The CREATE TABLE; None where a column's type could not be read."""
        if not all(c.native_type for c in table.columns):
            return None
        made = self._made(table)
        parts = [str(CreateColumn(c).compile(dialect=self._dialect)).strip() for c in made.columns]
        if table.primary_key and not self._traits.key_after_columns and not self._traits.late_primary_key:
            parts.append(f"PRIMARY KEY ({self._listed(table.primary_key)}){self._traits.unenforced}")
        if not self._traits.late_constraints:
            parts += [f"{head}{body}" for _, head, body in self._constraints(table)]
        if not self._traits.alter_keys:
            parts += [self._reference(fk, tables) for fk in table.foreign_keys]
        after = f" PRIMARY KEY ({self._listed(table.primary_key)})" if self._traits.key_after_columns else ""
        return f"CREATE TABLE {self.name(table)} (\n  " + ",\n  ".join(parts) + f"\n){after}"

    def _made(self, table: Table) -> sa.Table:
        columns = [self._column(c, table) for c in table.columns]
        return sa.Table(quoted_name(table.name, True), sa.MetaData(), *columns, schema=quoted_name(table.schema, True) if table.schema else None)

    def _column(self, column: Column, table: Table) -> sa.Column[Any]:
        extra: list[Any] = []
        if column.generated is not None:
            extra.append(sa.Computed(column.generated, persisted={"stored": True, "virtual": False}.get(column.storage or "")))
        elif column.identity:
            extra.append(sa.Identity(always=column.storage == "always"))
        default = None if column.default is None or column.generated is not None else sa.text(column.default.replace(":", "\\:"))
        kind = NativeInteger if column.identity else Native
        return sa.Column(
            quoted_name(column.name, True), kind(column.native_type), *extra, nullable=column.nullable, server_default=default,
            primary_key=column.name in table.primary_key, autoincrement=column.identity, comment=column.comment,
        )  # fmt: skip

    def _constraints(self, table: Table) -> list[tuple[str, str, str]]:
        """Unique keys that no index makes and conditions, as (name, what names it, what it is)."""
        by_index, traits = {i.name for i in table.indexes}, self._traits
        found: list[tuple[str | None, str]] = []
        if table.primary_key and traits.late_primary_key:
            found.append((None, f"PRIMARY KEY ({self._listed(table.primary_key)}){traits.unenforced}"))
        if traits.unique_keys:
            found += [(u.name, f"UNIQUE ({self._listed(u.columns)}){traits.unenforced}") for u in table.unique_keys if u.name not in by_index]
        found += [(c.name, f"CHECK ({c.sql})") for c in table.checks if traits.checks]
        return [(name or "", f"CONSTRAINT {self.quote(name)} " if name else "", body) for name, body in found]

    def _reference(self, fk: ForeignKey, tables: dict[str, Table]) -> str:
        name = fk.id.removeprefix(f"{fk.table}.").split("#")[0]
        named = "" if name == unnamed(fk.columns) else f"CONSTRAINT {self.quote(name)} "
        parent = f"{self.name(tables[fk.parent])} ({self._listed(fk.parent_columns)})"
        acts = "".join(f" ON {word} {act}" for word, act in self._actions(fk) if act)
        later = " DEFERRABLE INITIALLY DEFERRED" if fk.deferrable else ""
        return f"{named}FOREIGN KEY ({self._listed(fk.columns)}) REFERENCES {parent}{acts}{later}{self._traits.unenforced}"

    def _actions(self, fk: ForeignKey) -> list[tuple[str, str | None]]:
        return [("DELETE", fk.on_delete if self._traits.on_delete else None), ("UPDATE", fk.on_update if self._traits.on_update else None)]

    def late(self, tables: Sequence[Table]) -> list[Statement]:
        """What follows the rows: keys and conditions where they cannot come before, foreign keys, indexes, comments."""
        by_id = {t.id: t for t in tables}
        found: list[Statement] = []
        for table in tables:
            if self._traits.late_constraints:
                found += [
                    ("constraint", f"{table.id}.{name or body}", f"ALTER TABLE {self.name(table)} ADD {head}{body}")
                    for name, head, body in self._constraints(table)
                ]  # fmt: skip
            found += [("index", f"{table.id}.{i.name}", self._index(table, i)) for i in table.indexes if self._traits.indexes]
            found += self._comments(table)
        for table in tables if self._traits.alter_keys else ():
            found += [("foreign_key", fk.id, f"ALTER TABLE {self.name(table)} ADD {self._reference(fk, by_id)}") for fk in table.foreign_keys]
        return found

    def _index(self, table: Table, index: Index) -> str:
        return f"CREATE {'UNIQUE ' if index.unique else ''}INDEX {self.quote(index.name)} ON {self.name(table)} ({self._listed(index.columns)})"

    def _comments(self, table: Table) -> list[Statement]:
        if not self._dialect.supports_comments or self._dialect.inline_comments:
            return []
        made = self._made(table)
        made.comment = table.comment
        found: list[Statement] = []
        if table.comment:
            found.append(("comment", table.id, str(SetTableComment(made).compile(dialect=self._dialect))))
        for column in made.columns:
            if column.comment:
                found.append(("comment", f"{table.id}.{column.name}", str(SetColumnComment(column).compile(dialect=self._dialect))))
        return found
