"""Numbers that go on from the sibling before: prices, temperatures, the level of a tank.

What a tree says of such a number, even knowing the sibling before, is far coarser than the step from there. So the step is drawn,
from what is known of where it starts; how levels keep together comes with that.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pyarrow as pa

from synth_pipeline.synthesis.relational.distinct import several
from synth_pipeline.synthesis.relational.encode import NumberCodec
from synth_pipeline.synthesis.relational.frame import Frame, Group
from synth_pipeline.synthesis.relational.rules.kinds import Walk
from synth_pipeline.synthesis.relational.rules.model import Rules

_ROWS, _DIFFERENT = 400, 50
"""Fewest rows that follow another one, and fewest different values."""
_SHORT, _NEAR = 0.25, 0.5
"""How far steps may spread, as a share of how far all values do, and of how far siblings do from their mean."""
_MOSTLY = 0.5
_GROWS = 0.2
"""Least rank correlation of the length of a step with where it starts for steps to be in proportion to that."""


def find_walks(frame: Frame, columns: Collection[str], rules: Rules) -> None:
    """Adds to the rules of a table which of its numbers without a rule go on from the sibling before."""
    group = frame.group
    if group is None or (group.position > 0).sum() < _ROWS or not _in_time(frame, group):
        return
    for column in columns:
        codec, x = frame.codecs[column], frame.x[column]
        if not isinstance(codec, NumberCodec) or pa.types.is_temporal(codec.type) or not several(x, _DIFFERENT):
            continue
        before = group.previous(x)
        rows = np.flatnonzero((group.position > 0) & np.isfinite(x) & np.isfinite(before) & frame.train)
        # A value that is missing now and then breaks the way.
        if len(rows) < _ROWS or (np.isfinite(x) != np.isfinite(before))[group.position > 0].any():
            continue
        steps, known = (x - before)[rows], np.isfinite(x) & (group.index >= 0)
        count = np.bincount(group.index[known])
        middle = np.bincount(group.index[known], x[known]) / np.maximum(count, 1)
        around = x[known] - middle[group.index[known]]
        if _spread(steps) <= min(_SHORT * _spread(x[known]), _NEAR * _spread(around)):
            rules.walks[column] = Walk(bool((x[known] > 0).all()) and _correlation(np.abs(steps), before[rows]) >= _GROWS)


def _in_time(frame: Frame, group: Group) -> bool:
    """Whether siblings are in the order of a date, which differs among most of them."""
    later = group.position > 0
    dates = (frame.x[c] for c, k in frame.codecs.items() if isinstance(k, NumberCodec) and pa.types.is_temporal(k.type))
    steps = ((x - group.previous(x))[later] for x in dates)
    return any(np.isfinite(s).all() and (s >= 0).all() and (s > 0).mean() > _MOSTLY for s in steps)


def _spread(x: np.ndarray) -> float:
    """How far the middle four fifths spread."""
    return float(np.subtract(*np.quantile(x, [0.9, 0.1])))


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    """The rank correlation of two numbers."""
    a, b = (np.argsort(np.argsort(v, kind="stable"), kind="stable").astype(float) for v in (x, y))
    return float(np.corrcoef(a, b)[0, 1])
