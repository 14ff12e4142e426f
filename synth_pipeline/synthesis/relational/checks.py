"""CHECK constraints that draws have broken: rows that break one get other values, or other parents, in what it names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from synth_pipeline.catalog.schema import ForeignKey, Table
from synth_pipeline.constraints import check_mask
from synth_pipeline.keys import combined_codes
from synth_pipeline.synthesis.relational.columns import named_columns
from synth_pipeline.synthesis.relational.computed import recompute
from synth_pipeline.synthesis.relational.encode import CategoryCodec
from synth_pipeline.synthesis.relational.exchange import movable, other_parents
from synth_pipeline.synthesis.relational.model import TableModel
from synth_pipeline.synthesis.relational.parents import move
from synth_pipeline.synthesis.relational.random import stream
from synth_pipeline.synthesis.relational.state import Draft, State

_ATTEMPTS, _BORROWED = 8, 4
"""How often what breaks a CHECK is changed, and how often of these it is by what another row has."""
_FEW = 50
"""Most values of a category that rows must have in common for one to take the other's numbers."""


def keep_checks(draft: Draft, model: TableModel, state: State, table: Table, *, keys_only: bool = False) -> bool:
    """Gives rows that break a CHECK other values in the columns that it names, until none is left.

    First they take the values of synthetic rows that keep it; when that does not help, a combination of a training row. Foreign
    keys among the columns get other parents, or exchange them.

    With `keys_only` those CHECKs that name only foreign keys, before anything is drawn that depends on the parents.

    Returns:
        Whether all rows keep them.
    """
    kept = True
    ready = {c for fk in model.plan.keys if fk.id in state.parents for c in fk.columns}
    for check in table.checks:
        columns = named_columns(check.sql, [c.name for c in table.stored_columns])
        if keys_only and not set(columns) <= ready:
            continue
        keys = [fk for fk in movable(draft, model, state) if set(fk.columns) & set(columns)]
        named = model.rules.drawn_behind([c for c in columns if c in model.order or c in model.made])
        for attempt in range(_ATTEMPTS):
            mask = _kept(draft, state, table, check.sql)
            if mask is None or mask.all():
                break
            rng = stream(draft.seed, table.id, "check", check.sql, attempt)
            bad, good = np.flatnonzero(~mask), np.flatnonzero(mask)
            if keys and not (named and attempt % 2):
                _reparent(draft, model, state, table, check.sql, keys, bad, rng)
            elif len(good) and attempt < _BORROWED:
                _borrow(model, state, bad, _donors(model, state, bad, good, named, rng), named)
            else:
                _learnt(model, state, bad, check.sql, rng)
            if not keys_only:
                recompute(draft, model, state)
        else:
            kept = False
    return kept


def keep_late(draft: Draft, model: TableModel, state: State, table: Table) -> None:
    """Changes what a CHECK names beside a column that was computed from rows of other tables, where that breaks it: the seats of a section.

    They are those of a row that keeps it, with at least as high a value of that column, or else with at most as high a one.
    """
    late = model.rules.late()
    for check in table.checks:
        columns = named_columns(check.sql, [c.name for c in table.stored_columns])
        waited, free = [c for c in columns if c in late and c in state.x], [c for c in columns if c in model.drawn and c not in late]
        for attempt in range(_ATTEMPTS if waited and free else 0):
            mask = _kept(draft, state, table, check.sql)
            if mask is None or mask.all() or not mask.any():
                break
            rng = stream(draft.seed, table.id, "late", check.sql, attempt)
            bad, x = np.flatnonzero(~mask), np.nan_to_num(state.x[waited[0]])
            good = np.flatnonzero(mask)[np.argsort(x[mask], kind="stable")]
            place = np.searchsorted(x[good], x[bad], "left" if attempt < _BORROWED else "right")
            low, high = (place, len(good)) if attempt < _BORROWED else (0, place)
            pick = low + (rng.random(len(bad)) * (high - low)).astype(np.int64)
            _borrow(model, state, bad, good[np.minimum(pick, len(good) - 1)], free)


def drop_broken(draft: Draft, state: State, table: Table) -> None:
    """Gives up the rows that break a CHECK after all."""
    for check in table.checks:
        mask = _kept(draft, state, table, check.sql)
        if mask is not None and not mask.all():
            draft.lose(table.id, int((~mask).sum()), f"no other values were found that keep CHECK ({check.sql})")
            state.keep(np.flatnonzero(mask))


