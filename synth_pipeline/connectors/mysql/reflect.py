"""The catalogue of a MySQL or MariaDB database: tables with all that is declared on them, and the rest as statements.

Keys and checks are read from SHOW CREATE TABLE, for which SELECT is enough. Definitions name what lies in the database
without the database's name, so that they mean the same in another one.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pymysql

from synth_pipeline.catalog.schema import Column, DatabaseSchema, ForeignKey, Table
from synth_pipeline.catalog.types import LogicalType
from synth_pipeline.connectors.mysql import ddl, types
from synth_pipeline.connectors.mysql.session import MODE, Session, is_lost, quoted

FULL_CHECK_ROWS = 1_000_000
STAGING, DISCARDED = "synth_staging_", "synth_discarded_"
"""What the databases are called in which an export builds, and which a replacing one has put aside."""
_BASE_TABLES = ("BASE TABLE", "SYSTEM VERSIONED", None)
"""Kinds of tables; the last of one that another session is altering just now."""
_WITHOUT_SNAPSHOTS = ("MyISAM", "Aria", "MEMORY", "CSV", "ARCHIVE", "MRG_MyISAM", "FEDERATED", "CONNECT")
_CONTEXT = ("sql_mode", "character_set_client", "collation_connection", "time_zone")

Statement = tuple[str, str, str]


def reflect(session: Session, *, values: bool = True) -> DatabaseSchema:
    """All tables and definitions of the session's database; with `values`, flags are told from small numbers by a look at them."""
    return _Reflection(session, values).schema()


