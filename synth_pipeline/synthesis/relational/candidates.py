"""Fitting a variable: what it may be like (with a linear part or without, knowing the sibling before or not), and which is best.

Candidates are compared by the share of the variance that they explain on the root entities that did not shape their trees.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from synth_pipeline.synthesis.relational.encode import bin_edges, digitize, outputs_of
from synth_pipeline.synthesis.relational.guide import NAME, Guide, Terms, grid_of
from synth_pipeline.synthesis.relational.trees import Feature, grow, growing_rows
from synth_pipeline.synthesis.relational.variable import Privacy, Variable

_SMALL = 200
_WORTH, _LEAST_WORTH, _MOST_WORTH = 50.0, 0.002, 0.02
"""What a linear part must explain beyond a tree alone: so much over the number of rows, but between the other two."""
_STRONG = 0.8
"""What a linear part of scores must explain for one of the values themselves to be tried, which keeps what is near a place there."""
_CLOSER = 0.5
"""It is taken where it leaves at most this share of what scores, and what a tree alone, leave open."""
_MANY = 5_000
"""Rows from which on one tree is enough to tell which kind of variable is better."""
_REHEARSED, _REHEARSALS = 40_000, 8
"""Draws that tell the distribution of predictions and residuals together: about so many, and at most so many per row."""
_SHARED, _SEVERAL = 0.4, 20
"""Numbers with fewer distinct values than this share of the rows, or so few (half of the rows, where these are fewer than forty),
say nothing about a single row."""


def explained(variable: Variable, codes: int, *, exact: bool = False) -> float:
    """The share of the donors' variance that lies between leaves, less what chance gives: of ranks, of `exact` values, or Gini of categories."""
    if variable.guide is not None:
        return 1 - (1 - variable.guide.share) * (1 - explained(Variable(variable.trees), 0))
    within = whole = 0.0
    for tree in variable.trees:
        leaf = np.repeat(np.arange(len(tree.size)), tree.size)
        spread = np.zeros(len(tree.size))
        for score in [_around(tree.donors)] if exact else _scores(tree.donors, codes):
            whole += float(score @ score)
            sums, squares = (np.bincount(leaf, s, minlength=len(spread)) for s in (score, score**2))
            spread += squares - sums**2 / np.maximum(tree.size, 1)
        within += float((spread * tree.size / np.maximum(tree.size - 1, 1))[tree.size > 1].sum())
    return 1 - within / whole if whole > 0 else 0.0


def _scores(x: np.ndarray, codes: int) -> list[np.ndarray]:
    """Indicators of the commonest categories, or ranks, around their means; each float (n,)."""
    if codes:
        scores = [(x == c).astype(float) for c in _common(x)]
    else:
        _, inverse, count = np.unique(np.where(np.isnan(x), np.inf, x), return_inverse=True, return_counts=True)
        scores = [np.cumsum(count)[inverse].astype(float)]
    return [score - score.mean() for score in scores] if len(x) else []


def _around(x: np.ndarray) -> np.ndarray:
    """Values around their mean, 0 for NULL."""
    return np.nan_to_num(x - np.nanmean(x)) if np.isfinite(x).any() else np.zeros(len(x))


def _common(x: np.ndarray) -> list[int]:
    """The commonest categories, at most 12."""
    count = np.bincount(x[np.isfinite(x)].astype(np.int64), minlength=1)
    found: list[int] = np.argsort(-count, kind="stable")[: min(12, (count > 0).sum())].tolist()
    return found


def fit_variable(
    x: np.ndarray,
    rows: np.ndarray,
    features: Sequence[Feature],
    columns: Mapping[str, np.ndarray],
    entities: np.ndarray,
    privacy: Privacy,
    rng: np.random.Generator,
    *,
    codes: int = 0,
    smooth: bool = False,
    max_leaves: int = 4096,
    extra: Feature | None = None,
    margin: float = 0.0,
) -> Variable:
    """Fits a variable.

    Args:
        x: values of all rows, float (n,), NaN for NULL.
        rows: the rows to learn from.
        features: the context; `columns` has an array (n,) for each.
        columns: the context's values.
        entities: root entity of each row, int (n,).
        privacy: sizes of leaves.
        rng: the stream of this variable.
        codes: number of categories, where `x` are codes.
        smooth: whether values between two donors are possible.
        max_leaves: most leaves per tree.
        extra: a feature that is used only where it explains `margin` more.
        margin: a share of the variance.
    """
    fitter = _Fitter(x, rows, columns, entities, privacy, rng, codes, smooth, max_leaves, [*features, *([extra] if extra else [])])
    found = fitter.best(features)
    if extra is not None and fitter.promise(found, columns[extra.name]) >= margin / 2:
        other = fitter.best([*features, extra])
        if explained(other.variable, codes) > explained(found.variable, codes) + margin:
            found = other
    return fitter.complete(found)


