"""What a database *is*: tables, columns, keys, checks, indexes, and the server's own DDL.

Frozen dataclasses of the standard library with a canonical JSON form, a fingerprint, a readable diff, and the order in
which tables depend on each other. Row contents, statistics and anything inferred do not belong here.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from synth_pipeline.catalog.graph import on_loops, strong_components
from synth_pipeline.catalog.polymorphic import PolymorphicKey
from synth_pipeline.catalog.types import LogicalType
from synth_pipeline.errors import ConfigError, closest

SCHEMA_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Column:
    """A column as declared.

    Attributes:
        native_type: the type as the server spells it.
        default: the server's default expression, verbatim.
        generated: the expression of a generated column, which is never written.
        identity: the server hands out the value (serial, IDENTITY, AUTO_INCREMENT, INTEGER PRIMARY KEY).
        case_sensitive: whether the column's collation tells `a` from `A` (decides what is unique).
        storage: how the values physically lie where that differs from the type, in words of the connector
            (SQLite: the strptime format of dates kept as text).
        collation: of a text, where the catalogue names one and keys have to be compared by it.
    """

    name: str
    type: LogicalType
    native_type: str = ""
    nullable: bool = True
    default: str | None = None
    generated: str | None = None
    identity: bool = False
    case_sensitive: bool = True
    comment: str | None = None
    storage: str | None = None
    collation: str | None = None

    @property
    def is_bytes(self) -> bool:
        """Whether its values travel as bytes."""
        return self.type.kind in ("binary", "geometry") or self.storage == "bytes"


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A reference of one table to the primary or a unique key of another (or of itself).

    `id` is the constraint's identity: two keys between the same two tables stay two. `declared` is False for a virtual
    key of the configuration or one that was inferred.
    """

    id: str
    table: str
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    on_delete: str | None = None
    on_update: str | None = None
    deferrable: bool = False
    declared: bool = True

    @property
    def is_self_reference(self) -> bool:
        return self.table == self.parent


@dataclass(frozen=True, slots=True)
class UniqueKey:
    """A UNIQUE constraint or a full unique index over plain columns; rows with a NULL in it do not collide."""

    columns: tuple[str, ...]
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """A CHECK constraint: its expression in the source's dialect."""

    sql: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Index:
    """A secondary index; `columns` is empty where it is over an expression, `where` is set where it is partial."""

    name: str
    columns: tuple[str, ...]
    unique: bool = False
    where: str | None = None


