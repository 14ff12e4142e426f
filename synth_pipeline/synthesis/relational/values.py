"""Drawing and making the values of columns, in the order in which they were learnt."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from synth_pipeline.catalog.schema import Table
from synth_pipeline.catalog.types import arrow_type
from synth_pipeline.synthesis.relational.columns import make_values
from synth_pipeline.synthesis.relational.encode import Codec, NumberCodec, digitize, follow, hashed_units, held_above
from synth_pipeline.synthesis.relational.frame import Group
from synth_pipeline.synthesis.relational.limits import base_values, in_turn, kept_within, limits, numbers_above, plain, within_range
from synth_pipeline.synthesis.relational.model import TableModel
from synth_pipeline.synthesis.relational.numbers import counted
from synth_pipeline.synthesis.relational.parents import keep_time
from synth_pipeline.synthesis.relational.personal import PersonalModel
from synth_pipeline.synthesis.relational.random import stream
from synth_pipeline.synthesis.relational.rules import (
    After,
    Base,
    Copied,
    Rules,
    at_hours,
    date_of,
    day_of,
    is_calendar,
    months_of,
    part_values,
    rounded,
    singled,
)
from synth_pipeline.synthesis.relational.scatter import kept_apart, scattered_strata, spaced
from synth_pipeline.synthesis.relational.state import Draft, State, draw_lagged, draw_repeating
from synth_pipeline.synthesis.relational.together import begun, ended, last_start
from synth_pipeline.synthesis.relational.trees import Feature
from synth_pipeline.synthesis.relational.variable import Variable


def draw_column(draft: Draft, model: TableModel, state: State, column: str) -> None:
    """Draws or computes a column, and makes it known."""
    rules, table = model.rules, model.plan.table
    rng = stream(draft.seed, table, "column", column)
    codec = model.codec(column)
    if column in rules.late():
        state.x[column] = np.full(state.rows, np.nan)
        return
    repeats = _repeats(draft, model, state, column, rng) if column in rules.sticky else None
    x = model.within[column].draw(state.context.columns, state.rows, rng) if column in model.within else computed(draft, model, state, column)
    if column in rules.copied and x is not None:
        state.x[column] = x
        return
    if x is None:
        x = _draw(draft, model, state, column, rng)
    elif column in model.drawn and column in rules.steps:
        x = np.where(np.isnan(x), _draw(draft, model, state, column, rng), x)
    if column in rules.bounds and column in model.drawn:
        keep_time(draft, model, state, column, x)
        x = kept_within(draft, model, state, column, x, rng)
    if column in rules.hours and column in model.drawn and isinstance(codec, NumberCodec):
        apart = rules.bases[column].least if _stepping(rules, column) else None
        between, chance = limits(draft, model, state, column), stream(draft.seed, table, "hours", column)
        moved = at_hours(rules.hours[column], codec, x, between, state.group, apart, chance)
        told = state.group.position == 0 if column in rules.begins and state.group is not None else np.zeros(state.rows, dtype=bool)
        x = np.where(told, x, moved)
    if column in {*rules.bounds, *rules.hours} and state.group is not None and _stepping(rules, column):
        x = in_turn(state.group, x, *limits(draft, model, state, column))
    heaps = model.drawn[column].heaps if column in model.drawn else None
    if heaps is not None and model.drawn[column].variable.reach > 0 and isinstance(codec, NumberCodec):
        x = heaps.rounded(x, codec.low, codec.high, stream(draft.seed, table, "heaps", column))
        if column in rules.bounds:
            low, high = limits(draft, model, state, column)
            x = np.where(np.isnan(x), x, np.fmin(np.fmax(x, low), high))
    if column in rules.presence:
        x = _present(x, *decided_rows(draft, model, state, column), model, column, rng)
    if np.isnan(x).any() and not draft.may_lack(model, column):
        x = np.where(np.isnan(x), _any_value(model, column, len(x), rng), x)
    if column in rules.single:
        key = rules.single[column].key
        group = state.group if model.plan.is_owner(key) and state.group is not None else Group.of(state.parents[key], np.arange(state.rows))
        x = singled(group, x, rules.single[column].value, stream(draft.seed, table, "single", column))
    state.arrays[column] = _decoded(codec, x, exact=_as_made(rules, column))
    avoid = model.drawn[column].avoid if column in model.drawn else None
    if isinstance(codec, NumberCodec) and codec.digits is not None and avoid is not None:
        units = _unlike(codec, codec.encode(state.arrays[column]), avoid)
        state.arrays[column] = codec.exact(units, np.isnan(units))
    if repeats is not None:
        _stick(draft, model, state, column, repeats)
    state.x[column] = x = codec.encode(state.arrays[column])
    state.offer(*codec.features(f"c.{column}", x))
    if column == model.ranking and state.group is not None and (base := rules.bases.get(column)) is not None and base.kind == "parent":
        # Siblings that are counted from something else come in the order of their dates all the same.
        state.group = Group.of(state.group.index, x)
        state.context.columns.update(state.group.features()[1])


def _stepping(rules: Rules, column: str) -> bool:
    """Whether siblings are in the order of the column, by steps from one to the next."""
    base = rules.bases.get(column)
    return base is not None and base.kind == "previous" and base.least >= 0


def _as_made(rules: Rules, column: str) -> bool:
    """Whether values follow from others or from the calendar, and stay as they are."""
    base = rules.bases.get(column)
    return column in rules.exact() or column in rules.chains or base is not None and base.calendar is not None


def _decoded(codec: Codec, x: np.ndarray, *, exact: bool) -> pa.Array:
    """Values from units; what follows from others is not moved to a lattice of its own."""
    if exact and isinstance(codec, NumberCodec) and codec.digits is not None:
        return codec.exact(x, np.isnan(x))
    return codec.decode(x)


def computed(draft: Draft, model: TableModel, state: State, column: str) -> np.ndarray | None:
    """The values of a column that follows from others without an exception, in units; None for any other column."""
    rules, codec = model.rules, model.codec(column)
    base = rules.bases.get(column)
    if column in rules.copied:
        _copy(draft, model, state, column)
        return codec.encode(state.arrays[column])
    if column in rules.determined or column in rules.told:
        known, image = model.maps[column]
        told = rules.told.get(column)
        source = state.x[rules.determined[column]] if told is None else numbers_above(draft, model, state, told.key, told.column)
        asked = np.where(np.isnan(source), np.inf, source)
        low, high = np.searchsorted(known, asked, "left"), np.searchsorted(known, asked, "right")
        # What a missing source stands for may be one of several.
        any_of = stream(draft.seed, model.plan.table, "determined", column).random(state.rows) * np.maximum(high - low, 1)
        at = (low + any_of.astype(np.int64)).clip(0, max(0, len(known) - 1))
        return image[at] if len(known) else np.full(state.rows, np.nan)
    if column in rules.steps:
        steps = rules.steps[column]
        against = Base("parent" if steps.scale.key else "own", steps.scale.against, steps.scale.key)
        s = state.x[steps.scale.source]
        x = steps.apply(s - base_values(draft, model, state, against, steps.scale.source) if steps.scale.against else s)
        return np.where(np.isnan(x), steps.absent[0], x) if len(steps.absent) == 1 else x
    if column in rules.parts:
        return part_values(rules.parts[column], codec, plain(model, state, rules.parts[column].source))
    if column in rules.running and state.group is not None and isinstance(codec, NumberCodec):
        running = rules.running[column]
        step, start = running.sign * plain(model, state, running.step), np.zeros(state.rows)
        if running.start is not None:
            start = base_values(draft, model, state, Base("parent", running.start.column, running.start.key), column) * codec.unit
        value = state.group.accumulate(start + step, step)
        return np.round(value / codec.unit) if codec.digits is not None else value
    if column in rules.ranks and rules.ranks[column].within:
        return counted(draft, model, state, column)
    if column in rules.ranks and state.group is not None:
        return rules.ranks[column].first + state.group.position
    if column in rules.arithmetic and isinstance(codec, NumberCodec):
        rule = rules.arithmetic[column]
        values = {c: plain(model, state, c) for c in rule.operands}
        if isinstance(rule, After) and rule.key:
            values[rule.held] = base_values(draft, model, state, Base("parent", rule.number, rule.key), column) * codec.unit
        value = rule.apply(values)
        return rounded(value, codec.unit, rule.rounding) if codec.digits is not None else value
    if base is not None and base.shift is not None:
        return base_values(draft, model, state, base, column) + base.shift
    return None


def recompute(draft: Draft, model: TableModel, state: State) -> None:
    """Brings the columns that follow from others into line with them, after parents or values were exchanged."""
    if model.ranking is not None and state.group is not None:
        state.group = Group.of(state.group.index, state.x[model.ranking])
    late = model.rules.late()
    for column in model.order:
        if column in late:
            continue
        codec, x = model.codec(column), computed(draft, model, state, column)
        if x is None and column in model.rules.chains:
            x = _continued(model, state, column, state.ends[column])
            if (base := model.rules.bases.get(column)) is not None:
                x = np.where(np.isnan(x), x, np.maximum(x, base_values(draft, model, state, base, column) + base.least))
        if x is not None and column in model.rules.steps and model.rules.steps[column].absent:
            absent, held = np.array(model.rules.steps[column].absent), state.x[column]
            x = np.where(np.isnan(x), np.where(np.isin(held, absent), held, absent[0]), x)
        if column in model.rules.levels:
            levels, held = model.rules.levels[column], state.x[column]
            s = state.x[levels.source]
            x = levels.value(s, levels.level(s, held))
            x = np.where(np.isnan(x), held, x)
        if column in model.rules.presence:
            empty, filled = decided_rows(draft, model, state, column)
            x = state.x[column] if x is None else x
            if not (empty & np.isfinite(x) | filled & np.isnan(x)).any():
                continue
            x = _present(x, empty, filled, model, column, stream(draft.seed, model.plan.table, "presence", column))
        if x is None and column in model.rules.bounds and column in model.drawn:
            rng = stream(draft.seed, model.plan.table, "bounds", column)
            x = kept_within(draft, model, state, column, state.x[column], rng)
        if x is None:
            continue
        if column in model.rules.copied:
            state.x[column] = x
            continue
        if not draft.may_lack(model, column):
            x = np.where(np.isnan(x), state.x[column], x)
        state.arrays[column], state.x[column] = _decoded(codec, x, exact=True), x
    for column in model.rules.copied:
        if column not in model.order:
            _copy(draft, model, state, column)


def decided_rows(draft: Draft, model: TableModel, state: State, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Where a column is empty, and where it is not, because another one says so; bool (rows,) each."""
    presence = model.rules.presence[column]
    if not presence.key:
        return presence.decide(state.x[presence.source])
    fk = draft.foreign_key(model, presence.key)
    index = state.parents[fk.id]
    above = np.arange(draft.states[fk.parent].rows, dtype=float) if not presence.source else draft.states[fk.parent].x[presence.source]
    return presence.decide(held_above(above, index))


