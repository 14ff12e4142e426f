"""Exact rules between values, found in the training data and kept on every synthetic row.

What holds without an exception and with enough support is taken out of the statistics: a column that is copied from the
parent, that another column determines, that is a sum or a product, a date that continues where the sibling before ended.
A base is softer: a column that is modelled as a distance from another one, so that an order between the two always holds.
Rules of keys (which parents belong together) are in `links`; CHECK constraints are in `repair`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synth_pipeline.catalog.schema import ForeignKey
from synth_pipeline.synthesis.relational.arithmetic import Linear, Product, find_arithmetic
from synth_pipeline.synthesis.relational.encode import NumberCodec
from synth_pipeline.synthesis.relational.frame import Frame

_SUPPORT = 20
"""Fewest rows on which a rule must hold."""
_MOSTLY = 0.6
"""Least share of rows that repeat the parent's value for it to be worth modelling."""


@dataclass(frozen=True)
class Copied:
    """The column repeats `column` of the row that the foreign key `key` points to."""

    key: str
    column: str


@dataclass(frozen=True)
class Total:
    """The column adds up the product of `factors` (none: counts) over the children by the foreign key `key`."""

    key: str
    factors: tuple[str, ...]


@dataclass(frozen=True)
class Base:
    """The column is modelled as its distance from something that is known before.

    Attributes:
        kind: `own` column, `parent` column by `key`, or `previous` sibling (whose first one has the base `first`).
        shift: a constant distance, in units of the column; None where the distance varies.
        least, most: bounds of the distance in units of the column.
    """

    kind: Literal["own", "parent", "previous"]
    column: str = ""
    key: str = ""
    shift: float | None = None
    least: float = 0.0
    most: float = 0.0
    first: Base | None = None


@dataclass
class Rules:
    """All rules of one table, by column."""

    copied: dict[str, Copied] = field(default_factory=dict)
    sticky: dict[str, Copied] = field(default_factory=dict)
    determined: dict[str, str] = field(default_factory=dict)
    arithmetic: dict[str, Product | Linear] = field(default_factory=dict)
    totals: dict[str, Total] = field(default_factory=dict)
    ranks: dict[str, float] = field(default_factory=dict)
    chains: dict[str, str] = field(default_factory=dict)
    bases: dict[str, Base] = field(default_factory=dict)

    def exact(self) -> set[str]:
        """Columns that are computed and never drawn."""
        fixed = {c for c, b in self.bases.items() if b.shift is not None}
        return {*self.copied, *self.determined, *self.arithmetic, *self.totals, *self.ranks, *fixed}

    def drawn_behind(self, columns: Collection[str]) -> list[str]:
        """The columns themselves and, for those that are computed, what of their row they are computed from."""
        found: dict[str, None] = {}
        waiting = list(columns)
        while waiting:
            column = waiting.pop(0)
            if column in found:
                continue
            found[column] = None
            if column in self.arithmetic:
                waiting += self.arithmetic[column].operands
            elif column in self.determined:
                waiting.append(self.determined[column])
            elif column in self.bases and self.bases[column].kind == "own":
                waiting.append(self.bases[column].column)
        return list(found)

    def describe(self, table: str, parents: Mapping[str, str]) -> Iterator[str]:
        """One readable line per rule; `parents` names the parent table of each foreign key id."""
        for c, copy in self.copied.items():
            yield f"{table}.{c} = {copy.column} of its {parents[copy.key]}"
        for c, copy in self.sticky.items():
            yield f"{table}.{c} mostly = {copy.column} of its {parents[copy.key]}"
        for c, source in self.determined.items():
            yield f"{table}.{source} determines {c}"
        for c, a in self.arithmetic.items():
            yield f"{table}.{c} = {a}"
        for c, t in self.totals.items():
            yield f"{table}.{c} = {'sum of ' + ' * '.join(t.factors) if t.factors else 'number'} over its {parents[t.key]} rows"
        for c, first in self.ranks.items():
            yield f"{table}.{c} counts from {first:g} within its parent"
        for c, source in self.chains.items():
            yield f"{table}.{c} = {source} of the next row of the same parent"
        for c, b in self.bases.items():
            other = {"own": b.column, "parent": f"{b.column} of its {parents.get(b.key, '')}", "previous": "that of the row before"}[b.kind]
            if b.shift is not None:
                yield f"{table}.{c} = {other} {b.shift:+g}" if b.shift else f"{table}.{c} = {other}"
            elif b.least >= 0:
                yield f"{table}.{c} ≥ {other}"
            elif b.most <= 0:
                yield f"{table}.{c} ≤ {other}"


