"""Numbers and dates as distances: from another column, from a parent's, from the sibling before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa

from synth_pipeline.catalog.schema import ForeignKey
from synth_pipeline.synthesis.relational.distinct import several
from synth_pipeline.synthesis.relational.encode import DAY, HOUR, MINUTE, SECOND, NumberCodec, held_above
from synth_pipeline.synthesis.relational.frame import Frame
from synth_pipeline.synthesis.relational.rules.above import beyond, comparable_above
from synth_pipeline.synthesis.relational.rules.calendar import find_calendar
from synth_pipeline.synthesis.relational.rules.kinds import Apart, Base
from synth_pipeline.synthesis.relational.rules.model import Rules
from synth_pipeline.synthesis.relational.rules.support import SUPPORT, supported

_PROPORTIONAL, _FINE = 0.5, 50
"""The spread of logarithms that a proportion may leave; how many values its numbers must have, so that it can show."""
_GRAIN, _DISCOUNTS, _ALMOST = 0.01, 12, 0.9
"""Discounts are whole percents; at most so many different ones explain so much of the rows."""
_NEARER = 0.2
"""A date of another parent than the owner tells better than the sibling before where it leaves so much less."""
_SPANS = ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute"), (SECOND, "second"), (1, "microsecond"))
_MOSTLY = 0.3
"""The share of the rows with a sibling before, from which on these tell a column better than the parent does."""


def find_shift(frame: Frame, column: str, codec: NumberCodec, rules: Rules) -> None:
    """A constant distance from a column before it."""
    for other, kind in frame.codecs.items():
        if other == column:
            return
        if isinstance(kind, NumberCodec) and kind.comparable(codec) and other not in rules.totals:
            for _, base in _distance(frame.x[column], frame.x[other] * (kind.unit / codec.unit), Base("own", other), codec):
                if base.shift is not None:
                    rules.bases[column] = base
                    return


def find_chains(frame: Frame, numbers: Mapping[str, NumberCodec], rules: Rules) -> None:
    """Intervals without gaps: the end of a row is the start of the next one, or always as far before it (the day before)."""
    group = frame.group
    if group is None:
        return
    for column, codec in numbers.items():
        found: list[tuple[float, str]] = []
        for other, kind in numbers.items():
            if other == column or other in rules.chains or codec.unit != kind.unit or not codec.comparable(kind):
                continue
            after = group.following(frame.x[other])
            rows = np.isfinite(after) & ~frame.gaps
            if rows.sum() < SUPPORT or not several(after[rows], 6):
                continue
            apart = after[rows] - frame.x[column][rows]
            if not (apart == 0).all() and not (apart[0] > 0 and (apart == apart[0]).all() and _period(frame, column, other, rows)):
                continue
            found.append((float(apart[0]), other))
        if not found:
            continue
        by, other = min(found, key=lambda f: f[0])
        rules.chains[column] = other
        if by:
            rules.apart[column] = Apart(by, _length(codec, by))
        length = frame.x[column] - frame.x[other]
        length = length[np.isfinite(length)]
        if length.min() >= 0:
            rules.bases[column] = Base("own", other, least=float(length.min()), most=float(length.max()))


def _period(frame: Frame, column: str, other: str, rows: np.ndarray) -> bool:
    """Whether rows end, in a column, no earlier than they begin, in the other one, and are of different lengths."""
    length = frame.x[column] - frame.x[other]
    length = length[np.isfinite(length)]
    return bool(length.min() >= 0) and several(length, 2) and supported(frame, np.flatnonzero(rows))


def _length(codec: NumberCodec, by: float) -> str:
    """A distance in units of a column for people."""
    if not pa.types.is_temporal(codec.type):
        return f"{by * codec.unit:g}"
    size, name = next((s, n) for s, n in _SPANS if (by * codec.unit) % s == 0)
    number = by * codec.unit / size
    return f"{number:g} {name}{'' if number == 1 else 's'}"


def find_bases(
    frame: Frame, frames: Mapping[str, Frame], parents: list[ForeignKey], owner: ForeignKey | None, numbers: Mapping[str, NumberCodec], rules: Rules
) -> None:
    """For each number the base that leaves least spread, where the distance has a sign or becomes much smaller."""
    later = {*numbers, *rules.chains, *rules.totals, *rules.bases, *rules.arithmetic, *rules.parts}
    done = [c for c, k in frame.codecs.items() if isinstance(k, NumberCodec) and c not in later]
    for column, codec in numbers.items():
        followed = find_calendar(frame, owner, frames[owner.parent], column) if owner is not None else None
        if followed is not None:
            rules.bases[column] = followed
            done.append(column)
            continue
        x, seen = frame.x[column], np.where(frame.lost, np.nan, frame.x[column])
        options: list[tuple[float, Base]] = []
        # What is computed from others is as good as they are, unless it waits for other rows, or needs this one itself.
        made = [c for c in rules.arithmetic if c not in rules.late()]
        for other in (c for c in (*done, *made) if not rules.needs(c, column)):
            kind = frame.codecs[other]
            if isinstance(kind, NumberCodec) and kind.comparable(codec):
                options += _distance(x, frame.x[other] * (kind.unit / codec.unit), Base("own", other), codec)
                options += _proportion(x, frame.x[other] * (kind.unit / codec.unit), Base("own", other, ratio=True), codec)
        for fk in parents:
            for other, _, value in comparable_above(frames[fk.parent], frame.parents[fk.id], codec):
                options += _proportion(seen, value, Base("parent", other, fk.id, ratio=True), codec)
                if pa.types.is_temporal(codec.type):
                    options += _distance(seen, value, Base("parent", other, fk.id), codec)
        best = min(options, key=lambda o: o[0], default=None)
        if pa.types.is_temporal(codec.type):
            best = _further(frame, frames, parents, seen, codec, best)
        chosen = best[1] if best is not None else None
        if frame.group is not None and (frame.group.position > 0).sum() >= 2 * SUPPORT and (chosen is None or chosen.kind == "parent"):
            # A history is one also where most parents have but one row of it.
            share = 0.0 if column in rules.chains.values() else _MOSTLY
            steps = _distance(x, frame.group.previous(x), Base("previous", column), codec, monotone=True, share=share)
            nearer = best is not None and best[1].key != (owner.id if owner is not None else "") and steps and best[0] <= _NEARER * steps[0][0]
            if steps and not nearer and _moves(x - frame.group.previous(x)) and (best is None or best[1].shift is None):
                # Only the owner is the same for all siblings.
                first = _first(frame, frames, [owner] if owner is not None else [], x, codec)
                chosen = Base("previous", column, least=steps[0][1].least, most=steps[0][1].most, first=first)
        if chosen is not None:
            rules.bases[column] = chosen
        done.append(column)


def _further(
    frame: Frame, frames: Mapping[str, Frame], parents: list[ForeignKey], x: np.ndarray, codec: NumberCodec, best: tuple[float, Base] | None
) -> tuple[float, Base] | None:
    """The date of a parent's parent (who enrols in a section does before its term starts), where it tells much more than the best so far."""
    for fk, further, index in beyond(frame, frames, parents):
        for other, kind, value in comparable_above(frames[further.parent], index, codec):
            for ratio, base in _distance(x, value, Base("parent", other, fk.id, then=further.id), codec) if kind.text is None else ():
                if base.shift is None and ratio <= _NEARER * (best[0] if best is not None else 1.0):
                    best = ratio, base
    return best


