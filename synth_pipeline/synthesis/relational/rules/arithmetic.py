"""Columns that are computed from others of their row: products, and sums with fixed coefficients.

Found by trying pairs and by least squares on a few hundred rows; accepted when every row agrees to the last digit.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from synth_pipeline.synthesis.relational.distinct import several
from synth_pipeline.synthesis.relational.encode import NumberCodec
from synth_pipeline.synthesis.relational.frame import Frame
from synth_pipeline.synthesis.relational.rules.support import SUPPORT

_MOST_OPERANDS = 14
_FITTED_ROWS = 400


@dataclass(frozen=True)
class Product:
    """left * right, rounded to the column's own digits."""

    left: str
    right: str

    @property
    def operands(self) -> tuple[str, ...]:
        return self.left, self.right

    def apply(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """The product of plain values; float (n,)."""
        return np.asarray(values[self.left] * values[self.right])

    def __str__(self) -> str:
        return f"{self.left} * {self.right}"


@dataclass(frozen=True)
class Linear:
    """A sum of columns, each times a coefficient, rounded to the column's own digits."""

    terms: tuple[tuple[str, float], ...]

    @property
    def operands(self) -> tuple[str, ...]:
        return tuple(c for c, _ in self.terms)

    def apply(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """The sum of plain values; float (n,)."""
        return np.asarray(sum(values[c] * k for c, k in self.terms))

    def __str__(self) -> str:
        parts = [f"{'-' if k < 0 else '+'} {'' if abs(k) == 1 else f'{abs(k):g} * '}{c}" for c, k in self.terms]
        return " ".join(parts).removeprefix("+ ")


def find_arithmetic(frame: Frame, column: str, codec: NumberCodec, taken: Collection[str]) -> Product | Linear | None:
    """How a number of a table follows from others; `taken` are columns that cannot be operands. None where it does not."""
    if pa.types.is_temporal(codec.type):
        return None
    x = frame.x[column] * codec.unit
    full = np.flatnonzero(np.isfinite(x))
    if len(full) < SUPPORT or not several(x[full], 5):
        return None
    values = {}
    for name, other in frame.codecs.items():
        if name == column or name in taken or not isinstance(other, NumberCodec) or pa.types.is_temporal(other.type):
            continue
        plain = frame.x[name] * other.unit
        # An operand that is missing where the result is not, or there where it is missing, does not make it.
        if np.array_equal(np.isfinite(plain), np.isfinite(x)) and several(plain[full], 2):
            values[name] = plain
    if not values or len(values) > _MOST_OPERANDS:
        return None
    tolerance = 0.51 * codec.unit if codec.digits is not None else 1e-6
    return _product(values, x, full, tolerance) or _linear(values, x, full, tolerance)


def _product(values: Mapping[str, np.ndarray], x: np.ndarray, rows: np.ndarray, tolerance: float) -> Product | None:
    names = list(values)
    for i, a in enumerate(names):
        for b in names[: i + 1]:
            rule = Product(a, b)
            if _holds(rule, values, x, rows[:50], tolerance) and _holds(rule, values, x, rows, tolerance):
                return rule
    return None


def _linear(values: Mapping[str, np.ndarray], x: np.ndarray, rows: np.ndarray, tolerance: float) -> Linear | None:
    if len(rows) < 3 * len(values) + SUPPORT:
        return None
    some = rows[np.linspace(0, len(rows) - 1, min(len(rows), _FITTED_ROWS)).astype(int)]
    names = list(values)
    solution = np.linalg.lstsq(np.stack([values[n][some] for n in names], axis=1), x[some], rcond=None)[0]
    rounded = [round(float(k), 3) for k in solution]
    terms = tuple((n, k) for n, k in zip(names, rounded, strict=True) if abs(k) >= 0.005)
    rule = Linear(terms)
    if not terms or not _holds(rule, values, x, rows, tolerance):
        return None
    if len(terms) == 1 and abs(terms[0][1]) == 1:
        return None  # a repetition, which is a distance of nothing
    # A sum can be solved for each of its parts: it is the total that is computed, or what is a fraction of the others.
    scaled = all(abs(k) != 1 for _, k in terms)
    widest = x[rows].std() >= 0.99 * max(abs(k) * values[n][rows].std() for n, k in terms)
    return rule if scaled or widest else None


def _holds(rule: Product | Linear, values: Mapping[str, np.ndarray], x: np.ndarray, rows: np.ndarray, tolerance: float) -> bool:
    y = rule.apply({n: values[n][rows] for n in rule.operands})
    return bool(np.abs(y - x[rows]).max() <= tolerance)
