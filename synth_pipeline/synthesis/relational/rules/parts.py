"""Columns that are a part of a date of their row: its year, month, weekday, hour, or the day as 20240131."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow as pa

from synth_pipeline.synthesis.relational.encode import DAY, HOUR, MINUTE, SECOND, Codec, NumberCodec
from synth_pipeline.synthesis.relational.frame import Frame
from synth_pipeline.synthesis.relational.rules.calendar import is_calendar
from synth_pipeline.synthesis.relational.rules.kinds import Part
from synth_pipeline.synthesis.relational.rules.model import Rules
from synth_pipeline.synthesis.relational.rules.support import SUPPORT, supported

_MOST_VALUES, _STEPS, _FEW = 60, 9, 50
"""Most values of a column that a part stands for; those that steps can tell; rows that refute most parts."""


def _days(t: np.ndarray) -> np.ndarray:
    return np.asarray(t // DAY)


def _dates(t: np.ndarray) -> np.ndarray:
    return _days(t).astype("datetime64[D]")


def _months(t: np.ndarray) -> np.ndarray:
    return np.asarray(_dates(t).astype("datetime64[M]").astype(np.int64))


def _year(t: np.ndarray) -> np.ndarray:
    return _months(t) // 12 + 1970


def _month(t: np.ndarray) -> np.ndarray:
    return _months(t) % 12 + 1


def _day(t: np.ndarray) -> np.ndarray:
    return np.asarray((_dates(t) - _dates(t).astype("datetime64[M]")).astype(np.int64) + 1)


def _left(t: np.ndarray) -> np.ndarray:
    return np.asarray(((_dates(t).astype("datetime64[M]") + 1).astype("datetime64[D]") - _dates(t)).astype(np.int64) - 1)


def _week(t: np.ndarray) -> np.ndarray:
    """The number of the ISO week: that of the year in which its Thursday lies."""
    thursday = (_days(t) + 3) // 7 * 7 * DAY
    return np.asarray((_yearday(thursday) - 1) // 7 + 1)


def _weekyear(t: np.ndarray) -> np.ndarray:
    return _year((_days(t) + 3) // 7 * 7 * DAY)


def _yearday(t: np.ndarray) -> np.ndarray:
    return np.asarray((_dates(t) - _dates(t).astype("datetime64[Y]")).astype(np.int64) + 1)


def _first(t: np.ndarray) -> np.ndarray:
    return np.asarray(_dates(t).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) * DAY)


PARTS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "year": _year,
    "quarter": lambda t: (_month(t) + 2) // 3,
    "month": _month,
    "day of the month": _day,
    "days left in the month": _left,
    "weekday": lambda t: (_days(t) + 3) % 7 + 1,
    "weekday from Sunday": lambda t: (_days(t) + 4) % 7 + 1,
    "week": _week,
    "day of the year": _yearday,
    "hour": lambda t: t // HOUR % 24,
    "minute": lambda t: t // MINUTE % 60,
    "second": lambda t: t // SECOND % 60,
    "year and month": lambda t: _year(t) * 100 + _month(t),
    "year and week": lambda t: _weekyear(t) * 100 + _week(t),
    "year, month and day": lambda t: _year(t) * 10_000 + _month(t) * 100 + _day(t),
    "hour of the day": lambda t: ((_year(t) * 100 + _month(t)) * 100 + _day(t)) * 100 + t // HOUR % 24,
    "date": lambda t: _days(t) * DAY,
    "first of the month": _first,
    "full hour": lambda t: t // HOUR * HOUR,
    "time of day": lambda t: t % DAY,
}
"""Parts of moments (microseconds since 1970, int64 (n,)); dates and times are microseconds, too."""
_NUMBERS = ("year, month and day", "hour of the day", "year and month", "year and week", "year", "quarter", "month", "week", "day of the year",
            "day of the month", "weekday", "weekday from Sunday", "hour", "minute", "second")  # fmt: skip
_MOMENTS = ("date", "first of the month", "full hour")
_NAMED = ("weekday", "quarter", "month", "hour", "day of the month")
_RUNNING = ("year", "year and month", "year and week")
"""Parts that do not come again: what changes seldom along them has steps (`find_steps`)."""


def find_parts(frame: Frame, columns: Sequence[str], rules: Rules) -> None:
    """Adds to the rules of a table which of some columns are a part of a date of their row, on every row, or follow from one.

    A column that equals a part needs no more than support. One that a part stands for (the name of the weekday, whether it is
    one of the weekend) must have repeated what it is at the same value of the part far more often than chance lets it.
    """
    dates = {c: k for c in columns if isinstance(k := frame.codecs[c], NumberCodec) and is_calendar(k)}
    # A timestamp says more than a date does, and a date more than a month.
    sources = sorted(dates, key=lambda c: (pa.types.is_date(dates[c].type), -len(frame.distinct(c)[0])))
    moments = {c: frame.x[c] * dates[c].unit for c in sources}
    for column in columns:
        x, codec = frame.x[column], frame.codecs[column]
        known = np.flatnonzero(np.isfinite(x))
        if len(known) < SUPPORT or (x[known] == x[known[0]]).all() or not supported(frame, known):
            continue
        for source in sources:
            if source == column or source in rules.parts or not np.array_equal(np.isnan(moments[source]), np.isnan(x)):
                continue
            part = _Parts(moments[source][known].astype(np.int64))
            found = _equal(source, codec, x[known], part) if isinstance(codec, NumberCodec) else None
            found = found or _stands_for(source, x[known], part)
            if found is not None:
                rules.parts[column] = found
                break


class _Parts:
    """The parts of moments, each computed once."""

    def __init__(self, t: np.ndarray) -> None:
        self.moments = t
        self._found: dict[str, np.ndarray] = {}

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._found:
            self._found[name] = PARTS[name](self.moments)
        return self._found[name]


def _equal(source: str, codec: NumberCodec, x: np.ndarray, part: _Parts) -> Part | None:
    """The part that a number, date or time is; it may be one more or one less (weekdays from 0)."""
    if codec.digits is None:
        return None
    value, timed = x * codec.unit, pa.types.is_temporal(codec.type)
    names = ("time of day",) if pa.types.is_time(codec.type) else _MOMENTS if timed else _NUMBERS
    few = slice(None, None, len(x) // _FEW + 1)
    for name in names:
        offset = float(value[0] - part[name][0])
        if timed and np.array_equal(part[name], part.moments):
            continue  # two dates that are equal are no parts of each other
        if abs(offset) > (not timed) or (np.abs(value[few] - part[name][few] - offset) > 0.5).any():
            continue
        if len(np.unique(part[name])) > 2 - (name == "year" and not offset) and (np.abs(value - part[name] - offset) < 0.5).all():
            return Part(source, name, offset)
    return None


def _stands_for(source: str, x: np.ndarray, part: _Parts) -> Part | None:
    """The coarsest part that says the value."""
    values, codes, count = np.unique(x, return_inverse=True, return_counts=True)
    if len(values) > _MOST_VALUES:
        return None
    surprise = 1 - float(((count / len(x)) ** 2).sum())
    for name in (*_NAMED, *(_RUNNING if len(values) > _STEPS else ())):
        told, at = np.unique(part[name], return_inverse=True)
        if len(told) < len(values) or (len(x) - len(told)) * surprise < 2 * SUPPORT:
            continue
        said = np.zeros(len(told), dtype=np.int64)
        said[at] = codes
        if np.array_equal(said[at], codes):
            return Part(source, name, 0.0, tuple(told.astype(float).tolist()), tuple(values[said].tolist()))
    return None


def part_values(rule: Part, codec: Codec, t: np.ndarray) -> np.ndarray:
    """The column in units by the moments (n,) of its rows, NaN for none; float (n,)."""
    known = np.isfinite(t)
    p = PARTS[rule.part](np.where(known, t, 0).astype(np.int64)).astype(float)
    if rule.values:
        # What no real row had says what the nearest one of these does.
        middle = (np.array(rule.told[1:]) + np.array(rule.told[:-1])) / 2
        x = np.array(rule.values)[np.searchsorted(middle, p)]
    else:
        x = np.round((p + rule.offset) / (codec.unit if isinstance(codec, NumberCodec) else 1.0))
    return np.where(known, x, np.nan)
