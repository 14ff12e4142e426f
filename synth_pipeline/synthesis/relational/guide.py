"""What a few linear terms say of a number, so that small tables keep their trends.

The normal scores of a number are regressed on scores of the context, chosen one at a time while they are significant
(orthogonal matching pursuit, Pati et al. 1993; scores as in a Gaussian copula). The tree then holds residuals: a table of
fifty rows has no leaf to spare for a trend, and a sum of prediction and residual belongs to no real row.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from synth_pipeline.synthesis.relational.distinct import several
from synth_pipeline.synthesis.relational.trees import Feature

NAME = "guide"
"""The prediction as a feature of the residuals."""
_TERMS = 6
_SIGNIFICANT = 4.0
"""Least t value of a term: many are tried."""
_MOST_ROWS = 20_000
_LEAST_SHRINK, _MOST_SHRINK = 0.01, 50.0
"""A category's mean counts as if so many entities with the overall mean had been seen, too: at least and at most."""
_FEW = 20
"""So many scores tell as much of the marginal distribution by themselves as the training rows do."""
_LEAST_BINS = 10
"""Values that a number must have for a line of the values themselves: what four chromosomes are like says nothing of a fifth one."""
_GRID = np.linspace(0, 1, 1025)


@dataclass
class Guide:
    """A linear prediction of normal scores.

    Attributes:
        names: the features.
        tables: for each the term's value by bin or code (the last entry is for what is missing or unknown).
        intercept: of the prediction.
        edges: bins of the prediction as a feature.
        grid: quantiles of prediction plus residual, at 1,025 even levels, that make the marginal distribution exact.
        values: the values, ascending.
        share: of the variance of the scores that is explained.
        middle, unit: where scores are not normal ones but the values themselves, `middle + unit * score` is a value.
    """

    names: list[str]
    tables: list[np.ndarray]
    intercept: float
    edges: np.ndarray
    grid: np.ndarray
    values: np.ndarray
    share: float
    middle: float = 0.0
    unit: float = 0.0

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
                the marginal distribution is kept whatever the predictions are like, and as the prediction leaves room for
                it; None: that among the training rows.
        """
        u = np.interp(scores, self.grid, _GRID)
        known = np.flatnonzero(np.isfinite(scores))
        if weights is not None and len(known):
            order = known[np.argsort(scores[known], kind="stable")]
            share = weights[order]
            among = (np.cumsum(share) - share / 2) / share.sum()
            trust = len(known) / (len(known) + _FEW) * (1 - self.share)
            u[order] = trust * among + (1 - trust) * u[order]
        return np.where(np.isnan(scores), np.nan, np.clip(u, 0, np.nextafter(1.0, 0.0)))


class Terms:
    """The context of some rows as numbers, and how these go together with each other and with the scores of a number.

    What is learnt from it, with one set of features or another, needs no row any more.
    """

    def __init__(
        self,
        x: np.ndarray,
        rows: np.ndarray,
        features: Sequence[Feature],
        columns: Mapping[str, np.ndarray],
        entities: np.ndarray,
        rng: np.random.Generator,
        *,
        exact: bool = False,
    ) -> None:
        """Looks at all features.

        Args:
            x: values of all rows, float (n,), NaN for NULL.
            rows: the rows to learn from.
            features: the context; `columns` has an array (n,) for each.
            columns: the context's values.
            entities: root entity of each row, int (n,); a row's own entity has no say in the category means that predict it.
            rng: chooses at most 20,000 rows.
            exact: scores are the values themselves, and not normal scores.
        """
        known = rows[np.isfinite(x[rows])]
        self._x, self._rows, self._columns = x, rows, columns
        self._values = np.sort(x[known])
        self._terms: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        if len(known) < 20 or not several(self._values, 3):
            return
        sample = rng.choice(known, _MOST_ROWS, replace=False) if len(known) > _MOST_ROWS else known
        self._sample = sample[np.argsort(entities[sample], kind="stable")]
        self._middle, self._unit = (float(self._values.mean()), float(self._values.std())) if exact else (0.0, 0.0)
        self._scores = self._score(x[self._sample])
        known_features = [f for f in features if f.codes or several(columns[f.name][sample], _LEAST_BINS if exact else 2)]
        self._terms = {f.name: _term(f, columns[f.name][self._sample], self._scores, entities[self._sample]) for f in known_features}
        if not self._terms:
            return
        self._numbers = np.stack([z for z, _ in self._terms.values()])
        self._centre = self._numbers.mean(axis=1)
        self._numbers -= self._centre[:, None]
        self._together = self._numbers @ self._numbers.T
        self._with_scores = self._numbers @ (self._scores - self._scores.mean())
        self._means = np.array([f.codes > 0 for f in known_features])

    def fit(self, names: Collection[str]) -> tuple[Guide, np.ndarray, np.ndarray] | None:
        """Looks for linear terms among some of the features.

        Returns:
            The guide (its grid is still empty), the predictions (n,) of all rows and the residuals (n,) of those to learn
            from, NaN elsewhere; None where nothing is significant.
        """
        usable = np.array([name in names for name in self._terms], dtype=bool)
        if not usable.any():
            return None
        y = self._scores - self._scores.mean()
        spread = float(y @ y)
        chosen = _pursue(self._together, self._with_scores, spread, len(y), usable, self._means)
        if not chosen:
            return None
        weights = np.linalg.solve(self._together[np.ix_(chosen, chosen)], self._with_scores[chosen])
        residual = y - weights @ self._numbers[chosen]
        share = 1 - float(residual @ residual) / max(1, len(y) - len(weights) - 1) / max(1e-12, spread / max(1, len(y) - 1))
        found = [list(self._terms)[i] for i in chosen]
        tables = [w * self._terms[name][1] for name, w in zip(found, weights, strict=True)]
        intercept = float(self._scores.mean() - weights @ self._centre[chosen])
        values = np.empty(0) if self._unit else self._values
        guide = Guide(found, tables, intercept, np.empty(0), np.empty(0), values, max(0.0, share), self._middle, self._unit)
        predicted = guide.predict({n: self._columns[n] for n in found}, len(self._x))
        left = np.full(len(self._x), np.nan)
        left[self._rows] = self._score(self._x[self._rows]) - predicted[self._rows]
        left[self._sample] = residual  # without the row's own share in the means
        return guide, predicted, left

    def _score(self, x: np.ndarray) -> np.ndarray:
        return (x - self._middle) / self._unit if self._unit else normal_scores(x, self._values)


def normal_scores(x: np.ndarray, values: np.ndarray) -> np.ndarray:
    """About the normal quantile of each value's place among `values` (ascending), the middle one among equals; NaN stays.

    Tukey's lambda distribution is within .01 of the normal one, and its quantiles are simple.
    """
    starts = np.flatnonzero(np.r_[True, values[1:] != values[:-1]])
    unique, count = values[starts], np.diff(np.r_[starts, len(values)])
    u = np.clip((np.cumsum(count) - count / 2) / len(values), 0.5 / len(values), 1 - 0.5 / len(values))
    score = 4.91 * (u**0.14 - (1 - u) ** 0.14)
    return np.where(np.isnan(x), np.nan, score[np.searchsorted(unique, x).clip(0, len(unique) - 1)])


def grid_of(scores: np.ndarray) -> np.ndarray:
    """Quantiles at 1,025 even levels, strictly ascending."""
    grid = np.quantile(scores, _GRID)
    return np.asarray(grid + np.arange(len(grid)) * 1e-9)


def _codes(values: np.ndarray, size: int) -> np.ndarray:
    """Positions in a term's table: bins as they are, codes with what is missing or unknown at the end."""
    if values.dtype == np.uint8:
        return values
    return np.where((values < 0) | (values >= size - 1), size - 1, values)


