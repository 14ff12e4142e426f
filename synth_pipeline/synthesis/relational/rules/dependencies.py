"""Columns that another column determines."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from synth_pipeline.synthesis.relational.frame import Frame
from synth_pipeline.synthesis.relational.rules.model import Rules
from synth_pipeline.synthesis.relational.rules.support import SUPPORT


def find_determined(frame: Frame, candidates: list[str], places: Collection[str], rules: Rules) -> None:
    """Functional dependencies between single columns, with more support than chance would give."""
    codes: dict[str, np.ndarray] = {}
    for c in candidates:
        x = frame.x[c]
        codes[c] = np.unique(np.where(np.isnan(x), np.inf, x), return_inverse=True)[1]
    sizes = {c: int(v.max()) + 1 if len(v) else 0 for c, v in codes.items()}
    for target in sorted(candidates, key=lambda c: sizes[c]):
        if sizes[target] < 2:
            continue
        share = np.bincount(codes[target]) / max(1, frame.rows)
        surprise = 1 - float((share**2).sum())
        best: tuple[int, str] | None = None
        for source in candidates:
            if source == target or source in rules.determined or target in rules.determined.values() or sizes[source] < sizes[target]:
                continue
            repeats = frame.rows - sizes[source]
            chance = repeats * surprise < 2 * SUPPORT or sizes[source] > 0.8 * frame.rows
            # That a city lies in one country needs no proof by numbers.
            if chance and not (source in places and target in places):
                continue
            pairs = np.unique(codes[source].astype(np.int64) * sizes[target] + codes[target])
            if len(pairs) == sizes[source] and (best is None or sizes[source] < best[0]):
                best = (sizes[source], source)
        if best is not None:
            rules.determined[target] = best[1]
