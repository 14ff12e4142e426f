"""Drawing the trees: root entities by the hash of their key, then all their descendants along the tree keys.

A tree is drawn a little too large and then cut on the client at the largest rank that meets every budget, so that no
statement is sent twice. What other tables the drawn rows need is the business of `closure`.

An entity's rank says when it comes in as the limit rises: the hash of its root row, shifted by `RANK_BITS`, plus a number
that tells entities of equal hash apart. Rows without an owner come in step with the owned ones, so that their share is
that of the source at any limit (proportional allocation to strata, Cochran 1977, 5.5).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from synth_pipeline.subset.hashing import SPACE, hash_integers, threshold
from synth_pipeline.subset.rows import Found, Shape, looked_up, ordered

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from synth_pipeline.catalog.population import PopulationStats
    from synth_pipeline.catalog.schema import DatabaseSchema, ForeignKey
    from synth_pipeline.subset.model import SubsetPlan
    from synth_pipeline.subset.reader import Reader

logger = logging.getLogger(__name__)

PROBE_ROWS = 200_000
"""Larger tables with a dense key of whole numbers are not scanned: their keys are hashed on the client and probed."""
RANK_BITS = 31
_SPARSE = 4
_BLOCK = 1 << 20
_ANCHORS = 100
"""Rows without an owner come in step with the owned ones where so many of these are expected; else by their own hash."""


class Tree:
    """One tree of the plan while it is drawn.

    Attributes:
        members: its tables, parents first.
        found: the rows drawn so far.
        limit: rows of entities whose rank is below are kept.
        truncated: not even one entity met the budget, so that a part of one was taken.
    """

    def __init__(
        self, reader: Reader, schema: DatabaseSchema, plan: SubsetPlan, population: PopulationStats,
        shapes: Mapping[str, Shape], root: str, batch: int,
    ) -> None:  # fmt: skip
        self.reader, self.schema, self.plan, self.population, self.shapes, self.batch = reader, schema, plan, population, shapes, batch
        self.root = root
        self.keys = {t.table: schema.table(t.table).foreign_key(t.tree_key) for t in plan.trees()[root] if t.tree_key is not None}
        self.members = [root]
        for at in self.members:
            self.members += [t for t, fk in self.keys.items() if fk.parent == at]
        self.found = {t: Found(shapes[t]) for t in self.members}
        self.limit = self._first_limit() << RANK_BITS
        self.truncated = False

    def _first_limit(self) -> int:
        """Somewhat more than the plan's probability: a spare for chance, more the fewer entities it is about to take."""
        planned = self.plan.of(self.root)
        entities = max(1.0, planned.probability * (planned.rows if planned.entities is None else planned.entities))
        return threshold(min(planned.ceiling, planned.probability * (1.05 + 3 / entities**0.5)))

    @property
    def probability(self) -> float:
        """The inclusion probability of a root entity after the cut."""
        return self.limit / (SPACE << RANK_BITS)

    @property
    def _hash_limit(self) -> int:
        """Root rows of entities below the limit have hashes below this."""
        return -(-self.limit >> RANK_BITS)

    def draw(self) -> None:
        """Draws and cuts the tree."""
        for table in self.members:
            if table == self.root:
                self._draw_by_hash(table, [])
            else:
                self._draw_children(self.keys[table])
                self._draw_unowned(self.keys[table])
            self._cut(table)

    def kept(self, table: str) -> Iterator[tuple[tuple[Any, ...], int, float, int]]:
        """The rows of a table below the limit: row, rank of the entity, share of siblings kept, how many rows are equal."""
        found = self.found[table]
        for row, root, share, count in zip(found.rows, found.root, found.share, found.count, strict=True):
            if root < self.limit:
                yield row, root, share, count

    def _draw_by_hash(self, table: str, conditions: list[str]) -> None:
        """Rows whose hash is below the limit; those of the same hash are an entity, or its root."""
        if not conditions and self._hash_limit < SPACE:
            together = self.plan.of(table).together
            key = self.schema.table(table).primary_key if together is None else (together,)
            if (span := self._dense_span(table, key)) is not None:
                self._probe(table, key, *span)
                return
        for row, own in self._hashed_below(table, self._hash_limit, conditions):
            self.found[table].add(row, entity_rank(own), repeats=True)

    def _hashed_below(self, table: str, limit: int, conditions: list[str]) -> Iterator[tuple[tuple[Any, ...], int]]:
        """Rows with a hash below the limit, and their hashes."""
        shape = self.shapes[table]
        return shape.hashed(self.reader.select(shape.below(limit, conditions)), limit)

    def _dense_span(self, table: str, key: tuple[str, ...]) -> tuple[int, int] | None:
        """The range of what is hashed, where probing it is cheaper than a scan."""
        if self.plan.of(table).rows < PROBE_ROWS or len(key) != 1 or self.schema.table(table).column(key[0]).type.kind != "integer":
            return None
        if not self.shapes[table].indexed(key):
            return None
        column, source = self.reader.column("t", key[0]), self.shapes[table].source
        # Two statements, each of which an index answers by one look.
        ((low,),), ((high,),) = self.reader.each((f"SELECT {end}({column}) FROM {source}", ()) for end in ("MIN", "MAX"))
        if low is None or high - low >= _SPARSE * self.plan.of(table).rows:
            return None
        return int(low), int(high)

    def _probe(self, table: str, key: tuple[str, ...], low: int, high: int) -> None:
        shape, found = self.shapes[table], self.found[table]
        statement = shape.by_columns(key, conditions=self.reader.conditions(shape.table, bound=True))
        for start in range(low, high + 1, _BLOCK):
            candidates = np.arange(start, min(start + _BLOCK, high + 1), dtype=np.int64)
            hashes = hash_integers(candidates, self.plan.seed, table)
            drawn = hashes < self._hash_limit
            values, roots = candidates[drawn].tolist(), entity_rank(hashes[drawn]).tolist()
            rank = dict(zip(values, roots, strict=True))
            for value, row in looked_up(self.reader, statement, values, self.batch):
                found.add(row, rank[value], repeats=True)

    def _draw_children(self, fk: ForeignKey) -> None:
        """All children of the drawn parents; of a parent with more than the plan's limit, those with the smallest hashes."""
        parents, shape, found = self.found[fk.parent], self.shapes[fk.table], self.found[fk.table]
        keys = {v: n for v, n in parents.by_key[fk.parent_columns].items() if parents.root[n] < self.limit}
        values = ordered(keys)
        hub = self.plan.of(fk.table).hub
        degrees = self._degrees(fk, values, hub)
        conditions = self.reader.conditions(shape.table, bound=True)
        statement = shape.by_columns(fk.columns, conditions=conditions)
        for value, row in looked_up(self.reader, statement, [v for v in values if v not in degrees], self.batch):
            parent = keys[value]
            found.add(row, parents.root[parent], parents.share[parent], repeats=True)
        for value, degree in degrees.items():
            assert hub is not None, "only tables with a limit have hubs"
            limit = threshold(1.2 * (hub + 3 * hub**0.5) / degree)
            head, below = f"{shape.listed}, {shape.hash_columns}", shape.hash_conditions(limit)
            sql = shape.by_columns(fk.columns, head=head, conditions=[*conditions, *below])
            hashed = shape.hashed((row for _, row in looked_up(self.reader, sql, [value], 1)), limit)
            rows = sorted(hashed, key=lambda r: (r[1], str((*r[0], r[1]))))[:hub]
            parent = keys[value]
            for row, _ in rows:
                found.add(row, parents.root[parent], parents.share[parent] * len(rows) / degree, repeats=True)

    def _degrees(self, fk: ForeignKey, values: list[Any], hub: int | None) -> dict[Any, int]:
        """The parents with more than `hub` children, and how many they have."""
        fanout = self.population.fanouts.get(fk.id)
        if hub is None or (fanout is not None and (not fanout.degrees or fanout.degrees[-1] <= hub)):
            return {}
        sql = self.shapes[fk.table].counts_by(fk.columns)
        found = {value: int(degree) for value, (degree,) in looked_up(self.reader, sql, values, self.batch) if degree > hub}
        return {v: found[v] for v in values if v in found}

    def _draw_unowned(self, fk: ForeignKey) -> None:
        """Rows whose tree key is NULL, or refers to nothing, are strata of their own at the same rate."""
        shape, parent = self.shapes[fk.table], self.shapes[fk.parent]
        fanout = self.population.fanouts.get(fk.id)
        anchors = self._anchors(fk)
        nullable = [f"{self.reader.column('t', c)} IS NULL" for c in fk.columns if shape.table.column(c).nullable]
        if nullable and self.schema.nullable(fk) and (fanout is None or fanout.null_children):
            self._draw_stratum(fk, [f"({' OR '.join(nullable)})"], 0 if fanout is None else fanout.null_children, anchors)
        if fanout is not None and fanout.dangling and self.plan.dangling == "null":
            same = " AND ".join(
                f"{self.reader.column('x', p)} = {self.reader.column('t', c)}" for c, p in zip(fk.columns, fk.parent_columns, strict=True)
            )
            filled = [f"{self.reader.column('t', c)} IS NOT NULL" for c in fk.columns]
            missing = f"NOT EXISTS (SELECT 1 FROM {self.reader.aliased(parent.table, 'x')} WHERE {same})"
            self._draw_stratum(fk, [*filled, missing], fanout.dangling, anchors)

    def _anchors(self, fk: ForeignKey) -> NDArray[np.int64]:
        """The ranks of the rows that came with their parents, ascending."""
        found = self.found[fk.table]
        return np.sort(np.repeat(np.asarray(found.root, dtype=np.int64), found.count))

    def _draw_stratum(self, fk: ForeignKey, conditions: list[str], size: int, anchors: NDArray[np.int64]) -> None:
        """Rows without an owner: the k-th by its own hash comes in with the owned row that has k times its stratum's share of them.

        Over all draws each has the probability of an owned row. Where few owned rows are expected, or the size of the
        stratum was not counted, each has its own hash as the root's.
        """
        fanout = self.population.fanouts.get(fk.id)
        owned = 0 if fanout is None else fanout.children
        if not size or size > owned or owned * self.plan.of(self.root).probability < _ANCHORS:
            self._draw_by_hash(fk.table, conditions)
            return
        wanted = anchors.size * size / owned
        limit = threshold(min(1.0, (wanted + 4 * wanted**0.5 + 10) / size))
        drawn = sorted(self._hashed_below(fk.table, limit, conditions), key=lambda r: (r[1], str(r[0])))
        for k, (row, own) in enumerate(drawn):
            place = int((k + 0.5) * owned / size)
            if place >= anchors.size:
                break
            self.found[fk.table].add(row, entity_rank(int(anchors[place]) >> RANK_BITS, own), repeats=True)

    def _cut(self, table: str) -> None:
        """Lowers the limit until the tree and each of its tables meet their budgets; rows of one entity stay together."""
        roots = {t: np.repeat(np.asarray(f.root, dtype=np.int64), f.count) for t, f in self.found.items()}
        budgets = [(np.concatenate(list(roots.values())), self.plan.budgets[self.root])]
        budgets += [(roots[t], b) for t in self.members if (b := self.plan.of(t).budget) is not None]
        for ranks, budget in budgets:
            ranks = ranks[ranks < self.limit]
            if ranks.size > budget:
                self.limit = int(np.partition(ranks, budget)[budget])
                if self.limit == ranks.min():
                    self._truncate(table, self.limit)

    def _truncate(self, table: str, root: int) -> None:
        """Not one entity fits: as much of the first as does, parents before children."""
        self.truncated, self.limit = True, root + 1
        left = self.plan.budgets[self.root] - sum(self._size(t, root) for t in self.members if t != table)
        own = self.plan.of(table).budget
        left = left if own is None else min(left, own)
        before, kept = self.found[table], Found(self.shapes[table])
        members = {before.shape.id_of(row): n for n, row in enumerate(before.rows) if before.root[n] == root}
        for address in ordered(members):
            n = members[address]
            count = min(before.count[n], left)
            if count > 0:
                kept.add(before.rows[n], root, before.share[n], count)
                left -= count
        self.found[table] = kept

    def _size(self, table: str, root: int) -> int:
        found = self.found[table]
        return sum(c for c, r in zip(found.count, found.root, strict=True) if r == root)


@overload
def entity_rank(root: int, own: int | None = None) -> int: ...
@overload
def entity_rank(root: NDArray[np.int64], own: None = None) -> NDArray[np.int64]: ...
def entity_rank(root: Any, own: int | None = None) -> Any:
    """When an entity comes in: with the hash `root`; `own` tells it from others that do (its own hash where None)."""
    return (root << RANK_BITS) | (root if own is None else own)
