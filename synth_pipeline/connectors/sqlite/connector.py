"""Reading a SQLite database: opened read-only by URI, reflected, sampled, and streamed to Arrow under one snapshot.

A snapshot is a read transaction. Where the file has a rollback journal, nothing can be committed while it lasts, so each
thread reads on a connection of its own; in WAL mode all take turns on one (SQLite is built serialized). Writing belongs to
`target`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from synth_pipeline.connectors.base import BATCH_ROWS, PROFILE_ROWS, Inclusion, TableProfile, When, bound
from synth_pipeline.connectors.dialects import SQLITE
from synth_pipeline.connectors.local import file_identity
from synth_pipeline.connectors.sqlite import reflect, values
from synth_pipeline.errors import SourceError, UnreachableError

if TYPE_CHECKING:
    import pyarrow as pa

    from synth_pipeline.catalog.schema import Column, DatabaseSchema, Table

logger = logging.getLogger(__name__)

OLDEST = (3, 37, 0)
"""PRAGMA table_list, and STRICT tables."""
_RANKED_ROWS = 200_000


def open_database(path: Path, *, write: bool = False) -> sqlite3.Connection:
    """A connection to a database that exists; unless `write`, one that cannot change it.

    Raises:
        UnreachableError: there is no such file, or it cannot be opened now.
        SourceError: it is not a SQLite database.
    """
    if not path.is_file():
        raise UnreachableError(f"There is no database file {path}.", "Check the path in the URL; a relative one starts at the working directory.")
    try:
        connection = _connect(path, "rw" if write else "ro")
    except sqlite3.OperationalError as e:
        raise UnreachableError(f"The database file {path} cannot be opened: {e}.", "Check that it may be read.") from e
    connection.create_function("text_number", 1, _text_number, deterministic=True)
    try:
        if not write:
            connection.execute("PRAGMA query_only = ON")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.DatabaseError as e:
        connection.close()
        code = getattr(e, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_READONLY:
            remedy = "Open it once with its own application, which rolls that transaction back."
            raise UnreachableError(f"The database file {path} holds an unfinished transaction of a program that crashed.", remedy) from e
        if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PERM):
            raise UnreachableError(f"The database file {path} cannot be opened: {e}.", "Check that it and its folder may be read.") from e
        raise SourceError(f"The file {path} is not a SQLite database ({e}).", "Give the path of a SQLite database file.") from e
    return connection


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    options = f"mode={mode}"
    if mode == "ro" and not os.access(path.parent, os.W_OK) and not Path(f"{path}-wal").exists():
        options += "&immutable=1"  # a database in WAL mode cannot be opened where its shared memory file cannot be made
    uri = f"file:{quote(str(path.absolute()))}?{options}"
    return sqlite3.connect(uri, uri=True, check_same_thread=False, isolation_level=None, timeout=30)


def _text_number(text: str | None) -> int | None:
    """The dialect's `text_number`: the first 15 hexadecimal digits of the MD5."""
    return None if text is None else int(hashlib.md5(str(text).encode(), usedforsecurity=False).hexdigest()[:15], 16)


