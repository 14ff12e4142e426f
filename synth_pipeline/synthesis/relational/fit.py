"""Learning a database: frames, plan, rules, then one table after the other, parents first.

The order in which things are learnt is the order in which `sample` draws them: lookups, links, columns, counts and means
of the children, deferred keys; everything learns from what was there before it.
"""

from __future__ import annotations

import time
from collections.abc import Collection

import numpy as np

from synth_pipeline.catalog.schema import ForeignKey
from synth_pipeline.progress import Progress
from synth_pipeline.synthesis.base import TrainingData
from synth_pipeline.synthesis.parallel import Workers
from synth_pipeline.synthesis.relational.carry import carried_rows
from synth_pipeline.synthesis.relational.columns import make_column, named_columns
from synth_pipeline.synthesis.relational.counts import CountModel, telling_columns
from synth_pipeline.synthesis.relational.encode import CategoryCodec, NumberCodec, bin_edges, digitize, hashed_units
from synth_pipeline.synthesis.relational.frame import Frame, Group, small_bins
from synth_pipeline.synthesis.relational.later import Growth, Later
from synth_pipeline.synthesis.relational.links import LinkModel, find_path, fit_blocks, levels
from synth_pipeline.synthesis.relational.model import Context, DatabaseModel, DrawnColumn, MeanModel, TableModel, opening_context
from synth_pipeline.synthesis.relational.random import stream
from synth_pipeline.synthesis.relational.rules import (
    Base,
    Presence,
    day_of,
    equal_rows,
    find_numbering,
    find_rules,
    find_run,
    find_written,
    months_of,
    run_lengths,
)
from synth_pipeline.synthesis.relational.scatter import evenness, exchangeable
from synth_pipeline.synthesis.relational.structure import TablePlan, one_child
from synth_pipeline.synthesis.relational.training import Training, ranking_column
from synth_pipeline.synthesis.relational.trees import Feature
from synth_pipeline.synthesis.relational.variable import Privacy, Variable, without_rare

_CHECKED = 50
_LAGGED_ROWS = 200
_LONGEST = 400
_WORTH = 0.03
"""The share of variance that the sibling before must explain in addition, to be looked at."""


def fit_database(data: TrainingData, privacy: Privacy, seed: int, progress: Progress, workers: Workers) -> DatabaseModel:
    """Learns a database from its training data; it is the same for any number of workers."""
    return _Fit(data, privacy, seed, workers).run(progress)


