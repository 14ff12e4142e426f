"""Self references: how deep a row lies, and which row of the level above it hangs on.

A parent agrees with its children where real ones always do: in other parents (a reply is to a comment on the same post), in values
(an account and its subaccounts have one currency), and in an order (nobody answers what has not been asked). Among the parents that
are left, children take theirs in the order of time, less how much later than its parent each one comes, and so that every parent has
its share of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from synth_pipeline.catalog.schema import ForeignKey
from synth_pipeline.synthesis.relational.encode import NumberCodec
from synth_pipeline.synthesis.relational.frame import Frame
from synth_pipeline.synthesis.relational.random import stratified
from synth_pipeline.synthesis.relational.rules.support import SUPPORT, disorder, supported
from synth_pipeline.synthesis.relational.runs import in_runs
from synth_pipeline.synthesis.relational.variable import Variable

_MOST_ROUNDS = 100
_MOST_TURNS, _NEAR = 16, 10.0
"""How often a child that would come before its parent looks for another one, and among how many of the next earlier children of these."""
_SHARED = 10
"""Rows per value of a column, on average, in which children are as their parents: else a synthetic row would find no other with its own."""
_CHANCE = 0.7
"""Columns in which more of the rows agree by chance say nothing about who is whose parent."""


@dataclass
class Hierarchy:
    """A self reference.

    Attributes:
        depth: the level of a row: 0 without a parent, NaN pointing to itself.
        keys, columns: other foreign keys and columns in which a child is as its parent.
        after: a date that is never earlier in a child than in its parent; "" where there is none.
        gap: how much later it is, in units.
        roots: the share of the rows without a parent.
    """

    depth: Variable
    keys: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    after: str = ""
    gap: Variable | None = None
    roots: float = 1.0


def levels(parent: np.ndarray) -> np.ndarray:
    """The level of each row of a self reference: 0 without a parent, NaN where it points to itself; by pointer doubling."""
    n = len(parent)
    own = parent == np.arange(n)
    ancestor = np.where(own, -1, parent)
    depth = (ancestor >= 0).astype(np.int64)
    for _ in range(max(1, int(n).bit_length() + 1)):
        going = ancestor >= 0
        if not going.any():
            break
        depth[going] += depth[ancestor[going]]
        ancestor[going] = ancestor[ancestor[going]]
    depth[ancestor >= 0] = 1  # a cycle has no level
    return np.where(own, np.nan, depth.astype(float))


def find_kinship(frame: Frame, fk: ForeignKey, known: list[ForeignKey]) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    """The foreign keys (of those `known` before) and columns in which children are as their parents, and the date that orders them."""
    index = frame.parents[fk.id]
    rows = np.flatnonzero((index >= 0) & (index != np.arange(len(index))))
    if len(rows) < SUPPORT or not supported(frame, rows):
        return (), (), ""
    above = index[rows]
    keys = [k.id for k in known if _agrees(np.where(frame.lost, np.nan, frame.parents[k.id]), rows, above)]
    repeated = [c for c in frame.x if c not in frame.late and len(frame.distinct(c)[0]) * _SHARED <= frame.rows]
    columns = [c for c in repeated if _agrees(frame.x[c], rows, above)]
    dates = [c for c, k in frame.codecs.items() if isinstance(k, NumberCodec) and pa.types.is_temporal(k.type) and c not in (*columns, *frame.late)]
    after = next((c for c in dates if _follows(frame.x[c], rows, above)), "")
    return tuple(keys), tuple(columns), after


def _agrees(x: np.ndarray, rows: np.ndarray, above: np.ndarray) -> bool:
    """Whether rows have the values (NaN is one) of their parents, which others seldom have."""
    code = np.unique(np.where(np.isnan(x), np.inf, x), return_inverse=True)[1]
    share = np.bincount(code[above]) / len(above)
    return bool((code[rows] == code[above]).all() and (1 - share @ share) * len(rows) >= SUPPORT and share @ share < _CHANCE)


def _follows(x: np.ndarray, rows: np.ndarray, above: np.ndarray) -> bool:
    """Whether a number is never lower in rows than in their parents, although it would be if parents were dealt at random."""
    both = np.isfinite(x[rows]) & np.isfinite(x[above])
    x, y = x[rows][both], x[above][both]
    return bool(len(x) >= SUPPORT and (x >= y).all() and disorder(x, y) >= SUPPORT)


def fewer_roots(level: np.ndarray, most: float, weight: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """Levels with no more rows at level 0 than `most` by more than chance: one director among a thousand is too few for a leaf.

    Args:
        level: float (n,), NaN for a row that points to itself.
        most: how many rows there should be.
        weight: those with most children stay; float (n,).
        fixed: rows that stay in any case, bool (n,).
    """
    roots = np.flatnonzero((level == 0) & ~fixed)
    room = max(1, round(most)) - int((fixed & (level == 0)).sum())
    if len(roots) <= room + 2 * np.sqrt(most):
        return level
    level = level.copy()
    level[roots[np.argsort(-weight[roots], kind="stable")[max(0, room) :]]] = 1
    return level


def climb(
    level: np.ndarray, weight: np.ndarray, cell: np.ndarray, time: np.ndarray | None, gap: np.ndarray | None, rng: np.random.Generator
) -> np.ndarray:
    """The parent of each row, a row of its cell and of the level above that is not later; -1 for the rows of level 0.

    Args:
        level: int (n,), from 0. A row that finds nobody above it takes a lower one.
        weight: how often each row is a parent, as against others; float (n,).
        cell: rows with the same number may be parents of each other, int (n,).
        time: a number that no parent has higher, float (n,); None: any may.
        gap: how much higher a child has it, float (n,).
        rng: the stream.
    """
    n, cell = len(level), np.unique(cell, return_inverse=True)[1]
    moments, moment = (np.zeros(1), np.zeros(n, dtype=np.int64)) if time is None else np.unique(time, return_inverse=True)
    span = len(moments) + 1
    # Levels without gaps within a cell: otherwise some row would find nobody above it.
    level = _dense(cell, level)
    for attempt in range(_MOST_ROUNDS):
        level = np.where(attempt == _MOST_ROUNDS - 1, np.minimum(level, 0), level)
        floor = cell * (int(level.max(initial=0)) + 2) + level
        house = np.unique(floor, return_inverse=True)[1]
        key = house * span + moment
        order = np.lexsort((rng.random(n), key))
        ordered = key[order]
        below = np.flatnonzero(level > 0)
        # Rows of a cell are next to each other, and so are its levels.
        base = (house[below] - 1) * span
        first, last = np.searchsorted(ordered, base), np.searchsorted(ordered, base + moment[below], "right")
        above = order[np.minimum(first, n - 1)]
        alone = (last <= first) | (cell[above] != cell[below]) | (level[above] != level[below] - 1)
        if not alone.any():
            break
        level = level.copy()
        level[below[alone]] -= 1
    index = np.full(n, -1, dtype=np.int64)
    if not len(below):
        return index
    upto = np.r_[0.0, np.cumsum(weight[order])]
    if time is None or gap is None:
        target = upto[first] + stratified(rng, house[below]) * (upto[last] - upto[first])
        index[below] = order[(np.searchsorted(upto, target, "right") - 1).clip(first, last - 1)]
        return index
    # The n-th of the children of a level, by when their parents should be, has the n-th part of these.
    asked = np.searchsorted(moments, time[below] - np.nan_to_num(gap[below]), "right")
    whole = np.searchsorted(ordered, base + span, "left")
    target = upto[first] + _in_turn(house[below], asked, rng) * (upto[whole] - upto[first])
    chosen = (np.searchsorted(upto, target, "right") - 1).clip(first, whole - 1)
    late = np.flatnonzero(chosen >= last)
    near = np.searchsorted(ordered, base + asked, "left").clip(first + 1, last)
    share = np.zeros(int(house.max()) + 2)
    share[house[below]] = np.bincount(house[below], minlength=len(share))[house[below]] / (upto[whole] - upto[first])
    on_time = np.bincount(np.delete(chosen, late), minlength=n)
    room = np.maximum(np.round(weight[order] * share[house[order] + 1]) - on_time, 0)
    chosen[late] = _next_free(first[late], near[late], last[late], room, rng)
    index[below] = order[chosen]
    return index


def _next_free(first: np.ndarray, near: np.ndarray, last: np.ndarray, room: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Places from `first` to `last` (exclusive; int (k,)), just before `near` where there is one with `room` left, float (n,); int64 (k,)."""
    place, waiting, room = near - 1, np.arange(len(near)), room.copy()
    for attempt in range(_MOST_TURNS):
        if not len(waiting):
            break
        start, end = first[waiting], (near if attempt < _MOST_TURNS // 2 else last)[waiting]
        upto = np.r_[0.0, np.cumsum(room)]
        back = upto[end] - rng.random(len(waiting)) * np.minimum(_NEAR, upto[end] - upto[start])
        found = (np.searchsorted(upto, back, "right") - 1).clip(start, end - 1)
        order = np.lexsort((rng.random(len(found)), found))
        turn = np.empty(len(found), dtype=np.int64)
        turn[order] = in_runs(found[order])[0]
        fits = turn < room[found]
        place[waiting[fits]] = found[fits]
        room -= np.bincount(found[fits], minlength=len(room))
        waiting = waiting[~fits]
    return place


def _dense(cell: np.ndarray, level: np.ndarray) -> np.ndarray:
    """The place of each level among those of its cell; int64 (n,)."""
    height = int(level.max(initial=0)) + 1
    floors, inverse = np.unique(cell * height + level, return_inverse=True)
    return np.asarray(in_runs(floors // height)[0][inverse])


def _in_turn(groups: np.ndarray, ranking: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The place of each row in its group by `ranking`, the middle of one of as many equal parts of [0, 1) as there are rows; float (n,)."""
    order = np.lexsort((rng.random(len(groups)), ranking, groups))
    place, size, _ = in_runs(groups[order])
    out = np.empty(len(groups))
    out[order] = (place + 0.5) / size
    return out
