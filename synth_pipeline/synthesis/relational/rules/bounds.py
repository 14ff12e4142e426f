"""Dates that never pass another date of their row or of a parent, beyond the one that they are counted from; numbers within a parent's.

An order counts as a rule only where dates dealt to other rows would break it many times over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from synth_pipeline.catalog.schema import ForeignKey
from synth_pipeline.synthesis.relational.encode import NumberCodec
from synth_pipeline.synthesis.relational.frame import Frame
from synth_pipeline.synthesis.relational.rules.above import beyond, comparable_above
from synth_pipeline.synthesis.relational.rules.kinds import Base, Bound
from synth_pipeline.synthesis.relational.rules.model import Rules
from synth_pipeline.synthesis.relational.rules.support import SUPPORT, disorder, supported

_MOST_BOUNDS = 3
_MANY, _SOME = 300, 10
"""On so many rows two dates of a row are in order also where chance would break that only so many times."""
_ENDS = (frozenset(("min", "minimum")), frozenset(("max", "maximum", "limit", "capacity", "cap")))
"""Words in the name of what a number is not below, or not above."""


def find_bounds(frame: Frame, frames: Mapping[str, Frame], parents: Sequence[ForeignKey], columns: Sequence[str], rules: Rules) -> None:
    """Adds the bounds of the dates, and of the numbers, among `columns` to the rules of a table.

    Args:
        frame: the table.
        frames: all tables.
        parents: foreign keys whose parents exist before the table's rows do.
        columns: columns that are drawn.
        rules: the rules so far; gets those found.
    """
    for column in columns:
        codec, x = frame.codecs[column], frame.x[column]
        base = rules.bases.get(column)
        if not isinstance(codec, NumberCodec) or column in rules.chains or base is not None and (base.calendar is not None or base.ratio):
            continue
        if not pa.types.is_temporal(codec.type):
            if within := _numbers(frame, frames, parents, column, codec):
                rules.bounds[column] = tuple(within)
            continue
        found: list[tuple[float, Bound, np.ndarray]] = []
        near: list[tuple[bool, np.ndarray]] = []
        for other, key, following, y in _others(frame, frames, parents, columns, column, codec):
            start = base.first if base is not None and base.kind == "previous" and base.least >= 0 else base
            if not following and start is not None and _implied(rules, start, other, key) or not key and rules.needs(other, column):
                continue
            if following and base is not None and base.kind == "parent" and frame.group is not None and not (x < frame.group.previous(x)).any():
                continue  # what puts siblings in order is drawn before there is a row after
            both = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
            if len(both) < 2 * SUPPORT or not supported(frame, both):
                continue
            for upper in (True,) if following else (False, True):
                distance = (y - x if upper else x - y)[both]
                before = not key and not following and columns.index(other) < columns.index(column)
                enough = _SOME if before and len(both) >= _MANY else 2 * SUPPORT
                if distance.min() >= 0:
                    near.append((upper, y))
                if distance.min() >= 0 and disorder(x[both], y[both], upper=upper) >= enough:
                    found.append((float(np.median(distance)), Bound(other, key, upper, following, met=_met(distance)), both))
        bounds = _closest(found, len(x))
        bounds += _far(frame, frames, parents, x, codec, base, near)
        if bounds:
            rules.bounds[column] = tuple(bounds)


def _closest(found: Sequence[tuple[float, Bound, np.ndarray]], size: int) -> list[Bound]:
    """The bounds that are closest, with the rows that each is known of, int (k,); at most so many for any of the `size` rows."""
    kept, counts = list[Bound](), np.zeros(size, dtype=np.int64)
    for _, bound, rows in sorted(found, key=lambda f: f[0]):
        if counts[rows].max() < _MOST_BOUNDS:
            kept.append(bound)
            counts[rows] += 1
    return kept


def _far(
    frame: Frame,
    frames: Mapping[str, Frame],
    parents: Sequence[ForeignKey],
    x: np.ndarray,
    codec: NumberCodec,
    base: Base | None,
    near: Sequence[tuple[bool, np.ndarray]],
) -> list[Bound]:
    """The nearest bound at each side by a parent's parent, where those `near`, which keep to their own, do not imply it."""
    found = (
        (Bound(other, fk.id, then=further.id), y)
        for fk, further, index in beyond(frame, frames, parents)
        for other, kind, y in comparable_above(frames[further.parent], index, codec)
        if kind.text is None and (base is None or (base.column, base.key, base.then) != (other, fk.id, further.id))
    )

    def is_news(bound: Bound, rows: np.ndarray, y: np.ndarray) -> bool:
        return not any(side == bound.upper and (y >= z[rows] if side else y <= z[rows]).all() for side, z in near)

    return _nearest(frame, x, found, is_news)


