"""Categories come out as often as they are, although a synthetic context is never quite like the real one.

Donors are reweighted by category until what the leaves are expected to give adds up to the categories' shares of all donors: raking
(iterative proportional fitting, Deming & Stephan 1940), which changes what is known of a leaf as little as that takes.
"""

from __future__ import annotations

import numpy as np

_ROUNDS = 30
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
    cell = np.searchsorted(upto, low[leaf] + quantile * span[leaf], "right")
    return np.asarray(pool[first[np.clip(cell, begin[leaf], last[leaf] - 1)]])