class SQLiteConnector:
    """A SQLite database file."""

    dialect = SQLITE

    def __init__(self, path: Path, label: str = "") -> None:
        if sqlite3.sqlite_version_info < OLDEST:
            raise SourceError(f"SQLite {sqlite3.sqlite_version} is too old.", "Use a Python with SQLite 3.37 or newer.")
        self.path = path
        self.label = label or f"sqlite:///{path}"
        self._connection = open_database(path)

    def identity(self) -> str:
        return file_identity("sqlite", self.path)

    def reflect(self, *, values: bool = True) -> DatabaseSchema:
        """All tables; with `values` False by their declarations alone, which is fast but cannot be used to read rows."""
        try:
            return reflect.reflect(self._connection, values=values)
        except sqlite3.DatabaseError as e:
            raise _unreadable(f"The database {self.label}", e) from None

    def profile(self, table: Table, rows: int = PROFILE_ROWS) -> TableProfile:
        import pyarrow as pa

        count = reflect.row_estimate(self._connection, table)
        tail: str = ""
        params: list[Any] = []
        if count > rows:
            tail, params = self._spread(table, rows, count)
        batches = list(_Snapshot(self._connection).rows(table, tail=tail, params=params))
        empty = [_batch(table.stored_columns, [()] * len(table.stored_columns), Counter())]
        sample = pa.Table.from_batches(batches or empty).slice(0, rows)
        return TableProfile(table.id, count, sample)

    def _spread(self, table: Table, rows: int, count: int) -> tuple[str, list[Any]]:
        """A tail that picks rows at even distances: of the rank in smaller tables, of the rowid in larger ones.

        Tables WITHOUT ROWID have no numbers to jump to: of a larger one the first rows by key are looked at.
        """
        source, rowid = self.dialect.quote(table.name), reflect.rowid_name(table)
        if rowid is None:
            key = ", ".join(self.dialect.quote(c) for c in table.primary_key)
            seen = min(count, _RANKED_ROWS)
            ranked = f"SELECT {key}, row_number() OVER (ORDER BY {key}) AS n FROM {source} ORDER BY {key} LIMIT {seen}"
            return f"WHERE ({key}) IN (SELECT {key} FROM ({ranked}) WHERE n * {rows} / {seen} <> (n - 1) * {rows} / {seen})", []
        if count <= _RANKED_ROWS:
            ids = [i for (i,) in self._connection.execute(f"SELECT {rowid} FROM {source} ORDER BY {rowid}")]
            picked = [ids[k * len(ids) // rows] for k in range(rows)]
            return f"WHERE t.{rowid} IN (SELECT value FROM json_each(?)) ORDER BY t.{rowid}", [json.dumps(picked)]
        low, high = reflect.rowid_range(self._connection, table)
        picked = [low + k * (high - low) // rows for k in range(rows)]
        nearest = f"(SELECT min(x.{rowid}) FROM {source} x WHERE x.{rowid} >= value)"
        return f"WHERE t.{rowid} IN (SELECT {nearest} FROM json_each(?)) ORDER BY t.{rowid}", [json.dumps(picked)]

    def inclusion(
        self, child: Table, columns: Sequence[str], parent: Table, parent_columns: Sequence[str], limit: int = 10_000, when: When | None = None
    ) -> Inclusion:  # fmt: skip
        q = self.dialect.quote
        names = [q(c) for c in columns]
        conditions = [*(f"{n} IS NOT NULL" for n in names), *([f"{q(when[0])} = ?"] if when else [])]
        distinct = f"SELECT DISTINCT {', '.join(names)} FROM {q(child.name)} WHERE {' AND '.join(conditions)} LIMIT {int(limit)}"
        targets = f"SELECT {', '.join(q(c) for c in parent_columns)} FROM {q(parent.name)}"
        key = names[0] if len(names) == 1 else f"({', '.join(names)})"
        sql = f"SELECT count(*), total(coalesce({key} IN ({targets}), 0)) FROM ({distinct})"
        tested, found = self._connection.execute(sql, [bound(child, when)] if when else []).fetchone()
        return Inclusion(int(tested), int(found))

    def members(self, table: Table, column: str, limit: int) -> list[str] | None:
        name = self.dialect.quote(column)
        sql = f"SELECT DISTINCT {name} FROM {self.dialect.quote(table.name)} WHERE {name} IS NOT NULL LIMIT {int(limit) + 1}"
        found = [str(value) for (value,) in self._connection.execute(sql)]
        return found if len(found) <= limit else None

    def is_unique(self, table: Table, columns: Sequence[str]) -> bool:
        return reflect.is_unique(self._connection, table.name, tuple(columns))

    @contextmanager
    def snapshot(self) -> Iterator[_Snapshot]:
        connection = open_database(self.path)
        try:
            connection.execute("BEGIN")
            connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()  # the read lock is taken by the first read
            snapshot = _Snapshot(connection, self.path)
            try:
                yield snapshot
            finally:
                snapshot.close()
        finally:
            connection.close()

    def close(self) -> None:
        self._connection.close()


class _Snapshot:
    """One read transaction, over a connection per thread where `path` is given and its journal allows it."""

    concurrent = True

    def __init__(self, connection: sqlite3.Connection, path: Path | None = None) -> None:
        self._connection = connection
        self._path = path if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal" else None
        self._of_thread = {threading.get_ident(): connection}

    def _own(self) -> sqlite3.Connection:
        """This thread's connection; the first one where a waiting writer lets no more begin."""
        thread = threading.get_ident()
        if thread not in self._of_thread and self._path is not None:
            try:
                connection = open_database(self._path)
                connection.execute("PRAGMA busy_timeout = 0")
                connection.execute("BEGIN")
                connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
            except (sqlite3.OperationalError, UnreachableError):
                connection = self._connection
            self._of_thread[thread] = connection
        return self._of_thread.get(thread, self._connection)

    def close(self) -> None:
        """Closes what `_own` opened."""
        for connection in self._of_thread.values():
            if connection is not self._connection:
                connection.close()

    def rows(
        self, table: Table, columns: Sequence[str] | None = None, *, tail: str = "", params: Sequence[Any] = (), batch: int = BATCH_ROWS
    ) -> Iterator[pa.RecordBatch]:
        """Streams rows of the table; see the protocol.

        A value that does not conform to the column's form becomes NULL; how many is logged once per column.

        Raises:
            SourceError: such a value lies in a column that is NOT NULL, or the file is damaged.
        """
        wanted = table.stored_columns if columns is None else tuple(table.column(c) for c in columns)
        expressions = ", ".join(values.select_expression(c, f"t.{SQLITE.quote(c.name)}") for c in wanted)
        lost: Counter[str] = Counter()
        try:
            cursor = self._execute(f"SELECT {expressions or 'NULL'} FROM {SQLITE.quote(table.name)} AS t {tail}", params)
            while fetched := cursor.fetchmany(batch):
                yield _batch(wanted, list(zip(*fetched, strict=True))[: len(wanted)], lost)
        except sqlite3.DatabaseError as e:
            raise _unreadable(f"Table {table.id!r}", e) from None
        for name, count in lost.items():
            if not table.column(name).nullable:
                raise SourceError(
                    f"{count} values of {table.id}.{name} do not conform to its form {table.column(name).storage or table.column(name).native_type}.",
                    "Correct them in the source, or exclude the table.",
                )
            logger.warning("%s.%s: %d values do not conform to the column's form and were read as NULL", table.id, name, count)

    def select(self, sql: str, params: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        yield from self._execute(sql, params)

    def _execute(self, sql: str, params: Sequence[Any]) -> sqlite3.Cursor:
        return self._own().execute(sql, tuple(params))


def _unreadable(what: str, error: sqlite3.DatabaseError) -> SourceError:
    if "UTF-8" in str(error):  # sqlite3 repeats the text that it cannot decode, which may be anybody's
        return SourceError(f"{what} holds text that is not UTF-8.", "Correct it in the source, or exclude the table.")
    return SourceError(f"{what} cannot be read: {error}.", "Check the file with `PRAGMA integrity_check`.")


def _batch(columns: Sequence[Column], fetched: Sequence[Sequence[Any]], lost: Counter[str]) -> pa.RecordBatch:
    import pyarrow as pa

    arrays = []
    for column, stored in zip(columns, fetched, strict=True):
        array = values.decode(column, stored)
        missing = array.null_count - sum(v is None for v in stored) if array.null_count else 0
        if missing > 0 and column.storage != "literal":
            lost[column.name] += missing
        arrays.append(array)
    return pa.RecordBatch.from_arrays(arrays, names=[c.name for c in columns])
