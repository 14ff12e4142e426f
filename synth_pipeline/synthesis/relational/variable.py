"""A variable: anything that is drawn per row from a context, such as a column, a count of children, a block of parents.

A variable is one or two honest trees whose leaves hold donor values. Drawing is by inversion with stratified uniform
numbers within a leaf, and between neighbouring donors where the values are continuous. How it is fitted is in `candidates`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from synth_pipeline.synthesis.relational.encode import digitize
from synth_pipeline.synthesis.relational.guide import NAME, Guide
from synth_pipeline.synthesis.relational.random import spread_along, stratified
from synth_pipeline.synthesis.relational.shares import drawn_in_shares
from synth_pipeline.synthesis.relational.trees import Tree
from synth_pipeline.synthesis.relational.zeros import place_of

_AGAIN = 6
"""How often what never goes with the context is drawn again."""
_BLOCK, _BLOCKS, _LONGEST, _EQUAL = 20, 50, 0.6, 0.25
"""Most gaps between neighbours that are made even; fewest such blocks in a range; the share of a block that one gap may have, and the share
of its gaps that may be between equals."""


@dataclass(frozen=True)
class Privacy:
    """What a level of privacy means for the trees.

    Attributes:
        min_rows, min_entities: fewest donors of a leaf, and fewest root entities among them.
        honest: whether structure and donors come from different entities.
        min_category: categories, and ends of numbers, with fewer root entities are not reproduced; above 1, rows also keep away from
            those who are alone.
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
        shares: whether values come out as often as they are among the donors (`shares`).
        zeros: by feature of the context, which values may go with its categories (`zeros`).
        cells: the edges of the parts that numbers are told apart by in `zeros`; None for categories.
    """

    trees: list[Tree]
    reach: float = 0.0
    guide: Guide | None = None
    shares: bool = False
    zeros: dict[str, np.ndarray] = field(default_factory=dict)
    cells: np.ndarray | None = None

    @property
    def features(self) -> set[str]:
        """Names of the features that are looked at."""
        return ({n for t in self.trees for n in t.names} - {NAME}) | set(self.guide.names if self.guide else ()) | set(self.zeros)

    def evened(self) -> Variable:
        """The same, with what numbers are drawn between made even (see the function of that name)."""
        if self.reach <= 0:
            return self
        if self.guide is None:
            return replace(self, trees=[replace(t, donors=evened(t.donors, self.reach, t.start, t.size)) for t in self.trees])
        values = evened(self.guide.values, self.reach, np.array([0]), np.array([len(self.guide.values)]))
        return replace(self, guide=replace(self.guide, values=values))

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
            x = self.pick(columns, rows, rng, self.reach, places, weights, shares=self.shares and self.reach <= 0 and not part)
        else:
            predicted = self.guide.predict(columns, rows)
            known = {**columns, NAME: digitize(predicted, self.guide.edges)}
            scores = predicted + self.pick(known, rows, rng, np.inf, places, weights, predicted)
            if self.guide.unit:
                x = self.guide.middle + self.guide.unit * scores
            else:
                alike = None if part else weights if weights is not None else np.ones(rows)
                x = between(self.guide.values, self.guide.levels(scores, alike), self.reach)
        return self._possible(columns, x, rng) if self.zeros and places is None else x

    def allowed(self, columns: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """Which categories go with what is known of the context, (n,) each; bool (n, codes), None where all do."""
        known = [table[place_of(columns[name], len(table) - 1)] for name, table in self.zeros.items() if name in columns]
        return np.all(known, axis=0) if known and self.cells is None else None

    def _kinds(self, columns: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Rows told apart by the features of `zeros`, int (n,), and which of their cells go with each kind, bool (kinds, cells)."""
        tables, sizes = list(self.zeros.values()), [len(t) for t in self.zeros.values()]
        codes = np.ravel_multi_index([place_of(columns[n], len(t) - 1) for n, t in self.zeros.items()], sizes)
        kinds, kind = np.unique(codes, return_inverse=True)
        return kind, np.all([t[k] for t, k in zip(tables, np.unravel_index(kinds, sizes), strict=True)], axis=0)

    def _possible(self, columns: Mapping[str, np.ndarray], x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The values, float (n,), drawn again where they never go with the context; in the end any that may, by their frequency."""
        kind, may = self._kinds(columns)
        freely, wrong = replace(self, zeros={}), np.arange(len(x))
        for attempt in range(_AGAIN + 1):
            value = self._cell(x[wrong])
            wrong = wrong[~(may[kind[wrong], value] | np.isnan(x[wrong]))]
            if not len(wrong) or attempt == _AGAIN:
                break
            x[wrong] = freely.draw({n: columns[n][wrong] for n in self.features}, len(wrong), rng, part=True)
        if len(wrong):
            pool = self.guide.values if self.guide is not None and len(self.guide.values) else np.concatenate([t.donors for t in self.trees])
            pool = np.sort(pool[np.isfinite(pool)])
            count = np.bincount(self._cell(pool), minlength=may.shape[1])
            share = np.cumsum(may[kind[wrong]] * count, axis=1)
            place = (share <= (rng.random(len(wrong)) * share[:, -1])[:, None]).sum(axis=1).clip(0, len(count) - 1)
            at = (np.cumsum(count) - count)[place] + (rng.random(len(wrong)) * count[place]).astype(np.int64)
            x[wrong] = np.where(share[:, -1] > 0, pool[np.minimum(at, len(pool) - 1)], x[wrong])
        return x

    def _cell(self, x: np.ndarray) -> np.ndarray:
        """The place of values in the tables of `zeros`: a category, or a part of the numbers."""
        return np.nan_to_num(x).astype(np.int64) if self.cells is None else np.maximum(digitize(x, self.cells).astype(np.int64) - 1, 0)

    def pick(
        self,
        columns: Mapping[str, np.ndarray],
        rows: int,
        rng: np.random.Generator,
        reach: float,
        places: np.ndarray | None = None,
        weights: np.ndarray | None = None,
        along: np.ndarray | None = None,
        *,
        shares: bool = False,
    ) -> np.ndarray:
        """A donor, or what lies between two, per row; spread evenly along `along`, where that is given; in `shares` of all donors."""
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
        if shares:
            return drawn_in_shares(pool, sizes, leaf, quantile, weights, self._kinds(columns) if self.zeros and self.cells is None else None)
        if places is not None:
            quantile = np.where(np.isnan(places), quantile, places)
        return between(pool, quantile, reach, starts[leaf], sizes[leaf])


def evened(values: np.ndarray, reach: float, start: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Values that tell what is drawn between them less exactly: inside of blocks of neighbours they lie evenly.

    Numbers that are drawn between two neighbours, whichever they are, are dense where neighbours happen to lie close together,
    and so nearer to the values than others of their kind are (ln 2 = .69 of them instead of half).

    Args:
        values: float (m,), ascending within each range, NaN last.
        reach: how far apart neighbours may lie to be interpolated (`between`).
        start: where the ranges begin, int (k,).
        size: their lengths, int (k,).

    Returns:
        float (m,): a block with many equal values, or with a gap that is most of it, stays as it is.
    """
    out = values.copy()
    finite = np.r_[0, np.cumsum(np.isfinite(values))]
    known = finite[start + size] - finite[start]
    length = np.minimum(known // _BLOCKS, _BLOCK)
    for first, count, each in zip(start[length > 1], known[length > 1], length[length > 1], strict=True):
        blocks = (count - 1) // each
        at = first + np.arange(blocks)[:, None] * each + np.arange(each + 1)
        block = values[at]
        gaps, span = np.diff(block, axis=1), block[:, -1] - block[:, 0]
        with np.errstate(invalid="ignore"):
            even = ((gaps == 0).sum(axis=1) <= _EQUAL * each) & (gaps.max(axis=1) <= np.minimum(reach, _LONGEST * span))
        out[at[even, 1:-1]] = block[even, :1] + span[even, None] * (np.arange(1, each) / each)
    return out


def between(values: np.ndarray, quantile: np.ndarray, reach: float, start: np.ndarray | int = 0, size: np.ndarray | int | None = None) -> np.ndarray:
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
