"""Drawing and making the values of columns, in the order in which they were learnt."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synth_pipeline.catalog.schema import Table
from synth_pipeline.catalog.types import arrow_type
from synth_pipeline.synthesis.relational.columns import make_values
from synth_pipeline.synthesis.relational.composing import compose, seen
from synth_pipeline.synthesis.relational.computed import any_value, computed, continued, copied_from, copy_above, decided_rows, decoded, with_presence
from synth_pipeline.synthesis.relational.encode import Codec, NumberCodec, digitize, hashed_units, held_above
from synth_pipeline.synthesis.relational.frame import Group
from synth_pipeline.synthesis.relational.limits import base_values, between_limits, in_turn, kept_within, limits, within_range
from synth_pipeline.synthesis.relational.model import TableModel
from synth_pipeline.synthesis.relational.parents import keep_time
from synth_pipeline.synthesis.relational.personal import PersonalModel
from synth_pipeline.synthesis.relational.random import stream
from synth_pipeline.synthesis.relational.rules import Base, Rules, at_hours, date_of, day_of, is_calendar, joined, months_of, singled
from synth_pipeline.synthesis.relational.scatter import kept_apart, scattered_strata, spaced
from synth_pipeline.synthesis.relational.state import Draft, State, draw_lagged, draw_repeating
from synth_pipeline.synthesis.relational.together import begun, ended, last_start
from synth_pipeline.synthesis.relational.trees import Feature
from synth_pipeline.synthesis.relational.typed import going, gone_with
from synth_pipeline.synthesis.relational.variable import Variable
from synth_pipeline.synthesis.relational.walks import draw_walk

_GROUPS = 200
"""Most beginnings of codes within each of which what follows is unique."""


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
    x = _in_place(draft, model, state, column, x, rng)
    if column in rules.presence:
        x = with_presence(x, *decided_rows(draft, model, state, column), model, column, rng)
    if np.isnan(x).any() and not draft.may_lack(model, column):
        x = np.where(np.isnan(x), any_value(model, column, len(x), rng), x)
    if column in rules.goes:
        x = gone_with(model, state, column, x, rng)
    if column in rules.single:
        key = rules.single[column].key
        group = state.group if model.plan.is_owner(key) and state.group is not None else Group.of(state.parents[key], np.arange(state.rows))
        able = going(rules.goes[column], state, np.full(state.rows, rules.single[column].value)) if column in rules.goes else None
        x = singled(group, x, rules.single[column].value, stream(draft.seed, table, "single", column), able)
        if column in rules.goes:
            x = gone_with(model, state, column, x, rng, rules.single[column].value)
    state.arrays[column] = decoded(codec, x, exact=_as_made(rules, column))
    if column in rules.bounds and isinstance(codec, NumberCodec) and codec.digits is not None and (beyond := codec.beyond(x)).any():
        low, high = limits(draft, model, state, column)  # a row of a parent that is later than all of the training rows
        beyond &= (low > codec.high) | (high < codec.low)
        state.arrays[column] = pc.if_else(pa.array(beyond), codec.exact(x, np.isnan(x)), state.arrays[column])
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


def _in_place(draft: Draft, model: TableModel, state: State, column: str, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Values moved to where others leave room, to days and hours that there are, and in order; and made as round as real ones."""
    rules, codec, drawn, table = model.rules, model.codec(column), model.drawn.get(column), model.plan.table
    if column in rules.bounds and drawn is not None:
        keep_time(draft, model, state, column, x)
    low = high = np.empty(0)
    if column in {*rules.bounds, *rules.hours}:
        low, high = limits(draft, model, state, column)
    if column in rules.bounds and drawn is not None:
        x = between_limits(x, low, high, codec, rng, met=rules.met(column))
    if column in rules.hours and drawn is not None and isinstance(codec, NumberCodec):
        apart = rules.bases[column].least if _stepping(rules, column) else None
        moved = at_hours(rules.hours[column], codec, x, (low, high), state.group, apart, stream(draft.seed, table, "hours", column))
        told = state.group.position == 0 if column in rules.begins and state.group is not None else np.zeros(state.rows, dtype=bool)
        x = np.where(told, x, moved)
    if len(low) and state.group is not None and _stepping(rules, column):
        x = in_turn(state.group, x, low, high)
    if drawn is not None and drawn.heaps is not None and drawn.variable.reach > 0 and isinstance(codec, NumberCodec):
        x = drawn.heaps.rounded(x, codec.low, codec.high, stream(draft.seed, table, "heaps", column))
        if column in rules.bounds:
            x = np.where(np.isnan(x), x, np.fmin(np.fmax(x, low), high))
    return x


