"""The measures of likeness between two samples: one column, two columns, and what a correlation is for any two kinds.

Pure functions and small classes on arrays, with real rows as the reference; where the samples come from does not belong
here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from synth_pipeline.quality.frames import Feature

    Array = np.ndarray[Any, Any]

TOP_CATEGORIES = 20
BINS = 10


def ks_distance(a: Array, b: Array) -> float:
    """Kolmogorov-Smirnov distance between two samples, NaN left out; 1 where only one of them is empty."""
    import numpy as np

    a, b = np.sort(a[~np.isnan(a)]), np.sort(b[~np.isnan(b)])
    if len(a) == 0 or len(b) == 0:
        return float(len(a) != len(b))
    points = np.concatenate([a, b])
    return float(np.abs(np.searchsorted(a, points, "right") / len(a) - np.searchsorted(b, points, "right") / len(b)).max())


def weighted_ks(values_a: Array, weights_a: Array, values_b: Array, weights_b: Array) -> float:
    """Kolmogorov-Smirnov distance between two histograms of numbers."""
    import numpy as np

    if weights_a.sum() == 0 or weights_b.sum() == 0:
        return float((weights_a.sum() == 0) != (weights_b.sum() == 0))
    points = np.union1d(values_a, values_b)
    steps = []
    for values, weights in ((values_a, weights_a), (values_b, weights_b)):
        heights = np.zeros(len(points))
        np.add.at(heights, np.searchsorted(points, values), weights)
        steps.append(np.cumsum(heights) / weights.sum())
    return float(np.abs(steps[0] - steps[1]).max())


def tv_distance(a: Array, b: Array, size: int) -> float:
    """Total variation distance between two samples of codes below `size`; 1 where only one of them is empty."""
    import numpy as np

    if len(a) == 0 or len(b) == 0:
        return float(len(a) != len(b))
    return float(np.abs(np.bincount(a, minlength=size) / len(a) - np.bincount(b, minlength=size) / len(b)).sum() / 2)


def js_distance(p: Array, q: Array) -> float:
    """Jensen-Shannon distance (base 2, in 0..1) between two histograms; 1 where only one of them is empty."""
    import numpy as np

    if p.sum() == 0 or q.sum() == 0:
        return float((p.sum() == 0) != (q.sum() == 0))
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [np.where(x > 0, x * np.log2(x / middle), 0.0).sum() for x in (p, q)]
    return float(np.sqrt(max(0.0, sum(parts) / 2)))


def shape_score(feature: Feature, reference: Array, candidate: Array) -> float:
    """1 - KS for numbers and dates, 1 - TV for categories (NULL is one of them)."""
    if feature.kind == "category":
        return 1 - tv_distance(reference, candidate, feature.size)
    return 1 - ks_distance(reference, candidate)


class Pairs:
    """Scores pairs of features of a candidate sample against a reference sample.

    Two numbers: 1 - |difference of Spearman's coefficients| / 2. Otherwise: 1 - TV of the contingency tables, with
    numbers cut at the reference's deciles and categories beyond the most frequent twenty taken together.

    Args:
        features: by name; the names are the keys of both samples.
        reference: arrays of equal length.
        candidate: arrays of equal length.
    """

    def __init__(self, features: Mapping[str, Feature], reference: Mapping[str, Array], candidate: Mapping[str, Array]) -> None:
        self.features, self._reference, self._candidate = features, reference, candidate
        self._ranks: dict[tuple[str, bool], Array] = {}
        self._cells: dict[str, tuple[Array, Array, int]] = {}

    def score(self, a: str, b: str) -> tuple[float, float] | None:
        """The score and the strength of the real association (|rho|, or Cramér's V); None where the reference has no trend to compare."""
        if self.features[a].kind != "category" and self.features[b].kind != "category":
            real, other = self._spearman(a, b, True), self._spearman(a, b, False)
            if real is None:
                return None
            return 1 - abs(real - (other or 0.0)) / 2, abs(real)
        (x1, y1, k1), (x2, y2, k2) = self._cell(a), self._cell(b)
        if len(x1) == 0:
            return None
        return 1 - tv_distance(x1 * k2 + x2, y1 * k2 + y2, k1 * k2), cramers_v(x1, x2, k1, k2)

    def _spearman(self, a: str, b: str, real: bool) -> float | None:
        import numpy as np

        x, y = self._rank(a, real), self._rank(b, real)
        ok = ~(np.isnan(x) | np.isnan(y))
        if not ok.all():
            x, y = x[ok], y[ok]
        if len(x) < 2:
            return None
        x, y = x - x.mean(), y - y.mean()
        scale = float(np.sqrt((x @ x) * (y @ y)))
        return None if scale == 0 else float(x @ y) / scale

    def _rank(self, name: str, real: bool) -> Array:
        from scipy.stats import rankdata

        if (name, real) not in self._ranks:
            self._ranks[name, real] = rankdata((self._reference if real else self._candidate)[name], nan_policy="omit")
        return self._ranks[name, real]

    def _cell(self, name: str) -> tuple[Array, Array, int]:
        if name not in self._cells:
            self._cells[name] = cells(self.features[name], self._reference[name], self._candidate[name])
        return self._cells[name]


def cells(feature: Feature, reference: Array, candidate: Array, bins: int = BINS, top: int = TOP_CATEGORIES) -> tuple[Array, Array, int]:
    """Both samples as codes below a small number: bins at the reference's quantiles, or its most frequent categories; 0 is NULL."""
    import numpy as np

    if feature.kind == "category":
        counts = np.bincount(reference, minlength=feature.size)
        counts[0] = 0
        kept = np.argsort(-counts, kind="stable")[:top]
        kept = kept[counts[kept] > 0]
        code = np.full(feature.size, len(kept) + 1, dtype=np.int64)
        code[kept] = np.arange(1, len(kept) + 1)
        code[0] = 0
        return code[reference], code[candidate], len(kept) + 2
    known = reference[~np.isnan(reference)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1))) if len(known) else np.zeros(1)

    def cut(x: Array) -> Array:
        return np.where(np.isnan(x), 0, np.clip(np.searchsorted(edges, x, "right"), 1, len(edges)))

    return cut(reference), cut(candidate), len(edges) + 1


