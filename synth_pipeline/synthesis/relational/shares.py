"""Categories come out as often as they are, although a synthetic context is never quite like the real one.

Donors are reweighted by category until what the leaves are expected to give adds up to the categories' shares of all donors: raking
(iterative proportional fitting, Deming & Stephan 1940), which changes what is known of a leaf as little as that takes. What chance
leaves, a few rows make good: a genre of one track is not lost.
"""

from __future__ import annotations

import numpy as np

_ROUNDS = 30
_SETTLED, _LOOKED_AT = 1_000, 2_000
"""How many categories that have too few get more, and among how many rows these are looked for."""
_MOST = 8.0
"""The most that a category is favoured, or held back: one that hardly any leaf has is not forced on others."""


def drawn_in_shares(pool: np.ndarray, sizes: np.ndarray, leaf: np.ndarray, quantile: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """A donor's value per row, float (n,).

    Args:
        pool: donors, leaf by leaf, ascending within each, NaN last; float (m,).
        sizes: donors of each leaf, int (leaves,), adding up to m.
        leaf: that of each row, int (n,).
        quantile: in [0, 1), float (n,).
        weights: how many rows each draw stands for, float (n,); None: one.
    """
    same = (pool[1:] == pool[:-1]) | np.isnan(pool[1:]) & np.isnan(pool[:-1])
    of_leaf = np.repeat(np.arange(len(sizes)), sizes)
    first = np.flatnonzero(np.r_[True, ~same | (of_leaf[1:] != of_leaf[:-1])])
    count, home = np.diff(np.r_[first, len(pool)]).astype(float), of_leaf[first]
    category = np.unique(pool[first], return_inverse=True)[1]
    drawn = np.bincount(leaf, weights, minlength=len(sizes)).astype(float)
    wanted = np.bincount(category, count) * (drawn.sum() / len(pool))
    factor = np.ones(len(wanted))
    for _ in range(_ROUNDS):
        lifted = count * factor[category]
        given = drawn[home] * lifted / np.bincount(home, lifted, minlength=len(sizes))[home]
        expected = np.bincount(category, given)
        factor = np.clip(factor * wanted / np.where(expected > 0, expected, wanted), 1 / _MOST, _MOST)
    lifted = count * factor[category]
    upto = np.cumsum(lifted)
    last = np.searchsorted(home, np.arange(len(sizes)), "right")
    begin = np.searchsorted(home, np.arange(len(sizes)), "left")
    low = np.r_[0.0, upto][begin]
    span = np.r_[0.0, upto][last] - low
    cell = np.clip(np.searchsorted(upto, low[leaf] + quantile * span[leaf], "right"), begin[leaf], last[leaf] - 1)
    weight = np.ones(len(leaf)) if weights is None else weights
    return np.asarray(pool[first[_settled(cell, weight, leaf, home, category, wanted)]])


def _settled(cell: np.ndarray, weight: np.ndarray, leaf: np.ndarray, home: np.ndarray, category: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The cells of the rows, some of them changed for others of the same leaf so that the categories have what is wanted of them.

    Args:
        cell: the cell that each row has drawn, int (n,).
        weight: what a row stands for, float (n,).
        leaf: that of each row, int (n,).
        home: the leaf of each cell.
        category: what each cell stands for.
        wanted: by category.
    """
    cell = cell.copy()
    excess = np.bincount(category[cell], weight, minlength=len(wanted)) - wanted
    rows, cells = np.argsort(leaf, kind="stable"), np.argsort(category, kind="stable")
    ends, of = np.searchsorted(leaf[rows], np.arange(home.max() + 2)), np.searchsorted(category[cells], np.arange(len(wanted) + 1))
    scarce = np.flatnonzero(excess <= -0.5)
    for c in scarce[np.argsort(excess[scarce] / wanted[scarce], kind="stable")][:_SETTLED]:
        # Those that could have it, and where they are.
        place = cells[of[c] : of[c + 1]]
        count = ends[home[place] + 1] - ends[home[place]]
        target = np.repeat(place, count)
        able = rows[np.arange(len(target)) + np.repeat(ends[home[place]] - (np.cumsum(count) - count), count)]
        step = len(able) // _LOOKED_AT + 1
        able, target = able[::step], target[::step]
        while len(able) and excess[c] <= -0.5:
            w, now = weight[able], category[cell[able]]
            change = (w - 2 * excess[now]) * w / wanted[now] + (w + 2 * excess[c]) * w / wanted[c]
            best = int(np.where(now == c, np.inf, change).argmin())
            if now[best] == c or change[best] >= 0:
                break
            excess[now[best]] -= w[best]
            excess[c] += w[best]
            cell[able[best]] = target[best]
    return cell
