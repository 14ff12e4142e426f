"""One export into a PostgreSQL database: a single transaction, in which the old schemas only step aside.

Data definition is transactional, so the build needs no other names: what is there is renamed, the new schemas are made
under their own names with the source's own statements, and whoever reads sees the old until the commit and the new after
it. No lock is held on anything that others read. The old schemas are dropped afterwards, when nobody uses them. A process
that dies leaves nothing.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import psycopg

from synth_pipeline.connectors.base import Violation
from synth_pipeline.connectors.dialects import POSTGRESQL
from synth_pipeline.connectors.postgresql import catalog, definitions, reflect, values
from synth_pipeline.connectors.postgresql.schemas import MOVED, of
from synth_pipeline.connectors.postgresql.session import Connection, quoted, refusal
from synth_pipeline.connectors.postgresql.validity import STRICT, Validator
from synth_pipeline.errors import ExportError

if TYPE_CHECKING:
    import pyarrow as pa

    from synth_pipeline.catalog.schema import Column, DatabaseSchema, ForeignKey, Table

logger = logging.getLogger(__name__)

Statement = tuple[str, str, str]

BEFORE = ("schema", "extension", "type", "function", "sequence", "table", "partition")
"""Kinds of definitions that rows need, in their usual order; all others come after the rows."""
_NOT_YET = (
    psycopg.errors.UndefinedTable, psycopg.errors.UndefinedObject, psycopg.errors.UndefinedFunction, psycopg.errors.UndefinedColumn,
    psycopg.errors.InvalidSchemaName, psycopg.errors.InvalidObjectDefinition,
)  # fmt: skip
"""What the server says of a statement that needs another one first."""
_THERE = (psycopg.errors.DuplicateObject, psycopg.errors.DuplicateFunction, psycopg.errors.DuplicateTable, psycopg.errors.DuplicateSchema)
_SHARED = ("schema", "extension", "type", "function", "sequence")
_GRACE_SECONDS = 10.0
_HELD = """
    SELECT 1 FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid = l.relation JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %s AND l.pid <> pg_backend_pid() AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
    LIMIT 1
