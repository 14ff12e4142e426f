"""Columns that repeat a column of a parent, always or mostly."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synth_pipeline.catalog.schema import ForeignKey
from synth_pipeline.synthesis.relational.encode import NumberCodec, held_above
from synth_pipeline.synthesis.relational.frame import Frame
from synth_pipeline.synthesis.relational.rules.above import beyond
from synth_pipeline.synthesis.relational.rules.kinds import Copied
from synth_pipeline.synthesis.relational.rules.model import Rules
from synth_pipeline.synthesis.relational.rules.support import SUPPORT, supported

_Way = tuple[ForeignKey, str, np.ndarray, np.ndarray]
"""A foreign key, the one before it ("": none), the row that both lead to (-1: none), and which rows refer to what is left out; each (n,)."""
_Found = tuple[float, bool, Copied, bool]
"""How often a column is repeated, whether it is named like this one, the rule, and whether every row has such a parent."""
_FEW = 100
_TOLD = 0.02
"""Least share of rows with a value, for these to stand for all."""
_MOSTLY = 0.6
"""Least share of rows that repeat the parent's value for it to be worth modelling."""


def find_copies(frame: Frame, frames: Mapping[str, Frame], parents: list[ForeignKey], owner: ForeignKey | None, column: str, rules: Rules) -> None:
    """A parent's column that this one repeats, always or mostly, and far more often than chance would have it."""
    mine = frame.data.column(column)
    found = _repeated(frame, frames, [(fk, "", frame.parents[fk.id], frame.lost) for fk in parents], column)
    if not found:
        found = _outermost(frame, frames, owner, column)
    if not found:
        found = _repeated(frame, frames, [_over_two(frame, frames, *way) for way in beyond(frame, frames, parents)], column)
    if not found:
        return
    share, _, copy, everywhere = max(found, key=lambda f: f[:2])
    if share < 1.0 and owner is not None and copy.key == owner.id and not copy.then and _opens(frame, frames[owner.parent], column, copy.column):
        return
    always = share == 1.0 and (everywhere or mine.null_count > 0)
    (rules.copied if always else rules.sticky)[column] = copy


def _over_two(frame: Frame, frames: Mapping[str, Frame], fk: ForeignKey, further: ForeignKey, index: np.ndarray) -> _Way:
    """The way to a parent's parent; rows are lost where they refer to a row that is left out, or their parent does."""
    above = frames[fk.parent]
    return further, fk.id, index, frame.lost | (held_above(above.lost.astype(float), frame.parents[fk.id]) == 1)


