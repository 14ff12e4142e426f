"""How many siblings there can be at most where they come at a steady pace: a salary a year since an employee was hired."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from synth_pipeline.catalog.schema import ForeignKey
from synth_pipeline.synthesis.relational.encode import Codec, NumberCodec
from synth_pipeline.synthesis.relational.frame import Frame
from synth_pipeline.synthesis.relational.rules.calendar import is_calendar, run_lengths
from synth_pipeline.synthesis.relational.rules.kinds import Pace, Run
from synth_pipeline.synthesis.relational.rules.support import SUPPORT, supported

_STEADY = 0.1
"""The spread of steps, as a share of their middle, up to which they are steady."""
_FULL = 0.5
"""A limit says something where parents come this near to it, on average as a share of it."""


def find_pace(frame: Frame, owner: ForeignKey, above: Frame, column: str) -> Pace | None:
    """The pace of a date of siblings that starts at a date of their owner or later; None where steps are not steady.

    Args:
        frame: the table.
        owner: the foreign key to the rows under which siblings are grouped.
        above: the table of the owners.
        column: a date of the table that puts siblings in order.
    """
    group, codec = frame.group, frame.codecs.get(column)
    if group is None or not isinstance(codec, NumberCodec) or not is_calendar(codec):
        return None
    x = frame.x[column]
    later = np.flatnonzero((group.position > 0) & ~frame.gaps)
    steps = (x - group.previous(x))[later]
    if len(steps) < 2 * SUPPORT or not supported(frame, later) or np.isnan(x).any() or steps.min() <= 0:
        return None
    low, middle, high = np.quantile(steps, [0.05, 0.5, 0.95])
    if high - low > _STEADY * middle:
        return None
    first = np.flatnonzero((group.position == 0) & (group.index >= 0))
    count = np.bincount(group.index[group.index >= 0], minlength=above.rows)
    found: list[tuple[float, Pace]] = []
    for name, kind in above.codecs.items():
        if not isinstance(kind, NumberCodec) or not is_calendar(kind) or name in above.late or np.isnan(above.x[name]).any():
            continue
        start = above.x[name] * (kind.unit / codec.unit)
        pace = Pace(column, name, float(low), codec.high)
        if (x[first] >= start[group.index[first]]).all():
            most = most_of(pace, codec, above.codecs, above.x)
            share = float((count / np.maximum(most, 1))[count > 0].mean())
            if (count <= most).all() and share > _FULL:
                found.append((-share, pace))
    return min(found, key=lambda f: f[0])[1] if found else None


def time_for(steady: Run | Pace, codec: NumberCodec, codecs: Mapping[str, Codec], x: Mapping[str, np.ndarray]) -> np.ndarray:
    """How many siblings a calendar, or their pace, leaves time for under each owner; int64 (n,). Arguments as for `most_of`."""
    return run_lengths(steady, codec, codecs, x) if isinstance(steady, Run) else most_of(steady, codec, codecs, x)


def most_of(pace: Pace, codec: NumberCodec, codecs: Mapping[str, Codec], x: Mapping[str, np.ndarray]) -> np.ndarray:
    """The most siblings for which there is time since each owner's start; int64 (n,).

    Args:
        pace: the pace.
        codec: of the siblings' date.
        codecs: of the owner's columns.
        x: values of the owner's columns, in units.
    """
    start = codecs[pace.start]
    assert isinstance(start, NumberCodec)
    room = pace.horizon - np.nan_to_num(x[pace.start] * (start.unit / codec.unit), nan=pace.horizon)
    return np.asarray(np.maximum(0, np.floor(room / pace.step) + 1), dtype=np.int64)
