"""Reading any database that SQLAlchemy knows: reflected, sampled and streamed by portable SELECTs in one transaction.

What the isolation of that transaction promises is the database's; where a driver cannot run two statements at a time,
the second one gets a connection, and so a view of the data, of its own. Writing belongs to `target`.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from synth_pipeline.connectors.base import BATCH_ROWS, PROFILE_ROWS, Inclusion, TableProfile, When, bound
from synth_pipeline.connectors.dialects import Dialect
from synth_pipeline.connectors.generic import keys, reflect, values
from synth_pipeline.connectors.generic.session import label, make_engine, open_session, reason
from synth_pipeline.errors import SourceError

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy.engine import URL, Engine

    from synth_pipeline.catalog.schema import Column, DatabaseSchema, Table
    from synth_pipeline.connectors.generic.traits import Traits

_RANKED_ROWS = 200_000


def derived_dialect(engine: Engine, traits: Traits) -> Dialect:
    """The words of the database, as SQLAlchemy's compiler has them, and what the traits know better."""
    dialect = engine.dialect
    preparer = dialect.identifier_preparer

    def template(expression: sa.ColumnElement[Any]) -> str:
        text = str(expression.compile(dialect=dialect)).replace("%%", "%")
        return re.sub(r"\bsynth_(\d)\b", r"{\1}", text.replace("{", "{{").replace("}", "}}"))

    first = sa.literal_column("synth_0", sa.BigInteger())
    fields: dict[str, Any] = {
        "name": traits.name, "quotes": (preparer.initial_quote, preparer.final_quote), "placeholder": keys.PARAMETER,
        "modulo": f"({template(first % sa.literal_column('synth_1', sa.BigInteger()))})", "as_bigint": template(sa.cast(first, sa.BigInteger())),
        "as_text": template(sa.cast(first, sa.String(4000))), "text_number": "", "key_relation": keys.KEYS, "key_item": "j.c{0}",
        "key_cast": "CAST({0} AS {1})", "binary_text": "", **traits.dialect,
    }  # fmt: skip
    return Dialect(**fields)


