"""What a row says of its children and of its place among its siblings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pyarrow as pa

from synth_pipeline.catalog.schema import ForeignKey
from synth_pipeline.synthesis.relational.encode import NumberCodec
from synth_pipeline.synthesis.relational.frame import Frame
from synth_pipeline.synthesis.relational.rules.model import Total
from synth_pipeline.synthesis.relational.rules.support import SUPPORT

_EXTREMES: tuple[tuple[Literal["highest", "lowest"], str], ...] = (("highest", "lowest"), ("lowest", "highest"))


def find_rank(frame: Frame, column: str) -> float | None:
    """The first number, where the column counts 1, 2, 3 … (or 0, 1, 2 …) within each group in some order."""
    group, x = frame.group, frame.x[column]
    if group is None or np.isnan(x).any() or len(x) < SUPPORT or (group.size > 1).mean() < 0.3:
        return None
    first = float(x.min())
    if first not in (0.0, 1.0) or np.count_nonzero(x == first) != np.count_nonzero(group.position == 0):
        return None
    ordered = np.lexsort((x, group.index))
    owners = group.index[ordered]
    if (owners < 0).any():
        return None
    starts = np.flatnonzero(np.r_[True, owners[1:] != owners[:-1]])
    place = np.arange(len(x)) - np.repeat(starts, np.diff(np.r_[starts, len(x)]))
    whole = ~frame.gaps[ordered]
    return first if whole.sum() >= SUPPORT and np.array_equal(x[ordered][whole], (place + first)[whole]) else None


def find_total(frame: Frame, frames: Mapping[str, Frame], children: list[ForeignKey], column: str, codec: NumberCodec) -> Total | None:
    """The sum over children that a column holds, to the last digit, on every row whose children are all known."""
    x = frame.x[column] * codec.unit
    tolerance = 0.51 * codec.unit if codec.digits is not None else 1e-6 * max(1.0, float(np.nanmax(np.abs(x), initial=0)))
    for fk in children:
        child = frames[fk.table]
        index = child.parents[fk.id]
        inside = np.flatnonzero(index >= 0)
        known = np.flatnonzero(np.bincount(index[inside], minlength=frame.rows))
        known = known[np.isfinite(x[known]) & frame.counted[known] & ~frame.cut[fk.id][known]]
        if len(known) < SUPPORT or len(np.unique(x[known])) < 5:
            continue
        numbers = [c for c, k in child.codecs.items() if isinstance(k, NumberCodec) and not pa.types.is_temporal(k.type)]
        options: list[tuple[str, ...]] = [(), *((c,) for c in numbers), *((a, b) for i, a in enumerate(numbers) for b in numbers[:i])]
        if (np.bincount(index[inside]) > 1).sum() < SUPPORT:
            continue  # one child each: it is the child that copies
        # A few rows refute most sums.
        few = known[: 2 * SUPPORT]
        theirs = inside[np.isin(index[inside], few)]
        for factors in options:
            for parents, rows in ((few, theirs), (known, inside)):
                value = np.ones(len(rows))
                for name in factors:
                    other = child.codecs[name]
                    value = value * np.nan_to_num(child.x[name][rows]) * (other.unit if isinstance(other, NumberCodec) else 1.0)
                total = np.bincount(index[rows], value, minlength=frame.rows)
                if np.abs(total[parents] - x[parents]).max() > tolerance:
                    break
            else:
                return Total(fk.id, factors)
    return next((found for fk in children if (found := _extreme(frame, frames[fk.table], fk, column, codec)) is not None), None)


def extremes(index: np.ndarray, value: np.ndarray, parents: int, extreme: str) -> np.ndarray:
    """The highest or lowest value (n,) of each parent's children by `index`; NaN where there is none; float (parents,)."""
    out, known = np.full(parents, np.nan), (index >= 0) & np.isfinite(value)
    (np.fmax if extreme == "highest" else np.fmin).at(out, index[known], value[known])
    return out


def _extreme(frame: Frame, child: Frame, fk: ForeignKey, column: str, codec: NumberCodec) -> Total | None:
    """The highest or lowest value of the children that a column holds on every row, if children differ enough to tell.

    A parent's date with which its children begin is not one: they are counted from it.
    """
    x, index = frame.x[column], child.parents[fk.id]
    rows = np.flatnonzero(frame.counted & ~frame.cut[fk.id])
    alone = np.bincount(index[index >= 0], minlength=frame.rows)[rows] == 0
    if (~alone).sum() < 2 * SUPPORT or np.isfinite(x[rows[alone]]).any() or len(np.unique(x[rows[~alone]])) < 5:
        return None
    if alone.any() and not frame.table.column(column).nullable and codec.never is None:
        return None
    rows = rows[~alone]
    for name, kind in child.codecs.items():
        if not isinstance(kind, NumberCodec) or not kind.comparable(codec):
            continue
        value = child.x[name] * (kind.unit / codec.unit)
        for extreme, opposite in _EXTREMES[: 1 if pa.types.is_temporal(codec.type) else 2]:
            held = extremes(index, value, frame.rows, extreme)[rows]
            if not np.array_equal(held, x[rows], equal_nan=True):
                continue
            others = extremes(index, value, frame.rows, opposite)[rows]
            if (np.abs(held - others) > 0).sum() >= 2 * SUPPORT:
                return Total(fk.id, (name,), extreme)
    return None
