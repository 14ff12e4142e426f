"""Learning a database: frames, plan, rules, then one table after the other, parents first.

The order in which things are learnt is the order in which `sample` draws them: lookups, links, columns, counts and means
of the children, deferred keys; everything learns from what was there before it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection

import numpy as np
import pyarrow as pa

from synth_pipeline.catalog.schema import ForeignKey
from synth_pipeline.progress import Progress
from synth_pipeline.synthesis.base import TrainingData
from synth_pipeline.synthesis.relational.columns import Roles, assign_roles, make_column
from synth_pipeline.synthesis.relational.counts import CountModel
from synth_pipeline.synthesis.relational.encode import CategoryCodec, NumberCodec, bin_edges, digitize
from synth_pipeline.synthesis.relational.frame import Frame, Group, fit_codec, parents_of, small_bins
from synth_pipeline.synthesis.relational.links import LinkModel, find_path, fit_blocks
from synth_pipeline.synthesis.relational.model import Context, DatabaseModel, DrawnColumn, MeanModel, TableModel, opening_context
from synth_pipeline.synthesis.relational.random import stream
from synth_pipeline.synthesis.relational.rules import Base, equal_rows, find_rules
from synth_pipeline.synthesis.relational.structure import TablePlan, plan_tables, usable_keys
from synth_pipeline.synthesis.relational.trees import Feature
from synth_pipeline.synthesis.relational.variable import Privacy, Variable, fit_variable

logger = logging.getLogger(__name__)

_REFERENCE_ROWS = 150
_MOST_MEANS = 6


def fit_database(data: TrainingData, privacy: Privacy, seed: int, progress: Progress) -> DatabaseModel:
    """Learns a database from its training data."""
    return _Fit(data, privacy, seed).run(progress)


class _Fit:
    def __init__(self, data: TrainingData, privacy: Privacy, seed: int) -> None:
        self.data, self.schema, self.privacy, self.seed = data, data.schema, privacy, seed
        self.frames: dict[str, Frame] = {}
        self.roles: dict[str, Roles] = {}
        self.plans: list[TablePlan] = []
        self.models: dict[str, TableModel] = {}
        self.own: dict[str, Context] = {}
        self.above: dict[str, Context] = {}
        self.contexts: dict[str, Context] = {}
        self.degrees: dict[str, list[ForeignKey]] = {}
        self.warnings: list[str] = []

    def run(self, progress: Progress) -> DatabaseModel:
        start = time.perf_counter()
        self._load()
        self._encode()
        with progress.step("fit", total=len(self.plans)) as step:
            for plan in self.plans:
                self._table(plan)
                step.advance(note=plan.table)
        for plan in self.plans:
            for fk in plan.deferred:
                self._deferred(plan, fk)
        rules = [line for m in self.models.values() for line in self._describe(m)]
        info = {
            "synthesizer": "relational", "rows": {t: f.rows for t, f in self.frames.items()}, "seconds": round(time.perf_counter() - start, 3),
            "rules": rules, "warnings": self.warnings, "seed": self.seed, "reference_tables": sorted(t for t, m in self.models.items() if m.reference is not None),
        }  # fmt: skip
        return DatabaseModel(self.schema, {p.table: self.models[p.table] for p in self.plans}, info)

    # --- the training data ---------------------------------------------------------------------------------------------

    def _load(self) -> None:
        for table in self.schema.tables:
            rows = self.data.bundle.read(table.id)
            notes = self.data.bundle.annotations(table.id)
            core = _flag(notes, "core", rows.num_rows, True)
            held = _flag(notes, "holdout", rows.num_rows, False)
            counted = core & ~held
            train = counted if counted.any() else ~held if (~held).any() else np.ones(rows.num_rows, dtype=bool)
            self.frames[table.id] = Frame(table, rows, train, counted)
        distinct, absent = {}, {}
        for fk in (k for t in self.schema.tables for k in usable_keys(self.schema, t)):
            frame = self.frames[fk.table]
            frame.parents[fk.id] = index = parents_of(frame.data, fk, self.frames[fk.parent].data)
            distinct[fk.id] = len(np.unique(index[index >= 0]))
            absent[fk.id] = float((index < 0).mean()) if len(index) else 0.0
        rows = {t: f.rows for t, f in self.frames.items()}
        self.reference = self._reference_tables()
        self.plans = plan_tables(self.schema, rows, distinct, absent, self.reference)
        for plan in self.plans:
            # Keys whose children are counted with the parent; lookups and copied tables need none.
            for fk in (*([plan.owner] if plan.owner else []), *plan.links, *plan.deferred):
                if fk.parent not in self.reference:
                    self.degrees.setdefault(fk.parent, []).append(fk)

    def _reference_tables(self) -> set[str]:
        """Tables that are copied: those asked for, and small ones that describe other rows rather than somebody."""
        found = set(self.data.preserve)
        for table in self.schema.tables:
            small = 0 < self.data.population.rows.get(table.id, 0) <= _REFERENCE_ROWS
            whole = self.frames[table.id].rows == self.data.population.rows.get(table.id, 0)
            outward = [fk for fk in table.foreign_keys if fk.parent in self.schema]
            used = sum(self.frames[fk.table].rows for fk in self.schema.children[table.id])
            meta = self.data.metadata.tables[table.id]
            if small and whole and not outward and not any(c.pii for c in meta.columns.values()) and used >= 3 * self.frames[table.id].rows:
                found.add(table.id)
        return found

    def _encode(self) -> None:
        for plan in self.plans:
            frame = self.frames[plan.table]
            owner = None if plan.owner is None else frame.parents[plan.owner.id]
            frame.entities = np.arange(frame.rows)
            if plan.owner is not None and owner is not None:
                above = self.frames[plan.owner.parent].entities
                frame.entities = np.where(owner >= 0, above[np.maximum(owner, 0)] if len(above) else 0, len(above) + np.arange(frame.rows))
            self.roles[plan.table] = roles = assign_roles(frame, self.schema, self.data.metadata.tables[plan.table])
            for column in roles.drawn:
                meta = self.data.metadata.column(plan.table, column)
                frame.codecs[column] = codec = fit_codec(frame.data.column(column), category=_is_category(frame, column, meta.sdtype))
                frame.x[column] = codec.encode(frame.data.column(column))
            if owner is not None:
                frame.group = Group.of(owner, np.arange(frame.rows))
                ranking = _ranking(frame)
                frame.group = Group.of(owner, frame.x[ranking] if ranking else np.arange(frame.rows))

    # --- one table -----------------------------------------------------------------------------------------------------

    def _table(self, plan: TablePlan) -> None:
        frame, population = self.frames[plan.table], self.data.population
        model = TableModel(plan, int(population.rows.get(plan.table, frame.rows)))
        self.models[plan.table] = model
        self.own[plan.table], self.above[plan.table], self.contexts[plan.table] = Context(), Context(), Context()
        if plan.table in self.reference:
            model.reference = frame.data
            self._reference_features(frame)
            return
        if plan.owner is not None:
            fanout = population.fanouts.get(plan.owner.id)
            nulls = fanout.null_children + fanout.dangling if fanout else int((frame.parents[plan.owner.id] < 0).sum())
            model.null_owners = min(1.0, nulls / max(1, model.rows))
            model.ranking = _ranking(frame)
            owner = plan.owner.parent
            context, self.above[plan.table] = opening_context(self.own[owner], self.above[owner], frame.group)
        else:
            context = Context()
        self.contexts[plan.table] = context
        for fk in plan.lookups:
            model.lookups[fk.id] = self._lookup(frame, context, fk)
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

    def _lookup(self, frame: Frame, context: Context, fk: ForeignKey) -> Variable:
        index = frame.parents[fk.id]
        x = np.where(index >= 0, index, np.nan).astype(float)
        variable = self._variable(frame, context, x, ("lookup", fk.id), codes=max(1, self.frames[fk.parent].rows))
        context.add(*self._lookup_feature(fk, index))
        self.own[frame.table.id].add(*self._lookup_feature(fk, index))
        return variable

    def _lookup_feature(self, fk: ForeignKey, index: np.ndarray) -> tuple[list[Feature], dict[str, np.ndarray]]:
        name = f"k.{fk.id}"
        return [Feature(name, max(1, self.frames[fk.parent].rows))], {name: index.astype(np.int32)}

    def _link(self, frame: Frame, context: Context, fk: ForeignKey, known: list[ForeignKey]) -> LinkModel:
        model = LinkModel(most=1 if set(fk.columns) in [set(k) for k in frame.table.keys] else None)
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
            frame, self.frames, parents, owned, roles.drawn, [*roles.drawn, *roles.copyable], [c for c in roles.drawn if c in roles.places]
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
        for column in roles.made:
            if column in rules.copied:
                continue
            if column in rules.sticky:
                self._sticky(model, frame, context, column)
            nulls = frame.data.column(column).null_count
            absent = None
            if 0 < nulls < frame.rows:
                x = np.where(np.asarray(frame.data.column(column).is_null()), np.nan, 0.0)
                absent = self._variable(frame, context, x, ("absent", column), codes=1)
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
        base = model.rules.bases.get(column)
        train = np.flatnonzero(frame.train)
        codes = max(1, len(codec.dictionary)) if isinstance(codec, CategoryCodec) else 0
        if codes and self.privacy.min_category > 1:
            x = _without_rare(x, codes, frame, self.privacy.min_category)
        if base is None:
            rows = train
            if column in model.rules.chains and frame.group is not None:
                rows = train[frame.group.position[train] == frame.group.size[train] - 1]
            variable = self._variable(
                frame, context, x, ("column", column), codes=codes, rows=rows, smooth=not codes and column not in model.rules.determined.values()
            )
            model.drawn[column] = DrawnColumn(codec, variable)
            return
        distance = x - self._base_values(frame, base, column)
        first = span = None
        if base.kind == "previous" and frame.group is not None:
            opening = train[frame.group.position[train] == 0]
            start = x - self._base_values(frame, base.first, column) if base.first is not None else x
            first = self._variable(frame, context, start, ("first", column), rows=opening, smooth=True)
            if _irregular(frame.group, distance):
                longer = opening[frame.group.size[opening] > 1]
                span = self._variable(frame, context, frame.group.last(x) - x, ("span", column), rows=longer, smooth=True)
            train = train[frame.group.position[train] > 0]
        elif frame.table.column(column).nullable is False:
            train = train[np.isfinite(distance[train])]
        variable = self._variable(frame, context, distance, ("column", column), rows=train, smooth=True)
        model.drawn[column] = drawn = DrawnColumn(codec, variable, first, span, bin_edges(distance))
        name = f"d.{column}"
        feature, values = [Feature(name)], {name: digitize(distance, drawn.edges if drawn.edges is not None else np.empty(0))}
        context.add(feature, values)
        self.own[frame.table.id].add(feature, values)

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
        for fk in self.degrees.get(plan.table, []):
            child = self.frames[fk.table]
            index = child.parents[fk.id]
            count = np.bincount(index[index >= 0], minlength=frame.rows).astype(float)
            variable = self._variable(frame, context, count, ("count", fk.id), rows=rows)
            fanout = self.data.population.fanouts.get(fk.id)
            if fanout is not None and fanout.degrees:
                degrees, parents = np.array(fanout.degrees), np.array(fanout.parents)
            else:
                degrees, parents = np.unique(count[rows].astype(np.int64), return_counts=True)
            unique = set(fk.columns) in [set(k) for k in child.table.keys]
            model.counts[fk.id] = CountModel(variable, degrees, parents, 1 if unique else None)
            self._offer(frame, context, f"n.{fk.id}", small_bins(count))

    def _means(self, plan: TablePlan, model: TableModel, frame: Frame, context: Context) -> None:
        for other in self.plans:
            if other.owner is None or other.owner.parent != plan.table or other.table in self.reference:
                continue
            child, fk = self.frames[other.table], other.owner
            index = child.parents[fk.id]
            inside = index >= 0
            count = np.bincount(index[inside], minlength=frame.rows)
            if not inside.any() or count[count > 0].mean() < 1.3:
                continue
            for column, score in _telling(child, index, count):
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
        if plan.table in self.reference:
            return
        context = self.contexts[plan.table]
        if fk.is_self_reference:
            model.links[fk.id] = LinkModel(most=1 if set(fk.columns) in [set(k) for k in frame.table.keys] else None)
            model.depth[fk.id] = self._variable(frame, context, levels(frame.parents[fk.id]), ("depth", fk.id))
            return
        known = [f for f in (plan.owner, *plan.links, *plan.lookups) if f is not None]
        model.links[fk.id] = self._link(frame, context, fk, known)

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
    ) -> Variable:
        rows = np.flatnonzero(frame.train) if rows is None else rows
        rng = stream(self.seed, "fit", frame.table.id, *name)
        return fit_variable(x, rows, context.features, context.columns, frame.entities, self.privacy, rng, codes=codes, smooth=smooth)

    def _describe(self, model: TableModel) -> list[str]:
        parents = {fk.id: fk.parent for fk in self.schema.table(model.plan.table).foreign_keys}
        parents |= {fk.id: fk.table for fk in self.schema.children[model.plan.table] if fk.id not in parents}
        lines = list(model.rules.describe(model.plan.table, parents))
        for key, link in model.links.items():
            if link.path is not None:
                fk = next(f for f in self.schema.table(model.plan.table).foreign_keys if f.id == key)
                lines.append(f"{model.plan.table}.{', '.join(fk.columns)} = that of its {parents.get(link.path[0], '')}")
        return lines


def _flag(notes: pa.Table | None, name: str, rows: int, default: bool) -> np.ndarray:
    if notes is None or name not in notes.column_names:
        return np.full(rows, default)
    return np.asarray(notes.column(name).to_numpy(), dtype=bool)


def _is_category(frame: Frame, column: str, sdtype: str) -> bool:
    """Categories are what the metadata calls so, unless a number has too many values to be one."""
    if sdtype not in ("categorical", "boolean", "id"):
        return False
    values = frame.data.column(column)
    return not pa.types.is_temporal(values.type) and len(values.unique()) <= 50


def _ranking(frame: Frame) -> str | None:
    """The column that puts siblings in order: the first date that differs among them."""
    group = frame.group
    if group is None:
        return None
    large = group.size > 1
    if not large.any():
        return None
    for column, codec in frame.codecs.items():
        if isinstance(codec, NumberCodec) and (pa.types.is_date(codec.type) or pa.types.is_timestamp(codec.type)):
            x = frame.x[column]
            if np.isnan(x).mean() > 0.05:
                continue
            order = np.lexsort((x, group.index))
            same = group.index[order][1:] == group.index[order][:-1]
            if (x[order][1:] != x[order][:-1])[same].mean() > 0.3:
                return column
    return None


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
    needs: dict[str, set[str]] = {c: set() for c in drawn}
    for c in drawn:
        if c in rules.determined:
            needs[c].add(rules.determined[c])
        if c in rules.arithmetic:
            needs[c] |= {rules.arithmetic[c].left, rules.arithmetic[c].right}
        if c in rules.chains:
            needs[c].add(rules.chains[c])
        base = rules.bases.get(c)
        if base is not None and base.kind == "own":
            needs[c].add(base.column)
    first = [c for c in drawn if c in rules.copied] + ([model.ranking] if model.ranking else [])
    waiting = list(dict.fromkeys([*first, *drawn]))
    order: list[str] = []
    while waiting:
        nxt = next((c for c in waiting if not needs[c] - set(order)), waiting[0])
        waiting.remove(nxt)
        order.append(nxt)
    return order


def _telling(child: Frame, index: np.ndarray, count: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """The child's columns that differ between parents more than within, with a score per row to be averaged."""
    inside = index >= 0
    found: list[tuple[float, str, np.ndarray]] = []
    for column, x in child.x.items():
        codec = child.codecs[column]
        known = np.isfinite(x)
        if known.sum() < 50 or len(np.unique(x[known])) < 2:
            continue
        if isinstance(codec, NumberCodec):
            score = np.zeros(len(x))
            score[known] = np.argsort(np.argsort(x[known], kind="stable"), kind="stable") / known.sum()
            score[~known] = 0.5
        else:
            score = (x == np.bincount(x[known].astype(np.int64)).argmax()).astype(float)
        z = score[inside] - score[inside].mean()
        variance = float((z**2).mean())
        if variance <= 0:
            continue
        mean = np.bincount(index[inside], z, minlength=len(count)) / np.maximum(count, 1)
        within = float(((z - mean[index[inside]]) ** 2).sum() / max(1, inside.sum() - (count > 0).sum()))
        share = 1 - within / variance
        if share > 0.08:
            found.append((share, column, score))
    return [(c, s) for _, c, s in sorted(found, key=lambda f: -f[0])[:_MOST_MEANS]]


def _without_rare(x: np.ndarray, codes: int, frame: Frame, least: int) -> np.ndarray:
    """Categories of fewer than `least` root entities take the place of the commonest one."""
    known = np.isfinite(x)
    pairs = np.unique(np.stack([x[known].astype(np.int64), frame.entities[known]], axis=1), axis=0)
    entities = np.bincount(pairs[:, 0], minlength=codes)
    rare = entities < least
    if rare.all() or not rare.any():
        return x
    out = x.copy()
    out[known] = np.where(rare[x[known].astype(np.int64)], float(entities.argmax()), x[known])
    return out


def levels(parent: np.ndarray) -> np.ndarray:
    """The level of each row of a self reference: 0 without a parent, NaN where it points to itself; by pointer doubling."""
    n = len(parent)
    own = parent == np.arange(n)
    ancestor = np.where(own, -1, parent)
    depth = (ancestor >= 0).astype(np.int64)
    for _ in range(max(1, int(n).bit_length() + 1)):
        going = ancestor >= 0
        if not going.any():
            break
        depth[going] += depth[ancestor[going]]
        ancestor[going] = ancestor[ancestor[going]]
    depth[ancestor >= 0] = 1  # a cycle has no level
    return np.where(own, np.nan, depth.astype(float))
