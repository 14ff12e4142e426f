"""Dates of siblings that follow a calendar: the same day of every month, from the owner's start on.

Steps are counted in whole months here, not in days: a bill is issued on the 31st, and on the 30th where there is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa

from synth_pipeline.catalog.schema import ForeignKey
from synth_pipeline.synthesis.relational.distinct import several
from synth_pipeline.synthesis.relational.encode import DAY, Codec, NumberCodec
from synth_pipeline.synthesis.relational.frame import Frame
from synth_pipeline.synthesis.relational.rules.kinds import Base, Calendar, Run
from synth_pipeline.synthesis.relational.rules.support import SUPPORT, supported

_MOST_MONTHS = 12


def months_of(codec: NumberCodec, x: np.ndarray) -> np.ndarray:
    """Whole months since 1970 of dates in units, NaN where there is none; float (n,)."""
    days = _days(codec, x)
    months = np.where(np.isnan(days), 0, days).astype(np.int64).astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    return np.where(np.isnan(days), np.nan, months)


def day_of(codec: NumberCodec, x: np.ndarray) -> np.ndarray:
    """The day of the month, from 1; NaN where there is no date; float (n,)."""
    days = _days(codec, x)
    dates = np.where(np.isnan(days), 0, days).astype(np.int64).astype("datetime64[D]")
    return np.where(np.isnan(days), np.nan, (dates - dates.astype("datetime64[M]")).astype(np.int64) + 1)


def date_of(codec: NumberCodec, months: np.ndarray, day: np.ndarray) -> np.ndarray:
    """Dates in units from whole months since 1970 and the day, or the month's last day where it is shorter; float (n,)."""
    known = np.isfinite(months) & np.isfinite(day)
    start = np.where(known, months, 0).astype(np.int64)
    first = start.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    length = (start + 1).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) - first
    days = first + np.clip(np.where(known, day, 1), 1, length) - 1
    return np.where(known, days * (1.0 if pa.types.is_date(codec.type) else DAY), np.nan)


def _days(codec: NumberCodec, x: np.ndarray) -> np.ndarray:
    return x if pa.types.is_date(codec.type) else np.floor(x / DAY)


def find_calendar(frame: Frame, owner: ForeignKey, above: Frame, column: str) -> Base | None:
    """The base of a date by which siblings lie whole months apart on the same day of the month; None where they do not.

    Args:
        frame: the table.
        owner: the foreign key to the rows under which siblings are grouped.
        above: the table of the owners.
        column: a date of the table.
    """
    codec, group = frame.codecs.get(column), frame.group
    if group is None or not isinstance(codec, NumberCodec) or not is_calendar(codec):
        return None
    x = frame.x[column]
    later = (group.position > 0) & ~frame.gaps
    if later.sum() < 2 * SUPPORT or np.isnan(x).any() or not pa.types.is_date(codec.type) and (x % DAY).any():
        return None
    steps = (months_of(codec, x) - months_of(codec, group.previous(x)))[later]
    if steps.min() < 1 or steps.max() > _MOST_MONTHS or not supported(frame, np.flatnonzero(later)):
        return None
    if not several(x, 5) or (day := _day(frame, above, column, codec)) is None:
        return None
    base = Base("previous", column, least=float(steps.min()), most=float(steps.max()), calendar=Calendar(owner.id, day))
    first = _first(frame, owner, above, column, codec)
    return replace(base, first=first)


def is_calendar(codec: object) -> bool:
    """Whether a codec holds dates that have months."""
    return isinstance(codec, NumberCodec) and (pa.types.is_date(codec.type) or pa.types.is_timestamp(codec.type))


def _day(frame: Frame, above: Frame, column: str, codec: NumberCodec) -> str | None:
    """The owner's column that holds the day of the month, "" where siblings merely share it, None where they do not."""
    group, x = frame.group, frame.x[column]
    assert group is not None
    months, inside = months_of(codec, x), group.index >= 0
    if not inside.all():
        return None
    for name, values in _day_columns(above):
        day = values[group.index]
        if np.isfinite(day).all() and np.array_equal(date_of(codec, months, day), x) and several(day, 2):
            return name
    highest = np.zeros(above.rows)
    np.maximum.at(highest, group.index, day_of(codec, x))
    return "" if np.array_equal(date_of(codec, months, highest[group.index]), x) else None


