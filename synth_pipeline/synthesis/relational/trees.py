"""Honest histogram trees: the structure comes from one half of the entities, the donors from the other.

A tree is grown level by level on binned features for all outputs at once (histograms as in LightGBM, Ke et al. 2017;
honesty as in Athey & Imbens 2016; leaves as donor pools as in CART synthesis, Reiter 2005). Two trees with the halves
exchanged make one model, so that every training row can be a donor. What is predicted, and how a donor becomes a value,
is not decided here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

MAX_BINS = 64
_MAX_DEPTH = 14
_GROW_ROWS = 20_000
_SCREENED = 24
_MIN_GAIN = 12.0
"""Least gain of a split in units of the node's residual variance: about the .9999 quantile of the best of many null splits."""


@dataclass(frozen=True, slots=True)
class Feature:
    """A column of the context: bins of a number (`codes` 0: bin 0 is missing), or codes of a category (`codes` > 0; -1 is missing)."""

    name: str
    codes: int = 0


@dataclass
class Tree:
    """A grown tree as arrays over its nodes.

    Attributes:
        feature: index into `names`, -1 in a leaf.
        threshold: rows whose bin is greater go right.
        left: index of the left child; the right one is next to it.
        start, size: the donors of a leaf are `donors[start:start+size]`.
        names: the features in use.
        maps: for a category, the bin of each code (the last one is for missing or unknown).
        donors: row numbers, within a leaf in the order of the value that is to be drawn; `with_values` puts the values in
            their place, so that a fitted model holds no row.
    """

    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    start: np.ndarray
    size: np.ndarray
    names: list[str]
    maps: dict[str, np.ndarray]
    donors: np.ndarray

    def route(self, columns: Mapping[str, np.ndarray], rows: int) -> np.ndarray:
        """The leaf of each row, int32 (rows,)."""
        node = np.zeros(rows, dtype=np.int32)
        if len(self.feature) == 1:
            return node
        matrix = np.empty((len(self.names), rows), dtype=np.uint8)
        for i, name in enumerate(self.names):
            matrix[i] = _binned(columns[name], self.maps.get(name))
        every = np.arange(rows)
        active = every
        while len(active):
            at = node[active]
            feature = self.feature[at]
            inner = feature >= 0
            if not inner.all():
                active, at, feature = active[inner], at[inner], feature[inner]
            node[active] = self.left[at] + (matrix[feature, active] > self.threshold[at])
        return node

    def with_values(self, values: np.ndarray) -> Tree:
        """The same tree with the donors' values (float, NaN for NULL) instead of their row numbers."""
        return replace(self, donors=values[self.donors])


def _binned(values: np.ndarray, table: np.ndarray | None) -> np.ndarray:
    if table is None:
        return values
    return table[np.where((values < 0) | (values >= len(table) - 1), len(table) - 1, values)]


def grow(
    features: Sequence[Feature],
    columns: Mapping[str, np.ndarray],
    outputs: np.ndarray,
    structure: np.ndarray,
    donors: np.ndarray,
    order: np.ndarray,
    *,
    entities: np.ndarray,
    min_rows: int,
    min_entities: int,
    rng: np.random.Generator,
    max_leaves: int = 4096,
    min_gain: float = _MIN_GAIN,
) -> Tree:
    """Grows a tree on the rows `structure` and fills it with the rows `donors`.

    Args:
        features: what may be split on.
        columns: for each feature an array (n,): uint8 bins or int32 codes.
        outputs: float (n, d); the sum of the d variances is what splits reduce.
        structure: row numbers that decide the splits; at most 20,000 of them are used.
        donors: row numbers that may be drawn; none of them influences a split.
        order: float (n,): donors of a leaf are sorted by it.
        entities: int (n,): root entity of each row.
        min_rows: fewest donors of a leaf.
        min_entities: fewest different root entities among the donors of a leaf.
        rng: chooses the rows to grow on.
        max_leaves: most leaves.
        min_gain: least gain of a split in units of residual variance.
    """
    if len(structure) < 2 * min_rows:
        features = []
    if len(structure) > _GROW_ROWS:
        structure = np.sort(rng.choice(structure, _GROW_ROWS, replace=False))
    y = outputs[structure]
    maps = {f.name: _category_bins(columns[f.name][structure], y, f.codes) for f in features if f.codes}
    bins = {f.name: _binned(columns[f.name][structure], maps.get(f.name)) for f in features}
    chosen = _screen([f.name for f in features], bins, y, min_rows)
    feature, threshold, left = _grow_structure(
        np.stack([bins[n] for n in chosen], axis=1) if chosen else np.empty((len(structure), 0), np.uint8), y, min_rows, max_leaves, min_gain
    )
    used = sorted({chosen[i] for i in feature[feature >= 0]})
    index = {n: i for i, n in enumerate(used)}
    feature = np.array([index[chosen[i]] if i >= 0 else -1 for i in feature], dtype=np.int32)
    tree = Tree(feature, threshold, left, left, left, used, {n: maps[n] for n in used if n in maps}, donors)
    return _fill(tree, columns, donors, order, entities, min_rows, min_entities)


