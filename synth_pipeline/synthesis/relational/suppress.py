"""What few root entities have and the strict level does not reproduce: rare categories, and the ends of numbers.

Rare categories are recoded and extremes are top- and bottom-coded, as statistical offices do before they hand out microdata
(Hundepool et al., Statistical Disclosure Control, 2012); what takes their place is drawn, so that shares stay near. Rare places,
and values of a column all of which are rare, have none that could: they keep their rows under another name (`training`).
"""

from __future__ import annotations

import numpy as np

from synth_pipeline.synthesis.relational.distinct import owners_of
from synth_pipeline.synthesis.relational.encode import hashed_units


def without_rare(x: np.ndarray, codes: int, entities: np.ndarray, least: int) -> np.ndarray:
    """Codes (n,) with those of fewer than `least` root entities replaced by others, in proportion to how many have these.

    What an entity has instead is the same on all of its rows. Where all are rare, or none is, nothing changes.
    """
    known = np.isfinite(x)
    code, entity = x[known].astype(np.int64), entities[known].astype(np.int64)
    owners = owners_of(code, entity, codes)
    rare = owners < least
    if rare.all() or not rare[code].any():
        return x
    share = np.cumsum(np.where(rare, 0, owners)) / owners[~rare].sum()
    place = hashed_units((entity * codes + code).astype(float)).astype(float) / 2.0**64
    out = x.copy()
    out[known] = np.where(rare[code], np.searchsorted(share, place, side="right").clip(0, codes - 1), code)
    return out


def without_ends(x: np.ndarray, rows: np.ndarray, entities: np.ndarray, least: int) -> np.ndarray:
    """Numbers (n,) with those that fewer than `least` root entities among `rows` reach replaced by what these reach on average; NaN stays.

    The mean of several is nobody's own number.
    """
    known = rows[np.isfinite(x[rows])]
    _, entity = np.unique(entities[known], return_inverse=True)
    count = int(entity.max(initial=-1)) + 1
    if count < 2 * least:
        return x
    highest, lowest = np.full(count, -np.inf), np.full(count, np.inf)
    np.maximum.at(highest, entity, x[known])
    np.minimum.at(lowest, entity, x[known])
    lowest, highest = np.sort(lowest)[:least], np.sort(highest)[-least:]
    if lowest[-1] >= highest[0]:
        return x
    return np.where(x <= lowest[-1], lowest.mean(), np.where(x >= highest[0], highest.mean(), x))
