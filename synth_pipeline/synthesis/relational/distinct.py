"""How many different values there are, without sorting all of them where a few tell, and how many root entities have each."""

from __future__ import annotations

import numpy as np

_GLANCE = 500


def several(x: np.ndarray, least: int) -> bool:
    """Whether at least `least` different values are among `x` (n,); NaN is one."""
    return len(np.unique(x[:: len(x) // _GLANCE + 1])) >= least or len(np.unique(x)) >= least


def owners_of(code: np.ndarray, entities: np.ndarray, codes: int) -> np.ndarray:
    """How many root entities have each of `codes` codes, by those of rows and the entity of each, int (n,); int64 (codes,)."""
    return np.bincount(np.unique(entities.astype(np.int64) * codes + code) % codes, minlength=codes)
