"""Learning a database: frames, plan, rules, then one table after the other, parents first.

The order in which things are learnt is the order in which `sample` draws them: lookups, links, columns, counts and means
of the children, deferred keys; everything learns from what was there before it.
"""

from __future__ import annotations

import time

import numpy as np

from synth_pipeline.catalog.schema import ForeignKey
from synth_pipeline.progress import Progress
from synth_pipeline.synthesis.base import TrainingData
from synth_pipeline.synthesis.parallel import Workers
from synth_pipeline.synthesis.relational.balance import find_margins
from synth_pipeline.synthesis.relational.bridges import Bridge
from synth_pipeline.synthesis.relational.counts import CountModel, count_bins, telling_columns
from synth_pipeline.synthesis.relational.encode import NumberCodec, bin_edges, codes_of, digitize, held_above
from synth_pipeline.synthesis.relational.findings import findings
from synth_pipeline.synthesis.relational.frame import Frame, parents_of, small_bins
from synth_pipeline.synthesis.relational.hierarchy import Hierarchy, find_kinship, levels
from synth_pipeline.synthesis.relational.learn_columns import ColumnLearner
from synth_pipeline.synthesis.relational.links import LinkModel, find_meeting, find_path, find_since, fit_blocks
from synth_pipeline.synthesis.relational.model import Context, DatabaseModel, MeanModel, TableModel, completed, opening_context
from synth_pipeline.synthesis.relational.normal.normalise import NormalForm, normalised
from synth_pipeline.synthesis.relational.quota import find_ceilings, find_fixed
from synth_pipeline.synthesis.relational.random import stream
from synth_pipeline.synthesis.relational.rules import Presence, Run, find_childless, find_counted, find_pace, find_run, time_for
from synth_pipeline.synthesis.relational.rules.support import supported
from synth_pipeline.synthesis.relational.structure import TablePlan, one_child
from synth_pipeline.synthesis.relational.training import ranking_column
from synth_pipeline.synthesis.relational.trees import Feature
from synth_pipeline.synthesis.relational.typed import owner_feature
from synth_pipeline.synthesis.relational.variable import Privacy, Variable

_CHILDREN = 3
"""Fewest children of a parent on average, from which on their means say more than a child would."""


def fit_database(data: TrainingData, privacy: Privacy, seed: int, progress: Progress, workers: Workers) -> DatabaseModel:
    """Learns a database from its training data; it is the same for any number of workers."""
    return fit_normal(normalised(data, privacy.min_entities), privacy, seed, progress, workers)


def fit_normal(normal: NormalForm, privacy: Privacy, seed: int, progress: Progress, workers: Workers) -> DatabaseModel:
    """The same, of a database that is in normal form."""
    return _Fit(normal, privacy, seed, workers).run(progress)