class _Fit:
    def __init__(self, data: TrainingData, privacy: Privacy, seed: int, workers: Workers) -> None:
        self.data, self.schema, self.privacy, self.seed = data, data.schema, privacy, seed
        self.training = Training.of(data, seed)
        self.frames, self.roles, self.plans = self.training.frames, self.training.roles, self.training.plans
        self.models: dict[str, TableModel] = {}
        self.own: dict[str, Context] = {}
        self.above: dict[str, Context] = {}
        self.contexts: dict[str, Context] = {}
        self.warnings: list[str] = []
        self.later = Later(workers)

    def run(self, progress: Progress) -> DatabaseModel:
        start = time.perf_counter()
        with progress.step("fit", total=len(self.plans)) as step:
            for plan in self.plans:
                self._table(plan)
                self.later.finish()
                step.advance(note=plan.table)
        for plan in self.plans:
            for fk in plan.deferred:
                self._deferred(plan, fk)
        self.later.finish()
        info = {
            "synthesizer": "relational", "rows": {t: f.rows for t, f in self.frames.items()},
            "seconds": round(time.perf_counter() - start, 3), "seed": self.seed, "warnings": self.warnings,
            "rules": [line for m in self.models.values() for line in self._describe(m)],
            "reference_tables": sorted(t for t, m in self.models.items() if m.reference is not None),
        }  # fmt: skip
        return DatabaseModel(self.schema, {p.table: self.models[p.table] for p in self.plans}, info)

    # --- one table -----------------------------------------------------------------------------------------------------

    def _table(self, plan: TablePlan) -> None:
        frame, population = self.frames[plan.table], self.data.population
        model = TableModel(plan, int(population.rows.get(plan.table, frame.rows)))
        self.models[plan.table] = model
        self.own[plan.table], self.above[plan.table], self.contexts[plan.table] = Context(), Context(), Context()
        if plan.table in self.training.reference:
            model.reference = frame.data
            self._reference_features(frame)
            return
        if plan.owner is not None:
            fanout = population.fanouts.get(plan.owner.id)
            nulls = fanout.null_children + fanout.dangling if fanout else int((frame.parents[plan.owner.id] < 0).sum())
            model.null_owners = min(1.0, nulls / max(1, model.rows))
            model.ranking = ranking_column(frame)
            owner = plan.owner.parent
            context, self.above[plan.table] = opening_context(self.own[owner], self.above[owner], frame.group)
        else:
            context = Context()
        self.contexts[plan.table] = context
        for fk in plan.lookups:
            model.lookups[fk.id] = self._lookup(model, frame, context, fk)
        known = [plan.owner] if plan.owner else []
        for fk in plan.links:
            model.links[fk.id] = self._link(frame, context, fk, [*known, *plan.lookups])
            context.add(*self.own[fk.parent].seen_from(f"l.{fk.id}.", frame.parents[fk.id]))
            known.append(fk)
        self._columns(plan, model, frame, context, [*known, *plan.lookups])
        self._counts(plan, model, frame, context)
        self._means(plan, model, frame, context)

    def _reference_features(self, frame: Frame) -> None:
        self.own[frame.table.id].add([Feature("row", max(1, frame.rows))], {"row": np.arange(frame.rows, dtype=np.int32)})

    def _lookup(self, model: TableModel, frame: Frame, context: Context, fk: ForeignKey) -> Variable:
        index = frame.parents[fk.id]
        x = np.where(index >= 0, index, np.nan).astype(float)
        codes = max(1, self.frames[fk.parent].rows)
        lag = None
        if frame.group is not None:
            name = f"p.k.{fk.id}"
            before = frame.group.previous(x)
            lag = Feature(name, codes), np.where(np.isnan(before), -1, before).astype(np.int32)
        variable = self._repeating(model, frame, context, x, fk.id, ("lookup", fk.id), lag, codes=codes)
        context.add(*self._lookup_feature(fk, index))
        self.own[frame.table.id].add(*self._lookup_feature(fk, index))
        return variable

    def _lookup_feature(self, fk: ForeignKey, index: np.ndarray) -> tuple[list[Feature], dict[str, np.ndarray]]:
        name = f"k.{fk.id}"
        return [Feature(name, max(1, self.frames[fk.parent].rows))], {name: index.astype(np.int32)}

    def _link(self, frame: Frame, context: Context, fk: ForeignKey, known: list[ForeignKey]) -> LinkModel:
        model = LinkModel(most=1 if one_child(frame.table, fk) else None)
        model.path = find_path(self.frames, frame, fk, known)
        if model.path is not None:
            return model
        index, parent = frame.parents[fk.id], self.frames[fk.parent]
        train = np.flatnonzero(frame.train)
        if self.schema.nullable(fk) and (index[train] < 0).any():
            model.absent = self._variable(frame, context, np.where(index < 0, np.nan, 0.0), ("absent", fk.id), codes=1)
        own = self.own[fk.parent]
        rng = stream(self.seed, frame.table.id, "blocks", fk.id)
        model.tree, block, model.blocks = fit_blocks(parent.rows, own.features, own.columns, index, train, context.features, context.columns, rng)
        if model.blocks > 1:
            x = np.where(index >= 0, block[np.maximum(index, 0)], np.nan).astype(float)
            present = train[index[train] >= 0]
            model.block = self._variable(frame, context, x, ("block", fk.id), codes=model.blocks, rows=present)
        return model

    def _columns(self, plan: TablePlan, model: TableModel, frame: Frame, context: Context, parents: list[ForeignKey]) -> None:
        roles = self.roles[plan.table]
        owned = [p.owner for p in self.plans if p.owner is not None and p.owner.parent == plan.table]
        rules = model.rules = find_rules(
            frame, self.frames, parents, owned, roles.drawn, [*roles.drawn, *roles.copyable], roles.places, plan.owner
        )
        exact = rules.exact()
        frame.late = set(rules.totals)
        for column in exact & set(frame.codecs):
            model.exact[column] = frame.codecs[column]
        model.order = _column_order(roles.drawn, model, exact)
        for column in model.order:
            if column in rules.sticky:
                self._sticky(model, frame, context, column)
            if column in rules.determined:
                source = frame.x[rules.determined[column]]
                unique, first = np.unique(np.where(np.isnan(source), np.inf, source), return_index=True)
                model.maps[column] = (unique, frame.x[column][first])
            elif column not in exact:
                self._drawn(model, frame, context, column)
            if column in rules.totals or column in rules.copied:
                continue
            features, columns = frame.codecs[column].features(f"c.{column}", frame.x[column])
            context.add(features, columns)
            self.own[plan.table].add(features, columns)
        keys = [fk for fk in parents if len(fk.columns) == 1]
        alone = [c for c in roles.made if c in roles.unique]
        for column in alone:
            numbering = find_numbering(frame, keys, column) if roles.kinds[column] == "surrogate" else None
            if numbering is not None:
                rules.numbered[column] = numbering
        for column in alone:
            public = roles.kinds[column] in ("shape", "personal") and not self.data.metadata.column(plan.table, column).pii
            written = find_written(frame, column, rules.numbered) if public else None
            if written is not None:
                rules.written[column] = written
        for check in frame.table.checks:
            named = tuple(c for c in rules.drawn_behind(named_columns(check.sql, model.order)) if c in frame.x)
            picked = stream(self.seed, plan.table, "check", check.sql).permutation(np.flatnonzero(frame.train))[:_CHECKED]
            model.checks[check.sql] = named, np.stack([frame.x[c][picked] for c in named], axis=1) if named else np.empty((0, 0))
        for column in roles.made:
            if column in rules.copied:
                continue
            if column in rules.sticky:
                self._sticky(model, frame, context, column)
            nulls = frame.data.column(column).null_count
            absent = None
            if 0 < nulls < frame.rows:
                x = np.where(np.asarray(frame.data.column(column).is_null()), np.nan, 0.0)
                absent = self._variable(frame, context, x, ("absent", column), codes=1, rows=self._learnable(model, frame, column))
            meta = self.data.metadata.tables[plan.table]
            model.made[column] = make_column(frame, column, roles, meta, absent, stream(self.seed, plan.table, "make", column))

    def _sticky(self, model: TableModel, frame: Frame, context: Context, column: str) -> None:
        """Whether a row repeats its parent's value; those before are known, as addresses are repeated as a whole."""
        copy = model.rules.sticky[column]
        fk = next(f for f in frame.table.foreign_keys if f.id == copy.key)
        index = frame.parents[fk.id]
        same = np.where(index >= 0, equal_rows(frame.data.column(column), self.frames[fk.parent].data.column(copy.column), index), False)
        model.sticky[column] = self._variable(frame, context, same.astype(float), ("sticky", column))
        context.add([Feature(f"s.{column}")], {f"s.{column}": same.astype(np.uint8)})

    def _drawn(self, model: TableModel, frame: Frame, context: Context, column: str) -> None:
        codec, x = frame.codecs[column], frame.x[column]
        base, levels = model.rules.bases.get(column), model.rules.levels.get(column)
        if levels is not None:
            x = levels.level(frame.x[levels.source], x)
        train = self._learnable(model, frame, column)
        codes = levels.most if levels is not None else max(1, len(codec.dictionary)) if isinstance(codec, CategoryCodec) else 0
        if codes and levels is None and self.privacy.min_category > 1:
            x = without_rare(x, codes, frame.entities, self.privacy.min_category)
        if base is None:
            rows = train
            if column in model.rules.chains and frame.group is not None:
                rows = train[frame.group.position[train] == frame.group.size[train] - 1]
            smooth = not codes and column not in model.rules.determined.values()
            lag = None
            if frame.group is not None and levels is not None:
                before = frame.group.previous(x)
                lag = Feature(f"p.c.{column}", codes), np.where(np.isnan(before), -1, before).astype(np.int32)
            elif frame.group is not None and column != model.ranking:
                named, lagged = codec.features(f"p.c.{column}", frame.group.previous(x))
                lag = named[0], lagged[named[0].name]
            rules = model.rules
            if rows is train and column not in {*rules.sticky, *rules.levels, *rules.steps, *rules.presence}:
                variable = self._repeating(model, frame, context, x, column, ("column", column), lag, codes=codes, smooth=smooth)
            else:
                variable = self._lagged(frame, context, x, ("column", column), lag, codes=codes, rows=rows, smooth=smooth)
            model.drawn[column] = DrawnColumn(codec, variable, avoid=self._avoid(frame, column))
            return
        assert isinstance(codec, NumberCodec)
        in_months = base.calendar is not None

        def scaled(values: np.ndarray) -> np.ndarray:
            return months_of(codec, values) if in_months and isinstance(codec, NumberCodec) else values

        distance = scaled(x) - scaled(self._base_values(frame, base, column))
        if base.kind == "previous" and base.first is None and frame.group is not None and not in_months and _irregular(frame.group, distance):
            located = any(f.name.startswith("u.m.") and f.name.endswith(f".{column}") for f in context.features)
            even = evenness(frame.group, x, located=located)
            if even is not None:
                features = exchangeable(context.features)
                variable = self._variable(frame, Context(features, context.columns), x, ("column", column), rows=train, smooth=True)
                model.drawn[column] = DrawnColumn(codec, variable, scatter=even, avoid=self._avoid(frame, column))
                return
        first = span = day = None
        if base.kind == "previous" and frame.group is not None:
            opening = train[frame.group.position[train] == 0]
            start = scaled(x) - scaled(self._base_values(frame, base.first, column)) if base.first is not None else scaled(x)
            first = self._variable(frame, context, start, ("first", column), rows=opening, smooth=True)
            if base.calendar is not None and not base.calendar.day:
                day = self._variable(frame, context, frame.group.highest(day_of(codec, x)), ("day", column), rows=opening)
            if not in_months and _irregular(frame.group, distance):
                longer = opening[frame.group.size[opening] > 1]
                span = self._variable(frame, context, frame.group.last(x) - x, ("span", column), rows=longer, smooth=True)
            train = train[frame.group.position[train] > 0]
        elif frame.table.column(column).nullable is False:
            train = train[np.isfinite(distance[train])]
        edges = bin_edges(distance)
        lag = None
        if frame.group is not None:
            lag = Feature(f"p.d.{column}"), digitize(frame.group.previous(distance), edges)
        variable = self._lagged(frame, context, distance, ("column", column), lag, rows=train, smooth=True)
        model.drawn[column] = DrawnColumn(codec, variable, first, day, span, edges=edges, avoid=self._avoid(frame, column))
        name = f"d.{column}"
        feature, values = [Feature(name)], {name: digitize(distance, edges)}
        context.add(feature, values)
        self.own[frame.table.id].add(feature, values)

    def _learnable(self, model: TableModel, frame: Frame, column: str) -> np.ndarray:
        """The rows on which a drawn column is not known from others."""
        train, rules = np.flatnonzero(frame.train), model.rules
        if column in rules.presence:
            empty, filled = rules.presence[column].decide(self._deciding(frame, rules.presence[column]))
            train = train[~empty[train]] if column in frame.codecs else train[~(empty | filled)[train]]
        if column in rules.steps:
            train = train[np.isnan(frame.x[rules.steps[column].scale.source][train])]
        return train

    def _deciding(self, frame: Frame, presence: Presence) -> np.ndarray:
        """The values that decide whether a column is empty; real rows."""
        if not presence.key:
            return frame.x[presence.source]
        fk = next(f for f in frame.table.foreign_keys if f.id == presence.key)
        above, index = self.frames[fk.parent], frame.parents[fk.id]
        x = above.x[presence.source] if presence.source else np.arange(above.rows, dtype=float)
        return np.where(index >= 0, x[np.maximum(index, 0)], np.nan)

    def _avoid(self, frame: Frame, column: str) -> np.ndarray | None:
        """Hashes of personal values that are drawn between donors (a latitude), so that none of them comes out."""
        if not self.data.metadata.column(frame.table.id, column).pii or not isinstance(frame.codecs[column], NumberCodec):
            return None
        return np.unique(hashed_units(frame.x[column][np.isfinite(frame.x[column])]))

    def _base_values(self, frame: Frame, base: Base, column: str) -> np.ndarray:
        """The base of each row in units of the column; real rows."""
        codec = frame.codecs[column]
        assert isinstance(codec, NumberCodec)
        if base.kind == "previous" and frame.group is not None:
            return frame.group.previous(frame.x[column])
        if base.kind == "own":
            other = frame.codecs[base.column]
            assert isinstance(other, NumberCodec)
            return frame.x[base.column] * (other.unit / codec.unit)
        fk = next(f for f in frame.table.foreign_keys if f.id == base.key)
        above, index = self.frames[fk.parent], frame.parents[fk.id]
        other = above.codecs[base.column]
        assert isinstance(other, NumberCodec)
        return np.where(index >= 0, above.x[base.column][np.maximum(index, 0)], np.nan) * (other.unit / codec.unit)

    def _counts(self, plan: TablePlan, model: TableModel, frame: Frame, context: Context) -> None:
        rows = np.flatnonzero(frame.counted)
        for fk in self.training.degrees.get(plan.table, []):
            child = self.frames[fk.table]
            index = child.parents[fk.id]
            count = np.bincount(index[index >= 0], minlength=frame.rows).astype(float)
            dated = ranking_column(child) if child.group is not None and self._owner_of(fk.table) == fk.id else None
            run = find_run(child, fk, frame, dated) if dated is not None else None
            codec = child.codecs[run.column] if run is not None else None
            room = run_lengths(run, codec, frame.codecs, frame.x) if run is not None and isinstance(codec, NumberCodec) else 0
            variable = self._variable(frame, context, count - room, ("count", fk.id), rows=rows)
            fanout = self.data.population.fanouts.get(fk.id)
            if fanout is not None and fanout.degrees:
                degrees, parents = np.array(fanout.degrees), np.array(fanout.parents)
            else:
                degrees, parents = np.unique(count[rows].astype(np.int64), return_counts=True)
            model.counts[fk.id] = CountModel(variable, degrees, parents, 1 if one_child(child.table, fk) else None, run)
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
            if not inside.any() or count[count > 0].mean() < 3:
                continue
            for column, score in telling_columns(child, index, count):
                total = np.bincount(index[inside], score[inside], minlength=frame.rows)
                mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
                rows = np.flatnonzero(frame.counted)
                variable = self._variable(frame, context, mean, ("mean", fk.id, column), rows=rows, smooth=True)
                edges = bin_edges(mean)
                model.means[fk.id, column] = MeanModel(variable, edges)
                self._offer(frame, context, f"m.{fk.id}.{column}", digitize(mean, edges))

    def _offer(self, frame: Frame, context: Context, name: str, values: np.ndarray) -> None:
        context.add([Feature(name)], {name: values})
        self.own[frame.table.id].add([Feature(name)], {name: values})

    def _deferred(self, plan: TablePlan, fk: ForeignKey) -> None:
        frame, model = self.frames[fk.table], self.models[fk.table]
        if plan.table in self.training.reference:
            return
        context = self.contexts[plan.table]
        if fk.is_self_reference:
            model.links[fk.id] = LinkModel(most=1 if one_child(frame.table, fk) else None)
            model.depth[fk.id] = self._variable(frame, context, levels(frame.parents[fk.id]), ("depth", fk.id))
            return
        known = [f for f in (plan.owner, *plan.links, *plan.lookups) if f is not None]
        model.links[fk.id] = self._link(frame, context, fk, known)

    def _repeating(
        self,
        model: TableModel,
        frame: Frame,
        context: Context,
        x: np.ndarray,
        key: str,
        name: tuple[object, ...],
        lag: tuple[Feature, np.ndarray] | None,
        *,
        codes: int = 0,
        smooth: bool = False,
    ) -> Variable:
        """The variable of what is new with a row, where siblings repeat each other; else one that may look at the sibling before."""
        train = np.flatnonzero(frame.train)
        carried = None
        if lag is not None and frame.group is not None:
            carried = carried_rows(frame.group, x, train, stream(self.seed, "fit", frame.table.id, *name, "carried"))
        if carried is None or frame.group is None:
            return self._lagged(frame, context, x, name, lag, codes=codes, smooth=smooth)
        later = train[frame.group.position[train] > 0]
        model.carried[key] = self._variable(frame, context, carried.astype(float), (*name, "carried"), rows=later)
        # All rows, not the fresh ones: a draw stands for as many rows as carry it on, and values are as frequent as they are.
        variable = self._variable(frame, context, x, name, codes=codes, smooth=smooth)
        context.add([Feature(f"r.{key}")], {f"r.{key}": carried.astype(np.uint8)})
        return variable

    def _lagged(
        self,
        frame: Frame,
        context: Context,
        x: np.ndarray,
        name: tuple[object, ...],
        lag: tuple[Feature, np.ndarray] | None,
        *,
        codes: int = 0,
        rows: np.ndarray | None = None,
        smooth: bool = False,
    ) -> Variable:
        """A variable that looks at the sibling before, where that explains what nothing else does."""
        group = frame.group
        if lag is None or group is None or (group.position > 0).sum() < _LAGGED_ROWS or group.size.max() > _LONGEST:
            return self._variable(frame, context, x, name, codes=codes, rows=rows, smooth=smooth)
        margin = _WORTH * float((group.position > 0).mean())
        return self._variable(frame, context, x, name, codes=codes, rows=rows, smooth=smooth, lag=lag, margin=margin)

    def _variable(
        self,
        frame: Frame,
        context: Context,
        x: np.ndarray,
        name: tuple[object, ...],
        *,
        codes: int = 0,
        rows: np.ndarray | None = None,
        smooth: bool = False,
        lag: tuple[Feature, np.ndarray] | None = None,
        margin: float = 0.0,
    ) -> Variable:
        """A variable, which is empty until all of the table are fitted."""
        rows, names = np.flatnonzero(frame.train) if rows is None else rows, (frame.table.id, *name)
        known, columns = list(context.features), dict(context.columns)
        return self.later.variable(
            Growth(x, rows, known, columns, frame.entities, self.privacy, self.seed, names, codes, smooth, lag, margin)
        )

    def _describe(self, model: TableModel) -> list[str]:
        parents = {fk.id: fk.parent for fk in self.schema.table(model.plan.table).foreign_keys}
        parents |= {fk.id: fk.table for fk in self.schema.children[model.plan.table] if fk.id not in parents}
        lines = list(model.rules.describe(model.plan.table, parents))
        for key, link in model.links.items():
            if link.path is not None:
                fk = next(f for f in self.schema.table(model.plan.table).foreign_keys if f.id == key)
                lines.append(f"{model.plan.table}.{', '.join(fk.columns)} = that of its {parents.get(link.path[0], '')}")
        return lines


def _irregular(group: Group, steps: np.ndarray) -> bool:
    """Whether steps between siblings vary so much that their sum would wander: their spread is near their mean, or above."""
    known = np.isfinite(steps)
    middle = steps[known]
    if not len(middle) or middle.mean() <= 0:
        return False
    return bool(middle.std() / middle.mean() > 0.3 and np.unique(middle, return_counts=True)[1].max() < 0.5 * len(middle))


def _column_order(drawn: Collection[str], model: TableModel, exact: Collection[str]) -> list[str]:
    """Columns in the schema's order, the ranking one first, each after those that it is computed from."""
    rules = model.rules
    needs = {c: set(rules.operands(c)) & set(drawn) for c in drawn}
    first = [c for c in drawn if c in rules.copied] + ([model.ranking] if model.ranking else [])
    waiting = list(dict.fromkeys([*first, *drawn]))
    order: list[str] = []
    while waiting:
        nxt = next((c for c in waiting if not needs[c] - set(order)), waiting[0])
        waiting.remove(nxt)
        order.append(nxt)
    return order