def _numbers(frame: Frame, frames: Mapping[str, Frame], parents: Sequence[ForeignKey], column: str, codec: NumberCodec) -> list[Bound]:
    """The nearest bound at each side of a number: one of a parent that is of the same thing, or that is often reached and called an end."""
    found = (
        (Bound(other, fk.id), y)
        for fk in (parents if codec.digits is not None else ())
        for other, kind, y in comparable_above(frames[fk.parent], frame.parents[fk.id], codec)
        if kind.text is None
    )
    words = _words(column)
    return _nearest(frame, frame.x[column], found, lambda b, *_: bool(words & _words(b.column)) or bool(_words(b.column) & _ENDS[b.upper]) and b.met)


def _nearest(
    frame: Frame, x: np.ndarray, among: Iterable[tuple[Bound, np.ndarray]], likely: Callable[[Bound, np.ndarray, np.ndarray], bool]
) -> list[Bound]:
    """The bound at each side that values, float (n,), are nearest to, of those that they keep to and would not by chance.

    Args:
        frame: the table.
        x: the values, in units.
        among: bounds, each with what it holds for every row, in the same units, float (n,).
        likely: which of them may be one, by the rows on which both are known, int (k,), and what the bound holds there, float (k,).
    """
    best: dict[bool, tuple[float, Bound]] = {}
    for one, y in among:
        both = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
        if len(both) < 2 * SUPPORT or not supported(frame, both):
            continue
        for upper in (False, True):
            distance = (y - x if upper else x - y)[both]
            bound = replace(one, upper=upper, met=_met(distance))
            if distance.min() >= 0 and likely(bound, both, y[both]) and disorder(x[both], y[both], upper=upper) >= 2 * SUPPORT:
                found = float(np.median(distance)), bound
                best[upper] = min(best.get(upper, found), found, key=lambda b: b[0])
    return [bound for _, bound in best.values()]


def _met(distance: np.ndarray) -> bool:
    """Whether many are equal to what they never pass."""
    return bool((distance == 0).sum() >= SUPPORT)


def _words(name: str) -> set[str]:
    """The words of a column's name."""
    return {w.lower() for w in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name) if len(w) > 2}


def _implied(rules: Rules, base: Base, other: str, key: str) -> bool:
    """Whether the base is the other column, or keeps to it in turn."""
    if (base.column, base.key) == (other, key):
        return True
    if base.kind != "own":
        return False
    copy, further = rules.copied.get(base.column), rules.bases.get(base.column)
    if copy is not None and (copy.column, copy.key) == (other, key):
        return True
    further = further.first if further is not None and further.kind == "previous" else further
    return further is not None and _implied(rules, further, other, key)


def _others(
    frame: Frame, frames: Mapping[str, Frame], parents: Sequence[ForeignKey], columns: Sequence[str], column: str, codec: NumberCodec
) -> Iterator[tuple[str, str, bool, np.ndarray]]:
    """Dates that may bound one: (column, foreign key or "", whether of the sibling after, values in units of that one)."""
    for other, kind in frame.codecs.items():
        if other != column and other in columns and isinstance(kind, NumberCodec) and kind.comparable(codec):
            yield other, "", False, frame.x[other] * (kind.unit / codec.unit)
            if frame.group is not None:
                yield other, "", True, np.where(frame.gaps, np.nan, frame.group.following(frame.x[other]) * (kind.unit / codec.unit))
    for fk in parents:
        for other, _, y in comparable_above(frames[fk.parent], frame.parents[fk.id], codec):
            yield other, fk.id, False, y
