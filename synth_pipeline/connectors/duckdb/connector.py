"""Reading a DuckDB file: opened read-only, reflected, sampled, and streamed to Arrow.

DuckDB lets nobody write to a file that is open for reading elsewhere, so that every connection to it sees one state.
Streams run side by side on cursors of their own. Writing belongs to `target`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from synth_pipeline.connectors.base import BATCH_ROWS, PROFILE_ROWS, Inclusion, TableProfile, When, bound
from synth_pipeline.connectors.dialects import DUCKDB
from synth_pipeline.connectors.duckdb import reflect, values
from synth_pipeline.connectors.duckdb.session import open_file, refusal
from synth_pipeline.connectors.local import file_identity
from synth_pipeline.errors import SourceError

if TYPE_CHECKING:
    import pyarrow as pa

    from synth_pipeline.catalog.schema import DatabaseSchema, Table

_SPREAD = 1.3
"""How many more row numbers are looked for than rows are wanted: some were deleted."""


class DuckDBConnector:
    """A DuckDB database file, or some schemas of it."""

    dialect = DUCKDB

    def __init__(self, path: Path, schemas: tuple[str, ...] = (), label: str = "") -> None:
        self.path, self.label, self._schemas = path, label or f"duckdb:///{path}", schemas
        self._connection = open_file(path)

    def identity(self) -> str:
        return file_identity("duckdb", self.path)

    def reflect(self, *, values: bool = True) -> DatabaseSchema:
        """All tables; types are declared here, so that `values` makes no difference."""
        try:
            return reflect.reflect(self._connection, self._schemas)
        except duckdb.Error as e:
            raise SourceError(f"The database {self.label} cannot be read: {refusal(e)}.", "Check the file with DuckDB itself.") from None

    def _one(self, sql: str, params: Sequence[Any] = ()) -> tuple[Any, ...]:
        try:
            row: tuple[Any, ...]
            (row,) = self._connection.execute(sql, list(params)).fetchall()
            return row
        except duckdb.Error as e:
            raise SourceError(f"The database {self.label} cannot be read: {refusal(e)}.", "Check the file with DuckDB itself.") from None

    def profile(self, table: Table, rows: int = PROFILE_ROWS) -> TableProfile:
        import numpy as np
        import pyarrow as pa

        source = self.dialect.relation(table)
        count, highest = self._one(f"SELECT count(*), max(rowid) FROM {source}")
        tail = "ORDER BY t.rowid"
        if count > rows:
            wanted = min(highest + 1, int(_SPREAD * rows * (highest + 1) / count))
            picked = f"SELECT k * {highest + 1} // {wanted} FROM range({wanted}) AS r(k)"
            tail = f"WHERE t.rowid IN ({picked}) {tail}"
        batches = list(_Snapshot(self._connection).rows(table, tail=tail))
        sample = pa.Table.from_batches(batches or [values.empty(table.stored_columns)])
        if sample.num_rows > rows:
            sample = sample.take(np.arange(rows) * sample.num_rows // rows)
        return TableProfile(table.id, int(count), sample)

    def inclusion(
        self, child: Table, columns: Sequence[str], parent: Table, parent_columns: Sequence[str], limit: int = 10_000, when: When | None = None
    ) -> Inclusion:  # fmt: skip
        q = self.dialect.quote
        pairs = [(child.column(a), parent.column(b)) for a, b in zip(columns, parent_columns, strict=True)]
        casts = ["{}" if a.type.kind == b.type.kind and a.type.kind != "enum" else "CAST({} AS VARCHAR)" for a, b in pairs]
        left = ", ".join(f"{cast.format(q(a.name))} AS c{i}" for i, ((a, _), cast) in enumerate(zip(pairs, casts, strict=True)))
        right = ", ".join(f"{cast.format(q(b.name))} AS c{i}" for i, ((_, b), cast) in enumerate(zip(pairs, casts, strict=True)))
        filled = " AND ".join([*(f"{q(a.name)} IS NOT NULL" for a, _ in pairs), *([f"{q(when[0])} = ?"] if when else [])])
        tested = f"SELECT DISTINCT {left} FROM {self.dialect.relation(child)} WHERE {filled} LIMIT {int(limit)}"
        match = " AND ".join(f"x.c{i} = y.c{i}" for i in range(len(pairs)))
        within = f"SELECT 1 FROM (SELECT {right} FROM {self.dialect.relation(parent)}) AS y WHERE {match}"
        sql = f"SELECT count(*), count(*) FILTER (EXISTS ({within})) FROM ({tested}) AS x"
        counted, found = self._one(sql, [bound(child, when)] if when else [])
        return Inclusion(int(counted), int(found))

    def members(self, table: Table, column: str, limit: int) -> list[str] | None:
        name = f"t.{self.dialect.quote(column)}"
        sql = f"SELECT DISTINCT {name} FROM {self.dialect.relation(table)} AS t WHERE {name} IS NOT NULL LIMIT {int(limit) + 1}"
        found = [str(value) for (value,) in _Snapshot(self._connection).select(sql)]
        return found if len(found) <= limit else None

    def is_unique(self, table: Table, columns: Sequence[str]) -> bool:
        source, names = self.dialect.relation(table), [self.dialect.quote(c) for c in columns]
        holes = " OR ".join(f"{n} IS NULL" for n in names)
        repeats = f"SELECT 1 FROM {source} GROUP BY {', '.join(names)} HAVING count(*) > 1"
        return bool(self._one(f"SELECT NOT EXISTS (SELECT 1 FROM {source} WHERE {holes}) AND NOT EXISTS ({repeats})")[0])

    @contextmanager
    def snapshot(self) -> Iterator[_Snapshot]:
        connection = self._connection.cursor()
        try:
            yield _Snapshot(connection)
        finally:
            connection.close()

    def close(self) -> None:
        self._connection.close()


class _Snapshot:
    """One view of the file."""

    concurrent = True

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def rows(
        self, table: Table, columns: Sequence[str] | None = None, *, tail: str = "", params: Sequence[Any] = (), batch: int = BATCH_ROWS
    ) -> Iterator[pa.RecordBatch]:
        """Streams rows of the table; see the protocol.

        Raises:
            SourceError: a whole number has more digits than a bundle holds, or DuckDB refuses.
        """
        wanted = table.stored_columns if columns is None else tuple(table.column(c) for c in columns)
        expressions = [f"{values.select_expression(c, f't.{DUCKDB.quote(c.name)}')} AS {DUCKDB.quote(c.name)}" for c in wanted]
        sql = f"SELECT {', '.join(expressions) or 'NULL'} FROM {DUCKDB.relation(table)} AS t {tail}"
        cursor = self._connection.cursor()
        try:
            for found in cursor.sql(sql, params=list(params)).to_arrow_reader(batch):
                if found.num_rows:
                    yield values.conformed(wanted, found)
        except duckdb.Error as e:
            raise _unreadable(f"Table {table.id!r}", e) from None
        finally:
            cursor.close()

    def select(self, sql: str, params: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        cursor = self._connection.cursor()
        try:
            cursor.execute(sql, list(params))
            while fetched := cursor.fetchmany(BATCH_ROWS):
                yield from fetched
        except duckdb.Error as e:
            raise _unreadable("The source", e) from None
        finally:
            cursor.close()


def _unreadable(what: str, error: duckdb.Error) -> SourceError:
    return SourceError(f"{what} cannot be read: {refusal(error)}.", "Correct it in the source, or exclude the table.")
