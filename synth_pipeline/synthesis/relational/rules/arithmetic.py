"""Columns that are computed from others of their row: products, fractions, quotients, sums with fixed coefficients, time between dates.

Formulas of a kind are tried at once on a few rows; accepted is what agrees to the last digit on every row, and what would not, were any of
its operands those of other rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import pyarrow as pa

from synth_pipeline.synthesis.relational.distinct import several
from synth_pipeline.synthesis.relational.encode import NumberCodec
from synth_pipeline.synthesis.relational.frame import Frame
from synth_pipeline.synthesis.relational.rules.formulas import UNITS, Added, Elapsed, Formula, Linear, Product, Quotient, Raised, Rounding, rounded
from synth_pipeline.synthesis.relational.rules.model import Rules
from synth_pipeline.synthesis.relational.rules.support import SUPPORT, dealt, supported

ALIKE = 0.99
"""Least share of the spread of another column at which one varies like it."""
_MOST_OPERANDS, _MOST_FACTORS = 14, 40
_FEW, _SOME = 24, 400
_TOLD = 10
"""Fewest rows that tell of an operand that it is one."""
_CHOSEN, _DIGITS = 4, 12
"""Decimals of a constant that somebody chose (9.3 %), and of any other one."""
_HALF, _NOISE = 0.500001, 1e-6
"""What rounding takes or adds, in units of the last digit; floats are off a little."""
_SCALES = (1.0, 0.01)
_ROUNDINGS: tuple[Rounding, ...] = ("even", "up", "down")


def find_arithmetic(frame: Frame, columns: Sequence[str], rules: Rules) -> None:
    """Adds the formulas of numbers to the rules of a table; `columns` are what may be computed, in the order in which to look at them.

    Time between dates is looked for first, then products and fractions of all columns, then sums, then what is less common: where several
    formulas hold, the tax is a rate of the amount, and the total their sum.
    """
    plain = {c: frame.x[c] * k.unit for c, k in frame.codecs.items() if isinstance(k, NumberCodec)}
    known = {c: np.isfinite(v) for c, v in plain.items()}
    dates = {c for c in plain if pa.types.is_temporal(frame.codecs[c].type)}
    numbers = [c for c in columns if c not in dates and known[c].sum() >= SUPPORT and supported(frame, np.flatnonzero(known[c]))]
    various = [c for c in numbers if several(plain[c][known[c]], 5)]
    varied = {c for c in plain if known[c].any() and several(plain[c][known[c]], 2)}

    def look(find: Callable[[_Case], Formula | None], among: Sequence[str], operands: set[str]) -> None:
        for column in among:
            codec = frame.codecs[column]
            if column in rules.arithmetic or not isinstance(codec, NumberCodec):
                continue
            names = [c for c in plain if c in operands and c != column and not (known[column] & ~known[c]).any() and not rules.needs(c, column)]
            if names:
                found = find(_Case(column, codec, plain, known, names, rules))
                if found is not None:
                    rules.arithmetic[column] = found

    look(_elapsed, [c for c in numbers if several(plain[c][known[c]], 3)], varied & dates)
    # What waits for other rows is an operand of what has no others: a tax of the sum of an order's lines.
    late = rules.late()
    for operands in (varied - dates - late, varied - dates) if late else (varied - dates,):
        for kind in (_product, _sum, _other):
            look(kind, various, operands)


class _Case:
    """A number that may be computed, and what it may be computed from; plain values.

    Attributes:
        column, codec: the number.
        x: its values, float (n,).
        values, known: those of all columns, and where they have one.
        names: the columns that it may be computed from, which have a value wherever it has one.
        same: those that have one nowhere else.
        rules: what is known of the table.
        rows: where it has a value, int.
        few: some of them, those that tell most.
    """

    def __init__(self, column: str, codec: NumberCodec, values: dict[str, np.ndarray], known: dict[str, np.ndarray], names: list[str], rules: Rules):
        self.column, self.codec, self.x, self.values, self.known, self.names, self.rules = column, codec, values[column], values, known, names, rules
        # An operand that is there where the result is missing does not make it.
        self.same = [c for c in names if np.array_equal(known[c], known[column])]
        self.rows = np.flatnonzero(known[column])
        telling = self.rows[self.x[self.rows] != 0]
        telling = telling if len(telling) >= _FEW else self.rows
        self.few = telling[np.linspace(0, len(telling) - 1, _FEW).astype(int)]
        self.tolerance = codec.tolerance(self.x)

    def table(self, names: Sequence[str]) -> np.ndarray:
        """Values of columns on the few rows; float (columns, few)."""
        return np.stack([self.values[n][self.few] for n in names])

    def near(self, y: np.ndarray) -> np.ndarray:
        """The places of those formulas, by their values on the few rows, float (…, few), that may be the column's; int (m, …)."""
        return np.argwhere(self._fits(y - self.x[self.few]).all(axis=-1))

    def accepted(self, rule: Formula) -> Formula | None:
        """The formula with the column's way of rounding, if it holds on all rows and each operand has a say."""
        for rows in (self.rows[:: len(self.rows) // _SOME + 1], self.rows):
            values = {n: self.values[n][rows] for n in rule.operands}
            y = rule.apply(values)
            if not self._fits(y - self.x[rows]).all():
                return None
        told = [self._told(rule, values, o) for o in values]
        if min(told) < _TOLD or max(told) < SUPPORT:
            return None
        if self.codec.digits is None:
            return rule
        units = np.round(self.x[self.rows] / self.codec.unit)
        for how in _ROUNDINGS:
            if np.array_equal(rounded(y, self.codec.unit, how), units):
                return replace(rule, rounding=how)
        # Halves may have been rounded as floats are, up or down.
        return rule if np.abs(y - self.x[self.rows]).max() <= self.tolerance else None

    def first(self, rules: Iterator[Formula]) -> Formula | None:
        """The first of the formulas that is accepted."""
        return next((found for rule in rules if (found := self.accepted(rule)) is not None), None)

    def _fits(self, off: np.ndarray) -> np.ndarray:
        """Whether values that are so much off may be rounded, or cut, to those of the column."""
        return np.asarray((off >= -self.tolerance) & (off <= (self.tolerance if self.codec.digits is None else 2 * self.tolerance)))

    def _told(self, rule: Formula, values: dict[str, np.ndarray], operand: str) -> int:
        """On how many rows the formula would not hold with the operand of the row halfway down its order."""
        return int((~self._fits(rule.apply({**values, operand: dealt(values[operand])}) - self.x[self.rows])).sum())


def _elapsed(case: _Case) -> Formula | None:
    """The time between two dates in days, hours, minutes or seconds, perhaps with both ends counted; missing where one of them is."""
    names, unit = case.names, case.codec.unit
    pairs = [(a, b) for a in names for b in names if a != b and np.array_equal(case.known[a] & case.known[b], case.known[case.column])]
    if not pairs or case.codec.digits is None:
        return None
    table = dict(zip(names, case.table(names), strict=True))
    passed = np.stack([table[b] - table[a] for a, b in pairs])
    found: list[tuple[float, int, Elapsed]] = []
    for name, size in UNITS.items():
        rest = case.x[case.few] - passed / size
        for i in np.flatnonzero(np.ptp(rest, axis=1) <= 1.01 * unit):
            for plus in {float(np.round(np.median(rest[i]) / unit) * unit), float(np.ceil(rest[i].max() / unit - _NOISE) * unit)}:
                found.append((abs(plus), int(i), Elapsed(*pairs[i], name, plus + 0.0)))
    return case.first(rule for _, _, rule in sorted(found, key=lambda f: f[:2]))


def _product(case: _Case) -> Formula | None:
    """The product of two columns, one of them perhaps in percent, or a fraction of one that somebody chose."""
    names = case.same if len(case.same) <= _MOST_FACTORS else []
    if not names:
        return None
    table = case.table(names)
    products = table[:, None] * table[None]
    found = case.first(Product((names[i], names[j]), scale) for scale in _SCALES for i, j in case.near(products * scale) if j <= i)
    return found or _fraction(case, _CHOSEN, 1.0)


def _fraction(case: _Case, digits: int, below: float) -> Formula | None:
    """A column times a constant of at most so many decimals, the fewest that do, and less than `below`."""
    unit = case.codec.unit if case.codec.digits is not None else 2 * case.tolerance
    found: list[tuple[int, Linear]] = []
    for name in case.same:
        for low, high in ((-_HALF, _HALF), (-_NOISE, 1.0)):
            for rows in (case.few, case.rows):
                a, x = case.values[name][rows], case.x[rows]
                a, x = a[a != 0], x[a != 0]
                if not len(a):
                    break
                ends = np.sort([(x + low * unit) / a, (x + high * unit) / a], axis=0)
                least, most = float(ends[0].max()), float(ends[1].min())
                if least > most:
                    break
            else:
                decimals = next((d for d in range(digits + 1) if least <= round((least + most) / 2, d) <= most), None)
                if decimals is not None and abs(k := round((least + most) / 2, decimals)) < below and abs(k) not in (0, 1):
                    found.append((decimals, Linear(((name, k),))))
    return case.first(rule for _, rule in sorted(found, key=lambda f: f[0]))


def _sum(case: _Case) -> Formula | None:
    """Two or three columns, added or taken away."""
    # What one repeats is not that one and two others that make up for each other.
    names = [n for n in case.same if not np.array_equal(case.values[n][case.few], case.x[case.few])]
    if not 2 <= len(names) <= _MOST_OPERANDS:
        return None
    signed = [(n, k) for n in names for k in (1.0, -1.0)]
    table = np.concatenate([[v, -v] for v in case.table(names)])
    pairs = table[:, None] + table[None]

    def totals(places: Iterator[Sequence[int]]) -> Iterator[Formula]:
        for terms in (tuple(signed[p] for p in place) for place in places if sorted(set(place)) == list(place)):
            if len({n for n, _ in terms}) == len(terms) and _is_total(case, terms):
                yield Linear(terms)

    found = case.first(totals(iter(case.near(pairs).tolist())))
    if found is None and len(names) > 2:
        found = case.first(totals(iter(case.near(pairs[:, :, None] + table).tolist())))
    return found


def _is_total(case: _Case, terms: Sequence[tuple[str, float]]) -> bool:
    """Whether a sum, which can be solved for each of its parts, says what this column is.

    The total varies most, of those that could be computed instead: no other rule says what they are, and no other part needs them.
    """
    rules, exact = case.rules, case.rules.exact()
    free = [n for n, _ in terms if n not in exact and not any(rules.needs(m, n) for m, _ in terms if m != n)]
    return bool(case.x[case.rows].std() >= ALIKE * max((abs(k) * case.values[n][case.rows].std() for n, k in terms if n in free), default=0.0))


def _other(case: _Case) -> Formula | None:
    """What is less common: quotients, a product added to a column, a product with a mark-up, products of three, sums with coefficients."""
    return _quotient(case) or _compound(case) or _linear(case) or _fraction(case, _DIGITS, np.inf)


def _quotient(case: _Case) -> Formula | None:
    names = case.names if len(case.names) <= _MOST_FACTORS else []
    if len(names) < 2:
        return None
    table, missing = case.table(names), ~case.known[case.column]
    divisors = np.where(table == 0, np.nan, table)

    def likely() -> Iterator[Formula]:
        for scale in (1.0, 100.0):
            y = scale * table[:, None] / divisors[None]
            for i, j in case.near(np.where(np.isnan(y), case.x[case.few], y)):
                a, b = names[i], names[j]
                known, nothing = case.known[a] & case.known[b], case.values[b] == 0
                if a != b and np.array_equal(missing, ~known | nothing):
                    yield Quotient(a, b, scale)
                elif a != b and np.array_equal(missing, ~known) and nothing.any() and not case.x[known & nothing].any():
                    yield Quotient(a, b, scale, otherwise=0.0)

    return case.first(likely())


def _compound(case: _Case) -> Formula | None:
    names = case.same if len(case.same) <= _MOST_OPERANDS else []
    if len(names) < 2:
        return None
    table = case.table(names)
    pairs = [(i, j) for i, j in combinations(range(len(names)), 2)]
    products = np.stack([table[i] * table[j] for i, j in pairs])

    def named(pair: tuple[int, int]) -> tuple[str, str]:
        return names[pair[0]], names[pair[1]]

    def likely() -> Iterator[Formula]:
        for scale in (1.0, -1.0, 0.01, -0.01):
            yield from (Raised((names[i],), names[j], scale) for i, j in case.near(table[:, None] * (1 + scale * table)) if i != j)
        for sign, scale in ((1, 1.0), (1, -1.0), (-1, 1.0), (1, 0.01), (1, -0.01), (-1, 0.01)):
            added = case.near(sign * table[:, None] + scale * products)
            yield from (Added(names[i], sign, named(pairs[j]), scale) for i, j in added if i not in pairs[j])
        for scale in _SCALES:
            yield from (Product((*named(pairs[i]), names[j]), scale) for i, j in case.near(scale * products[:, None] * table) if j > pairs[i][1])
        for scale in (1.0, -1.0, 0.01, -0.01):
            raised = case.near(products[:, None] * (1 + scale * table))
            yield from (Raised(named(pairs[i]), names[j], scale) for i, j in raised if j not in pairs[i])

    return case.first(likely())


def _linear(case: _Case) -> Formula | None:
    """Any sum of columns times constants, with as few columns as will do; of those that say the same, what is not computed itself."""
    if not case.same or len(case.same) > _MOST_OPERANDS or len(case.rows) < 3 * len(case.same) + SUPPORT:
        return None
    some = case.rows[np.linspace(0, len(case.rows) - 1, min(len(case.rows), _SOME)).astype(int)]

    def solved(names: Sequence[str]) -> np.ndarray | None:
        if not names:
            return None
        held = np.stack([case.values[n][some] for n in names], axis=1)
        k = np.linalg.lstsq(held, case.x[some], rcond=None)[0]
        return k if np.abs(held @ k - case.x[some]).max() <= 2 * case.tolerance else None

    names = list(case.same)
    k = solved(names)
    if k is None:
        return None
    if not np.isin(np.round(k, 3), (-1, 0, 1)).all():
        weight = {n: abs(v) * case.values[n][some].std() for n, v in zip(names, k, strict=True)}
        for name in sorted(names, key=lambda n: (n not in case.rules.exact(), weight[n])):
            fewer = solved([n for n in names if n != name])
            if fewer is not None:
                names.remove(name)
                k = fewer
    terms = tuple((n, v) for n, v in zip(names, np.round(k, 3).tolist(), strict=True) if abs(v) >= 0.005)
    # Where all are fractions, it is these that make the column; one that it repeats is a distance of nothing.
    if not terms or len(terms) == 1 and abs(terms[0][1]) == 1 or any(abs(v) == 1 for _, v in terms) and not _is_total(case, terms):
        return None
    return case.accepted(Linear(terms))
