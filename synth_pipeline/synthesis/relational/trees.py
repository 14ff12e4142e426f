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
GROW_ROWS = 20_000
_SCREENED = 24
_SCREEN_ROWS = 4_000
_TOGETHER = 64
"""Nodes that are looked at together: bounds the memory."""
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
        donors: row numbers, in the order of the value that is to be drawn within a leaf; `with_values` puts the values in
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
        structure: row numbers that decide the splits; at most `GROW_ROWS` of them are used.
        donors: row numbers that may be drawn, in the order that they keep within a leaf; none of them influences a split.
        entities: int (n,): root entity of each row.
        min_rows: fewest donors of a leaf.
        min_entities: fewest different root entities among the donors of a leaf.
        rng: chooses the rows to grow on.
        max_leaves: most leaves.
        min_gain: least gain of a split in units of residual variance.
    """
    structure = growing_rows(structure, rng)
    y = outputs[structure]
    y = np.ascontiguousarray((y - y.mean(axis=0)).T) if len(y) else y.T
    names, maps, bins = [], {}, []
    for f in features if len(structure) >= 2 * min_rows else []:
        values = columns[f.name][structure]
        if values.min() == values.max():
            continue
        if f.codes:
            maps[f.name] = _category_bins(values, y, f.codes)
            values = _binned(values, maps[f.name])
        names.append(f.name)
        bins.append(values)
    chosen = _screen(bins, y)
    names = [names[i] for i in chosen]
    matrix = np.stack([bins[i] for i in chosen]) if chosen else np.empty((0, len(structure)), np.uint8)
    feature, threshold, left = _grow_structure(matrix, y, min_rows, max_leaves, min_gain)
    return _fill(Tree(feature, threshold, left, left, left, names, maps, donors), columns, entities, min_rows, min_entities)


def growing_rows(structure: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The rows that a tree is grown on: at most `GROW_ROWS` of those that decide its splits."""
    return np.sort(rng.choice(structure, GROW_ROWS, replace=False)) if len(structure) > GROW_ROWS else structure


def _category_bins(codes: np.ndarray, y: np.ndarray, count: int) -> np.ndarray:
    """Orders categories by the first principal axis of their mean outputs and packs them into bins; (count + 1,) uint8.

    Args:
        codes: int (n,), -1 for missing.
        y: outputs around their means, float (d, n).
        count: number of categories.
    """
    known = codes >= 0
    if not known.all():
        codes, y = codes[known], y[:, known]
    weight = np.bincount(codes, minlength=count).astype(float)
    # Shrunk towards the overall mean, so that rare categories do not take the extremes.
    means = np.stack([np.bincount(codes, values, minlength=count) for values in y], axis=1) / (weight + 5)[:, None]
    if means.shape[1] == 1:
        score = means[:, 0]
    else:
        scaled = means * np.sqrt(weight)[:, None]
        score = means @ np.linalg.eigh(scaled.T @ scaled)[1][:, -1]
    ranking = np.argsort(score, kind="stable")
    table = np.empty(count + 1, dtype=np.uint8)
    if count < MAX_BINS:
        table[ranking] = 1 + np.arange(count)
    else:
        share = np.cumsum(weight[ranking]) / max(weight.sum(), 1)
        table[ranking] = 1 + np.minimum((share * (MAX_BINS - 2)).astype(int), MAX_BINS - 2)
    table[count] = 0
    return table


