"""The synthetic data quality score (SQS), 0..100, in the form that users of commercial tools know.

Three components: stability of the correlations, of the distributions (Jensen-Shannon) and of the joint principal components,
weighted 1.0 : 0.86 : 0.84, with the scaling published in NVIDIA-NeMo/Safe-Synthesizer. A table is scored alone, and across
tables: joined with all its ancestors. Other measures of likeness do not belong here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from synth_pipeline.quality.measures import cells, correlation_ratio, js_distance, theils_u
from synth_pipeline.quality.scores import reference_rows

if TYPE_CHECKING:
    import numpy as np

    from synth_pipeline.quality.frames import Feature, Frame, TableFrame

    Array = np.ndarray[Any, Any]

ROWS = 5_000
MOST_FEATURES = 40
TOO_FEW_ROWS = 30
"""Tables with fewer real rows are scored, but their score says little and stays out of the composite."""
GRADES = ("Very Poor", "Poor", "Moderate", "Good", "Excellent")
WEIGHTS = {"correlation": 1.0, "distribution": 0.86, "structure": 0.84}


_Parts = tuple[float | None, float | None, float | None]


@dataclass(frozen=True)
class Sqs:
    """A score in 0..100 with its grade and components (None: not to be had, as correlations of a single column)."""

    score: float
    grade: str
    correlation: float | None
    distribution: float | None
    structure: float | None
    ceiling: float | None
    features: int
    rows: int


def grade(score: float | None) -> str:
    """The grade of a score in 0..100, by steps of twenty."""
    return "Not scored" if score is None else GRADES[min(4, max(0, int(score // 20)))]


def score_sqs(frame: Frame, table: TableFrame, *, across: bool) -> Sqs | None:
    """The score of one table alone, or together with all its ancestors; None without rows or features."""
    import numpy as np

    reference, again, _ = reference_rows(frame, table, ROWS)
    rows = frame.sample(np.arange(table.synthetic.rows), len(reference), table.id, "sqs")
    if len(reference) == 0:
        return None
    if len(again) > len(reference):
        again = again[: len(reference)]
    features, real = _joined(frame, table, "real", reference, across)
    if not features:
        return None
    if len(rows) == 0:
        return Sqs(0.0, GRADES[0], None, 0.0, None, None, len(features), 0)
    _, synthetic = _joined(frame, table, "synthetic", rows, across)
    _, ceiling = _joined(frame, table, "real", again, across)
    score, parts = _components(features, real, synthetic)
    best, _ = _components(features, real, ceiling)
    return Sqs(score, grade(score), parts[0], parts[1], parts[2], best, len(features), len(reference))


def _joined(frame: Frame, table: TableFrame, side: Any, rows: Array, across: bool) -> tuple[dict[str, Feature], dict[str, Array]]:
    """The features of a table, and of its ancestors over paths of up to three foreign keys; rows without one hold NULL."""
    import numpy as np

    own = table.real if side == "real" else table.synthetic
    features, values = dict(table.features), {n: own.values[n][rows] for n in table.features}
    if not across:
        return features, values
    for hops in (1, 2, 3):
        for path in frame.paths(table.id, hops):
            top = frame.tables[path[-1].parent]
            source = top.real if side == "real" else top.synthetic
            above = frame.ancestor_rows(path, side, rows)
            for name, feature in top.features.items():
                if len(features) >= MOST_FEATURES:
                    return features, values
                label = "→".join(f.id for f in path) + "." + name
                empty: float | int = 0 if feature.kind == "category" else np.nan
                found = source.values[name]
                features[label] = feature
                values[label] = np.where(above >= 0, found[above], empty) if len(found) else np.full(len(rows), empty)
    return features, values


def _components(features: Mapping[str, Feature], real: Mapping[str, Array], other: Mapping[str, Array]) -> tuple[float, _Parts]:
    correlation = _correlation_stability(features, real, other) if len(features) > 1 else None
    distribution = _scaled_js(sum(_divergence(f, real[n], other[n]) for n, f in features.items()) / len(features))
    structure = _structure_stability(features, real, other) if len(features) > 1 else None
    parts = {"correlation": correlation, "distribution": distribution, "structure": structure}
    weight = sum(w for k, w in WEIGHTS.items() if parts[k] is not None)
    return sum(WEIGHTS[k] * v for k, v in parts.items() if v is not None) / weight, (correlation, distribution, structure)


def _divergence(feature: Feature, a: Array, b: Array) -> float:
    import numpy as np

    if feature.kind == "category":
        return js_distance(np.bincount(a, minlength=feature.size).astype(float), np.bincount(b, minlength=feature.size).astype(float))
    a, b = a[~np.isnan(a)], b[~np.isnan(b)]
    both = np.concatenate([a, b])
    if len(both) == 0:
        return 0.0
    edges = np.histogram_bin_edges(both, bins=min(500, len(_doane(both)) - 1), range=(both.min(), both.max()))
    return js_distance(np.histogram(a, edges)[0].astype(float), np.histogram(b, edges)[0].astype(float))


def _doane(values: Array) -> Array:
    import numpy as np

    if np.ptp(values) == 0:
        return np.zeros(2)
    return np.histogram_bin_edges(values, bins="doane")


def _scaled_js(distance: float) -> float:
    """Published scaling of a mean Jensen-Shannon distance to 0..100."""
    if distance > 0.99:
        return 0.0
    return 100.0 if distance < 0.02 else float(min(100.0, max(0.0, 10 * (7.44 * distance**2 - 16.646 * distance + 10.305))))


def _correlation_stability(features: Mapping[str, Feature], real: Mapping[str, Array], other: Mapping[str, Array]) -> float:
    """Published scaling of the mean absolute difference of the correlation matrices to 0..100."""
    import numpy as np

    error = float(np.abs(_correlations(features, real, real) - _correlations(features, real, other)).mean())
    if error > 0.46:
        return 0.0
    return 100.0 if error < 0.01 else float(min(100.0, max(0.0, 10 * (37.562 * error**2 - 35.643 * error + 10.056))))


def _correlations(features: Mapping[str, Feature], reference: Mapping[str, Array], values: Mapping[str, Array]) -> Array:
    """Pearson between numbers, the correlation ratio between a category and a number, Theil's U between categories."""
    import numpy as np

    names = list(features)
    codes = {n: cells(features[n], reference[n], values[n], top=50)[1:] for n in names if features[n].kind == "category"}
    numbers = {n: values[n] for n in names if features[n].kind != "category"}
    result = np.eye(len(names))
    for i, a in enumerate(names):
        for j, b in enumerate(names):
            if i == j or (j < i and not (a in codes and b in codes)):
                continue
            if a in codes and b in codes:
                result[i, j] = theils_u(codes[a][0], codes[b][0], codes[a][1], codes[b][1])
            else:
                result[i, j] = result[j, i] = _mixed(a, b, codes, numbers)
    return result


