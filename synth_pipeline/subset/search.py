"""The search as a whole: trees drawn, references followed, weights found, and the selected rows fetched.

Keys are all that is held until rows are written. A row that vanishes between two statements (where a database has no
snapshots) is left out here; what refers to it is treated like any dangling reference when the bundle is written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from synth_pipeline.catalog.branches import Branch
from synth_pipeline.subset.closure import PULLED, Closure, link_arrays
from synth_pipeline.subset.keys import levels, server_order
from synth_pipeline.subset.rows import KEYS, Found, Shape, key_parameter, looked_up, ordered
from synth_pipeline.subset.trees import Tree
from synth_pipeline.subset.weights import Frame, inclusion_weights
from synth_pipeline.subset.write import Notes

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa
    from numpy.typing import NDArray

    from synth_pipeline.catalog.population import PopulationStats
    from synth_pipeline.catalog.schema import DatabaseSchema, Table
    from synth_pipeline.progress import Progress
    from synth_pipeline.subset.model import SubsetPlan
    from synth_pipeline.subset.reader import Reader


class Search:
    """The selected rows of a subset; `fetch` reads them.

    Attributes:
        warnings: what the user should know.
        probabilities: per tree (by root table), the inclusion probability in the end.
        vanished: rows per table that were there when they were selected and not when they were read.
    """

    def __init__(self, reader: Reader, schema: DatabaseSchema, plan: SubsetPlan, population: PopulationStats, batch: int = KEYS) -> None:
        self.reader, self.schema, self.plan, self.population, self.batch = reader, schema, plan, population, batch
        self.whole = {t.table for t in plan.tables if t.whole}
        self.warnings: list[str] = []
        self.probabilities: dict[str, float] = {}
        self.vanished: dict[str, int] = {}
        self._order: dict[str, list[int]] = {}
        self._notes: dict[str, Notes] = {}
        self._found: dict[str, Found] = {}

    def run(self, progress: Progress) -> None:
        """Selects the rows."""
        if self.plan.whole:
            return
        shapes = {t.id: Shape(self.reader, self.schema, t, self.plan.seed, self.plan.of(t.id).together) for t in self.schema.tables}
        closure = Closure(self.reader, self.schema, self.plan, shapes, self.batch)
        trees = [root for root, members in self.plan.trees().items() if not all(t.whole for t in members)]
        with progress.step("Drawing trees", total=len(trees)) as step:
            for root in trees:
                self._draw(root, shapes, closure)
                step.advance(note=root)
        closure.run(progress)
        self._weigh(closure)

    def _draw(self, root: str, shapes: dict[str, Shape], closure: Closure) -> None:
        tree = Tree(self.reader, self.schema, self.plan, self.population, shapes, root, self.batch)
        tree.draw()
        self.probabilities[root] = tree.probability
        if tree.truncated:
            self.warnings.append(f"the budget of the tree of {root} is smaller than its first entity, of which only a part was taken")
        for table in tree.members:
            for row, entity, share, count in tree.kept(table):
                closure.found[table].add(row, entity, share, count)

    def _weigh(self, closure: Closure) -> None:
        """Puts every table into its final order of addresses and finds the weights."""
        self._found = closure.found
        for table, found in self._found.items():
            self._order[table] = [found.index[address] for address in ordered(found.index)]
        order = {t: np.asarray(numbers, dtype=np.int64) for t, numbers in self._order.items()}
        links = link_arrays(closure, order)
        frames = {}
        for table, found in self._found.items():
            planned, at = self.plan.of(table), order[table]
            certain = np.zeros(len(found.rows), dtype=bool)
            certain[list(closure.certain[table])] = True
            share = np.asarray(found.share, dtype=np.float64)[at]
            probability = self.probabilities.get(planned.root, 0.0)
            frames[table] = Frame(np.asarray(found.root, dtype=np.int64)[at], probability * share, certain[at], planned.root, planned.tree_key)
        keys = [fk for fk in closure.keys if fk.table not in self.whole]
        degrees = {fk.id: d for fk in keys if fk.id != frames[fk.table].tree_key and (d := self._degrees(closure, fk.id, order)) is not None}
        weights = inclusion_weights([t for level in levels(self.schema) for t in level], keys, frames, links, degrees)
        for table, found in self._found.items():
            count = np.asarray(found.count, dtype=np.int64)[order[table]]
            known = {fk.id: np.repeat(degrees[fk.id], count) for fk in keys if fk.parent == table and fk.id in degrees}
            self._notes[table] = Notes(np.repeat(frames[table].root != PULLED, count), np.repeat(weights[table], count), degrees=known)

    def _degrees(self, closure: Closure, fk_id: str, order: dict[str, NDArray[np.int64]]) -> NDArray[np.int64] | None:
        """Children of the selected parents in the whole source; None where nothing is counted there."""
        if not self.population.exact:
            return None
        fk = next(f for f in closure.keys if f.id == fk_id)
        parents, shape = self._found[fk.parent], self._found[fk.table].shape
        by_number = np.zeros(len(parents.rows), dtype=np.int64)
        by_key = parents.by_key[fk.parent_columns]
        keys = ordered(by_key)
        if isinstance(fk, Branch):  # counted by type and key together
            sql = shape.counts_by((fk.type_column, *fk.columns))
            for value in fk.values:
                for (_, key), (count,) in looked_up(self.reader, sql, [(value, key) for key in keys], self.batch):
                    by_number[by_key[key]] += count
        else:
            for value, (count,) in looked_up(self.reader, shape.counts_by(fk.columns), keys, self.batch):
                by_number[by_key[value]] = count
        return np.asarray(by_number[order[fk.parent]])

    def fetch(self, table: Table, sink: Callable[[pa.RecordBatch], None]) -> Notes:
        """Reads the selected rows of a table into a sink; see `write.Fetch`."""
        if self.plan.whole or table.id in self.whole:
            by = ", ".join(self.reader.column("t", c) for c in server_order(table))
            for batch in self.reader.rows(table, tail=f"ORDER BY {by}" if by else ""):
                sink(batch)
            return Notes(ordered=True)
        found = self._found[table.id]
        numbers = self._order[table.id]
        parts = [numbers[start : start + self.batch] for start in range(0, len(numbers), self.batch)]
        read = self.reader.rows_of_each(table, found.shape.by_address(), ([self._parameter(found, part)] for part in parts))
        present = [self._matched(found, part, got, sink) for part, got in zip(parts, read, strict=True)]
        there = np.concatenate(present) if present else np.empty(0, dtype=bool)
        notes = self._notes[table.id]
        if there.all():
            return notes
        self.vanished[table.id] = int((~there).sum())
        assert notes.core is not None and notes.weight is not None, "every searched table has notes"
        return Notes(notes.core[there], notes.weight[there], degrees={k: d[there] for k, d in notes.degrees.items()})

    @staticmethod
    def _parameter(found: Found, numbers: list[int]) -> str:
        return key_parameter([found.shape.id_of(found.rows[n]) for n in numbers])

    def _matched(self, found: Found, numbers: list[int], read: list[Any], sink: Callable[[pa.RecordBatch], None]) -> NDArray[np.bool_]:
        """Passes on the rows read for some numbers; returns per expected row whether it was still there.

        Where rows are missing, halves are read again until it is known which.
        """
        expected = sum(found.count[n] for n in numbers)
        got = sum(b.num_rows for b in read)
        if got == expected or len(numbers) == 1:
            for batch in read:
                sink(batch.slice(0, expected))
            return np.asarray(np.arange(expected) < got)
        middle, shape = len(numbers) // 2, found.shape
        halves = numbers[:middle], numbers[middle:]
        again = [list(self.reader.rows(shape.table, tail=shape.by_address(), params=[self._parameter(found, half)])) for half in halves]
        return np.concatenate([self._matched(found, half, rows, sink) for half, rows in zip(halves, again, strict=True)])
