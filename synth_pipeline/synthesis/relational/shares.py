"""Categories come out as often as they are, although a synthetic context is never quite like the real one.

Donors are reweighted by category until what the leaves are expected to give adds up to the categories' shares of all donors: raking
(iterative proportional fitting, Deming & Stephan 1940), which changes what is known of a leaf as little as that takes. What chance
leaves, a few rows make good: a genre of one track is not lost.
"""

from __future__ import annotations

import numpy as np

from synth_pipeline.keys import spans

_ROUNDS = 30
_SETTLED, _LOOKED_AT = 1_000, 2_000
"""How many categories that have too few get more, and among how many rows these are looked for."""
_MOST = 8.0
"""The most that a category is favoured, or held back: one that hardly any leaf has is not forced on others."""


def drawn_in_shares(
    pool: np.ndarray, sizes: np.ndarray, leaf: np.ndarray, quantile: np.ndarray, weights: np.ndarray | None,
    able: tuple[np.ndarray, np.ndarray] | None = None,
) -> np.ndarray:  # fmt: skip
    """A donor's value per row, float (n,).

    Args:
        pool: donors, leaf by leaf, ascending within each, NaN last; float (m,).
        sizes: donors of each leaf, int (leaves,), adding up to m.
        leaf: that of each row, int (n,).
        quantile: in [0, 1), float (n,).
        weights: how many rows each draw stands for, float (n,); None: one.
        able: the kind of each row, int (n,), and which codes rows of a kind may have, bool (kinds, codes); None: all.
    """
    same = (pool[1:] == pool[:-1]) | np.isnan(pool[1:]) & np.isnan(pool[:-1])
    of_leaf = np.repeat(np.arange(len(sizes)), sizes)
    first = np.flatnonzero(np.r_[True, ~same | (of_leaf[1:] != of_leaf[:-1])])
    count, home = np.diff(np.r_[first, len(pool)]).astype(float), of_leaf[first]
    values, category = np.unique(pool[first], return_inverse=True)
    whole = np.bincount(category, count)
    if able is not None:
        leaf, count, home, category = _confined(leaf, count, home, category, values, whole, *able)
    leaves = int(home.max()) + 1
    drawn = np.bincount(leaf, weights, minlength=leaves).astype(float)
    wanted = whole * (drawn.sum() / len(pool))
    factor = np.ones(len(wanted))
    for _ in range(_ROUNDS):
        lifted = count * factor[category]
        given = drawn[home] * lifted / np.bincount(home, lifted, minlength=leaves)[home]
        expected = np.bincount(category, given, minlength=len(wanted))
        factor = np.clip(factor * wanted / np.where(expected > 0, expected, wanted), 1 / _MOST, _MOST)
    lifted = count * factor[category]
    upto = np.cumsum(lifted)
    last = np.searchsorted(home, np.arange(leaves), "right")
    begin = np.searchsorted(home, np.arange(leaves), "left")
    low = np.r_[0.0, upto][begin]
    span = np.r_[0.0, upto][last] - low
    cell = np.clip(np.searchsorted(upto, low[leaf] + quantile * span[leaf], "right"), begin[leaf], last[leaf] - 1)
    weight = np.ones(len(leaf)) if weights is None else weights
    return np.asarray(values[category[_settled(cell, weight, leaf, home, category, wanted)]])


def _confined(
    leaf: np.ndarray, count: np.ndarray, home: np.ndarray, category: np.ndarray, values: np.ndarray, whole: np.ndarray, kind: np.ndarray,
    codes: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Leaves divided by the kinds of their rows, each with the cells that these may have; where there are none, with all such categories.

    Returns:
        The leaf of each row, and count, leaf and category of each cell.
    """
    parts, leaf = np.unique(leaf * len(codes) + kind, return_inverse=True)
    of, kinds = parts // len(codes), parts % len(codes)
    begin, end = (np.searchsorted(home, of, side) for side in ("left", "right"))
    part, at = np.repeat(np.arange(len(parts)), end - begin), spans(begin, end)
    may = np.ones((len(codes), len(values)), dtype=bool)
    known = np.flatnonzero(np.isfinite(values))
    may[:, known] = codes[:, values[known].astype(np.int64)]
    good = may[kinds[part], category[at]]
    found = [(part[good], category[at][good], count[at][good])]
    for p in np.setdiff1d(np.arange(len(parts)), part[good]).tolist():
        others = np.flatnonzero(may[kinds[p]]) if may[kinds[p]].any() else np.arange(len(values))
        found.append((np.full(len(others), p), others, whole[others]))
    cells = [np.concatenate(c) for c in zip(*found, strict=True)]
    order = np.lexsort((cells[1], cells[0]))
    return leaf, cells[2][order].astype(float), cells[0][order], cells[1][order]


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
        begin, end = ends[home[place]], ends[home[place] + 1]
        able, target = rows[spans(begin, end)], np.repeat(place, end - begin)
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
