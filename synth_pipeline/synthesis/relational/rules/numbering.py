"""In what order keys count the rows.

Nothing here is drawn: keys are made up, and then dealt to the rows in the order that the real ones show.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synth_pipeline.catalog.schema import ForeignKey
from synth_pipeline.synthesis.relational.encode import NumberCodec
from synth_pipeline.synthesis.relational.frame import Frame
from synth_pipeline.synthesis.relational.rules.kinds import Numbering
from synth_pipeline.synthesis.relational.rules.support import SUPPORT

_LEVELS = 3
_DIFFERENT = 5
"""Fewest different values that can be an order."""
_ROUGHLY = 0.9
"""Least rank correlation of keys with a date for them to follow it at all."""


def find_numbering(frame: Frame, parents: Collection[ForeignKey], column: str, movable: Collection[str] = ()) -> Numbering | None:
    """In what order the numbers of a key were given to the rows; None where there are too few rows to say.

    Args:
        frame: the table.
        parents: foreign keys of one column whose parents are known when the keys are dealt.
        column: a column of numbers without meaning, no two of them equal.
        movable: columns whose values may change rows: nothing else depends on them.
    """
    keys = frame.data.column(column)
    if keys.null_count or frame.rows < SUPPORT:
        return None
    order = np.argsort(np.asarray(keys.cast(pa.float64()).to_numpy()), kind="stable")
    options = dict(_options(frame, parents))
    rising = tuple(c for c in _rising(options, order) if c in movable)
    if rising:
        options = {k: x for k, x in options.items() if k[0] == "key" or k[1] not in rising}
    levels: list[tuple[str, str]] = []
    tied = np.zeros(frame.rows, dtype=np.int64)
    while len(levels) < _LEVELS:
        fit = [(len(np.unique(x)), name) for name, x in options.items() if _ascends(x[order], tied[order])]
        count, best = max(fit, key=lambda f: f[0], default=(0, ("", "")))
        if count < _DIFFERENT:
            break
        levels.append(best)
        x = options.pop(best)
        tied = np.unique(tied * (int(x.max()) + 1) + x, return_inverse=True)[1]
        if tied.max() + 1 == frame.rows:
            break
    if levels:
        return Numbering(tuple(levels), rising=rising)
    place = np.empty(frame.rows)
    place[order] = np.arange(frame.rows) / frame.rows
    near = [(float(np.corrcoef(place, r)[0, 1]), name, float(np.std(place - r))) for name, x in options.items() if (r := _share(x)).std() > 0]
    best_near = max(near, key=lambda f: f[0], default=(0.0, ("", ""), 0.0))
    return Numbering((best_near[1],), best_near[2]) if best_near[0] >= _ROUGHLY else Numbering(())


def _options(frame: Frame, parents: Collection[ForeignKey]) -> Iterator[tuple[tuple[str, str], np.ndarray]]:
    """What keys may follow: numbers and dates of the row, and the keys of its parents, each as ranks from 0."""
    for name, codec in frame.codecs.items():
        if isinstance(codec, NumberCodec) and name not in frame.late and np.isfinite(frame.x[name]).all():
            yield ("column", name), frame.distinct(name)[1]
    for fk in parents:
        values = frame.data.column(fk.columns[0])
        if not values.null_count:
            yield ("key", fk.id), ranks(values)


def _rising(options: Mapping[tuple[str, str], np.ndarray], order: np.ndarray) -> tuple[str, ...]:
    """The columns that never fall along a key which follows that of a parent: when the rows were written, say."""
    # Two values that come one after the other are an order, too, where they have rows enough to be in another.
    ascending = [name for name, x in options.items() if (np.diff(x[order]) >= 0).all() and len(x) - np.bincount(x).max() >= SUPPORT]
    return tuple(c for kind, c in ascending if kind == "column") if any(kind == "key" for kind, _ in ascending) else ()


def ranks(values: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """Ranks from 0, equal ones for equal values; int64 (n,)."""
    return np.asarray(pc.rank(values, tiebreaker="dense").to_numpy(), dtype=np.int64) - 1


def _ascends(x: np.ndarray, tied: np.ndarray) -> bool:
    """Whether the values never fall among the rows that what comes before them in the order leaves equal, and differ there."""
    same = tied[1:] == tied[:-1]
    step = np.diff(x)[same]
    return bool(len(step) and (step >= 0).all() and (step > 0).sum() >= SUPPORT)


def _share(x: np.ndarray) -> np.ndarray:
    """Ranks as shares of the rows, the middle one for equal values."""
    count = np.bincount(x)
    return np.asarray(((np.cumsum(count) - count / 2) / len(x))[x])