"""


def sweep(connection: Connection) -> None:
    """Drops what earlier exports have put aside and could not drop."""
    like = reflect.DISCARDED.replace("_", "\\_") + "%"
    for (name,) in connection.execute("SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname LIKE %s", [like]).fetchall():
        _discard(connection, str(name))


def _discard(connection: Connection, schema: str) -> None:
    """Drops a schema as soon as nobody reads from it; leaves it where somebody does not stop."""
    # A lock is given up before the server would look for a deadlock, and so before a reader could be its victim.
    connection.execute("SET lock_timeout = '200ms'")
    deadline = time.monotonic() + _GRACE_SECONDS
    try:
        while time.monotonic() < deadline:
            if connection.execute(_HELD, [schema]).fetchone() is None:
                with suppress(psycopg.errors.LockNotAvailable):
                    connection.execute(f"DROP SCHEMA IF EXISTS {quoted(schema)} CASCADE".encode())
                    return
            time.sleep(0.1)
        logger.warning("%s is still in use; the next export drops it", schema)
    except psycopg.errors.InsufficientPrivilege:
        logger.warning("%s belongs to another role; it is left", schema)
    finally:
        connection.execute("SET lock_timeout = 0")


class PostgreSQLLoad:
    """An export under way, on one connection with one open transaction.

    Attributes:
        published: whether it was committed.
    """

    def __init__(self, connection: Connection, schema: DatabaseSchema, *, in_place: bool) -> None:
        self.published = False
        self._in_place = in_place
        self._connection, self._schema = connection, schema
        self._schemas = list(of(schema))
        self._aside: list[str] = []
        self._late: list[Statement] = []
        self._grants: list[str] = []
        self._restore: list[str] = []
        self._validator = Validator(connection)

    # --- making --------------------------------------------------------------------------------------------------------

    def create(self, schema: DatabaseSchema) -> list[str]:
        lost = self._versions(schema)
        if not self._in_place:
            self._step_aside()
        pool: list[Statement] = [s for s in schema.other_ddl if s[0] in BEFORE and not (s[0] == "schema" and self._has_schema(s[1]))]
        for table in schema.tables:
            if table.ddl is None:
                raise ExportError(f"Table {table.id!r} has no PostgreSQL definition.", "Export to the database family of the source.")
            pool.append(("table", table.id, table.ddl))
        order = {kind: i for i, kind in enumerate(BEFORE)}
        pool.sort(key=lambda s: order[s[0]])
        self._late = self._make([s for s in pool if not self._optional(s, lost)])
        missing = [s for s in self._late if s[0] != "function"]
        if missing:
            self._refuse(missing[0])
        for owner in (v for n, v in schema.settings if n == "owner"):
            name, _, role = owner.partition("=")
            if role == "pg_database_owner":
                self._try(f"ALTER SCHEMA {quoted(name)} OWNER TO pg_database_owner")
        return lost

    def _versions(self, schema: DatabaseSchema) -> list[str]:
        here, there = self._connection.info.server_version // 10_000, (schema.server_version or "").split(".")[0]
        if there in ("", str(here)):
            return []
        return [f"The source is PostgreSQL {there} and the target {here}, which spell definitions differently: they were not compared."]

    def _optional(self, statement: Statement, lost: list[str]) -> bool:
        """Makes an extension; where the server does not have it or the role may not, that is a loss and no failure."""
        kind, name, sql = statement
        if kind != "extension":
            return False
        try:
            with self._connection.transaction():
                self._connection.execute(sql.encode())
        except psycopg.errors.InvalidSchemaName:
            return False
        except psycopg.Error as e:
            lost.append(f"The extension {name} cannot be made: {refusal(e)}.")
        return True

    def _has_schema(self, name: str) -> bool:
        return self._connection.execute("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = %s", [name]).fetchone() is not None

    def _step_aside(self) -> None:
        """Renames the schemas that are there and hold something."""
        sql = """
            SELECT n.nspname, n.oid, pg_get_userbyid(n.nspowner) FROM pg_catalog.pg_namespace n WHERE n.nspname = ANY(%s) AND (
                EXISTS (SELECT 1 FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid)
                OR EXISTS (SELECT 1 FROM pg_catalog.pg_proc p WHERE p.pronamespace = n.oid)
                OR EXISTS (SELECT 1 FROM pg_catalog.pg_type t WHERE t.typnamespace = n.oid))
        """
        found = self._connection.execute(sql, [self._schemas]).fetchall()
        oids = [oid for _, oid, _ in found]
        outside = catalog.ask(self._connection, "from_outside", oids)
        if outside:
            problem = f"{outside[0].what}, in a schema that is not replaced, depends on what is replaced"
            raise ExportError(f"{problem}.", "Drop it, or choose another database for the export.")
        self._grants = definitions.grants(catalog.ask(self._connection, "grants", oids), catalog.ask(self._connection, "closed", oids))
        for name, oid, owner in found:
            aside = f"{reflect.DISCARDED}{name[:30]}_{oid}"
            self._connection.execute(f"ALTER SCHEMA {quoted(name)} RENAME TO {quoted(aside)}".encode())
            self._connection.execute(f"CREATE SCHEMA {quoted(name)}".encode())
            self._try(f"ALTER SCHEMA {quoted(name)} OWNER TO {quoted(owner)}")
            self._move_extensions(oid, name)
            self._aside.append(aside)

    def _move_extensions(self, oid: int, schema: str) -> None:
        for extension, relocatable in self._connection.execute(
            "SELECT extname, extrelocatable FROM pg_catalog.pg_extension WHERE extnamespace = %s", [oid]
        ).fetchall():
            if not relocatable or not self._try(f"ALTER EXTENSION {quoted(extension)} SET SCHEMA {quoted(schema)}"):
                reason = "this role may not move it" if relocatable else "it cannot be moved"
                problem = f"The extension {extension} lies in the schema {schema} of the target, which is to be replaced, and {reason}."
                raise ExportError(problem, "Use a superuser, install the extension in a schema of its own, or drop the target first.")

    def _make(self, pool: Sequence[Statement]) -> list[Statement]:
        """Executes statements, those again that needed a later one; returns what still cannot be made."""
        pending = list(pool)
        while pending:
            left = []
            for statement in pending:
                try:
                    with self._connection.transaction():
                        # What the target has of its own is not written over.
                        sql = statement[2].replace("CREATE OR REPLACE", "CREATE", 1) if self._in_place else statement[2]
                        self._connection.execute(sql.encode())
                except _NOT_YET:
                    left.append(statement)
                except _THERE as e:
                    if not self._in_place or statement[0] not in _SHARED:
                        self._refuse(statement, e)
                except psycopg.Error as e:
                    self._refuse(statement, e)
            if len(left) == len(pending):
                break
            pending = left
        return pending

    def _refuse(self, statement: Statement, error: psycopg.Error | None = None) -> None:
        kind, name, sql = statement
        if error is None:
            try:
                with self._connection.transaction():
                    self._connection.execute(sql.encode())
            except psycopg.Error as e:
                error = e
        what = f"The {kind.replace('_', ' ')} {name} cannot be made"
        broken = isinstance(error, psycopg.errors.IntegrityError)
        remedy = "The synthetic rows break this constraint; sample again." if broken else "Check what the role of the target may do."
        raise ExportError(f"{what}: {refusal(error) if error else 'it depends on something that is missing'}.", remedy) from None

    def _try(self, sql: str) -> bool:
        try:
            with self._connection.transaction():
                self._connection.execute(sql.encode())
            return True
        except psycopg.Error:
            return False

    def drop(self, tables: Sequence[str]) -> None:
        if tables:
            self._restore.clear()
            listed = ", ".join(POSTGRESQL.qualified(self._schema.table(t)) for t in tables)
            self._connection.execute(f"DROP TABLE IF EXISTS {listed}".encode())

    # --- rows ----------------------------------------------------------------------------------------------------------

    def insert(self, table: Table, batches: Iterable[pa.RecordBatch]) -> int:
        filled = (b for b in batches if b.num_rows)
        first = next(filled, None)
        if first is None:
            return 0
        replaced: Counter[str] = Counter()
        try:
            rows = self._copy(POSTGRESQL.qualified(table), table, first, filled, replaced)
        except (psycopg.errors.IntegrityError, psycopg.errors.DataError) as e:
            remedy = "The synthetic rows break this constraint; sample again."
            raise ExportError(f"Table {table.id!r} cannot be loaded: {refusal(e)}.", remedy) from None
        for column, count in replaced.items():
            logger.warning("%s.%s: %d values are none of its type and were replaced", table.id, column, count)
        return rows

    def _copy(
        self, name: str, table: Table, first: pa.RecordBatch, more: Iterator[pa.RecordBatch], replaced: Counter[str] | None = None
    ) -> int:  # fmt: skip
        """One COPY per batch where the server is asked for values in between, else one for all."""
        columns = [table.column(n) for n in first.schema.names]
        listed = ", ".join(quoted(c.name) for c in columns)
        sql = f"COPY {name} ({listed}) FROM STDIN (FORMAT csv)".encode()
        batches = itertools.chain([first], more)
        rows = 0
        if replaced is not None and any(c.type.kind in STRICT for c in columns):
            for batch in batches:
                checked = self._repaired(columns, batch, replaced)
                with self._connection.cursor() as cursor, cursor.copy(sql) as copy:
                    copy.write(memoryview(values.encode(columns, checked)))
                rows += batch.num_rows
            return rows
        with self._connection.cursor() as cursor, cursor.copy(sql) as copy:
            for batch in batches:
                copy.write(memoryview(values.encode(columns, batch)))
                rows += batch.num_rows
        return rows

    def _repaired(self, columns: Sequence[Column], batch: pa.RecordBatch, replaced: Counter[str]) -> pa.RecordBatch:
        for i, column in enumerate(columns):
            if column.type.kind in STRICT:
                array, count = self._validator.repair(column, batch.column(i))
                if count:
                    batch = batch.set_column(i, column.name, array)
                    replaced[column.name] += count
        return batch

    def highest(self, table: str, column: str) -> int | None:
        found = self._connection.execute(f"SELECT max({quoted(column)}) FROM {self._name(table)}".encode()).fetchone()
        return None if found is None or found[0] is None else int(found[0])

    def taken(self, table: Table, columns: Sequence[str], batches: Iterable[pa.RecordBatch]) -> bool:
        key = ", ".join(quoted(c) for c in columns)
        name = POSTGRESQL.qualified(table)
        self._connection.execute("DROP TABLE IF EXISTS pg_temp.synth_keys")
        self._connection.execute(f"CREATE TEMPORARY TABLE synth_keys ON COMMIT DROP AS SELECT {key} FROM {name} WITH NO DATA".encode())
        keys = (b.select(list(columns)) for b in batches if b.num_rows)
        first = next(keys, None)
        if first is None:
            return False
        self._copy("pg_temp.synth_keys", table, first, keys)
        same = " AND ".join(f"k.{quoted(c)} = t.{quoted(c)}" for c in columns)
        found = self._connection.execute(f"SELECT EXISTS (SELECT 1 FROM pg_temp.synth_keys k JOIN {name} t ON {same})".encode()).fetchone()
        return bool(found and found[0])

    def _name(self, table: str) -> str:
        return POSTGRESQL.relation(self._schema.table(table))

    def hold_triggers(self) -> None:
        """For rows that are added: silences the target's triggers, and puts off what foreign keys in a cycle ask for."""
        for table in self._schema.tables:
            name = POSTGRESQL.qualified(table)
            sql = "SELECT tgname, tgenabled FROM pg_catalog.pg_trigger WHERE tgrelid = to_regclass(%s) AND NOT tgisinternal AND tgenabled <> 'D'"
            for trigger, state in self._connection.execute(sql, [name]).fetchall():
                self._connection.execute(f"ALTER TABLE {name} DISABLE TRIGGER {quoted(trigger)}".encode())
                word = {"R": "ENABLE REPLICA", "A": "ENABLE ALWAYS"}.get(str(state), "ENABLE")
                self._restore.append(f"ALTER TABLE {name} {word} TRIGGER {quoted(trigger)}")
        for fk in self._cyclic():
            name, key = POSTGRESQL.qualified(self._schema.table(fk.table)), quoted(fk.id.removeprefix(f"{fk.table}."))
            if not fk.deferrable and self._try(f"ALTER TABLE {name} ALTER CONSTRAINT {key} DEFERRABLE INITIALLY DEFERRED"):
                self._restore.append(f"ALTER TABLE {name} ALTER CONSTRAINT {key} NOT DEFERRABLE")
        self._connection.execute("SET CONSTRAINTS ALL DEFERRED")

    def _cyclic(self) -> list[ForeignKey]:
        groups = [set(level) for level in self._schema.levels() if len(level) > 1]
        return [f for f in self._schema.foreign_keys if f.declared and any({f.table, f.parent} <= g for g in groups)]

    # --- finishing -----------------------------------------------------------------------------------------------------

    def complete(self, schema: DatabaseSchema) -> list[str]:
        lost: list[str] = []
        if schema.other_ddl:
            left = self._make([*self._late, *(s for s in schema.other_ddl if s[0] not in BEFORE)])
            for statement in left:
                if not self._in_place or statement[0] != "function":
                    self._refuse(statement)
                lost.append(f"The function {statement[1]} is left out: it needs something that the target does not have.")
            if not self._in_place:
                if any(name == MOVED for name, _ in schema.settings):
                    self._require_apart()
                self._continue(schema)
                self._grant([v for n, v in schema.settings if n == "grant"])
        else:
            self._connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for sql in self._restore:
            self._connection.execute(sql.encode())
        self._reset_sequences()
        names = ", ".join(POSTGRESQL.qualified(t) for t in schema.tables)
        if names:
            self._connection.execute(f"ANALYZE {names}".encode())
        return lost

    def _require_apart(self) -> None:
        """Refuses what would show or change rows of schemas that are not exported, such as the source's own in the same database."""
        sql = "SELECT array_agg(oid::bigint) FROM pg_catalog.pg_namespace WHERE nspname = ANY(%s)"
        oids = self._connection.execute(sql, [self._schemas]).fetchone() or ([],)
        for row in catalog.ask(self._connection, "into_others", oids[0]):
            remedy = "Read and export that schema, too, or export to another database."
            raise ExportError(f"The {row.what} of the copy would use the {row.other}, which is not part of it.", remedy)

    def _continue(self, schema: DatabaseSchema) -> None:
        """Sets sequences that serve no column to where the source's are."""
        for place in (v for n, v in schema.settings if n == "position"):
            name, _, position = place.rpartition("=")
            self._connection.execute("SELECT pg_catalog.setval(to_regclass(%s), %s) WHERE to_regclass(%s) IS NOT NULL", [name, int(position), name])

    def _grant(self, wanted: list[str]) -> None:
        """Gives the source's privileges, and those that the target's own administrators had given; roles may be missing."""
        refused = [sql for sql in dict.fromkeys([*wanted, *self._grants]) if not self._try(sql)]
        if refused:
            logger.warning("%d grants were left out: their roles or objects are not in the target", len(refused))

    def _reset_sequences(self) -> None:
        """Sets every sequence to the highest value of the columns that it serves; one that serves none has gone on as in the source."""
        for owner in reflect.sequences(self._connection, self._schemas):
            parts = [f"(SELECT max({quoted(c)})::bigint FROM {quoted(s, t)})" for s, t, c in owner.columns]
            name = quoted(owner.schema, owner.name)
            sql = f"""
                SELECT pg_catalog.setval('{name.replace("'", "''")}'::regclass, m) FROM (SELECT greatest({", ".join(parts)}) AS m) x,
                    pg_catalog.pg_sequence s WHERE s.seqrelid = '{name.replace("'", "''")}'::regclass AND m BETWEEN s.seqmin AND s.seqmax
            """
            self._connection.execute(sql.encode())

    def violations(self, schema: DatabaseSchema) -> list[Violation]:
        """None: the server itself has checked every foreign key when it was added, or when rows were."""
        return []

    def count(self, table: str) -> int:
        found = self._connection.execute(f"SELECT count(*) FROM {self._name(table)}".encode()).fetchone()
        return int(found[0]) if found else 0

    def reflect(self) -> DatabaseSchema:
        """What has been made, its tables in the order that was asked for."""
        made = reflect.reflect(self._connection, self._schemas)
        order = {t: i for i, t in enumerate(self._schema.table_ids)}
        return dataclasses.replace(made, tables=tuple(sorted(made.tables, key=lambda t: order.get(t.id, len(order)))))

    def publish(self) -> None:
        self._connection.execute("COMMIT")
        self.published = True
        for schema in self._aside:
            _discard(self._connection, schema)
