"""Where other values leave room for a number or a date: what it is counted from, and what it never passes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from synth_pipeline.catalog.schema import ForeignKey
from synth_pipeline.synthesis.relational.encode import DAY, CategoryCodec, Codec, NumberCodec, follow, held_above
from synth_pipeline.synthesis.relational.frame import Group
from synth_pipeline.synthesis.relational.model import TableModel
from synth_pipeline.synthesis.relational.rules import Base, Bound
from synth_pipeline.synthesis.relational.scatter import in_order
from synth_pipeline.synthesis.relational.state import Draft, State


def base_values(draft: Draft, model: TableModel, state: State, base: Base, column: str) -> np.ndarray:
    """What a column of each row is counted from, in units of the column; float (rows,), NaN where there is no such row or value."""
    codec = model.codec(column)
    assert isinstance(codec, NumberCodec)
    if base.kind == "own":
        other = model.codec(base.column)
        assert isinstance(other, NumberCodec)
        return state.x[base.column] * (other.unit / codec.unit)
    x, unit = _above(draft, model, state, base.key, base.column, base.then)
    return x * (unit / codec.unit)


def numbers_above(draft: Draft, model: TableModel, state: State, key: str, column: str) -> np.ndarray:
    """A number of each row's parent by `key`, or of the row itself (""), in its own unit; float (rows,), NaN where there is none."""
    if not key:
        return plain(model, state, column)
    x, unit = _above(draft, model, state, key, column)
    return x * unit


def plain(model: TableModel, state: State, column: str) -> np.ndarray:
    """A number in its own unit instead of its last digit; float (rows,)."""
    codec = model.codec(column)
    return state.x[column] * (codec.unit if isinstance(codec, NumberCodec) else 1.0)


def _above(draft: Draft, model: TableModel, state: State, key: str, column: str, then: str = "") -> tuple[np.ndarray, float]:
    """A number of each row's parent, or of that one's parent by `then`, in units, float (rows,), and how large these are."""
    table, index = led_to(draft, model, state, key, then)
    x, unit = held_by(draft, table, column)
    return held_above(x, index), unit


def led_to(draft: Draft, model: TableModel, state: State, key: str, then: str = "") -> tuple[str, np.ndarray]:
    """The table that a foreign key leads to, or that one's key `then`, and the row there that each row leads to, -1 for none; int64 (rows,)."""
    fk = draft.foreign_key(model, key)
    index = state.parents[fk.id]
    if not then:
        return fk.parent, index
    return draft.foreign_key(draft.model.tables[fk.parent], then).parent, follow(index, draft.parent_index(fk.parent, then))


def held_by(draft: Draft, table: str, column: str) -> tuple[np.ndarray, float]:
    """What a table that is there, drawn or copied, holds in a column: in units, float (its rows,), and how large these are."""
    model = draft.model.tables[table]
    if model.reference is None:
        codec, x = model.codec(column), draft.states[table].x[column]
    else:
        values = model.reference.column(column)
        codec = NumberCodec.fit(values) or CategoryCodec.fit(values)
        x = codec.encode(values)
    return x, codec.unit if isinstance(codec, NumberCodec) else 1.0


