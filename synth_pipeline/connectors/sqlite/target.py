"""Writing a SQLite database: built aside and swapped in, or added to what is there within one transaction.

The statements of the source's catalogue are executed verbatim, so that `sqlite_master` of the copy equals the
original's. What is written where, and with which keys, is decided in `export`.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from synth_pipeline.connectors import local
from synth_pipeline.connectors.base import Violation
from synth_pipeline.connectors.dialects import SQLITE
from synth_pipeline.connectors.sqlite import ddl, files, reflect, values
from synth_pipeline.connectors.sqlite.connector import open_database
from synth_pipeline.connectors.sqlite.spelling import SPELLING
from synth_pipeline.errors import ExportError, SourceError, UnreachableError

if TYPE_CHECKING:
    import pyarrow as pa

    from synth_pipeline.catalog.schema import DatabaseSchema, ForeignKey, Table

_CACHE_KIB = 65_536
_FULL_CHECK_BYTES = 256 * 2**20
_BUSY_SECONDS = 10.0


class SQLiteTarget:
    """A SQLite file to be made, replaced or added to. Symbolic links are followed: the file changes, the link stays."""

    dialect = SQLITE
    spelling = SPELLING
    renamed_kinds = ("index",)
    shared_kinds: tuple[str, ...] = ()

    def __init__(self, path: Path, label: str = "") -> None:
        self.path = Path(os.path.realpath(path))
        self.label = label or f"sqlite:///{path}"

    def is_same(self, source_identity: str) -> bool:
        return local.same_file("sqlite", self.path, source_identity)

    def exists(self) -> bool:
        if self.path.is_dir():
            raise ExportError(f"{self.path} is a folder.", "Give the path of a file.")
        return self.path.exists() and self.path.stat().st_size > 0

    def reflect(self) -> DatabaseSchema:
        with closing(self._present()) as connection:
            return reflect.reflect(connection, values=False)

    def rename(self, sql: str, new_name: Callable[[str], str | None]) -> str:
        return ddl.rename(sql, new_name)

    def _present(self) -> sqlite3.Connection:
        """What lies at the path, its journal rolled back; a file that is no database is never written over."""
        try:
            return open_database(self.path, write=True)
        except (SourceError, UnreachableError) as e:
            remedy = "Remove the file, or choose another path for the export."
            raise ExportError(f"What lies at {self.path} is not written over: {e.problem}", remedy) from e

    def require_writable(self) -> None:
        local.make_folder(self.path)

    @contextmanager
    def load(self, schema: DatabaseSchema, *, in_place: bool) -> Iterator[_Load]:
        with _explained(self.path):
            local.make_folder(self.path)
            if in_place:
                with self._in_place() as load:
                    yield load
            else:
                with self._aside(schema) as load:
                    yield load

    @contextmanager
    def _aside(self, schema: DatabaseSchema) -> Iterator[_Load]:
        existed = self.exists()
        if existed:
            self._present().close()
        staging = local.staging_path(self.path)
        connection = sqlite3.connect(staging, isolation_level=None, check_same_thread=False)

        def publish() -> None:
            connection.close()
            if existed:
                files.replace(staging, self.path)
            else:
                if self.path.exists() and not self.path.stat().st_size:
                    self.path.unlink()
                files.place_new(staging, self.path)

        try:
            settings = dict(schema.settings) if schema.dialect == "sqlite" else {}
            for name in ("page_size", "encoding", "auto_vacuum"):
                if name in settings:
                    connection.execute(f"PRAGMA {name} = {_word(settings[name])}")
            # A crash loses the staging file, and nothing else: it needs no journal of its own.
            connection.executescript(
                f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE; PRAGMA cache_size = -{_CACHE_KIB};"
            )
            connection.execute("PRAGMA foreign_keys = OFF")
            connection.execute("BEGIN")
            yield _Load(connection, publish, settings, aside=True)
        finally:
            connection.close()
            files.remove(staging)

    @contextmanager
    def _in_place(self) -> Iterator[_Load]:
        if self.exists():
            self._present().close()
        connection = sqlite3.connect(self.path, isolation_level=None, timeout=_BUSY_SECONDS, check_same_thread=False)
        try:
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            connection.execute("PRAGMA foreign_keys = OFF")
            connection.execute("BEGIN IMMEDIATE")
            load = _Load(connection, lambda: connection.execute("COMMIT"), {}, aside=False)
            load.hold_triggers()
            yield load
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            connection.close()


class _Load:
    """An export under way, on one connection with one open transaction."""

    def __init__(self, connection: sqlite3.Connection, publish: Callable[[], object], settings: dict[str, str], *, aside: bool) -> None:
        self._connection, self._publish, self._settings, self._aside = connection, publish, settings, aside
        self._held: list[str] = []
        self._unchecked: set[str] = set()

    def hold_triggers(self) -> None:
        """Takes the target's own triggers away until `complete`, so that none fires."""
        found = self._connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY rowid").fetchall()
        for name, sql in found:
            self._connection.execute(f"DROP TRIGGER {SQLITE.quote(name)}")
            self._held.append(sql)

    def create(self, schema: DatabaseSchema) -> list[str]:
        for table in schema.tables:
            if table.ddl is None:
                raise ExportError(f"Table {table.id!r} has no SQLite definition.", "Export to the database family of the source.")
            self._connection.execute(table.ddl)
        lost = []
        for kind, name, sql in schema.other_ddl:
            if kind != "virtual_table":
                continue
            try:
                self._connection.execute(sql)
            except sqlite3.OperationalError as e:
                lost.append(f"The virtual table {name} cannot be made here: {e}.")
        return lost

    def drop(self, tables: Sequence[str]) -> None:
        for name in tables:
            self._connection.execute(f"DROP TABLE IF EXISTS {SQLITE.quote(name)}")

    def insert(self, table: Table, batches: Iterable[pa.RecordBatch]) -> int:
        rows = 0
        for batch in batches:
            if not batch.num_rows:
                continue
            columns = [table.column(n) for n in batch.schema.names]
            names = ", ".join(SQLITE.quote(c.name) for c in columns)
            marks = ", ".join(values.bind_expression(c) for c in columns)
            sql = f"INSERT INTO {SQLITE.quote(table.name)} ({names}) VALUES ({marks})"
            encoded = [values.encode(c, batch.column(i)) for i, c in enumerate(columns)]
            try:
                self._insert(table, sql, encoded)
            except sqlite3.IntegrityError as e:
                raise ExportError(f"Table {table.id!r} cannot be loaded: {e}.", "The synthetic rows break this constraint; sample again.") from e
            rows += batch.num_rows
        return rows

    def _insert(self, table: Table, sql: str, encoded: list[list[object]]) -> None:
        try:
            self._connection.executemany(sql, zip(*encoded, strict=True))
        except sqlite3.OperationalError as e:
            # A CHECK may call a function that only the application registers.
            if "no such function" not in str(e):
                raise
            self._unchecked.add(table.id)
            self._connection.execute("PRAGMA ignore_check_constraints = ON")
            try:
                self._connection.executemany(sql, zip(*encoded, strict=True))
            finally:
                self._connection.execute("PRAGMA ignore_check_constraints = OFF")

    def highest(self, table: str, column: str) -> int | None:
        quoted = SQLITE.quote(column)
        found = self._connection.execute(f"SELECT max({quoted}) FROM {SQLITE.quote(table)} WHERE typeof({quoted}) = 'integer'").fetchone()[0]
        return None if found is None else int(found)

    def taken(self, table: Table, columns: Sequence[str], batches: Iterable[pa.RecordBatch]) -> bool:
        key = [table.column(c) for c in columns]
        test = " AND ".join(f"{SQLITE.quote(c.name)} = {values.bind_expression(c)}" for c in key)
        sql = f"SELECT 1 FROM {SQLITE.quote(table.name)} WHERE {test} LIMIT 1"
        for batch in batches:
            encoded = [values.encode(c, batch.column(c.name)) for c in key]
            if any(self._connection.execute(sql, row).fetchone() for row in zip(*encoded, strict=True) if None not in row):
                return True
        return False

    def complete(self, schema: DatabaseSchema) -> list[str]:
        lost = [f"The CHECKs of {t} call a function that SQLite does not have here: they could not be tested." for t in sorted(self._unchecked)]
        for kind in ("index", "view", "trigger"):
            for found, name, sql in schema.other_ddl:
                if found == kind:
                    self._statement(kind, name, sql)
        for sql in self._held:
            self._connection.execute(sql)
        for kind, name, sql in schema.other_ddl:
            if kind == "virtual_table" and _has_external_content(sql):
                self._rebuild(name, lost)
        if ("table", "sqlite_stat1") in schema.object_order:
            self._connection.execute("ANALYZE")
        for name in ("user_version", "application_id"):
            if name in self._settings:
                self._connection.execute(f"PRAGMA {name} = {int(self._settings[name])}")
        if self._aside:
            self._order(schema)
        return lost

    def _statement(self, kind: str, name: str, sql: str) -> None:
        try:
            self._connection.execute(sql)
        except sqlite3.IntegrityError as e:
            raise ExportError(f"The {kind} {name} cannot be made: {e}.", "The synthetic rows break this constraint; sample again.") from e
        except sqlite3.OperationalError as e:
            if getattr(e, "sqlite_errorcode", 0) != sqlite3.SQLITE_ERROR:
                raise
            raise ExportError(f"The {kind} {name} cannot be made: {e}.", "Remove it from the source, or export with a SQLite that has it.") from e

    def _rebuild(self, name: str, lost: list[str]) -> None:
        quoted = SQLITE.quote(name)
        try:
            self._connection.execute(f"INSERT INTO {quoted}({quoted}) VALUES ('rebuild')")
        except sqlite3.OperationalError as e:
            lost.append(f"The index of the virtual table {name} was not rebuilt: {e}.")

    def _order(self, schema: DatabaseSchema) -> None:
        """Gives the catalogue the order of the original: indexes and triggers came after the load, not after their tables."""
        wanted = {pair: i for i, pair in enumerate(schema.object_order)}
        rows = self._connection.execute("SELECT rowid, type, name FROM sqlite_master ORDER BY rowid").fetchall()
        ordered = sorted(rows, key=lambda r: wanted.get((r[1], r[2]), len(wanted)))
        if ordered == rows:
            return
        offset = max(r[0] for r in rows) + len(rows)
        self._connection.execute("PRAGMA writable_schema = ON")
        try:
            for place, (rowid, _, _) in enumerate(ordered, 1):
                self._connection.execute("UPDATE sqlite_master SET rowid = ? WHERE rowid = ?", (offset + place, rowid))
            self._connection.execute("UPDATE sqlite_master SET rowid = rowid - ?", (offset,))
        finally:
            self._connection.execute("PRAGMA writable_schema = OFF")

    def violations(self, schema: DatabaseSchema) -> list[Violation]:
        """Anti-joins for the foreign keys, and SQLite's own check of the file.

        Raises:
            ExportError: the file itself is damaged, or a row breaks a NOT NULL or CHECK constraint.
        """
        pages = self._connection.execute("PRAGMA page_count").fetchone()[0] * self._connection.execute("PRAGMA page_size").fetchone()[0]
        check = "integrity_check" if pages <= _FULL_CHECK_BYTES and not self._unchecked else "quick_check"
        problem = "ok" if self._unchecked else self._connection.execute(f"PRAGMA {check}(1)").fetchone()[0]
        if problem != "ok":
            raise ExportError(f"The database that was built does not pass SQLite's {check}: {problem}.", "Run the export again.")
        try:
            if self._connection.execute("PRAGMA foreign_key_check").fetchone() is None:
                return []
        except sqlite3.OperationalError:
            pass  # a key that SQLite itself cannot enforce ("foreign key mismatch"): the others are looked at one by one
        found = [Violation(fk.id, fk.table, self._dangling(schema, fk)) for fk in schema.foreign_keys if fk.declared]
        return [v for v in found if v.rows]

    def _dangling(self, schema: DatabaseSchema, fk: ForeignKey) -> int:
        q = SQLITE.quote
        child, parent = q(schema.table(fk.table).name), q(schema.table(fk.parent).name)
        filled = " AND ".join(f"c.{q(a)} IS NOT NULL" for a in fk.columns)
        match = " AND ".join(f"p.{q(b)} = c.{q(a)}" for a, b in zip(fk.columns, fk.parent_columns, strict=True))
        sql = f"SELECT count(*) FROM {child} c WHERE {filled} AND NOT EXISTS (SELECT 1 FROM {parent} p WHERE {match})"
        return int(self._connection.execute(sql).fetchone()[0])

    def count(self, table: str) -> int:
        return int(self._connection.execute(f"SELECT count(*) FROM {SQLITE.quote(table)}").fetchone()[0])

    def reflect(self) -> DatabaseSchema:
        return reflect.reflect(self._connection, values=False)

    def publish(self) -> None:
        if self._aside:
            self._connection.execute("COMMIT")
            self._connection.execute("PRAGMA locking_mode = NORMAL")
            self._connection.execute(f"PRAGMA journal_mode = {'WAL' if self._settings.get('journal_mode') == 'wal' else 'DELETE'}")
        self._publish()


