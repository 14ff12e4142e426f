"""Foreign keys that a type decides: which rows have a parent by them, and types that go with the parents that there are.

The type is drawn first, as a row of a table of types; a key that it decides then has a parent exactly in the rows of its types. A row
whose owner is such a parent has one of these types. How the keys came to be is in `normal.polymorphic`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pyarrow as pa

from synth_pipeline.catalog.branches import branches_of
from synth_pipeline.catalog.schema import DatabaseSchema, ForeignKey
from synth_pipeline.keys import rows_of_branch
from synth_pipeline.synthesis.relational.encode import CategoryCodec
from synth_pipeline.synthesis.relational.frame import Frame
from synth_pipeline.synthesis.relational.model import TableModel
from synth_pipeline.synthesis.relational.normal.folding import type_key
from synth_pipeline.synthesis.relational.rules import Goes, Presence
from synth_pipeline.synthesis.relational.rules.support import SUPPORT
from synth_pipeline.synthesis.relational.state import Draft, State
from synth_pipeline.synthesis.relational.structure import TablePlan, Typed, one_child
from synth_pipeline.synthesis.relational.trees import Feature

_AGAIN = 8
"""How often a value that does not go with the type is drawn again."""


def find_typed(
    schema: DatabaseSchema, table_id: str, rows: Mapping[str, pa.Table], parents: Mapping[str, np.ndarray], seen: np.ndarray
) -> dict[str, Typed]:
    """The keys of a table that a type decides, by id.

    Args:
        schema: in normal form.
        table_id: the table.
        rows: of all tables.
        parents: for each foreign key id the row of the parent, -1 for none.
        seen: the table's rows that may be learnt from, bool (rows,).
    """
    table, found = schema.table(table_id), dict[str, Typed]()
    for key in table.polymorphic_keys:
        lookup = type_key(table, key)
        for branch in branches_of(key):
            if lookup is not None and branch.id in parents:
                types = np.flatnonzero(rows_of_branch(schema, branch, rows[lookup.parent].column(lookup.parent_columns[0])))
                mine = seen & np.isin(parents[lookup.id], types)
                found[branch.id] = Typed(lookup.id, tuple(types.tolist()), bool((parents[branch.id][mine] >= 0).all()))
    return found


def owner_feature(plan: TablePlan, index: Mapping[str, np.ndarray]) -> tuple[list[Feature], dict[str, np.ndarray]]:
    """Whether rows have an owner, where a type decides that; `index` has the parents by foreign key id."""
    if plan.owner is None or plan.owner.id not in plan.typed:
        return [], {}
    name = f"b.{plan.owner.id}"
    return [Feature(name)], {name: (index[plan.owner.id] >= 0).astype(np.uint8)}


def find_plain(frame: Frame, plan: TablePlan) -> dict[str, Presence]:
    """For the column of a pair, which has the numbers of types without a table, whether it has one by the type."""
    found: dict[str, Presence] = {}
    for key in frame.table.polymorphic_keys:
        lookup = type_key(frame.table, key)
        if lookup is None or key.column not in frame.table.column_names or not {b.id for b in branches_of(key)} & plan.typed.keys():
            continue
        index, known = frame.parents[lookup.id], np.asarray(frame.data.column(key.column).is_valid())
        size = int(index.max(initial=-1)) + 1
        there, count = (np.bincount(index[(index >= 0) & w], minlength=size) for w in (known, np.ones(len(index), dtype=bool)))
        none = known[index < 0]
        missing = None if not len(none) or none.any() and not none.all() else bool(not none.any())
        empty, filled = np.flatnonzero((there == 0) & (count > 0)), np.flatnonzero((there == count) & (count > 0))
        said = "has a number only where {source} leads to no table"
        found[key.column] = Presence("", lookup.id, tuple(map(float, empty)), tuple(map(float, filled)), missing, None, said)
    return found


def find_goes(frame: Frame, plan: TablePlan, columns: Sequence[str]) -> dict[str, Goes]:
    """The categories of which each goes with one type; chance would have it otherwise."""
    found: dict[str, Goes] = {}
    for lookup in dict.fromkeys(typed.key for typed in plan.typed.values()):
        index = frame.parents[lookup]
        share = np.unique(index, return_counts=True)[1] / max(1, frame.rows)
        for column in columns:
            x, codec = frame.x[column], frame.codecs[column]
            if not isinstance(codec, CategoryCodec) or np.isnan(x).any() or not frame.rows:
                continue
            code, size = x.astype(np.int64), len(codec.dictionary)
            rows = np.full(size, -1, dtype=np.int64)
            rows[code] = index
            once = len(np.unique(code * (int(frame.entities.max()) + 1) + frame.entities)) - len(np.unique(code))
            if np.array_equal(rows[code], index) and once * (1 - share @ share) >= 2 * SUPPORT:
                found.setdefault(column, Goes(lookup, tuple(rows.tolist())))
    return found


def going(goes: Goes, state: State, x: np.ndarray) -> np.ndarray:
    """Which rows have a type that goes with a value of the column, float (rows,), NaN for none; bool (rows,)."""
    known = np.isfinite(x)
    return np.asarray(~known | (np.array(goes.rows)[np.where(known, x, 0).astype(np.int64)] == state.parents[goes.key]))


def gone_with(model: TableModel, state: State, column: str, x: np.ndarray, rng: np.random.Generator, without: float = np.nan) -> np.ndarray:
    """Values that go with the type where these do not: drawn again, or as frequent as they are; none of them is `without`."""
    goes = model.rules.goes[column]
    wrong = np.flatnonzero(~going(goes, state, x))
    if not len(wrong):
        return x
    x, variable = x.copy(), model.drawn[column].variable
    weight = np.bincount(x[np.isfinite(x)].astype(np.int64), minlength=len(goes.rows)) + 1e-6
    if variable.features <= state.context.columns.keys():
        for _ in range(_AGAIN):
            x[wrong] = variable.draw({n: state.context.columns[n][wrong] for n in variable.features}, len(wrong), rng, part=True)
            wrong = wrong[~going(goes, state, x)[wrong] | (x[wrong] == without)]
            if not len(wrong):
                return x
    rows, mine = np.array(goes.rows), state.parents[goes.key][wrong]
    for row in np.unique(mine):
        able = np.flatnonzero((rows == row) & (np.arange(len(rows)) != without))
        if len(able):
            x[wrong[mine == row]] = rng.choice(able, int((mine == row).sum()), p=weight[able] / weight[able].sum())
    return x


def rows_with(model: TableModel, state: State, key: str) -> np.ndarray | None:
    """Which rows may have a parent by a key, bool (rows,); None where no type decides that."""
    typed = model.plan.typed.get(key)
    return None if typed is None else typed.of(state.parents[typed.key])


def lacking(draft: Draft, model: TableModel, state: State, keys: Collection[str]) -> np.ndarray:
    """Which rows lack a parent that they must have by one of the keys (ids), whose parents are drawn; bool (rows,)."""
    out = np.zeros(state.rows, dtype=bool)
    for fk in (f for f in model.plan.keys if f.id in keys and f.id in state.parents and not model.plan.optional(draft.schema, f)):
        mine = rows_with(model, state, fk.id)
        out |= (state.parents[fk.id] < 0) & (True if mine is None else mine)
    return out


def as_typed(draft: Draft, model: TableModel, state: State, fk: ForeignKey, index: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows of a reference table where the type has them there, and nowhere else; what is missing is as frequent as it is."""
    mine = rows_with(model, state, fk.id)
    if mine is None:
        return index
    index, size = np.where(mine, index, -1), draft.states[fk.parent].rows
    short = np.flatnonzero(mine & (index < 0))
    if len(short) and size and not model.plan.optional(draft.schema, fk):
        weight = np.bincount(index[index >= 0], minlength=size) + 1e-6
        index[short] = rng.choice(size, len(short), p=weight / weight.sum())
    return index