@dataclass
class _Candidate:
    """What a variable may be like: with a linear part or without, with some features or others.

    Attributes:
        variable: with as many trees as there are yet.
        x: the values of its donors, float (n,).
        outputs: what its trees explain, float (n, d).
        donors: row numbers for each tree, in the order of their values.
        features: the context; `columns` has the values.
        columns: the context's values.
        predicted: by the linear part.
        first: the row numbers of the donors of the first tree, leaf by leaf.
    """

    variable: Variable
    x: np.ndarray
    outputs: np.ndarray
    donors: Sequence[np.ndarray]
    features: Sequence[Feature]
    columns: Mapping[str, np.ndarray]
    predicted: np.ndarray | None = None
    first: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))


class _Fitter:
    """Grows candidates on the same rows and compares them, by one tree each where rows are many; the best one gets its other tree."""

    def __init__(
        self, x: np.ndarray, rows: np.ndarray, columns: Mapping[str, np.ndarray], entities: np.ndarray, privacy: Privacy,
        rng: np.random.Generator, codes: int, smooth: bool, max_leaves: int, features: Sequence[Feature],
    ) -> None:  # fmt: skip
        self._x, self._rows, self._columns, self._entities = x, rows, columns, entities
        self._rng, self._codes, self._max_leaves = rng, codes, max_leaves
        self._reach = _reach(x[rows]) if smooth else 0.0
        self._min_rows = privacy.min_rows if len(rows) >= _SMALL else min(privacy.min_rows, max(10, len(rows) // 8))
        root_entities = len(np.unique(entities[rows])) if len(rows) else 0
        self._min_entities = min(privacy.min_entities, max(1, root_entities // 4))
        halves = [(rows, rows)]
        if privacy.honest and len(rows) >= _SMALL and root_entities >= 4 * privacy.min_entities:
            # Whole root entities change sides together; the hash does not depend on their number.
            side = (entities[rows].astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(40)) % np.uint64(2) == 0
            halves = [(rows[side], rows[~side]), (rows[~side], rows[side])]
        self._structures = [growing_rows(structure, rng) for structure, _ in halves]
        self._donors = [donors for _, donors in halves]
        self._judges = 1 if len(rows) >= _MANY else len(halves)
        self._plain = x, self._outputs_of(x, codes), self._in_order(x)
        self._features = features
        self._terms = Terms(x, rows, features, columns, entities, rng) if codes == 0 else None
        self._worth = float(np.clip(_WORTH / max(1, len(rows)), _LEAST_WORTH, _MOST_WORTH))

    def best(self, features: Sequence[Feature]) -> _Candidate:
        """The better one with these features: with a linear part, or without."""
        plain = _Candidate(Variable([], self._reach), *self._plain, features, self._columns)
        self._grow(plain, self._judges)
        names = {f.name for f in features}
        found = self._terms.fit(names) if self._terms is not None else None
        if found is None or found[0].share < self._worth:
            return plain
        if self._reach and found[0].share > _STRONG:
            exact = self._exact.fit(names)
            if exact is not None and 1 - exact[0].share < _CLOSER * (1 - found[0].share):
                guided = self._guided(features, *exact)
                if 1 - explained(guided.variable, 0) < _CLOSER * (1 - explained(plain.variable, 0, exact=True)):
                    return guided
        predicted = found[1]
        if self.promise(plain, digitize(predicted, bin_edges(predicted[self._rows]))) < self._worth / 2:
            return plain
        guided = self._guided(features, *found)
        return guided if explained(guided.variable, 0) >= explained(plain.variable, 0) + self._worth else plain

    @cached_property
    def _exact(self) -> Terms:
        return Terms(self._x, self._rows, self._features, self._columns, self._entities, self._rng, exact=True)

    def _guided(self, features: Sequence[Feature], guide: Guide, predicted: np.ndarray, residual: np.ndarray) -> _Candidate:
        """The candidate with this linear part."""
        guide.edges = bin_edges(predicted[self._rows])
        variable, outputs, donors = Variable([], self._reach, guide), self._outputs_of(residual, 0), self._in_order(residual)
        columns = {**self._columns, NAME: digitize(predicted, guide.edges)}
        guided = _Candidate(variable, residual, outputs, donors, [*features, Feature(NAME)], columns, predicted)
        self._grow(guided, self._judges)
        return guided

    def promise(self, candidate: _Candidate, values: np.ndarray) -> float:
        """About how much more of the variance a feature (n,) would explain: what it says within the leaves of the first tree."""
        tree, values = candidate.variable.trees[0], values[candidate.first]
        if not len(values):
            return 0.0
        leaf = np.repeat(np.arange(len(tree.size)), tree.size)

        def around(x: np.ndarray) -> np.ndarray:
            return np.asarray(x - (np.bincount(leaf, x, minlength=len(tree.size)) / np.maximum(tree.size, 1))[leaf])

        groups = np.unique(values, return_inverse=True)[1]
        count = np.bincount(groups)
        # Its own effect, and that of its distance from what is usual in the leaf: leaves may differ in it, too.
        whole = own = within = 0.0
        for score, category in zip(_scores(tree.donors, self._codes), _common(tree.donors) if self._codes else [None], strict=True):
            whole += float(score @ score)
            rest = around(score)
            own += float((np.bincount(groups, rest) ** 2 / count).sum() - rest @ rest * len(count) / len(rest))
            told = around((values if category is None else values == category).astype(float))
            terms = np.stack([told, np.abs(told) - np.abs(told).mean()]) if category is None else told[None]
            within += float((terms @ rest) @ np.linalg.lstsq(terms @ terms.T, terms @ rest)[0])
        left = 1 - candidate.variable.guide.share if candidate.variable.guide is not None else 1.0
        return left * max(own, within) / whole if whole > 0 else 0.0

    def complete(self, candidate: _Candidate) -> Variable:
        """The candidate with all trees, and with the distribution that its linear part and its residuals have together."""
        self._grow(candidate, len(self._donors))
        variable, predicted = candidate.variable, candidate.predicted
        if variable.guide is not None and predicted is not None and not variable.guide.unit:
            rows = self._rows
            context = {n: candidate.columns[n][rows] for t in variable.trees for n in t.names}
            draws = int(np.clip(_REHEARSED // max(1, len(rows)), 1, _REHEARSALS))
            scores = np.concatenate([predicted[rows] + variable.pick(context, len(rows), self._rng, np.inf) for _ in range(draws)])
            variable.guide.grid = grid_of(scores[np.isfinite(scores)])
        return variable.evened()

    def _outputs_of(self, x: np.ndarray, codes: int) -> np.ndarray:
        """What trees explain of the rows to learn from; float (n, d)."""
        of_rows = outputs_of(x[self._rows], codes, self._rng) if len(self._rows) else np.zeros((0, 1))
        outputs = np.zeros((len(x), of_rows.shape[1]))
        outputs[self._rows] = of_rows
        return outputs

    def _grow(self, candidate: _Candidate, trees: int) -> None:
        """Adds trees to a candidate until it has so many."""
        for i in range(len(candidate.variable.trees), trees):
            tree = grow(
                candidate.features, candidate.columns, candidate.outputs, self._structures[i], candidate.donors[i],
                entities=self._entities, min_rows=self._min_rows, min_entities=self._min_entities, rng=self._rng, max_leaves=self._max_leaves,
            )  # fmt: skip
            candidate.first = candidate.first if i else tree.donors
            candidate.variable.trees.append(tree.with_values(candidate.x))

    def _in_order(self, x: np.ndarray) -> list[np.ndarray]:
        """The donors of each tree in the order of their values."""
        return [donors[np.argsort(x[donors])] for donors in self._donors]


def _reach(x: np.ndarray) -> float:
    """How far apart neighbouring donors may lie to be interpolated: 0 for values that many rows share."""
    x = x[np.isfinite(x)]
    if len(x) < 10 or len(np.unique(x)) <= max(min(_SEVERAL, len(x) / 2), _SHARED * len(x)):
        return 0.0
    low, high = np.quantile(x, [0.01, 0.99])
    return float(high - low) / 10
