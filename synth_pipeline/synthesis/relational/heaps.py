"""Round numbers: prices that end in .00 or .50, incomes in whole thousands.

A number between two donors is as round as real ones of its size are; without that, 12.50 and 14.00 make 13.17 (heaping, see
Heitjan & Rubin 1990).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synth_pipeline.synthesis.relational.random import stratified

_ROWS, _PARTS = 40, 4
_CHANCE, _HEAPED = 0.2, 0.15
"""The share of all whole numbers that are multiples of 5, and how many more must be."""


@dataclass
class Heaps:
    """How round numbers are by their size.

    Attributes:
        grains: 1, 5, 10, 50 … units, ascending.
        edges: sizes between which roundness may differ; float (parts - 1,).
        shares: of each grain, by part, adding up to 1; float (parts, grains).
    """

    grains: np.ndarray
    edges: np.ndarray
    shares: np.ndarray

    @classmethod
    def fit(cls, x: np.ndarray, step: float) -> Heaps | None:
        """Learns from numbers in units (n,) that are multiples of `step`; None where they are no rounder than chance has it."""
        x = np.abs(x[np.isfinite(x) & (x != 0)])
        if len(x) < _ROWS:
            return None
        most = int(np.floor(np.log10(max(x.max() / step, 1)))) + 1
        grains = step * np.array([v for k in range(most) for v in (10.0**k, 5 * 10.0**k)])
        level = _level(x, grains)
        if (level > 0).mean() < _CHANCE + _HEAPED:
            return None
        edges = np.unique(np.quantile(x, np.linspace(0, 1, min(_PARTS, len(x) // (_ROWS // 2)) + 1)[1:-1]))
        part = np.searchsorted(edges, x, side="right")
        count = np.bincount(part * len(grains) + level, minlength=(len(edges) + 1) * len(grains)).reshape(len(edges) + 1, len(grains)).astype(float)
        return cls(grains, edges, count / np.maximum(count.sum(axis=1, keepdims=True), 1))

    def rounded(self, x: np.ndarray, low: float, high: float, rng: np.random.Generator) -> np.ndarray:
        """Numbers (n,) rounded as real ones of their size are, not beyond `low` and `high`; NaN and 0 stay."""
        known = np.flatnonzero(np.isfinite(x) & (x != 0))
        part = np.searchsorted(self.edges, np.abs(x[known]), side="right")
        place = stratified(rng, part)
        grain = self.grains[(np.cumsum(self.shares, axis=1)[part] < place[:, None]).sum(axis=1).clip(0, len(self.grains) - 1)]
        nearest = np.round(x[known] / grain) * grain
        out = x.copy()
        out[known] = np.where((nearest >= low) & (nearest <= high) & (nearest != 0), nearest, x[known])
        return out


def _level(x: np.ndarray, grains: np.ndarray) -> np.ndarray:
    """The coarsest grain of which each number is a multiple; int64 (n,)."""
    level = np.zeros(len(x), dtype=np.int64)
    for i, grain in enumerate(grains):
        level[np.abs(x / grain - np.round(x / grain)) < 1e-9] = i
    return level
