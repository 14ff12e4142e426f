"""Reading a PostgreSQL database: reflected, sampled, and streamed to Arrow by COPY under one snapshot.

A snapshot is a REPEATABLE READ, READ ONLY transaction. While one stream of it is open, others run on further connections
that import the same snapshot. Nothing but SELECT is needed. Writing belongs to `target`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any

import psycopg

from synth_pipeline.connectors.base import BATCH_ROWS, PROFILE_ROWS, Inclusion, TableProfile, When, bound
from synth_pipeline.connectors.dialects import POSTGRESQL
from synth_pipeline.connectors.postgresql import reflect, values
from synth_pipeline.connectors.postgresql.session import Connection, label, open_session, refusal, server_identity
from synth_pipeline.errors import SourceError, UnreachableError

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy.engine import URL

    from synth_pipeline.catalog.schema import Column, DatabaseSchema, Table

_BATCH_BYTES = 64 * 2**20
_COUNTED_PAGES = 50_000
"""Tables of fewer pages (400 MB) are counted, of larger ones the catalogue's estimate is taken."""
_SPREAD = 1.2
_BLOCKS_FROM = 1_000_000
_QUOTED = re.compile(r'"(?:[^"]|"")*"')


class PostgreSQLConnector:
    """A database of a PostgreSQL server, or some schemas of it."""

    dialect = POSTGRESQL

    def __init__(self, url: URL, schemas: tuple[str, ...] = ()) -> None:
        self.label = label(url)
        self._url, self._schemas = url, schemas
        self._connection = open_session(url)

    def identity(self) -> str:
        return server_identity(self._connection)

    def reflect(self, *, values: bool = True) -> DatabaseSchema:
        """All tables; types are declared here, so that `values` makes no difference."""
        with self._reading() as connection:
            connection.execute("SET LOCAL search_path = ''")
            return reflect.reflect(connection, self._schemas)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        try:
            with self._connection.transaction():
                self._connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                yield self._connection
        except psycopg.Error as e:
            raise _unreadable(self.label, e) from None

    def profile(self, table: Table, rows: int = PROFILE_ROWS) -> TableProfile:
        import numpy as np
        import pyarrow as pa

        with self._reading() as connection:
            count = self._count(connection, table)
            tail = ""
            if count > rows:
                method = "SYSTEM" if count > _BLOCKS_FROM else "BERNOULLI"
                tail = f"TABLESAMPLE {method} ({min(100.0, 100 * _SPREAD * rows / count)}) REPEATABLE (0)"
            batches = list(_stream(connection, table, table.stored_columns, tail, (), BATCH_ROWS))
        sample = pa.Table.from_batches(batches or [values.empty(table.stored_columns)])
        if sample.num_rows > rows:
            sample = sample.take(np.arange(rows) * sample.num_rows // rows)
        return TableProfile(table.id, count, sample)

    def _count(self, connection: Connection, table: Table) -> int:
        name = self.dialect.relation(table)
        sql = "SELECT relpages, reltuples::bigint FROM pg_catalog.pg_class WHERE oid = %s::regclass"
        pages, estimate = connection.execute(sql, [self.dialect.qualified(table)]).fetchone() or (0, 0)
        if pages > _COUNTED_PAGES and estimate > 0:
            return int(estimate)
        counted = connection.execute(f"SELECT count(*) FROM {name}".encode()).fetchone()
        return int(counted[0]) if counted else 0

    def inclusion(
        self, child: Table, columns: Sequence[str], parent: Table, parent_columns: Sequence[str], limit: int = 10_000, when: When | None = None
    ) -> Inclusion:  # fmt: skip
        q = self.dialect.quote
        pairs = [(child.column(a), parent.column(b)) for a, b in zip(columns, parent_columns, strict=True)]
        casts = ["" if a.type.kind == b.type.kind and a.type.kind in _COMPARABLE else "::text" for a, b in pairs]
        left = [f"{q(a.name)}{cast} AS c{i}" for i, ((a, _), cast) in enumerate(zip(pairs, casts, strict=True))]
        right = [f"{q(b.name)}{cast} AS c{i}" for i, ((_, b), cast) in enumerate(zip(pairs, casts, strict=True))]
        filled = " AND ".join([*(f"{q(a.name)} IS NOT NULL" for a, _ in pairs), *([f"{q(when[0])} = %s"] if when else [])])
        names = ", ".join(f"c{i}" for i in range(len(pairs)))
        tested = f"SELECT DISTINCT {', '.join(left)} FROM {self.dialect.relation(child)} WHERE {filled} LIMIT {int(limit)}"
        sql = f"""
            WITH tested AS MATERIALIZED ({tested})
            SELECT count(*), count(*) FILTER (WHERE ({names}) IN (SELECT {', '.join(right)} FROM {self.dialect.relation(parent)})) FROM tested
        """
        with self._reading() as connection:
            params = (bound(child, when),) if when else ()
            found = connection.execute(_escaped(sql, params), params or None).fetchone() or (0, 0)
        return Inclusion(int(found[0]), int(found[1]))

    def members(self, table: Table, column: str, limit: int) -> list[str] | None:
        name = self.dialect.quote(column)
        sql = f"SELECT DISTINCT {name}::text FROM {self.dialect.relation(table)} WHERE {name} IS NOT NULL LIMIT {int(limit) + 1}"
        with self._reading() as connection:
            rows = connection.execute(sql.encode()).fetchall()
        return [value for (value,) in rows] if len(rows) <= limit else None

    def is_unique(self, table: Table, columns: Sequence[str]) -> bool:
        source, names = self.dialect.relation(table), [_comparable(table.column(c), self.dialect.quote(c)) for c in columns]
        holes = " OR ".join(f"{self.dialect.quote(c)} IS NULL" for c in columns)
        repeats = f"SELECT 1 FROM {source} GROUP BY {', '.join(names)} HAVING count(*) > 1"
        sql = f"SELECT NOT EXISTS (SELECT 1 FROM {source} WHERE {holes}) AND NOT EXISTS ({repeats})"
        with self._reading() as connection:
            found = connection.execute(sql.encode()).fetchone()
        return bool(found and found[0])

    @contextmanager
    def snapshot(self) -> Iterator[_Snapshot]:
        snapshot = _Snapshot(self._url)
        try:
            yield snapshot
        finally:
            snapshot.close()

    def close(self) -> None:
        self._connection.close()


_COMPARABLE = {"integer", "decimal", "float", "boolean", "text", "date", "time", "datetime", "timestamp", "uuid", "binary", "interval"}


def _comparable(column: Column, reference: str) -> str:
    """The column, or its text where its type may have no equality (json, xml, points)."""
    return reference if column.type.kind in {*_COMPARABLE, "enum"} else f"{reference}::text"


class _Snapshot:
    """One view of the database, over as many connections as streams are open at a time."""

    concurrent = True

    def __init__(self, url: URL) -> None:
        self._url = url
        self._lock = Lock()
        self._idle: list[Connection] = []
        self._all = [self._open(None)]  # keeps the snapshot, and runs nothing that could fail
        exported = self._all[0].execute("SELECT pg_catalog.pg_export_snapshot()").fetchone()
        self._name = str(exported[0]) if exported else None

    def _open(self, name: str | None) -> Connection:
        connection = open_session(self._url)
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        if name is not None:
            connection.execute(f"SET TRANSACTION SNAPSHOT '{name}'".encode())
        return connection

    @contextmanager
    def _lease(self) -> Iterator[Connection]:
        with self._lock:
            if not self._idle:
                self._idle.append(self._open(self._name))
                self._all.append(self._idle[-1])
            connection = self._idle.pop()
        try:
            yield connection
        finally:
            if not connection.closed and connection.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS:
                self._idle.append(connection)

    def rows(
        self, table: Table, columns: Sequence[str] | None = None, *, tail: str = "", params: Sequence[Any] = (), batch: int = BATCH_ROWS
    ) -> Iterator[pa.RecordBatch]:
        """Streams rows of the table; see the protocol.

        Raises:
            SourceError: a column that is NOT NULL holds a NaN that its type in a bundle cannot, or the server refuses.
        """
        wanted = table.stored_columns if columns is None else tuple(table.column(c) for c in columns)
        try:
            with self._lease() as connection:
                yield from _stream(connection, table, wanted, tail, params, batch)
        except psycopg.Error as e:
            raise _unreadable(f"Table {table.id!r}", e) from None

    def select(self, sql: str, params: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        try:
            with self._lease() as connection, connection.cursor("synth_pipeline_select", scrollable=False) as cursor:
                cursor.itersize = BATCH_ROWS
                yield from cursor.execute(_escaped(sql, params), tuple(params) or None)
        except psycopg.Error as e:
            raise _unreadable("The source", e) from None

    def close(self) -> None:
        for connection in self._all:
            connection.close()


def _escaped(sql: str, params: Sequence[Any]) -> bytes:
    """The statement with the percent signs of its names doubled, which the driver asks for where there are parameters."""
    return (_QUOTED.sub(lambda m: m.group().replace("%", "%%"), sql) if params else sql).encode()


def _stream(
    connection: Connection, table: Table, columns: Sequence[Column], tail: str, params: Sequence[Any], batch: int
) -> Iterator[pa.RecordBatch]:  # fmt: skip
    """COPY of a SELECT; parameters are quoted by libpq, since COPY takes none."""
    expressions = [values.select_expression(c, f"t.{POSTGRESQL.quote(c.name)}") for c in columns]
    sql = f"COPY (SELECT {', '.join([*expressions, '1'])} FROM {POSTGRESQL.relation(table)} AS t {tail}) TO STDOUT (FORMAT csv)"
    with connection.cursor() as cursor, cursor.copy(_escaped(sql, params), tuple(params) or None) as copy:
        parts: list[bytes] = []
        size = 0
        for row in copy:
            parts.append(bytes(row))
            size += len(parts[-1])
            if len(parts) >= batch or size >= _BATCH_BYTES:
                yield _checked(table, values.decode(columns, b"".join(parts)))
                parts, size = [], 0
        if parts:
            yield _checked(table, values.decode(columns, b"".join(parts)))


def _checked(table: Table, batch: pa.RecordBatch) -> pa.RecordBatch:
    for i, name in enumerate(batch.schema.names):
        column = table.column(name)
        if column.type.kind == "decimal" and not column.nullable and batch.column(i).null_count:
            raise SourceError(f"{table.id}.{name} holds NaN, which no decimal of a bundle can.", "Correct it in the source, or exclude the table.")
    return batch


def _unreadable(what: str, error: psycopg.Error) -> SourceError | UnreachableError:
    if isinstance(error, psycopg.OperationalError) and not isinstance(error, psycopg.errors.QueryCanceled) and error.sqlstate is None:
        return UnreachableError(f"The connection was lost while {what} was read.", "Run it again.")
    return SourceError(f"{what} cannot be read: {refusal(error)}.", "Check that the role may SELECT from it, or exclude the table.")
