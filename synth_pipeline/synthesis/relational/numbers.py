"""Dealing keys to rows in the order that the real ones show, and writing numbers that count in that order."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synth_pipeline.keys import combined_codes
from synth_pipeline.synthesis.relational.encode import NumberCodec
from synth_pipeline.synthesis.relational.model import TableModel
from synth_pipeline.synthesis.relational.random import stream
from synth_pipeline.synthesis.relational.rules import Numbering, Written, ranks
from synth_pipeline.synthesis.relational.state import Draft, State


def number_keys(draft: Draft, model: TableModel, state: State) -> None:
    """Gives the keys of a complete table their order, and writes those that count; before anything refers to them."""
    table = draft.schema.table(model.plan.table)
    for column, numbering in model.rules.numbered.items():
        keys = state.arrays[column]
        order = _order(draft, model, state, numbering, column)
        place = np.empty(state.rows, dtype=np.int64)
        place[order] = np.arange(state.rows)
        state.arrays[column] = keys.take(pc.sort_indices(keys)).take(pa.array(place))
    for column, written in model.rules.written.items():
        texts = _write(draft, model, state, written)
        limit = table.column(column).type.length
        if limit is None or not len(texts) or pc.max(pc.utf8_length(texts)).as_py() <= limit:
            state.arrays[column] = texts


def _order(draft: Draft, model: TableModel, state: State, numbering: Numbering, column: str) -> np.ndarray:
    """Row numbers in the order of the key, int64 (rows,)."""
    rng = stream(draft.seed, model.plan.table, "numbering", column)
    levels = []
    for kind, name in numbering.by:
        if kind == "column":
            levels.append(ranks(state.arrays[name] if name in state.arrays else draft.value(model.plan.table, name, state)))
        else:
            fk = draft.foreign_key(model, name)
            levels.append(ranks(draft.value(model.plan.table, fk.columns[0], state)))
    if numbering.noise and len(levels):
        return np.argsort(levels[0] / max(1, levels[0].max(initial=0)) + numbering.noise * rng.standard_normal(state.rows), kind="stable")
    # What the levels leave equal stays in the order of siblings, or, where no order shows at all, comes in any.
    return np.lexsort((_last_level(state, rng, ordered=bool(levels)), *reversed(levels)))


def _last_level(state: State, rng: np.random.Generator, *, ordered: bool) -> np.ndarray:
    if not ordered:
        return rng.permutation(state.rows)
    return state.group.position if state.group is not None else np.arange(state.rows)


def _write(draft: Draft, model: TableModel, state: State, written: Written) -> pa.Array:
    """The text of every row's number."""
    fixed: list[pa.Array | pa.Scalar | None] = []
    for kind, value in written.parts:
        if kind == "text":
            fixed.append(pa.scalar(value))
        elif kind == "count":
            fixed.append(None)
        else:
            codec = model.codec(value)
            assert isinstance(codec, NumberCodec)
            fixed.append(pc.strftime(draft.value(model.plan.table, value, state).cast(pa.timestamp("s")), format=kind))
    dates = [pa.chunked_array([f]) for f in fixed if isinstance(f, pa.Array)]
    within = combined_codes(dates) if written.restarts and dates else np.zeros(state.rows, dtype=np.int64)
    order = np.lexsort((ranks(state.arrays[written.key]), within))
    starts = np.flatnonzero(np.r_[True, np.diff(within[order]) != 0]) if state.rows else np.empty(0, dtype=np.int64)
    number = np.empty(state.rows, dtype=np.int64)
    number[order] = written.first + np.arange(state.rows) - np.repeat(starts, np.diff(np.r_[starts, state.rows]))
    width = next(int(v) for k, v in written.parts if k == "count")
    count = pc.utf8_lpad(pa.array(number).cast(pa.string()), width=width, padding="0")
    return pc.binary_join_element_wise(*(count if f is None else f for f in fixed), "")