def find_rules(
    frame: Frame,
    frames: Mapping[str, Frame],
    parents: list[ForeignKey],
    children: list[ForeignKey],
    candidates: Collection[str],
    copyable: Collection[str],
    places: Collection[str],
) -> Rules:
    """Finds the rules of one table.

    Args:
        frame: the table.
        frames: all tables, by id.
        parents: the foreign keys whose parents exist before the table's rows do.
        children: the foreign keys that own rows of other tables under this one.
        candidates: columns with values of their own, which rules may explain.
        places: columns that hold parts of a place (city, state, country, postal code).
        copyable: columns (personal ones and text among them) that may be copies of a parent's column.
    """
    rules = Rules()
    for column in copyable:
        _copies(frame, frames, parents, column, rules)
    numbers = {c: codec for c in candidates if isinstance(codec := frame.codecs[c], NumberCodec) and c not in rules.copied and c not in rules.sticky}
    for column in numbers:
        first = _rank(frame, column)
        if first is not None:
            rules.ranks[column] = first
    for column, codec in numbers.items():
        if column in rules.ranks:
            continue
        total = _total(frame, frames, children, column, codec)
        if total is not None:
            rules.totals[column] = total
    # What is computed from the others varies most, as a total does; it is then no operand of them.
    for column in sorted(numbers, key=lambda c: -float(np.nanstd(frame.x[c]) * numbers[c].unit) if np.isfinite(frame.x[c]).any() else 0.0):
        if column not in rules.ranks and column not in rules.totals:
            arithmetic = find_arithmetic(frame, column, numbers[column], {*rules.totals, *rules.arithmetic})
            if arithmetic is not None:
                rules.arithmetic[column] = arithmetic
    for column, codec in numbers.items():
        if column not in rules.exact():
            _shift(frame, column, codec, rules)
    taken = rules.exact()
    _determined(frame, [c for c in candidates if c not in taken and c not in rules.sticky], places, rules)
    # A column that determines another one must keep to the values that it has: no distances, no continuation.
    fixed = rules.exact() | set(rules.determined.values())
    _chains(frame, {c: k for c, k in numbers.items() if c not in fixed}, rules)
    _bases(frame, frames, parents, {c: k for c, k in numbers.items() if c not in fixed and c not in rules.chains}, rules)
    return rules


def _copies(frame: Frame, frames: Mapping[str, Frame], parents: list[ForeignKey], column: str, rules: Rules) -> None:
    """A parent's column that this one repeats, always or mostly, and far more often than chance would have it."""
    mine = frame.data.column(column)
    found: list[tuple[float, bool, Copied]] = []
    for fk in parents:
        index = frame.parents[fk.id]
        rows = np.flatnonzero(index >= 0)
        if len(rows) < _SUPPORT or len(rows) < 0.9 * frame.rows or pa.types.is_binary(mine.type):
            continue
        above = frames[fk.parent]
        for name in above.data.column_names:
            theirs = _as_type(above.data.column(name), mine.type)
            if theirs is None or name in fk.parent_columns or name in above.late:
                continue
            if _equal(mine, theirs, rows[:100], index[rows[:100]]).mean() < _MOSTLY:
                continue
            same = _equal(mine, theirs, rows, index[rows])
            share = float(same.mean())
            chance = _chance(theirs.take(pa.array(index[rows])))
            if share >= _MOSTLY and (share - chance) * len(rows) >= _SUPPORT and share > 2 * chance:
                found.append((share, name.lower() in column.lower(), Copied(fk.id, name)))
            elif share == 1.0 and (1 - chance) * len(rows) >= _SUPPORT:
                found.append((share, name.lower() in column.lower(), Copied(fk.id, name)))
    if not found:
        return
    share, _, copy = max(found, key=lambda f: f[:2])
    always = share == 1.0 and (len(np.flatnonzero(frame.parents[copy.key] >= 0)) == frame.rows or mine.null_count > 0)
    (rules.copied if always else rules.sticky)[column] = copy


