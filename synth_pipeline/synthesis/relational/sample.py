"""Drawing a database: one table after the other, parents first, then what had to wait.

Mirrors `fit`: what was learnt from a context is drawn from the same context. A table's rows are complete, with unique keys
and kept constraints, before any other table is drawn that refers to them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import pyarrow as pa

from synth_pipeline.catalog.schema import ForeignKey
from synth_pipeline.keys import at_rows, parent_rows
from synth_pipeline.progress import Step
from synth_pipeline.synthesis.relational.balance import balance
from synth_pipeline.synthesis.relational.checks import drop_broken, keep_checks, keep_late
from synth_pipeline.synthesis.relational.composing import compose_all
from synth_pipeline.synthesis.relational.computed import computed, recompute
from synth_pipeline.synthesis.relational.counts import CountModel, count_bins, impose_total
from synth_pipeline.synthesis.relational.encode import NumberCodec, digitize
from synth_pipeline.synthesis.relational.frame import Group, small_bins
from synth_pipeline.synthesis.relational.limits import numbers_above
from synth_pipeline.synthesis.relational.model import DatabaseModel, TableModel, completed, opening_context
from synth_pipeline.synthesis.relational.nearness import keep_away
from synth_pipeline.synthesis.relational.numbers import count_again, number_keys
from synth_pipeline.synthesis.relational.parents import (
    anybody,
    copied_reference,
    draw_link,
    draw_lookup,
    draw_tree,
    find_parents,
    keep_presence,
    own_child,
    require_parents,
)
from synth_pipeline.synthesis.relational.random import stream
from synth_pipeline.synthesis.relational.rules import Run, time_for
from synth_pipeline.synthesis.relational.shards import Shard
from synth_pipeline.synthesis.relational.state import Draft, State, draw_lagged
from synth_pipeline.synthesis.relational.structure import anchored
from synth_pipeline.synthesis.relational.totals import set_total, total_of
from synth_pipeline.synthesis.relational.trees import Feature
from synth_pipeline.synthesis.relational.typed import lacking, owner_feature
from synth_pipeline.synthesis.relational.unique import keep_composed, keep_unique
from synth_pipeline.synthesis.relational.values import draw_column, make_columns

_ROUNDS = 3
_DENSE = 0.5
"""How many of the parents of a type the rows of one owner have at most, on average, where none may have one twice."""
_FREE = 0.02
"""The share of the rows by which a table may differ from the plan where a calendar says how many there are."""


class Sampler(Draft):
    """Draws tables of a database, or of a shard of it, from a model.

    Args:
        model: the fitted database.
        seed: of the request.
        planned: rows per table of the whole database.
        shard: the part to draw; None for tables that are drawn whole.
        shared: tables that were drawn before; they are not changed.
    """

    def __init__(
        self, model: DatabaseModel, seed: int, planned: Mapping[str, int], shard: Shard | None = None, shared: Mapping[str, State] | None = None
    ) -> None:
        super().__init__(model, seed if shard is None else f"{seed} {shard.number}/{shard.count}", shard)
        self.planned = {**planned, **self.shard.rows}
        self.states.update(shared or {})
        self._waiting: set[tuple[str, str]] = set()

    def draw(self, tables: Collection[str], step: Step | None = None) -> None:
        """Draws these tables; whatever they refer to is among them or shared."""
        chosen = [(t, m) for t, m in self.model.tables.items() if t in tables]
        late = {(t, c) for t, m in chosen for c in m.rules.late()}
        beyond = set(late)  # what adds up rows of other tables than these
        completed(self.model.tables, self.model.keys_of(tables), tables, beyond)
        there: set[str] = set()
        for table_id, model in chosen:
            state = self.states[table_id] = self._reference(model) if model.reference is not None else self._table(model)
            there.add(table_id)
            for fk in model.plan.soon:
                self._deferred(model, state, fk)
            self._waiting |= {w for w in late if w[0] == table_id}
            for _, column in sorted(w for w in beyond if w[0] == table_id):
                state.own.add(*model.codec(column).features(f"c.{column}", state.x[column]))
            self._complete({fk.id: t for t in there for fk in self.model.tables[t].plan.ready}, there)
            if step is not None:
                step.advance(state.rows, note=table_id)
        deferred = [(m, self.states[t], fk) for t, m in chosen for fk in m.plan.deferred if fk not in m.plan.soon]
        for model, state, fk in sorted(deferred, key=lambda w: w[2].id in w[0].links and w[0].links[w[2].id].inverse is not None):
            self._deferred(model, state, fk)
        self._complete(self.model.keys_of(there), there)
        self._keep_late(there)

    def settle(self, totals: Mapping[tuple[str, str], np.ndarray]) -> None:
        """Sets what all shards together say of tables that were drawn before them, by (table, column), and what follows from it."""
        for (table, column), value in totals.items():
            set_total(self, table, column, value)
        self._waiting -= totals.keys()
        self._complete(self.model.keys_of(self.states), self.states)
        self._keep_late({table for table, _ in totals})

    def _keep_late(self, tables: Collection[str]) -> None:
        """Keeps the CHECKs of columns that are known only now."""
        for table in tables:
            model = self.model.tables[table]
            if model.reference is None and not {w for w in self._waiting if w[0] == table}:
                keep_late(self, model, self.states[table], self.schema.table(table))

    def _complete(self, keys: Mapping[str, str], there: Collection[str]) -> None:
        """Computes what waited for rows that are there now (see `completed`)."""
        for table, column in completed(self.model.tables, keys, there, self._waiting):
            model, state = self.model.tables[table], self.states[table]
            if column in model.rules.totals:
                set_total(self, table, column, total_of(self, table, column))
            elif (x := computed(self, model, state, column)) is not None:
                state.add(column, model.exact[column], x)

    def finished(self, table: str) -> pa.Table:
        """A table with the source's columns, when everything is drawn; one that the source does not have, or not so, with its own."""
        moved = self.model.moved(table)
        return pa.table({c: self._moved(table, c, moved[c]) if c in moved else self.value(table, c) for c in self.model.finished(table)})

    def _moved(self, table: str, column: str, fk: ForeignKey) -> pa.Array:
        """A column that the parent by a key holds."""
        return at_rows(self.value(fk.parent, column), self.states[table].parents[fk.id])

    def children(self, fk: ForeignKey) -> tuple[np.ndarray, int]:
        """How many of the planned rows each parent gets by an owner or an anchor, int64 (parents,), and how many get none."""
        model, parent = self.model.tables[fk.table], self.states[fk.parent]
        wanted = self.planned[fk.table]
        rng = stream(self.seed, fk.table, "rows")
        owner = model.plan.is_owner(fk.id)
        owners = self.planned.get(fk.parent, 0)
        if owner and self.shard.count == 1 and 0 < abs(parent.rows - owners) <= _FREE * owners:
            # Where a calendar has decided how many owners there are, each has the children that it should have.
            wanted = round(wanted * parent.rows / owners)
        nulls = wanted if parent.rows == 0 else int(round(model.null_owners * wanted)) if owner else 0
        most = self._most_children(model, fk)
        able = self.referable(fk)
        nulls = wanted if not able.any() and self.schema.nullable(fk) else nulls
        counts = np.zeros(parent.rows, dtype=np.int64)
        counts[able] = parent.counts[fk.id][able]
        total = wanted - nulls
        says = self.model.tables[fk.parent].counts[fk.id] if owner else None
        bent = says is None or not isinstance(says.steady, Run) and says.childless is None and says.fixed is None
        if not bent and self.shard.count == 1:
            # What a calendar or a status says is not bent for the sake of a few rows.
            free = int(_FREE * wanted)
            total = min(max(int(counts.sum()), total - free), total + free)
        steady, least = parent.most.get(fk.id), parent.least.get(fk.id)
        limit = most if steady is None else np.minimum(steady, steady if most is None else most)[able]
        counts[able] = impose_total(counts[able], total, rng, limit, None if least is None else least[able])
        return counts, nulls

    def _most_children(self, model: TableModel, fk: ForeignKey) -> int | None:
        """The most rows that a parent can have: with a key of a pair of parents as many as there are of the other kind."""
        most = [m] if (m := self.model.tables[fk.parent].counts[fk.id].most) is not None else []
        for key in self.schema.table(fk.table).keys:
            for other in model.plan.links:
                if other.id != fk.id and set(key) == {*fk.columns, *other.columns} and other.parent in self.states:
                    able = int(self.referable(other).sum())
                    # Of the rows of an owner chance gives more or less to a type.
                    most.append(int(_DENSE * able / self.model.share(other)) if other.id in model.plan.typed else able)
        return min(most, default=None)

    def _reference(self, model: TableModel) -> State:
        reference = model.reference
        assert reference is not None
        table = model.plan.table
        state = State(reference.num_rows)
        state.arrays = {c: reference.column(c).combine_chunks() for c in reference.column_names}
        state.own.add([Feature("row", max(1, state.rows))], {"row": np.arange(state.rows, dtype=np.int32)})
        for fk in (*model.plan.lookups, *model.plan.links):
            copied_reference(self, state, fk, stream(self.seed, table, "reference", fk.id))
        for column in model.order:
            state.x[column] = model.codec(column).encode(state.arrays[column])
            if column in model.rules.late():
                continue
            state.offer(*model.codec(column).features(f"c.{column}", state.x[column]))
        self._children(model, state)
        return state

    def _table(self, model: TableModel) -> State:
        plan, table = model.plan, self.schema.table(model.plan.table)
        if plan.owner is not None:
            owner = self.states[plan.owner.parent]
            if self.divided(plan.owner):
                counts = self.shard.children[table.id]
                nulls = self.planned[table.id] - int(counts.sum())
            else:
                counts, nulls = self.children(plan.owner)
            index = np.r_[np.repeat(np.arange(owner.rows), counts), np.full(nulls, -1)].astype(np.int64)
            state = State(len(index), {plan.owner.id: index}, Group.of(index, np.arange(len(index))))
            state.context, state.above = opening_context(owner.own, owner.above, state.group)
            state.context.add(*owner_feature(plan, state.parents))
        else:
            state = State(self.planned[table.id])
        state.part = table.id in self.shard.anchors or any(self.states[fk.parent].part for fk in (plan.owner, *plan.links) if fk is not None)
        for fk in plan.lookups:
            draw_lookup(self, model, state, fk)
        for fk in plan.links:
            draw_link(self, model, state, fk)
        require_parents(self, model, state)
        waiting = {fk.id for fk in plan.deferred}
        keep_checks(self, model, state, table, keys_only=True)
        keep_unique(self, model, state, table, waiting, keys_only=True)
        for column in model.order:
            draw_column(self, model, state, column)
        if keep_presence(self, model, state):
            recompute(self, model, state)
        make_columns(self, model, state, table)
        drawn = dict(state.arrays)
        for _ in range(_ROUNDS):
            before = {**state.arrays, **state.parents}
            kept = keep_checks(self, model, state, table)
            keep_unique(self, model, state, table, waiting)
            if kept and all({**state.arrays, **state.parents}.get(k) is v for k, v in before.items()):
                break
            recompute(self, model, state)
        else:
            # What the source declares weighs more than what was found in it.
            keep_unique(self, model, state, table, waiting)
            drop_broken(self, state, table)
        self._tell(model, state, state.arrays, drawn, model.order)
        self._keep_away(model, state)
        number_keys(self, model, state)
        before = dict(state.arrays)
        if count_again(self, model, state):
            recompute(self, model, state)
            self._tell(model, state, state.arrays, before, model.order)
        compose_all(self, model, state)
        keep_composed(self, model, state, table)
        self._children(model, state)
        return state

    def _tell(self, model: TableModel, state: State, now: Mapping[str, object], before: Mapping[str, object], columns: Collection[str]) -> None:
        """Makes known which of the columns hold something else than before."""
        for column in (c for c in columns if now.get(c) is not before.get(c)):
            state.tell(column, model.codec(column))

    def _keep_away(self, model: TableModel, state: State) -> None:
        """Exchanges values of rows that are too near to somebody, and makes known what changed."""
        if model.nearness is None or not state.rows:
            return
        table, before = model.plan.table, dict(state.x)
        left = keep_away(model.nearness, state.x, state.arrays, stream(self.seed, table, "nearness"))
        self._tell(model, state, state.x, before, model.nearness.free)
        if left:
            self.warnings.append(f"{table}: {left:,} rows stay nearer to a real one than these are to each other; their values follow from others")

    def _children(self, model: TableModel, state: State) -> None:
        table = model.plan.table
        for key, count in model.counts.items():
            rng = stream(self.seed, table, "count", key)
            raw = draw_lagged(count.variable, state, f"p.n.{key}", rng, count_bins)
            room = self._room(model, state, key, count)
            middle = self.lane(table).middle
            says = count.childless
            empty, filled = np.zeros((2, state.rows), dtype=bool) if says is None else says.decide(state.x[says.source])
            if isinstance(count.steady, Run) and room is not None:
                rest = np.round(np.nan_to_num(raw)).astype(np.int64)
                if count.steady.whole:
                    rest[np.isnan(state.x[count.steady.end]) if count.steady.end else slice(None)] = 0
                counts = np.maximum(0, room + rest)
            elif room is not None:
                state.most[key] = room
                counts = np.minimum(count.calibrate(np.maximum(0, room + raw), rng, middle), room)
            else:
                counts = count.calibrate(np.where(empty, -1.0, np.where(filled, np.maximum(raw, 0.5), raw)), rng, middle)
            if says is not None:
                counts = np.where(empty, 0, np.where(filled, np.maximum(counts, 1), counts))
                state.most[key] = np.where(empty, 0, np.iinfo(np.int64).max if count.most is None else count.most)
            counts, said = self._within_quotas(model, state, key, count, counts)
            free = np.flatnonzero(~(empty | filled | said))
            counts[free] = balance(counts[free], count.margins, {n: state.own.columns[n][free] for n in count.margins}, rng)
            state.counts[key] = counts
            state.offer([Feature(f"n.{key}")], {f"n.{key}": small_bins(counts.astype(float))})
        for (key, column), mean in model.means.items():
            rng = stream(self.seed, table, "mean", key, column)
            drawn = mean.variable.draw(state.context.columns, state.rows, rng)
            drawn = np.where(state.counts[key] > 0, drawn, np.nan)
            name = f"m.{key}.{column}"
            state.offer([Feature(name)], {name: digitize(drawn, mean.edges)})

    def _within_quotas(self, model: TableModel, state: State, key: str, count: CountModel, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The counts as far as ceilings and categories allow, and whether these say something of a row; int64, bool (rows,)."""
        most = state.most.get(key, np.full(state.rows, np.iinfo(np.int64).max if count.most is None else count.most))
        for ceiling in count.ceilings:
            value = numbers_above(self, model, state, ceiling.key, ceiling.column)
            most = np.where(np.isfinite(value), np.minimum(most, np.floor(np.nan_to_num(value)).astype(np.int64)), most)
        says = count.fixed
        fixed = says.of(state.parents[says.key] if says.key else state.x[says.column]) if says is not None else np.full(state.rows, -1)
        if says is not None:
            state.least[key] = np.minimum(np.maximum(fixed, 0), most)
            most = np.where(fixed >= 0, np.minimum(fixed, most), most)
        if count.ceilings or says is not None:
            state.most[key] = most
        return np.where(fixed >= 0, np.minimum(fixed, most), np.minimum(counts, most)), (fixed >= 0) | (most <= counts)

    def _room(self, model: TableModel, state: State, key: str, count: CountModel) -> np.ndarray | None:
        """How many children a calendar, or their pace, leaves room for; None where there is neither."""
        if count.steady is None:
            return None
        child = next(m for m in self.model.tables.values() if m.plan.is_owner(key))
        codec, codecs = child.codec(count.steady.column), {c: model.codec(c) for c in state.x}
        assert isinstance(codec, NumberCodec)
        return time_for(count.steady, codec, codecs, state.x)

    def _deferred(self, model: TableModel, state: State, fk: ForeignKey) -> None:
        if model.reference is not None:
            copied_reference(self, state, fk, stream(self.seed, model.plan.table, "reference", fk.id))
            return
        fixed = anchored(self.schema, fk)
        if len(fixed) == len(fk.columns):
            self._follow_values(model, state, fk)
        else:
            inverse = model.links[fk.id].inverse is not None
            find = own_child if inverse else draw_tree if fk.is_self_reference else find_parents
            index = find(self, model, state, fk)
            state.parents[fk.id], parents = index, self.states[fk.parent].rows
            missing = np.flatnonzero(lacking(self, model, state, [fk.id]))
            if len(missing) and parents and not fixed:
                index[missing] = anybody(self, model, state, fk, missing)
        waiting = {f.id for f in model.plan.deferred if f.id not in state.parents}
        if not waiting:
            keep_unique(self, model, state, self.schema.table(model.plan.table), waiting)

    def _follow_values(self, model: TableModel, state: State, fk: ForeignKey) -> None:
        """A key whose columns have values of their own points where these occur; where they do not, it must not claim so."""
        mine = [pa.chunked_array([self.value(model.plan.table, c)]) for c in fk.columns]
        theirs = [pa.chunked_array([self.value(fk.parent, c)]) for c in fk.parent_columns]
        state.parents[fk.id] = index = parent_rows(mine, theirs)
        for column in fk.columns:
            if self.schema.table(model.plan.table).column(column).nullable:
                state.arrays[column] = state.arrays[column].take(pa.array(np.arange(state.rows), mask=index < 0))
