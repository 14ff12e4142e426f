"""The kinds of rules as data: what each says of a column.

Most are exact. A base is softer: a column that is modelled as a distance from another one, so that an order between the
two always holds. Formulas are in `formulas`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class Copied:
    """The column repeats `column` of the row that the foreign key `key` points to, or of that one's parent by its key `then`."""

    key: str
    column: str
    then: str = ""


@dataclass(frozen=True)
class Told:
    """What `column` of the parent by the foreign key `key` is says what the column is."""

    key: str
    column: str


@dataclass(frozen=True)
class Together:
    """The first or last sibling's value is that of another history of the same parent: rows of `table`, by its foreign key `other`.

    Attributes:
        key: the foreign key to the parent.
        table, other, column: where the other history is.
    """

    key: str
    table: str
    other: str
    column: str


@dataclass(frozen=True)
class Total:
    """The column adds up the product of `factors` (none: counts) over the rows that refer to its own by the foreign key `key`.

    Or it holds the highest, lowest or mean of them (`extreme`; one factor), and nothing without any: the last order of a customer.

    Attributes:
        key: the foreign key.
        factors: columns of the other rows.
        extreme: which of them, instead of their sum.
        plus: columns of the row that are added to a sum, or taken from it (-1): a shipping fee, a discount.
        bare: whether a sum of nothing is empty instead of 0.
    """

    key: str
    factors: tuple[str, ...]
    extreme: Literal["highest", "lowest", "mean"] | None = None
    plus: tuple[tuple[str, int], ...] = ()
    bare: bool = False


@dataclass(frozen=True)
class Running:
    """The column is that of the sibling before plus (`sign` 1) or less (-1) the column `step`; the first one's begins at `start`, or at 0."""

    step: str
    sign: int
    start: Copied | None = None


@dataclass(frozen=True)
class Single:
    """Exactly one of the rows with the same parent by the foreign key `key` has the `value`."""

    value: float
    key: str


@dataclass(frozen=True)
class Rank:
    """The column counts from `first` among siblings, or among the rows with the same values in some columns.

    Attributes:
        first: the first number.
        within: these columns, of foreign keys; nothing: siblings, in their order.
        by: columns in whose order the rows are counted, the first level first; nothing: no order shows.
    """

    first: float
    within: tuple[str, ...] = ()
    by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Apart:
    """A period ends so far, in units of its column, before the next one begins: on the last day before; `shown` for people."""

    by: float
    shown: str


@dataclass(frozen=True)
class Calendar:
    """Dates of siblings lie whole months apart, on the same day of the month or on the last one of a shorter month.

    Attributes:
        key: the foreign key to the owner.
        day: the owner's column that holds the day, as a number or in a date; "": it is drawn once for all siblings.
    """

    key: str
    day: str


@dataclass(frozen=True)
class Run:
    """Siblings follow a calendar until a date of their owner, so that it says how many there are.

    Attributes:
        column: their date.
        day, start: the owner's columns that hold the day (or "") and the date from which months count.
        offset: months from there to the first sibling.
        every: months between siblings.
        end: the owner's date at which they end; "" or NULL: they go on.
        horizon: the last date of all, in units.
        before: whether the last of them lies before that date, and not on it.
        whole: whether those that go on have all of them, without an exception.
    """

    column: str
    day: str
    start: str
    offset: int
    every: int
    end: str
    horizon: float
    before: bool = False
    whole: bool = False


@dataclass(frozen=True)
class Pace:
    """Siblings come at a steady pace from a date of their owner on, or later, so that there is time for so many at most.

    Attributes:
        column: their date.
        start: the owner's date.
        step: the least distance between siblings, in units of their date.
        horizon: the last date of all, in units.
    """

    column: str
    start: str
    step: float
    horizon: float


@dataclass(frozen=True)
class Scale:
    """A number of the row, or its distance from a column `against` of the row or of its parent by `key`; in units of the column."""

    source: str
    against: str = ""
    key: str = ""


