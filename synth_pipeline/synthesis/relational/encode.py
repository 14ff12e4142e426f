"""Columns as numbers: what an Arrow column is to the trees, and how a drawn number becomes a value again.

A `NumberCodec` keeps the unit, the lattice and the bounds of numbers, dates and times; a `CategoryCodec` keeps a
dictionary of values. Both speak float64 with NaN for NULL. Which column gets which codec is decided in `fit`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synth_pipeline.synthesis.relational.spelling import dated, numbered, parsed, spelled
from synth_pipeline.synthesis.relational.trees import MAX_BINS, Feature

_EXACT = 2.0**53
_SINGLE, _SLACK = 1.2e-7, 0.02
"""The relative precision of single floats, and how much of a unit it may be for them to be told from arbitrary numbers."""
_LATTICE_VALUES = 10
_ENDS = 6
"""How many times the last bin at each end is halved."""
DAY, HOUR, MINUTE, SECOND = 86_400_000_000, 3_600_000_000, 60_000_000, 1_000_000
"""In microseconds, the units of dates and times."""
_NEVER_ROWS = 10
_NEVER_YEARS, _NEVER_SPANS = 30, 2
"""How far a date that stands for none lies from all others: in years, and in their range."""


@dataclass
class NumberCodec:
    """Numbers, dates and times in the smallest unit that occurs.

    Attributes:
        type: the Arrow type.
        digits: decimal digits of the unit, for floats and decimals (None: a float that uses its full precision).
        step, offset: all values lie at offset + k·step, in units.
        low, high: the range of the training values, in units.
        edges: bin edges of the feature.
        parts: calendar parts that vary (`month`, `day`, `weekday`, `hour`).
        text: strptime format of dates that are kept as text, or `number` for numbers that are.
        form: how dates that are kept as whole numbers are written (strptime format, `epoch_s`, `epoch_ms` or `epoch_us`).
        held: the Arrow type of these.
        never: the date, in units, that stands for a missing one where NULL does not (9999-12-31 as the end of what goes on);
            it is NaN to all that learns and draws.
    """

    type: pa.DataType
    digits: int | None = 0
    step: float = 1.0
    offset: float = 0.0
    low: float = 0.0
    high: float = 0.0
    edges: np.ndarray = field(default_factory=lambda: np.empty(0))
    parts: tuple[str, ...] = ()
    text: str | None = None
    form: str | None = None
    held: pa.DataType | None = None
    never: float | None = None

    @classmethod
    def fit_text(cls, values: pa.ChunkedArray, text: str) -> NumberCodec | None:
        """The codec of dates or numbers in text; None where some value would not come back as it is written."""
        plain = parsed(values, text)
        codec = cls.fit(plain) if plain.null_count == values.null_count else None
        if codec is None or codec.digits is None:
            return None
        codec.text = text
        x = codec.encode(values)
        return codec if codec.exact(x, np.isnan(x)).equals(values.combine_chunks()) else None

    @classmethod
    def fit_whole(cls, values: pa.ChunkedArray, form: str) -> NumberCodec | None:
        """The codec of dates in whole numbers (20240131, seconds since 1970); None where some value would not come back as it is."""
        plain = dated(values, form)
        codec = cls.fit(plain) if plain.null_count == values.null_count else None
        if codec is None:
            return None
        codec.form, codec.held = form, values.type
        x = codec.encode(values)
        return codec if codec.exact(x, np.isnan(x)).equals(values.combine_chunks()) else None

    @classmethod
    def fit(cls, values: pa.ChunkedArray) -> NumberCodec | None:
        """Learns the unit, lattice and bins; None where the values cannot be held exactly in a float64."""
        kind = values.type
        digits: int | None = 0
        if pa.types.is_decimal(kind):
            digits = kind.scale
        elif pa.types.is_floating(kind):
            digits = _decimal_digits(np.asarray(values.drop_null().to_numpy(), dtype=float))
        codec = cls(kind, digits)
        x = codec.encode(values)
        x = x[np.isfinite(x)]
        if len(x) and np.abs(x).max() >= _EXACT:
            return None
        if pa.types.is_temporal(kind) and not values.null_count:
            codec.never = _never(x, kind)
            x = x[x != codec.never]
        if len(x):
            codec.low, codec.high = float(x.min()), float(x.max())
            if digits is not None:
                unique = np.unique(x)
                codec.offset = float(unique[0])
                if len(unique) >= _LATTICE_VALUES:
                    codec.step = float(np.gcd.reduce(np.diff(unique).astype(np.int64)))
                elif pa.types.is_temporal(kind):
                    # Too few to tell the distances, but whole seconds or days show in the values themselves.
                    codec.step = float(max(1, np.gcd.reduce(unique.astype(np.int64))))
                    codec.step = next((s for s in (DAY, HOUR, MINUTE, SECOND, 1_000) if codec.step % s == 0), 1.0)
            codec.edges = bin_edges(x)
            codec.parts = _calendar_parts(kind, x)
        return codec

    @property
    def unit(self) -> float:
        """The size of a unit: microseconds for dates and times, the last digit for numbers."""
        if pa.types.is_temporal(self.type):
            return float(DAY) if pa.types.is_date(self.type) else 1.0
        return 10.0 ** -(self.digits or 0)

    def comparable(self, other: NumberCodec) -> bool:
        """Whether differences between the two make sense: both dates, both times of day, or both numbers."""
        return _family(self.type) == _family(other.type)

    def tolerance(self, x: np.ndarray) -> float:
        """How far computed values may lie from `x`, in its own unit, to be the same to the last digit."""
        return 0.51 * self.unit if self.digits is not None else 1e-6 * max(1.0, float(np.nanmax(np.abs(x), initial=0)))

    def encode(self, values: pa.ChunkedArray | pa.Array) -> np.ndarray:
        """The values in units, float64 (n,), NaN for NULL."""
        kind = self.type
        if self.text is not None:
            values = parsed(values, self.text)
        elif self.form is not None:
            values = dated(values, self.form)
        if pa.types.is_date(kind):
            values = values.cast(pa.int32())
        elif pa.types.is_temporal(kind):
            values = values.cast(pa.int64())
        elif pa.types.is_decimal(kind):
            values = values.cast(pa.float64())
        x = to_numpy(values.cast(pa.float64(), safe=False))
        x = np.where(np.isfinite(x) & (x != self.never), x, np.nan)
        return np.round(x * 10.0**self.digits) if self.digits else x

    def decode(self, x: np.ndarray) -> pa.Array:
        """Values from units: moved to the lattice and into the range of the training values."""
        null = np.isnan(x)
        x = np.clip(np.where(null, self.offset, x), self.low, self.high)
        if self.digits is None:
            return pa.array(x, type=pa.float64(), mask=null)
        x = self.offset + self.step * np.round((x - self.offset) / self.step)
        x = np.clip(x, self.low, self.high)
        return self.exact(x, null)

    def beyond(self, x: np.ndarray) -> np.ndarray:
        """Which units are outside of the range of the training values, bool (n,)."""
        return (x > self.high) | (x < self.low)

    def exact(self, x: np.ndarray, null: np.ndarray) -> pa.Array:
        """Values from whole units, without moving them."""
        if self.never is not None:
            x, null = np.where(null, self.never, x), np.zeros(len(x), dtype=bool)
        if self.text is not None:
            return spelled(np.where(null, 0, x), null, self.text, self.digits or 0)
        if self.form is not None:
            return numbered(np.where(null, 0, x), null, self.form, self.unit).cast(self.held)
        kind = self.type
        if pa.types.is_floating(kind):
            return pa.array(x / 10.0 ** (self.digits or 0), type=pa.float64(), mask=null)
        if pa.types.is_decimal(kind):
            return _decimals(np.where(null, 0, x).astype(np.int64), null, kind)
        whole = pa.array(np.where(null, 0, x).astype(np.int64), type=pa.int64(), mask=null)
        if pa.types.is_date(kind):
            return whole.cast(pa.int32()).cast(kind)
        return whole.cast(kind)

    def features(self, name: str, x: np.ndarray) -> tuple[list[Feature], dict[str, np.ndarray]]:
        """The feature of the number itself and those of its calendar parts."""
        columns = {name: digitize(x, self.edges)}
        for part in self.parts:
            columns[f"{name}.{part}"] = _calendar_part(self.type, x, part)
        return [Feature(n) for n in columns], columns


@dataclass
class CategoryCodec:
    """Values out of a dictionary; also booleans, and text that repeats."""

    type: pa.DataType
    dictionary: pa.Array

    @classmethod
    def fit(cls, values: pa.ChunkedArray) -> CategoryCodec:
        unique = values.drop_null().unique()
        if isinstance(unique, pa.ChunkedArray):
            unique = unique.combine_chunks()
        order = pc.array_sort_indices(unique.cast(pa.int8()) if pa.types.is_boolean(unique.type) else unique)
        return cls(values.type, unique.take(order))

    def encode(self, values: pa.ChunkedArray | pa.Array) -> np.ndarray:
        return to_numpy(pc.index_in(values, value_set=self.dictionary).cast(pa.float64())).astype(float)

    def decode(self, x: np.ndarray) -> pa.Array:
        null = np.isnan(x)
        if not len(self.dictionary):
            return pa.nulls(len(x), self.type)
        return self.dictionary.take(pa.array(np.where(null, 0, x).astype(np.int64), mask=null))

    def features(self, name: str, x: np.ndarray) -> tuple[list[Feature], dict[str, np.ndarray]]:
        return [Feature(name, max(1, len(self.dictionary)))], {name: codes_of(x)}


Codec = NumberCodec | CategoryCodec


def shown(codec: Codec, x: np.ndarray) -> tuple[str, ...]:
    """Values in units as text for people."""
    values = codec.exact(x, np.isnan(x)) if isinstance(codec, NumberCodec) and codec.digits is not None else codec.decode(x)
    return tuple(str(v) for v in values.to_pylist())


def hashed_units(x: np.ndarray) -> np.ndarray:
    """A 64-bit hash per value in units (splitmix64, Steele et al. 2014), so that values can be recognised but not read."""
    z = x.astype(np.int64).view(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def to_numpy(values: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """A numeric Arrow column as a numpy array, NULL as NaN."""
    return np.asarray(values.to_numpy(zero_copy_only=False) if isinstance(values, pa.Array) else values.to_numpy())


def bin_edges(x: np.ndarray) -> np.ndarray:
    """Cut points of the finite values: between all of them where they are few, else at 62 quantiles, and closer at both ends."""
    x = np.sort(x[np.isfinite(x)])
    if not len(x):
        return np.empty(0)
    unique = x[np.r_[True, x[1:] != x[:-1]]]
    if len(unique) > MAX_BINS - 2:
        # Who has most differs most: the last of the bins is halved, and so is the last of these.
        end = 0.5 ** np.arange(1, _ENDS + 1) / (MAX_BINS - 2)
        unique = np.unique(x[((len(x) - 1) * np.r_[end, np.linspace(0, 1, MAX_BINS - 1), 1 - end]).astype(np.int64)])
    return np.asarray((unique[1:] + unique[:-1]) / 2)


def digitize(x: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Bins from 1 on as uint8; 0 for NaN."""
    return np.where(np.isnan(x), 0, 1 + np.searchsorted(edges, x, side="right")).astype(np.uint8)