def _category_bins(codes: np.ndarray, y: np.ndarray, count: int) -> np.ndarray:
    """Orders categories by the first principal axis of their mean outputs and packs them into bins; (count + 1,) uint8."""
    known = codes >= 0
    inside = codes[known]
    weight = np.bincount(inside, minlength=count).astype(float)
    means = np.stack([np.bincount(inside, y[known, j], minlength=count) for j in range(y.shape[1])], axis=1)
    # Shrunk towards the overall mean, so that rare categories do not take the extremes.
    centre = y.mean(axis=0)
    means = (means + 5 * centre) / (weight + 5)[:, None] - centre
    scaled = means * np.sqrt(weight)[:, None]
    if y.shape[1] == 1:
        score = means[:, 0]
    else:
        axis = np.linalg.eigh(scaled.T @ scaled)[1][:, -1]
        score = means @ axis
    ranking = np.argsort(score, kind="stable")
    table = np.empty(count + 1, dtype=np.uint8)
    if count < MAX_BINS:
        table[ranking] = 1 + np.arange(count)
    else:
        share = np.cumsum(weight[ranking]) / max(weight.sum(), 1)
        table[ranking] = 1 + np.minimum((share * (MAX_BINS - 2)).astype(int), MAX_BINS - 2)
    table[count] = 0
    return table


def _screen(names: list[str], bins: Mapping[str, np.ndarray], y: np.ndarray, min_rows: int) -> list[str]:
    """The features with the best first or second-level split, at most `_SCREENED`, in their given order."""
    if len(names) <= _SCREENED or len(y) < 2 * min_rows:
        return names if len(y) >= 2 * min_rows else []
    centred = y - y.mean(axis=0)
    gains = []
    for name in names:
        counts = np.bincount(bins[name], minlength=MAX_BINS).astype(float)
        sums = np.stack([np.bincount(bins[name], centred[:, j], minlength=MAX_BINS) for j in range(y.shape[1])])
        gains.append(float(((sums**2).sum(axis=0) / np.maximum(counts, 1)).sum() / max(1, (counts > 0).sum()) ** 0.5))
    best = set(np.argsort(-np.array(gains), kind="stable")[:_SCREENED].tolist())
    return [n for i, n in enumerate(names) if i in best]


