"""Who has the children, in tables too small for a tree: the shares of all children that groups of parents have.

Nine employees are too few to learn from a tree which of them take orders, but that those in London take three orders in ten
is a fact about the orders. Counts are exchanged between parents until such shares are those of the source (calibration to
margins, Deville & Särndal 1992, by exchanges instead of weights, so that the counts themselves stay what they are).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from synth_pipeline.synthesis.relational.trees import Feature

_MOST_ROWS, _MOST_PARENTS = 200, 5_000
"""Where more parents have children, or there are more of them, it is left to the trees."""
_MOST_DRAWN = 50_000
_GROUP_ROWS = 3
_GROUPS = 8
_ROUNDS = 80
_ACCEPTED = 8
_STRICT = 0.1
"""Children that a group without any may seem to have: errors are measured by what chance would make."""


@dataclass
class Margin:
    """The children's shares of groups of parents by one feature.

    Attributes:
        values, groups: values of the feature, ascending, and the group of each, int (k,).
        shares: of the children, float (groups,), adding up to 1.
    """

    values: np.ndarray
    groups: np.ndarray
    shares: np.ndarray

    def of(self, x: np.ndarray) -> np.ndarray:
        """The group of each value, that of the next lower one where it is not known; int64 (n,)."""
        return np.asarray(self.groups[(np.searchsorted(self.values, x, side="right") - 1).clip(0)])


def find_margins(
    features: Sequence[Feature], columns: Mapping[str, np.ndarray], rows: np.ndarray, count: np.ndarray, least: int = _GROUP_ROWS
) -> dict[str, Margin]:
    """The shares of children by each feature of the parents; empty where a tree can tell, or nothing differs.

    Args:
        features: what is known of a parent; `columns` has the values, arrays (n,).
        columns: the values.
        rows: parents to learn from.
        count: children of each parent, (n,).
        least: parents of a group; or an eighth of the rows, or as many as have children, where these are more.
    """
    weight = count[rows].astype(float)
    if len(rows) > _MOST_PARENTS or np.count_nonzero(weight) >= _MOST_ROWS or weight.sum() <= 0 or np.ptp(weight) == 0:
        return {}
    least = max(least, min(len(rows) // _GROUPS, int(np.count_nonzero(weight))))
    found = {}
    for feature in features:
        values, inverse, size = np.unique(columns[feature.name][rows].astype(np.int64), return_inverse=True, return_counts=True)
        groups = _common(size, least) if feature.codes else _ranges(size, least)
        if groups.max(initial=0) > 0:
            shares = np.bincount(groups[inverse], weight) / weight.sum()
            found[feature.name] = Margin(values, groups, shares)
    return found


def balance(counts: np.ndarray, margins: Mapping[str, Margin], columns: Mapping[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """The counts, int (n,), exchanged between parents so that groups of these have their shares of the children."""
    n, total = len(counts), float(counts.sum())
    known = [(m.of(columns[name].astype(np.int64)), m.shares * total) for name, m in margins.items() if name in columns]
    if not known or total == 0 or n < 2 or n > _MOST_DRAWN:
        return counts
    counts = counts.copy()
    for _ in range(_ROUNDS):
        order = rng.permutation(n)[: n // 2 * 2]
        one, other = order[::2], order[1::2]
        more = (counts[other] - counts[one]).astype(float)
        gain = np.zeros(len(one))
        for group, wanted in known:
            over = np.bincount(group, counts, minlength=len(wanted)) - wanted
            a, b, error = over[group[one]], over[group[other]], wanted + _STRICT
            change = (a**2 - (a + more) ** 2) / error[group[one]] + (b**2 - (b - more) ** 2) / error[group[other]]
            gain += np.where(group[one] != group[other], change, 0.0)
        # What each exchange gains is told as if it were the only one: so few at a time, the best ones.
        best = np.argsort(-gain, kind="stable")[: max(1, len(gain) // _ACCEPTED)]
        best = best[gain[best] > 1e-9 * total]
        counts[one[best]], counts[other[best]] = counts[other[best]], counts[one[best]]
    return counts


def _common(size: np.ndarray, least: int) -> np.ndarray:
    """Each common category is a group, all others are one together, or part of the smallest group where these are too few."""
    common = size >= least
    groups = np.where(common, np.cumsum(common) - 1, common.sum())
    if common.any() and 0 < size[~common].sum() < least:
        groups[~common] = groups[common][size[common].argmin()]
    return groups


def _ranges(size: np.ndarray, least: int) -> np.ndarray:
    """Neighbouring values together until each group has enough."""
    groups, current, rows = np.zeros(len(size), dtype=np.int64), 0, 0
    left = int(size.sum())
    for i, s in enumerate(size):
        groups[i] = current
        rows, left = rows + int(s), left - int(s)
        if rows >= least and left >= least:
            current, rows = current + 1, 0
    return groups
