"""Rows that come nearer to somebody than real people come to each other, which the strict level does not hand out.

Values are put on a grid, as coarse as it takes for the rows of different root entities to meet in a cell of it only seldom.
A synthetic row in a cell in which there is one real entity is then nearer to it than they are to each other, and exchanges values
with other synthetic rows until it is not. Of the real rows only hashes of their cells are kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from synth_pipeline.synthesis.relational.distinct import several
from synth_pipeline.synthesis.relational.encode import Codec, NumberCodec, hashed_units
from synth_pipeline.synthesis.relational.frame import Frame

_GRIDS = (2, 3, 4, 6, 8, 12, 16, 24, 32)
_MEETING = 0.05
"""The share of the rows that may meet a row of another entity in their cell."""
_ROUNDS = 12
"""Exchanges that are tried in every column."""
_ROWS, _COLUMNS = 50, 3
"""Tables of fewer rows or columns are not looked at: there is nothing that rows could be told apart by."""


@dataclass
class Nearness:
    """The cells in which a single real entity is.

    Attributes:
        columns: the columns of the grid.
        edges: where each of them is cut; empty for a category, whose values are cells.
        cells: hashes of the cells, uint64, ascending.
        free: columns that may be exchanged between rows.
    """

    columns: tuple[str, ...]
    edges: tuple[np.ndarray, ...]
    cells: np.ndarray
    free: tuple[str, ...]

    def cells_of(self, x: Mapping[str, np.ndarray]) -> np.ndarray:
        """A hash of the cell of each row; uint64 (n,)."""
        return _cells([_binned(x[c], e) for c, e in zip(self.columns, self.edges, strict=True)])

    def near(self, x: Mapping[str, np.ndarray], rows: np.ndarray | None = None) -> np.ndarray:
        """Which rows are in such a cell; bool (n,)."""
        cells = self.cells_of({c: x[c] if rows is None else x[c][rows] for c in self.columns})
        at = np.searchsorted(self.cells, cells).clip(0, max(0, len(self.cells) - 1))
        return np.asarray(self.cells[at] == cells) if len(self.cells) else np.zeros(len(cells), dtype=bool)


def find_nearness(frame: Frame, columns: Sequence[str], free: Sequence[str]) -> Nearness | None:
    """The grid of a table and the cells in which a single root entity is; None where rows say too little.

    Args:
        frame: the table.
        columns: its columns by which rows are near to each other.
        free: those that stand for themselves, so that rows may exchange them.
    """
    rows = np.flatnonzero(frame.train)
    columns = tuple(c for c in columns if several(frame.x[c][rows], 2))
    if len(rows) < _ROWS or len(columns) < _COLUMNS:
        return None
    _, entities = np.unique(frame.entities[rows], return_inverse=True)
    for parts in _GRIDS:
        edges = tuple(_cuts(frame.codecs[c], frame.x[c][rows], parts) for c in columns)
        cells = _cells([_binned(frame.x[c][rows], e) for c, e in zip(columns, edges, strict=True)])
        values, code = np.unique(cells, return_inverse=True)
        pairs = np.unique(code.astype(np.int64) * (int(entities.max()) + 1) + entities)
        owners = np.bincount(pairs // (int(entities.max()) + 1), minlength=len(values))
        if (owners[code] > 1).mean() <= _MEETING:
            break
    return Nearness(columns, edges, values[owners == 1], tuple(c for c in free if c in columns))


def keep_away(nearness: Nearness, x: dict[str, np.ndarray], arrays: dict[str, pa.Array], rng: np.random.Generator) -> int:
    """Exchanges values between synthetic rows until none is too near, as far as that helps.

    Args:
        nearness: the grid.
        x: encoded columns of the table, which are changed.
        arrays: the finished ones, which are changed with them.
        rng: the stream.

    Returns:
        How many rows are still too near.
    """
    near = nearness.near(x)
    for column in [c for c in nearness.free if c in x] * _ROUNDS:
        rows = np.flatnonzero(near)
        if not len(rows):
            break
        other = rng.integers(0, len(near), len(rows))
        # Every row takes part in one exchange at most.
        _, first = np.unique(np.r_[rows, other], return_index=True)
        alone = np.zeros(2 * len(rows), dtype=bool)
        alone[first] = True
        alone[len(rows) :] &= ~np.isin(other, rows)
        one, two = rows[(both := alone[: len(rows)] & alone[len(rows) :])], other[both]
        both_rows = np.r_[one, two]
        tried = {c: x[c][both_rows] for c in nearness.columns}
        tried[column] = x[column][np.r_[two, one]]
        after = nearness.near(tried)
        good = ~after[: len(one)] & (~after[len(one) :] | near[two])
        one, two = one[good], two[good]
        index = np.arange(len(near))
        index[one], index[two] = two, one
        x[column], arrays[column] = x[column][index], arrays[column].take(pa.array(index))
        near[one] = False
        near[two] = nearness.near(x, two)
    return int(near.sum())


def _cuts(codec: Codec, x: np.ndarray, parts: int) -> np.ndarray:
    known = x[np.isfinite(x)]
    if not isinstance(codec, NumberCodec) or not len(known):
        return np.empty(0)
    return np.unique(np.quantile(known, np.linspace(0, 1, parts + 1)[1:-1]))


def _binned(x: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The part of each value, or the value itself where there are no edges; -1 for none; int64 (n,)."""
    part = np.searchsorted(edges, x, side="right") if len(edges) else np.nan_to_num(x)
    return np.where(np.isnan(x), -1, part).astype(np.int64)


def _cells(parts: Sequence[np.ndarray]) -> np.ndarray:
    """A hash of each row's cell; uint64 (n,)."""
    cell = np.zeros(len(parts[0]), dtype=np.uint64)
    for part in parts:
        cell = hashed_units((cell ^ hashed_units(part.astype(float))).view(np.int64))
    return cell