class _Fit(ColumnLearner):
    def __init__(self, normal: NormalForm, privacy: Privacy, seed: int, workers: Workers) -> None:
        super().__init__(normal.data, privacy, seed, workers)
        self.source, self.population, self.pivots = normal.source.schema, normal.source.population, dict(normal.pivots)
        self._waiting: set[tuple[str, str]] = set()
        self._reached: set[str] = set()
        self._told: dict[str, np.ndarray] = {}

    def run(self, progress: Progress) -> DatabaseModel:
        start = time.perf_counter()
        with progress.step("fit", total=len(self.plans)) as step:
            for plan in self.plans:
                self._table(plan)
                self._reached |= {fk.id for fk in plan.ready}
                for fk in plan.soon:
                    self._deferred(plan, fk)
                self.later.finish()
                self._complete()
                step.advance(note=plan.table)
        deferred = [(plan, fk) for plan in self.plans for fk in plan.deferred if fk not in plan.soon]
        for plan, fk in sorted(deferred, key=lambda d: d[1].id in self.training.inverse):
            self._deferred(plan, fk)
        self.later.finish()
        info = {
            "synthesizer": "relational", "rows": {t: self.pivots[t].rows if t in self.pivots else self.frames[t].rows for t in self.source.table_ids},
            "population": dict(self.population.rows),
            "seconds": round(time.perf_counter() - start, 3), "seed": self.seed, "warnings": self.warnings,
            "rules": [line for m in self.models.values() for line in findings(self.source, self.schema, self.pivots.get(m.plan.table), m)],
            "reference_tables": sorted(t for t, m in self.models.items() if m.reference is not None and t in self.source),
        }  # fmt: skip
        return DatabaseModel(self.source, self.schema, self.pivots, {p.table: self.models[p.table] for p in self.plans}, info)

    def _complete(self) -> None:
        """Makes known what waited for rows that are there now."""
        keys = {fk.id: p.table for p in self.plans for fk in p.ready}
        for table, column in completed(self.models, keys, self.models, self._waiting):
            frame = self.frames[table]
            frame.late.discard(column)
            self.own[table].add(*frame.codecs[column].features(f"c.{column}", frame.x[column]))

    # --- one table -----------------------------------------------------------------------------------------------------

    def _table(self, plan: TablePlan) -> None:
        frame, population = self.frames[plan.table], self.data.population
        model = TableModel(plan, int(population.rows.get(plan.table, frame.rows)))
        self.models[plan.table] = model
        frame.known = tuple(plan.ready)
        self.own[plan.table], self.above[plan.table], self.contexts[plan.table] = Context(), Context(), Context()
        if plan.table in self.training.reference:
            model.reference = frame.data
            self._reference_features(frame)
            self._counted(plan, model, frame)
            return
        if plan.table in self.training.enumerated:
            model.reference = frame.data
            self._enumerated(plan, model, frame, self.contexts[plan.table])
            return
        if plan.owner is not None:
            fanout = population.fanouts.get(plan.owner.id)
            nulls = fanout.null_children + fanout.dangling if fanout else int((frame.parents[plan.owner.id] < 0).sum())
            model.null_owners = min(1.0, nulls / max(1, model.rows))
            model.ranking = ranking_column(frame)
            owner = plan.owner.parent
            context, self.above[plan.table] = opening_context(self.own[owner], self.above[owner], frame.group)
            context.add(*owner_feature(plan, frame.parents))
        else:
            context = Context()
        self.contexts[plan.table] = context
        known = [plan.owner] if plan.owner else []
        for n, fk in enumerate(plan.lookups):
            before = [*known, *plan.lookups[:n]]
            if (path := self._path(frame, context, fk, before)) is not None:
                model.links[fk.id] = path
            elif self._among(frame, fk, before) is not None:
                model.links[fk.id] = self._link(frame, context, fk, before)
            else:
                if (meets := self._meeting(frame, fk, before)) is not None:
                    model.links[fk.id] = LinkModel(meets=meets)
                model.lookups[fk.id] = self._lookup(model, frame, context, fk)
            name = f"k.{fk.id}"
            features, values = [Feature(name, max(1, self.frames[fk.parent].rows))], {name: frame.parents[fk.id].astype(np.int32)}
            context.add(features, values)
            self.own[plan.table].add(features, values)
        for fk in plan.links:
            model.links[fk.id] = self._link(frame, context, fk, [*known, *plan.lookups])
            context.add(*self.own[fk.parent].seen_from(f"l.{fk.id}.", frame.parents[fk.id]))
            known.append(fk)
        self._columns(plan, model, frame, context, [*known, *plan.lookups])
        for fk in plan.links:
            model.links[fk.id].says = self._says(model, frame, fk)
        self._waiting |= {(plan.table, c) for c in frame.late}
        self._counts(plan, model, frame, context)
        self._means(plan, model, frame, context)

    def _reference_features(self, frame: Frame) -> None:
        self.own[frame.table.id].add([Feature("row", max(1, frame.rows))], {"row": np.arange(frame.rows, dtype=np.int32)})

    def _counted(self, plan: TablePlan, model: TableModel, frame: Frame) -> None:
        """What copied rows say of those that refer to them, synthetic ones tell."""
        children = [fk for p in self.plans for fk in p.keys if fk.parent == plan.table and p.table not in self.training.reference]
        for column, total in find_counted(frame, self.frames, children, self.roles[plan.table].drawn):
            model.rules.totals[column], model.exact[column] = total, frame.codecs[column]
            model.order.append(column)
        frame.late = model.rules.late()
        self._waiting |= {(plan.table, c) for c in frame.late}

    def _enumerated(self, plan: TablePlan, model: TableModel, frame: Frame, context: Context) -> None:
        """Rows that are copied are known by their columns, and have as many children as these say."""
        for column in self.roles[plan.table].drawn:
            codec = model.exact[column] = frame.codecs[column]
            model.order.append(column)
            features, values = codec.features(f"c.{column}", frame.x[column])
            context.add(features, values)
            self.own[plan.table].add(features, values)
        self._counts(plan, model, frame, context)
        self._means(plan, model, frame, context)

    def _lookup(self, model: TableModel, frame: Frame, context: Context, fk: ForeignKey) -> Variable:
        index = frame.parents[fk.id]
        x = np.where(index >= 0, index, np.nan).astype(float)
        codes = max(1, self.frames[fk.parent].rows)
        if fk.id in model.plan.typed:
            mine = model.plan.typed[fk.id].of(frame.parents[model.plan.typed[fk.id].key])
            return self._variable(frame, context, x, ("lookup", fk.id), codes=codes, rows=np.flatnonzero(frame.train & mine), shares=True)
        lag = None
        if frame.group is not None:
            lag = Feature(f"p.k.{fk.id}", codes), codes_of(frame.group.previous(x))
        return self._repeating(model, frame, context, x, fk.id, ("lookup", fk.id), lag, codes=codes)

    def _meeting(self, frame: Frame, fk: ForeignKey, known: list[ForeignKey]) -> tuple[str, str, str] | None:
        """Where a row of a reference table leads in turn that another parent of the row leads to, too (see `find_meeting`)."""
        return find_meeting(self.frames, frame, fk, known, self._reached) if self.frames[fk.parent].parents else None

    def _link(self, frame: Frame, context: Context, fk: ForeignKey, known: list[ForeignKey]) -> LinkModel:
        path = self._path(frame, context, fk, known)
        if path is not None:
            return path
        model = LinkModel(most=1 if one_child(frame.table, fk) else None)
        model.meets = find_meeting(self.frames, frame, fk, known, self._reached)
        model.among = self._among(frame, fk, known)
        model.since = find_since(self.frames, frame, fk, known)
        index, parent = frame.parents[fk.id], self.frames[fk.parent]
        train = np.flatnonzero(frame.train)
        model.absent = self._absent(frame, context, fk)
        own = self.own[fk.parent]
        rng = stream(self.seed, frame.table.id, "blocks", fk.id)
        model.tree, block, model.blocks = fit_blocks(parent.rows, own.features, own.columns, index, train, context.features, context.columns, rng)
        if model.blocks > 1:
            x = held_above(block, index)
            present = train[index[train] >= 0]
            model.block = self._variable(frame, context, x, ("block", fk.id), codes=model.blocks, rows=present)
        return model

    def _path(self, frame: Frame, context: Context, fk: ForeignKey, known: list[ForeignKey]) -> LinkModel | None:
        """A link by keys that lead to the same row, where there are such."""
        found = find_path(self.frames, frame, fk, known, self._reached)
        if found is None:
            return None
        path, led = found
        index, first = frame.parents[fk.id], frame.parents[path[0]] >= 0
        model = LinkModel(path=path, most=1 if one_child(frame.table, fk) else None)
        model.astray, model.beyond = (bool(w.any() and (index[w] >= 0).mean() > 0.5) for w in (~first & ~frame.lost, first & ~led & ~frame.lost))
        self._told[fk.id] = told = led | ~first & model.astray | first & model.beyond
        if (index[led] < 0).any():
            model.absent = self._absent(frame, context, fk, np.flatnonzero(frame.train & told))
        return model

    def _among(self, frame: Frame, fk: ForeignKey, known: list[ForeignKey]) -> Bridge | None:
        """A table that holds all pairs of the key's parent and one that is known, where that is of enough entities."""
        rows = np.flatnonzero(frame.parents[fk.id] >= 0)
        if not supported(frame, rows):
            return None
        ready = self._reached | {k.id for k in known}
        bridges = (b for b in self.training.bridges.get(fk.id, ()) if b.key in {k.id for k in known})
        return next((b for b in bridges if {*b.one, *b.other, *([b.via] if b.via else [])} <= ready), None)

    def _absent(self, frame: Frame, context: Context, fk: ForeignKey, rows: np.ndarray | None = None) -> Variable | None:
        """What tells rows without a parent, where there are some (among `rows`)."""
        without, plan = frame.parents[fk.id] < 0, self.models[frame.table.id].plan
        if fk.id in plan.typed:
            mine = plan.typed[fk.id].of(frame.parents[plan.typed[fk.id].key])
            rows = np.flatnonzero(frame.train & mine) if rows is None else rows[mine[rows]]
        if not plan.optional(self.schema, fk) or not without[frame.train if rows is None else rows].any():
            return None
        return self._variable(frame, context, np.where(without, np.nan, 0.0), ("absent", fk.id), codes=1, rows=rows)

    def _says(self, model: TableModel, frame: Frame, fk: ForeignKey) -> Presence | None:
        """A column of the row that says where a key is NULL."""
        if not self.schema.nullable(fk) or fk.id in model.plan.typed:
            return None
        followed = {c for c, copy in (model.rules.copied | model.rules.sticky).items() if copy.key == fk.id}
        told = [c for c in model.order if c not in frame.late and c not in followed]
        rows = np.flatnonzero(~frame.lost & self._told.get(fk.id, True))
        return find_childless(frame, rows, (frame.parents[fk.id] >= 0).astype(float), told)

    def _counts(self, plan: TablePlan, model: TableModel, frame: Frame, context: Context) -> None:
        rows = np.flatnonzero(frame.counted)
        for fk in self.training.degrees.get(plan.table, []):
            child = self.frames[fk.table]
            index = child.parents[fk.id]
            count = np.bincount(index[index >= 0], minlength=frame.rows).astype(float)
            dated = ranking_column(child) if child.group is not None and self._owner_of(fk.table) == fk.id else None
            steady = find_run(child, fk, frame, dated) or find_pace(child, fk, frame, dated) if dated is not None else None
            room: int | np.ndarray = 0
            if steady is not None and isinstance(codec := child.codecs[steady.column], NumberCodec):
                room = time_for(steady, codec, frame.codecs, frame.x)
            # How many the sibling before has may tell how many come next: large orders follow small ones.
            lag = None
            if frame.group is not None and steady is None:
                lag = Feature(f"p.n.{fk.id}"), count_bins(frame.group.previous(count))
            variable = self._lagged(frame, context, count - room, ("count", fk.id), lag, rows=rows)
            fanout = self.data.population.fanouts.get(fk.id)
            if fanout is not None and fanout.degrees:
                degrees, parents = np.array(fanout.degrees), np.array(fanout.parents)
            else:
                degrees, parents = np.unique(count[rows].astype(np.int64), return_counts=True)
            own, parts = self.own[plan.table], {f"c.{c}.{p}" for c, k in frame.codecs.items() if isinstance(k, NumberCodec) for p in k.parts}
            telling = [f for f in own.features if f.name not in parts]
            margins = find_margins(telling, own.columns, rows, count) if not isinstance(steady, Run) and not fk.is_self_reference else {}
            whole, told = rows[~frame.cut[fk.id][rows]], [c for c in model.order if c not in frame.late]
            childless = find_childless(frame, whole, count, told) if steady is None else None
            most = 1 if one_child(child.table, fk) else None
            before = [f for f in plan.keys if f.id in frame.parents and f not in plan.deferred]
            # Numbers of children are known of all rows, as the histogram is.
            every = (count + _left_out(child, fk, frame)).astype(np.int64)
            ceilings = find_ceilings(frame, self.frames, rows, every, before, told)
            fixed = find_fixed(frame, self.frames, rows, every, plan.lookups, told) if steady is None else None
            model.counts[fk.id] = CountModel(variable, degrees, parents, most, steady, margins, childless, ceilings, fixed)
            self._offer(frame, context, f"n.{fk.id}", small_bins(count))

    def _owner_of(self, table: str) -> str | None:
        return next((p.owner.id for p in self.plans if p.table == table and p.owner is not None), None)

    def _means(self, plan: TablePlan, model: TableModel, frame: Frame, context: Context) -> None:
        for other in self.plans:
            if other.owner is None or other.owner.parent != plan.table or other.table in self.training.reference:
                continue
            child, fk = self.frames[other.table], other.owner
            index = child.parents[fk.id]
            inside = index >= 0
            count = np.bincount(index[inside], minlength=frame.rows)
            if not inside.any() or count[count > 0].mean() < _CHILDREN:
                continue
            for column, score in telling_columns(child, index, count):
                total = np.bincount(index[inside], score[inside], minlength=frame.rows)
                mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
                rows = np.flatnonzero(frame.counted)
                variable = self._variable(frame, context, mean, ("mean", fk.id, column), rows=rows, smooth=True)
                edges = bin_edges(mean)
                model.means[fk.id, column] = MeanModel(variable, edges)
                self._offer(frame, context, f"m.{fk.id}.{column}", digitize(mean, edges))

    def _deferred(self, plan: TablePlan, fk: ForeignKey) -> None:
        frame, model = self.frames[fk.table], self.models[fk.table]
        if plan.table not in self.training.reference:
            context = self.contexts[plan.table]
            known = [f for f in (plan.owner, *plan.links, *plan.lookups) if f is not None]
            if fk.id in self.training.inverse:
                link = model.links[fk.id] = LinkModel(inverse=self.training.inverse[fk.id])
                link.absent = self._absent(frame, context, fk)
            elif fk.is_self_reference:
                model.links[fk.id] = LinkModel(most=1 if one_child(frame.table, fk) else None)
                model.hierarchies[fk.id] = self._hierarchy(frame, context, fk, known)
            else:
                model.links[fk.id] = self._link(frame, context, fk, known)
            model.links[fk.id].says = self._says(model, frame, fk)
        self._reached.add(fk.id)

    def _hierarchy(self, frame: Frame, context: Context, fk: ForeignKey, known: list[ForeignKey]) -> Hierarchy:
        index = frame.parents[fk.id]
        model = Hierarchy(self._variable(frame, context, levels(index), ("depth", fk.id)), *find_kinship(frame, fk, known))
        model.roots = float((index[frame.train] < 0).mean()) if frame.train.any() else 1.0
        if model.after:
            x = frame.x[model.after]
            later = x - held_above(x, index)
            rows = np.flatnonzero(frame.train & np.isfinite(later))
            model.gap = self._variable(frame, context, later, ("gap", fk.id), rows=rows, smooth=True)
        return model


def _left_out(child: Frame, fk: ForeignKey, parent: Frame) -> np.ndarray:
    """How many children of each parent are left out; int64 (parents,)."""
    index = parents_of(child.unseen, fk, parent.data) if child.unseen is not None and child.missing else np.empty(0, dtype=np.int64)
    return np.bincount(index[index >= 0], minlength=parent.rows)
