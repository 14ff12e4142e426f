"""Other parents for a row that may not keep its own, so that everything else that is known of the row stays true."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa

from synth_pipeline.catalog.schema import ForeignKey
from synth_pipeline.keys import combined_codes
from synth_pipeline.synthesis.relational.collisions import choice_candidates
from synth_pipeline.synthesis.relational.encode import NumberCodec
from synth_pipeline.synthesis.relational.model import TableModel
from synth_pipeline.synthesis.relational.parents import cells_of, moments, onward, spans_of
from synth_pipeline.synthesis.relational.state import Draft, State
from synth_pipeline.synthesis.relational.structure import anchored


def movable(draft: Draft, model: TableModel, state: State) -> list[ForeignKey]:
    """The foreign keys whose parents can be exchanged, the owner last."""
    known = [fk for fk in model.plan.keys if fk.id in state.parents and not anchored(draft.schema, fk)]
    fixed = {key for key, link in model.links.items() if link.path is not None or link.inverse is not None}
    fixed |= {typed.key for typed in model.plan.typed.values()}
    return sorted((fk for fk in known if fk.id not in fixed), key=lambda fk: model.plan.is_owner(fk.id))


def other_parents(draft: Draft, model: TableModel, state: State, fk: ForeignKey, rng: np.random.Generator) -> Callable[[int], Iterator[float]]:
    """For a row the parents that it may have instead of its own, those that should have more children first."""
    able, kin = np.flatnonzero(draft.referable(fk)), _kin(draft, model, fk)
    weights = None if model.plan.is_owner(fk.id) else draft.states[fk.parent].counts.get(fk.id)
    order = able if kin is None else able[np.argsort(kin[able], kind="stable")]
    codes = None if kin is None else kin[order]
    link = model.links.get(fk.id)
    times = list(_times(draft, model, state, fk))
    cells = cells_of(draft, link, state, fk, able) if link is not None and link.among is not None else None
    # The parents that go with each cell, cell by cell.
    by_cell = np.argsort(cells[2], kind="stable") if cells is not None else None
    ordered, partners = (cells[2][by_cell], able[cells[1][by_cell]]) if cells is not None else (None, None)

    def pick(row: int) -> Iterator[float]:
        mine, now = order, state.parents[fk.id][row]
        if kin is not None and codes is not None and now >= 0:
            mine = order[np.searchsorted(codes, kin[now], "left") : np.searchsorted(codes, kin[now], "right")]
        if cells is not None and ordered is not None and partners is not None and cells[0][row] >= 0:
            low, high = (np.searchsorted(ordered, cells[0][row], side) for side in ("left", "right"))
            mine = np.intersect1d(mine, partners[low:high])
        for when, start, end in times:
            mine = mine[~((start[mine] > when[row]) | (end[mine] < when[row]))]
        return choice_candidates(mine, rng, weights)(row)

    return pick


def _times(draft: Draft, model: TableModel, state: State, fk: ForeignKey) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """What says which parents are there when a row is: when it is, float (rows,), and from when to when each parent is; see `spans_of`."""
    link = model.links.get(fk.id)
    if link is None:
        return
    if link.since is not None:
        yield spans_of(draft, model, state, fk)
    for column in state.x:
        codec = model.codec(column)
        for bound in model.rules.bounds.get(column, ()):
            if bound.key == fk.id and not bound.then and isinstance(codec, NumberCodec):
                there = moments(draft, fk.parent, bound.column)
                never = np.full(len(there), np.nan)
                yield (state.x[column] * codec.unit, never, there) if bound.upper else (state.x[column] * codec.unit, there, never)


def _kin(draft: Draft, model: TableModel, fk: ForeignKey) -> np.ndarray | None:
    """A code per parent, equal for those that are the same to the other keys: in the columns that these share, and where they lead.

    None where all parents are.
    """
    others = {c for f in model.plan.keys if f.id != fk.id for c in f.columns}
    parts = [pa.chunked_array([draft.value(fk.parent, p)]) for c, p in zip(fk.columns, fk.parent_columns, strict=True) if c in others]
    every, led = np.arange(draft.states[fk.parent].rows), list[np.ndarray]()
    for key, link in model.links.items():
        if link.path is not None and link.path[0] == fk.id:
            led.append(onward(draft, every, *link.path[1:]))
        if link.meets is not None and key == fk.id:
            led.append(draft.parent_index(fk.parent, link.meets[2]))
        if link.meets is not None and link.meets[0] == fk.id:
            led.append(onward(draft, every, link.meets[1]))
        if link.among is not None and link.among.key == fk.id:
            led.append(onward(draft, every, link.among.via))
    parts += [pa.chunked_array([pa.array(x)]) for x in led]
    return combined_codes(parts) if parts else None
