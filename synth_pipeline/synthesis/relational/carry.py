"""Values carried over from one sibling to the next: the medium of an album's tracks, the clerk of a day's sales.

A row takes the value of the sibling before it, or a fresh one that may equal it by chance: a mixture whose parts are told
apart by expectation maximisation (Dempster et al. 1977). Whether to carry on is learnt from all groups together, so that it
holds for values of few entities, too, which no leaf of a tree may show.
"""

from __future__ import annotations

import numpy as np

from synth_pipeline.synthesis.relational.distinct import several
from synth_pipeline.synthesis.relational.frame import Group

_LEAST = 0.3
"""Least share of carried rows among those with a sibling before."""
_SUPPORT_ROWS, _SUPPORT_GROUPS = 50, 10
_STEPS = 30


def carried_rows(group: Group, x: np.ndarray, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """Which rows carry the value of the sibling before.

    Args:
        group: the siblings.
        x: a value per row, float (n,), NaN for NULL (a value like others).
        rows: the rows to learn from.
        rng: decides for rows that may be either.

    Returns:
        bool (n,), True only for rows that equal the sibling before; None where values are hardly carried beyond chance.
    """
    _, code = np.unique(np.where(np.isnan(x), np.inf, x), return_inverse=True)
    before = group.before()
    later = rows[before[rows] >= 0]
    if len(later) < _SUPPORT_ROWS or len(code) == 0 or code.max() == 0:
        return None
    same = code[later] == code[before[later]]
    if same.mean() < _LEAST or not several(group.index[later[same]], _SUPPORT_GROUPS):
        return None
    opening = np.bincount(code[rows[before[rows] < 0]], minlength=int(code.max()) + 1).astype(float)
    share, weight = float(same.mean()), np.where(same, 0.5, 0.0)
    for _ in range(_STEPS):
        fresh = opening + np.bincount(code[later], 1 - weight, minlength=len(opening))
        chance = (fresh / fresh.sum())[code[later]]
        weight = np.where(same, share / np.maximum(share + (1 - share) * chance, 1e-12), 0.0)
        share = float(weight.mean())
    if share < _LEAST:
        return None
    out = np.zeros(len(x), dtype=bool)
    out[later] = rng.random(len(later)) < weight
    return out


def sources(group: Group, carried: np.ndarray) -> np.ndarray:
    """The row whose value each row has: itself, or the last sibling before it that does not carry; int64 (n,)."""
    order = group.order
    keeps = carried[order] & (group.position[order] > 0)
    out = np.empty(len(order), dtype=np.int64)
    out[order] = order[np.maximum.accumulate(np.where(keeps, 0, np.arange(len(order))))]
    return out
