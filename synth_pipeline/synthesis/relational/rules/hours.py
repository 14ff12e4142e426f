"""Days of the week and hours of the day on which a date never is: nobody works on Sundays, or is visited at night.

Steps from sibling to sibling and distances from another date know nothing of it; what they lead to is moved to such a day
near by, and gets such a time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from synth_pipeline.synthesis.relational.encode import DAY, HOUR, NumberCodec
from synth_pipeline.synthesis.relational.frame import Frame, Group
from synth_pipeline.synthesis.relational.rules.calendar import is_calendar
from synth_pipeline.synthesis.relational.rules.kinds import Hours
from synth_pipeline.synthesis.relational.rules.model import Rules
from synth_pipeline.synthesis.relational.rules.support import SUPPORT, supported
from synth_pipeline.synthesis.relational.scatter import spaced

_ROWS, _DATES, _CHANCE = 200, 100, 1e-5
"""Fewest rows with a date; different hours that they are of; and what the chance of missing days of the week is at most."""
_MONDAY = 3
"""1970-01-01 was a Thursday."""


def find_hours(frame: Frame, columns: Sequence[str], rules: Rules) -> None:
    """Adds to the rules of a table the days of the week and the hours of the day on which dates among `columns` are.

    Not of dates that follow from others, or from the calendar: these are moved with what they follow from.
    """
    taken = {*rules.exact(), *rules.chains, *rules.determined.values(), *rules.nested, *rules.nested.values()}
    for column in (c for c in columns if c not in taken):
        codec, base = frame.codecs[column], rules.bases.get(column)
        if not isinstance(codec, NumberCodec) or not is_calendar(codec) or base is not None and base.calendar is not None:
            continue
        rows = np.flatnonzero(np.isfinite(frame.x[column]))
        if len(rows) < _ROWS or not supported(frame, rows):
            continue
        x = frame.x[column][rows]
        days = _weekdays(codec, np.unique(np.floor(x / _day(codec))))
        hours, shares = tuple[int, ...](), tuple[float, ...]()
        if not pa.types.is_date(codec.type) and HOUR % codec.step == 0:
            hours = _hours(np.unique(np.floor(x / HOUR)))
            number = np.bincount((np.floor(x / HOUR) % 24).astype(np.int64), minlength=24)
            shares = tuple(round(float(number[h] / len(x)), 4) for h in hours)
        if days or hours:
            rules.hours[column] = Hours(days, hours, shares)


def _day(codec: NumberCodec) -> float:
    """A day in units of a column."""
    return 1.0 if pa.types.is_date(codec.type) else float(DAY)


def _weekdays(codec: NumberCodec, days: np.ndarray) -> tuple[int, ...]:
    """The days of the week, from Monday, among different days since 1970; none where all of them are there or they are few."""
    found = np.unique((days + _MONDAY) % 7)
    told = len(days) >= SUPPORT and (len(found) / 7) ** len(days) < _CHANCE
    return tuple(int(d) for d in found) if told and codec.step % (7 * _day(codec)) else ()


def _hours(hours: np.ndarray) -> tuple[int, ...]:
    """The hours of the day but those between which dates suddenly stop; none where they do not."""
    number = np.bincount((hours % 24).astype(np.int64), minlength=24)
    missing = np.zeros(24, dtype=bool)
    for start in np.flatnonzero((number == 0) & (np.roll(number, 1) > 0)):
        run = (start + np.arange(int(np.argmax(np.roll(number, -start) > 0)))) % 24
        if max(number[start - 1], number[(run[-1] + 1) % 24]) >= SUPPORT:
            missing[run] = True
    return tuple(int(h) for h in np.flatnonzero(~missing)) if len(hours) >= _DATES and missing.any() else ()


def at_hours(
    rule: Hours,
    codec: NumberCodec,
    x: np.ndarray,
    limits: tuple[np.ndarray, np.ndarray],
    group: Group | None,
    apart: float | None,
    rng: np.random.Generator,
) -> np.ndarray:
    """Dates on the days of the week and at the hours of the day on which they may be, where the limits leave one of them.

    Args:
        rule: these days and hours.
        codec: of the dates.
        x: dates, in units, float (n,), NaN for none.
        limits: the lowest and the highest that each may be, NaN for none.
        group: the siblings.
        apart: how far siblings in their order are apart at least, in units; None where they are in no order.
        rng: for times of the day.
    """
    low, high, size = np.fmax(limits[0], codec.low), np.fmin(limits[1], codec.high), _day(codec)
    chance, place, turn = rng.random((3, len(x)))
    x = codec.offset + codec.step * np.round((x - codec.offset) / codec.step)
    whole = np.floor(x / size)
    time = x - whole * size
    if rule.hours:
        chosen = np.array(rule.hours)[np.searchsorted(np.cumsum(rule.shares) / sum(rule.shares), chance, side="right").clip(0, len(rule.hours) - 1)]
        drawn = chosen * HOUR + codec.offset % codec.step + codec.step * np.floor(place * (HOUR / codec.step))
        time = np.where(np.isin(np.floor(time / HOUR), rule.hours), time, drawn)
    first, last = (_numbered(rule, np.floor(end / size)) for end in (low, high))
    first, last = first + (_dated(rule, first) * size + time < low), last - (_dated(rule, last) * size + time > high)
    if group is not None and apart is not None and apart >= size:
        # One a day: those that come to lie on one day move on together.
        number = np.clip(spaced(group, np.clip(_numbered(rule, whole), first, last), 1.0, float(last.max(initial=0))), first, last)
    else:
        number = np.clip(_numbered(rule, whole + _around(rule, whole, turn)), first, last)
    return np.where(first <= last, _dated(rule, number) * size + time, x)


def _around(rule: Hours, day: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """How many days to go to one that may be, any of those within three days, of which each day of the week is one; 0 where it may be.

    The nearest ones would have all of what falls on weekends.
    """
    days = np.array(rule.days or range(7))
    around = np.arange(-3, 4)
    table = np.stack([[0] * len(days) if w in days else around[np.isin((w + around) % 7, days)] for w in range(7)])
    weekday = np.nan_to_num((day + _MONDAY) % 7).astype(np.int64)
    return np.asarray(table[weekday, (turn * len(days)).astype(np.int64)])


def _numbered(rule: Hours, day: np.ndarray) -> np.ndarray:
    """The number of the nearest day that may be, counted over these days only; float (n,)."""
    days = np.array(rule.days or range(7))
    week, weekday = np.divmod(day + _MONDAY, 7)
    # Those of the weeks before and after, too: Sunday is nearer to the next Monday than to Friday.
    around = np.r_[days - 7, days, days + 7]
    nearest = np.abs(np.arange(7)[:, None] - around[None, :]).argmin(axis=1) - len(days)
    return np.asarray(week * len(days) + np.where(np.isnan(day), np.nan, nearest[np.nan_to_num(weekday).astype(np.int64)]))


def _dated(rule: Hours, number: np.ndarray) -> np.ndarray:
    """The day since 1970 of such a number; float (n,)."""
    days = np.array(rule.days or range(7))
    week, place = np.divmod(number, len(days))
    return np.asarray(week * 7 + np.where(np.isnan(number), np.nan, days[np.nan_to_num(place).astype(np.int64)]) - _MONDAY)