def _mixed(a: str, b: str, codes: Mapping[str, tuple[Array, int]], numbers: Mapping[str, Array]) -> float:
    import numpy as np

    if a in numbers and b in numbers:
        ok = ~(np.isnan(numbers[a]) | np.isnan(numbers[b]))
        x, y = numbers[a][ok], numbers[b][ok]
        if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
            return 0.0
        return float(np.corrcoef(x, y)[0, 1])
    category, number = (a, b) if a in codes else (b, a)
    ok = ~np.isnan(numbers[number])
    return correlation_ratio(codes[category][0][ok], numbers[number][ok], codes[category][1])


def _structure_stability(features: Mapping[str, Feature], real: Mapping[str, Array], other: Mapping[str, Array]) -> float | None:
    """Both samples projected on the reference's first two principal components, compared by Jensen-Shannon: 100·exp(-1.6·d)."""
    import numpy as np

    matrices = []
    for values in (real, other):
        columns = []
        for name, feature in features.items():
            if feature.kind == "category":
                counts = np.bincount(real[name], minlength=feature.size).astype(float)
                columns.append(counts[values[name]])
            else:
                known = real[name][~np.isnan(real[name])]
                columns.append(np.where(np.isnan(values[name]), np.median(known) if len(known) else 0.0, values[name]))
        matrices.append(np.column_stack(columns))
    reference, candidate = matrices
    scale = reference.std(axis=0)
    used = scale > 0
    if used.sum() < 2 or len(reference) < 2:
        return None
    centre = reference[:, used].mean(axis=0)
    reference, candidate = ((m[:, used] - centre) / scale[used] for m in matrices)
    _, vectors = np.linalg.eigh(np.cov(reference, rowvar=False))
    axes = vectors[:, ::-1][:, :2]
    distances = []
    for a, b in zip((reference @ axes).T, (candidate @ axes).T, strict=True):
        both = np.concatenate([a, b])
        edges = np.linspace(both.min(), both.max() + 1e-12, min(500, len(_doane(both)) - 1) + 1)
        distances.append(js_distance(np.histogram(a, edges)[0].astype(float), np.histogram(b, edges)[0].astype(float)))
    return 100 * math.exp(-1.6 * sum(distances) / len(distances))
