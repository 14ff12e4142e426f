"""Keys over several columns that draws have made collide: something in them changes, whatever does least harm."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synth_pipeline.catalog.schema import ForeignKey, Table
from synth_pipeline.catalog.types import arrow_type
from synth_pipeline.keys import combined_codes, complete_rows
from synth_pipeline.synthesis.relational.collisions import Claim, choice_candidates, duplicates, number_candidates, reassign
from synth_pipeline.synthesis.relational.columns import make_values, named_columns
from synth_pipeline.synthesis.relational.encode import CategoryCodec, NumberCodec, codes_of
from synth_pipeline.synthesis.relational.exchange import movable, other_parents
from synth_pipeline.synthesis.relational.limits import limits
from synth_pipeline.synthesis.relational.model import TableModel
from synth_pipeline.synthesis.relational.numbers import count_again
from synth_pipeline.synthesis.relational.parents import move
from synth_pipeline.synthesis.relational.random import stream
from synth_pipeline.synthesis.relational.shapes import KeyShapes
from synth_pipeline.synthesis.relational.state import Draft, State
from synth_pipeline.synthesis.relational.structure import anchored

_MOST_CELLS = 4_000_000
_DRAWS = 12
"""How often a category is drawn again before any other is taken."""


def keep_unique(draft: Draft, model: TableModel, state: State, table: Table, waiting: Collection[str], *, keys_only: bool = False) -> None:
    """Makes every key unique that does not wait for a deferred foreign key.

    With `keys_only` those keys that consist of parents alone, before anything is drawn that depends on the parents.
    """
    ready = {c for fk in model.plan.keys if fk.id in state.parents for c in fk.columns}
    late = {c for fk in model.plan.deferred if fk.id in waiting for c in fk.columns if c not in anchored(draft.schema, fk)}
    keys = []
    for key in table.keys:
        if late & set(key) or any(c in model.made and model.made[c].unique for c in key):
            continue
        if any(table.column(c).generated is not None for c in key) or keys_only and not set(key) <= ready:
            continue
        if any(rank.within and {c, *rank.within} <= set(key) for c, rank in model.rules.ranks.items()):
            continue  # numbers that are counted are unique
        keys.append(key)
    told = [] if keys_only else [pieces for c in model.rules.composed if (pieces := _telling(draft, model, table, c))]
    keys = [k for k in keys if len(k) > 1 or k[0] not in model.rules.composed]
    for key in (*keys, *told):
        _separate(draft, model, state, table, key, (*keys, *told))
    for key in keys:
        _give_up(draft, model, state, table, key)
    count_again(draft, model, state)


def keep_composed(draft: Draft, model: TableModel, state: State, table: Table) -> None:
    """Gives up rows with a composed key that no number could tell from another."""
    for column in model.rules.composed:
        if (column,) in table.keys:
            _give_up(draft, model, state, table, (column,))


def _telling(draft: Draft, model: TableModel, table: Table, column: str) -> tuple[str, ...]:
    """The columns of the row that must tell it from all others, as a key is composed of them; none where something else does."""
    rule = model.rules.composed[column]
    if (column,) not in table.keys or rule.keyed or rule.taken is not None:
        return ()
    found: dict[str, None] = {}
    waiting = list(rule.pieces)
    while waiting:
        piece = waiting.pop(0)
        if piece.holds and piece.key:
            found |= dict.fromkeys(draft.foreign_key(model, piece.key).columns)
        elif piece.holds and piece.column in model.rules.composed:
            waiting += model.rules.composed[piece.column].pieces
        elif piece.holds:
            found[piece.column] = None
    return () if any((c,) in table.keys for c in found) else tuple(found)


class _Rows:
    """The values of a table's columns as its keys compare them."""

    def __init__(self, draft: Draft, state: State, table: Table) -> None:
        self._draft, self._state, self._table = draft, state, table

    def columns(self, names: Collection[str]) -> list[pa.ChunkedArray]:
        return [folded(self._table, c, self._draft.value(self._table.id, c, self._state)) for c in names]

    def duplicates(self, key: Sequence[str]) -> np.ndarray:
        columns = self.columns(key)
        return duplicates(combined_codes(columns), complete_rows(columns))

    def claim(self, key: Sequence[str], decided: Collection[str], code: np.ndarray | None) -> Claim:
        rest = self.columns([c for c in key if c not in decided])
        return Claim(combined_codes(rest) if rest else np.zeros(self._state.rows, dtype=np.int64), complete_rows(self.columns(key)), code)


