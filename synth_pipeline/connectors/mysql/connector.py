"""Reading a MySQL or MariaDB database: reflected, sampled, and streamed to Arrow under one snapshot.

A snapshot is a REPEATABLE READ, READ ONLY transaction on one connection, since others cannot join it. A connection carries
one stream at a time: where another statement comes in between, what is left of the stream waits in a temporary file.
Nothing but SELECT is needed. Writing belongs to `target`.
"""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import pymysql

from synth_pipeline.connectors.base import BATCH_ROWS, PROFILE_ROWS, Inclusion, TableProfile, When, bound
from synth_pipeline.connectors.dialects import MYSQL
from synth_pipeline.connectors.mysql import reflect, values
from synth_pipeline.connectors.mysql.session import Session, is_lost, label, refusal, server_identity
from synth_pipeline.errors import SourceError, UnreachableError

if TYPE_CHECKING:
    import pyarrow as pa
    from pymysql.cursors import SSCursor
    from sqlalchemy.engine import URL

    from synth_pipeline.catalog.schema import Column, DatabaseSchema, Table

Rows = list[tuple[Any, ...]]

_COUNTED_ROWS = 2_000_000
"""Tables that are estimated to be smaller are counted, of larger ones the estimate is taken."""
_SPREAD = 1.2
_RANKED_ROWS = 5_000_000
_WIDE_ROWS = 200
_BATCH_BYTES = 64 * 2**20
_ROOMY = {"binary", "geometry", "json", "other"}
_COMPARABLE = {"integer", "decimal", "float", "boolean", "date", "time", "datetime", "timestamp", "binary"}


