"""How much data a rule must hold on to be one."""

from __future__ import annotations

import numpy as np

from synth_pipeline.synthesis.relational.distinct import several
from synth_pipeline.synthesis.relational.frame import Frame

SUPPORT = 20
"""Fewest rows on which a rule must hold."""
ENTITIES = 10
"""Fewest root entities among these rows: what one customer does is no rule, and would say something about him."""


def dealt(x: np.ndarray) -> np.ndarray:
    """The values (n,) of other rows: each row has that of the one halfway down their order."""
    order = np.argsort(x, kind="stable")
    out = np.empty_like(x)
    out[order] = np.roll(x[order], len(order) // 2)
    return out


def disorder(x: np.ndarray, y: np.ndarray, *, upper: bool = False) -> int:
    """How many of `x` (n,) would lie below (`upper`: above) their `y` (n,), were each given that of the row halfway down the order of `y`.

    An order between the two is a rule only where chance would break it many times over.
    """
    others = dealt(y)
    return int((others < x).sum() if upper else (others > x).sum())


def supported(frame: Frame, rows: np.ndarray) -> bool:
    """Whether so many root entities are among the rows (int array) that they stand for all."""
    return several(frame.entities[rows], ENTITIES)
