"""One export into a MySQL or MariaDB database: built in a database beside it, or rows added within one transaction.

Tables are made without secondary and foreign keys, filled by LOAD DATA, then completed, with the source's own statements;
views, routines and triggers follow, so that what is compared with the plan is all there before anybody can see it.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import IO, TYPE_CHECKING

import pymysql
from pymysql.constants import ER

from synth_pipeline.connectors.base import Violation
from synth_pipeline.connectors.dialects import MYSQL
from synth_pipeline.connectors.mysql import ddl, reflect, swap, values
from synth_pipeline.connectors.mysql.session import Session, is_lost, quoted, refusal
from synth_pipeline.connectors.mysql.validity import Validator
from synth_pipeline.errors import ExportError

if TYPE_CHECKING:
    import pyarrow as pa

    from synth_pipeline.catalog.schema import Column, DatabaseSchema, ForeignKey, Table

logger = logging.getLogger(__name__)

Statement = tuple[str, str, str]

AFTER = ("function", "procedure", "view", "trigger")
"""Kinds of definitions that come after the rows, in their order; events, which would act at once, come last of all."""
_NOT_YET = (ER.NO_SUCH_TABLE, ER.SP_DOES_NOT_EXIST, ER.VIEW_INVALID, ER.BAD_FIELD_ERROR)
_SLICE_BYTES = 16 * 2**20
_INSERT_ROWS = 5_000


class MySQLLoad:
    """An export under way, on one connection that holds the lock of its target."""

    def __init__(self, open_session: Callable[[], Session], session: Session, database: str, schema: DatabaseSchema, *, in_place: bool) -> None:
        self._session, self._database, self._schema, self._in_place = session, database, schema, in_place
        self._staging = swap.staging_name(database)
        self._made: DatabaseSchema | None = None
        self._appending = False
        self._dropped: list[str] = []
        self._lost: list[str] = []
        self._executed: dict[tuple[str, str], str] = {}
        self._validator = Validator(open_session)  # of its own: it asks while rows are on their way
        session.run("SET foreign_key_checks = 0")

    # --- making --------------------------------------------------------------------------------------------------------

    def create(self, schema: DatabaseSchema) -> list[str]:
        lost = self._versions(schema)
        self._refuse_outsiders()
        settings = {"charset": "utf8mb4", "collation": "utf8mb4_bin", **dict(schema.settings)}
        like = f" CHARACTER SET {settings['charset']} COLLATE {settings['collation']}"
        self._session.run(f"CREATE DATABASE {quoted(self._staging)}{'' if lost else like}")
        self._session.use(self._staging)
        self._made = schema
        for statement in (s for s in schema.other_ddl if s[0] == "sequence"):
            self._define(statement)
        for table in schema.tables:
            if table.ddl is None:
                raise ExportError(f"Table {table.id!r} has no MySQL definition.", "Export to the database family of the source.")
            bare, _, _ = ddl.TableText(table.ddl).staged()
            self._define(("table", table.id, bare))
        return lost

    def _versions(self, schema: DatabaseSchema) -> list[str]:
        there = dict(schema.settings).get("family", self._session.family)
        release = ".".join((schema.server_version or "").split(".")[:2])
        here = ".".join(map(str, self._session.release))
        if there == self._session.family and release in ("", here):
            return []
        both = f"The source is {there} {release} and the target {self._session.family} {here}"
        return [f"{both}, which spell definitions differently: they were not compared."]

    def _refuse_outsiders(self) -> None:
        """Tables of other databases that refer to those that go would follow them."""
        sql = (
            "SELECT DISTINCT table_schema, table_name FROM information_schema.key_column_usage "
            "WHERE referenced_table_schema = %s AND table_schema <> %s AND table_schema NOT LIKE %s LIMIT 1"
        )
        for schema, table in self._session.run(sql, [self._database, self._database, reflect.DISCARDED.replace("_", "\\_") + "%"]):
            problem = f"{schema}.{table}, in a database that is not replaced, refers to what is replaced"
            raise ExportError(f"{problem}.", "Drop its foreign key, or choose another database for the export.")

    def _define(self, statement: Statement) -> None:
        """Executes a definition; where this user may not name its owner, it becomes the owner, which is a loss."""
        kind, name, sql = statement
        try:
            try:
                swap.execute(self._session, sql)
            except pymysql.err.MySQLError as e:
                if e.args[0] != ER.SPECIFIC_ACCESS_DENIED_ERROR or ddl.without_definer(sql) == sql:
                    raise
                sql = ddl.without_definer(sql)
                swap.execute(self._session, sql)
                self._lost.append(f"The {kind} {name} belongs to the user of the target: this one may not name another.")
        except pymysql.err.MySQLError as e:
            if is_lost(e) or e.args[0] in _NOT_YET:
                raise
            broken = isinstance(e, pymysql.err.IntegrityError)
            remedy = "The synthetic rows break this constraint; sample again." if broken else "Check what the user of the target may do."
            raise ExportError(f"The {kind} {name} cannot be made: {refusal(e)}.", remedy) from None
        self._executed[kind, name] = sql

    def drop(self, tables: Sequence[str]) -> None:
        self._dropped = [self._schema.table(t).name for t in tables]

    # --- rows ----------------------------------------------------------------------------------------------------------

    def insert(self, table: Table, batches: Iterable[pa.RecordBatch]) -> int:
        self._begin()
        filled = (b for b in batches if b.num_rows)
        first = next(filled, None)
        if first is None:
            return 0
        columns = [table.column(n) for n in first.schema.names]

        def repaired() -> Iterator[pa.RecordBatch]:
            yield self._validator.repair(table, columns, first)
            for batch in filled:
                yield self._validator.repair(table, columns, batch)

        rows = self._write(quoted(table.name), table.id, columns, repaired())
        for name, count in self._validator.replaced.items():
            logger.warning("%s.%s: %d values are none of its type and were replaced", table.id, name, count)
        self._validator.replaced.clear()
        return rows

    def _begin(self) -> None:
        """The transaction of rows that are added to what is there, whose triggers are kept from them."""
        if self._made is not None or self._appending:
            return
        self._session.use(self._database)
        self._appending = True
        names = {t.name for t in self._schema.tables}
        held = [s for s in self._present() if s[0] == "trigger" and ddl.trigger_table(s[2]) in names]
        if held:
            swap.write_journal(self._session, self._database, [sql for _, _, sql in held], ())
            for _, name, _ in held:
                self._session.run(f"DROP TRIGGER IF EXISTS {quoted(name)}")
        self._session.run("START TRANSACTION")

    def _present(self) -> tuple[Statement, ...]:
        """The definitions of the target."""
        self._session.use(self._database)
        return reflect.reflect(self._session, values=False).other_ddl

    def _write(self, name: str, table: str, columns: Sequence[Column], batches: Iterator[pa.RecordBatch]) -> int:
        try:
            if os.path.isdir("/dev/fd") and self._session.one("SELECT @@local_infile")[0]:
                return self._stream(name, table, columns, batches)
            return sum(self._rows(name, columns, b) for b in batches)
        except (pymysql.err.IntegrityError, pymysql.err.DataError, pymysql.err.OperationalError) as e:
            if is_lost(e):
                raise
            remedy = "The synthetic rows break this constraint; sample again."
            raise ExportError(f"Table {table!r} cannot be loaded: {refusal(e)}.", remedy) from None

    def _stream(self, name: str, table: str, columns: Sequence[Column], batches: Iterator[pa.RecordBatch]) -> int:
        """LOAD DATA from a pipe that a thread fills."""
        listed, assigned = values.load_columns(columns, quoted)
        end, start = os.pipe()
        feed = _Feed(start, columns, batches)
        feed.start()
        try:
            found, warnings = self._session.change(
                f"LOAD DATA LOCAL INFILE '/dev/fd/{end}' INTO TABLE {name} CHARACTER SET utf8mb4 "
                f"FIELDS TERMINATED BY '\\t' ESCAPED BY '\\\\' LINES TERMINATED BY '\\n' {listed}{assigned}"
            )
        finally:
            os.close(end)
            feed.join()
        if feed.error is not None:
            raise feed.error
        # With LOCAL the server passes over what it refuses, and says so.
        problems = [r for r in self._session.run("SHOW WARNINGS LIMIT 20") if r[0] != "Note"] if warnings else []
        if problems or found != feed.rows:
            _, code, text = problems[0] if problems else ("", 0, "rows were left out")
            reason = refusal(pymysql.err.DataError(int(code), str(text))) if problems else text
            raise ExportError(f"Table {table!r} cannot be loaded: {reason}.", "The synthetic rows break this constraint; sample again.")
        return feed.rows

    def _rows(self, name: str, columns: Sequence[Column], batch: pa.RecordBatch) -> int:
        sql = f"INSERT INTO {name} ({', '.join(quoted(c.name).replace('%', '%%') for c in columns)}) VALUES ({', '.join(['%s'] * len(columns))})"
        for start in range(0, batch.num_rows, _INSERT_ROWS):
            self._session.many(sql, values.rows(columns, batch.slice(start, _INSERT_ROWS)))
        return int(batch.num_rows)

    def highest(self, table: str, column: str) -> int | None:
        self._begin()
        found = self._session.one(f"SELECT max({quoted(column)}) FROM {self._name(table)}")[0]
        return None if found is None else int(found)

    def taken(self, table: Table, columns: Sequence[str], batches: Iterable[pa.RecordBatch]) -> bool:
        self._begin()
        keys = (b.select(list(columns)) for b in batches if b.num_rows)
        name, key = quoted(table.name), ", ".join(quoted(c) for c in columns)
        self._session.run("DROP TEMPORARY TABLE IF EXISTS synth_keys")
        self._session.run(f"CREATE TEMPORARY TABLE synth_keys AS SELECT {key} FROM {name} LIMIT 0")
        first = next(keys, None)
        if first is None:
            return False
        self._write("synth_keys", table.id, [table.column(c) for c in columns], iter([first, *keys]))
        same = " AND ".join(f"k.{quoted(c)} = t.{quoted(c)}" for c in columns)
        return bool(self._session.one(f"SELECT EXISTS (SELECT 1 FROM synth_keys k JOIN {name} t ON {same})")[0])

    def _name(self, table: str) -> str:
        return MYSQL.relation(self._schema.table(table))

    # --- finishing -----------------------------------------------------------------------------------------------------

    def complete(self, schema: DatabaseSchema) -> list[str]:
        if self._made is None:
            return []
        self._alter(schema, 1)
        self._all([s for s in schema.other_ddl if s[0] == "index"])
        self._alter(schema, 2)  # all keys before the first foreign key
        for name, position in (v.rsplit("=", 1) for n, v in schema.settings if n == "position"):
            if any(s[:2] == ("sequence", name) for s in schema.other_ddl):
                self._session.run(f"SELECT SETVAL({quoted(name)}, {int(position)}, 0)")
        self._all(sorted((s for s in schema.other_ddl if s[0] in AFTER), key=lambda s: AFTER.index(s[0])))
        if schema.tables:
            self._session.run(f"ANALYZE TABLE {', '.join(quoted(t.name) for t in schema.tables)}")
        return self._lost

    def _alter(self, schema: DatabaseSchema, place: int) -> None:
        """Adds what `TableText.staged` has put off."""
        for table in schema.tables:
            added = ddl.TableText(table.ddl or "").staged()[place]
            if added:
                self._define(("table", table.id, f"ALTER TABLE {quoted(table.name)} {', '.join(f'ADD {part}' for part in added)}"))

    def _all(self, pending: Sequence[Statement]) -> None:
        """Executes definitions, those again that needed a later one."""
        while pending:
            left, problem = [], ""
            for statement in pending:
                try:
                    self._define(statement)
                except pymysql.err.MySQLError as e:
                    if is_lost(e):
                        raise
                    left.append(statement)
                    problem = problem or refusal(e)
            if len(left) == len(pending):
                kind, name, _ = left[0]
                raise ExportError(f"The {kind} {name} cannot be made: {problem}.", "Check that the source can use it, or drop it there.")
            pending = left

    def violations(self, schema: DatabaseSchema) -> list[Violation]:
        """Anti-joins: foreign keys are not checked while they are added."""
        found = [Violation(fk.id, fk.table, self._dangling(schema, fk)) for fk in schema.foreign_keys if fk.declared]
        return [v for v in found if v.rows]

    def _dangling(self, schema: DatabaseSchema, fk: ForeignKey) -> int:
        child, parent = quoted(schema.table(fk.table).name), quoted(schema.table(fk.parent).name)
        filled = " AND ".join(f"c.{quoted(a)} IS NOT NULL" for a in fk.columns)
        match = " AND ".join(f"p.{quoted(b)} = c.{quoted(a)}" for a, b in zip(fk.columns, fk.parent_columns, strict=True))
        sql = f"SELECT count(*) FROM {child} c LEFT JOIN {parent} p ON {match} WHERE {filled} AND p.{quoted(fk.parent_columns[0])} IS NULL"
        return int(self._session.one(sql)[0])

    def count(self, table: str) -> int:
        self._begin()
        return int(self._session.one(f"SELECT count(*) FROM {self._name(table)}")[0])

    def reflect(self) -> DatabaseSchema:
        """What has been made, in the order that was asked for; events, which are made last, as they will be."""
        made = reflect.reflect(self._session, values=False)
        order = {t: i for i, t in enumerate(self._schema.table_ids)}
        events = tuple(s for s in self._schema.other_ddl if s[0] == "event") if self._made is not None else ()
        tables = tuple(sorted((self._asked(t) for t in made.tables), key=lambda t: order.get(t.id, len(order))))
        return dataclasses.replace(made, tables=tables, other_ddl=made.other_ddl + events)

    def _asked(self, table: Table) -> Table:
        """The table; for a source of another family with those indexes that were asked for, since keys bring more along here."""
        if "family" in dict(self._schema.settings) or table.id not in self._schema:
            return table
        made = {(i.columns, False) for i in table.indexes} | {(u.columns, True) for u in table.unique_keys}
        wanted = self._schema.table(table.id).indexes
        return dataclasses.replace(table, indexes=tuple(i for i in wanted if (i.columns, i.unique) in made))

    # --- publishing ----------------------------------------------------------------------------------------------------

    def publish(self) -> None:
        if self._made is None:
            self._session.run("COMMIT")
            self._appending = False
            self.leave()
            return
        if not swap.has_database(self._session, self._database):
            self._session.run(f"CREATE DATABASE {quoted(self._database)}")
        incoming = [t.name for t in self._made.tables] + [n for k, n, _ in self._made.other_ddl if k == "sequence"]
        there, before = swap.tables_of(self._session, self._database), self._present()
        outgoing = [t for t in there if t in self._dropped or not self._in_place]
        incoming = [t for t in incoming if t not in there or t in outgoing]
        triggers = [s for s in before if s[0] == "trigger" and ddl.trigger_table(s[2]) in outgoing]
        in_the_way = [*triggers, *(s for s in before if s[0] == "view" and s[1] in incoming)]
        undo, redo = [sql for _, _, sql in in_the_way], self._rest(before)
        swap.write_journal(self._session, self._database, undo, redo)
        for kind, name, _ in in_the_way:
            self._session.run(f"DROP {kind.upper()} IF EXISTS {quoted(self._database, name)}")
        for kind, name, _ in self._made.other_ddl:
            if kind == "trigger":
                self._session.run(f"DROP TRIGGER IF EXISTS {quoted(self._staging, name)}")
        failed = swap.swap(self._session, self._database, incoming, outgoing, undo, redo)
        self._made = None
        for problem in failed:
            logger.warning("%s: %s", self._database, problem)

    def _rest(self, before: Sequence[Statement]) -> list[str]:
        """What the target needs after its tables: the definitions that it has not, and none that the source has not."""
        assert self._made is not None
        found = []
        settings = dict(self._made.settings)
        if not self._in_place and "collation" in settings:
            found.append(f"ALTER DATABASE {quoted(self._database)} CHARACTER SET {settings['charset']} COLLATE {settings['collation']}")
        wanted = {place: sql for place, sql in self._executed.items() if place[0] in AFTER}  # in an order that has worked
        wanted |= {(k, n): sql for k, n, sql in self._made.other_ddl if k == "event"}
        for kind, name, sql in before:
            if kind in ("trigger", "sequence") or self._in_place:
                continue  # those of the old tables go with them
            if wanted.get((kind, name)) == sql:
                del wanted[kind, name]
            elif kind != "view" or (kind, name) not in wanted:
                found.append(f"DROP {kind.upper()} IF EXISTS {quoted(name)}")
        for table in self._made.tables:
            for column in table.columns:
                if column.default is not None and "nextval(" in column.default.lower():  # which names the staging database now
                    found.append(f"ALTER TABLE {quoted(table.name)} ALTER COLUMN {quoted(column.name)} SET DEFAULT ({column.default})")
        found += [sql.replace("CREATE", "CREATE OR REPLACE", 1) if kind == "view" else sql for (kind, _), sql in wanted.items()]
        return found

    def leave(self) -> None:
        """Takes back what was not published, and completes what was, as far as the server can be reached."""
        self._validator.close()
        if not self._session.is_open:
            return
        with suppress(pymysql.err.MySQLError):
            if self._appending:
                self._session.run("ROLLBACK")
            swap.sweep(self._session, self._database)
        self._appending, self._made = False, None


class _Feed(threading.Thread):
    """Writes batches into a pipe, as LOAD DATA reads them.

    Attributes:
        rows: how many were written.
        error: what stopped it, other than a reader that had enough.
    """

    def __init__(self, descriptor: int, columns: Sequence[Column], batches: Iterator[pa.RecordBatch]) -> None:
        super().__init__(daemon=True)
        self._descriptor, self._columns, self._batches = descriptor, columns, batches
        self.rows = 0
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            with os.fdopen(self._descriptor, "wb", buffering=0) as pipe:
                for batch in self._batches:
                    step = max(1, batch.num_rows * _SLICE_BYTES // max(batch.nbytes, _SLICE_BYTES))
                    for start in range(0, batch.num_rows, step):
                        _write_all(pipe, values.lines(self._columns, batch.slice(start, step)))
                    self.rows += batch.num_rows
        except BrokenPipeError:
            pass
        except BaseException as e:  # it is raised where the export runs
            self.error = e


def _write_all(pipe: IO[bytes], data: pa.Buffer) -> None:
    left = memoryview(data)
    while left:
        left = left[pipe.write(left) :]
