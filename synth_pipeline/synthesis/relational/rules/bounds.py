"""Dates that never pass another date of their row or of a parent, beyond the one that they are counted from.

An order counts as a rule only where dates dealt to other rows would break it many times over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from synth_pipeline.catalog.schema import ForeignKey
from synth_pipeline.synthesis.relational.encode import NumberCodec, held_above
from synth_pipeline.synthesis.relational.frame import Frame
from synth_pipeline.synthesis.relational.rules.model import Base, Bound, Rules
from synth_pipeline.synthesis.relational.rules.support import SUPPORT, disorder, supported

_MOST_BOUNDS = 3


def find_bounds(frame: Frame, frames: Mapping[str, Frame], parents: Sequence[ForeignKey], columns: Sequence[str], rules: Rules) -> None:
    """Adds the bounds of the dates among `columns` to the rules of a table.

    Args:
        frame: the table.
        frames: all tables.
        parents: foreign keys whose parents exist before the table's rows do.
        columns: columns that are drawn.
        rules: the rules so far; gets those found.
    """
    for column in columns:
        codec, x = frame.codecs[column], frame.x[column]
        if not isinstance(codec, NumberCodec) or not pa.types.is_temporal(codec.type) or column in rules.chains:
            continue
        base = rules.bases.get(column)
        if base is not None and base.calendar is not None:
            continue
        found: list[tuple[float, Bound]] = []
        for other, key, following, y in _others(frame, frames, parents, columns, column, codec):
            start = base.first if base is not None and base.kind == "previous" and base.least >= 0 else base
            if not following and start is not None and _implied(rules, start, other, key) or not key and rules.needs(other, column):
                continue
            both = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
            if len(both) < 2 * SUPPORT or not supported(frame, both):
                continue
            for upper in (True,) if following else (False, True):
                distance = (y - x if upper else x - y)[both]
                if distance.min() >= 0 and disorder(x[both], y[both], upper=upper) >= 2 * SUPPORT:
                    found.append((float(np.median(distance)), Bound(other, key, upper, following)))
        if found:
            rules.bounds[column] = tuple(b for _, b in sorted(found, key=lambda f: f[0])[:_MOST_BOUNDS])


def _implied(rules: Rules, base: Base, other: str, key: str) -> bool:
    """Whether the base is the other column, or keeps to it in turn."""
    if (base.column, base.key) == (other, key):
        return True
    if base.kind != "own":
        return False
    copy, further = rules.copied.get(base.column), rules.bases.get(base.column)
    if copy is not None and (copy.column, copy.key) == (other, key):
        return True
    further = further.first if further is not None and further.kind == "previous" else further
    return further is not None and _implied(rules, further, other, key)


def _others(
    frame: Frame, frames: Mapping[str, Frame], parents: Sequence[ForeignKey], columns: Sequence[str], column: str, codec: NumberCodec
) -> Iterator[tuple[str, str, bool, np.ndarray]]:
    """Dates that may bound one: (column, foreign key or "", whether of the sibling after, values in units of that one)."""
    for other, kind in frame.codecs.items():
        if other != column and other in columns and isinstance(kind, NumberCodec) and kind.comparable(codec):
            yield other, "", False, frame.x[other] * (kind.unit / codec.unit)
            if frame.group is not None:
                yield other, "", True, np.where(frame.gaps, np.nan, frame.group.following(frame.x[other]) * (kind.unit / codec.unit))
    for fk in parents:
        above, index = frames[fk.parent], frame.parents[fk.id]
        for other, kind in above.codecs.items():
            if isinstance(kind, NumberCodec) and kind.comparable(codec) and other not in above.late and above.rows:
                yield other, fk.id, False, held_above(above.x[other], index) * (kind.unit / codec.unit)