def _repeated(frame: Frame, frames: Mapping[str, Frame], ways: list[_Way], column: str) -> list[_Found]:
    """The columns of rows above that this one repeats often enough."""
    mine = frame.data.column(column)
    # Where most rows have no value, what the others have counts: the price of what was put into the basket.
    known = np.asarray(mine.is_valid())
    found: list[_Found] = []
    for fk, first, index, lost in ways:
        rows = np.flatnonzero(index >= 0)
        # What only rows with a parent have (the name of a customer who is known) may be the parent's however many have none.
        missing = len(rows) < 0.9 * (~lost).sum() and bool(known[(index < 0) & ~lost].any())
        if len(rows) < SUPPORT or missing or pa.types.is_binary(mine.type):
            continue
        above, everywhere = frames[fk.parent], bool(((index >= 0) | lost).all())
        for name in above.data.column_names:
            theirs = _as_type(above.data.column(name), mine.type)
            if theirs is None or name in fk.parent_columns or name in above.late:
                continue
            # A few rows from all over the table refute most columns; prices of early orders may be others.
            few = rows[known[rows]] if 0 < known[rows].sum() else rows
            few = few[:: max(1, len(few) // _FEW)]
            if _equal(mine, theirs, few, index[few]).mean() < _MOSTLY - 2 * (_MOSTLY * (1 - _MOSTLY) / len(few)) ** 0.5:
                continue
            same = _equal(mine, theirs, rows, index[rows])
            told = same[known[rows]]
            share, most = float(same.mean()), np.nextafter(1.0, 0.0)
            if share < 1.0 and len(told) >= _TOLD * len(rows):
                share = max(share, min(float(told.mean()), most))
            chance = _chance(theirs.take(pa.array(index[rows])))
            copy = Copied(first, name, fk.id) if first else Copied(fk.id, name)
            if share >= _MOSTLY and (share - chance) * min(len(rows), max(len(told), 1)) >= SUPPORT and share > 2 * chance:
                found.append((share, name.lower() in column.lower(), copy, everywhere))
            elif share == 1.0 and (1 - chance) * len(rows) >= SUPPORT:
                found.append((share, name.lower() in column.lower(), copy, everywhere))
    return found


def _outermost(frame: Frame, frames: Mapping[str, Frame], owner: ForeignKey | None, column: str) -> list[_Found]:
    """A column of the owner that the last of the siblings repeats, or the first one: an order has the status of its last change.

    Dates are not looked at: siblings are counted from them.
    """
    group, mine = frame.group, frame.data.column(column)
    if group is None or owner is None or pa.types.is_binary(mine.type) or pa.types.is_temporal(mine.type):
        return []
    if isinstance(codec := frame.codecs.get(column), NumberCodec) and pa.types.is_temporal(codec.type):
        return []
    found: list[_Found] = []
    several, above = (group.size > 1) & (group.index >= 0) & ~frame.gaps, frames[owner.parent]
    for place in (group.position == group.size - 1, group.position == 0):
        rows = np.flatnonzero(several & place)
        for name in above.data.column_names if len(rows) >= 2 * SUPPORT and supported(frame, rows) else ():
            theirs = _as_type(above.data.column(name), mine.type)
            if theirs is None or name in owner.parent_columns or name in above.late:
                continue
            few = rows[:: max(1, len(rows) // _FEW)]
            if not _equal(mine, theirs, few, group.index[few]).all() or not _equal(mine, theirs, rows, group.index[rows]).all():
                continue
            if (1 - _chance(theirs.take(pa.array(group.index[rows])))) * len(rows) >= SUPPORT:
                found.append((np.nextafter(1.0, 0.0), name.lower() in column.lower(), Copied(owner.id, name), False))
    return found


def _opens(frame: Frame, above: Frame, column: str, name: str) -> bool:
    """Whether it is the first of the siblings that has the owner's date, and the others have later ones: these are counted, not repeated."""
    codec, group = frame.codecs.get(column), frame.group
    if group is None or not isinstance(codec, NumberCodec) or not pa.types.is_temporal(codec.type):
        return False
    rows = np.flatnonzero((group.position > 0) & (group.index >= 0))
    if len(rows) < SUPPORT:
        return False
    return bool(_equal(frame.data.column(column), above.data.column(name), rows, group.index[rows]).mean() < _MOSTLY)


def _as_type(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray | None:
    """The values in another type of exact numbers, if none of them changes; None where they cannot be compared."""
    if values.type == kind:
        return values
    exact = all(pa.types.is_decimal(t) or pa.types.is_integer(t) for t in (values.type, kind))
    try:
        return values.cast(kind) if exact else None
    except pa.ArrowInvalid:
        return None


def _equal(mine: pa.ChunkedArray, theirs: pa.ChunkedArray, rows: np.ndarray, above: np.ndarray) -> np.ndarray:
    a, b = mine.take(pa.array(rows)), theirs.take(pa.array(above))
    same = pc.or_(pc.fill_null(pc.equal(a, b), False), pc.and_(a.is_null(), b.is_null()))
    return np.asarray(same.to_numpy(), dtype=bool)


def equal_rows(mine: pa.ChunkedArray, theirs: pa.ChunkedArray, index: np.ndarray) -> np.ndarray:
    """Whether each row's value is that of its parent; rows without a parent are compared with the first one. Bool (n,)."""
    theirs = theirs if theirs.type == mine.type else theirs.cast(mine.type)
    return _equal(mine, theirs, np.arange(len(index)), np.maximum(index, 0)) if len(theirs) else np.zeros(len(index), dtype=bool)


def _chance(values: pa.ChunkedArray) -> float:
    """How often two rows agree by chance."""
    counts = np.asarray(values.value_counts().field("counts").to_numpy(), dtype=float)
    return float(((counts / counts.sum()) ** 2).sum()) if len(counts) else 1.0