def _has_external_content(sql: str) -> bool:
    tokens = ddl.tokenize(sql)
    named = any(t.is_word("USING") and tokens[i + 1].is_word("FTS4", "FTS5") for i, t in enumerate(tokens[:-1]))
    sources = [tokens[i + 2].name for i, t in enumerate(tokens[:-2]) if t.is_word("CONTENT") and tokens[i + 1].text == "="]
    return named and any(sources)


def _word(setting: str) -> str:
    return setting if setting.isdigit() else f"'{setting}'"


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turns what the operating system or SQLite say while writing into one clear line."""
    untouched = "Nothing was changed. Free some space, or choose another path for the export."
    try:
        yield
    except sqlite3.OperationalError as e:
        code = getattr(e, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
            raise ExportError(f"{path} cannot be written: {e}.", untouched) from e
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise ExportError(f"Another program is using {path}.", "Close it, or choose another path for the export.") from e
        raise ExportError(f"{path} cannot be written: {e}.", "Check its folder and permissions.") from e
    except sqlite3.DatabaseError as e:
        raise ExportError(f"{path} cannot be written: {e}.", "Check what lies there with `PRAGMA integrity_check`.") from e
    except OSError as e:
        raise ExportError(f"{path} cannot be written: {e.strerror or e}.", untouched) from e