def _present(x: np.ndarray, empty: np.ndarray, filled: np.ndarray, model: TableModel, column: str, rng: np.random.Generator) -> np.ndarray:
    """The values where there are to be any; what is missing where it must not be takes a value of another row."""
    short = filled & np.isnan(x)
    if short.any():
        known = x[filled & np.isfinite(x)]
        x = x.copy()
        x[short] = rng.choice(known, int(short.sum())) if len(known) else _any_value(model, column, int(short.sum()), rng)
    return np.where(empty, np.nan, x)


def _draw(draft: Draft, model: TableModel, state: State, column: str, rng: np.random.Generator) -> np.ndarray:
    base = model.rules.bases.get(column)
    drawn, levels = model.drawn[column], model.rules.levels.get(column)
    if drawn.scatter is not None and state.group is not None:
        anywhere = drawn.variable.draw(state.context.columns, state.rows, rng, scattered_strata(state.group, drawn.scatter, rng))
        anywhere = kept_within(draft, model, state, column, anywhere, rng, open_=True)
        least = base.least if base is not None else 0.0
        apart = kept_apart(state.group, anywhere, least, rng)
        if column in model.rules.chains.values() and isinstance(drawn.codec, NumberCodec):
            apart = spaced(state.group, apart, least, drawn.codec.high)  # periods without a gap are as long as their steps
        return apart
    empty = decided_rows(draft, model, state, column)[0] if column in model.rules.presence else None
    if levels is not None:
        level = draw_lagged(drawn.variable, state, f"p.c.{column}", rng, empty=empty)
        return levels.value(state.x[levels.source], level)
    if base is None:
        x = draw_repeating(drawn.variable, model.carried.get(column), state, column, f"p.c.{column}", rng, _lag_of(drawn.codec), empty)
    else:
        edges = drawn.edges if drawn.edges is not None else np.empty(0)
        x = draw_lagged(drawn.variable, state, f"p.d.{column}", rng, lambda v: digitize(v, edges))
    if base is None:
        return _continued(model, state, column, x)
    if base.calendar is not None and state.group is not None:
        distance = np.where(state.group.position > 0, x, np.nan)
        value = _dated(draft, model, state, base, column, x, rng)
    elif base.kind == "previous" and state.group is not None:
        steps = np.clip(np.nan_to_num(x), base.least, base.most)
        start = base_values(draft, model, state, base.first, column) if base.first is not None else None
        if drawn.last is not None:
            lowest = np.fmax(drawn.codec.low if isinstance(drawn.codec, NumberCodec) else -np.inf, limits(draft, model, state, column, open_=True)[0])
            if start is not None and base.first is not None:
                lowest = np.fmax(lowest, start + base.first.least)
            highest = drawn.codec.high if isinstance(drawn.codec, NumberCodec) else np.inf
            first = value = _backwards(state.group, _of_first(drawn.last, state, rng), steps, lowest, highest)
        else:
            first = _of_first(drawn.first, state, rng) if drawn.first is not None else x
            if start is not None and base.first is not None:
                first = np.where(np.isfinite(start), start + np.clip(first, base.first.least, base.first.most), np.nan)
            first = kept_within(draft, model, state, column, within_range(drawn.codec, first, first, rng), rng, open_=True)
            first = begun(draft, model, state, column, first)
            value = state.group.accumulate(first, steps)
            if drawn.span is not None:
                value = state.group.stretch(value, _of_first(drawn.span, state, rng))
        if isinstance(drawn.codec, NumberCodec) and base.least >= 0:
            # What would end after the last value of the source, or of the owner's time, is drawn together until it does not.
            high = np.minimum(drawn.codec.high, np.nan_to_num(limits(draft, model, state, column, open_=True)[1], nan=np.inf))
            high = np.minimum(high, last_start(draft, model, state, column))
            late = (state.group.last(value) > high) & (high >= first)
            # At a steady pace the last one is as late as may be; otherwise it is the last of so many that lie anywhere.
            reach = 1.0 if drawn.span is None else rng.random(state.rows) ** (1 / np.maximum(state.group.size - 1, 1))
            value = state.group.stretch(value, np.where(late, (high - first) * reach, np.nan))
        distance = np.where(state.group.position > 0, x, np.nan)
    else:
        distance = np.clip(x, base.least, base.most)
        start = base_values(draft, model, state, base, column)
        value = within_range(drawn.codec, start, base.value(start, distance), rng)
        if draft.may_lack(model, column):
            # What would have to lie beyond the range of the column, as its start does, has not happened yet.
            value = np.where((base.least >= 0) & (value < start) | (base.most <= 0) & (value > start), np.nan, value)
    if column in model.rules.chains:
        value = _continued(model, state, column, ended(draft, model, state, column, value))
        distance = value - base_values(draft, model, state, base, column)
    name = f"d.{column}"
    feature, values = [Feature(name)], {name: digitize(distance, drawn.edges if drawn.edges is not None else np.empty(0))}
    state.offer(feature, values)
    return value


