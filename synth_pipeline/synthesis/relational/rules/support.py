"""How much data a rule must hold on to be one."""

from __future__ import annotations

import numpy as np

from synth_pipeline.synthesis.relational.distinct import several
from synth_pipeline.synthesis.relational.frame import Frame

SUPPORT = 20
"""Fewest rows on which a rule must hold."""
ENTITIES = 10
"""Fewest root entities among these rows: what one customer does is no rule, and would say something about him."""


def disorder(x: np.ndarray, y: np.ndarray, *, upper: bool = False) -> int:
    """How many of `x` (n,) would lie below (`upper`: above) their `y` (n,), were each given that of the row halfway down the order of `y`.

    An order between the two is a rule only where chance would break it many times over.
    """
    order = np.argsort(y, kind="stable")
    dealt = np.roll(y[order], len(order) // 2)
    return int(((dealt < x[order]) if upper else (dealt > x[order])).sum())


def supported(frame: Frame, rows: np.ndarray) -> bool:
    """Whether so many root entities are among the rows (int array) that they stand for all."""
    return several(frame.entities[rows], ENTITIES)
