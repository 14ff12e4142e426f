"""What a row says of its children and of its place among its siblings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Literal

import numpy as np
import pyarrow as pa

from synth_pipeline.catalog.schema import ForeignKey
from synth_pipeline.synthesis.relational.distinct import several
from synth_pipeline.synthesis.relational.encode import NumberCodec
from synth_pipeline.synthesis.relational.frame import Frame
from synth_pipeline.synthesis.relational.rules.kinds import Total
from synth_pipeline.synthesis.relational.rules.model import Rules
from synth_pipeline.synthesis.relational.rules.support import SUPPORT
from synth_pipeline.synthesis.relational.runs import in_runs

_MOST_FACTORS, _MOST_AMOUNTS = 40, 12
_LITTLE = 0.95
"""How much what is added to a sum, or taken from it, may vary, as a share of how much the value does: sums of something else leave all of it."""
_SEVERAL, _MOSTLY, _GLANCED = 3, 0.6, 500
"""Fewest children of a parent, and the share of them that repeat its value, for them to follow it; how many are looked at first."""
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
    place = in_runs(owners)[0]
    whole = ~frame.gaps[ordered]
    return first if whole.sum() >= SUPPORT and np.array_equal(x[ordered][whole], (place + first)[whole]) else None


def find_total(
    frame: Frame, frames: Mapping[str, Frame], children: list[ForeignKey], column: str, codec: NumberCodec, rules: Rules
) -> Total | None:
    """What a column says of the rows that refer to it, to the last digit, on every row whose children are all known.

    Their number, the sum of a column or of the product of two, more or less than one or two columns of the row; or the highest, the
    lowest or the mean of a column. `rules` are those found so far.
    """
    if any(_repeated(frame, frames[fk.table], fk, column, codec) for fk in children):
        return None
    amounts = [c for c, k in frame.codecs.items() if isinstance(k, NumberCodec) and not pa.types.is_temporal(k.type) and not rules.needs(c, column)]
    x = frame.x[column] * codec.unit
    tolerance = codec.tolerance(x)
    for fk in children:
        child = frames[fk.table]
        index = child.parents[fk.id]
        inside = np.flatnonzero(index >= 0)
        count = np.bincount(index[inside], minlength=frame.rows)
        whole = np.flatnonzero(frame.counted & ~frame.cut[fk.id])
        known = whole[np.isfinite(x[whole])]
        if (count[known] > 0).sum() < SUPPORT or not several(x[known], 5) or (count > 1).sum() < SUPPORT:
            continue  # one child each: it is the child that copies
        empty = whole[np.isnan(x[whole])]
        if (count[empty] > 0).any() or len(empty) and (count[known] == 0).any() and column not in _nullable(frame):
            continue
        numbers = [c for c, k in child.codecs.items() if isinstance(k, NumberCodec) and not pa.types.is_temporal(k.type)]
        numbers = [c for c in numbers if child is not frame or c != column]
        paired = numbers if len(numbers) <= _MOST_FACTORS else []
        options: list[tuple[str, ...]] = [(), *((c,) for c in numbers), *((a, b) for i, a in enumerate(paired) for b in paired[:i])]
        # A few rows refute most sums.
        few = known[np.argsort(count[known] == 0, kind="stable")][: 2 * SUPPORT]
        theirs = inside[np.isin(index[inside], few)]
        for factors in options:
            added = _added(child, index, theirs, factors, frame.rows)[few]
            for plus in _rests(frame, amounts, few, x[few], added, tolerance) if factors else [()]:
                own = _own(frame, plus)
                if np.abs(x[few] - added - own[few]).max() > tolerance:
                    continue
                if np.abs((x - _added(child, index, inside, factors, frame.rows) - own)[known]).max() <= tolerance:
                    return Total(fk.id, factors, plus=plus, bare=bool(len(empty)) and not (count[known] == 0).any())
    return next((found for fk in children if (found := _extreme(frame, frames[fk.table], fk, column, codec)) is not None), None)


def _nullable(frame: Frame) -> set[str]:
    return {c.name for c in frame.table.columns if c.nullable}


def _repeated(frame: Frame, child: Frame, fk: ForeignKey, column: str, codec: NumberCodec) -> bool:
    """Whether children mostly repeat a column of their parent, as lines of an order repeat the price of the product: it is they that follow."""
    index = child.parents[fk.id]
    count = np.bincount(index[index >= 0], minlength=frame.rows)
    rows = np.flatnonzero((index >= 0) & (count[index] >= _SEVERAL)) if frame.rows else np.empty(0, dtype=np.int64)
    if len(rows) < 2 * SUPPORT or not several(frame.x[column][index[rows]], 5):
        return False
    few = rows[:: len(rows) // _GLANCED + 1]
    for name, kind in child.codecs.items():
        if isinstance(kind, NumberCodec) and kind.comparable(codec) and (child is not frame or name != column):
            value, held = child.x[name] * (kind.unit / codec.unit), frame.x[column][index]
            if (value[few] == held[few]).mean() >= _MOSTLY / 2 and (value[rows] == held[rows]).mean() >= _MOSTLY:
                return True
    return False


def _added(child: Frame, index: np.ndarray, rows: np.ndarray, factors: tuple[str, ...], parents: int) -> np.ndarray:
    """The sum of products over some of the children; float (parents,)."""
    value = np.ones(len(rows))
    for name in factors:
        value = value * _plain(child, name)[rows]
    return np.asarray(np.bincount(index[rows], value, minlength=parents), dtype=float)


def _plain(frame: Frame, column: str) -> np.ndarray:
    """Numbers in their own unit, 0 for NULL."""
    codec = frame.codecs[column]
    return np.asarray(np.nan_to_num(frame.x[column]) * (codec.unit if isinstance(codec, NumberCodec) else 1.0))


def _own(frame: Frame, plus: tuple[tuple[str, int], ...]) -> np.ndarray:
    return np.asarray(sum((k * _plain(frame, c) for c, k in plus), start=np.zeros(frame.rows)))


def _rests(
    frame: Frame, amounts: Sequence[str], rows: np.ndarray, x: np.ndarray, added: np.ndarray, tolerance: float
) -> Iterator[tuple[tuple[str, int], ...]]:
    """What of the row's own may have to be added to a sum to make a value on some rows: nothing, or one or two columns."""
    rest = x - added
    if np.abs(rest).max() <= tolerance:
        yield ()
        return
    # A fee or a discount is little beside the sum.
    if rest.std() > _LITTLE * x.std() or added.std() == 0:
        return
    terms = {(c, k): k * _plain(frame, c)[rows] for c in amounts[:_MOST_AMOUNTS] for k in (1, -1) if _plain(frame, c)[rows].any()}
    yield from (((c, k),) for (c, k), y in terms.items() if np.abs(rest - y).max() <= tolerance)
    for (a, i), (b, j) in combinations(terms, 2):
        if a != b and np.abs(rest - terms[a, i] - terms[b, j]).max() <= tolerance:
            yield (a, i), (b, j)


