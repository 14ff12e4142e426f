"""Tables that enumerate: the days of some years with what the calendar says of each, the minutes of a day, the numbers up to n.

Such a table describes and holds nobody's data, however long it is. It is told by one column that runs through all values without
a gap, and by all others being what follows from it: that a rate or a turnover of the day could be anything else is what tells
those apart. Nothing is read into names but for holidays, which no formula gives.
"""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synth_pipeline.keys import combined_codes
from synth_pipeline.synthesis.relational.encode import DAY
from synth_pipeline.synthesis.relational.rules.parts import PARTS

_MOST_ROWS, _FEWEST_ROWS = 100_000, 28
_STRANGERS = 3
"""Most rows that stand beside the others: an unknown day, the first and the last of all days."""
_REPEATED = 0.45
"""The share of the rows that must say again what another row with the same part of its date says."""
_WEEKS, _CHANGES = 8, 4
"""Fewest stretches of whole weeks that make a calendar of its own, and changes of a number that rises by one or by some other step."""
_MOST_HOLIDAYS = 40
_HOLIDAY = re.compile(r"holi_?day|(business|working|work|trading|bank)_?day|feiertag|feriado|ferie", re.IGNORECASE)
_CELLS: tuple[tuple[str, ...], ...] = (
    ("month",), ("weekday",), ("hour",), ("minute",), ("second",), ("day of the month",), ("month", "day of the month"),
    ("month", "days left in the month"), ("day of the month", "weekday"),
)  # fmt: skip
"""What other columns may follow from, where several rows have it in common."""


def enumerates(rows: pa.Table, *, numbers: bool) -> bool:
    """Whether a table enumerates days, months, times or, with `numbers`, numbers, and says no more of each than follows from it."""
    if not _FEWEST_ROWS <= rows.num_rows <= _MOST_ROWS:
        return False
    for name in rows.column_names:
        for t, timed in _scales(rows.column(name), numbers=numbers):
            regular = _without_strangers(t)
            if regular is None:
                continue
            order = regular[np.argsort(t[regular], kind="stable")]
            told = _Told(t[order].astype(np.int64), timed=timed)
            if all(told.says(c, rows.column(c).take(pa.array(order))) for c in rows.column_names if c != name):
                return True
    return False


def _scales(values: pa.ChunkedArray, *, numbers: bool) -> list[tuple[np.ndarray, bool]]:
    """What a column may run through: moments in microseconds, and whether they are such; NaN for none, float (n,)."""
    kind = values.type
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind) or pa.types.is_time(kind):
        return [(_moments(values), True)]
    if not pa.types.is_integer(kind):
        return []
    x = np.asarray(values.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=float)
    found = [(x, False)] if numbers else []
    highest = np.nanmax(x, initial=-1)
    if np.nanmin(x, initial=0) == 0 and highest + 1 in (24, 1440, 86_400):
        found.append((x * (DAY / (highest + 1)), True))
    return [(_of_digits(x), True), *found]


def _moments(values: pa.ChunkedArray) -> np.ndarray:
    kind = values.type
    if pa.types.is_date(kind):
        return np.asarray(values.cast(pa.timestamp("us")).cast(pa.int64()).cast(pa.float64()).to_numpy(zero_copy_only=False))
    finest = pa.time64("us") if pa.types.is_time(kind) else pa.timestamp("us", kind.tz)
    return np.asarray(values.cast(finest, safe=False).cast(pa.int64()).cast(pa.float64()).to_numpy(zero_copy_only=False))


