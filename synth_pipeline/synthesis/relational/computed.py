"""What follows from other values of a row, or from its parents: computed columns, and all of them once more after a change."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from synth_pipeline.catalog.types import arrow_type
from synth_pipeline.keys import at_rows
from synth_pipeline.synthesis.relational.composing import compose_all
from synth_pipeline.synthesis.relational.encode import Codec, NumberCodec, held_above
from synth_pipeline.synthesis.relational.frame import Group
from synth_pipeline.synthesis.relational.limits import base_values, kept_within, led_to, numbers_above, plain
from synth_pipeline.synthesis.relational.model import TableModel
from synth_pipeline.synthesis.relational.numbers import counted
from synth_pipeline.synthesis.relational.random import stream
from synth_pipeline.synthesis.relational.rules import After, Base, Copied, part_values, rounded
from synth_pipeline.synthesis.relational.state import Draft, State


def computed(draft: Draft, model: TableModel, state: State, column: str) -> np.ndarray | None:
    """The values of a column that follows from others without an exception, in units; None for any other column."""
    rules, codec = model.rules, model.codec(column)
    base = rules.bases.get(column)
    if column in rules.copied:
        copy_above(draft, model, state, column)
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
            x = continued(model, state, column, state.ends[column])
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
            x = with_presence(x, empty, filled, model, column, stream(draft.seed, model.plan.table, "presence", column))
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
        state.arrays[column], state.x[column] = decoded(codec, x, exact=True), x
    for column in model.rules.copied:
        if column not in model.order:
            copy_above(draft, model, state, column)
    if all(c in state.arrays for c in model.rules.composed):
        compose_all(draft, model, state)


def decided_rows(draft: Draft, model: TableModel, state: State, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Where a column is empty, and where it is not, because another one says so; bool (rows,) each."""
    presence = model.rules.presence[column]
    if not presence.key:
        return presence.decide(state.x[presence.source])
    fk = draft.foreign_key(model, presence.key)
    index = state.parents[fk.id]
    above = np.arange(draft.states[fk.parent].rows, dtype=float) if not presence.source else draft.states[fk.parent].x[presence.source]
    return presence.decide(held_above(above, index))


def with_presence(x: np.ndarray, empty: np.ndarray, filled: np.ndarray, model: TableModel, column: str, rng: np.random.Generator) -> np.ndarray:
    """The values where there are to be any; what is missing where it must not be takes a value of another row."""
    short = filled & np.isnan(x)
    if short.any():
        known = x[filled & np.isfinite(x)]
        x = x.copy()
        x[short] = rng.choice(known, int(short.sum())) if len(known) else any_value(model, column, int(short.sum()), rng)
    return np.where(empty, np.nan, x)


def continued(model: TableModel, state: State, column: str, x: np.ndarray) -> np.ndarray:
    """The values of the siblings after, where the column continues with them; `x`, which is kept, for the last ones."""
    if column not in model.rules.chains or state.group is None:
        return x
    state.ends[column] = x
    after, apart = state.group.following(state.x[model.rules.chains[column]]), model.rules.apart.get(column)
    return np.where(np.isfinite(after), after - (apart.by if apart is not None else 0.0), x)


def decoded(codec: Codec, x: np.ndarray, *, exact: bool) -> pa.Array:
    """Values from units; what follows from others is not moved to a lattice of its own."""
    if exact and isinstance(codec, NumberCodec) and codec.digits is not None:
        return codec.exact(x, np.isnan(x))
    return codec.decode(x)


def copied_from(draft: Draft, model: TableModel, state: State, copy: Copied) -> tuple[pa.Array, np.ndarray]:
    """The column that is repeated, and its row for each row, -1 for none; int64 (rows,)."""
    table, index = led_to(draft, model, state, copy.key, copy.then)
    return draft.value(table, copy.column), index


def copy_above(draft: Draft, model: TableModel, state: State, column: str) -> None:
    """Gives a column what a row above each one holds."""
    above, index = copied_from(draft, model, state, model.rules.copied[column])
    kind = arrow_type(draft.schema.table(model.plan.table).column(column).type)
    taken = at_rows(above, index)
    state.arrays[column] = taken if taken.type == kind else taken.cast(kind, safe=False)


def any_value(model: TableModel, column: str, count: int, rng: np.random.Generator) -> np.ndarray:
    """Values anywhere in the range of a column, where nothing else is known; in units, float (count,)."""
    codec = model.codec(column)
    if isinstance(codec, NumberCodec):
        return codec.low + rng.random(count) * (codec.high - codec.low)
    return rng.integers(0, max(1, len(codec.dictionary)), count).astype(float)
