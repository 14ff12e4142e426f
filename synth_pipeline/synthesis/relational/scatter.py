"""Siblings scattered over time: rentals of a customer, orders of a client.

Where siblings lie anywhere in the period of the whole table, walking from one to the next blurs what all tables share (a
holiday, a month without data). They are drawn independently, each from the distribution of all, and then put in order;
where real siblings keep more distance than chance would (one visit a quarter), so do the drawn ones.
"""

from __future__ import annotations

import numpy as np

from synth_pipeline.synthesis.relational.frame import Group, small_bins
from synth_pipeline.synthesis.relational.trees import Feature

_LOCAL = 0.3
"""The share of the variance between groups from which on siblings belong to a period of their own."""
_LOCATED = 0.8
"""The same where the mean of a group's values is known before they are drawn."""
_FEW_GROUPS = 3
_TURNS, _PARTS = 100, 10
_EXCHANGES = 40


def evenness(group: Group, x: np.ndarray, *, located: bool) -> float | None:
    """How evenly siblings are spread: 0 as by chance, 1 each in a part of the period of its own.

    Args:
        group: the siblings.
        x: a value per row, float (n,), NaN for NULL.
        located: whether the mean of a group is known before.

    Returns:
        None where siblings are not spread over the whole range: groups have periods of their own, or hardly any siblings.
    """
    known = np.isfinite(x) & (group.index >= 0) & (group.size > 1)
    owners, code, size = np.unique(group.index[known], return_inverse=True, return_counts=True)
    if len(owners) < _FEW_GROUPS:
        return None
    rank = _ranked(x[known], np.zeros(int(known.sum()), dtype=np.uint8))
    mean = np.bincount(code, rank) / size
    spread = float(((rank - mean[code]) ** 2).sum() / max(1, len(rank) - len(owners)))
    if 1 - spread / float((rank**2).mean()) > (_LOCATED if located else _LOCAL):
        return None
    # Among groups of one size: those with many begin earlier, which makes none of them uneven.
    mean = np.bincount(code, _ranked(x[known], small_bins(size)[code])) / size
    # The mean of n independent uniform numbers has the variance 1/(12 n), that of one in each of n parts 1/(12 n³).
    chance, even = float((1 / (12 * size)).mean()), float((1 / (12.0 * size**3)).mean())
    seen = float((mean**2).mean())
    return float(np.clip((chance - seen) / (chance - even), 0, 1)) if chance > even else 0.0


def _ranked(x: np.ndarray, within: np.ndarray) -> np.ndarray:
    """Ranks of values (n,) among those with the same number in `within` (n,), from -½ to ½; float (n,)."""
    order = np.lexsort((x, within))
    size = np.bincount(within)
    rank = np.empty(len(x))
    rank[order] = np.arange(len(x)) - np.repeat(np.cumsum(size) - size, size)
    return np.asarray((rank + 0.5) / size[within] - 0.5)


def in_turn(group: Group, steps: np.ndarray) -> bool:
    """Whether long and short steps, float (n,), take turns: the step before tells much of the next one."""
    before = group.previous(steps)
    known = np.isfinite(before) & np.isfinite(steps)
    if known.sum() < _TURNS:
        return False
    rank = np.argsort(np.argsort(steps[known], kind="stable"), kind="stable").astype(float)
    edges = np.unique(np.quantile(before[known], np.linspace(0, 1, _PARTS + 1)[1:-1]))
    code = np.searchsorted(edges, before[known], side="right")
    size = np.bincount(code)
    within = float(((rank - (np.bincount(code, rank) / np.maximum(size, 1))[code]) ** 2).sum()) / max(1, len(rank) - len(size))
    return 1 - within / float(rank.var()) > _LOCAL


def exchangeable(features: list[Feature]) -> list[Feature]:
    """The features that do not tell siblings apart by their place."""
    return [f for f in features if f.name not in ("g:place", "g:left")]


def scattered_strata(group: Group, even: float, rng: np.random.Generator) -> np.ndarray:
    """For a share `even` of the groups a number in each equal part of [0, 1), NaN for the others; float (n,)."""
    parts = (group.position + rng.random(len(group.size))) / group.size
    chosen = rng.random(int(group.index.max(initial=-1)) + 1) < even
    inside = group.index >= 0
    return np.where(inside & chosen[group.index] if len(chosen) else inside, parts, np.nan)


def in_order(group: Group, x: np.ndarray) -> np.ndarray:
    """The values of each group in ascending order, by the places of its members; NaN last."""
    out = np.empty(len(x))
    out[group.order] = x[np.lexsort((x, _owners(group)))]
    return out


def kept_apart(group: Group, x: np.ndarray, least: float, rng: np.random.Generator) -> np.ndarray:
    """The values exchanged between groups until siblings lie at least so far apart, as far as exchanges reach; in order.

    A film is not lent again before it is back. No exchange makes the two groups worse; the values of all stay the same.
    """
    owner = _owners(group)
    for _ in range(_EXCHANGES):
        rows, close = _too_close(owner, x, least)
        if not len(rows):
            break
        one = rng.permutation(rows)
        two = rng.integers(0, len(x), len(one))
        # Each group takes part once, so that what an exchange does to it can be told.
        _, first = np.unique(np.r_[owner[one], owner[two]], return_index=True)
        alone = np.zeros(2 * len(one), dtype=bool)
        alone[first] = True
        one, two = one[(pairs := alone[: len(one)] & alone[len(one) :])], two[pairs]
        tried = x.copy()
        tried[one], tried[two] = x[two], x[one]
        after = _too_close(owner, tried, least)[1]
        good = after[owner[one]] + after[owner[two]] <= close[owner[one]] + close[owner[two]]
        x = x.copy()
        x[one[good]], x[two[good]] = tried[one[good]], tried[two[good]]
    return in_order(group, x)


def spaced(group: Group, x: np.ndarray, least: float, high: float) -> np.ndarray:
    """Siblings, in their order, moved on until each lies at least so far after the one before, and back where one would pass the highest value."""
    order, starts, sizes = group.edges()
    owner = np.repeat(np.arange(len(starts)), sizes)
    place = (np.arange(len(x)) - np.repeat(starts, sizes)) * least
    ordered = x[order] - place
    known = np.isfinite(ordered)
    # Groups lie one after the other, so that one running maximum serves all of them.
    start, span = (float(ordered[known].min()), float(np.ptp(ordered[known])) + 1) if known.any() else (0.0, 1.0)
    forward = np.maximum.accumulate((np.where(known, ordered - start, 0) + owner * span).astype(np.longdouble)) - owner * span + start
    left = (np.repeat(starts + sizes - 1, sizes) - np.arange(len(x))) * least
    out = np.empty(len(x))
    out[order] = np.where(known, np.minimum(forward.astype(float) + place, high - left), np.nan)
    return out


def _owners(group: Group) -> np.ndarray:
    """A number per group, int64 (n,)."""
    owner = np.empty(len(group.order), dtype=np.int64)
    _, starts, sizes = group.edges()
    owner[group.order] = np.repeat(np.arange(len(starts)), sizes)
    return owner


def _too_close(owner: np.ndarray, x: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
    """The rows that come too soon after a sibling, and how many of them each group has."""
    order = np.lexsort((x, owner))
    near = (np.diff(x[order]) < least) & (np.diff(owner[order]) == 0)
    rows = order[1:][near]
    return rows, np.bincount(owner[rows], minlength=int(owner.max(initial=-1)) + 1)
