"""What one column says of another: its value, its step, or whether it is there at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from synth_pipeline.catalog.schema import ForeignKey
from synth_pipeline.synthesis.relational.distinct import several
from synth_pipeline.synthesis.relational.encode import CategoryCodec, NumberCodec, held_above, shown
from synth_pipeline.synthesis.relational.frame import Frame
from synth_pipeline.synthesis.relational.rules.kinds import Scale, Steps, Told
from synth_pipeline.synthesis.relational.rules.model import Rules
from synth_pipeline.synthesis.relational.rules.support import SUPPORT, supported

_MOST_STEPS = 8
_MOST_VALUES = 12
_FEW_VALUES = 40
_SCALE_VALUES = 20
"""Fewest values of a scale: what has fewer is a code."""
_SMALLEST = 10
"""Fewest rows of a step, and of the rows with or without a value."""
_SELDOM = 0.2
"""The share of the rows that may lack the smaller part of a place."""
_REPEATED = 5
"""How often each value of a number must occur on average for it to be a code that stands for something."""
_NESTED, _NESTED_ROWS = 0.15, 100
"""The share of siblings that must be in one larger place by more than chance, and fewest siblings to tell."""
_TIMES = (86_400_000_000, 3_600_000_000, 60_000_000, 1_000_000, 1)


def find_determined(frame: Frame, candidates: Sequence[str], places: Mapping[str, int], rules: Rules) -> None:
    """Functional dependencies between single columns, with more support than chance would give.

    `places` says of columns that are parts of a place how large a part: that a city lies in one country needs no proof.
    """
    codes = {c: frame.distinct(c)[1] for c in candidates}
    sizes = {c: int(v.max()) + 1 if len(v) else 0 for c, v in codes.items()}
    # Of columns that say the same the one in words stands for the others.
    rank = {c: (isinstance(frame.codecs[c], NumberCodec), i) for i, c in enumerate(candidates)}
    for target in sorted(candidates, key=lambda c: (sizes[c], rank[c])):
        if sizes[target] < 2:
            continue
        share = np.bincount(codes[target]) / max(1, frame.rows)
        surprise = 1 - float((share**2).sum())
        best: tuple[int, tuple[bool, int], str] | None = None
        for source in candidates:
            if source == target or source in rules.determined or sizes[source] < sizes[target]:
                continue
            if sizes[source] == sizes[target] and rank[source] > rank[target]:
                continue
            geography = source in places and target in places and places[source] <= places[target]
            # Categories are told step by step: the subcategory says the category, which says the rate of the tax.
            stepwise = geography or isinstance(frame.codecs[source], CategoryCodec) and isinstance(frame.codecs[target], CategoryCodec)
            if target in rules.determined.values() and not (stepwise and sizes[source] > sizes[target]):
                continue
            if not geography and not _proves(frame, source, codes[source], sizes[source], surprise):
                continue
            # A place without its smaller part (no postal code) is a place all the same; it says nothing of the others.
            missing = np.isnan(frame.x[source])
            known = ~missing if geography and missing.mean() <= _SELDOM else np.ones(frame.rows, dtype=bool)
            pairs = np.unique(codes[source][known].astype(np.int64) * sizes[target] + codes[target][known])
            if len(pairs) == len(np.unique(codes[source][known])) and (best is None or (sizes[source], rank[source]) < best[:2]):
                best = (sizes[source], rank[source], source)
        if best is not None:
            rules.determined[target] = best[2]


def find_told(frame: Frame, frames: Mapping[str, Frame], parents: Sequence[ForeignKey], candidates: Sequence[str], rules: Rules) -> None:
    """What a category of a parent says of its rows: the country of the customer, the rate of the tax."""
    for column in candidates:
        values, mine = frame.distinct(column)
        if len(values) < 2:
            continue
        best: tuple[int, Told] | None = None
        for fk in (k for k in parents if not frames[k.parent].reference):
            above, index = frames[fk.parent], frame.parents[fk.id]
            rows = np.flatnonzero(index >= 0)
            if not ((index >= 0) | frame.lost).all() or not supported(frame, rows):
                continue
            for name in (c for c, k in above.codecs.items() if isinstance(k, CategoryCodec) and c not in above.late):
                known, codes = above.distinct(name)
                if len(known) < 2 or np.isnan(known).any() or best is not None and len(known) >= best[0]:
                    continue
                code, image = codes[index[rows]].astype(np.int64), np.zeros(len(known), dtype=np.int32)
                image[code] = mine[rows]
                if np.array_equal(image[code], mine[rows]) and _told_often(frame.entities[rows], code, mine[rows]):
                    best = len(known), Told(fk.id, name)
        if best is not None:
            rules.told[column] = best[1]


def _told_often(entities: np.ndarray, code: np.ndarray, told: np.ndarray) -> bool:
    """Whether so many root entities have the same category that their having the same value each time is no accident; each (n,)."""
    pairs, first = np.unique(code * (int(entities.max(initial=0)) + 1) + entities, return_index=True)
    share = np.bincount(told[first]) / len(pairs)
    return bool((len(pairs) - len(np.unique(code))) * (1 - (share**2).sum()) >= 2 * SUPPORT)


def find_nested(frame: Frame, rules: Rules) -> None:
    """Columns that siblings do not share although they share what these determine: branches in different towns of one region.

    The larger one is then drawn first, where siblings repeat it, and the smaller one within it.
    """
    group = frame.group
    if group is None:
        return
    later = np.flatnonzero((group.position > 0) & frame.train)
    if len(later) < _NESTED_ROWS or not supported(frame, later):
        return
    for source in dict.fromkeys(rules.determined.values()):
        x = frame.x[source]
        if source in rules.exact() or source in rules.sticky or not isinstance(frame.codecs[source], CategoryCodec) or np.isnan(x).any():
            continue
        gains = []
        for target in _determined_by(source, rules):
            y = frame.x[target]
            if not isinstance(frame.codecs[target], CategoryCodec) or np.isnan(y).any():
                continue
            same, smaller = y[later] == group.previous(y)[later], x[later] == group.previous(x)[later]
            chance = float(((np.bincount(y.astype(np.int64)) / len(y)) ** 2).sum())
            # How often siblings in different places are in the same larger one, beyond chance.
            gains.append((float((same & ~smaller).mean() - chance * (~smaller).mean()), target))
        gain, target = max(gains, default=(0.0, ""))
        if gain > _NESTED:
            rules.nested[source] = target
            del rules.determined[target]


def _determined_by(source: str, rules: Rules) -> list[str]:
    """The columns that a column determines, at once or through others."""
    found = [source]
    for name in found:
        found += [t for t, s in rules.determined.items() if s == name and t not in found]
    return found[1:]


def _proves(frame: Frame, source: str, codes: np.ndarray, size: int, surprise: float) -> bool:
    """Whether a column repeats often enough, in enough root entities, that its saying the same each time is no accident."""
    codec = frame.codecs[source]
    if isinstance(codec, NumberCodec) and (pa.types.is_temporal(codec.type) or size > _FEW_VALUES and frame.rows < _REPEATED * size):
        return False
    pairs = np.unique(codes.astype(np.int64) * (int(frame.entities.max(initial=0)) + 1) + frame.entities)
    return bool((len(pairs) - size) * surprise >= SUPPORT and size <= 0.8 * frame.rows)


def find_steps(frame: Frame, frames: Mapping[str, Frame], parents: Sequence[ForeignKey], columns: Sequence[str], rules: Rules) -> None:
    """Columns of few values that follow from where a number lies: late is what was paid after it was due.

    The number may be missing; what the column then is says no more than that.
    """
    for column in columns:
        values = frame.distinct(column)[0]
        if not 2 <= len(values) <= _MOST_VALUES or np.isnan(values).any() or column in rules.exact() or column in rules.sticky:
            continue
        best: tuple[int, int, Steps] | None = None
        for place, (scale, s) in enumerate(_scales(frame, frames, parents, [c for c in columns if c != column])):
            steps = _steps(frame, scale, s, column)
            if steps is None or any(rules.needs(c, column) for c in (scale.source, *([scale.against] if not scale.key else []))):
                continue
            if best is None or (len(steps.values), place) < best[:2]:
                best = len(steps.values), place, steps
        if best is not None:
            rules.steps[column] = best[2]


def _scales(frame: Frame, frames: Mapping[str, Frame], parents: Sequence[ForeignKey], columns: Sequence[str]) -> Iterator[tuple[Scale, np.ndarray]]:
    """Numbers of the row, and dates of the row as distances from others of the row or of a parent; in units of the column."""
    numbers = {c: k for c in columns if isinstance(k := frame.codecs[c], NumberCodec) and c not in frame.late}
    for name in numbers:
        yield Scale(name), frame.x[name]
    for name, codec in numbers.items():
        if not pa.types.is_temporal(codec.type):
            continue
        for other, kind in numbers.items():
            if other != name and kind.comparable(codec):
                yield Scale(name, other), frame.x[name] - frame.x[other] * (kind.unit / codec.unit)
        for fk in parents:
            above, index = frames[fk.parent], frame.parents[fk.id]
            for other, held in above.codecs.items():
                if isinstance(held, NumberCodec) and held.comparable(codec) and other not in above.late and above.rows:
                    value = held_above(above.x[other], index)
                    yield Scale(name, other, fk.id), frame.x[name] - value * (held.unit / codec.unit)


def _steps(frame: Frame, scale: Scale, s: np.ndarray, column: str) -> Steps | None:
    """The steps, if the column changes at few places of the scale and nowhere else."""
    x = frame.x[column]
    missing = np.isnan(frame.x[scale.source])
    known = np.flatnonzero(np.isfinite(s))
    judged = ~frame.lost if scale.key else np.ones(frame.rows, dtype=bool)
    if len(known) < SUPPORT or not np.array_equal(np.isfinite(s)[judged], ~missing[judged]):
        return None
    order = known[np.lexsort((x[known], s[known]))]
    change = np.flatnonzero(x[order][1:] != x[order][:-1])
    if len(change) >= _MOST_STEPS or not several(s[known], max(_SCALE_VALUES, 3 * len(change))):
        return None
    if (s[order][1:][change] == s[order][:-1][change]).any():
        return None
    starts = np.r_[0, change + 1]
    values = x[order][starts]
    absent = np.unique(x[missing])
    if not len(change) and (len(absent) != 1 or absent[0] in values):
        return None  # several values where there is no number say more of the number than it says of them (`presence`)
    sizes = [*np.diff(np.r_[starts, len(order)]), *([int(missing.sum())] if missing.any() else [])]
    if min(sizes) < _SMALLEST or not all(supported(frame, rows) for rows in (order, *([np.flatnonzero(missing)] if not len(change) else []))):
        return None
    codec = frame.codecs[scale.source]
    assert isinstance(codec, NumberCodec)
    edges = tuple(_roundest(float(s[order][i]), float(s[order][i + 1]), codec) for i in change)
    mine = frame.codecs[column]
    told = shown(mine, values), shown(mine, absent), _spans(codec, edges, plain=not scale.against)
    return Steps(scale, edges, tuple(values.tolist()), tuple(absent.tolist()), *told)


def _roundest(low: float, high: float, codec: NumberCodec) -> float:
    """The roundest number above `low` and not above `high`: whole days before hours, hundreds before tens."""
    if pa.types.is_date(codec.type):
        return high
    units = _TIMES if pa.types.is_temporal(codec.type) else tuple(10.0**k for k in range(12, -1, -1))
    for unit in units:
        value = np.floor(high / unit) * unit
        if low < value <= high:
            return float(value)
    return high


def _spans(codec: NumberCodec, edges: Sequence[float], *, plain: bool) -> tuple[str, ...]:
    """Edges as the user reads them: values of the column, or days."""
    if plain:
        return shown(codec, np.array(edges))
    day = 1.0 if pa.types.is_date(codec.type) else float(_TIMES[0])
    return tuple(f"{e / day:g} days" for e in edges)
