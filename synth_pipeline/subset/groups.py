"""Rows of a root table that belong together: by which column they are of one entity that has no table of its own.

The lines of a receipt repeat its number. Which columns may name such entities is told by their meaning; whether one does, by
counts, taken in the source by aggregates or of rows at hand. How rows are drawn and held out together does not belong here.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from synth_pipeline.subset.plan import MIN_HOLDOUT_ENTITIES, most_of_one

if TYPE_CHECKING:
    import pyarrow as pa

    from synth_pipeline.catalog.schema import Column, DatabaseSchema, Table
    from synth_pipeline.progress import Progress
    from synth_pipeline.subset.model import SubsetPlan, TablePlan
    from synth_pipeline.subset.reader import Reader

Candidates = Mapping[str, Sequence[Sequence[str]]]
"""By table the columns that may name entities, in tiers: the first; then those whose values may be the same by chance."""

_MOST_COLUMNS = 6
_DATES = 3
_DISTINCT = 0.95
"""More values than this share of the rows hardly repeat."""
_WORDS = 0.5
"""The same beyond the first tier."""
_AGREEING = 0.9
"""Rows belong together by their date where those of so many entities have one date."""
_GLANCE = 10_000
"""Rows that are looked at where the whole table is not to be counted."""


class Groups(NamedTuple):
    """The rows of a table by their value in a column, counted.

    `filled` rows have one of `distinct` values (NULL is one); `largest` is the most rows of a value, `repeated` how many values
    have several, and `agreeing` how many of these have but one value in each of some other columns.
    """

    rows: int
    filled: int
    distinct: int
    largest: int
    repeated: int
    agreeing: list[int]

    def named(self, share: float) -> bool:
        """Whether every row has a value, and there are enough of them, but no more than a share of the rows."""
        return self.filled == self.rows and MIN_HOLDOUT_ENTITIES <= self.distinct <= share * self.rows


class _Counter(Protocol):
    """What counts the rows of a table, whether it counts all of them, and which columns of longer texts are worth it."""

    def groups(self, columns: Sequence[str], others: Sequence[str]) -> list[Groups]: ...
    def sees_all(self, rows: int) -> bool: ...
    def likely(self, columns: Sequence[str]) -> list[str]: ...


class Together(NamedTuple):
    """The column by which rows belong together, and how many entities there are for each row."""

    column: str
    entities: float


def find_together(table: Table, tiers: Sequence[Sequence[str]], counter: _Counter, most: int | None = None) -> Together | None:
    """The column that names what the rows of a table are parts of; None where there is no such.

    It has a value on every row, repeats, has as many values as entities are needed to hold some out, and none of them on so
    many rows that it is a category. Of several in a tier, what speaks for one is that it is part of a key (receipt and line),
    and that rows with the same value have the same date, unlike those of one product; then the smaller entities, since they
    are parts of the larger ones or these have nothing to do with them.

    Args:
        table: a root.
        tiers: its candidates.
        counter: of its rows.
        most: rows that one entity may have, beside a share of those that are counted.
    """
    left = _MOST_COLUMNS
    for place, tier in enumerate(tiers):
        columns = [c for c in tier if _hashable(table.column(c))][:left]
        left -= len(columns)
        columns = counter.likely(columns) if place else columns
        if columns and (found := _best(table, columns, counter, _WORDS if place else _DISTINCT, most)) is not None:
            return found
    return None


def _best(table: Table, columns: Sequence[str], counter: _Counter, share: float, most: int | None) -> Together | None:
    """Of some columns the one by which rows belong together; its values are no more than a share of the rows."""
    dates = [c.name for c in table.stored_columns if c.type.kind in ("date", "datetime", "timestamp")][:_DATES]
    parts = {c for key in table.keys if len(key) > 1 for c in key}
    found = []
    for column, counted in zip(columns, counter.groups(columns, dates), strict=True):
        complete = counter.sees_all(counted.rows) or not table.column(column).nullable
        limit = min(most_of_one(counted.rows), counted.rows if most is None else most)
        if complete and counted.named(share) and counted.largest <= limit:
            dated = any(n >= _AGREEING * counted.repeated for n in counted.agreeing)
            found.append(((column in parts) + dated, counted.distinct, Together(column, counted.distinct / counted.rows)))
    return max(found, key=lambda f: f[:2])[-1] if found else None


def _hashable(column: Column) -> bool:
    """Whether equal values of a column have equal hashes."""
    kind = column.type
    if kind.kind == "integer":
        return not (kind.unsigned and (kind.bits or 64) >= 64)
    return kind.kind in ("text", "uuid") or (kind.kind == "decimal" and kind.precision is not None and not kind.scale)


def group_roots(
    reader: Reader, schema: DatabaseSchema, plan: SubsetPlan, candidates: Candidates, *, exact: bool, whole: bool = False, progress: Progress
) -> SubsetPlan:  # fmt: skip
    """The plan with the columns by which rows of roots belong together.

    Args:
        reader: the source.
        schema: the working schema.
        plan: without such columns.
        candidates: the columns that come into question.
        exact: whether tables may be counted; else a glance at the first rows has to do.
        whole: ask about roots that are taken whole, which tells beforehand what their rows will show, instead of those that are searched.
        progress: one step per table.
    """
    asked = [t for t in plan.tables if t.role == "root" and t.whole == whole and t.rows * _DISTINCT >= MIN_HOLDOUT_ENTITIES and t.table in candidates]
    if not asked:
        return plan
    found = {}
    with progress.step("Looking for rows that belong together", total=len(asked)) as step:
        for planned in asked:
            counter = SourceCounter(reader, schema.table(planned.table), exact=exact)
            tiers = [[c for c in tier if counter.groups_by(c)] for tier in candidates[planned.table]]
            together = find_together(counter.table, tiers, counter, _most(plan, planned))
            if together is not None:
                entities = round(together.entities * planned.rows)
                found[planned.table] = dataclasses.replace(planned, together=together.column, entities=entities)
            step.advance(note=planned.table)
    return dataclasses.replace(plan, tables=tuple(found.get(t.table, t) for t in plan.tables))


def _most(plan: SubsetPlan, planned: TablePlan) -> int | None:
    """The rows that one entity of a table may have: as many as the children of one parent."""
    if planned.whole:
        return None
    budget = plan.budgets[planned.root]
    return most_of_one(budget if planned.budget is None else min(budget, planned.budget))


class SourceCounter:
    """Counts a table's rows in the source: all that the filters let through or, where not `exact`, the first few thousand."""

    def __init__(self, reader: Reader, table: Table, *, exact: bool) -> None:
        self.reader, self.table, self.exact = reader, table, exact
        listed = f"{reader.aliased(table)}{reader.filter(table)}"
        self._rows = listed if exact else reader.dialect.aliased(f"({reader.dialect.limit.format(f'SELECT * FROM {listed}', _GLANCE)})", "t")

    def groups_by(self, column: str) -> bool:
        """Whether the source can tell how often each value of a column occurs."""
        pattern = self.reader.dialect.ungrouped
        return not (pattern and re.search(pattern, self.table.column(column).native_type, re.IGNORECASE))

    def groups(self, columns: Sequence[str], others: Sequence[str]) -> list[Groups]:
        found = []
        for (answer,) in self.reader.each((self._statement(c, others), ()) for c in columns):
            rows, filled, distinct, largest, repeated, *agreeing = (int(n or 0) for n in answer)
            found.append(Groups(rows, filled, distinct, largest, repeated, agreeing))
        return found

    def sees_all(self, rows: int) -> bool:
        return self.exact or rows < _GLANCE

    def likely(self, columns: Sequence[str]) -> list[str]:
        """Those that repeat in the first rows: to count the different values of long texts takes time and room."""
        if not self.exact or not columns:
            return list(columns)
        counted = SourceCounter(self.reader, self.table, exact=False).groups(columns, ())
        return [c for c, found in zip(columns, counted, strict=True) if found.distinct <= _DISTINCT * found.rows]

    def _statement(self, column: str, others: Sequence[str]) -> str:
        """One row: what `Groups` has."""
        name, names = self.reader.column("t", column), [self.reader.column("t", c) for c in others]
        ends = "".join(f", MIN({n}) AS a{i}, MAX({n}) AS b{i}" for i, n in enumerate(names))
        inner = f"SELECT COUNT(*) AS n, COUNT({name}) AS k{ends} FROM {self._rows} GROUP BY {name}"
        several = ["g.n > 1", *(f"g.n > 1 AND g.a{i} = g.b{i}" for i in range(len(names)))]
        counted = ", ".join(f"SUM(CASE WHEN {condition} THEN 1 ELSE 0 END)" for condition in several)
        return f"SELECT SUM(g.n), SUM(g.k), COUNT(*), MAX(g.n), {counted} FROM {self.reader.dialect.aliased(f'({inner})', 'g')}"


class RowCounter:
    """Counts rows at hand as the source would."""

    def __init__(self, rows: pa.Table) -> None:
        self._rows = rows

    def groups(self, columns: Sequence[str], others: Sequence[str]) -> list[Groups]:
        return [self._groups(c, others) for c in columns]

    def _groups(self, column: str, others: Sequence[str]) -> Groups:
        import pyarrow as pa
        import pyarrow.compute as pc

        by = self._rows.select([column, *others]).group_by(column)
        found = by.aggregate([([], "count_all"), *((c, end) for c in others for end in ("min", "max"))])
        repeated = found.filter(pc.greater(found["count_all"], 1))
        same = [pc.sum(pc.equal(repeated[f"{c}_min"], repeated[f"{c}_max"]).cast(pa.int64())).as_py() or 0 for c in others]
        rows, largest = self._rows.num_rows, pc.max(found["count_all"]).as_py() or 0
        return Groups(rows, rows - self._rows[column].null_count, found.num_rows, largest, repeated.num_rows, same)

    def sees_all(self, rows: int) -> bool:
        return True

    def likely(self, columns: Sequence[str]) -> list[str]:
        return list(columns)