def _kept(draft: Draft, state: State, table: Table, sql: str) -> np.ndarray | None:
    """Which rows keep a CHECK, bool (rows,); None where that cannot be told."""
    return check_mask(pa.table({c.name: draft.value(table.id, c.name, state) for c in table.stored_columns}), sql, draft.schema.dialect, table)


def _reparent(
    draft: Draft, model: TableModel, state: State, table: Table, sql: str, keys: Sequence[ForeignKey], bad: np.ndarray, rng: np.random.Generator
) -> None:
    """Gives rows other parents: two keys to one table exchange theirs where that helps; else one of the keys takes others."""
    one, other = keys[0], next((k for k in keys[1:] if k.parent == keys[0].parent and k.parent_columns == keys[0].parent_columns), None)
    if other is not None:
        _swap(draft, model, state, one, other, bad)
        mask = _kept(draft, state, table, sql)
        wrong = bad if mask is None else bad[~mask[bad]]
        _swap(draft, model, state, one, other, wrong)  # as they were
        bad = wrong
    choose, parents = other_parents(draft, model, state, one, rng), state.parents[one.id].copy()
    for row in bad.tolist():
        parents[row] = next(choose(row), parents[row])
    move(draft, model, state, one, parents)


def _swap(draft: Draft, model: TableModel, state: State, one: ForeignKey, other: ForeignKey, rows: np.ndarray) -> None:
    """Gives rows by each of two keys the parents that they have by the other one."""
    mine, theirs = state.parents[one.id].copy(), state.parents[other.id].copy()
    mine[rows], theirs[rows] = theirs[rows], mine[rows]
    move(draft, model, state, one, mine)
    move(draft, model, state, other, theirs)


def _donors(model: TableModel, state: State, bad: np.ndarray, good: np.ndarray, columns: list[str], rng: np.random.Generator) -> np.ndarray:
    """A row that keeps the CHECK for each that does not: one that is alike in its categories, or in copied values, where there is one.

    Copied values stay what the parent says, so that only such a row's values are known to go with them; and an issue takes the
    quantity of an issue, not of a receipt.
    """
    copied = [pa.chunked_array([state.arrays[c]]) for c in columns if c in model.rules.copied and c in state.arrays]
    kinds = [c for c in model.order if c not in columns and isinstance(k := model.codec(c), CategoryCodec) and 2 <= len(k.dictionary) <= _FEW]
    alike = [pa.chunked_array([pa.array(v)]) for v in (*(state.x[c] for c in kinds), *(state.parents[fk.id] for fk in model.plan.lookups))]
    chosen = good[rng.integers(0, len(good), len(bad))]
    for parts in (copied, copied + alike):
        if parts:
            codes = combined_codes(parts)
            ordered = good[np.lexsort((rng.random(len(good)), codes[good]))]
            low, high = np.searchsorted(codes[ordered], codes[bad], "left"), np.searchsorted(codes[ordered], codes[bad], "right")
            pick = low + (rng.random(len(bad)) * (high - low)).astype(np.int64)
            chosen = np.where(high > low, ordered[np.minimum(pick, len(ordered) - 1)], chosen)
    return chosen


def _borrow(model: TableModel, state: State, rows: np.ndarray, donors: np.ndarray, columns: list[str]) -> None:
    """Gives rows the values that other rows have in some columns."""
    index = np.arange(state.rows)
    index[rows] = donors
    for column in columns:
        if column not in state.arrays or column in model.made and model.made[column].unique:
            continue
        state.arrays[column] = state.arrays[column].take(pa.array(index))
        if column in state.x:
            state.x[column] = state.x[column][index]


def _learnt(model: TableModel, state: State, rows: np.ndarray, sql: str, rng: np.random.Generator) -> None:
    """Gives rows a combination of values that kept the CHECK in the training data."""
    columns, combinations = model.checks.get(sql, ((), np.empty((0, 0))))
    if not len(combinations):
        return
    chosen = combinations[rng.integers(0, len(combinations), len(rows))]
    for i, column in enumerate(columns):
        state.x[column][rows] = chosen[:, i]
        codec = model.codec(column)
        state.arrays[column] = codec.decode(state.x[column])