def _of_digits(x: np.ndarray) -> np.ndarray:
    """Days from numbers like 20240131, NaN for others."""
    y, m, d = (np.nan_to_num(v).astype(np.int64) for v in (x // 10_000, x // 100 % 100, x % 100))
    good = (y >= 1800) & (y < 2300) & (m >= 1) & (m <= 12) & (d >= 1) & (d <= 31)
    months = np.where(good, (y - 1970) * 12 + m - 1, 0).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (np.where(good, d, 1) - 1)
    good &= days.astype("datetime64[M]") == months
    return np.where(good, days.astype(np.int64) * float(DAY), np.nan)


def _without_strangers(t: np.ndarray) -> np.ndarray | None:
    """The rows that run from one moment or number to the next without a gap, but for very few; None where others do not, int64 (k,)."""
    order = np.argsort(t, kind="stable")
    order = order[np.isfinite(t[order])]
    for _ in range(_STRANGERS + 1):
        if len(order) < max(_FEWEST_ROWS, len(t) - _STRANGERS):
            return None
        steps = np.diff(t[order])
        if steps.min() > 0 and (steps.max() == steps.min() or _monthly(t[order])):
            return np.asarray(order)
        # Whichever end lies further off is not one of them.
        order = order[1:] if steps[0] >= steps[-1] else order[:-1]
    return None


def _monthly(t: np.ndarray) -> bool:
    days = PARTS["day of the month"](t.astype(np.int64)), PARTS["days left in the month"](t.astype(np.int64))
    months = t.astype(np.int64).astype("datetime64[us]").astype("datetime64[M]").astype(np.int64)
    return bool(np.ptp(np.diff(months)) == 0 and any((d == d[0]).all() for d in days))


class _Told:
    """What follows from moments or numbers in ascending order, int64 (n,)."""

    def __init__(self, t: np.ndarray, *, timed: bool) -> None:
        self._t, self._timed = t, timed
        self._daily = timed and t[1] - t[0] == DAY
        self._cells = []
        for names in _CELLS if timed else ():
            code = np.unique(combined_codes([pa.chunked_array([pa.array(PARTS[n](t))]) for n in names]), return_inverse=True)[1]
            size = int(code.max()) + 1
            if len(t) - size >= _REPEATED * len(t):
                self._cells.append((code, size, np.count_nonzero(np.diff(code)) >= 2 * (size - 1)))

    def says(self, name: str, values: pa.ChunkedArray) -> bool:
        """Whether a column follows: it never changes, is a part, counts on, or is the same wherever some part is."""
        kind = values.type
        label = pa.types.is_boolean(kind) or pa.types.is_string(kind)
        if label and _HOLIDAY.search(name) and pc.count_distinct(values).as_py() <= _MOST_HOLIDAYS:
            return True
        if self._recurs(combined_codes([values]), label=label):
            return True
        if values.null_count:
            return False
        if pa.types.is_string(kind):
            return self._written(values.to_pylist())
        if pa.types.is_temporal(kind) and not pa.types.is_duration(kind):
            x = _moments(values)
            return self._equal(x) or self._counts((self._t - x) / DAY)
        if pa.types.is_integer(kind) or pa.types.is_decimal(kind) or pa.types.is_floating(kind):
            x = np.asarray(values.cast(pa.float64()).to_numpy(), dtype=float)
            return self._equal(x) or self._counts(x)
        return False

    def _recurs(self, code: np.ndarray, *, label: bool = False) -> bool:
        """Whether codes (n,) are the same wherever some part is, and parts come again; those of a label may come but once (a season)."""
        if (code == code[0]).all():
            return True
        for cell, size, again in self._cells:
            said = np.zeros(size, dtype=np.int64)
            said[cell] = code
            if (again or label) and np.array_equal(said[cell], code):
                return True
        return False

    def _regular(self, rows: np.ndarray) -> bool:
        """Whether something happens at places of the calendar (rows, ascending) and not anywhere."""
        mark = np.zeros(len(self._t), dtype=np.int64)
        mark[rows] = 1
        weeks = self._daily and len(rows) >= _WEEKS and bool((np.diff(rows) % 7 == 0).all())
        return weeks or len(rows) == len(mark) - 1 or self._recurs(np.r_[mark[1], mark[1:]])

    def _equal(self, x: np.ndarray) -> bool:
        """Whether numbers or moments (n,) are a part, or rise in proportion."""
        t = self._t.astype(float)
        slope = (x[-1] - x[0]) / (t[-1] - t[0])
        if slope and np.allclose(x, x[0] + slope * (t - t[0]), rtol=1e-9, atol=1e-6):
            return True
        if not self._timed:
            return False
        clock = PARTS["hour"](self._t) * 100 + PARTS["minute"](self._t)
        return any((x == p).all() for p in (clock, *(f(self._t) for f in PARTS.values())))

    def _counts(self, x: np.ndarray) -> bool:
        """Whether numbers (n,) count on, or from the start again, and do so at places of the calendar: weeks of a fiscal year."""
        if not self._timed or (x != np.floor(x)).any():
            return False
        rows = np.flatnonzero(np.diff(x)) + 1
        again = rows[x[rows] < x[rows - 1]]
        steps = np.unique((x[rows] - x[rows - 1])[x[rows] > x[rows - 1]])
        gaps = np.diff(again)
        evenly = self._daily and (np.diff(rows) % 7 == 0).all() and (len(gaps) < 2 or gaps.max() - gaps.min() <= 7)
        if len(again) and ((x[again] != x.min()).any() or x.min() not in (0, 1) or not (evenly or self._regular(again))):
            return False
        return bool(1 in steps and len(steps) <= (2 if len(rows) >= _CHANGES and not len(again) else 1)) and self._regular(rows)

    def _written(self, texts: list[str]) -> bool:
        """Whether texts are made of words and numbers that all follow."""
        split = [re.findall(r"\d+|[^\W\d_]+", text) for text in texts]
        if len({len(s) for s in split}) != 1 or len({re.sub(r"\d+|[^\W\d_]+", "", text) for text in texts}) != 1:
            return False
        return bool(split[0]) and all(self._token(parts) for parts in zip(*split, strict=True))

    def _token(self, parts: tuple[str, ...]) -> bool:
        if self._recurs(combined_codes([pa.chunked_array([pa.array(parts)])]), label=True):
            return True
        return all(p.isdecimal() and len(p) < 16 for p in parts) and self.says("", pa.chunked_array([pa.array([int(p) for p in parts])]))