class GenericConnector:
    """A database through SQLAlchemy, or some schemas of it."""

    def __init__(self, url: URL, schemas: tuple[str, ...] = ()) -> None:
        self.label = label(url)
        self._schemas = schemas
        self._engine, self.traits = make_engine(url)
        self._connection = self._open()
        self.dialect = derived_dialect(self._engine, self.traits)

    def _open(self) -> sa.Connection:
        """A connection for reading, at the isolation that the traits name where the database has it."""
        level, test = self.traits.isolation, self.traits.isolation_allowed
        if level and test:
            with open_session(self._engine, self.traits, self.label) as asked:
                level = level if asked.exec_driver_sql(test).scalar() else None
        return open_session(self._engine, self.traits, self.label, **({"isolation_level": level} if level else {}))

    def identity(self) -> str:
        return server_identity(self._connection, self.traits)

    def reflect(self, *, values: bool = True) -> DatabaseSchema:
        """All tables; types are declared here, so that `values` makes no difference."""
        with self._reading():
            return reflect.reflect(self._connection, self.traits, self._schemas)

    @contextmanager
    def _reading(self) -> Iterator[_Snapshot]:
        """One transaction on the connection that is kept open."""
        try:
            yield _Snapshot(self._connection, self.dialect, self.traits)
        except (sa.exc.DBAPIError, OSError) as e:
            raise _unreadable(self.label, e) from None
        finally:
            self._connection.rollback()

    def profile(self, table: Table, rows: int = PROFILE_ROWS) -> TableProfile:
        """Every n-th row by the primary key of the first 200,000; of tables without one, of the order that the server gives."""
        import pyarrow as pa

        with self._reading() as snapshot:
            count = int(next(snapshot.select(f"SELECT COUNT(*) FROM {self.dialect.relation(table)}"))[0])
            by = ", ".join(f"t.{self.dialect.quote(c)}" for c in table.primary_key)
            tail = f"ORDER BY {by}" if by else ""
            wanted, seen = min(count, rows), min(count, _RANKED_ROWS)
            parts, at = [], 0
            for batch in snapshot.rows(table, tail=tail):
                picked = [i - at for i in range(at, min(at + batch.num_rows, seen)) if (i + 1) * wanted // seen != i * wanted // seen]
                parts.append(batch.take(pa.array(picked, pa.int64())))
                at += batch.num_rows
                if at >= seen:
                    break
        sample = pa.Table.from_batches(parts or [_batch(table.stored_columns, [])])
        return TableProfile(table.id, count, sample.slice(0, rows))

    def inclusion(
        self, child: Table, columns: Sequence[str], parent: Table, parent_columns: Sequence[str], limit: int = 10_000, when: When | None = None
    ) -> Inclusion:  # fmt: skip
        q, d = self.dialect.quote, self.dialect
        pairs = [(child.column(a), parent.column(b)) for a, b in zip(columns, parent_columns, strict=True)]
        alike = [a.type.kind == b.type.kind for a, b in pairs]

        def side(column: Column, reference: str, same: bool) -> str:
            return reference if same else d.as_text.format(reference)

        distinct = ", ".join(f"t.{q(a.name)} AS c{i}" for i, (a, _) in enumerate(pairs))
        filled = " AND ".join([*(f"t.{q(a.name)} IS NOT NULL" for a, _ in pairs), *([f"t.{q(when[0])} = {d.placeholder}"] if when else [])])
        on = " AND ".join(
            f"{side(b, f'p.{q(b.name)}', same)} = {side(a, f's.c{i}', same)}" for i, ((a, b), same) in enumerate(zip(pairs, alike, strict=True))
        )
        tested = f"SELECT DISTINCT {distinct} FROM {d.aliased(d.relation(child), 't')} WHERE {filled}"
        found = f"CASE WHEN EXISTS (SELECT 1 FROM {d.aliased(d.relation(parent), 'p')} WHERE {on}) THEN 1 ELSE 0 END"
        limited = d.aliased(f"({d.limit.format(tested, int(limit))})", "s")
        flagged = d.aliased(f"(SELECT {found} AS f FROM {limited})", "x")
        sql = f"SELECT COUNT(*), SUM(x.f) FROM {flagged}"
        with self._reading() as snapshot:
            total, held = next(snapshot.select(sql, [bound(child, when)] if when else []))
        return Inclusion(int(total), int(held or 0))

    def members(self, table: Table, column: str, limit: int) -> list[str] | None:
        name = f"t.{self.dialect.quote(column)}"
        sql = f"SELECT DISTINCT {name} FROM {self.dialect.aliased(self.dialect.relation(table), 't')} WHERE {name} IS NOT NULL"
        with self._reading() as snapshot:
            found = [str(value) for (value,) in snapshot.select(self.dialect.limit.format(sql, int(limit) + 1))]
        return found if len(found) <= limit else None

    def is_unique(self, table: Table, columns: Sequence[str]) -> bool:
        source, names = self.dialect.relation(table), [self.dialect.quote(c) for c in columns]
        holes = " OR ".join(f"{n} IS NULL" for n in names)
        repeats = f"SELECT {', '.join(names)} FROM {source} GROUP BY {', '.join(names)} HAVING COUNT(*) > 1"
        with self._reading() as snapshot:
            if int(next(snapshot.select(f"SELECT COUNT(*) FROM {source} WHERE {holes}"))[0]):
                return False
            return int(next(snapshot.select(f"SELECT COUNT(*) FROM {self.dialect.aliased(f'({repeats})', 'x')}"))[0]) == 0

    @contextmanager
    def snapshot(self) -> Iterator[_Snapshot]:
        connection = self._open()
        snapshot = _Snapshot(connection, self.dialect, self.traits, self._open)
        try:
            yield snapshot
        finally:
            snapshot.close()
            connection.close()

    def close(self) -> None:
        self._connection.close()
        self._engine.dispose()


def server_identity(connection: sa.Connection, traits: Traits) -> str:
    """Which database this is, as the server says it; else its address and name."""
    if traits.identity:
        found = connection.exec_driver_sql(traits.identity).fetchone()
        connection.rollback()
        return f"{traits.name}:{'/'.join(str(v) for v in found or ())}"
    url = connection.engine.url
    if not url.host:
        return f"{traits.name}:{os.path.realpath(url.database) if url.database else ''}"
    try:
        address = socket.gethostbyname(url.host)
    except OSError:
        address = url.host
    schema = sa.inspect(connection).default_schema_name
    connection.rollback()
    return f"{traits.name}:{address}:{url.port or ''}/{url.database or ''}/{schema or ''}"


class _Snapshot:
    """One transaction; a statement that is sent while another one's rows are read goes on a further connection."""

    concurrent = False

    def __init__(self, connection: sa.Connection, dialect: Dialect, traits: Traits, more: Any = None) -> None:
        self._idle, self._all, self._more = [connection], [connection], more
        self._dialect, self._traits = dialect, traits

    @contextmanager
    def _lease(self) -> Iterator[sa.Connection]:
        if not self._idle:
            self._all.append(self._more())
            self._idle.append(self._all[-1])
        connection = self._idle.pop()
        try:
            yield connection
        finally:
            self._idle.append(connection)

    def rows(
        self, table: Table, columns: Sequence[str] | None = None, *, tail: str = "", params: Sequence[Any] = (), batch: int = BATCH_ROWS
    ) -> Iterator[pa.RecordBatch]:
        """Streams rows of the table; see the protocol.

        Raises:
            SourceError: a column that is NOT NULL holds a value that its type in a bundle cannot, or the server refuses.
        """
        wanted = table.stored_columns if columns is None else tuple(table.column(c) for c in columns)
        listed = ", ".join(self._dialect.read(c, f"t.{self._dialect.quote(c.name)}") for c in wanted) or "1"
        sql = f"SELECT {listed} FROM {self._dialect.aliased(self._dialect.relation(table), 't')} {tail}"
        for fetched in self._fetched(sql, params, batch, f"Table {table.id!r}"):
            made = _batch(wanted, fetched)
            for i, column in enumerate(wanted):
                if not column.nullable and made.column(i).null_count:
                    problem = f"{table.id}.{column.name} holds a value that its type {column.native_type} in a bundle cannot."
                    raise SourceError(problem, "Correct it in the source, or exclude the table.")
            yield made

    def select(self, sql: str, params: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        for fetched in self._fetched(sql, params, BATCH_ROWS, "The source"):
            yield from (tuple(values.plain(v) for v in row) for row in fetched)

    def _fetched(self, sql: str, params: Sequence[Any], batch: int, what: str) -> Iterator[Sequence[Any]]:
        try:
            with self._lease() as connection:
                for text, bound in keys.bound(sql, params, self._traits.max_params, self._dialect.dual):
                    with connection.execution_options(stream_results=True, max_row_buffer=batch).execute(sa.text(text), bound) as result:
                        while fetched := result.fetchmany(batch):
                            yield fetched
        except sa.exc.SQLAlchemyError as e:
            raise _unreadable(what, e) from None

    def close(self) -> None:
        for connection in self._all[1:]:
            connection.close()


def _batch(columns: Sequence[Column], fetched: Sequence[Any]) -> pa.RecordBatch:
    import pyarrow as pa

    by_column = list(zip(*fetched, strict=True)) if fetched else [()] * len(columns)
    arrays = [values.decode(c, v) for c, v in zip(columns, by_column, strict=False)]
    return pa.RecordBatch.from_arrays(arrays, names=[c.name for c in columns])


def _unreadable(what: str, error: BaseException) -> SourceError:
    return SourceError(f"{what} cannot be read: {reason(error)}.", "Check that the user may SELECT from it, or exclude the table.")