def cramers_v(x: Array, y: Array, kx: int, ky: int) -> float:
    """Cramér's V of two code arrays, in 0..1."""
    import numpy as np

    table = np.bincount(x * ky + y, minlength=kx * ky).reshape(kx, ky).astype(float)
    table = table[table.sum(1) > 0][:, table.sum(0) > 0]
    if min(table.shape) < 2:
        return 0.0
    expected = np.outer(table.sum(1), table.sum(0)) / table.sum()
    chi2 = ((table - expected) ** 2 / expected).sum()
    return float(np.sqrt(chi2 / (table.sum() * (min(table.shape) - 1))))


def theils_u(x: Array, y: Array, kx: int, ky: int) -> float:
    """How much of the entropy of `x` knowing `y` removes, in 0..1."""
    import numpy as np

    joint = np.bincount(x * ky + y, minlength=kx * ky).reshape(kx, ky) / max(1, len(x))
    px, py = joint.sum(1), joint.sum(0)
    entropy = -(px[px > 0] * np.log(px[px > 0])).sum()
    if entropy <= 0:
        return 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        conditional = -np.where(joint > 0, joint * np.log(joint / py), 0.0).sum()
    return float(np.clip((entropy - conditional) / entropy, 0, 1))


def correlation_ratio(codes: Array, values: Array, size: int) -> float:
    """Share of the standard deviation of `values` (no NaN) that lies between the groups of `codes`, in 0..1."""
    import numpy as np

    total = float(((values - values.mean()) ** 2).sum()) if len(values) else 0.0
    if total <= 0:
        return 0.0
    counts = np.bincount(codes, minlength=size)
    means = np.bincount(codes, weights=values, minlength=size) / np.maximum(counts, 1)
    return float(np.sqrt(min(1.0, (counts * (means - values.mean()) ** 2).sum() / total)))
