"""Drawing numbers that go on from the sibling before, one place at a time (see `rules.walks`)."""

from __future__ import annotations

import numpy as np

from synth_pipeline.synthesis.relational.encode import NumberCodec, digitize, held_above
from synth_pipeline.synthesis.relational.rules import Walk
from synth_pipeline.synthesis.relational.state import State
from synth_pipeline.synthesis.relational.variable import Variable


def steps_of(walk: Walk, x: np.ndarray, before: np.ndarray) -> np.ndarray:
    """The step to each value from the one before, float (n,) in units, or the logarithm of their ratio."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(x / before) if walk.ratio else x - before)


def draw_walk(walk: Walk, step: Variable, first: Variable, codec: NumberCodec, state: State, name: str, rng: np.random.Generator) -> np.ndarray:
    """Values in units, float (rows,): what `first` draws for the first of siblings, and steps from there on, which know where they start.

    `name` is the feature of the sibling before. What would go beyond the range of the source turns back there.
    """
    group = state.group
    assert group is not None
    columns = {n: state.context.columns[n] for n in (step.features | first.features) - {name}}
    before, out = group.before(), np.full(state.rows, np.nan)
    for place, rows in enumerate(group.places()):
        known = {n: v[rows] for n, v in columns.items()}
        if place == 0:
            out[rows] = first.draw({n: known[n] for n in first.features}, len(rows), rng, part=True)
            continue
        lag = held_above(out, before[rows])
        moved = step.draw({**known, name: digitize(lag, codec.edges)}, len(rows), rng, part=True)
        value = lag * np.exp(moved) if walk.ratio else lag + moved
        beyond = np.where(value > codec.high, 2 * codec.high - value, np.where(value < codec.low, 2 * codec.low - value, value))
        out[rows] = np.clip(beyond, codec.low, codec.high)
    return out