def _separate(draft: Draft, model: TableModel, state: State, table: Table, key: tuple[str, ...], keys: Sequence[tuple[str, ...]]) -> None:
    """Changes rows that collide in a key, component by component."""
    at = _Rows(draft, state, table)
    parts = _components(draft, model, state, key, keys)
    for name, part in parts:
        rows = at.duplicates(key)
        if not len(rows):
            return
        rng = stream(draft.seed, table.id, "unique", *key, name)
        if isinstance(part, ForeignKey):
            _redraw_parents(draft, model, state, table, part, keys, rows, rng)
        elif part in model.order:
            _redraw_values(draft, model, state, table, part, keys, rows, rng)
        else:
            _make_again(model, state, table, part, rows, rng)
    own = [part for _, part in parts if isinstance(part, str) and part in model.order and model.drawn.get(part)]
    for remedy in (_free_cells, _fresh_values):
        rows = at.duplicates(key)
        if len(rows) and own:
            remedy(model, state, table, key, own, rows, stream(draft.seed, table.id, remedy.__name__, *key))


def _components(
    draft: Draft, model: TableModel, state: State, key: tuple[str, ...], keys: Sequence[tuple[str, ...]]
) -> list[tuple[str, ForeignKey | str]]:
    """What may change to make a key unique, a foreign key or a column: first what few keys are made of, then the least harmful."""
    found: list[tuple[int, int, str, ForeignKey | str]] = []
    for fk in movable(draft, model, state):
        if set(fk.columns) & set(key):
            found.append((sum(bool(set(k) & set(fk.columns)) for k in keys), 3 if model.plan.is_owner(fk.id) else 0, f"key:{fk.id}", fk))
    for column in key:
        asked = sum(column in k for k in keys)
        if column in model.order and column not in model.rules.copied and not (column in model.rules.ranks and model.rules.ranks[column].within):
            found.append((asked, 1 if isinstance(model.codec(column), NumberCodec) else 2, f"column:{column}", column))
        elif column in model.made and column not in model.rules.composed:
            found.append((asked, 1, f"made:{column}", column))
    return [(name, part) for _, _, name, part in sorted(found, key=lambda f: (f[1] == 3, *f[:2]))]


