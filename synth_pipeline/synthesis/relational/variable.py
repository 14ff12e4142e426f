"""A variable: anything that is drawn per row from a context, such as a column, a count of children, a block of parents.

A variable is one or two honest trees whose leaves hold donor values. Drawing is by inversion with stratified uniform
numbers within a leaf, and between neighbouring donors where the values are continuous.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from synth_pipeline.synthesis.relational.encode import bin_edges, digitize, outputs_of
from synth_pipeline.synthesis.relational.guide import NAME, Guide, fit_guide, grid_of
from synth_pipeline.synthesis.relational.random import spread_along, stratified
from synth_pipeline.synthesis.relational.trees import Feature, Tree, grow

_SMALL = 200
_WORTH = 0.02
"""What a linear part must explain beyond a tree alone."""
_REHEARSALS = 8
_SHARED = 0.4
"""Numbers with fewer distinct values than this share of the rows say nothing about a single row."""


@dataclass(frozen=True)
class Privacy:
    """What a level of privacy means for the trees.

    Attributes:
        min_rows, min_entities: fewest donors of a leaf, and fewest root entities among them.
        honest: whether structure and donors come from different entities.
        min_category: categories with fewer root entities are not reproduced.
    """

    min_rows: int
    min_entities: int
    honest: bool
    min_category: int


PRIVACY = {
    "none": Privacy(8, 1, False, 1),
    "standard": Privacy(30, 10, True, 1),
    "strict": Privacy(60, 20, True, 5),
}


@dataclass
class Variable:
    """Fitted trees over a context.

    Attributes:
        trees: one, or two with exchanged halves; donors are values (float, NaN for NULL), sorted within a leaf.
        reach: values up to this far apart are interpolated; 0 draws the donors' values themselves.
        guide: the linear part of a number; donors are then residuals of its scores.
    """

    trees: list[Tree]
    reach: float = 0.0
    guide: Guide | None = None

    @property
    def features(self) -> set[str]:
        """Names of the features that any tree looks at."""
        return ({n for t in self.trees for n in t.names} - {NAME}) | set(self.guide.names if self.guide else ())

    def draw(
        self,
        columns: Mapping[str, np.ndarray],
        rows: int,
        rng: np.random.Generator,
        places: np.ndarray | None = None,
        weights: np.ndarray | None = None,
        *,
        part: bool = False,
    ) -> np.ndarray:
        """Draws a value per row; float (rows,), NaN for NULL.

        Args:
            columns: the context.
            rows: how many.
            rng: the stream.
            places: quantiles to take, float (rows,) in [0, 1), NaN for any.
            weights: how many rows each draw stands for, float (rows,); None: one.
            part: the rows are not like those that were learnt from, but a part of a draw.
        """
        if rows == 0:
            return np.empty(0)
        if self.guide is None:
            return self._pick(columns, rows, rng, self.reach, places, weights)
        predicted = self.guide.predict(columns, rows)
        known = {**columns, NAME: digitize(predicted, self.guide.edges)}
        scores = predicted + self._pick(known, rows, rng, np.inf, places, weights, predicted)
        return between(self.guide.values, self.guide.levels(scores, None if part else weights if weights is not None else np.ones(rows)), self.reach)

    def _pick(
        self,
        columns: Mapping[str, np.ndarray],
        rows: int,
        rng: np.random.Generator,
        reach: float,
        places: np.ndarray | None = None,
        weights: np.ndarray | None = None,
        along: np.ndarray | None = None,
    ) -> np.ndarray:
        """A donor, or what lies between two, per row; spread evenly along `along`, where that is given."""
        which = rng.integers(0, len(self.trees), rows) if len(self.trees) > 1 else np.zeros(rows, dtype=np.int64)
        leaf = np.zeros(rows, dtype=np.int64)
        start, size, donors = [], [], []
        nodes = taken = 0
        for i, tree in enumerate(self.trees):
            mine = np.flatnonzero(which == i)
            leaf[mine] = nodes + tree.route({n: columns[n][mine] for n in tree.names}, len(mine))
            start.append(taken + tree.start)
            size.append(tree.size)
            donors.append(tree.donors)
            nodes += len(tree.feature)
            taken += len(tree.donors)
        starts, sizes, pool = np.concatenate(start), np.concatenate(size), np.concatenate(donors)
        if not len(pool):
            return np.full(rows, np.nan)
        quantile = stratified(rng, leaf, weights) if along is None or weights is not None else spread_along(rng, leaf, along)
        if places is not None:
            quantile = np.where(np.isnan(places), quantile, places)
        return between(pool, quantile, reach, starts[leaf], sizes[leaf])


def between(
    values: np.ndarray, quantile: np.ndarray, reach: float, start: np.ndarray | int = 0, size: np.ndarray | int | None = None
) -> np.ndarray:
    """Quantiles of ranges of `values`, each ascending; two neighbours up to `reach` apart are interpolated.

    Args:
        values: float (m,), NaN last within a range.
        quantile: float (n,) in [0, 1); NaN gives NaN.
        reach: 0 gives the values themselves.
        start: where the range of each quantile begins, int (n,).
        size: its length, int (n,); by default all of `values`.
    """
    size = len(values) if size is None else size
    position = np.nan_to_num(quantile) * size
    index = position.astype(np.int64)
    low = np.where(np.isnan(quantile), np.nan, values[start + index])
    if reach <= 0:
        return low
    high = values[start + np.minimum(index + 1, size - 1)]
    with np.errstate(invalid="ignore"):
        near = np.isfinite(low) & np.isfinite(high) & (high - low <= reach)
        return np.where(near, low + (position - index) * (high - low), low)


def explained(variable: Variable, codes: int) -> float:
    """The share of the donors' variance (of ranks, or Gini of categories) that lies between leaves, less what chance gives."""
    if variable.guide is not None:
        return 1 - (1 - variable.guide.share) * (1 - explained(Variable(variable.trees), 0))
    within = whole = 0.0
    for tree in variable.trees:
        score = _scores(tree.donors, codes)
        whole += float(((score - score.mean(axis=0)) ** 2).sum()) if len(score) else 0.0
        for start, size in zip(tree.start, tree.size, strict=True):
            if size > 1:
                part = score[start : start + size]
                within += float(((part - part.mean(axis=0)) ** 2).sum()) * size / (size - 1)
    return 1 - within / whole if whole > 0 else 0.0


