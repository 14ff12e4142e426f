"""What a computed column says: a formula over others of its row, rounded to the column's own digits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from synth_pipeline.synthesis.relational.encode import DAY, HOUR, MINUTE, SECOND

Rounding = Literal["even", "up", "down"]
"""How halves are rounded: to the even digit or up; or whatever is beyond the last digit is cut off."""
UNITS = {"days": DAY, "hours": HOUR, "minutes": MINUTE, "seconds": SECOND}
"""In which differences of dates are counted; microseconds."""
_NOISE = 1e-6
"""What products of decimals are off as floats, in units of the last digit, at most."""


def rounded(value: np.ndarray, unit: float, how: Rounding) -> np.ndarray:
    """Plain values as whole units; float (n,)."""
    x = value / unit
    if how == "down":
        return np.asarray(np.floor(x + _NOISE))
    return np.asarray(np.sign(x) * np.floor(np.abs(x) + 0.5 + _NOISE) if how == "up" else np.round(x))


def _of_products(factors: tuple[str, ...], values: Mapping[str, np.ndarray]) -> np.ndarray:
    out = values[factors[0]]
    for name in factors[1:]:
        out = out * values[name]
    return np.asarray(out)


@dataclass(frozen=True)
class Product:
    """The product of columns; a hundredth of it (`scale`) where one of them is in percent."""

    factors: tuple[str, ...]
    scale: float = 1.0
    rounding: Rounding = "even"

    @property
    def operands(self) -> tuple[str, ...]:
        return self.factors

    def apply(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """The product of plain values; float (n,)."""
        return _of_products(self.factors, values) * self.scale

    def __str__(self) -> str:
        return " * ".join(self.factors) + (" / 100" if self.scale != 1 else "")


@dataclass(frozen=True)
class Quotient:
    """A column over another one, `scale` 100 times in percent; where that is 0, it is missing or what `otherwise` says."""

    dividend: str
    divisor: str
    scale: float = 1.0
    otherwise: float | None = None
    rounding: Rounding = "even"

    @property
    def operands(self) -> tuple[str, ...]:
        return self.dividend, self.divisor

    def apply(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """The quotient of plain values; float (n,)."""
        below = values[self.divisor]
        nothing = np.nan if self.otherwise is None else self.otherwise
        return np.where(below == 0, nothing, self.scale * values[self.dividend] / np.where(below == 0, 1, below))

    def __str__(self) -> str:
        return f"{'100 * ' if self.scale != 1 else ''}{self.dividend} / {self.divisor}"


@dataclass(frozen=True)
class Raised:
    """A column, or a product, times 1 plus a rate; `scale` is negative for a discount, and a hundredth of 1 for percents."""

    factors: tuple[str, ...]
    rate: str
    scale: float
    rounding: Rounding = "even"

    @property
    def operands(self) -> tuple[str, ...]:
        return *self.factors, self.rate

    def apply(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """What it is raised to; float (n,)."""
        return np.asarray(_of_products(self.factors, values) * (1 + self.scale * values[self.rate]))

    def __str__(self) -> str:
        return f"{' * '.join(self.factors)} * (1 {'-' if self.scale < 0 else '+'} {self.rate}{' / 100' if abs(self.scale) != 1 else ''})"


@dataclass(frozen=True)
class Added:
    """A column (`sign` -1: less than nothing) and a product of two others, which `scale` adds to it or takes from it."""

    column: str
    sign: int
    factors: tuple[str, ...]
    scale: float
    rounding: Rounding = "even"

    @property
    def operands(self) -> tuple[str, ...]:
        return self.column, *self.factors

    def apply(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """The sum of plain values; float (n,)."""
        return np.asarray(self.sign * values[self.column] + self.scale * _of_products(self.factors, values))

    def __str__(self) -> str:
        product = " * ".join(self.factors) + (" / 100" if abs(self.scale) != 1 else "")
        return f"{product} - {self.column}" if self.sign < 0 else f"{self.column} {'-' if self.scale < 0 else '+'} {product}"


@dataclass(frozen=True)
class Linear:
    """A sum of columns, each times a coefficient."""

    terms: tuple[tuple[str, float], ...]
    rounding: Rounding = "even"

    @property
    def operands(self) -> tuple[str, ...]:
        return tuple(c for c, _ in self.terms)

    def apply(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """The sum of plain values; float (n,)."""
        return np.asarray(sum(values[c] * k for c, k in self.terms))

    def __str__(self) -> str:
        parts = [f"{'-' if k < 0 else '+'} {'' if abs(k) == 1 else f'{abs(k):.12g} * '}{c}" for c, k in self.terms]
        return " ".join(parts).removeprefix("+ ")


@dataclass(frozen=True)
class Elapsed:
    """The time from one date of the row to another one, counted in `unit`, plus a constant."""

    start: str
    end: str
    unit: str
    plus: float = 0.0
    rounding: Rounding = "even"

    @property
    def operands(self) -> tuple[str, ...]:
        return self.start, self.end

    def apply(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """The time between dates, which are in microseconds; float (n,)."""
        return np.asarray((values[self.end] - values[self.start]) / UNITS[self.unit] + self.plus)

    def __str__(self) -> str:
        more = f" {'-' if self.plus < 0 else '+'} {abs(self.plus):g}" if self.plus else ""
        return f"{self.end} - {self.start}{more}, in {self.unit}"


@dataclass(frozen=True)
class After:
    """A date of the row plus a number of the row, or of its parent by `key`, counted in `unit`, and a constant in microseconds."""

    start: str
    number: str
    key: str
    unit: str
    plus: float = 0.0
    rounding: Rounding = "even"

    @property
    def operands(self) -> tuple[str, ...]:
        return (self.start,) if self.key else (self.start, self.number)

    @property
    def held(self) -> str:
        """The name of the number among the values that the formula is applied to."""
        return f"{self.key} {self.number}" if self.key else self.number

    def apply(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """The date in microseconds; float (n,)."""
        return np.asarray(values[self.start] + values[self.held] * UNITS[self.unit] + self.plus)

    def shown(self, parents: Mapping[str, str]) -> str:
        """For people; `parents` names the parent table of each foreign key id."""
        whose = f" of its {parents[self.key]}" if self.key else ""
        more = f" {'-' if self.plus < 0 else '+'} {abs(self.plus) / UNITS[self.unit]:g}" if self.plus else ""
        return f"{self.start} + {self.number}{whose}{more}, in {self.unit}"


Formula = Product | Quotient | Raised | Added | Linear | Elapsed | After