def _redraw_parents(
    draft: Draft, model: TableModel, state: State, table: Table, fk: ForeignKey, keys: Sequence[tuple[str, ...]], rows: np.ndarray,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """Gives rows other parents by a foreign key."""
    at, claims = _Rows(draft, state, table), []
    for key in keys:
        mine = [(c, p) for c, p in zip(fk.columns, fk.parent_columns, strict=True) if c in key]
        if mine:
            theirs = combined_codes([folded(table, c, draft.value(fk.parent, p)) for c, p in mine])
            claims.append(at.claim(key, fk.columns, theirs))
    values, _ = reassign(claims, state.parents[fk.id].astype(float), rows, other_parents(draft, model, state, fk, rng))
    move(draft, model, state, fk, values)


def _redraw_values(
    draft: Draft, model: TableModel, state: State, table: Table, column: str, keys: Sequence[tuple[str, ...]], rows: np.ndarray,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """Gives rows other values in a column: numbers nearby, categories that the row could have drawn."""
    codec, at = model.codec(column), _Rows(draft, state, table)
    if isinstance(codec, NumberCodec):
        code, choose = None, _numbers(draft, model, state, column, codec)
    else:
        code, choose = combined_codes([folded(table, column, codec.dictionary)]), _categories(model, state, column, codec, rows, rng)
    claims = [at.claim(key, (column,), code) for key in keys if column in key]
    x, _ = reassign(claims, state.x[column], rows, choose)
    state.hold(column, codec, x)


def _numbers(draft: Draft, model: TableModel, state: State, column: str, codec: NumberCodec) -> Callable[[int], Iterator[float]]:
    """Numbers near a row's own, within what other columns leave to it."""
    base = model.rules.bases.get(column)
    return number_candidates(codec, state.x[column], *limits(draft, model, state, column), upward=base is not None and base.least >= 0)


def _categories(
    model: TableModel, state: State, column: str, codec: CategoryCodec, rows: np.ndarray, rng: np.random.Generator
) -> Callable[[int], Iterator[float]]:
    """Categories for a row: some that its context could have given, then all, the frequent ones first."""
    drawn, size = model.drawn.get(column), len(codec.dictionary)
    again = np.empty((0, len(rows)))
    context = dict(state.context.columns)
    if state.group is not None:
        context[f"p.c.{column}"] = codes_of(state.group.previous(state.x[column]))
    if drawn is not None and column not in model.rules.levels and drawn.variable.features <= context.keys():
        known = {n: np.tile(context[n][rows], _DRAWS) for n in drawn.variable.features}
        again = drawn.variable.draw(known, len(rows) * _DRAWS, rng, part=True).reshape(_DRAWS, -1)
    place = {row: i for i, row in enumerate(rows.tolist())}
    common = np.bincount(state.x[column][np.isfinite(state.x[column])].astype(np.int64), minlength=size).astype(float)
    able = drawn.variable.allowed({n: v[rows] for n, v in state.context.columns.items() if n in drawn.variable.zeros}) if drawn is not None else None

    def pick(row: int) -> Iterator[float]:
        yield from (v for v in again[:, place[row]].tolist() if v == v)
        if able is not None:
            yield from choice_candidates(np.flatnonzero(able[place[row]]), rng, common)(row)
        yield from choice_candidates(np.arange(size), rng, common)(row)

    return pick


def _make_again(model: TableModel, state: State, table: Table, column: str, rows: np.ndarray, rng: np.random.Generator) -> None:
    """Makes values of a made column once more."""
    made = make_values(model.made[column], arrow_type(table.column(column).type), len(rows), {}, np.ones(len(rows), dtype=bool), rng)
    _put(state, column, rows, made)


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
        state.hold(column, model.codec(column), state.x[column])


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
        _put(state, column, rows[: len(fresh)], fresh)
        return


def _put(state: State, column: str, rows: np.ndarray, values: pa.Array) -> None:
    """Gives rows other values in a column, one each."""
    index = np.arange(state.rows)
    index[rows] = state.rows + np.arange(len(rows))
    state.arrays[column] = pa.concat_arrays([state.arrays[column], values]).take(pa.array(index))


def _give_up(draft: Draft, model: TableModel, state: State, table: Table, key: tuple[str, ...]) -> None:
    """What still collides has no value in a column of the key that may be NULL; else the rows are given up."""
    rows = _Rows(draft, state, table).duplicates(key)
    if not len(rows):
        return
    decided = {fk.id for fk in model.plan.keys if fk.id in model.plan.typed or fk.id in {t.key for t in model.plan.typed.values()}}
    fixed = {*table.primary_key, *(c for fk in model.plan.keys if fk.id in decided for c in fk.columns)}
    nullable = next((c for c in key if table.column(c).nullable and c not in fixed and c in state.arrays), None)
    if nullable is not None:
        mask = np.zeros(state.rows, dtype=bool)
        mask[rows] = True
        state.arrays[nullable] = state.arrays[nullable].take(pa.array(np.arange(state.rows), mask=mask))
        return
    draft.lose(table.id, len(rows), f"the key ({', '.join(key)}) has no free values for them")
    state.keep(np.setdiff1d(np.arange(state.rows), rows))


def folded(table: Table, column: str, values: pa.Array) -> pa.ChunkedArray:
    """Values as the column compares them."""
    if pa.types.is_string(values.type) and not table.column(column).case_sensitive:
        values = pc.utf8_lower(values)
    return pa.chunked_array([values])