def _first(frame: Frame, frames: Mapping[str, Frame], parents: list[ForeignKey], x: np.ndarray, codec: NumberCodec) -> Base | None:
    """The parent's date from which the first of the siblings is best counted, preferably one that never comes after it."""
    assert frame.group is not None
    opening = np.flatnonzero(frame.group.position == 0)
    found: list[tuple[bool, float, Base]] = []
    for fk in parents if pa.types.is_temporal(codec.type) else []:
        for other, _, value in comparable_above(frames[fk.parent], frame.parents[fk.id][opening], codec):
            for ratio, base in _distance(x[opening], value, Base("parent", other, fk.id), codec):
                found.append((not (base.least >= 0 or base.most <= 0), ratio, base))
    return min(found, key=lambda f: f[:2])[2] if found else None


def _distance(
    x: np.ndarray, base: np.ndarray, template: Base, codec: NumberCodec, *, monotone: bool = False, share: float = 0.8
) -> list[tuple[float, Base]]:
    """The base with its bounds and its score, if it is worth it: spread of the distance over spread of the column.

    Rows without a base keep the whole spread of the column. Distances of few values (hours by priority) leave hardly any.
    """
    both = np.isfinite(x) & np.isfinite(base)
    if both.sum() < 2 * SUPPORT or both.sum() < share * np.isfinite(x).sum():
        return []
    distance = x[both] - base[both]
    spread = float(np.diff(np.quantile(x[both], [0.1, 0.9]))[0])
    least, most = float(distance.min()), float(distance.max())
    if spread <= 0 or not several(x[both], 8) or not several(base[both], 4):
        return []
    ratio = float(np.diff(np.quantile(distance, [0.1, 0.9]))[0]) / spread
    signed = least >= 0 or most <= 0
    made = replace(template, least=least, most=most)
    if least == most and both.sum() == np.isfinite(x).sum() and not (np.isnan(x) & np.isfinite(base)).any() and not monotone:
        return [(-1.0, replace(made, shift=least))]
    temporal = pa.types.is_temporal(codec.type)
    worth = signed and (ratio < (0.95 if temporal or monotone else 0.7)) or (not monotone and ratio < 0.25)
    if not worth:
        return []
    known = float(both.sum() / np.isfinite(x).sum())
    few = known == 1.0 and not monotone and several(x[both], _FINE) and not several(distance, _DISCOUNTS + 1)
    return [(0.0 if few else known * ratio + 1 - known, made)]