def fit_types(draft: Draft, model: TableModel, state: State, fk: ForeignKey, index: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows of a table of types, or others, as frequent, where these do not go with the owner or with the parents that there are."""
    decided = {key: typed for key, typed in model.plan.typed.items() if typed.key == fk.id}
    if not decided or not state.rows:
        return index
    size = draft.states[fk.parent].rows
    able = np.ones((2, size + 1), dtype=bool)  # without and with such an owner; the last type is none
    able[:, -1] = draft.schema.nullable(fk)
    owned = np.zeros(state.rows, dtype=np.int64)
    for key, typed in decided.items():
        inside = typed.of(np.arange(size + 1))
        if typed.always and not _parents(draft, model, key):
            able[:, inside] = False
        if model.plan.is_owner(key):
            owned = (state.parents[key] >= 0).astype(np.int64)
            able[0] &= ~(inside & typed.always)
            able[1] &= inside
    index = _instead(index, np.flatnonzero(~able[owned, index]), able, owned, rng)
    definition = draft.schema.table(model.plan.table)
    for key, typed in decided.items():
        if not model.plan.is_owner(key) and one_child(definition, draft.foreign_key(model, key)):
            mine = np.flatnonzero(typed.of(index))
            over = rng.permutation(mine)[_parents(draft, model, key) :]
            able[:, list(typed.types)] = False
            index = _instead(index, np.sort(over), able, owned, rng)
    return index


def _parents(draft: Draft, model: TableModel, key: str) -> int:
    """How many rows there are, or will be, to refer to."""
    parent = draft.foreign_key(model, key).parent
    return draft.states[parent].rows if parent in draft.states else draft.planned.get(parent, 0)


def _instead(index: np.ndarray, rows: np.ndarray, able: np.ndarray, owned: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Other types for some rows, each as often as the other rows have it; as they are where none is able, bool (2, types + 1)."""
    if not len(rows):
        return index
    index, size = index.copy(), able.shape[1]
    others = np.delete(np.arange(len(index)), rows)
    for side in (0, 1):
        mine, like = rows[owned[rows] == side], index[others[owned[others] == side]]
        weight = np.where(able[side], np.bincount(np.where(like < 0, size - 1, like), minlength=size) + 1e-6, 0.0)
        if len(mine) and weight.sum() > 0:
            chosen = rng.choice(size, len(mine), p=weight / weight.sum())
            index[mine] = np.where(chosen == size - 1, -1, chosen)
    return index
