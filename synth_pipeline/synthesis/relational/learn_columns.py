"""Learning the columns of a table: what follows from rules, what is drawn and from which context, what is made up."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pyarrow as pa

from synth_pipeline.catalog.schema import ForeignKey
from synth_pipeline.synthesis.relational.columns import make_column, named_columns
from synth_pipeline.synthesis.relational.encode import CategoryCodec, NumberCodec, bin_edges, codes_of, digitize, follow, hashed_units, held_above
from synth_pipeline.synthesis.relational.frame import Frame, Group
from synth_pipeline.synthesis.relational.heaps import Heaps
from synth_pipeline.synthesis.relational.learn_texts import TextLearner
from synth_pipeline.synthesis.relational.model import Context, DrawnColumn, TableModel
from synth_pipeline.synthesis.relational.nearness import find_nearness
from synth_pipeline.synthesis.relational.random import stream
from synth_pipeline.synthesis.relational.rules import (
    Base,
    Presence,
    Rules,
    Texts,
    day_of,
    equal_rows,
    find_hours,
    find_numbering,
    find_rules,
    find_written,
    months_of,
)
from synth_pipeline.synthesis.relational.scatter import evenness, exchangeable, in_turn
from synth_pipeline.synthesis.relational.structure import TablePlan
from synth_pipeline.synthesis.relational.suppress import without_ends, without_rare
from synth_pipeline.synthesis.relational.trees import Feature
from synth_pipeline.synthesis.relational.typed import find_goes, find_plain
from synth_pipeline.synthesis.relational.walks import steps_of
from synth_pipeline.synthesis.relational.within import Within

_CHECKED = 50
"""Combinations of values that are kept for a CHECK."""
_TIGHTER = 0.5
"""Siblings are told from the last one back where these lie so much closer together than the first ones do."""


class ColumnLearner(TextLearner):
    """Learns columns."""

    def _columns(self, plan: TablePlan, model: TableModel, frame: Frame, context: Context, parents: list[ForeignKey]) -> None:
        roles = self.roles[plan.table]
        before = [p.owner for p in self.plans if p.owner is not None and p.table in self.models and p.table not in self.training.reference]
        cousins = [fk for fk in before if plan.owner is not None and fk.parent == plan.owner.parent and fk.table != plan.table]
        children = [fk for p in self.plans for fk in p.keys if fk.parent == plan.table and p.table not in self.training.reference]
        owners = {p.owner.id for p in self.plans if p.owner is not None}
        children.sort(key=lambda fk: fk.id not in owners)
        rules, texts = self._rules(plan, frame, parents, children, cousins)
        model.rules = rules
        rules.goes = find_goes(frame, plan, [c for c in roles.drawn if c not in rules.exact() and c not in frame.late])
        rules.presence |= {c: rule for c, rule in find_plain(frame, plan).items() if c in roles.drawn or c in roles.made}
        find_hours(frame, [c for c in frame.codecs if c in roles.drawn], rules)
        exact = rules.exact()
        for column in (c for c in frame.codecs if c in exact):
            model.exact[column] = frame.codecs[column]
        model.order = _column_order(roles.drawn, model)
        for column in model.order:
            if column in rules.sticky:
                self._sticky(model, frame, context, column)
            if column in rules.determined or column in rules.told:
                source = self._source(frame, rules, column)
                known, first = np.unique(source[np.isfinite(source)], return_index=True)
                image, missing = frame.x[column][np.isfinite(source)][first], frame.x[column][np.isnan(source)]
                missing = missing if len(np.unique(missing)) > 1 else missing[:1]
                model.maps[column] = (np.r_[known, np.full(len(missing), np.inf)], np.r_[image, missing])
            elif column in rules.nested:
                larger, train = frame.codecs[rules.nested[column]], np.flatnonzero(frame.train)
                [feature], held = larger.features(f"c.{rules.nested[column]}", frame.x[rules.nested[column]])
                model.exact[column] = frame.codecs[column]
                model.within[column] = Within.fit(feature.name, feature.codes, held[feature.name][train], frame.x[column][train])
            elif column not in exact:
                self._drawn(model, frame, context, column)
            if column in frame.late or column in rules.copied:
                continue
            features, columns = frame.codecs[column].features(f"c.{column}", frame.x[column])
            context.add(features, columns)
            self.own[plan.table].add(features, columns)
        keys = [fk for fk in parents if len(fk.columns) == 1]
        alone = [c for c in roles.made if c in roles.unique]
        fixed = {c for key in frame.table.keys for c in key} | {c for check in frame.table.checks for c in named_columns(check.sql, model.order)}
        movable = rules.alone(model.order) - fixed
        for column in alone:
            numbering = find_numbering(frame, keys, column, movable) if roles.kinds[column] == "surrogate" else None
            if numbering is not None:
                rules.numbered[column] = numbering
        for column in alone:
            public = roles.kinds[column] in ("shape", "personal") and not self.data.metadata.column(plan.table, column).pii
            written = find_written(texts, column, rules.numbered) if public else None
            if written is not None:
                rules.written[column] = written
        for check in frame.table.checks:
            named = tuple(c for c in rules.drawn_behind(named_columns(check.sql, model.order)) if c in frame.x)
            picked = stream(self.seed, plan.table, "check", check.sql).permutation(np.flatnonzero(frame.train))[:_CHECKED]
            model.checks[check.sql] = named, np.stack([frame.x[c][picked] for c in named], axis=1) if named else np.empty((0, 0))
        if self.privacy.min_category > 1:
            told = [c for c in model.order if c not in frame.late]
            model.nearness = find_nearness(frame, told, [c for c in told if c in movable and c != model.ranking])
        left = self._begin(frame, rules, texts)
        self._blank(model, frame, context, texts)
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
            model.made[column] = make_column(left.get(column, frame), column, roles, meta, absent, stream(self.seed, plan.table, "make", column))

    def _rules(
        self, plan: TablePlan, frame: Frame, parents: list[ForeignKey], children: list[ForeignKey], cousins: Sequence[ForeignKey]
    ) -> tuple[Rules, Texts]:
        """The rules of a table, and what its texts are composed of; what is composed has no other part, and tells nothing of others."""
        roles, waiting = self.roles[plan.table], set[str]()
        while True:
            texts = self._composed(frame, parents, waiting)
            composed = texts.found
            drawn, copyable = ([c for c in columns if c not in composed] for columns in (roles.drawn, roles.copyable))
            late, codecs = frame.late, frame.codecs
            frame.codecs = {c: codec for c, codec in codecs.items() if c not in composed}
            rules = find_rules(frame, self.frames, parents, children, drawn, [*drawn, *copyable], roles.places, plan.owner, cousins)
            more = rules.late() & {c for rule in composed.values() for c in rule.own()}
            if not more:
                break
            waiting |= more
            frame.late, frame.codecs = late, codecs
        rules.composed = composed
        roles.leave({c: rule.own() for c, rule in composed.items()})
        return rules, texts

    def _source(self, frame: Frame, rules: Rules, column: str) -> np.ndarray:
        """The values that another column is looked up by; of the row, or of a parent, NaN where there is none."""
        if column in rules.determined:
            return frame.x[rules.determined[column]]
        fk = next(f for f in frame.table.foreign_keys if f.id == rules.told[column].key)
        return held_above(self.frames[fk.parent].x[rules.told[column].column], frame.parents[fk.id])

    def _sticky(self, model: TableModel, frame: Frame, context: Context, column: str) -> None:
        """Whether a row repeats its parent's value; those before are known, as addresses are repeated as a whole."""
        copy = model.rules.sticky[column]
        fk = next(f for f in frame.table.foreign_keys if f.id == copy.key)
        index = frame.parents[fk.id]
        if copy.then:
            above = self.frames[fk.parent]
            fk = next(f for f in above.table.foreign_keys if f.id == copy.then)
            index = follow(index, above.parents[fk.id])
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
        few = self.privacy.min_category
        if few > 1 and levels is None and column not in self.roles[frame.table.id].places:
            x = without_rare(x, codes, frame.entities, few) if codes else without_ends(x, train, frame.entities, few) if base is None else x
        if column in model.rules.walks:
            self._walk(model, frame, context, column, train)
            return
        if base is None:
            rows = train
            if column in model.rules.chains and frame.group is not None:
                rows = train[frame.group.position[train] == frame.group.size[train] - 1]
            smooth = not codes and column not in model.rules.determined.values()
            lag = None
            if frame.group is not None and levels is not None:
                lag = Feature(f"p.c.{column}", codes), codes_of(frame.group.previous(x))
            elif frame.group is not None and column != model.ranking:
                named, lagged = codec.features(f"p.c.{column}", frame.group.previous(x))
                lag = named[0], lagged[named[0].name]
            rules = model.rules
            if rows is train and column not in {*rules.sticky, *rules.levels, *rules.steps, *rules.presence}:
                variable = self._repeating(model, frame, context, x, column, ("column", column), lag, codes=codes, smooth=smooth)
            else:
                variable = self._lagged(frame, context, x, ("column", column), lag, codes=codes, rows=rows, smooth=smooth)
            heaps = None
            if smooth and isinstance(codec, NumberCodec) and codec.digits is not None and not pa.types.is_temporal(codec.type):
                heaps = Heaps.fit(x[train], codec.step)
            model.drawn[column] = DrawnColumn(codec, variable, avoid=self._avoid(frame, column), heaps=heaps)
            return
        assert isinstance(codec, NumberCodec)
        in_months = base.calendar is not None

        def scaled(values: np.ndarray) -> np.ndarray:
            return months_of(codec, values) if in_months and isinstance(codec, NumberCodec) else values

        distance = base.distance(scaled(self._base_values(frame, base, column)), scaled(x))
        if base.kind == "previous" and base.first is None and frame.group is not None and not in_months and _scattered(frame.group, distance):
            located = any(f.name.startswith("u.m.") and f.name.endswith(f".{column}") for f in context.features)
            even = evenness(frame.group, x, located=located)
            if even is not None:
                features = exchangeable(context.features)
                variable = self._variable(frame, Context(features, context.columns), x, ("column", column), rows=train, smooth=True)
                model.drawn[column] = DrawnColumn(codec, variable, scatter=even, avoid=self._avoid(frame, column))
                return
        first = span = day = last = None
        chained = column in model.rules.chains and frame.group is not None
        if base.kind == "previous" and frame.group is not None:
            opening = train[frame.group.position[train] == 0]
            start = scaled(x) - scaled(self._base_values(frame, base.first, column)) if base.first is not None else scaled(x)
            if base.calendar is not None and not base.calendar.day:
                day = self._variable(frame, context, frame.group.highest(day_of(codec, x)), ("day", column), rows=opening)
            if not in_months and _irregular(distance):
                longer = opening[frame.group.size[opening] > 1]
                span = self._variable(frame, context, frame.group.last(x) - x, ("span", column), rows=longer, smooth=True)
            elif not (in_months or base.least < 0 or column in model.rules.begins) and _tighter(frame.group.last(x)[opening], start[opening]):
                last = self._variable(frame, context, frame.group.last(x), ("last", column), rows=opening, smooth=True)
            if last is None:
                first = self._variable(frame, context, start, ("first", column), rows=opening, smooth=True)
            train = train[frame.group.position[train] > 0]
        elif not frame.table.column(column).nullable and codec.never is None:
            train = train[np.isfinite(distance[train])]
        if chained and frame.group is not None:
            train = train[frame.group.position[train] == frame.group.size[train] - 1]
        if few > 1:
            distance = without_ends(distance, train, frame.entities, few)
        edges = bin_edges(distance)
        lag = None
        if frame.group is not None and not chained:
            lag = Feature(f"p.d.{column}"), digitize(frame.group.previous(distance), edges)
        variable = self._lagged(frame, context, distance, ("column", column), lag, rows=train, smooth=True)
        model.drawn[column] = DrawnColumn(codec, variable, first, day, span, last, edges=edges, avoid=self._avoid(frame, column))
        name = f"d.{column}"
        feature, values = [Feature(name)], {name: digitize(distance, edges)}
        context.add(feature, values)
        self.own[frame.table.id].add(feature, values)

    def _walk(self, model: TableModel, frame: Frame, context: Context, column: str, train: np.ndarray) -> None:
        """A number that goes on from the sibling before: where the first one is, and the steps."""
        codec, x, group = frame.codecs[column], frame.x[column], frame.group
        assert isinstance(codec, NumberCodec) and group is not None
        before = group.previous(x)
        name = f"p.c.{column}"
        known = Context([*context.features, Feature(name)], {**context.columns, name: digitize(before, codec.edges)})
        steps, opening = steps_of(model.rules.walks[column], x, before), train[group.position[train] == 0]
        later = train[(group.position[train] > 0) & np.isfinite(steps[train])]
        step = self._variable(frame, known, steps, ("column", column), rows=later, smooth=True)
        first = self._variable(frame, context, x, ("first", column), rows=opening, smooth=True)
        model.drawn[column] = DrawnColumn(codec, step, first, avoid=self._avoid(frame, column))

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
        return held_above(x, index)

    def _avoid(self, frame: Frame, column: str) -> np.ndarray | None:
        """Hashes of personal values that are drawn between donors (a latitude), so that none of them comes out."""
        if not self.data.metadata.column(frame.table.id, column).pii or not isinstance(frame.codecs[column], NumberCodec):
            return None
        x = np.r_[frame.x[column], frame.codecs[column].encode(frame.protected(column))]
        return np.unique(hashed_units(x[np.isfinite(x)]))

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
        if base.then:
            further = next(f for f in above.table.foreign_keys if f.id == base.then)
            above, index = self.frames[further.parent], follow(index, above.parents[further.id])
        other = above.codecs[base.column]
        assert isinstance(other, NumberCodec)
        return held_above(above.x[base.column], index) * (other.unit / codec.unit)


def _tighter(last: np.ndarray, first: np.ndarray) -> bool:
    """Whether the last siblings lie so much closer together than the first ones that all are better told from them."""
    spread = [float(np.subtract(*np.quantile(known, [0.75, 0.25]))) if len(known := x[np.isfinite(x)]) else 0.0 for x in (last, first)]
    return spread[0] < _TIGHTER * spread[1]


def _scattered(group: Group, steps: np.ndarray) -> bool:
    """Whether siblings may lie anywhere: steps are irregular, and none tells the next."""
    return _irregular(steps) and not in_turn(group, steps)


def _irregular(steps: np.ndarray) -> bool:
    """Whether steps between siblings vary so much that their sum would wander: their spread is near their mean, or above."""
    known = np.isfinite(steps)
    middle = steps[known]
    if not len(middle) or middle.mean() <= 0:
        return False
    return bool(middle.std() / middle.mean() > 0.3 and np.unique(middle, return_counts=True)[1].max() < 0.5 * len(middle))


def _column_order(drawn: Collection[str], model: TableModel) -> list[str]:
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