@dataclass(frozen=True)
class Steps:
    """The column follows from where its row lies on a scale.

    Attributes:
        scale: the scale.
        edges: where the column changes; an edge belongs to the values above it.
        values: one value per step, one more than edges, in units.
        absent: values where the scale's source is missing; of several one is drawn.
        shown, shown_absent, shown_edges: the same for people.
    """

    scale: Scale
    edges: tuple[float, ...]
    values: tuple[float, ...]
    absent: tuple[float, ...]
    shown: tuple[str, ...] = ()
    shown_absent: tuple[str, ...] = ()
    shown_edges: tuple[str, ...] = ()

    def apply(self, s: np.ndarray) -> np.ndarray:
        """The column where the scale (n,) is known, in units; NaN where it is not."""
        at = np.searchsorted(np.array(self.edges), np.nan_to_num(s), side="right")
        return np.where(np.isfinite(s), np.array(self.values)[at], np.nan)

    def __str__(self) -> str:
        number = f"{self.scale.source} - {self.scale.against}" if self.scale.against else self.scale.source
        known = [f"{self.shown[0]}" + (f" below {self.shown_edges[0]}" if self.edges else "")]
        known += [f"{v} from {e}" for v, e in zip(self.shown[1:], self.shown_edges, strict=True)]
        missing = f"; {' or '.join(self.shown_absent)} where {self.scale.source} is missing" if self.absent else ""
        return f"{', '.join(known)} of {number}{missing}" if self.edges else f"{known[0]} where {number} is known{missing}"


@dataclass(frozen=True)
class Part:
    """The column is a part of a date of its row, or follows from one.

    Attributes:
        source: the date's column.
        part: which one (see `parts.PARTS`).
        offset: what is added to it.
        told, values: its values, ascending, and what the column is at each, in units; nothing: it is the part itself.
    """

    source: str
    part: str
    offset: float = 0.0
    told: tuple[float, ...] = ()
    values: tuple[float, ...] = ()