def _continued(model: TableModel, state: State, column: str, x: np.ndarray) -> np.ndarray:
    """The values of the siblings after, where the column continues with them; `x`, which is kept, for the last ones."""
    if column not in model.rules.chains or state.group is None:
        return x
    state.ends[column] = x
    after, apart = state.group.following(state.x[model.rules.chains[column]]), model.rules.apart.get(column)
    return np.where(np.isfinite(after), after - (apart.by if apart is not None else 0.0), x)


def _backwards(group: Group, last: np.ndarray, steps: np.ndarray, lowest: np.ndarray, highest: float) -> np.ndarray:
    """Siblings from the last one back, `steps` apart.

    Where the first one would lie below the lowest value, all are later, as far as the highest value allows, or closer together.
    """
    reach = group.last(group.accumulate(np.zeros(len(last)), steps))
    last = np.fmax(last, np.fmin(lowest + reach, highest))
    first = last - reach
    room = last - lowest
    value = group.accumulate(np.where(first < lowest, lowest, first), steps)
    return group.stretch(value, np.where((first < lowest) & (room > 0), room, np.nan))


def _of_first(variable: Variable, state: State, rng: np.random.Generator) -> np.ndarray:
    """Draws something that a group has once, for its first row; NaN for the others."""
    assert state.group is not None
    rows = np.flatnonzero(state.group.position == 0)
    out = np.full(state.rows, np.nan)
    out[rows] = variable.draw({n: state.context.columns[n][rows] for n in variable.features}, len(rows), rng)
    return out