class MySQLConnector:
    """A database of a MySQL or MariaDB server."""

    dialect = MYSQL

    def __init__(self, url: URL) -> None:
        self.label = label(url)
        self._url = url
        self._session = Session(url, url.database)

    def identity(self) -> str:
        return server_identity(self._session, self._url.database or "")

    def reflect(self, *, values: bool = True) -> DatabaseSchema:
        """All tables; with `values` False, TINYINT(1) is a flag whatever lies in it."""
        with self._reading():
            return reflect.reflect(self._session, values=values)

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        try:
            yield self._session
        except pymysql.err.MySQLError as e:
            raise _unreadable(self.label, e) from None

    def profile(self, table: Table, rows: int = PROFILE_ROWS) -> TableProfile:
        import numpy as np
        import pyarrow as pa

        with self._reading() as session:
            count = self._count(session, table)
            tail = self._spread(session, table, rows, count) if count > rows else ""
            fetched = session.run(_statement(table, table.stored_columns, tail))
            sample = pa.Table.from_batches([_batch(table, table.stored_columns, fetched)])
        if sample.num_rows > rows:
            sample = sample.take(np.arange(rows) * sample.num_rows // rows)
        return TableProfile(table.id, count, sample)

    def _count(self, session: Session, table: Table) -> int:
        if (table.row_estimate or 0) > _COUNTED_ROWS:
            return int(table.row_estimate or 0)
        return int(session.one(f"SELECT count(*) FROM {self.dialect.relation(table)}")[0])

    def _spread(self, session: Session, table: Table, rows: int, count: int) -> str:
        """A tail that picks rows from all over the table: by a coin with a seed, or in a very large one by its number."""
        source = self.dialect.relation(table)
        if count > _RANKED_ROWS and len(table.primary_key) == 1 and table.column(table.primary_key[0]).type.kind == "integer":
            key = self.dialect.quote(table.primary_key[0])
            low, high = session.one(f"SELECT min({key}), max({key}) FROM {source}")
            step = max((int(high) - int(low)) // rows, 1)
            found = [session.one(f"SELECT min({key}) FROM {source} WHERE {key} >= %s", [int(low) + i * step])[0] for i in range(rows)]
            return f"WHERE t.{key} IN ({', '.join(str(int(k)) for k in dict.fromkeys(found) if k is not None)})"
        return f"WHERE rand(0) < {min(1.0, _SPREAD * rows / count + 0.001)}"

    def inclusion(
        self, child: Table, columns: Sequence[str], parent: Table, parent_columns: Sequence[str], limit: int = 10_000, when: When | None = None
    ) -> Inclusion:  # fmt: skip
        q = self.dialect.quote
        pairs = [(child.column(a), parent.column(b)) for a, b in zip(columns, parent_columns, strict=True)]
        left = [f"{_shared(a, b, q(a.name))} AS c{i}" for i, (a, b) in enumerate(pairs)]
        right = [_shared(b, a, q(b.name)) for a, b in pairs]
        filled = " AND ".join([*(f"{q(a.name)} IS NOT NULL" for a, _ in pairs), *([f"{q(when[0])} = %s"] if when else [])])
        tested = f"SELECT DISTINCT {', '.join(left)} FROM {self.dialect.relation(child)} WHERE {filled} LIMIT {int(limit)}"
        names = ", ".join(f"x.c{i}" for i in range(len(pairs)))
        targets = f"SELECT {', '.join(right)} FROM {self.dialect.relation(parent)}"
        with self._reading() as session:
            found = session.one(f"SELECT count(*), sum(({names}) IN ({targets})) FROM ({tested}) AS x", [bound(child, when)] if when else [])
        return Inclusion(int(found[0]), int(found[1] or 0))

    def members(self, table: Table, column: str, limit: int) -> list[str] | None:
        name = self.dialect.quote(column)
        with self._reading() as session:
            rows = session.run(f"SELECT DISTINCT {name} FROM {self.dialect.relation(table)} WHERE {name} IS NOT NULL LIMIT {int(limit) + 1}")
        return [str(value) for (value,) in rows] if len(rows) <= limit else None

    def is_unique(self, table: Table, columns: Sequence[str]) -> bool:
        source, names = self.dialect.relation(table), [self.dialect.quote(c) for c in columns]
        holes = " OR ".join(f"{n} IS NULL" for n in names)
        repeats = f"SELECT 1 FROM {source} GROUP BY {', '.join(names)} HAVING count(*) > 1"
        with self._reading() as session:
            return bool(session.one(f"SELECT NOT EXISTS (SELECT 1 FROM {source} WHERE {holes}) AND NOT EXISTS ({repeats})")[0])

    @contextmanager
    def snapshot(self) -> Iterator[_Snapshot]:
        session = Session(self._url, self._url.database)
        try:
            session.run("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
            yield _Snapshot(session)
        finally:
            session.close()

    def close(self) -> None:
        self._session.close()


def _shared(column: Column, other: Column, reference: str) -> str:
    """The column as it compares with another one: by its own type and collation where both have them, else as plain text."""
    if column.type.kind == other.type.kind and (column.type.kind in _COMPARABLE or column.collation == other.collation):
        return reference
    return f"CAST({reference} AS CHAR CHARACTER SET utf8mb4) COLLATE utf8mb4_bin"


class _Snapshot:
    """One transaction on one connection."""

    concurrent = False

    def __init__(self, session: Session) -> None:
        self._session = session
        self._running: _Stream | None = None

    def rows(
        self, table: Table, columns: Sequence[str] | None = None, *, tail: str = "", params: Sequence[Any] = (), batch: int = BATCH_ROWS
    ) -> Iterator[pa.RecordBatch]:
        """Streams rows of the table; see the protocol.

        Raises:
            SourceError: a flag holds another number than 0 and 1, or the server refuses.
        """
        wanted = table.stored_columns if columns is None else tuple(table.column(c) for c in columns)
        line = values.line_expression(wanted, [f"t.{MYSQL.quote(c.name)}" for c in wanted])
        if line is not None:
            yield from self._lines(table, wanted, f"SELECT {line} FROM {MYSQL.relation(table)} AS t {tail}", params, batch)
            return
        roomy = [i for i, c in enumerate(wanted) if c.type.kind in _ROOMY or (c.type.kind == "text" and (c.type.length or 2**16) > 1_000)]
        try:
            held: Rows = []
            size = 0
            for part in self._stream(_statement(table, wanted, tail), params, min(batch, _WIDE_ROWS) if roomy else batch):
                held += part
                size += sum(len(row[i] or "") for row in part for i in roomy)
                if len(held) >= batch or size >= _BATCH_BYTES:
                    yield _batch(table, wanted, held)
                    held, size = [], 0
            if held:
                yield _batch(table, wanted, held)
        except pymysql.err.MySQLError as e:
            raise _unreadable(f"Table {table.id!r}", e) from None

    def _lines(self, table: Table, columns: Sequence[Column], sql: str, params: Sequence[Any], batch: int) -> Iterator[pa.RecordBatch]:
        try:
            for part in self._stream(sql, params, batch):
                lines = [line for (line,) in part]
                if None in lines:
                    problem = f"A row of {table.id!r} is longer than the server's max_allowed_packet."
                    raise SourceError(problem, "Set it to 16 MB or more there.")
                with _flags_named(table):
                    decoded = values.decode_lines(columns, lines)
                yield decoded
        except pymysql.err.MySQLError as e:
            raise _unreadable(f"Table {table.id!r}", e) from None

    def select(self, sql: str, params: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        try:
            for part in self._stream(sql, params, BATCH_ROWS):
                yield from part
        except pymysql.err.MySQLError as e:
            raise _unreadable("The source", e) from None

    def _stream(self, sql: str, params: Sequence[Any], size: int) -> Iterator[Rows]:
        if self._running is not None:
            self._running.put_aside()
        stream = self._running = _Stream(self._session.stream(sql, params), size)
        try:
            yield from stream
        finally:
            stream.close()
            if self._running is stream:
                self._running = None


class _Stream:
    """The rows of one statement in parts, from the connection or from where they were put aside."""

    def __init__(self, cursor: SSCursor, size: int) -> None:
        self._cursor, self._size = cursor, size
        self._file: IO[bytes] | None = None

    def __iter__(self) -> Iterator[Rows]:
        while self._file is None:
            part = list(self._cursor.fetchmany(self._size))
            if not part:
                return
            yield part
        while True:
            try:
                yield pickle.load(self._file)
            except EOFError:
                return

    def put_aside(self) -> None:
        """Reads what is left into a temporary file, so that the connection is free."""
        if self._file is None:
            kept = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the stream
            while part := list(self._cursor.fetchmany(self._size)):
                pickle.dump(part, kept)
            kept.seek(0)
            self._file = kept

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._cursor.close()


def _statement(table: Table, columns: Sequence[Column], tail: str) -> str:
    expressions = [values.select_expression(c, f"t.{MYSQL.quote(c.name)}") for c in columns]
    return f"SELECT {', '.join(expressions) or 'NULL'} FROM {MYSQL.relation(table)} AS t {tail}"


def _batch(table: Table, columns: Sequence[Column], fetched: Rows) -> pa.RecordBatch:
    with _flags_named(table):
        return values.decode(columns, list(zip(*fetched, strict=True))[: len(columns)]) if fetched else values.empty(columns)


@contextmanager
def _flags_named(table: Table) -> Iterator[None]:
    """Turns what is said of a flag with other numbers into one clear line."""
    try:
        yield
    except ValueError as e:
        if str(e) not in table.column_names:
            raise
        remedy = "Declare it as TINYINT without a width, or exclude the table."
        raise SourceError(f"{table.id}.{e} is a flag (TINYINT(1)) in most rows and holds other numbers in some.", remedy) from None


def _unreadable(what: str, error: Exception) -> SourceError | UnreachableError:
    if is_lost(error):
        return UnreachableError(f"The connection was lost while {what} was read.", "Run it again.")
    return SourceError(f"{what} cannot be read: {refusal(error)}.", "Check that the user may SELECT from it, or exclude the table.")