def _grow_structure(bins: np.ndarray, y: np.ndarray, min_rows: int, max_leaves: int, min_gain: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Level-wise growth; returns feature, threshold and left child per node."""
    n, width = bins.shape
    feature, threshold, left = [-1], [0], [0]
    if width == 0 or n < 2 * min_rows:
        return np.array(feature, np.int32), np.array(threshold, np.uint8), np.array(left, np.int32)
    y = y - y.mean(axis=0)
    outputs = y.shape[1]
    rows = np.arange(n)
    slot = np.zeros(n, dtype=np.int64)  # which of the open nodes a row is in
    open_nodes = [0]
    leaves = 1
    offset = (np.arange(width) * MAX_BINS)[None, :]
    flat = bins.astype(np.int64) + offset
    for _ in range(_MAX_DEPTH):
        count = len(open_nodes)
        cells = width * MAX_BINS
        key = (slot[rows, None] * cells + flat[rows]).ravel()
        size = count * cells
        shape = (count, width, MAX_BINS)
        weight = np.bincount(key, minlength=size).reshape(shape).astype(float)
        below = weight.cumsum(axis=2)
        total = below[:, :1, -1:]
        above = total - below
        gain = np.zeros(shape)
        residual = np.zeros((count, 1, 1))
        for j in range(outputs):
            values = y[rows, j]
            sums = np.bincount(key, np.repeat(values, width), minlength=size).reshape(shape).cumsum(axis=2)
            whole = sums[:, :1, -1:]
            squares = np.bincount(slot[rows], values**2, minlength=count)[:, None, None]
            base = whole**2 / np.maximum(total, 1)
            gain += sums**2 / np.maximum(below, 1) + (whole - sums) ** 2 / np.maximum(above, 1) - base
            residual += np.maximum(squares - base, 0)
        gain[(below < min_rows) | (above < min_rows)] = -1
        best = gain.reshape(count, -1).argmax(axis=1)
        top = gain.reshape(count, -1)[np.arange(count), best]
        # The gain of a useless split is about chi-square times the mean residual variance per output.
        noise = (residual[:, 0, 0] - np.maximum(top, 0)) / np.maximum(total[:, 0, 0], 1) / outputs
        split = (top > min_gain * noise * max(1.0, outputs**0.5)) & (top > 1e-9)
        if leaves + split.sum() > max_leaves:
            allowed = np.argsort(-np.where(split, top, -1), kind="stable")[: max(0, max_leaves - leaves)]
            keep = np.zeros(count, dtype=bool)
            keep[allowed] = True
            split &= keep
        if not split.any():
            break
        leaves += int(split.sum())
        next_slot = np.full(count, -1, dtype=np.int64)
        following: list[int] = []
        for i in np.flatnonzero(split):
            node = open_nodes[i]
            feature[node], threshold[node], left[node] = int(best[i] // MAX_BINS), int(best[i] % MAX_BINS), len(feature)
            feature += [-1, -1]
            threshold += [0, 0]
            left += [0, 0]
            next_slot[i] = len(following)
            following += [left[node], left[node] + 1]
        at = slot[rows]
        go_on = split[at]
        rows, at = rows[go_on], at[go_on]
        right = bins[rows, best[at] // MAX_BINS] > best[at] % MAX_BINS
        slot[rows] = next_slot[at] + right
        open_nodes = following
    return np.array(feature, np.int32), np.array(threshold, np.uint8), np.array(left, np.int32)


def _fill(
    tree: Tree, columns: Mapping[str, np.ndarray], donors: np.ndarray, order: np.ndarray, entities: np.ndarray, min_rows: int, min_entities: int
) -> Tree:
    """Puts the donors into the leaves and cuts the branches that have too few of them."""
    nodes = len(tree.feature)
    leaf = tree.route({n: columns[n][donors] for n in tree.names}, len(donors))
    parent = np.full(nodes, -1, dtype=np.int64)
    for i in np.flatnonzero(tree.feature >= 0):
        parent[tree.left[i]] = parent[tree.left[i] + 1] = i
    # Children come after their parents in the arrays: one pass from the end decides bottom-up what must be cut.
    members = _entity_sets(leaf, entities[donors], nodes)
    counts = np.bincount(leaf, minlength=nodes)
    for b in range(nodes - 1, 0, -2):
        a, up = b - 1, int(parent[b])
        short = any(counts[k] < min_rows or len(members[k]) < min_entities for k in (a, b))
        counts[up] = counts[a] + counts[b]
        members[up] = np.union1d(members[a], members[b])
        if short:
            tree.feature[up] = -1
    return _compact(tree, columns, donors, order)


def _entity_sets(leaf: np.ndarray, entities: np.ndarray, nodes: int) -> list[np.ndarray]:
    pairs = np.unique(np.stack([leaf.astype(np.int64), entities.astype(np.int64)], axis=1), axis=0)
    edges = np.searchsorted(pairs[:, 0], np.arange(nodes + 1))
    return [pairs[a:b, 1] for a, b in zip(edges[:-1], edges[1:], strict=True)]


def _compact(tree: Tree, columns: Mapping[str, np.ndarray], donors: np.ndarray, order: np.ndarray) -> Tree:
    """Drops the nodes that were cut off and sorts the donors leaf by leaf."""
    reachable, queue = [0], [0]
    number = {0: 0}
    while queue:
        node = queue.pop(0)
        if tree.feature[node] >= 0:
            for child in (int(tree.left[node]), int(tree.left[node]) + 1):
                number[child] = len(reachable)
                reachable.append(child)
                queue.append(child)
    keep = np.array(reachable)
    feature = tree.feature[keep]
    left = np.array([number[int(tree.left[k])] if tree.feature[k] >= 0 else 0 for k in keep], dtype=np.int32)
    used = sorted({tree.names[i] for i in feature[feature >= 0]})
    position = {n: i for i, n in enumerate(used)}
    feature = np.array([position[tree.names[i]] if i >= 0 else -1 for i in feature], dtype=np.int32)
    slim = Tree(feature, tree.threshold[keep], left, left, left, used, {n: tree.maps[n] for n in used if n in tree.maps}, donors)
    leaf = slim.route({n: columns[n][donors] for n in used}, len(donors))
    ranking = np.lexsort((donors, order[donors], leaf))
    slim.donors = donors[ranking]
    size = np.bincount(leaf, minlength=len(keep))
    slim.size = size.astype(np.int64)
    slim.start = (np.cumsum(size) - size).astype(np.int64)
    return slim