def within_range(codec: Codec, start: np.ndarray, value: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Values beyond the range of the training values are as far within it, or anywhere between their start and its end."""
    if not isinstance(codec, NumberCodec):
        return value
    share = rng.random(len(value))
    for end, beyond in ((codec.high, value > codec.high), (codec.low, value < codec.low)):
        side = 1.0 if end == codec.high else -1.0
        near = side * np.minimum(side * start, side * end)
        mirrored = 2 * end - value
        inside = (side * (mirrored - near) >= 0) & (start != value)
        value = np.where(beyond, np.where(inside, mirrored, near + share * (end - near)), value)
    return value


def limits(draft: Draft, model: TableModel, state: State, column: str, *, open_: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest value that other dates leave to a column, NaN for none; in units, float (rows,).

    `open_`: as long as rows may exchange parents that are there at another time (see `exchangeable`).
    """
    low, high = np.full(state.rows, np.nan), np.full(state.rows, np.nan)
    free = [b for _, *both in exchangeable(model, column) for b in both] if open_ else []
    for bound in (b for b in model.rules.bounds.get(column, ()) if b not in free):
        value = base_values(draft, model, state, Base("parent" if bound.key else "own", bound.column, bound.key, then=bound.then), column)
        value = state.group.following(value) if bound.next and state.group is not None else value
        low, high = (low, np.fmin(high, value)) if bound.upper else (np.fmax(low, value), high)
    base = model.rules.bases.get(column)
    first = base.first if base is not None and base.kind == "previous" and base.calendar is None and base.least >= 0 else None
    if first is not None and first.least >= 0:
        low = np.fmax(low, base_values(draft, model, state, first, column))  # no sibling lies before what the first one is counted from
    if base is not None and base.shift is None and base.kind != "previous" and (base.least >= 0 or base.most <= 0):
        start = base_values(draft, model, state, base, column)
        low, high = (np.fmax(low, start), high) if base.least >= 0 else (low, np.fmin(high, start))
    return low, high


def kept_within(
    draft: Draft, model: TableModel, state: State, column: str, x: np.ndarray, rng: np.random.Generator, *, open_: bool = False
) -> np.ndarray:
    """Values in units, float (rows,), moved to where the other values leave room; `open_` as for `limits`."""
    low, high = limits(draft, model, state, column, open_=open_)
    return between_limits(x, low, high, model.codec(column), rng, met=model.rules.met(column))


def exchangeable(model: TableModel, column: str) -> list[tuple[ForeignKey, Bound, Bound | None]]:
    """Links that decide nothing else, so that rows may exchange their parents, with the lower bound of a column by each and the upper one."""
    via = {link.path[0] for link in model.links.values() if link.path is not None}
    found: list[tuple[ForeignKey, Bound, Bound | None]] = []
    if not (isinstance(codec := model.codec(column), NumberCodec) and pa.types.is_temporal(codec.type)):
        return found
    bounds = [b for b in model.rules.bounds.get(column, ()) if not b.then]
    for bound in (b for b in bounds if not b.upper):
        fk = next((k for k in model.plan.links if k.id == bound.key), None)
        if fk is None or fk.id in via or model.links[fk.id].path is not None or model.links[fk.id].most is not None or model.links[fk.id].confined:
            continue
        if not {c for other in model.plan.keys if other != fk for c in other.columns} & set(fk.columns):
            found.append((fk, bound, next((b for b in bounds if b.upper and b.key == fk.id), None)))
    return found


def between_limits(x: np.ndarray, low: np.ndarray, high: np.ndarray, codec: Codec, rng: np.random.Generator, *, met: bool = False) -> np.ndarray:
    """Values beyond one limit fall anywhere between the two, or on it where there is but one or they contradict each other.

    A time that is beyond the only limit falls on the day of it, as far off at most as it was beyond, unless many are equal to it (`met`).
    """
    share = rng.random(len(x))
    if isinstance(codec, NumberCodec) and codec.digits is not None:
        # What is rounded afterwards must not be rounded over the limit.
        low, high = (codec.offset + codec.step * side((v - codec.offset) / codec.step) for v, side in ((low, np.ceil), (high, np.floor)))
    over, under = x > high, x < low
    if isinstance(codec, NumberCodec) and pa.types.is_timestamp(codec.type) and codec.step < DAY and not met:
        start, end = np.ceil(high / DAY) * DAY - DAY, np.floor(low / DAY) * DAY + DAY - codec.step
        x = np.where(over & np.isnan(low), high - np.floor(share * np.minimum(x - high, high - start)), x)
        x = np.where(under & np.isnan(high), low + np.floor(share * np.minimum(low - x, end - low)), x)
        over, under = x > high, x < low
    room = np.floor(share * np.maximum(high - low, 0))
    x = np.where(over, np.where(high >= low, low + room, high), x)
    return np.where(under & ~over, np.where(high >= low, low + room, low), x)


def in_turn(group: Group, x: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Values that were moved, of siblings that are in order, put in order again, where each stays within its limits (NaN for none)."""
    ordered = in_order(group, x)
    return np.where(group.highest(((ordered < low) | (ordered > high)).astype(float)) > 0, x, ordered)