def _dated(draft: Draft, model: TableModel, state: State, base: Base, column: str, steps: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Dates that follow a calendar: months from the owner's date or the first sibling on, and a day for all siblings."""
    drawn, codec, group, calendar = model.drawn[column], model.codec(column), state.group, base.calendar
    assert isinstance(codec, NumberCodec) and group is not None and calendar is not None and drawn.first is not None
    first = _of_first(drawn.first, state, rng)
    if base.first is not None:
        first = months_of(codec, base_values(draft, model, state, base.first, column)) + np.clip(first, base.first.least, base.first.most)
    months = group.accumulate(np.round(first), np.round(np.clip(np.nan_to_num(steps, nan=base.least), base.least, base.most)))
    if drawn.day is not None:
        day = group.accumulate(_of_first(drawn.day, state, rng), np.zeros(state.rows))
    else:
        fk = draft.foreign_key(model, calendar.key)
        above, index = draft.model.tables[fk.parent], state.parents[fk.id]
        holder, x = above.codec(calendar.day), draft.states[fk.parent].x[calendar.day]
        assert isinstance(holder, NumberCodec)
        held = day_of(holder, x) if is_calendar(holder) else x
        day = held_above(held, index)
    return date_of(codec, months, day)


def _lag_of(codec: Codec) -> Callable[[np.ndarray], np.ndarray] | None:
    return (lambda v: digitize(v, codec.edges)) if isinstance(codec, NumberCodec) else None


def _unlike(codec: NumberCodec, x: np.ndarray, avoid: np.ndarray) -> np.ndarray:
    """Moves values off those that must not come out, by as few steps as it takes."""
    for k in range(1, 50):
        same = np.isfinite(x) & np.isin(hashed_units(np.nan_to_num(x)), avoid)
        if not same.any():
            break
        x = np.where(same, x + codec.step * (k if k % 2 else -k), x)
    return x


def _repeats(draft: Draft, model: TableModel, state: State, column: str, rng: np.random.Generator) -> np.ndarray:
    """Which rows repeat their parent's value of the column."""
    same = np.nan_to_num(model.sticky[column].draw(state.context.columns, state.rows, rng)) > 0.5
    same &= _copied_from(draft, model, state, model.rules.sticky[column])[1] >= 0
    state.context.add([Feature(f"s.{column}")], {f"s.{column}": same.astype(np.uint8)})
    return np.asarray(same)


def _stick(draft: Draft, model: TableModel, state: State, column: str, repeats: np.ndarray) -> None:
    above, index = _copied_from(draft, model, state, model.rules.sticky[column])
    if column in model.rules.presence:
        repeats = repeats & ~decided_rows(draft, model, state, column)[0]
    above = above if above.type == state.arrays[column].type else above.cast(state.arrays[column].type, safe=False)
    if not draft.schema.table(model.plan.table).column(column).nullable:
        repeats = repeats & np.asarray(above.is_valid())[np.maximum(index, 0)]
    index = np.where(repeats, len(state.arrays[column]) + index, np.arange(state.rows))
    state.arrays[column] = pa.concat_arrays([state.arrays[column], above]).take(pa.array(index))


def _copied_from(draft: Draft, model: TableModel, state: State, copy: Copied) -> tuple[pa.Array, np.ndarray]:
    """The column that is repeated, and its row for each row, -1 for none; int64 (rows,)."""
    fk = draft.foreign_key(model, copy.key)
    index = state.parents[fk.id]
    if copy.then:
        index = follow(index, draft.parent_index(fk.parent, copy.then))
        fk = draft.foreign_key(draft.model.tables[fk.parent], copy.then)
    return draft.value(fk.parent, copy.column), index


def _copy(draft: Draft, model: TableModel, state: State, column: str) -> None:
    above, index = _copied_from(draft, model, state, model.rules.copied[column])
    kind = arrow_type(draft.schema.table(model.plan.table).column(column).type)
    taken = above.take(pa.array(np.maximum(index, 0), mask=index < 0)) if len(above) else pa.nulls(state.rows, above.type)
    state.arrays[column] = taken if taken.type == kind else taken.cast(kind, safe=False)


def _any_value(model: TableModel, column: str, count: int, rng: np.random.Generator) -> np.ndarray:
    codec = model.codec(column)
    if isinstance(codec, NumberCodec):
        return codec.low + rng.random(count) * (codec.high - codec.low)
    return rng.integers(0, max(1, len(codec.dictionary)), count).astype(float)


def make_columns(draft: Draft, model: TableModel, state: State, table: Table) -> None:
    """Made columns, people's names before what is composed of them; copies of a parent's column last."""

    def after(column: str) -> int:
        maker = model.made[column].maker if column in model.made else None
        return 1 + max(map(after, maker.relatives.values()), default=0) if isinstance(maker, PersonalModel) else 0

    for column in sorted(model.made, key=after):
        item, rng = model.made[column], stream(draft.seed, table.id, "make", column)
        present = np.ones(state.rows, dtype=bool)
        repeats = _repeats(draft, model, state, column, rng) if column in model.rules.sticky else None
        if item.absent is not None:
            present = np.isfinite(item.absent.draw(state.context.columns, state.rows, rng))
        if column in model.rules.presence:
            empty, filled = decided_rows(draft, model, state, column)
            present = (present | filled) & ~empty
        row = {}
        if isinstance(item.maker, PersonalModel):
            row = {c: state.arrays[c].to_pylist() for c in item.maker.relatives.values() if c in state.arrays}
        kind = table.column(column).type
        state.arrays[column] = make_values(item, arrow_type(kind), state.rows, row, present, rng, kind.bits, draft.lane(table.id))
        if repeats is not None:
            _stick(draft, model, state, column, repeats)
    for column in model.rules.copied:
        if column not in state.arrays:
            _copy(draft, model, state, column)