def _day_columns(above: Frame) -> Iterator[tuple[str, np.ndarray]]:
    """The owner's columns that may hold a day of the month: whole numbers up to 31, and dates, whose day it is then."""
    for name, codec in above.codecs.items():
        if not isinstance(codec, NumberCodec) or name in above.late:
            continue
        if is_calendar(codec):
            yield name, day_of(codec, above.x[name])
        elif not pa.types.is_temporal(codec.type) and codec.unit == 1.0 and 1 <= codec.low and codec.high <= 31:
            yield name, above.x[name]


def _first(frame: Frame, owner: ForeignKey, above: Frame, column: str, codec: NumberCodec) -> Base | None:
    """The owner's date that the first sibling is nearest to, in months."""
    group = frame.group
    assert group is not None
    opening = np.flatnonzero(group.position == 0)
    months = months_of(codec, frame.x[column][opening])
    found: list[tuple[float, Base]] = []
    for name, kind in above.codecs.items():
        if not isinstance(kind, NumberCodec) or not is_calendar(kind) or name in above.late:
            continue
        distance = months - months_of(kind, above.x[name][group.index[opening]])
        if np.isfinite(distance).all() and (distance.min() >= 0 or distance.max() <= 0) and distance.std() < 0.7 * months.std():
            found.append((float(distance.std()), Base("parent", name, owner.id, least=float(distance.min()), most=float(distance.max()))))
    return min(found, key=lambda f: f[0], default=(0.0, None))[1]


def find_run(frame: Frame, owner: ForeignKey, above: Frame, column: str) -> Run | None:
    """Whether siblings that follow a calendar go on until a date of their owner, or, where it has none, until the data end.

    The owner then has as many as there are such dates; what it has more or less is a matter of chance.
    """
    base = find_calendar(frame, owner, above, column)
    if base is None or base.first is None or base.calendar is None or base.least != base.most or base.first.least != base.first.most:
        return None
    codec = frame.codecs[column]
    assert isinstance(codec, NumberCodec) and frame.group is not None
    count = np.bincount(frame.group.index, minlength=above.rows)
    rows = np.flatnonzero(above.counted & ~above.cut[owner.id] & np.isfinite(above.x[base.first.column]))
    found: list[tuple[float, int, Run]] = []
    ends = [c for c, k in above.codecs.items() if c != base.first.column and c not in above.late and is_calendar(k)]
    for place, (end, before) in enumerate([("", False), *((e, b) for e in ends for b in (False, True))]):
        run = Run(column, base.calendar.day, base.first.column, int(base.first.least), int(base.least), end, codec.high, before)
        rest = (count - run_lengths(run, codec, above.codecs, above.x))[rows]
        found.append((float(np.abs(rest).mean()), place, run))
    spread, _, best = min(found, key=lambda f: f[:2])
    if len(rows) < 2 * SUPPORT or spread >= 0.1 * np.abs(count[rows] - count[rows].mean()).mean():
        return None
    going = rows[np.isnan(above.x[best.end][rows])] if best.end else rows
    rest = (count - run_lengths(best, codec, above.codecs, above.x))[going]
    return replace(best, whole=len(going) >= SUPPORT and supported(above, going) and not rest.any())


def run_lengths(run: Run, codec: NumberCodec, codecs: Mapping[str, Codec], x: Mapping[str, np.ndarray]) -> np.ndarray:
    """How many dates of a run there are for each owner; int64 (n,), 0 where it has no start.

    Args:
        run: the run.
        codec: of the siblings' date.
        codecs: of the owner's columns.
        x: values of the owner's columns, in units.
    """
    start = codecs[run.start]
    assert isinstance(start, NumberCodec)
    first = months_of(start, x[run.start]) + run.offset
    end = np.full(len(first), run.horizon)
    if run.end:
        kind = codecs[run.end]
        assert isinstance(kind, NumberCodec)
        end = np.where(np.isfinite(x[run.end]), x[run.end] * (kind.unit / codec.unit), end)
    day = np.full(len(first), 1.0)
    if run.day:
        holder = codecs[run.day]
        assert isinstance(holder, NumberCodec)
        day = day_of(holder, x[run.day]) if is_calendar(holder) else x[run.day]
    steps = np.floor((months_of(codec, end) - first) / run.every)
    last = date_of(codec, first + steps * run.every, day)
    beyond = (last > end) | (last == end) & run.before & (end < run.horizon)
    return np.asarray(np.maximum(0, np.nan_to_num(steps - beyond + 1, nan=0)), dtype=np.int64)