@dataclass(frozen=True)
class Presence:
    """A column of the row, or of its parent by `key`, says whether the column is empty; perhaps not at all of its values.

    Attributes:
        source, key: that column; without a source it is the number of the parent's row in a reference table.
        empty, filled: its values, in units, where this one never has a value, and where it always has one.
        missing, others: whether this one is empty where that one is, and at all other values; None where it may be.
        shown: the values of `empty` for people, or of `filled` with "other than" where they are fewer.
    """

    source: str
    key: str = ""
    empty: tuple[float, ...] = ()
    filled: tuple[float, ...] = ()
    missing: bool | None = None
    others: bool | None = None
    shown: str = ""

    def decide(self, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the column must be empty and where it must not, by the values (n,) of the source; bool (n,) each."""
        null = np.isnan(s)
        empty, filled = np.isin(s, np.array(self.empty)), np.isin(s, np.array(self.filled))
        rest = ~null & ~empty & ~filled
        return (
            empty | (null & (self.missing is True)) | (rest & (self.others is True)),
            filled | (null & (self.missing is False)) | (rest & (self.others is False)),
        )


@dataclass(frozen=True)
class Goes:
    """Each value of the column goes with one row of a reference table, or with none: the kind of a notification says what it is about.

    Attributes:
        key: the foreign key to the table, which is drawn before.
        rows: for each code of the column the row, -1 for none.
    """

    key: str
    rows: tuple[int, ...]


@dataclass(frozen=True)
class Bound:
    """The column never lies above (`upper`) or below a column of its row, of its parent by `key`, or of the sibling after (`next`).

    Or of the parent's parent, by its key `then`. Many are equal to it where it is `met`.
    """

    column: str
    key: str = ""
    upper: bool = False
    next: bool = False
    then: str = ""
    met: bool = False


@dataclass(frozen=True)
class Hours:
    """Dates of the column are on some days of the week only (0 is Monday), or at some hours of the day; nothing: any.

    `shares` says how many of the dates are at each of these hours.
    """

    days: tuple[int, ...] = ()
    hours: tuple[int, ...] = ()
    shares: tuple[float, ...] = ()


@dataclass(frozen=True)
class Levels:
    """The column takes one of a few values that depend on another column of its row.

    Attributes:
        source: that column.
        sources: its values, ascending, in units.
        values: for each of them the values that the column may take, ascending, in units.
    """

    source: str
    sources: tuple[float, ...]
    values: tuple[tuple[float, ...], ...]

    @property
    def most(self) -> int:
        """The number of levels."""
        return max(len(v) for v in self.values)

    def table(self) -> np.ndarray:
        """The values by source and level, the highest one again where there are fewer; float (sources, levels)."""
        return np.array([[*v, *[v[-1]] * (self.most - len(v))] for v in self.values])

    def level(self, s: np.ndarray, x: np.ndarray) -> np.ndarray:
        """The level of each row, or the nearest one, by source and value (n,); NaN without a source; float (n,)."""
        known, at = self._at(s)
        return np.where(known, np.abs(self.table()[at] - np.nan_to_num(x)[:, None]).argmin(axis=1), np.nan)

    def value(self, s: np.ndarray, level: np.ndarray) -> np.ndarray:
        """The values of rows by source and level (n,); NaN where the source is unknown; float (n,)."""
        known, at = self._at(s)
        return np.where(known, self.table()[at, np.clip(np.nan_to_num(level), 0, self.most - 1).astype(np.int64)], np.nan)

    def _at(self, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        sources = np.array(self.sources)
        at = np.searchsorted(sources, s).clip(0, len(sources) - 1)
        return sources[at] == s, at


@dataclass(frozen=True)
class Base:
    """The column is modelled as its distance from something that is known before.

    Attributes:
        kind: `own` column, `parent` column by `key`, or `previous` sibling (whose first one has the base `first`).
        then: the key by which the column is that of the parent's parent.
        shift: a constant distance, in units of the column; None where the distance varies.
        least, most: bounds of the distance in units of the column, or in months where there is a calendar.
        calendar: distances are whole months.
        ratio: distances are of logarithms: the value is so many times the other one.
        grain: of what ratios are multiples; 0 where they may be any number.
    """

    kind: Literal["own", "parent", "previous"]
    column: str = ""
    key: str = ""
    shift: float | None = None
    least: float = 0.0
    most: float = 0.0
    first: Base | None = None
    calendar: Calendar | None = None
    ratio: bool = False
    grain: float = 0.0
    then: str = ""

    def distance(self, start: np.ndarray, x: np.ndarray) -> np.ndarray:
        """How far values lie from what they are counted from; float (n,)."""
        if not self.ratio:
            return np.asarray(x - start)
        return np.asarray(np.log(np.round(x / start / self.grain) * self.grain if self.grain else x / start))

    def value(self, start: np.ndarray, distance: np.ndarray) -> np.ndarray:
        """The values at a distance from what they are counted from; float (n,)."""
        return np.asarray(start * np.exp(distance) if self.ratio else start + distance)


@dataclass(frozen=True)
class Numbering:
    """The order in which the numbers of a key are given to the rows.

    Attributes:
        by: what the order follows, the first level first: ("column", its name) or ("key", the foreign key's id); nothing:
            no order shows.
        noise: how far keys stray from it, as a share of the rows (standard deviation); 0 where they never do.
        rising: columns that never fall along the whole key.
    """

    by: tuple[tuple[str, str], ...]
    noise: float = 0.0
    rising: tuple[str, ...] = ()


@dataclass(frozen=True)
class Walk:
    """A number that goes on from the sibling before; `ratio`: by a factor."""

    ratio: bool
