"""Which parent each row gets: by blocks and degrees, of a cell, none twice in a group; and exchanges between rows, which leave degrees alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from synth_pipeline.keys import spans
from synth_pipeline.synthesis.relational.counts import apportion, impose_total
from synth_pipeline.synthesis.relational.random import stratified

_EXCHANGES = 40
"""How many rounds of exchanges there are at most."""
_MOST_DEALT = 5_000_000
"""The most cards that all decks of `deal` may have."""


def match(wanted: np.ndarray, blocks: np.ndarray, degrees: np.ndarray, rng: np.random.Generator, most: int | None = None) -> np.ndarray:
    """Gives every row a parent.

    Args:
        wanted: the block that each row asks for, int (n,).
        blocks: the block of each parent, int (m,), m > 0.
        degrees: the target number of children of each parent, int (m,).
        rng: the stream.
        most: the most children that a parent may have; n must not exceed m times this.

    Returns:
        The parent of each row, int64 (n,). Parents are used in proportion to their degrees over all rows; rows get their
        block as far as the degrees of its parents allow.
    """
    n = len(wanted)
    total = int(degrees.sum())
    if most is not None:
        use = impose_total(np.minimum(degrees, most), n, rng, most)
    else:
        use = degrees.astype(np.int64) if total == n else apportion(degrees, n, rng)
    order = rng.permutation(len(blocks))
    stubs = np.repeat(order, use[order])
    stubs = stubs[np.lexsort((rng.random(len(stubs)), blocks[stubs]))]
    # Rows take stubs of their own block first; what does not fit goes to whatever is left.
    width = int(max(blocks.max(), wanted.max(initial=0))) + 1
    room = np.bincount(blocks[stubs], minlength=width)
    rows = np.lexsort((rng.random(n), wanted))
    asked = np.bincount(wanted, minlength=width)
    place = np.arange(n) - np.repeat(np.cumsum(asked) - asked, asked)
    fits = place < room[wanted[rows]]
    start = np.cumsum(room) - room
    out = np.full(n, -1, dtype=np.int64)
    slots = start[wanted[rows][fits]] + place[fits]
    out[rows[fits]] = stubs[slots]
    free = np.ones(len(stubs), dtype=bool)
    free[slots] = False
    out[rng.permutation(rows[~fits])] = stubs[free][: int((~fits).sum())]
    return out


def meet(wanted: np.ndarray, cells: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A parent of its own cell for each row, each as often as its weight says.

    Args:
        wanted: the cell of each row, int (n,).
        cells: that of each parent, int (m,).
        weights: positive, float (m,).
        rng: the stream.

    Returns:
        The parents, int64 (n,); -1 where a cell has none.
    """
    order = np.lexsort((rng.random(len(cells)), cells))
    first, last = (np.searchsorted(cells[order], wanted, side) for side in ("left", "right"))
    upto = np.r_[0.0, np.cumsum(weights[order])]
    target = upto[first] + stratified(rng, wanted) * (upto[last] - upto[first])
    at = (np.searchsorted(upto, target, "right") - 1).clip(first, np.maximum(last - 1, first))
    return np.where(last > first, order[np.minimum(at, len(order) - 1)], -1) if len(order) else np.full(len(wanted), -1)