def _term(feature: Feature, values: np.ndarray, y: np.ndarray, entities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A feature as a number: standard score of a bin, shrunken mean of a category; per row, and as a table.

    Rows of an entity follow each other.
    """
    if not feature.codes:
        count = np.bincount(values, minlength=256).astype(float)
        count[0] = 0  # missing stands in the middle
        below = np.cumsum(count) - count / 2
        share = np.clip(below / max(1.0, count.sum()), 1e-4, 1 - 1e-4)
        table = np.where(count > 0, 4.91 * (share**0.14 - (1 - share) ** 0.14), 0.0)
        # Bins that did not occur stand between their neighbours.
        seen = np.flatnonzero(count > 0)
        if len(seen):
            table[1:] = np.interp(np.arange(1, len(table)), seen, table[seen])
        return table[values], table
    size = feature.codes + 1
    code = _codes(values, size)
    order = np.argsort(code.astype(np.uint16) if size < 2**16 else code, kind="stable")
    code, entity = code[order], entities[order]
    first = np.r_[True, (code[1:] != code[:-1]) | (entity[1:] != entity[:-1])]
    pair, of = np.cumsum(first) - 1, code[first]
    # Entities count alike: the mean of a category is that of its entities' means, shrunk by their number.
    mean = np.bincount(pair, y[order]) / np.bincount(pair)
    sums, members = np.bincount(of, mean, minlength=size), np.bincount(of, minlength=size).astype(float)
    shrink = _shrinkage(mean, of, sums, members)
    table = sums / (members + shrink)
    others = np.empty(len(y))
    others[order] = ((sums[of] - mean) / (members[of] - 1 + shrink))[pair]
    return others, table


def _shrinkage(mean: np.ndarray, of: np.ndarray, sums: np.ndarray, members: np.ndarray) -> float:
    """How far the means of categories are pulled to 0: the variance of entities within, as a multiple of that between them.

    Moments of the one-way layout, as in empirical Bayes (Efron & Morris 1975); `mean` and `of` are entities' means and
    categories, `sums` and `members` the sum and number by category.
    """
    spare = len(mean) - int((members > 0).sum())
    if spare <= 0:
        return _MOST_SHRINK
    middle = sums / np.maximum(members, 1)
    within = float(((mean - middle[of]) ** 2).sum()) / spare
    between = float((members * (middle - mean.mean()) ** 2).sum()) / len(mean) - within * (len(mean) - spare - 1) / len(mean)
    return float(np.clip(within / max(between, 1e-12), _LEAST_SHRINK, _MOST_SHRINK))


def _pursue(together: np.ndarray, with_scores: np.ndarray, spread: float, n: int, usable: np.ndarray, means: np.ndarray) -> list[int]:
    """The significant terms, the strongest first.

    Args:
        together: products of the terms around their means, float (d, d); swept by what is chosen, term by term.
        with_scores: products of the terms with the scores, float (d,).
        spread: sum of squares of the scores.
        n: number of rows.
        usable: the terms to choose from, bool (d,).
        means: where a term holds means of the others in a category: by themselves they run against a row's own value.
    """
    together, with_scores = together.copy(), with_scores.copy()
    whole, rest = together.diagonal().copy(), spread
    chosen: list[int] = []
    while len(chosen) < min(_TERMS, n // 10):
        free = together.diagonal()
        good = usable & (whole > 1e-18) & (free > 0.0025 * whole)
        good[chosen] = False
        if not good.any() or rest < 1e-12 * max(1.0, spread):
            break
        r = np.where(good, with_scores / np.sqrt(np.where(good, free, 1.0) * rest), 0)
        r = np.where(means, np.maximum(r, 0), np.abs(r))
        best = int(r.argmax())
        t = r[best] * np.sqrt((n - len(chosen) - 2) / max(1e-12, 1 - r[best] ** 2))
        if t < _SIGNIFICANT:
            break
        swept, slope = together[best] / free[best], with_scores[best] / free[best]
        rest -= slope * with_scores[best]
        with_scores = with_scores - slope * together[best]
        together = together - np.outer(together[best], swept)
        chosen.append(best)
    return chosen
