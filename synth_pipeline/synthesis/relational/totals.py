"""Columns that tell of the rows that refer to theirs: sums, highest and lowest values, means, set when those rows are drawn.

Where a database is drawn in shards, each of them says its part of the totals of tables that were drawn before.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from synth_pipeline.synthesis.relational.computed import decided_rows
from synth_pipeline.synthesis.relational.encode import NumberCodec
from synth_pipeline.synthesis.relational.limits import plain
from synth_pipeline.synthesis.relational.model import DatabaseModel, TableModel
from synth_pipeline.synthesis.relational.random import stream
from synth_pipeline.synthesis.relational.rules import extremes, mean_of, sums
from synth_pipeline.synthesis.relational.state import Draft, State


def open_totals(model: DatabaseModel, tables: Collection[str]) -> list[tuple[str, str]]:
    """The columns, as (table, column), of other tables that add up rows of these."""
    keys = model.keys_of(tables)
    return [(t, c) for t, m in model.tables.items() if t not in tables for c, total in m.rules.totals.items() if total.key in keys]


def total_of(draft: Draft, table: str, column: str) -> np.ndarray:
    """What the rows that are drawn say of a column: their sums and numbers, float (2, rows), or the highest or lowest, float (rows,)."""
    total, rows = draft.model.tables[table].rules.totals[column], draft.states[table].rows
    child = draft.model.tables[draft.model.keys_of(draft.states)[total.key]]
    state = draft.states[child.plan.table]
    value = np.ones(state.rows)
    for factor in total.factors:
        number = plain(child, state, factor)
        value = value * (number if total.extreme else np.nan_to_num(number))
    if total.extreme in ("highest", "lowest"):
        return extremes(state.parents[total.key], value, rows, total.extreme)
    return sums(state.parents[total.key], value, rows)


def combined(model: DatabaseModel, table: str, column: str, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """What `total_of` two shards, or of more of them, is together."""
    extreme = model.tables[table].rules.totals[column].extreme
    how: np.ufunc = np.fmax if extreme == "highest" else np.fmin if extreme == "lowest" else np.add
    return np.asarray(how(one, other))


def set_total(draft: Draft, table: str, column: str, parts: np.ndarray) -> None:
    """Gives a column what its rows say together (see `total_of`)."""
    model, state = draft.model.tables[table], draft.states[table]
    total, codec = model.rules.totals[column], model.exact[column]
    assert isinstance(codec, NumberCodec)
    value = mean_of(parts) if total.extreme == "mean" else parts if total.extreme else np.where(total.bare & (parts[1] == 0), np.nan, parts[0])
    for own, sign in total.plus:
        rest = value + sign * np.nan_to_num(plain(model, state, own))
        if sign < 0 and own in model.drawn and own not in model.rules.exact():
            # A discount that was drawn before its sum is no larger than leaves the lowest of real totals.
            short = np.maximum(codec.low * codec.unit - rest, 0)
            rest = rest + _less(model, state, own, short)
        value = rest
    if column in model.rules.presence:
        value = np.where(decided_rows(draft, model, state, column)[0], np.nan, value)
    lacking = np.isnan(value) & np.isfinite(value).any()
    if lacking.any() and not draft.may_lack(model, column):
        # Every parent of the source had children to be told from.
        rng = stream(draft.seed, table, "total", column)
        value = np.where(lacking, rng.choice(value[~lacking], len(value)), value)
    state.add(column, codec, value if codec.digits is None else np.round(value / codec.unit))


def _less(model: TableModel, state: State, column: str, by: np.ndarray) -> np.ndarray:
    """Takes so much, in its own unit, float (rows,), from a column, as far as its lowest value; returns what was taken."""
    codec = model.codec(column)
    if not isinstance(codec, NumberCodec) or not (by > 0).any():
        return np.zeros(state.rows)
    x = state.x[column]
    less = np.where(by > 0, np.maximum(x - np.ceil(by / codec.unit - 1e-9), np.minimum(x, codec.low)), x)
    state.hold(column, codec, less)
    return np.asarray(np.nan_to_num(x - less) * codec.unit)
