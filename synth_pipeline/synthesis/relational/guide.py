"""What a few linear terms say of a number, so that small tables keep their trends.

The normal scores of a number are regressed on scores of the context, chosen one at a time while they are significant
(orthogonal matching pursuit, Pati et al. 1993; scores as in a Gaussian copula). The tree then holds residuals: a table of
fifty rows has no leaf to spare for a trend, and a sum of prediction and residual belongs to no real row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from synth_pipeline.synthesis.relational.trees import MAX_BINS, Feature

NAME = "guide"
"""The prediction as a feature of the residuals."""
_TERMS = 6
_SIGNIFICANT = 4.0
"""Least t value of a term: many are tried."""
_MOST_ROWS = 20_000
_SHRINK = 2.0
"""A category's mean counts as if so many entities with the overall mean had been seen, too."""
_FEW = 20
"""So many scores tell as much of the marginal distribution by themselves as the training rows do."""
_GRID = np.linspace(0, 1, 257)


@dataclass
class Guide:
    """A linear prediction of normal scores.

    Attributes:
        names: the features.
        tables: for each the term's value by bin or code (the last entry is for what is missing or unknown).
        intercept: of the prediction.
        edges: bins of the prediction as a feature.
        grid: quantiles of prediction plus residual, at 257 even levels, that make the marginal distribution exact.
        values: the values, ascending.
        share: of the variance of the scores that is explained.
    """

    names: list[str]
    tables: list[np.ndarray]
    intercept: float
    edges: np.ndarray
    grid: np.ndarray
    values: np.ndarray
    share: float

    def predict(self, columns: Mapping[str, np.ndarray], rows: int) -> np.ndarray:
        """Predicted scores; float (rows,)."""
        out = np.full(rows, self.intercept)
        for name, table in zip(self.names, self.tables, strict=True):
            out += table[_codes(columns[name], len(table))]
        return out

    def levels(self, scores: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
        """The quantile in [0, 1) of each score; NaN stays.

        Args:
            scores: predictions plus residuals, float (n,).
            weights: how many rows each stands for: the quantile is that among themselves, as far as they are many, so that
                the marginal distribution is kept whatever the predictions are like; None: that among the training rows.
        """
        u = np.interp(scores, self.grid, _GRID)
        known = np.flatnonzero(np.isfinite(scores))
        if weights is not None and len(known):
            order = known[np.argsort(scores[known], kind="stable")]
            share = weights[order]
            among = (np.cumsum(share) - share / 2) / share.sum()
            trust = len(known) / (len(known) + _FEW)
            u[order] = trust * among + (1 - trust) * u[order]
        return np.where(np.isnan(scores), np.nan, np.clip(u, 0, np.nextafter(1.0, 0.0)))


def fit_guide(
    x: np.ndarray, rows: np.ndarray, features: Sequence[Feature], columns: Mapping[str, np.ndarray], entities: np.ndarray, rng: np.random.Generator
) -> tuple[Guide, np.ndarray, np.ndarray] | None:
    """Looks for linear terms.

    Args:
        x: values of all rows, float (n,), NaN for NULL.
        rows: the rows to learn from.
        features: the context; `columns` has an array (n,) for each.
        columns: the context's values.
        entities: root entity of each row, int (n,); a row's own entity has no say in the category means that predict it.
        rng: chooses at most 20,000 rows.

    Returns:
        The guide (its grid still that of the scores), the predictions (n,) and the residuals (n,) of all rows; None
        where nothing is significant.
    """
    known = rows[np.isfinite(x[rows])]
    values = np.sort(x[known])
    if len(known) < 20 or len(np.unique(values)) < 3 or not features:
        return None
    sample = np.sort(rng.choice(known, _MOST_ROWS, replace=False)) if len(known) > _MOST_ROWS else known
    y = normal_scores(x[sample], values)
    z = np.stack([_term(f, columns[f.name][sample], y, entities[sample])[0] for f in features], axis=1)
    chosen = _pursue(z, y, np.array([f.codes > 0 for f in features]))
    if not chosen:
        return None
    design = np.column_stack([np.ones(len(y)), z[:, chosen]])
    weights, *_ = np.linalg.lstsq(design, y, rcond=None)
    residual = y - design @ weights
    share = 1 - float((residual**2).sum() / max(1, len(y) - len(weights))) / max(1e-12, float(y.var(ddof=1)))
    names = [features[i].name for i in chosen]
    tables = [w * _term(features[i], columns[features[i].name][sample], y, entities[sample])[1] for i, w in zip(chosen, weights[1:], strict=True)]
    guide = Guide(names, tables, float(weights[0]), np.empty(0), np.empty(0), values, max(0.0, share))
    predicted = guide.predict({n: columns[n] for n in names}, len(x))
    left = normal_scores(x, values) - predicted
    left[sample] = residual  # without the row's own share in the means
    return guide, predicted, left


def normal_scores(x: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The normal quantile of each value's place among `values` (ascending), the middle one among equals; NaN stays."""
    from scipy.special import ndtri

    place = (np.searchsorted(values, x, "left") + np.searchsorted(values, x, "right")) / 2
    u = np.clip(place / len(values), 0.5 / len(values), 1 - 0.5 / len(values))
    return np.where(np.isnan(x), np.nan, ndtri(u))


def grid_of(scores: np.ndarray) -> np.ndarray:
    """Quantiles at 257 even levels, strictly ascending."""
    grid = np.quantile(scores, _GRID)
    return np.asarray(grid + np.arange(len(grid)) * 1e-9)


def _codes(values: np.ndarray, size: int) -> np.ndarray:
    """Positions in a term's table: bins as they are, codes with what is missing or unknown at the end."""
    if values.dtype == np.uint8:
        return values
    return np.where((values < 0) | (values >= size - 1), size - 1, values)


def _term(feature: Feature, values: np.ndarray, y: np.ndarray, entities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A feature as a number: standard score of a bin, shrunken mean of a category; per row, and as a table."""
    if not feature.codes:
        count = np.bincount(values, minlength=MAX_BINS + 1).astype(float)
        count[0] = 0  # missing stands in the middle
        below = np.cumsum(count) - count / 2
        table = np.where(count > 0, (below / max(1.0, count.sum()) - 0.5) * 3.46, 0.0)
        # Bins that did not occur stand between their neighbours.
        seen = np.flatnonzero(count > 0)
        if len(seen):
            table[1:] = np.interp(np.arange(1, len(table)), seen, table[seen])
        return table[values], table
    size = feature.codes + 1
    code = _codes(values, size).astype(np.int64)
    _, entity = np.unique(entities, return_inverse=True)
    pair, inverse = np.unique(code * (int(entity.max()) + 1) + entity, return_inverse=True)
    of = pair // (int(entity.max()) + 1)
    total, weight = np.bincount(inverse, y), np.bincount(inverse).astype(float)
    # Entities count alike: the mean of a category is that of its entities' means, shrunk by their number.
    mean = total / weight
    sums, members = np.bincount(of, mean, minlength=size), np.bincount(of, minlength=size).astype(float)
    table = sums / (members + _SHRINK)
    others = (sums[of] - mean) / (members[of] - 1 + _SHRINK)
    return others[inverse], table


def _pursue(z: np.ndarray, y: np.ndarray, means: np.ndarray) -> list[int]:
    """The significant columns of `z` (n, d), the strongest first.

    Where `means` (d,), a column holds means of the others in a category: by themselves they run against a row's own value.
    """
    n = len(y)
    centred = z - z.mean(axis=0)
    scale = np.sqrt((centred**2).sum(axis=0))
    usable = scale > 1e-9
    q = np.zeros((n, 0))
    residual = y - y.mean()
    chosen: list[int] = []
    while len(chosen) < min(_TERMS, n // 10):
        free = centred - q @ (q.T @ centred)
        length = np.sqrt((free**2).sum(axis=0))
        good = usable & (length > 0.05 * scale)
        good[chosen] = False
        norm = np.sqrt(float((residual**2).sum()))
        if not good.any() or norm < 1e-9:
            break
        r = np.where(good, (residual @ free) / np.where(good, length, 1), 0) / norm
        r = np.where(means, np.maximum(r, 0), np.abs(r))
        best = int(r.argmax())
        t = r[best] * np.sqrt((n - len(chosen) - 2) / max(1e-12, 1 - r[best] ** 2))
        if t < _SIGNIFICANT:
            break
        unit = free[:, best] / length[best]
        q = np.column_stack([q, unit])
        residual = residual - unit * float(unit @ residual)
        chosen.append(best)
    return chosen