class _Reflection:
    def __init__(self, session: Session, values: bool) -> None:
        self._session, self._values = session, values
        self._database = session.database or ""
        self._warnings: list[str] = []
        self._relations = self._ask(
            "SELECT table_name AS name, table_type AS type, engine, table_rows AS estimate, table_comment AS comment FROM information_schema.tables "
            "WHERE table_schema = %s ORDER BY table_name"
        )
        self._routines = self._ask(
            "SELECT routine_name AS name, routine_type AS type FROM information_schema.routines WHERE routine_schema = %s "
            "ORDER BY routine_type, routine_name"
        )
        self._known = {r["name"] for r in (*self._relations, *self._routines)}
        self._columns: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in self._ask(
            "SELECT table_name AS owner, column_name AS name, column_type AS type, column_default AS fallback, is_nullable AS nullable, extra, "
            "collation_name AS collation, column_comment AS comment, generation_expression AS expression "
            "FROM information_schema.columns WHERE table_schema = %s ORDER BY table_name, ordinal_position"
        ):
            self._columns[row["owner"]].append(row)

    def _ask(self, sql: str) -> list[dict[str, Any]]:
        return self._session.records(sql, [self._database])

    def schema(self) -> DatabaseSchema:
        tables = [self._table(r) for r in self._relations if r["type"] in _BASE_TABLES]
        ids = {t.id for t in tables}
        for table in tables:
            for fk in table.foreign_keys:
                if fk.parent not in ids:
                    self._warnings.append(f"The foreign key {fk.id} is left out: {fk.parent} is not among the tables.")
        tables = [dataclasses.replace(t, foreign_keys=tuple(f for f in t.foreign_keys if f.parent in ids)) for t in tables]
        other = tuple(self._other())
        for kind, name, sql in other:
            if ddl.mentions(sql, self._database):
                self._warnings.append(f"The {kind} {name} names the database {self._database} in a string, which a copy keeps.")
        charset, collation = self._session.one(
            "SELECT default_character_set_name, default_collation_name FROM information_schema.schemata WHERE schema_name = %s", [self._database]
        )
        settings = (("family", self._session.family), ("charset", charset), ("collation", collation), *self._positions())
        return DatabaseSchema("mysql", tuple(tables), other, self._session.version, tuple(self._warnings), settings=settings)

    # --- tables --------------------------------------------------------------------------------------------------------

    def _table(self, row: dict[str, Any]) -> Table:
        name = row["name"]
        shown = str(self._session.one(f"SHOW CREATE TABLE {quoted(name)}")[1])
        definition = ddl.unqualified(ddl.without_counter(shown), self._database, self._known)
        text = ddl.TableText(definition)
        columns = [self._column(c, text) for c in self._columns[name]]
        if self._values:
            columns = self._numbers(name, columns, row["estimate"] or 0)
        if row["engine"] in _WITHOUT_SNAPSHOTS:
            self._warnings.append(f"The table {name} uses the engine {row['engine']}: what changes in it while it is read is read as it is then.")
        keys = tuple(self._foreign_key(f) for f in text.foreign_keys(name))
        return Table(
            name, name, tuple(columns), None, text.primary_key, tuple(text.unique_keys), keys, tuple(text.checks), tuple(text.indexes),
            row["comment"] or None, definition, row["estimate"],
        )  # fmt: skip

    def _foreign_key(self, key: ForeignKey) -> ForeignKey:
        own = f"{self._database}."
        return dataclasses.replace(key, parent=key.parent.removeprefix(own)) if key.parent not in self._known else key

    def _column(self, row: dict[str, Any], text: ddl.TableText) -> Column:
        extra, native = row["extra"].upper(), row["type"]
        logical = LogicalType("json") if text.is_json(row["name"]) else types.logical(native)
        generated = ("GENERATED" in extra and "DEFAULT_GENERATED" not in extra) or "ROW START" in extra or "ROW END" in extra
        fallback = None if generated or row["fallback"] in (None, "NULL") else ddl.unqualified(str(row["fallback"]), self._database, self._known)
        collation = row["collation"]
        return Column(
            row["name"], logical, native, nullable=row["nullable"] == "YES", default=fallback,
            generated=(row["expression"] or extra.lower()) if generated else None, identity="AUTO_INCREMENT" in extra,
            # The members of an enum come as they are declared, however they were written.
            case_sensitive=collation is None or not collation.endswith("_ci") or logical.kind == "enum",
            comment=row["comment"] or None, collation=collation,
        )  # fmt: skip

    def _numbers(self, table: str, columns: list[Column], rows: int) -> list[Column]:
        """Columns of TINYINT(1), which BOOLEAN is a name of, that hold other numbers than 0 and 1 are no flags."""
        flags = [c for c in columns if c.type.kind == "boolean" and c.native_type.startswith("tinyint") and c.generated is None]
        if not flags:
            return columns
        tests = ", ".join(f"max({quoted(c.name)} NOT IN (0, 1))" for c in flags)
        source = quoted(table)
        if rows > FULL_CHECK_ROWS:
            source = f"(SELECT {', '.join(quoted(c.name) for c in flags)} FROM {source} LIMIT {FULL_CHECK_ROWS}) AS t"
        found = self._session.one(f"SELECT {tests} FROM {source}")
        others = {c.name for c, other in zip(flags, found, strict=True) if other}
        return [dataclasses.replace(c, type=LogicalType("integer", bits=8)) if c.name in others else c for c in columns]

    def _sequences(self) -> list[str]:
        return [r["name"] for r in self._relations if r["type"] == "SEQUENCE"]

    def _positions(self) -> Iterator[tuple[str, str]]:
        for name in self._sequences():
            (position,) = self._session.one(f"SELECT next_not_cached_value FROM {quoted(name)}")
            yield "position", f"{name}={position}"

    # --- everything else -----------------------------------------------------------------------------------------------

    def _other(self) -> Iterator[Statement]:
        for name in self._sequences():
            yield "sequence", name, str(self._session.one(f"SHOW CREATE SEQUENCE {quoted(name)}")[1])
        for row in self._routines:
            kind = str(row["type"])
            if kind in ("FUNCTION", "PROCEDURE"):
                yield from self._shown(kind, row["name"], f"Create {kind.capitalize()}")
            else:
                self._warnings.append(f"The {kind.lower()} {row['name']} is left alone: no copy of it is made.")
        for row in self._relations:
            if row["type"] == "VIEW":
                yield from self._shown("VIEW", row["name"], "Create View")
        triggers = self._ask("SELECT trigger_name AS name, action_order AS place FROM information_schema.triggers WHERE trigger_schema = %s")
        for row in sorted(triggers, key=lambda r: (r["place"] or 0, r["name"])):
            yield from self._shown("TRIGGER", row["name"], "SQL Original Statement")
        for row in self._ask("SELECT event_name AS name FROM information_schema.events WHERE event_schema = %s ORDER BY event_name"):
            yield from self._shown("EVENT", row["name"], "Create Event")

    def _shown(self, kind: str, name: str, field: str) -> Iterator[Statement]:
        try:
            (row,) = self._session.records(f"SHOW CREATE {kind} {quoted(name)}")
        except pymysql.err.MySQLError as e:
            if is_lost(e):
                raise
            row = {}
        sql = row.get(field.lower())
        if not sql:
            self._warnings.append(f"The {kind.lower()} {name} is left out: this user may not see its definition.")
            return
        settings = {k: row[k] for k in _CONTEXT if row.get(k) is not None}
        settings.pop("sql_mode" if settings.get("sql_mode") == MODE else "", None)
        if kind == "VIEW":  # which the server keeps as it understood it
            settings = {}
        head = f"SET {', '.join(f'{k} = {_literal(v)}' for k, v in settings.items())};\n" if settings else ""
        yield kind.lower(), name, head + ddl.unqualified(str(sql), self._database, self._known)


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
