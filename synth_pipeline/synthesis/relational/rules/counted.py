"""What the rows of a copied table say of those that refer to them: how often a tag is used, the sum of a category's sales.

They are few, so that what counts is how large the numbers are that agree: six categories whose numbers of products are right to
the last one are no accident. Rows that are left out are counted, too, as a copied row speaks of all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa

from synth_pipeline.catalog.schema import ForeignKey
from synth_pipeline.synthesis.relational.encode import NumberCodec
from synth_pipeline.synthesis.relational.frame import Frame, parents_of
from synth_pipeline.synthesis.relational.rules.children import sums
from synth_pipeline.synthesis.relational.rules.kinds import Total

_BITS, _DIFFERENT = 20, 3
"""How much the numbers that agree must say together, and fewest different ones."""


def find_counted(frame: Frame, frames: Mapping[str, Frame], children: Sequence[ForeignKey], columns: Sequence[str]) -> Iterator[tuple[str, Total]]:
    """The columns of a copied table that count the rows which refer to it, or add up a column of theirs, on every row."""
    for column in columns:
        codec, x = frame.codecs[column], frame.x[column]
        if not isinstance(codec, NumberCodec) or pa.types.is_temporal(codec.type) or np.isnan(x).any():
            continue
        held = x * codec.unit
        if len(np.unique(held)) < _DIFFERENT or np.log2(1 + np.abs(x)).sum() < _BITS:
            continue
        found = (Total(fk.id, f) for fk in children for f, total in _totals(frame, frames[fk.table], fk) if _same(held, total, codec.tolerance(held)))
        if (first := next(found, None)) is not None:
            yield column, first


def _totals(frame: Frame, child: Frame, fk: ForeignKey) -> Iterator[tuple[tuple[str, ...], np.ndarray]]:
    """How many rows refer to each row, and the sums of their columns; in their own unit, float (rows,)."""
    index, left_out = child.parents[fk.id], child.unseen if child.missing else None
    if left_out is not None:
        index = np.r_[index, parents_of(left_out, fk, frame.data)]
    yield (), sums(index, np.ones(len(index)), frame.rows)[1]
    for name, codec in child.codecs.items():
        if isinstance(codec, NumberCodec) and not pa.types.is_temporal(codec.type) and child is not frame:
            value = child.x[name] if left_out is None else np.r_[child.x[name], codec.encode(left_out.column(name))]
            yield (name,), sums(index, value * codec.unit, frame.rows)[0]


def _same(held: np.ndarray, total: np.ndarray, tolerance: float) -> bool:
    return bool((np.abs(held - total) <= tolerance).all())
