"""The one door through which the subset reads: a snapshot that counts statements and rows, and quotes names.

Every statement of the subset is built from the source's dialect here and in `hashing`; what to ask is the business of
`population` and `search`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from synth_pipeline.connectors.base import BATCH_ROWS

if TYPE_CHECKING:
    import pyarrow as pa

    from synth_pipeline.catalog.schema import Table
    from synth_pipeline.connectors.base import Snapshot
    from synth_pipeline.connectors.dialects import Dialect


class Reader:
    """A snapshot with its dialect.

    Attributes:
        statements: how many statements were sent.
        rows_read: how many rows came back.
        texts: the distinct statements in the order of their first use; parameters are not part of them.
        where: predicates per table (SQL of the source, the table is called `t`), from the configuration.
    """

    def __init__(self, snapshot: Snapshot, dialect: Dialect, where: dict[str, str] | None = None, batch: int = BATCH_ROWS) -> None:
        self.dialect = dialect
        self.batch = batch
        self.statements = 0
        self.rows_read = 0
        self.texts: dict[str, int] = {}
        self.where = dict(where or {})
        self._snapshot = snapshot

    def quote(self, name: str) -> str:
        return self.dialect.quote(name)

    def name(self, table: Table) -> str:
        """What stands for the table's rows after FROM."""
        return self.dialect.relation(table)

    def aliased(self, table: Table, alias: str = "t") -> str:
        """The table's rows after FROM, by another name."""
        return self.dialect.aliased(self.name(table), alias)

    def column(self, alias: str, name: str) -> str:
        return f"{alias}.{self.quote(name)}"

    def source(self, table: Table) -> str:
        """The table, or what the configured filter lets through of it, for a FROM that goes on with an alias."""
        return f"(SELECT * FROM {self.aliased(table)} WHERE {self.where[table.id]})" if table.id in self.where else self.name(table)

    def conditions(self, table: Table, *, bound: bool = False) -> list[str]:
        """The configured filter as a condition on `t`; `bound` where the statement has parameters."""
        if table.id not in self.where:
            return []
        predicate = self.where[table.id]
        # Drivers with %s placeholders take every other percent sign of a statement with parameters doubled.
        return [f"({predicate.replace('%', '%%') if bound and self.dialect.placeholder == '%s' else predicate})"]

    def filter(self, table: Table, *conditions: str) -> str:
        """A WHERE of some conditions and the configured filter, or nothing."""
        every = [*conditions, *self.conditions(table)]
        return f" WHERE {' AND '.join(every)}" if every else ""

    def select(self, sql: str, params: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        self._count(sql)
        for row in self._snapshot.select(sql, params):
            self.rows_read += 1
            yield row

    def one(self, sql: str, params: Sequence[Any] = ()) -> tuple[Any, ...]:
        """The only row of an aggregate."""
        found = list(self.select(sql, params))
        return found[0]

    def rows(self, table: Table, columns: Sequence[str] | None = None, *, tail: str = "", params: Sequence[Any] = ()) -> Iterator[pa.RecordBatch]:
        self._count(f"SELECT {', '.join(columns) if columns else '*'} FROM {self.aliased(table)} {tail}".rstrip())
        for batch in self._snapshot.rows(table, columns, tail=tail, params=params, batch=self.batch):
            self.rows_read += batch.num_rows
            yield batch

    def _count(self, sql: str) -> None:
        self.statements += 1
        self.texts[sql] = self.texts.get(sql, 0) + 1
