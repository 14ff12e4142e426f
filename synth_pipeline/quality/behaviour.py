"""Does the synthetic database behave like the real one: in time, and under the queries that people write.

Time: which date comes first, gaps between the children of one parent, months and weekdays. Use: a small workload of GROUP BY
queries over tables and their ancestors, and how far the answers are off. Likeness of columns and pairs does not belong here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from synth_pipeline.quality.frames import FEW
from synth_pipeline.quality.measures import ks_distance, tv_distance
from synth_pipeline.quality.scores import ROWS, reference_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from synth_pipeline.catalog.schema import ForeignKey
    from synth_pipeline.quality.frames import Feature, Frame, Side, TableFrame

    Array = np.ndarray[Any, Any]

FEWEST_ROWS = 30
MOST_QUERIES = 60
MOST_GROUPS = 50
_DAY = 86_400.0


@dataclass(frozen=True)
class TimeScore:
    """One property in time; `real` and `synthetic` are shares or medians (days) in words of `text`."""

    table: str
    kind: Literal["order", "gap", "months", "weekdays"]
    text: str
    score: float
    ceiling: float | None
    real: float | None = None
    synthetic: float | None = None


@dataclass(frozen=True)
class QueryScore:
    """One GROUP BY query: 1 - the error of its answer (counts: TV; averages: mean |difference| in real standard deviations)."""

    table: str
    sql: str
    groups: int
    score: float
    ceiling: float | None


# --- time --------------------------------------------------------------------------------------------------------------


def score_time(frame: Frame) -> list[TimeScore]:
    """All properties in time of all tables with dates."""
    found: list[TimeScore] = []
    for table in frame.tables.values():
        dates = [f for f in table.features.values() if f.kind == "date"][:6]
        if not dates or min(len(table.core), table.synthetic.rows) < FEWEST_ROWS:
            continue
        found += _orders(frame, table, dates)
        found += _seasons(frame, table, dates[0])
        for fk in frame.schema.table(table.id).foreign_keys:
            if fk.parent in frame.tables:
                found += _parent_orders(frame, table, fk, dates[0])
                gap = _gaps(frame, table, fk, dates[0])
                found += [gap] if gap else []
    return found


def _sides(frame: Frame, table: TableFrame) -> tuple[tuple[Side, Array], tuple[Side, Array], tuple[Side, Array]]:
    """Reference, ceiling and synthetic rows."""
    import numpy as np

    reference, ceiling, _ = reference_rows(frame, table, ROWS)
    rows = frame.sample(np.arange(table.synthetic.rows), ROWS, table.id, "behaviour")
    return (table.real, reference), (table.real, ceiling), (table.synthetic, rows)


def _share_before(a: Array, b: Array) -> float | None:
    import numpy as np

    known = ~(np.isnan(a) | np.isnan(b))
    return float((a[known] <= b[known]).mean()) if known.any() else None


def _orders(frame: Frame, table: TableFrame, dates: list[Feature]) -> list[TimeScore]:
    found = []
    sides = _sides(frame, table)
    for i, b in enumerate(dates):
        for a in dates[:i]:
            shares = [_share_before(s.values[a.name][rows], s.values[b.name][rows]) for s, rows in sides]
            found += _ordered(table.id, f"{a.name} is not after {b.name}", shares)
    return found


def _parent_orders(frame: Frame, table: TableFrame, fk: ForeignKey, date: Feature) -> list[TimeScore]:
    import numpy as np

    parent = frame.tables[fk.parent]
    first = next((f for f in parent.features.values() if f.kind == "date"), None)
    if first is None:
        return []
    shares = []
    for side, rows in _sides(frame, table):
        above = side.parents[fk.id][rows]
        earlier = (parent.real if side is table.real else parent.synthetic).values[first.name]
        before = np.where(above >= 0, earlier[above], np.nan) if len(earlier) else np.full(len(rows), np.nan)
        shares.append(_share_before(before, side.values[date.name][rows]))
    return _ordered(table.id, f"{fk.parent}.{first.name} is not after {fk.table}.{date.name}", shares)


def _ordered(table: str, text: str, shares: list[float | None]) -> list[TimeScore]:
    real, again, synthetic = shares
    if real is None or again is None or synthetic is None:
        return []
    return [TimeScore(table, "order", text, 1 - abs(real - synthetic), 1 - abs(real - again), real, synthetic)]


def _seasons(frame: Frame, table: TableFrame, date: Feature) -> Iterator[TimeScore]:
    import numpy as np

    values = [s.values[date.name][rows] for s, rows in _sides(frame, table)]
    values = [v[~np.isnan(v)] for v in values]
    if min(len(v) for v in values) < FEWEST_ROWS:
        return
    real, again, synthetic = (v.astype("datetime64[s]") for v in values)
    if np.ptp(values[0]) >= 330 * _DAY:
        a, b, c = (v.astype("datetime64[M]").astype(np.int64) % 12 for v in (real, again, synthetic))
        yield TimeScore(table.id, "months", f"months of {date.name}", 1 - tv_distance(a, c, 12), 1 - tv_distance(a, b, 12))
    if np.ptp(values[0]) >= 14 * _DAY:
        a, b, c = ((v.astype("datetime64[D]").astype(np.int64) + 3) % 7 for v in (real, again, synthetic))
        yield TimeScore(table.id, "weekdays", f"weekdays of {date.name}", 1 - tv_distance(a, c, 7), 1 - tv_distance(a, b, 7))


def _gaps(frame: Frame, table: TableFrame, fk: ForeignKey, date: Feature) -> TimeScore | None:
    """Time between consecutive children of one parent."""
    import numpy as np

    samples = []
    for side in (table.real, table.synthetic):
        dates, parents = side.values[date.name], side.parents[fk.id]
        rows = np.flatnonzero(~np.isnan(dates) & (parents >= 0))
        if side is table.real:
            rows = rows[np.isin(rows, table.core)]
        rows = rows[np.lexsort((dates[rows], parents[rows]))]
        same = parents[rows][1:] == parents[rows][:-1]
        samples.append((dates[rows][1:] - dates[rows][:-1])[same] / _DAY)
    real, synthetic = samples
    if len(real) < FEWEST_ROWS or len(synthetic) < FEWEST_ROWS:
        return None
    again = frame.random(fk.id, "gaps").choice(real, len(real))
    text = f"days between {table.id} of one {fk.parent}, by {date.name}"
    medians = float(np.median(real)), float(np.median(synthetic))
    return TimeScore(table.id, "gap", text, 1 - ks_distance(real, synthetic), 1 - ks_distance(real, again), *medians)


# --- use ---------------------------------------------------------------------------------------------------------------


def score_queries(frame: Frame) -> list[QueryScore]:
    """A seeded workload of at most sixty queries, over every table and its ancestors up to two keys away."""
    wanted = []
    for table in frame.tables.values():
        if min(len(table.core), table.synthetic.rows) < FEWEST_ROWS:
            continue
        for path in ((), *(p for hops in (1, 2) for p in frame.paths(table.id, hops))):
            group_table = frame.tables[path[-1].parent] if path else table
            groups = [f for f in group_table.features.values() if f.kind == "category" and 2 < f.size <= 200]
            numbers: list[Feature | None] = [None, *(f for f in table.features.values() if f.kind == "number")]
            wanted += [(table, path, g, n) for g in groups for n in numbers]
    if len(wanted) > MOST_QUERIES:
        chosen = frame.random("queries").choice(len(wanted), MOST_QUERIES, replace=False)
        wanted = [wanted[i] for i in sorted(chosen)]
    found = (_query(frame, *w) for w in wanted)
    return [q for q in found if q is not None]


def _query(frame: Frame, table: TableFrame, path: tuple[ForeignKey, ...], group: Feature, number: Feature | None) -> QueryScore | None:
    import numpy as np

    target = frame.tables[path[-1].parent] if path else table
    sides = []
    for (side, rows), name in zip(_sides(frame, table), ("real", "real", "synthetic"), strict=True):
        above = frame.ancestor_rows(path, name, rows)  # type: ignore[arg-type]
        kept = above >= 0
        codes = (target.real if name == "real" else target.synthetic).values[group.name][above[kept]]
        sides.append((codes, None if number is None else side.values[number.name][rows][kept]))
    if len(sides[0][0]) < FEWEST_ROWS:
        return None
    counts = np.bincount(sides[0][0], minlength=group.size)
    groups = np.argsort(-counts, kind="stable")[:MOST_GROUPS]
    groups = groups[counts[groups] >= FEW]
    if len(groups) < 2:
        return None
    joins = "".join(f" JOIN {fk.parent} ON {' AND '.join(fk.columns)}" for fk in path)
    measure = "COUNT(*)" if number is None else f"AVG({table.id}.{number.name})"
    sql = f"SELECT {target.id}.{group.name}, {measure} FROM {table.id}{joins} GROUP BY 1"
    if len(sides[2][0]) == 0:
        return QueryScore(table.id, sql, len(groups), 0.0, 1.0)
    scores = [_answer_score(sides[0], s, groups, group.size) for s in (sides[2], sides[1])]
    return None if scores[0] is None else QueryScore(table.id, sql, len(groups), scores[0], scores[1])


def _answer_score(real: tuple[Array, Array | None], other: tuple[Array, Array | None], groups: Array, size: int) -> float | None:
    import numpy as np

    if real[1] is None or other[1] is None:
        return 1 - tv_distance(real[0], other[0], size)
    means = []
    for codes, values in (real, other):
        assert values is not None
        known = ~np.isnan(values)
        counts = np.bincount(codes[known], minlength=size)[groups]
        sums = np.bincount(codes[known], weights=values[known], minlength=size)[groups]
        means.append((np.where(counts > 0, sums / np.maximum(counts, 1), np.nan), counts))
    spread = float(np.nanstd(real[1]))
    (a, weight), (b, _) = means
    usable = ~np.isnan(a) & (weight > 0)
    if spread == 0 or not usable.any():
        return None
    gaps = np.where(np.isnan(b), spread, np.abs(a - b))[usable] / spread
    return 1 - float(min(1.0, np.average(gaps, weights=weight[usable])))
