"""Keeping constraints that draws have broken: CHECKs, and keys over several columns."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synth_pipeline.catalog.schema import ForeignKey, Table
from synth_pipeline.catalog.types import arrow_type
from synth_pipeline.constraints import check_mask
from synth_pipeline.keys import combined_codes, complete_rows
from synth_pipeline.synthesis.relational import repair
from synth_pipeline.synthesis.relational.columns import make_values, named_columns
from synth_pipeline.synthesis.relational.encode import NumberCodec
from synth_pipeline.synthesis.relational.frame import Group
from synth_pipeline.synthesis.relational.model import TableModel
from synth_pipeline.synthesis.relational.parents import announce
from synth_pipeline.synthesis.relational.random import stream
from synth_pipeline.synthesis.relational.shapes import KeyShapes
from synth_pipeline.synthesis.relational.state import Draft, State
from synth_pipeline.synthesis.relational.structure import anchored
from synth_pipeline.synthesis.relational.values import recompute

_MOST_CELLS = 4_000_000


def keep_checks(draft: Draft, model: TableModel, state: State, table: Table) -> None:
    """Gives rows that break a CHECK other values in the columns that it names, until none is left.

    First they take the values of synthetic rows that keep it; when that does not help, a combination of a training row.
    """
    for check in table.checks:
        for attempt in range(8):
            rows = pa.table({c.name: draft.value(table.id, c.name, state) for c in table.stored_columns})
            mask = check_mask(rows, check.sql, draft.schema.dialect, table)
            if mask is None or mask.all():
                break
            rng = stream(draft.seed, table.id, "check", check.sql, attempt)
            bad, good = np.flatnonzero(~mask), np.flatnonzero(mask)
            if len(good) and attempt < 4:
                named = model.rules.drawn_behind(named_columns(check.sql, (*model.order, *model.made)))
                _borrow(model, state, bad, _donors(model, state, bad, good, named, rng), named)
            else:
                _learnt(model, state, bad, check.sql, rng)
            recompute(draft, model, state)
        else:
            draft.warnings.append(f"{table.id}: some rows may break CHECK ({check.sql})")


def _donors(model: TableModel, state: State, bad: np.ndarray, good: np.ndarray, columns: list[str], rng: np.random.Generator) -> np.ndarray:
    """A row that keeps the CHECK for each that does not: one with the same copied values, where there is one.

    Copied values stay what the parent says, so that only such a row's values are known to go with them.
    """
    copied = [pa.chunked_array([state.arrays[c]]) for c in columns if c in model.rules.copied and c in state.arrays]
    if not copied:
        return good[rng.integers(0, len(good), len(bad))]
    codes = combined_codes(copied)
    ordered = good[np.lexsort((rng.random(len(good)), codes[good]))]
    low, high = np.searchsorted(codes[ordered], codes[bad], "left"), np.searchsorted(codes[ordered], codes[bad], "right")
    pick = np.where(high > low, low + (rng.random(len(bad)) * (high - low)).astype(np.int64), rng.integers(0, len(good), len(bad)))
    return np.asarray(ordered[pick])


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


def keep_unique(draft: Draft, model: TableModel, state: State, table: Table, waiting: set[str], *, keys_only: bool = False) -> None:
    """Makes every key unique that does not wait for a deferred foreign key.

    With `keys_only` those keys that consist of parents alone, before anything is drawn that depends on the parents.
    """
    ready = {c for fk in model.plan.keys if fk.id in state.parents for c in fk.columns}
    late = {c for fk in model.plan.deferred if fk.id in waiting for c in fk.columns if c not in anchored(draft.schema, fk)}
    for key in table.keys:
        if late & set(key) or any(c in model.made and model.made[c].unique for c in key):
            continue
        if any(table.column(c).generated is not None for c in key) or keys_only and not set(key) <= ready:
            continue
        _unique_key(draft, model, state, table, key)


def _unique_key(draft: Draft, model: TableModel, state: State, table: Table, key: tuple[str, ...]) -> None:
    parts = _components(draft, model, state, table, key)
    for part in parts:
        columns = [_folded(table, c, draft.value(table.id, c, state)) for c in key]
        complete = complete_rows(columns)
        rows = repair.duplicates(combined_codes(columns), complete)
        if not len(rows):
            return
        rest = [_folded(table, c, draft.value(table.id, c, state)) for c in key if c not in part[1]]
        codes = combined_codes(rest) if rest else np.zeros(state.rows, dtype=np.int64)
        rng = stream(draft.seed, table.id, "unique", *key, part[0])
        _redraw(draft, model, state, part, codes, rows, complete, rng)
    own = [c for _, names in parts for c in names if c in model.order and model.drawn.get(c)]
    for remedy in (_free_cells, _fresh_values):
        columns = [_folded(table, c, draft.value(table.id, c, state)) for c in key]
        rows = repair.duplicates(combined_codes(columns), complete_rows(columns))
        if len(rows) and own:
            remedy(model, state, table, key, own, rows, stream(draft.seed, table.id, remedy.__name__, *key))
    columns = [_folded(table, c, draft.value(table.id, c, state)) for c in key]
    rows = repair.duplicates(combined_codes(columns), complete_rows(columns))
    if not len(rows):
        return
    nullable = next((c for c in key if table.column(c).nullable and c not in table.primary_key and c in state.arrays), None)
    if nullable is not None:
        mask = np.zeros(state.rows, dtype=bool)
        mask[rows] = True
        values = state.arrays[nullable]
        state.arrays[nullable] = values.take(pa.array(np.arange(state.rows), mask=mask))
        return
    draft.lose(table.id, len(rows), f"the key ({', '.join(key)}) has no free values for them")
    state.keep(np.setdiff1d(np.arange(state.rows), rows))


def _free_cells(
    model: TableModel, state: State, table: Table, key: tuple[str, ...], own: list[str], rows: np.ndarray, rng: np.random.Generator
) -> None:
    """Gives rows combinations of known values that no row has, where all columns of the key are free to change."""
    if set(own) != set(key) or any(np.isnan(state.x[c]).any() for c in key):
        return
    found = [np.unique(state.x[c], return_inverse=True) for c in key]
    sizes = [len(values) for values, _ in found]
    if np.prod(np.array(sizes, dtype=float)) > _MOST_CELLS:
        return
    taken = np.ravel_multi_index([codes for _, codes in found], sizes)
    free = np.setdiff1d(np.arange(int(np.prod(sizes))), taken)
    rows = rows[: len(free)]
    cells = np.unravel_index(rng.permutation(free)[: len(rows)], sizes)
    for column, (values, _), at in zip(key, found, cells, strict=True):
        state.x[column][rows] = values[at]
        codec = model.codec(column)
        x = state.x[column]
        state.arrays[column] = codec.exact(x, np.isnan(x)) if isinstance(codec, NumberCodec) else codec.decode(x)


def _fresh_values(
    model: TableModel, state: State, table: Table, key: tuple[str, ...], own: list[str], rows: np.ndarray, rng: np.random.Generator
) -> None:
    """Gives rows values that nobody has in one column of the key: numbers beyond the last one, texts of the same shapes."""
    bound = {c for check in table.checks for c in named_columns(check.sql, own)}
    for column in sorted(set(own) - bound, key=lambda c: (not pa.types.is_integer(state.arrays[c].type), c)):
        kind, old = table.column(column).type, state.arrays[column]
        fresh: pa.Array
        if pa.types.is_integer(old.type):
            last = int(pc.max(old).as_py() or 0)
            if last + len(rows) >= 2 ** ((kind.bits or 64) - 1):
                continue
            fresh = pa.array(last + 1 + np.arange(len(rows))).cast(old.type)
        elif pa.types.is_string(old.type) and not kind.values:
            known = old.drop_null().unique().to_pylist()
            fresh = pa.array(KeyShapes.fit(known, kind.length).generate(len(rows), set(known), rng), old.type)
        else:
            continue
        rows = rows[: len(fresh)]
        index = np.arange(state.rows)
        index[rows] = state.rows + np.arange(len(rows))
        state.arrays[column] = pa.concat_arrays([old, fresh]).take(pa.array(index))
        return


def _components(draft: Draft, model: TableModel, state: State, table: Table, key: tuple[str, ...]) -> list[tuple[str, tuple[str, ...]]]:
    """What may change to make a key unique, the least harmful first: (name, columns of the key that it decides)."""
    inside = set(key)
    found: list[tuple[int, str, tuple[str, ...]]] = []
    for fk in model.plan.keys:
        # A parent can be exchanged when no other key has a say in its columns.
        others = {c for f in model.plan.keys if f.id != fk.id for c in f.columns}
        if anchored(draft.schema, fk):
            continue
        if set(fk.columns) & inside and not set(fk.columns) & others and fk.id in state.parents and not _is_path(model, fk):
            owner = model.plan.owner is not None and fk.id == model.plan.owner.id
            found.append((3 if owner else 0, f"key:{fk.id}", tuple(c for c in fk.columns if c in inside)))
    for column in key:
        if column in model.order and column not in model.rules.copied:
            number = isinstance(model.codec(column), NumberCodec)
            found.append((1 if number else 2, f"column:{column}", (column,)))
        elif column in model.made:
            found.append((1, f"made:{column}", (column,)))
    return [(name, columns) for _, name, columns in sorted(found, key=lambda f: f[0])]


def _is_path(model: TableModel, fk: ForeignKey) -> bool:
    return fk.id in model.links and model.links[fk.id].path is not None


def _redraw(
    draft: Draft,
    model: TableModel,
    state: State,
    part: tuple[str, tuple[str, ...]],
    rest: np.ndarray,
    rows: np.ndarray,
    complete: np.ndarray,
    rng: np.random.Generator,
) -> None:
    kind, _, name = part[0].partition(":")
    if kind == "key":
        fk = draft.foreign_key(model, name)
        parent = draft.states[fk.parent]
        weights = parent.counts.get(fk.id) if model.plan.owner is None or fk.id != model.plan.owner.id else None
        choose = repair.choice_candidates(np.flatnonzero(draft.referable(fk)), rng, weights)
        values, _ = repair.reassign(rest, state.parents[name].astype(float), rows, complete, choose)
        state.parents[name] = values.astype(np.int64)
        for column in fk.columns:
            state.arrays.pop(column, None)
        announce(draft, model, state, fk)
        if state.group is not None and model.plan.owner is not None and fk.id == model.plan.owner.id:
            state.group = Group.of(state.parents[name], state.group.position)
    elif kind == "column":
        codec = model.codec(name)
        base = model.rules.bases.get(name)
        choose = (
            repair.number_candidates(codec, state.x[name], upward=base is not None and base.least >= 0)
            if isinstance(codec, NumberCodec)
            else repair.choice_candidates(np.arange(len(codec.dictionary)), rng)
        )
        values, _ = repair.reassign(rest, state.x[name], rows, complete, choose)
        state.x[name] = values
        state.arrays[name] = codec.exact(values, np.isnan(values)) if isinstance(codec, NumberCodec) else codec.decode(values)
    else:
        table = draft.schema.table(model.plan.table)
        again = make_values(model.made[name], arrow_type(table.column(name).type), len(rows), {}, np.ones(len(rows), dtype=bool), rng)
        index = np.arange(state.rows)
        index[rows] = state.rows + np.arange(len(rows))
        state.arrays[name] = pa.concat_arrays([state.arrays[name], again]).take(pa.array(index))


def _folded(table: Table, column: str, values: pa.Array) -> pa.ChunkedArray:
    if pa.types.is_string(values.type) and not table.column(column).case_sensitive:
        values = pc.utf8_lower(values)
    return pa.chunked_array([values])
