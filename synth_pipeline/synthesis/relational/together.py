"""Drawing histories of one parent that begin or end together: what the one that is drawn already says of the other."""

from __future__ import annotations

import numpy as np

from synth_pipeline.synthesis.relational.encode import NumberCodec
from synth_pipeline.synthesis.relational.model import TableModel
from synth_pipeline.synthesis.relational.rules import Together, earliest, latest
from synth_pipeline.synthesis.relational.state import Draft, State


def begun(draft: Draft, model: TableModel, state: State, column: str, first: np.ndarray) -> np.ndarray:
    """The value of the first sibling, float (rows,): where the other history begins, and `first` where there is none."""
    rule = model.rules.begins.get(column)
    if rule is None:
        return first
    index, theirs, value = _other(draft, model, state, column, rule)
    held = earliest(theirs, value, draft.states[draft.foreign_key(model, rule.key).parent].rows)
    start = np.where(index >= 0, held[np.maximum(index, 0)], np.nan) if len(held) else first
    return np.where(np.isfinite(start), start, first)


def ended(draft: Draft, model: TableModel, state: State, column: str, last: np.ndarray) -> np.ndarray:
    """The value of the last sibling, float (rows,): where the other history ends, NaN where it goes on, and `last` where there is none."""
    rule = model.rules.ends.get(column)
    if rule is None:
        return last
    index, theirs, value = _other(draft, model, state, column, rule)
    parents = draft.states[draft.foreign_key(model, rule.key).parent].rows
    known = np.bincount(theirs[theirs >= 0], minlength=parents) > 0
    known = (index >= 0) & known[np.maximum(index, 0)] if parents else np.zeros(state.rows, dtype=bool)
    held = latest(theirs, value, parents)
    return np.where(known, held[np.maximum(index, 0)], last) if parents else last


def last_start(draft: Draft, model: TableModel, state: State, column: str) -> np.ndarray:
    """How late the last sibling may begin for the history to end with the other one, infinity for any time; float (rows,)."""
    high = np.full(state.rows, np.inf)
    for end in (c for c, source in model.rules.chains.items() if source == column and c in model.rules.ends):
        base, unit = model.rules.bases.get(end), (model.codec(column), model.codec(end))
        least = base.least if base is not None else 0.0
        assert isinstance(unit[0], NumberCodec) and isinstance(unit[1], NumberCodec)
        value = ended(draft, model, state, end, np.full(state.rows, np.nan)) - least
        high = np.fmin(high, value * (unit[1].unit / unit[0].unit))
    return high


def _other(draft: Draft, model: TableModel, state: State, column: str, rule: Together) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The parent of each row; the parent of each row of the other history, and its value in units of the column."""
    other, mine = draft.model.tables[rule.table].codec(rule.column), model.codec(column)
    assert isinstance(other, NumberCodec) and isinstance(mine, NumberCodec)
    rows = draft.states[rule.table]
    return state.parents[rule.key], rows.parents[rule.other], rows.x[rule.column] * (other.unit / mine.unit)
