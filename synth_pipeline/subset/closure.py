"""Closing upward: whatever a selected row refers to is selected too, until nothing is missing.

Semi-naive: only rows that are new in a round ask for parents, and no value is asked for twice. That takes cycles, self
references, composite keys, several keys to one parent and keys to unique columns alike. Long chains of self references are
climbed in the source. Which rows start it is the business of `search`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from synth_pipeline.subset.keys import stored_keys
from synth_pipeline.subset.rows import Found, Shape, Value, key_parameter, looked_up, ordered, transport, type_condition

if TYPE_CHECKING:
    from synth_pipeline.catalog.schema import DatabaseSchema, ForeignKey
    from synth_pipeline.progress import Progress
    from synth_pipeline.subset.model import SubsetPlan
    from synth_pipeline.subset.reader import Reader

PULLED = -1
"""The root of a row that no draw but a reference selected."""
_DEEP = 8
"""After so many rounds a self reference is followed to its end in one statement, where the dialect can."""


class Closure:
    """The selected rows of all tables that are not taken whole, and where their references lead.

    Attributes:
        found: the selected rows by table.
        parent: by foreign key, the number of the parent row of every value asked for; -1 where there is none.
        certain: by table, the rows that a table taken whole refers to: they are part of every subset.
        rounds: how many rounds it took.
    """

    def __init__(self, reader: Reader, schema: DatabaseSchema, plan: SubsetPlan, shapes: Mapping[str, Shape], batch: int) -> None:
        self.reader, self.schema, self.batch = reader, schema, batch
        self.whole = {t.table for t in plan.tables if t.whole}
        self.found = {t: Found(shape) for t, shape in shapes.items() if t not in self.whole}
        self.keys = [fk for t in schema.table_ids for fk in stored_keys(schema, t) if fk.parent not in self.whole]
        self.parent: dict[str, dict[Value, int]] = {fk.id: {} for fk in self.keys}
        self.certain: dict[str, set[int]] = {t: set() for t in self.found}
        self.rounds = 0

    def run(self, progress: Progress) -> None:
        """Selects parents until none is missing."""
        done = dict.fromkeys(self.found, 0)
        wanted = {fk.id: self._of_whole(fk) if fk.table in self.whole else set() for fk in self.keys}
        certain = {fk_id: set(values) for fk_id, values in wanted.items()}
        with progress.step("Following references") as step:
            while True:
                fresh = {t: (done[t], len(f.rows)) for t, f in self.found.items()}
                for fk in self.keys:
                    if fk.table not in self.whole:
                        self._collect(fk, *fresh[fk.table], wanted[fk.id])
                done = {t: end for t, (_, end) in fresh.items()}
                if not any(wanted.values()):
                    break
                self.rounds += 1
                for fk in self.keys:
                    step.advance(self._resolve(fk, wanted[fk.id]), note=fk.parent)
                    wanted[fk.id] = set()
        for fk in self.keys:
            if fk.table in self.whole:
                self.certain[fk.parent] |= {n for v in certain[fk.id] if (n := self.parent[fk.id][v]) >= 0}

    def _of_whole(self, fk: ForeignKey) -> set[Value]:
        """What a table that is taken whole refers to."""
        sql, types = distinct_references(self.reader, self.schema, fk)
        return {row[0] if len(row) == 1 else row for row in self.reader.select(sql, types)}

    def _collect(self, fk: ForeignKey, start: int, end: int, wanted: set[Value]) -> None:
        """Adds the references of new rows that were not looked up yet."""
        known, get = self.parent[fk.id], self.found[fk.table].shape.reference[fk.id]
        for row in self.found[fk.table].rows[start:end]:
            value = get(row)
            if value is not None and value not in known:
                wanted.add(value)

    def _resolve(self, fk: ForeignKey, wanted: set[Value]) -> int:
        """Finds the parents of some values, here or in the source; returns how many rows are new."""
        known, parents = self.parent[fk.id], self.found[fk.parent]
        here, before = parents.by_key[fk.parent_columns], len(parents.rows)
        if self.rounds > _DEEP and parents.shape.can_climb(fk):
            self._climb(fk, [v for v in ordered(wanted) if v not in here])
        missing = []
        for value in ordered(wanted):
            known[value] = here.get(value, -1)
            if known[value] < 0:
                missing.append(value)
        statement = parents.shape.by_columns(fk.parent_columns) if missing else ""
        for value, row in looked_up(self.reader, statement, missing, self.batch):
            parents.add(row, PULLED)
            known[value] = parents.index[parents.shape.id_of(row)]
        return len(parents.rows) - before


    def _climb(self, fk: ForeignKey, values: list[Value]) -> None:
        """Selects the rows that have some keys, and all above them."""
        parents, statement = self.found[fk.parent], self.found[fk.parent].shape.climb(fk)
        starts = range(0, len(values), self.batch)
        for rows in self.reader.each((statement, [key_parameter(values[s : s + self.batch])]) for s in starts):
            for row in rows:
                parents.add(row, PULLED)


def distinct_references(reader: Reader, schema: DatabaseSchema, fk: ForeignKey) -> tuple[str, list[Any]]:
    """The statement for all that a table refers to by a key, with its parameters."""
    table = schema.table(fk.table)
    columns = [transport(reader, table.column(c), "t") for c in fk.columns]
    conditions, types = type_condition(reader, schema, fk)
    where = " AND ".join([*(f"{reader.column('t', c)} IS NOT NULL" for c in fk.columns), *conditions])
    return f"SELECT DISTINCT {', '.join(columns)} FROM {reader.aliased(table)} WHERE {where}", types


def link_arrays(closure: Closure, order: Mapping[str, Any]) -> dict[str, Any]:
    """By foreign key, the parent's number of every row of the child, both numbered by `order`; -1 for none.

    `order` holds for every table the found numbers in their final order.
    """
    import numpy as np

    place = {}
    for table, numbers in order.items():
        place[table] = np.empty(len(numbers) + 1, dtype=np.int64)
        place[table][numbers] = np.arange(len(numbers))
        place[table][-1] = -1
    links = {}
    for fk in closure.keys:
        if fk.table in closure.whole:
            continue
        known, found = closure.parent[fk.id], closure.found[fk.table]
        get = found.shape.reference[fk.id]
        at = np.fromiter((known.get(get(row), -1) for row in found.rows), dtype=np.int64, count=len(found.rows))
        links[fk.id] = place[fk.parent][at][order[fk.table]]
    return links