def extremes(index: np.ndarray, value: np.ndarray, parents: int, extreme: str) -> np.ndarray:
    """The highest or lowest value (n,) of each parent's children by `index`; NaN where there is none; float (parents,)."""
    out, known = np.full(parents, np.nan), (index >= 0) & np.isfinite(value)
    (np.fmax if extreme == "highest" else np.fmin).at(out, index[known], value[known])
    return out


def sums(index: np.ndarray, value: np.ndarray, parents: int) -> np.ndarray:
    """The sum of the values (n,) of each parent's children by `index`, and how many there are; float (2, parents)."""
    known = (index >= 0) & np.isfinite(value)
    return np.stack([np.bincount(index[known], weights, minlength=parents) for weights in (value[known], np.ones(known.sum()))])


def mean_of(parts: np.ndarray) -> np.ndarray:
    """The mean, NaN where there is nothing; float (parents,)."""
    return np.where(parts[1] > 0, parts[0] / np.maximum(parts[1], 1), np.nan)


def _extreme(frame: Frame, child: Frame, fk: ForeignKey, column: str, codec: NumberCodec) -> Total | None:
    """The highest, lowest or mean value of the children that a column holds on every row, if children differ enough to tell.

    A parent's date with which its children begin is not one: they are counted from it.
    """
    x, index = frame.x[column], child.parents[fk.id]
    rows = np.flatnonzero(frame.counted & ~frame.cut[fk.id])
    alone = np.bincount(index[index >= 0], minlength=frame.rows)[rows] == 0
    if (~alone).sum() < 2 * SUPPORT or np.isfinite(x[rows[alone]]).any() or not several(x[rows[~alone]], 5):
        return None
    if alone.any() and not frame.table.column(column).nullable and codec.never is None:
        return None
    rows = rows[~alone]
    others = [(c, k) for c, k in child.codecs.items() if isinstance(k, NumberCodec) and (child is not frame or c != column)]
    for name, kind in others:
        if pa.types.is_temporal(kind.type) != pa.types.is_temporal(codec.type):
            continue
        value = child.x[name] * (kind.unit / codec.unit)
        if not pa.types.is_temporal(codec.type):
            held = mean_of(sums(index, value, frame.rows))[rows]
            same = np.array_equal(np.abs(held - x[rows]) <= 0.51, np.isfinite(x[rows]))
            if codec.digits is not None and same and several(held[np.isfinite(held)], 2):
                return Total(fk.id, (name,), "mean")
        for extreme, opposite in _EXTREMES[: 1 if pa.types.is_temporal(codec.type) else 2] if kind.comparable(codec) else ():
            held = extremes(index, value, frame.rows, extreme)[rows]
            if not np.array_equal(held, x[rows], equal_nan=True):
                continue
            others = extremes(index, value, frame.rows, opposite)[rows]
            if (np.abs(held - others) > 0).sum() >= 2 * SUPPORT:
                return Total(fk.id, (name,), extreme)
    return None