def deal(groups: np.ndarray, wanted: np.ndarray, cells: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """As `meet`, but rows of one group, int (n,), which are of one cell, get different parents; None where that is too much to ask."""
    order = np.argsort(cells, kind="stable")
    kinds, first, group, size = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    low, high = (np.searchsorted(cells[order], wanted[first], side) for side in ("left", "right"))
    width = high - low
    if int(width.sum()) > _MOST_DEALT:
        return None
    # Every group has a deck of its own; heavier parents tend to lie on top (Efraimidis and Spirakis 2006).
    of = np.repeat(np.arange(len(kinds)), width)
    start = np.cumsum(width) - width
    cards = order[spans(low, high)]
    deck = cards[np.lexsort((-np.log1p(-rng.random(len(cards))) / weights[cards], of))]
    rows = np.argsort(group, kind="stable")
    turn = np.empty(len(groups), dtype=np.int64)
    turn[rows] = np.arange(len(groups)) - np.repeat(np.cumsum(size) - size, size)
    fits = turn < width[group]
    out = np.full(len(groups), -1, dtype=np.int64)
    out[fits] = deck[(start[group] + turn)[fits]]
    return out


def untangle(rest: np.ndarray, index: np.ndarray, alike: np.ndarray, rng: np.random.Generator, *, only: bool = False) -> np.ndarray:
    """Exchanges parents between rows until no pair of `rest` and parent repeats; every parent keeps its number of rows.

    Args:
        rest: code of what a parent must not repeat with, int (n,), not negative.
        index: the parent of each row, int (n,), not negative.
        alike: rows with the same number exchange their parents first, int (n,).
        rng: the stream.
        only: rows with different numbers never do.

    Returns:
        The parents, int64 (n,). Where an exchange of two cannot help, for long or at all, pairs remain that repeat.
    """
    index = index.copy()
    rest = np.unique(rest, return_inverse=True)[1].astype(np.int64)
    span = int(index.max(initial=0)) + 1
    partners = _partners(alike, rng)
    for attempt in range(_EXCHANGES):
        pairs = rest * span + index
        order = np.argsort(pairs, kind="stable")
        known = pairs[order]
        rows = order[1:][known[1:] == known[:-1]]
        if not len(rows):
            break
        other = partners(rows, only or attempt < _EXCHANGES // 2)
        mine, theirs = rest[rows] * span + index[other], rest[other] * span + index[rows]
        good = ~_member(known, mine) & ~_member(known, theirs) & (rest[rows] != rest[other])
        # Exchanges of one round must not meet: neither in a row nor in a pair.
        both = np.concatenate([mine, theirs])
        _, inverse, count = np.unique(both, return_inverse=True, return_counts=True)
        single = count[inverse] == 1
        good &= single[: len(rows)] & single[len(rows) :] & _apart(rows, other)
        a, b = rows[good], other[good]
        index[a], index[b] = index[b], index[a]
    return index


def in_time(
    index: np.ndarray, time: np.ndarray, start: np.ndarray, end: np.ndarray, alike: np.ndarray, rng: np.random.Generator, *, only: bool = False
) -> np.ndarray:
    """Exchanges parents between rows until none begins after its row or ends before it; every parent keeps its number of rows.

    Args:
        index: the parent of each row, int (n,), not negative.
        time: when each row is, float (n,), NaN for no matter when.
        start: when each parent begins, float (m,), NaN for always.
        end: when it ends, float (m,), NaN for never.
        alike: rows with the same number exchange their parents first, int (n,).
        rng: the stream.
        only: rows with different numbers never do.

    Returns:
        The parents, int64 (n,). Where no exchange helps, some are still there at another time.
    """
    index, partners = index.copy(), _partners(alike, rng)

    def outside(parent: np.ndarray, when: np.ndarray) -> np.ndarray:
        return np.asarray((start[parent] > when) | (end[parent] < when))

    for attempt in range(2 * _EXCHANGES):
        rows = np.flatnonzero(outside(index, time))
        if not len(rows):
            break
        other = partners(rows, only or attempt < _EXCHANGES)
        good = ~(outside(index[other], time[rows]) | outside(index[rows], time[other]))
        good &= _apart(rows, other)
        a, b = rows[good], other[good]
        index[a], index[b] = index[b], index[a]
    return index


def _partners(alike: np.ndarray, rng: np.random.Generator) -> Callable[[np.ndarray, bool], np.ndarray]:
    """Who rows may exchange with: any row, or one with the same number in `alike`, int (n,)."""
    groups = np.argsort(alike, kind="stable")
    start = np.searchsorted(alike[groups], alike, "left")
    size = np.searchsorted(alike[groups], alike, "right") - start
    return lambda rows, near: groups[start[rows] + rng.integers(0, size[rows])] if near else rng.integers(0, len(alike), len(rows))


def _apart(rows: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Which exchanges of one round meet no other one in a row; bool (k,)."""
    first = np.zeros(len(rows), dtype=bool)
    first[np.unique(other, return_index=True)[1]] = True
    return first & ~np.isin(other, rows)


def _member(ordered: np.ndarray, values: np.ndarray) -> np.ndarray:
    at = np.searchsorted(ordered, values).clip(0, max(0, len(ordered) - 1))
    return np.asarray(ordered[at] == values)