@dataclass(frozen=True)
class Table:
    """A base table. `id` is how everything else names it: `table`, or `schema.table` outside the default schema."""

    id: str
    name: str
    columns: tuple[Column, ...]
    schema: str | None = None
    primary_key: tuple[str, ...] = ()
    unique_keys: tuple[UniqueKey, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    checks: tuple[Check, ...] = ()
    indexes: tuple[Index, ...] = ()
    comment: str | None = None
    ddl: str | None = None
    row_estimate: int | None = None
    polymorphic_keys: tuple[PolymorphicKey, ...] = ()

    @cached_property
    def _by_name(self) -> dict[str, Column]:
        return {c.name: c for c in self.columns}

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(self._by_name)

    def column(self, name: str) -> Column:
        """The column of that name; KeyError where there is none."""
        return self._by_name[name]

    def foreign_key(self, key_id: str) -> ForeignKey:
        """The foreign key of that id; KeyError where it is another table's."""
        for key in self.foreign_keys:
            if key.id == key_id:
                return key
        raise KeyError(key_id)

    @property
    def keys(self) -> tuple[tuple[str, ...], ...]:
        """Every set of columns that must be unique, the primary key first, without repeats."""
        candidates = [self.primary_key, *(u.columns for u in self.unique_keys)]
        return tuple(dict.fromkeys(k for k in candidates if k))

    @property
    def stored_columns(self) -> tuple[Column, ...]:
        """The columns that can be written: all but the generated ones."""
        return tuple(c for c in self.columns if c.generated is None)


@dataclass(frozen=True)
class DatabaseSchema:
    """A whole database's structure.

    Attributes:
        dialect: the family of its connector, such as `sqlite` or `postgresql`.
        tables: in the catalogue's order.
        other_ddl: the server's own statements for what is not a table (indexes, views, triggers, sequences …),
            as (kind, name, statement), in an order in which they can be executed.
        server_version: as the server says it; not part of the fingerprint.
        cut: foreign keys to tables that `select` left out; their rows have no parent, so that their columns hold NULL.
        settings: database-wide settings that an exact copy shares, as (name, value) in words of the connector (SQLite's
            page size, user_version …); not part of the fingerprint.
        object_order: (kind, name) of every object in the catalogue's own order, for copies that keep it; not part of the
            fingerprint.
    """

    dialect: str
    tables: tuple[Table, ...]
    other_ddl: tuple[tuple[str, str, str], ...] = ()
    server_version: str | None = None
    warnings: tuple[str, ...] = field(default=())
    cut: tuple[ForeignKey, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    object_order: tuple[tuple[str, str], ...] = ()

    @cached_property
    def _by_id(self) -> dict[str, Table]:
        return {t.id: t for t in self.tables}

    @property
    def table_ids(self) -> tuple[str, ...]:
        return tuple(self._by_id)

    def __contains__(self, table_id: object) -> bool:
        return table_id in self._by_id

    def table(self, table_id: str) -> Table:
        """The table of that id; KeyError where there is none."""
        return self._by_id[table_id]

    @cached_property
    def foreign_keys(self) -> tuple[ForeignKey, ...]:
        """All foreign keys whose parent is part of this schema, in table order."""
        return tuple(fk for t in self.tables for fk in t.foreign_keys if fk.parent in self._by_id)

    @cached_property
    def children(self) -> dict[str, tuple[ForeignKey, ...]]:
        """For every table the foreign keys that point to it."""
        found: dict[str, list[ForeignKey]] = {t.id: [] for t in self.tables}
        for fk in self.foreign_keys:
            found[fk.parent].append(fk)
        return {k: tuple(v) for k, v in found.items()}

    @cached_property
    def circular_columns(self) -> frozenset[tuple[str, str]]:
        """Columns, as (table, column), whose foreign keys lead back to themselves: somebody has to make their values.

        One column of every such loop is named, the first in the catalogue's order.
        """
        above: dict[tuple[str, str], tuple[str, str]] = {}
        for fk in self.foreign_keys:
            for column, parent_column in zip(fk.columns, fk.parent_columns, strict=True):
                above.setdefault((fk.table, column), (fk.parent, parent_column))
        return on_loops(above)

    def nullable(self, fk: ForeignKey) -> bool:
        """True where a row may have no parent: some column of the key may be NULL."""
        return any(self.table(fk.table).column(c).nullable for c in fk.columns)

    def fingerprint(self) -> str:
        """SHA-256 (hex) of the structure: tables, columns, keys, checks, indexes, DDL; not of sizes or versions."""
        payload = self.to_dict()
        for key in ("server_version", "warnings", "settings", "object_order"):
            payload.pop(key)
        for table in payload["tables"]:
            table.pop("row_estimate")
        return hashlib.sha256(json.dumps(payload, sort_keys=True, ensure_ascii=False).encode()).hexdigest()

    def declared_fingerprint(self) -> str:
        """SHA-256 (hex) of what the catalogue alone declares, whatever rows the tables hold.

        Leaves out what a connector reads from values where declarations do not say it: types and storage of columns of a
        dynamically typed database, whether its keys hold NULLs, foreign keys to columns that no key covers; and polymorphic
        keys, which nobody declares. Native types and DDL stay in.
        """
        payload = self.to_dict()
        for key in ("server_version", "warnings", "settings", "object_order", "cut"):
            payload.pop(key)
        payload["other_ddl"] = sorted(payload["other_ddl"])
        keys = {t.id: {frozenset(k) for k in t.keys} for t in self.tables}
        for table in payload["tables"]:
            table.pop("row_estimate")
            table.pop("polymorphic_keys")
            table["foreign_keys"] = [f for f in table["foreign_keys"] if frozenset(f["parent_columns"]) in keys.get(f["parent"], ())]
            for column in table["columns"]:
                column.pop("type")
                column.pop("storage")
                column.pop("collation")
                if column["name"] in table["primary_key"]:
                    column.pop("nullable")
        return hashlib.sha256(json.dumps(payload, sort_keys=True, ensure_ascii=False).encode()).hexdigest()

    def select(self, include: Sequence[str] | None = None, exclude: Iterable[str] = ()) -> DatabaseSchema:
        """The schema of some tables; foreign keys to tables that are left out move to `cut`, polymorphic keys lose those parents.

        Raises:
            ConfigError: a name is not a table of this schema.
        """
        dropped = set(exclude)
        for name in (*(include or ()), *dropped):
            if name not in self._by_id:
                raise ConfigError(f"There is no table {name!r} in the source.", closest(name, self.table_ids))
        kept = [t for t in self.tables if (include is None or t.id in include) and t.id not in dropped]
        ids = {t.id for t in kept}
        tables = tuple(
            dataclasses.replace(
                t, foreign_keys=tuple(f for f in t.foreign_keys if f.parent in ids),
                polymorphic_keys=tuple(k.within(ids) for k in t.polymorphic_keys),
            )
            for t in kept
        )  # fmt: skip
        cut = tuple(f for t in kept for f in t.foreign_keys if f.parent not in ids)
        return dataclasses.replace(self, tables=tables, cut=cut)

    def with_foreign_keys(self, extra: Iterable[ForeignKey]) -> DatabaseSchema:
        """The same schema with further (virtual) foreign keys; one that is declared already is not repeated.

        Raises:
            ConfigError: a table or a column of a key does not exist, or the two sides differ in length.
        """
        added: dict[str, list[ForeignKey]] = {}
        for fk in extra:
            self._require(fk.table, fk.columns)
            self._require(fk.parent, fk.parent_columns)
            if len(fk.columns) != len(fk.parent_columns):
                raise ConfigError(
                    f"The relationship {fk.table} → {fk.parent} names {len(fk.columns)} columns on one side and "
                    f"{len(fk.parent_columns)} on the other.",
                    "Name as many columns in `columns` as in `parent_columns`.",
                )
            known = {(f.columns, f.parent, f.parent_columns) for f in (*self.table(fk.table).foreign_keys, *added.get(fk.table, ()))}
            if (fk.columns, fk.parent, fk.parent_columns) not in known:
                added.setdefault(fk.table, []).append(fk)
        tables = tuple(dataclasses.replace(t, foreign_keys=(*t.foreign_keys, *added[t.id])) if t.id in added else t for t in self.tables)
        return dataclasses.replace(self, tables=tables)

    def with_polymorphic_keys(self, extra: Iterable[PolymorphicKey]) -> DatabaseSchema:
        """The same schema with further polymorphic keys; of two over the same pair of columns the one that is there stays.

        Raises:
            ConfigError: a table or a column does not exist, or the column of the keys refers to a table already.
        """
        added: dict[str, list[PolymorphicKey]] = {}
        for key in extra:
            self._require(key.table, (key.type_column, key.column))
            for _, parent, column in key.parents:
                self._require(parent, (column,))
            table, new = self.table(key.table), added.setdefault(key.table, [])
            if any((k.type_column, k.column) == (key.type_column, key.column) for k in (*table.polymorphic_keys, *new)):
                continue
            if any(key.column in f.columns for f in table.foreign_keys) or any(k.column == key.column for k in (*table.polymorphic_keys, *new)):
                raise ConfigError(f"The column {key.column!r} of {key.table!r} refers to a table already.", "Name each reference once.")
            if key.parents and not self.can_be_polymorphic(key.table, key.type_column, key.column):
                problem = f"The column {key.column!r} of {key.table!r} tells rows apart, or is referred to, without {key.type_column!r}"
                raise ConfigError(f"{problem}, which keys of several tables do not.", "Leave it as it is, or name one table: a foreign key.")
            new.append(key)
        tables = tuple(dataclasses.replace(t, polymorphic_keys=(*t.polymorphic_keys, *added.get(t.id, ()))) for t in self.tables)
        return dataclasses.replace(self, tables=tables)

    def can_be_polymorphic(self, table_id: str, type_column: str, column: str) -> bool:
        """Whether a column can hold keys of several tables: where it is part of a key, the type is, too, and nothing refers to it."""
        table = self.table(table_id)
        alone = any(column in key and type_column not in key for key in table.keys) and table.column(column).type.kind == "integer"
        return not alone and not any(column in fk.parent_columns for fk in self.children[table_id])

    def _require(self, table_id: str, columns: Iterable[str]) -> None:
        """Raises ConfigError where the table, or one of the columns, does not exist."""
        if table_id not in self._by_id:
            raise ConfigError(f"There is no table {table_id!r} in the source.", closest(table_id, self.table_ids))
        names = self.table(table_id).column_names
        for column in columns:
            if column not in names:
                raise ConfigError(f"Table {table_id!r} has no column {column!r}.", closest(column, names))

    def levels(self, order: Sequence[str] | None = None, after: Mapping[str, Collection[str]] | None = None) -> list[list[str]]:
        """Strongly connected groups of tables, parents before children; a group of several is a cycle (Tarjan 1972).

        Self references do not make a cycle. Within a group and between independent groups `order`, of all tables, holds: by
        default the catalogue's. `after` names tables that come before one without being its parents.
        """
        more = after or {}
        parents = {
            t.id: tuple(dict.fromkeys([*(f.parent for f in t.foreign_keys if f.parent in self._by_id), *sorted(more.get(t.id, ()))]))
            for t in self.tables
        }
        return strong_components(self.table_ids if order is None else order, parents)

    def diff(self, newer: DatabaseSchema) -> list[str]:
        """What changed from this schema to `newer`, one readable line per change; empty where the fingerprints agree."""
        lines = [f"table {t} removed" for t in self.table_ids if t not in newer]
        lines += [f"table {t} added" for t in newer.table_ids if t not in self]
        for old in self.tables:
            if old.id in newer:
                lines += _table_diff(old, newer.table(old.id))
        before = {(k, n): s for k, n, s in self.other_ddl}
        after = {(k, n): s for k, n, s in newer.other_ddl}
        lines += [f"{k} {n} removed" for k, n in before if (k, n) not in after]
        lines += [f"{k} {n} added" for k, n in after if (k, n) not in before]
        lines += [f"{k} {n} changed" for (k, n), s in before.items() if after.get((k, n), s) != s]
        if not lines and self.dialect != newer.dialect:
            lines.append(f"dialect {self.dialect} became {newer.dialect}")
        return lines

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries and lists, ready for JSON."""
        payload = dataclasses.asdict(self)
        payload["format"] = SCHEMA_FORMAT
        return payload

    @classmethod
    def from_dict(cls, payload: dict[str, Any]) -> DatabaseSchema:
        """The inverse of `to_dict`; KeyError or TypeError on anything else."""
        tables = tuple(
            Table(
                **{
                    **t,
                    "columns": tuple(Column(**{**c, "type": _type_from(c["type"])}) for c in t["columns"]),
                    "primary_key": tuple(t["primary_key"]),
                    "unique_keys": tuple(UniqueKey(tuple(u["columns"]), u["name"]) for u in t["unique_keys"]),
                    "foreign_keys": tuple(_foreign_key_from(f) for f in t["foreign_keys"]),
                    "checks": tuple(Check(**c) for c in t["checks"]),
                    "indexes": tuple(Index(**{**i, "columns": tuple(i["columns"])}) for i in t["indexes"]),
                    "polymorphic_keys": tuple(PolymorphicKey.from_dict(k) for k in t["polymorphic_keys"]),
                }
            )
            for t in payload["tables"]
        )
        other = tuple((k, n, s) for k, n, s in payload["other_ddl"])
        cut = tuple(_foreign_key_from(f) for f in payload["cut"])
        pairs = (tuple((a, b) for a, b in payload[key]) for key in ("settings", "object_order"))
        return cls(payload["dialect"], tables, other, payload["server_version"], tuple(payload["warnings"]), cut, *pairs)


def _foreign_key_from(payload: dict[str, Any]) -> ForeignKey:
    return ForeignKey(**{**payload, "columns": tuple(payload["columns"]), "parent_columns": tuple(payload["parent_columns"])})


def _type_from(payload: dict[str, Any]) -> LogicalType:
    item = payload["item"]
    return LogicalType(**{**payload, "values": tuple(payload["values"]), "item": _type_from(item) if item else None})


def _table_diff(old: Table, new: Table) -> list[str]:
    lines = [f"column {old.id}.{c} removed" for c in old.column_names if c not in new.column_names]
    lines += [f"column {old.id}.{c} added" for c in new.column_names if c not in old.column_names]
    for column in old.columns:
        if column.name not in new.column_names:
            continue
        other = new.column(column.name)
        for part in ("type", "native_type", "nullable", "default", "generated", "identity", "comment"):
            a, b = getattr(column, part), getattr(other, part)
            if a != b and not (part == "type" and column.native_type != other.native_type):
                lines.append(f"column {old.id}.{column.name}: {part} {a!r} became {b!r}")
    if old.primary_key != new.primary_key:
        lines.append(f"primary key of {old.id}: {list(old.primary_key)} became {list(new.primary_key)}")
    for part, title in (
        ("foreign_keys", "foreign key"), ("unique_keys", "unique key"), ("checks", "check"), ("indexes", "index"),
        ("polymorphic_keys", "polymorphic key"),
    ):  # fmt: skip
        before, after = set(getattr(old, part)), set(getattr(new, part))
        lines += [f"{title} of {old.id} removed: {_brief(x)}" for x in getattr(old, part) if x in before - after]
        lines += [f"{title} of {old.id} added: {_brief(x)}" for x in getattr(new, part) if x in after - before]
    if not lines and [c.name for c in old.columns] != [c.name for c in new.columns]:
        lines.append(f"columns of {old.id} reordered")
    if not lines and old != dataclasses.replace(new, row_estimate=old.row_estimate):
        lines.append(f"definition of {old.id} changed")
    return lines


def _brief(part: ForeignKey | UniqueKey | Check | Index | PolymorphicKey) -> str:
    if isinstance(part, ForeignKey):
        return f"({', '.join(part.columns)}) → {part.parent} ({', '.join(part.parent_columns)})"
    if isinstance(part, PolymorphicKey):
        return f"({part.type_column}, {part.column}) → {', '.join(dict.fromkeys(parent for _, parent, _ in part.parents)) or 'nothing'}"
    return part.sql if isinstance(part, Check) else f"({', '.join(part.columns)})"
