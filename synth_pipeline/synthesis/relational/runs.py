"""Runs of equal numbers: where each row stands in its own."""

from __future__ import annotations

import numpy as np


def in_runs(ordered: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The runs of equal numbers that follow each other in `ordered`, (n,).

    Returns:
        The place of each number in its run, from 0, and the size of that run, int64 (n,) each; and where runs start, int64 (runs,).
    """
    n = len(ordered)
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if n else np.empty(0, dtype=np.int64)
    sizes = np.diff(np.r_[starts, n])
    return np.arange(n) - np.repeat(starts, sizes), np.repeat(sizes, sizes), starts
