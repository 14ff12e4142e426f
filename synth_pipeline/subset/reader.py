"""The one door through which the subset reads: a snapshot that counts statements and rows, and quotes names.

Every statement of the subset is built from the source's dialect here and in `hashing`; what to ask is the business of
`population` and `search`. Several statements may run at a time; what comes back is in the order in which it was asked for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from synth_pipeline.connectors.base import BATCH_ROWS

if TYPE_CHECKING:
    import pyarrow as pa

    from synth_pipeline.catalog.schema import Table
    from synth_pipeline.connectors.base import Snapshot
    from synth_pipeline.connectors.dialects import Dialect

T = TypeVar("T")
R = TypeVar("R")


class Reader:
    """A snapshot with its dialect.

    Attributes:
        statements: how many statements were sent.
        rows_read: how many rows came back.
        texts: the distinct statements in the order of their first use; parameters are not part of them.
        where: predicates per table (SQL of the source, the table is called `t`), from the configuration.
        threads: how many statements run at a time, where the snapshot allows it.
    """

    def __init__(
        self, snapshot: Snapshot, dialect: Dialect, where: dict[str, str] | None = None, batch: int = BATCH_ROWS, threads: int = 1
    ) -> None:  # fmt: skip
        self.dialect = dialect
        self.batch = batch
        self.threads = threads if snapshot.concurrent else 1
        self._pool = ThreadPoolExecutor(self.threads) if self.threads > 1 else None
        self.statements = 0
        self.rows_read = 0
        self.texts: dict[str, int] = {}
        self.where = dict(where or {})
        self._snapshot = snapshot

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

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

    def each(self, statements: Iterable[tuple[str, Sequence[Any]]]) -> Iterator[Sequence[tuple[Any, ...]]]:
        """The rows of many statements with their parameters, a list for each."""
        for (sql, _), rows in self._spread(lambda asked: (asked, list(self._snapshot.select(*asked))), statements):
            self._count(sql)
            self.rows_read += len(rows)
            yield rows

    def rows(self, table: Table, *, tail: str = "", params: Sequence[Any] = ()) -> Iterator[pa.RecordBatch]:
        """The stored columns of the table's rows."""
        self._count_rows(table, tail)
        for batch in self._snapshot.rows(table, tail=tail, params=params, batch=self.batch):
            self.rows_read += batch.num_rows
            yield batch

    def rows_of_each(self, table: Table, tail: str, params: Iterable[Sequence[Any]]) -> Iterator[list[pa.RecordBatch]]:
        """The same for several sets of parameters, a list for each."""
        for found in self._spread(lambda p: list(self._snapshot.rows(table, tail=tail, params=p, batch=self.batch)), params):
            self._count_rows(table, tail)
            self.rows_read += sum(batch.num_rows for batch in found)
            yield found

    def _spread(self, work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """Results in the order of the items; at most `threads` are worked on, or wait to be taken, at a time."""
        if self._pool is None:
            yield from map(work, items)
            return
        waiting: deque[Future[R]] = deque()
        for item in items:
            waiting.append(self._pool.submit(work, item))
            if len(waiting) == self.threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def _count_rows(self, table: Table, tail: str) -> None:
        self._count(f"SELECT * FROM {self.aliased(table)} {tail}".rstrip())

    def _count(self, sql: str) -> None:
        self.statements += 1
        self.texts[sql] = self.texts.get(sql, 0) + 1