def _stepping(rules: Rules, column: str) -> bool:
    """Whether siblings are in the order of the column, by steps from one to the next."""
    base = rules.bases.get(column)
    return base is not None and base.kind == "previous" and base.least >= 0


def _as_made(rules: Rules, column: str) -> bool:
    """Whether values follow from others or from the calendar, and stay as they are."""
    base = rules.bases.get(column)
    return column in rules.exact() or column in rules.chains or base is not None and base.calendar is not None


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
    if column in model.rules.walks and isinstance(drawn.codec, NumberCodec) and drawn.first is not None:
        return draw_walk(model.rules.walks[column], drawn.variable, drawn.first, drawn.codec, state, f"p.c.{column}", rng)
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
        return continued(model, state, column, x)
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
        value = continued(model, state, column, ended(draft, model, state, column, value))
        distance = value - base_values(draft, model, state, base, column)
    name = f"d.{column}"
    feature, values = [Feature(name)], {name: digitize(distance, drawn.edges if drawn.edges is not None else np.empty(0))}
    state.offer(feature, values)
    return value


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
    same &= copied_from(draft, model, state, model.rules.sticky[column])[1] >= 0
    state.context.add([Feature(f"s.{column}")], {f"s.{column}": same.astype(np.uint8)})
    return np.asarray(same)


def _stick(draft: Draft, model: TableModel, state: State, column: str, repeats: np.ndarray) -> None:
    above, index = copied_from(draft, model, state, model.rules.sticky[column])
    if column in model.rules.presence:
        repeats = repeats & ~decided_rows(draft, model, state, column)[0]
    above = above if above.type == state.arrays[column].type else above.cast(state.arrays[column].type, safe=False)
    if not draft.schema.table(model.plan.table).column(column).nullable:
        repeats = repeats & np.asarray(above.is_valid())[np.maximum(index, 0)]
    index = np.where(repeats, len(state.arrays[column]) + index, np.arange(state.rows))
    state.arrays[column] = pa.concat_arrays([state.arrays[column], above]).take(pa.array(index))


def make_columns(draft: Draft, model: TableModel, state: State, table: Table) -> None:
    """Made columns; copies of a parent's column first, people's names before what is composed of them."""

    def after(column: str) -> int:
        if column in model.rules.composed:
            return 1 + max(map(after, model.rules.composed[column].own()), default=0)
        maker = model.made[column].maker if column in model.made else None
        return 1 + max(map(after, maker.relatives.values()), default=0) if isinstance(maker, PersonalModel) else 0

    for column in model.rules.copied:
        if column not in state.arrays:
            copy_above(draft, model, state, column)
    for column in sorted(dict.fromkeys([*model.made, *model.rules.composed]), key=after):
        rng = stream(draft.seed, table.id, "make", column)
        if column not in model.made:
            state.blank[column] = _blank(draft, model, state, column, rng)
            compose(draft, model, state, column)
            continue
        item = model.made[column]
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
        if column in model.rules.composed:
            state.rest[column] = _rest(draft, model, state, column, present, rng)
            compose(draft, model, state, column)
            continue
        state.arrays[column] = make_values(item, arrow_type(kind), state.rows, row, present, rng, kind.bits, draft.lane(table.id))
        if repeats is not None:
            _stick(draft, model, state, column, repeats)


def _rest(draft: Draft, model: TableModel, state: State, column: str, present: np.ndarray, rng: np.random.Generator) -> pa.Array:
    """What is made up of a text after its beginning; unique among the rows that begin alike, where these are few groups."""
    item, lane = model.made[column], draft.lane(model.plan.table)
    begun = joined(model.rules.composed[column].pieces[:-1], lambda p: seen(draft, model, state, p), state.rows)
    group = np.asarray(pc.fill_null(begun.dictionary_encode().indices, -1)) if item.unique else np.zeros(state.rows, dtype=np.int64)
    each = [np.flatnonzero(group == g) for g in np.unique(group)]
    each = each if len(each) <= _GROUPS else [np.arange(state.rows)]
    made = [make_values(item, pa.string(), len(rows), {}, present[rows], rng, lane=lane) for rows in each]
    return pa.concat_arrays(made).take(pa.array(np.argsort(np.concatenate(each)))) if made else pa.nulls(0, pa.string())


def _blank(draft: Draft, model: TableModel, state: State, column: str, rng: np.random.Generator) -> np.ndarray:
    """The rows without a composed text whatever its pieces are; bool (rows,)."""
    blank = np.zeros(state.rows, dtype=bool)
    if column in model.blank:
        blank = np.isnan(model.blank[column].draw(state.context.columns, state.rows, rng))
    if column in model.rules.presence:
        empty, filled = decided_rows(draft, model, state, column)
        blank = (blank | empty) & ~filled
    return blank