def find_discounts(frame: Frame, frames: Mapping[str, Frame], rules: Rules) -> None:
    """Numbers that mostly repeat the parent's, and are one of a few fractions of it where they do not: a price, or four fifths of it."""
    for column, copy in list(rules.sticky.items()):
        codec, above = frame.codecs.get(column), next((fk for fk in frame.table.foreign_keys if fk.id == copy.key), None)
        kind = frames[above.parent].codecs.get(copy.column) if above is not None else None
        if above is None or not isinstance(codec, NumberCodec) or not isinstance(kind, NumberCodec) or not kind.comparable(codec):
            continue
        index = frame.parents[copy.key]
        x, held = frame.x[column], held_above(frames[above.parent].x[copy.column], index)
        base = Base("parent", copy.column, copy.key, ratio=True, grain=_GRAIN)
        known = np.flatnonzero(np.isfinite(x) & np.isfinite(held))
        if pa.types.is_temporal(codec.type) or codec.never is not None or len(known) < np.isfinite(x).sum() or (x[known] <= 0).any():
            continue
        start = held[known] * (kind.unit / codec.unit)
        if not len(known) or (start <= 0).any() or (x[known] < _GRAIN * start).any():
            continue
        distance = base.distance(start, x[known])
        values, inverse, count = np.unique(distance, return_inverse=True, return_counts=True)
        several = np.array([supported(frame, known[inverse == v]) for v in range(len(values))])
        exact = np.abs(base.value(start, distance) - x[known]) <= (0.51 if codec.digits is not None else 1e-6 * start)
        if 1 < several.sum() <= _DISCOUNTS and count[several].sum() >= _ALMOST * len(known) and exact.mean() >= _ALMOST:
            rules.bases[column] = replace(base, least=float(values.min()), most=float(values.max()))
            del rules.sticky[column]


def _proportion(x: np.ndarray, base: np.ndarray, template: Base, codec: NumberCodec) -> list[tuple[float, Base]]:
    """As `_distance`, for a number that is so many times another one: its size goes with its duration, by the medium."""
    if pa.types.is_temporal(codec.type) or codec.never is not None or not (np.nan_to_num(x, nan=1.0) > 0).all():
        return []
    both = np.isfinite(x) & (base > 0)
    if both.sum() < 2 * SUPPORT or both.sum() < np.isfinite(x).sum() or not several(x[both], _FINE) or not several(base[both], _FINE):
        return []
    value, distance = np.log(x[both]), np.log(x[both]) - np.log(base[both])
    spread = float(np.diff(np.quantile(value, [0.1, 0.9]))[0])
    ratio = float(np.diff(np.quantile(distance, [0.1, 0.9]))[0]) / spread if spread > 0 else 1.0
    return [(ratio, replace(template, least=float(distance.min()), most=float(distance.max())))] if ratio < _PROPORTIONAL else []


def _moves(steps: np.ndarray) -> bool:
    """Whether siblings mostly differ: a column that seldom changes is better drawn knowing the sibling before."""
    known = steps[np.isfinite(steps)]
    return bool((known != 0).mean() > 0.5)
