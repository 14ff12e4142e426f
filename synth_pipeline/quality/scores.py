"""Scores of likeness over columns, pairs of columns, foreign keys and chains of them, each beside its ceiling.

The ceiling is what real rows score by the same measure: rows that were held out of the fit against the rows that were
not, where a table has enough of them; else a bootstrap of the real rows. A score at its ceiling cannot be told from real data by
that measure. Detection, time, use and privacy have modules of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from synth_pipeline.quality.measures import Pairs, ks_distance, shape_score, weighted_ks

if TYPE_CHECKING:
    import numpy as np

    from synth_pipeline.catalog.population import PopulationStats
    from synth_pipeline.catalog.schema import ForeignKey
    from synth_pipeline.quality.frames import Feature, Frame, TableFrame

    Array = np.ndarray[Any, Any]

ROWS = 20_000
"""Rows per table (or chain of tables) that pair and chain scores are computed on."""
SHAPE_ROWS = 100_000
ENOUGH_HELD_OUT = 500
MOST_PAIRS = 400
MOST_PAIRS_PER_PATH = 60
MOST_PATHS = 150
STRONG = {"number": 0.5, "category": 0.3}
"""From which |rho| or Cramér's V on a real association is a trend (SDMetrics' thresholds)."""

Basis = Literal["held-out rows", "bootstrap"]


@dataclass(frozen=True)
class ColumnScore:
    """Shape of one column: `score` in 0..1 beside `ceiling`; `null_gap` is |difference of NULL shares|, `length` 1 - KS of text lengths."""

    column: str
    kind: str
    score: float | None
    ceiling: float | None
    null_real: float
    null_synthetic: float
    length: float | None = None
    note: str = ""

    @property
    def null_gap(self) -> float:
        return abs(self.null_real - self.null_synthetic)


@dataclass(frozen=True)
class PairScore:
    """Trend between two columns; `strength` is that of the real association."""

    a: str
    b: str
    score: float
    ceiling: float | None
    strength: float
    strong: bool


@dataclass(frozen=True)
class TrendScore:
    """Mean pair score between a table and the rows at the end of a path (or its siblings), with its worst pairs."""

    table: str
    path: tuple[str, ...]
    text: str
    score: float
    ceiling: float | None
    pairs: int
    rows: int
    worst: tuple[PairScore, ...] = ()


@dataclass(frozen=True)
class CardinalityScore:
    """Children per parent over one foreign key: 1 - KS; the histograms hold (children, share of parents)."""

    fk: str
    table: str
    columns: tuple[str, ...]
    parent: str
    score: float | None
    ceiling: float | None
    mean_real: float
    mean_synthetic: float
    null_real: float
    null_synthetic: float
    real: tuple[tuple[int, float], ...] = ()
    synthetic: tuple[tuple[int, float], ...] = ()
    basis: str = ""


@dataclass
class TableScores:
    """All scores of one table on its own."""

    table: str
    rows_real: int
    rows_synthetic: int
    basis: Basis
    sample: int
    columns: list[ColumnScore] = field(default_factory=list)
    pairs: list[PairScore] = field(default_factory=list)
    pairs_total: int = 0


def mean(values: list[float | None] | list[float]) -> float | None:
    """The mean of what is there; None where nothing is."""
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None


def reference_rows(frame: Frame, table: TableFrame, most: int) -> tuple[Array, Array, Basis]:
    """Real rows to compare with, the real rows that give the ceiling, and what these are.

    Returns:
        int64 arrays of row numbers; the second may repeat rows.
    """
    import numpy as np

    held = table.core[table.holdout[table.core]]
    if len(held) >= ENOUGH_HELD_OUT:
        training = table.core[~table.holdout[table.core]]
        if len(training) >= ENOUGH_HELD_OUT:
            return frame.sample(training, most, table.id, "training"), frame.sample(held, most, table.id, "held"), "held-out rows"
    rows = frame.sample(table.core, most, table.id, "core")
    if len(rows) == 0:
        return rows, rows, "bootstrap"
    return rows, np.sort(frame.random(table.id, "bootstrap").choice(rows, len(rows))), "bootstrap"


def score_table(frame: Frame, table: TableFrame) -> TableScores:
    """Shapes of all columns and trends of all pairs of one table."""
    import numpy as np

    reference, ceiling, basis = reference_rows(frame, table, SHAPE_ROWS)
    rows = frame.sample(np.arange(table.synthetic.rows), SHAPE_ROWS, table.id, "synthetic")
    result = TableScores(table.id, table.real.rows, table.synthetic.rows, basis, len(rows))
    for column in frame.schema.table(table.id).stored_columns:
        result.columns.append(_column_score(table, column.name, reference, ceiling, rows))
    if min(len(reference), len(rows)) == 0 or len(table.features) < 2:
        return result
    reference, ceiling, _ = reference_rows(frame, table, ROWS)
    rows = frame.sample(rows, ROWS, table.id, "pairs")
    names = list(table.features)
    wanted = [(a, b) for i, a in enumerate(names) for b in names[:i]]
    result.pairs_total = len(wanted)
    if len(wanted) > MOST_PAIRS:
        chosen = frame.random(table.id, "pair choice").choice(len(wanted), MOST_PAIRS, replace=False)
        wanted = [wanted[i] for i in sorted(chosen)]
    real, synthetic = table.real.values, table.synthetic.values
    result.pairs = _pair_scores(
        table.features, wanted, {n: real[n][reference] for n in names}, {n: real[n][ceiling] for n in names}, {n: synthetic[n][rows] for n in names}
    )
    return result


def _column_score(table: TableFrame, name: str, reference: Array, ceiling: Array, rows: Array) -> ColumnScore:
    nulls = (table.real.nulls[name], table.synthetic.nulls[name])
    feature = table.features.get(name)
    if feature is None:
        note = "key" if name in table.keys else "personal" if name in table.personal else "text" if name in table.texts else "not compared"
        lengths = [s.lengths.get(name) for s in (table.real, table.synthetic)]
        alike = None if lengths[0] is None or lengths[1] is None or not len(lengths[0]) else 1 - ks_distance(lengths[0], lengths[1])
        return ColumnScore(name, note, None, None, *nulls, length=alike)
    if len(reference) == 0 or len(rows) == 0:
        both_empty = len(reference) == len(rows)
        return ColumnScore(name, feature.kind, None if both_empty else 0.0, None if both_empty else 1.0, *nulls, note="no rows")
    a = table.real.values[name][reference]
    score, best = (shape_score(feature, a, x) for x in (table.synthetic.values[name][rows], table.real.values[name][ceiling]))
    return ColumnScore(name, feature.kind, score, best, *nulls)


def _pair_scores(
    features: Mapping[str, Feature],
    wanted: list[tuple[str, str]],
    reference: Mapping[str, Array],
    ceiling: Mapping[str, Array],
    candidate: Mapping[str, Array],
) -> list[PairScore]:
    asked, best = Pairs(features, reference, candidate), Pairs(features, reference, ceiling)
    found = []
    for a, b in wanted:
        scored = asked.score(a, b)
        if scored is None:
            continue
        limit = best.score(a, b)
        threshold = STRONG["number" if "category" not in (features[a].kind, features[b].kind) else "category"]
        found.append(PairScore(a, b, scored[0], limit[0] if limit else None, scored[1], scored[1] > threshold))
    return found


# --- foreign keys ------------------------------------------------------------------------------------------------------


def score_cardinality(frame: Frame, fk: ForeignKey, population: PopulationStats) -> CardinalityScore:
    """Children per parent, zeros included; the real side from exact counts of the whole source where there are some."""
    import numpy as np

    child, parent = frame.tables[fk.table], frame.tables[fk.parent]
    real, synthetic = child.real.parents[fk.id], child.synthetic.parents[fk.id]
    own = np.bincount(real[real >= 0], minlength=parent.real.rows)[parent.core] if parent.real.rows else np.zeros(0, dtype=np.int64)
    made = np.bincount(synthetic[synthetic >= 0], minlength=parent.synthetic.rows)
    known = population.fanouts.get(fk.id) if population.exact else None
    if known is not None and sum(known.parents) > 0:
        x, w, basis = np.array(known.degrees, dtype=float), np.array(known.parents, dtype=float), "whole source"
        total = max(1, known.children + known.null_children + known.dangling)
        null_real = (known.null_children + known.dangling) / total
    else:
        x, counts = np.unique(own, return_counts=True)
        w, basis = counts.astype(float), "subset"
        null_real = float((real < 0).mean()) if len(real) else 0.0
    null_synthetic = float((synthetic < 0).mean()) if len(synthetic) else 0.0
    y, v = np.unique(made, return_counts=True)
    comparable = w.sum() > 0 and len(made) > 0
    score = 1 - weighted_ks(x, w, y.astype(float), v.astype(float)) if comparable else None
    best = None
    if comparable:
        again = frame.random(fk.id, "bootstrap").choice(x, int(min(w.sum(), 1_000_000)), p=w / w.sum())
        u, c = np.unique(again, return_counts=True)
        best = 1 - weighted_ks(x, w, u, c.astype(float))
    return CardinalityScore(
        fk.id, fk.table, fk.columns, fk.parent, score, best, float((x * w).sum() / max(1.0, w.sum())), float(made.mean()) if len(made) else 0.0,
        null_real, null_synthetic, _histogram(x, w), _histogram(y, v), basis,
    )  # fmt: skip


def _histogram(values: Array, weights: Array, most: int = 24) -> tuple[tuple[int, float], ...]:
    """Shares by number of children; what is beyond the last bar is added to it."""
    import numpy as np

    if weights.sum() == 0:
        return ()
    capped = np.minimum(values, most)
    heights = np.bincount(capped.astype(np.int64), weights=weights, minlength=1) / weights.sum()
    return tuple((int(i), round(float(h), 5)) for i, h in enumerate(heights) if h > 0)


def score_trends(frame: Frame, hops: int) -> list[TrendScore]:
    """Trends between child rows and their ancestors over chains of `hops` foreign keys."""
    paths = [p for t in frame.tables for p in frame.paths(t, hops)]
    if len(paths) > MOST_PATHS:
        chosen = frame.random("paths", str(hops)).choice(len(paths), MOST_PATHS, replace=False)
        paths = [paths[i] for i in sorted(chosen)]
    found = (_trend(frame, p) for p in paths)
    return [t for t in found if t is not None]


def _trend(frame: Frame, path: tuple[ForeignKey, ...]) -> TrendScore | None:
    import numpy as np

    child, top = frame.tables[path[0].table], frame.tables[path[-1].parent]
    if not child.features or not top.features:
        return None
    reference, ceiling, _ = reference_rows(frame, child, ROWS)
    rows = frame.sample(np.arange(child.synthetic.rows), ROWS, child.id, "synthetic trend")
    sides: list[Mapping[str, Array]] = []
    for side, start in (("real", reference), ("real", ceiling), ("synthetic", rows)):
        above = frame.ancestor_rows(path, side, start)  # type: ignore[arg-type]
        kept = above >= 0
        a, b = (child.real, top.real) if side == "real" else (child.synthetic, top.synthetic)
        sides.append({**{f"c.{n}": a.values[n][start[kept]] for n in child.features}, **{f"p.{n}": b.values[n][above[kept]] for n in top.features}})
    features = {**{f"c.{n}": f for n, f in child.features.items()}, **{f"p.{n}": f for n, f in top.features.items()}}
    wanted = [(f"c.{a}", f"p.{b}") for a in child.features for b in top.features]
    if len(wanted) > MOST_PAIRS_PER_PATH:
        chosen = frame.random(path[0].id, path[-1].id, "pairs").choice(len(wanted), MOST_PAIRS_PER_PATH, replace=False)
        wanted = [wanted[i] for i in sorted(chosen)]
    size = len(next(iter(sides[0].values())))
    if size == 0:
        return None
    text = " → ".join([path[0].table, *(f.parent for f in path)])
    names = {f"c.{n}": f"{child.id}.{n}" for n in child.features} | {f"p.{n}": f"{top.id}.{n}" for n in top.features}
    if len(next(iter(sides[2].values()))) == 0:
        return TrendScore(child.id, tuple(f.id for f in path), text, 0.0, 1.0, len(wanted), 0)
    scores = _pair_scores(features, wanted, *sides)
    return _summary(child.id, tuple(f.id for f in path), text, scores, size, names)


def score_siblings(frame: Frame, fk: ForeignKey) -> TrendScore | None:
    """How alike the children of one parent are: every child with the next one of the same parent, column by column."""
    import numpy as np

    child = frame.tables[fk.table]
    if not child.features:
        return None
    reference, _, _ = reference_rows(frame, child, ROWS)
    real, synthetic = child.real.parents[fk.id], child.synthetic.parents[fk.id]
    left, right = _neighbours(real, np.isin(np.arange(len(real)), reference, assume_unique=True))
    x, y = _neighbours(synthetic, np.ones(len(synthetic), dtype=bool))
    if len(left) < 50 or len(x) < 2:
        return None
    keep = frame.sample(np.arange(len(x)), ROWS, fk.id, "siblings")
    again = frame.random(fk.id, "sibling bootstrap").choice(len(left), len(left))
    features = {**{f"a.{n}": f for n, f in child.features.items()}, **{f"b.{n}": f for n, f in child.features.items()}}

    def paired(values: Mapping[str, Array], a: Array, b: Array) -> dict[str, Array]:
        return {**{f"a.{n}": values[n][a] for n in child.features}, **{f"b.{n}": values[n][b] for n in child.features}}

    wanted = [(f"a.{n}", f"b.{n}") for n in child.features]
    scores = _pair_scores(
        features, wanted, paired(child.real.values, left, right), paired(child.real.values, left[again], right[again]),
        paired(child.synthetic.values, x[keep], y[keep]),
    )  # fmt: skip
    names = {key: key[2:] for key in features}
    text = f"{fk.table} of one {fk.parent}" + (f" by {', '.join(fk.columns)}" if _several(frame, fk) else "")
    return _summary(child.id, (fk.id,), text, scores, len(left), names)


def _several(frame: Frame, fk: ForeignKey) -> bool:
    return sum(f.parent == fk.parent for f in frame.schema.table(fk.table).foreign_keys) > 1


def _neighbours(parents: Array, wanted: Array) -> tuple[Array, Array]:
    """Row numbers of each wanted child and of the next child of the same parent, in stored order."""
    import numpy as np

    order = np.argsort(parents, kind="stable")
    same = (parents[order][1:] == parents[order][:-1]) & (parents[order][1:] >= 0)
    left, right = order[:-1][same], order[1:][same]
    keep = wanted[left]
    return left[keep], right[keep]


def _summary(table: str, path: tuple[str, ...], text: str, scores: list[PairScore], rows: int, names: Mapping[str, str]) -> TrendScore | None:
    if not scores:
        return None
    ranked = sorted(scores, key=lambda p: p.score - (p.ceiling if p.ceiling is not None else 1.0))
    worst = tuple(PairScore(names[p.a], names[p.b], p.score, p.ceiling, p.strength, p.strong) for p in ranked[:3])
    score = sum(p.score for p in scores) / len(scores)
    return TrendScore(table, path, text, score, mean([p.ceiling for p in scores]), len(scores), rows, worst)
