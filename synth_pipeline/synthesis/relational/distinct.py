"""How many different values there are, without sorting all of them where a few tell."""

from __future__ import annotations

import numpy as np

_GLANCE = 500


def several(x: np.ndarray, least: int) -> bool:
    """Whether at least `least` different values are among `x` (n,); NaN is one."""
    return len(np.unique(x[:: len(x) // _GLANCE + 1])) >= least or len(np.unique(x)) >= least