def _screen(bins: list[np.ndarray], y: np.ndarray) -> list[int]:
    """The features whose bins tell most of the outputs, at most `_SCREENED`, in their given order."""
    if len(bins) <= _SCREENED:
        return list(range(len(bins)))
    step = -(-y.shape[1] // _SCREEN_ROWS)
    y = np.ascontiguousarray(y[:, ::step])
    gains = np.empty(len(bins))
    for i, values in enumerate(bins):
        key = values[::step].astype(np.intp)
        weight = np.bincount(key)
        between = sum(np.bincount(key, of) ** 2 for of in y) / np.maximum(weight, 1)
        gains[i] = between.sum() / max(1, (weight > 0).sum()) ** 0.5
    return sorted(np.argsort(-gains, kind="stable")[:_SCREENED].tolist())


class _Histograms:
    """Counts and sums of outputs by node and bin; the bins of all features lie side by side, each with as many as it has."""

    def __init__(self, bins: np.ndarray, y: np.ndarray) -> None:
        self._bins, self._y = bins, y
        self.sizes = bins.max(axis=1).astype(np.int64) + 1
        self.starts = np.cumsum(self.sizes) - self.sizes
        self.feature = np.repeat(np.arange(len(bins)), self.sizes)

    def of(self, rows: np.ndarray, node: np.ndarray, nodes: int) -> np.ndarray:
        """Histograms of some nodes, float32 (nodes, 1 + d, cells): counts, then sums of each output.

        Args:
            rows: row numbers, int (m,).
            node: the node of each of them, int64 (m,).
            nodes: number of nodes.
        """
        out = np.empty((nodes, 1 + len(self._y), len(self.feature)), dtype=np.float32)
        y = self._y[:, rows]
        for bins, start, size in zip(self._bins, self.starts.tolist(), self.sizes.tolist(), strict=True):
            key = node * size + bins[rows]
            out[:, 0, start : start + size] = np.bincount(key, minlength=nodes * size).reshape(nodes, size)
            for j, values in enumerate(y):
                out[:, 1 + j, start : start + size] = np.bincount(key, values, minlength=nodes * size).reshape(nodes, size)
        return out

    def of_children(self, parents: np.ndarray, rows: np.ndarray, child: np.ndarray, size: np.ndarray) -> np.ndarray:
        """Histograms of the two children of each of some nodes: the smaller one is counted, the other one has the rest.

        Args:
            parents: histograms of the nodes, float32 (k, 1 + d, cells).
            rows: row numbers, int (m,).
            child: the child that each of them is in, int64 (m,): 2i or 2i + 1 for those of node i.
            size: rows of the children, int (k, 2).
        """
        k = np.arange(len(parents))
        smaller = (size[:, 1] < size[:, 0]).astype(np.int64)
        counted = child % 2 == smaller[child // 2]
        out = np.empty((len(parents), 2, *parents.shape[1:]), dtype=np.float32)
        out[k, smaller] = self.of(rows[counted], child[counted] // 2, len(parents))
        out[k, 1 - smaller] = parents - out[k, smaller]
        return out.reshape(-1, *parents.shape[1:])

    def best(self, histograms: np.ndarray, min_rows: int) -> tuple[np.ndarray, np.ndarray]:
        """For each node the cell after which a split gains most, and the gain (-1 where there is none)."""
        cells, gains = [], []
        for part in np.split(histograms, range(_TOGETHER, len(histograms), _TOGETHER)):
            count = part[:, 0]
            sums = part[:, :, : self.sizes[0]].sum(axis=2)  # every feature has all rows
            total = sums[:, :1]
            # Around the node's mean, the sums of each feature are 0 at its end: one pass goes over all features.
            below = (part[:, 1:] - (sums[:, 1:] / total)[:, :, None] * count[:, None]).cumsum(axis=2)
            left = count.cumsum(axis=1) - total * self.feature.astype(np.float32)
            right = total - left
            gain = np.einsum("mdc,mdc->mc", below, below) * total
            enough = (left >= min_rows) & (right >= min_rows)
            gain = np.where(enough, gain / np.where(enough, left * right, 1), -1)
            best = gain.argmax(axis=1)
            cells.append(best)
            gains.append(gain[np.arange(len(best)), best])
        return np.concatenate(cells), np.concatenate(gains).astype(float)


def _grow_structure(bins: np.ndarray, y: np.ndarray, min_rows: int, max_leaves: int, min_gain: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Level-wise growth on bins (features, n) for outputs (d, n) around 0; returns feature, threshold and left child per node.

    Only the smaller child of a node is counted: the other one has the rest.
    """
    n = bins.shape[1]
    feature, threshold, left = ([np.array([v])] for v in (-1, 0, 0))
    rows, slot = np.arange(n), np.zeros(n, dtype=np.int64)  # rows in open nodes, and which of these they are in
    open_nodes = np.zeros(min(1, len(bins)), dtype=np.int64)  # their places among the nodes of the level
    nodes = leaves = 1
    if len(bins):
        histograms = _Histograms(bins, y)
        held = histograms.of(rows, slot, 1)
        squares = np.einsum("dn,dn->n", y, y)
    for depth in range(_MAX_DEPTH):
        if not len(open_nodes):
            break
        count = len(open_nodes)
        best, top = histograms.best(held, min_rows)
        sums = held[:, :, : histograms.sizes[0]].sum(axis=2, dtype=float)
        total = np.maximum(sums[:, 0], 1)
        residual = np.bincount(slot, squares[rows], minlength=count) - (sums[:, 1:] ** 2).sum(axis=1) / total
        # The gain of a useless split is about chi-square times the mean residual variance per output.
        noise = np.maximum(residual - np.maximum(top, 0), 0) / total / len(y)
        split = (top > min_gain * noise * max(1.0, len(y) ** 0.5)) & (top > 1e-9)
        split[np.argsort(-np.where(split, top, -1), kind="stable")[max(0, max_leaves - leaves) :]] = False
        divided = np.flatnonzero(split)
        if not len(divided):
            break
        on = histograms.feature[best]
        after = best - histograms.starts[on]
        at = open_nodes[divided]
        feature[-1][at], threshold[-1][at], left[-1][at] = on[divided], after[divided], nodes + 2 * np.arange(len(divided))
        leaves += len(divided)
        nodes += 2 * len(divided)
        feature.append(np.full(2 * len(divided), -1))
        threshold.append(np.zeros(2 * len(divided), dtype=np.int64))
        left.append(np.zeros(2 * len(divided), dtype=np.int64))
        if depth == _MAX_DEPTH - 1:
            break
        stays = split[slot]
        rows, slot = rows[stays], slot[stays]
        child = 2 * (np.cumsum(split) - 1)[slot] + (bins[on[slot], rows] > after[slot])
        size = np.bincount(child, minlength=2 * len(divided))
        # Nodes that cannot be divided are done, and so are their parents' histograms where both children are such.
        large = size >= 2 * min_rows
        useful = large[::2] | large[1::2]
        stays = useful[child // 2]
        rows, child = rows[stays], 2 * (np.cumsum(useful) - 1)[child[stays] // 2] + child[stays] % 2
        held = histograms.of_children(held[divided[useful]], rows, child, size.reshape(-1, 2)[useful])
        among = large.reshape(-1, 2)[useful].ravel()
        held, open_nodes = held[among], np.flatnonzero(large)
        stays = among[child]
        rows, slot = rows[stays], (np.cumsum(among) - 1)[child[stays]]
    return np.concatenate(feature).astype(np.int32), np.concatenate(threshold).astype(np.uint8), np.concatenate(left).astype(np.int32)


def _fill(tree: Tree, columns: Mapping[str, np.ndarray], entities: np.ndarray, min_rows: int, min_entities: int) -> Tree:
    """Puts the donors into the leaves, in their order; a split that leaves too few of them on either side is none."""
    feature = tree.feature if len(tree.donors) >= 2 * min_rows else np.full(1, -1, dtype=np.int32)
    by_entity = np.argsort(entities[tree.donors], kind="stable")
    donors = tree.donors[by_entity]
    matrix = np.empty((len(tree.names), len(donors)), dtype=np.uint8)
    for i in np.unique(feature[feature >= 0]):
        matrix[i] = _binned(columns[tree.names[i]][donors], tree.maps.get(tree.names[i]))
    node = np.zeros(len(donors), dtype=np.int64)
    kept = np.arange(len(feature)) == 0
    active = np.arange(len(donors))
    while True:
        at = node[active]
        on = feature[at]
        inner = on >= 0
        if not inner.all():
            active, at, on = active[inner], at[inner], on[inner]
        if not len(active):
            break
        child = tree.left[at] + (matrix[on, active] > tree.threshold[at])
        enough = np.bincount(child, minlength=len(feature)) >= min_rows
        if min_entities > 1:
            enough &= _distinct(child, entities[donors[active]], len(feature)) >= min_entities
        stays = enough[tree.left[at]] & enough[tree.left[at] + 1]
        if not stays.all():
            feature[at[~stays]] = -1
            active, child = active[stays], child[stays]
        node[active] = child
        kept[child] = True
    number = np.cumsum(kept) - 1
    feature, leaf = feature[kept], np.empty(len(donors), dtype=np.uint16)
    leaf[by_entity] = number[node]
    left = number[np.where(feature >= 0, tree.left[: len(kept)][kept], 0)].astype(np.int32)
    used = sorted({tree.names[i] for i in feature[feature >= 0]})
    position = np.array([used.index(n) if n in used else -1 for n in tree.names] + [-1], dtype=np.int32)
    size = np.bincount(leaf, minlength=len(feature)).astype(np.int64)
    donors = tree.donors[np.argsort(leaf, kind="stable")]
    maps = {n: tree.maps[n] for n in used if n in tree.maps}
    return Tree(position[feature], tree.threshold[: len(kept)][kept], left, np.cumsum(size) - size, size, used, maps, donors)


def _distinct(node: np.ndarray, entity: np.ndarray, nodes: int) -> np.ndarray:
    """The number of different entities in each node; int64 (nodes,). Equal entities follow each other."""
    order = np.argsort(node.astype(np.uint16), kind="stable")
    node, entity = node[order], entity[order]
    first = np.r_[True, (node[1:] != node[:-1]) | (entity[1:] != entity[:-1])]
    return np.bincount(node[first], minlength=nodes)
