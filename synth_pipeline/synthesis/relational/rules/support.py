"""How much data a rule must hold on to be one."""

from __future__ import annotations

import numpy as np

from synth_pipeline.synthesis.relational.frame import Frame

SUPPORT = 20
"""Fewest rows on which a rule must hold."""
ENTITIES = 10
"""Fewest root entities among these rows: what one customer does is no rule, and would say something about him."""


def supported(frame: Frame, rows: np.ndarray) -> bool:
    """Whether so many root entities are among the rows (int array) that they stand for all."""
    return len(np.unique(frame.entities[rows])) >= ENTITIES
