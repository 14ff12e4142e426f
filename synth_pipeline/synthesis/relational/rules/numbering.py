"""In what order keys count the rows, and numbers written out of a date and a running count (`INV-2024-000017`).

Nothing here is drawn: keys are made up, and then dealt to the rows in the order that the real ones show.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synth_pipeline.catalog.schema import ForeignKey
from synth_pipeline.keys import combined_codes
from synth_pipeline.synthesis.relational.encode import NumberCodec
from synth_pipeline.synthesis.relational.frame import Frame
from synth_pipeline.synthesis.relational.rules.kinds import DATE_FORMS, Numbering, Written
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


def find_written(frame: Frame, column: str, numbers: Mapping[str, Numbering]) -> Written | None:
    """How the values of a text key are written; None where they are not all literals, parts of a date and one count.

    Args:
        frame: the table.
        column: a text column, no two values equal.
        numbers: the keys that are numbered in the order of something; the count must follow one of them.
    """
    values = frame.data.column(column)
    if values.null_count or frame.rows < 2 * SUPPORT or not pa.types.is_string(values.type):
        return None
    shape = [p for p in re.split(r"(\d+)", values[0].as_py()) if p]
    if not 1 <= sum(p.isdigit() for p in shape) <= 4:
        return None
    pattern = "".join(rf"(?P<p{i}>\d+)" if p.isdigit() else re.escape(p) for i, p in enumerate(shape))
    found = pc.extract_regex(values.combine_chunks(), pattern=rf"\A{pattern}\z")
    if found.null_count:
        return None
    runs = found.flatten()
    parts: list[tuple[str, str]] = []
    counted: list[int] = []
    for piece in shape:
        if not piece.isdigit():
            parts.append(("text", piece))
            continue
        run = runs[sum(k != "text" for k, _ in parts)]
        if len(run.unique()) == 1:
            parts.append(("same", piece))
        elif (dated := _dated(frame, run)) is not None:
            parts.append(dated)
        else:
            counted.append(len(parts))
            parts.append(("count", str(pc.min(pc.utf8_length(run)).as_py())))
    if len(counted) != 1:
        return None
    at = sum(k != "text" for k, _ in parts[: counted[0]])
    groups = [pa.chunked_array([r]) for i, r in enumerate(runs) if i != at]
    number = np.asarray(runs[at].cast(pa.float64()).to_numpy())
    if not _widths(runs[at], int(parts[counted[0]][1])):
        return None
    for within in (combined_codes(groups), np.zeros(frame.rows, dtype=np.int64)) if groups else (np.zeros(frame.rows, dtype=np.int64),):
        for key in numbers:
            place = np.lexsort((np.asarray(frame.data.column(key).cast(pa.float64()).to_numpy()), within))
            starts = np.flatnonzero(np.r_[True, np.diff(within[place]) != 0])
            sizes = np.diff(np.r_[starts, frame.rows])
            first = float(number[place][starts].min())
            skipped = number[place] - (first + np.arange(frame.rows) - np.repeat(starts, sizes))
            rises = (np.diff(skipped, prepend=0.0) >= 0) | np.isin(np.arange(frame.rows), starts)
            # Rows that are left out have numbers, too; there are no other gaps.
            if rises.all() and (skipped >= 0).all() and skipped[starts + sizes - 1].sum() <= frame.missing:
                merged = tuple(("text", v) if k == "same" else (k, v) for k, v in parts)
                return Written(merged, key, int(first), restarts=len(starts) > 1)
    return None


def _dated(frame: Frame, run: pa.Array) -> tuple[str, str] | None:
    """The date of the row that a run of digits is part of: ("%Y", column)."""
    for name, codec in frame.codecs.items():
        dated = isinstance(codec, NumberCodec) and (pa.types.is_date(codec.type) or pa.types.is_timestamp(codec.type))
        if not dated or np.isnan(frame.x[name]).any():
            continue
        assert isinstance(codec, NumberCodec)
        dates = codec.exact(frame.x[name], np.zeros(frame.rows, dtype=bool))
        for form in DATE_FORMS if codec.text is None else ():
            # A few rows refute most of them.
            if all(pc.strftime(dates.cast(pa.timestamp("s"))[:rows], format=form).equals(run[:rows]) for rows in (SUPPORT, frame.rows)):
                return form, name
    return None


def _widths(run: pa.Array, least: int) -> bool:
    """Whether counts are written without zeros in front, or all with as many digits as it takes to fill `least`."""
    length, zeros = np.asarray(pc.utf8_length(run)), np.asarray(pc.starts_with(run, "0"))
    return not zeros[length > least].any() and (least == 1 or zeros[length == least].any() or len(np.unique(length)) == 1)
