"""The columns that a text of a row may be made of: those of the row, of its parents, and of their parents."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from synth_pipeline.catalog.schema import ForeignKey
from synth_pipeline.keys import at_rows
from synth_pipeline.synthesis.relational.encode import follow
from synth_pipeline.synthesis.relational.frame import Frame
from synth_pipeline.synthesis.relational.rules.pieces import SAME, Piece

_MOST = 200
"""Most columns that are looked at."""


@dataclass
class Source:
    """A column as rows see it.

    Attributes:
        piece: where it is.
        table: the table that holds it.
        values: the column.
        index: the row there that each row leads to, -1 for none, int64 (rows,); None: the row itself.
    """

    piece: Piece
    table: str
    values: pa.ChunkedArray
    index: np.ndarray | None = None

    def at(self, rows: np.ndarray) -> pa.Array:
        """What these rows see, NULL where there is no such parent."""
        if self.index is None:
            return self.values.take(pa.array(rows)).combine_chunks()
        return at_rows(self.values, self.index[rows]).combine_chunks()


def sources_of(frame: Frame, frames: Mapping[str, Frame], parents: Sequence[ForeignKey], waiting: Collection[str]) -> list[Source]:
    """The columns that rows may be made of, the nearest first; none of its own that are `waiting` for other rows."""
    found = [Source(Piece(SAME, c), frame.table.id, frame.data.column(c)) for c in frame.data.column_names if c not in waiting]
    further: list[Source] = []
    for fk in parents:
        above, index = frames[fk.parent], frame.parents[fk.id]
        found += _held(above, Piece(SAME, "", fk.id), index, fk)
        for then in above.known if above.rows else ():
            if then.id in above.parents:
                further += _held(frames[then.parent], Piece(SAME, "", fk.id, then.id), follow(index, above.parents[then.id]), then)
    usable = [s for s in (*found, *further) if _is_told(s.values.type)]
    return usable[:_MOST]


def _held(above: Frame, way: Piece, index: np.ndarray, fk: ForeignKey) -> list[Source]:
    names = [c for c in above.data.column_names if c not in fk.parent_columns and c not in above.late]
    return [Source(Piece(SAME, c, way.key, way.then), above.table.id, above.data.column(c), index) for c in names]


def _is_told(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_integer(kind) or pa.types.is_date(kind) or pa.types.is_timestamp(kind))


def unsure_rows(frame: Frame, frames: Mapping[str, Frame], parents: Sequence[ForeignKey]) -> np.ndarray:
    """The rows that refer to a row that is left out, or a parent of which does; bool (rows,)."""
    unsure = frame.lost.copy()
    for fk in parents:
        lost, index = frames[fk.parent].lost, frame.parents[fk.id]
        if lost.any():
            unsure |= (index >= 0) & lost[np.maximum(index, 0)]
    return unsure
