"""A variable: anything that is drawn per row from a context, such as a column, a count of children, a block of parents.

A variable is one or two honest trees whose leaves hold donor values. Drawing is by inversion with stratified uniform
numbers within a leaf, and between neighbouring donors where the values are continuous.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from synth_pipeline.synthesis.relational.encode import outputs_of
from synth_pipeline.synthesis.relational.random import stratified
from synth_pipeline.synthesis.relational.trees import Feature, Tree, grow

_SMALL = 200
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
    """

    trees: list[Tree]
    reach: float = 0.0

    @property
    def features(self) -> set[str]:
        """Names of the features that any tree looks at."""
        return {n for t in self.trees for n in t.names}

    def draw(self, columns: Mapping[str, np.ndarray], rows: int, rng: np.random.Generator) -> np.ndarray:
        """Draws a value per row; float (rows,), NaN for NULL."""
        if rows == 0:
            return np.empty(0)
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
        position = stratified(rng, leaf) * sizes[leaf]
        index = position.astype(np.int64)
        low = pool[starts[leaf] + index]
        if self.reach <= 0:
            return np.asarray(low)
        high = pool[starts[leaf] + np.minimum(index + 1, sizes[leaf] - 1)]
        near = np.isfinite(low) & np.isfinite(high) & (high - low <= self.reach)
        return np.asarray(np.where(near, low + (position - index) * (high - low), low))


def explained(variable: Variable, codes: int) -> float:
    """The share of the donors' variance (of ranks, or Gini of categories) that lies between leaves, less what chance gives."""
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
    order = np.where(np.isnan(x), np.inf, x)
    outputs = outputs_of(x, codes, rng) if len(rows) else np.zeros((len(x), 1))
    reach = _reach(x[rows]) if smooth else 0.0
    least = privacy.min_rows if len(rows) >= _SMALL else min(privacy.min_rows, max(10, len(rows) // 8))
    root_entities = len(np.unique(entities[rows])) if len(rows) else 0
    halves = [(rows, rows)]
    if privacy.honest and len(rows) >= _SMALL and root_entities >= 4 * privacy.min_entities:
        # Whole root entities change sides together; the hash does not depend on their number.
        side = (entities[rows].astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(40)) % np.uint64(2) == 0
        halves = [(rows[side], rows[~side]), (rows[~side], rows[side])]
    trees = [
        grow(
            features, columns, outputs, structure, donors, order,
            entities=entities, min_rows=least, min_entities=min(privacy.min_entities, max(1, root_entities // 4)), rng=rng, max_leaves=max_leaves,
        ).with_values(x)
        for structure, donors in halves
    ]  # fmt: skip
    return Variable(trees, reach)


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