def _scores(x: np.ndarray, codes: int) -> np.ndarray:
    """Indicators of the commonest categories, or ranks; float (n, d)."""
    if codes:
        known = x[np.isfinite(x)].astype(np.int64)
        common = np.argsort(-np.bincount(known, minlength=1), kind="stable")[:12]
        return np.asarray(x[:, None] == common, dtype=float)
    unique, inverse = np.unique(np.where(np.isnan(x), np.inf, x), return_inverse=True)
    middle = np.cumsum(np.bincount(inverse)) if len(unique) else np.empty(0)
    return middle[inverse][:, None].astype(float)


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
    """
    reach = _reach(x[rows]) if smooth else 0.0
    least = privacy.min_rows if len(rows) >= _SMALL else min(privacy.min_rows, max(10, len(rows) // 8))
    root_entities = len(np.unique(entities[rows])) if len(rows) else 0
    halves = [(rows, rows)]
    if privacy.honest and len(rows) >= _SMALL and root_entities >= 4 * privacy.min_entities:
        # Whole root entities change sides together; the hash does not depend on their number.
        side = (entities[rows].astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(40)) % np.uint64(2) == 0
        halves = [(rows[side], rows[~side]), (rows[~side], rows[side])]

    def trees(x: np.ndarray, features: Sequence[Feature], columns: Mapping[str, np.ndarray], codes: int) -> list[Tree]:
        order = np.where(np.isnan(x), np.inf, x)
        outputs = outputs_of(x, codes, rng) if len(rows) else np.zeros((len(x), 1))
        return [
            grow(
                features, columns, outputs, structure, donors, order,
                entities=entities, min_rows=least, min_entities=min(privacy.min_entities, max(1, root_entities // 4)), rng=rng, max_leaves=max_leaves,
            ).with_values(x)
            for structure, donors in halves
        ]  # fmt: skip

    plain = Variable(trees(x, features, columns, codes), reach)
    found = fit_guide(x, rows, features, columns, entities, rng) if codes == 0 else None
    if found is None:
        return plain
    guide, predicted, residual = found
    guide.edges = bin_edges(predicted[rows])
    guided = Variable(trees(residual, [*features, Feature(NAME)], {**columns, NAME: digitize(predicted, guide.edges)}, 0), reach, guide)
    if explained(guided, 0) < explained(plain, 0) + _WORTH:
        return plain
    context = {n: columns[n][rows] for n in guided.features} | {NAME: digitize(predicted[rows], guide.edges)}
    drawn = [predicted[rows] + guided._pick(context, len(rows), rng, np.inf) for _ in range(_REHEARSALS)]
    scores = np.concatenate(drawn)
    guide.grid = grid_of(scores[np.isfinite(scores)])
    return guided


def _reach(x: np.ndarray) -> float:
    """How far apart neighbouring donors may lie to be interpolated: 0 for values that many rows share."""
    x = x[np.isfinite(x)]
    if len(x) < 10 or len(np.unique(x)) <= max(20, _SHARED * len(x)):
        return 0.0
    low, high = np.quantile(x, [0.01, 0.99])
    return float(high - low) / 10


def without_rare(x: np.ndarray, codes: int, entities: np.ndarray, least: int) -> np.ndarray:
    """Categories of fewer than `least` root entities take the place of the commonest one."""
    known = np.isfinite(x)
    pairs = np.unique(np.stack([x[known].astype(np.int64), entities[known]], axis=1), axis=0)
    owners = np.bincount(pairs[:, 0], minlength=codes)
    rare = owners < least
    if rare.all() or not rare.any():
        return x
    out = x.copy()
    out[known] = np.where(rare[x[known].astype(np.int64)], float(owners.argmax()), x[known])
    return out
