"""Dealing keys to rows in the order that the real ones show, and writing numbers that count in that order."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synth_pipeline.keys import combined_codes
from synth_pipeline.synthesis.relational.composing import seen
from synth_pipeline.synthesis.relational.encode import NumberCodec
from synth_pipeline.synthesis.relational.model import TableModel
from synth_pipeline.synthesis.relational.random import stream
from synth_pipeline.synthesis.relational.rules import Numbering, Piece, Written, formed, joined, number_texts, ranks
from synth_pipeline.synthesis.relational.rules.pieces import COUNT
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
        for other in numbering.rising:
            codec, x = model.codec(other), np.empty(state.rows)
            x[order] = np.sort(state.x[other])
            state.x[other], state.arrays[other] = x, state.arrays[other].take(pc.sort_indices(state.arrays[other])).take(pa.array(place))
            state.tell(other, codec)
    for column, written in model.rules.written.items():
        if fits(written, draft.shard.total.get(table.id, state.rows), table.column(column).type.length):
            state.arrays[column] = _write(draft, model, state, written)


def counted(draft: Draft, model: TableModel, state: State, column: str) -> np.ndarray:
    """The numbers of a column that counts the rows with the same values in columns of foreign keys; float (rows,)."""
    rank, table = model.rules.ranks[column], model.plan.table
    within = combined_codes([pa.chunked_array([draft.value(table, c, state)]) for c in rank.within])
    levels = [state.x[c] if c in state.x else ranks(draft.value(table, c, state)) for c in rank.by]
    # Where no order shows the numbers must not follow the owner's.
    last = np.arange(state.rows) if rank.by else stream(draft.seed, table, "count within", column).permutation(state.rows)
    place = np.empty(state.rows, dtype=np.int64)
    place[np.lexsort((last, *reversed(levels)))] = np.arange(state.rows)
    return count_within(within, place, int(rank.first)).astype(float)


def count_again(draft: Draft, model: TableModel, state: State) -> bool:
    """Counts rows within their parents anew where rows, parents or the order changed; returns whether something did."""
    changed = False
    for column in (c for c, rank in model.rules.ranks.items() if rank.within and c in state.arrays):
        x, codec = counted(draft, model, state, column), model.codec(column)
        if not np.array_equal(x, state.x[column]) and isinstance(codec, NumberCodec):
            state.hold(column, codec, x)
            changed = True
    return changed


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
    values = {p: seen(draft, model, state, p) for p in written.parts if p.holds}
    within = combined_codes(within_columns(written, values)) if written.within else np.zeros(state.rows, dtype=np.int64)
    return written_texts(written, values, count_within(within, ranks(state.arrays[written.key]), written.first))


def count_within(group: np.ndarray, place: np.ndarray, first: int) -> np.ndarray:
    """Counts the rows of each group from `first` in the order of their places; int64 (rows,)."""
    order = np.lexsort((place, group))
    starts = np.flatnonzero(np.r_[True, np.diff(group[order]) != 0]) if len(group) else np.empty(0, dtype=np.int64)
    count = np.empty(len(group), dtype=np.int64)
    count[order] = first + np.arange(len(group)) - np.repeat(starts, np.diff(np.r_[starts, len(group)]))
    return count


def within_columns(written: Written, values: Mapping[Piece, pa.Array]) -> list[pa.ChunkedArray]:
    """The texts with each of which the count starts again, by the columns of the pieces."""
    return [pa.chunked_array([formed(written.parts[i], values[written.parts[i]])]) for i in written.within]


def written_texts(written: Written, values: Mapping[Piece, pa.Array], number: np.ndarray) -> pa.Array:
    """The texts with these counts, int64 (rows,), by the columns of the pieces."""
    width = next(int(p.column) for p in written.parts if p.form == COUNT)
    return joined(written.parts, values.__getitem__, len(number), number_texts(number, width))


def fits(written: Written, total: int, limit: int | None) -> bool:
    """Whether the texts of so many rows find room in the column."""
    width = next(int(p.column) for p in written.parts if p.form == COUNT)
    return limit is None or written.widest + max(width, len(str(written.first + total))) <= limit