def _as_type(values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray | None:
    """The values in another type of exact numbers, if none of them changes; None where they cannot be compared."""
    if values.type == kind:
        return values
    exact = all(pa.types.is_decimal(t) or pa.types.is_integer(t) for t in (values.type, kind))
    try:
        return values.cast(kind) if exact else None
    except pa.ArrowInvalid:
        return None


def _equal(mine: pa.ChunkedArray, theirs: pa.ChunkedArray, rows: np.ndarray, above: np.ndarray) -> np.ndarray:
    a, b = mine.take(pa.array(rows)), theirs.take(pa.array(above))
    same = pc.or_(pc.fill_null(pc.equal(a, b), False), pc.and_(a.is_null(), b.is_null()))
    return np.asarray(same.to_numpy(), dtype=bool)


def equal_rows(mine: pa.ChunkedArray, theirs: pa.ChunkedArray, index: np.ndarray) -> np.ndarray:
    """Whether each row's value is that of its parent; rows without a parent are compared with the first one. Bool (n,)."""
    theirs = theirs if theirs.type == mine.type else theirs.cast(mine.type)
    return _equal(mine, theirs, np.arange(len(index)), np.maximum(index, 0)) if len(theirs) else np.zeros(len(index), dtype=bool)


def _chance(values: pa.ChunkedArray) -> float:
    """How often two rows agree by chance."""
    counts = np.asarray(values.value_counts().field("counts").to_numpy(), dtype=float)
    return float(((counts / counts.sum()) ** 2).sum()) if len(counts) else 1.0


def _rank(frame: Frame, column: str) -> float | None:
    """The first number, where the column counts 1, 2, 3 … (or 0, 1, 2 …) within each group in some order."""
    group, x = frame.group, frame.x[column]
    if group is None or np.isnan(x).any() or len(x) < _SUPPORT or (group.size > 1).mean() < 0.3:
        return None
    first = float(x.min())
    ordered = np.lexsort((x, group.index))
    owners = group.index[ordered]
    if (owners < 0).any() or first not in (0.0, 1.0):
        return None
    starts = np.flatnonzero(np.r_[True, owners[1:] != owners[:-1]])
    place = np.arange(len(x)) - np.repeat(starts, np.diff(np.r_[starts, len(x)]))
    return first if np.array_equal(x[ordered], place + first) else None


def _total(frame: Frame, frames: Mapping[str, Frame], children: list[ForeignKey], column: str, codec: NumberCodec) -> Total | None:
    x = frame.x[column] * codec.unit
    tolerance = 0.51 * codec.unit if codec.digits is not None else 1e-6 * max(1.0, float(np.nanmax(np.abs(x), initial=0)))
    for fk in children:
        child = frames[fk.table]
        index = child.parents[fk.id]
        known = np.unique(index[index >= 0])
        known = known[np.isfinite(x[known]) & frame.counted[known]]
        if len(known) < _SUPPORT or len(np.unique(x[known])) < 5:
            continue
        numbers = [c for c, k in child.codecs.items() if isinstance(k, NumberCodec) and not pa.types.is_temporal(k.type)]
        options: list[tuple[str, ...]] = [(), *((c,) for c in numbers), *((a, b) for i, a in enumerate(numbers) for b in numbers[:i])]
        inside = index >= 0
        if (np.bincount(index[inside]) > 1).sum() < _SUPPORT:
            continue  # one child each: it is the child that copies
        for factors in options:
            value = np.ones(child.rows)
            for name in factors:
                other = child.codecs[name]
                value = value * np.nan_to_num(child.x[name]) * (other.unit if isinstance(other, NumberCodec) else 1.0)
            total = np.bincount(index[inside], value[inside], minlength=frame.rows)
            if np.abs(total[known] - x[known]).max() <= tolerance:
                return Total(fk.id, factors)
    return None


def _shift(frame: Frame, column: str, codec: NumberCodec, rules: Rules) -> None:
    """A constant distance from a column before it."""
    for other, kind in frame.codecs.items():
        if other == column:
            return
        if isinstance(kind, NumberCodec) and kind.comparable(codec) and other not in rules.totals:
            for _, base in _distance(frame.x[column], frame.x[other] * (kind.unit / codec.unit), Base("own", other), codec):
                if base.shift is not None:
                    rules.bases[column] = base
                    return


def _determined(frame: Frame, candidates: list[str], places: Collection[str], rules: Rules) -> None:
    """Functional dependencies between single columns, with more support than chance would give."""
    codes: dict[str, np.ndarray] = {}
    for c in candidates:
        x = frame.x[c]
        codes[c] = np.unique(np.where(np.isnan(x), np.inf, x), return_inverse=True)[1]
    sizes = {c: int(v.max()) + 1 if len(v) else 0 for c, v in codes.items()}
    for target in sorted(candidates, key=lambda c: sizes[c]):
        if sizes[target] < 2:
            continue
        share = np.bincount(codes[target]) / max(1, frame.rows)
        surprise = 1 - float((share**2).sum())
        best: tuple[int, str] | None = None
        for source in candidates:
            if source == target or source in rules.determined or target in rules.determined.values() or sizes[source] < sizes[target]:
                continue
            repeats = frame.rows - sizes[source]
            chance = repeats * surprise < 2 * _SUPPORT or sizes[source] > 0.8 * frame.rows
            # That a city lies in one country needs no proof by numbers.
            if chance and not (source in places and target in places):
                continue
            pairs = np.unique(codes[source].astype(np.int64) * sizes[target] + codes[target])
            if len(pairs) == sizes[source] and (best is None or sizes[source] < best[0]):
                best = (sizes[source], source)
        if best is not None:
            rules.determined[target] = best[1]


def _chains(frame: Frame, numbers: Mapping[str, NumberCodec], rules: Rules) -> None:
    """Intervals without gaps: the end of a row is the start of the next one."""
    group = frame.group
    if group is None:
        return
    for column, codec in numbers.items():
        for other, kind in numbers.items():
            if other == column or other in rules.chains or codec.unit != kind.unit or not codec.comparable(kind):
                continue
            after = group.following(frame.x[other])
            rows = np.isfinite(after)
            if rows.sum() >= _SUPPORT and np.array_equal(after[rows], frame.x[column][rows]) and len(np.unique(after[rows])) > 5:
                rules.chains[column] = other
                break


def _bases(frame: Frame, frames: Mapping[str, Frame], parents: list[ForeignKey], numbers: Mapping[str, NumberCodec], rules: Rules) -> None:
    """For each number the base that leaves least spread, where the distance has a sign or becomes much smaller."""
    later = {*numbers, *rules.chains, *rules.totals, *rules.bases, *rules.arithmetic}
    done = [c for c, k in frame.codecs.items() if isinstance(k, NumberCodec) and c not in later]
    for column, codec in numbers.items():
        x = frame.x[column]
        options: list[tuple[float, Base]] = []
        for other in done:
            kind = frame.codecs[other]
            if isinstance(kind, NumberCodec) and kind.comparable(codec):
                options += _distance(x, frame.x[other] * (kind.unit / codec.unit), Base("own", other), codec)
        for fk in parents:
            above, index = frames[fk.parent], frame.parents[fk.id]
            for other, kind in above.codecs.items():
                if isinstance(kind, NumberCodec) and kind.comparable(codec) and pa.types.is_temporal(codec.type):
                    value = np.where(index >= 0, above.x[other][np.maximum(index, 0)], np.nan) if above.rows else np.full(len(x), np.nan)
                    options += _distance(x, value * (kind.unit / codec.unit), Base("parent", other, fk.id), codec)
        best = min(options, key=lambda o: o[0], default=None)
        chosen = best[1] if best is not None else None
        if frame.group is not None and (frame.group.position > 0).sum() >= 2 * _SUPPORT and (chosen is None or chosen.kind == "parent"):
            steps = _distance(x, frame.group.previous(x), Base("previous", column), codec, monotone=True)
            if steps and _moves(x - frame.group.previous(x)) and (best is None or best[1].shift is None):
                first = next((b for _, b in sorted(options, key=lambda o: o[0]) if b.kind == "parent"), None)
                chosen = Base("previous", column, least=steps[0][1].least, most=steps[0][1].most, first=first)
        if chosen is not None:
            rules.bases[column] = chosen
        done.append(column)


def _distance(x: np.ndarray, base: np.ndarray, template: Base, codec: NumberCodec, *, monotone: bool = False) -> list[tuple[float, Base]]:
    """The base with its bounds and its score (spread of the distance over spread of the column), if it is worth it."""
    both = np.isfinite(x) & np.isfinite(base)
    if both.sum() < 2 * _SUPPORT or both.sum() < (0.3 if monotone else 0.8) * np.isfinite(x).sum():
        return []
    distance = x[both] - base[both]
    spread = float(np.diff(np.quantile(x[both], [0.1, 0.9]))[0])
    least, most = float(distance.min()), float(distance.max())
    if spread <= 0 or np.unique(x[both]).size < 8 or np.unique(base[both]).size < 4:
        return []
    ratio = float(np.diff(np.quantile(distance, [0.1, 0.9]))[0]) / spread
    signed = least >= 0 or most <= 0
    made = Base(template.kind, template.column, template.key, None, least, most)
    if least == most and both.sum() == np.isfinite(x).sum() and not (np.isnan(x) & np.isfinite(base)).any() and not monotone:
        return [(-1.0, Base(template.kind, template.column, template.key, least, least, most))]
    temporal = pa.types.is_temporal(codec.type)
    worth = signed and (ratio < (0.95 if temporal or monotone else 0.7)) or (not monotone and ratio < 0.25)
    return [(ratio, made)] if worth else []


def _moves(steps: np.ndarray) -> bool:
    """Whether siblings mostly differ: a column that seldom changes is better drawn knowing the sibling before."""
    known = steps[np.isfinite(steps)]
    return bool((known != 0).mean() > 0.5)