def codes_of(x: np.ndarray) -> np.ndarray:
    """Codes, NaN for NULL, as a feature has them: int32 (n,), -1 for a missing one."""
    return np.where(np.isnan(x), -1, x).astype(np.int32)


def held_above(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """What the parent of each row (`index`, -1 for none) holds, NaN for none; float (n,)."""
    return np.where(index >= 0, values[np.maximum(index, 0)], np.nan) if len(values) else np.full(len(index), np.nan)


def follow(index: np.ndarray, then: np.ndarray) -> np.ndarray:
    """Where rows lead by one key and then another, -1 for nowhere; int64 (n,)."""
    return np.where(index >= 0, then[np.maximum(index, 0)], -1) if len(then) else np.full(len(index), -1)


def gather(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """`values[index]` with the missing mark (bin 0, code -1) where the index is negative."""
    if not len(values):
        return np.full(len(index), 0 if values.dtype == np.uint8 else -1, dtype=values.dtype)
    out = values[np.maximum(index, 0)]
    out[index < 0] = 0 if values.dtype == np.uint8 else -1
    return np.asarray(out)


def outputs_of(x: np.ndarray, codes: int, rng: np.random.Generator, most: int = 6) -> np.ndarray:
    """What a tree should explain about a column: float (n, d) with variances that add up to the importance.

    Args:
        x: the values, NaN for NULL.
        codes: number of categories, 0 for a number.
        rng: for the random projection of many categories.
        most: most outputs.

    Returns:
        For a category indicators of the frequent values and projections of the others (so that variance reduction is the
        Gini gain); for a number its rank, its distance from the middle, indicators of NULL and of frequent values.
    """
    n = len(x)
    null = np.isnan(x)
    parts: list[np.ndarray] = []
    if codes:
        code = np.where(null, codes, x).astype(np.int64)
        count = np.bincount(code, minlength=codes + 1)
        frequent = np.argsort(-count, kind="stable")[:most]
        frequent = frequent[count[frequent] > 0]
        parts = [(code == c).astype(float) for c in frequent]
        if (count > 0).sum() > most:
            projection = rng.normal(size=(codes + 1, 2))
            projection[frequent] = 0
            parts += [projection[code, 0], projection[code, 1]]
        return np.stack(parts, axis=1)
    known = x[~null]
    if len(known):
        unique, inverse, count = np.unique(known, return_inverse=True, return_counts=True)
        middle = (np.cumsum(count) - count / 2) / len(known)
        rank = np.zeros(n)
        rank[~null] = (middle[inverse] - 0.5) * 3.46
        parts = [rank, np.where(null, 0, np.abs(rank) - 0.87)]
        for i in np.argsort(-count, kind="stable")[: most - 3]:
            if count[i] > 0.05 * n and len(unique) > 2:
                parts.append((x == unique[i]).astype(float) * 2)
    if null.any():
        parts.append(null * 2.0)
    return np.stack(parts, axis=1) if parts else np.zeros((n, 1))


def _family(kind: pa.DataType) -> str:
    if pa.types.is_time(kind):
        return "time"
    return "date" if pa.types.is_temporal(kind) else "number"


def _decimal_digits(x: np.ndarray) -> int | None:
    """The fewest decimal digits (up to 6) that hold all values; None where they need more.

    Numbers that once were of single precision (15.1999998) have the digits that they were written with.
    """
    x = x[np.isfinite(x)]
    for precision in (1e-12, _SINGLE):
        for digits in range(7):
            scaled = x * 10.0**digits
            if len(x) and (np.abs(scaled).max() >= _EXACT or precision == _SINGLE and precision * np.abs(scaled).max() > _SLACK):
                break
            if len(x) == 0 or np.allclose(scaled, np.round(scaled), rtol=precision, atol=1e-6 if digits else 0):
                return digits
    return None


def _decimals(whole: np.ndarray, null: np.ndarray, kind: pa.Decimal128Type) -> pa.Array:
    """Decimals from unscaled integers, by their memory layout: sign-extended little-endian words."""
    words = kind.byte_width // 8
    buffer = np.empty((len(whole), words), dtype=np.int64)
    buffer[:, 0] = whole
    buffer[:, 1:] = (whole >> 63)[:, None]
    valid = pa.array(~null).buffers()[1] if null.any() else None
    return pa.Array.from_buffers(kind, len(whole), [valid, pa.py_buffer(buffer.tobytes())])


def _never(x: np.ndarray, kind: pa.DataType) -> float | None:
    """The date that stands for a missing one: far off from all others, which lie together, and frequent; None for no such date."""
    if pa.types.is_time(kind) or not len(x):
        return None
    year = 365.25 * (1 if pa.types.is_date(kind) else DAY)
    for end in (float(x.max()), float(x.min())):
        others = x[x != end]
        if len(x) - len(others) >= _NEVER_ROWS and len(others) >= _NEVER_ROWS:
            away = np.abs(others - end).min()
            if away > _NEVER_YEARS * year and away > _NEVER_SPANS * np.ptp(others):
                return end
    return None


def _calendar_parts(kind: pa.DataType, x: np.ndarray) -> tuple[str, ...]:
    if not (pa.types.is_date(kind) or pa.types.is_timestamp(kind)) or len(x) < 50:
        return ()
    span = (x.max() - x.min()) / (1 if pa.types.is_date(kind) else DAY)
    wanted = [("month", 60), ("day", 20), ("weekday", 6)] + ([] if pa.types.is_date(kind) else [("hour", 0.5)])
    return tuple(p for p, least in wanted if span > least and len(np.unique(_calendar_part(kind, x, p))) > 1)


def _calendar_part(kind: pa.DataType, x: np.ndarray, part: str) -> np.ndarray:
    null = np.isnan(x)
    units = np.where(null, 0, x)
    days = units if pa.types.is_date(kind) else np.floor(units / DAY)
    if part == "weekday":
        value = (days.astype(np.int64) + 3) % 7
    elif part == "hour":
        value = ((units - days * DAY) // HOUR).astype(np.int64)
    else:
        dates = days.astype("datetime64[D]")
        months = dates.astype("datetime64[M]")
        value = (dates - months).astype(np.int64) if part == "day" else months.astype(np.int64) % 12
    return np.where(null, 0, 1 + value).astype(np.uint8)
