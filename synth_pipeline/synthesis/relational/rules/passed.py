"""Categories that are passed on along siblings: a change of status goes from where the one before went to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synth_pipeline.synthesis.relational.encode import CategoryCodec, to_numpy
from synth_pipeline.synthesis.relational.frame import Frame
from synth_pipeline.synthesis.relational.rules.model import Rules
from synth_pipeline.synthesis.relational.rules.support import SUPPORT, supported

_FEW = 100
_CHANCE = 0.5
"""Rows that are looked at first; the share of them that chance may explain."""


def find_passed(frame: Frame, columns: Sequence[str], rules: Rules) -> None:
    """Adds chains of categories to the rules of a table, and gives both columns of one the same codes.

    Args:
        frame: the table; its codes change.
        columns: columns with values of their own.
        rules: the rules so far; gets those found.
    """
    group = frame.group
    if group is None:
        return
    kinds = {c: k for c in columns if isinstance(k := frame.codecs[c], CategoryCodec) and c not in rules.exact() and pa.types.is_string(k.type)}
    before = group.before()
    rows = np.flatnonzero((before >= 0) & ~frame.gaps)
    if len(rows) < 2 * SUPPORT or not supported(frame, rows):
        return
    for column, codec in kinds.items():
        for other in (c for c in kinds if c not in (column, *rules.chains) and rules.chains.get(c) != column):
            theirs = _recoded(frame.x[other], kinds[other], codec.dictionary)
            mine = frame.x[column][before]
            few = rows[:: len(rows) // _FEW + 1]
            if (theirs[few] != mine[few]).any() or (theirs[rows] != mine[rows]).any():
                continue
            share = np.bincount(mine[rows].astype(np.int64)) / len(rows)
            if share @ share > _CHANCE or (1 - share @ share) * len(rows) < 2 * SUPPORT:
                continue
            both = pa.concat_arrays([codec.dictionary, kinds[other].dictionary]).unique()
            both = both.take(pc.array_sort_indices(both))
            for name in (column, other):
                frame.recode(name, _recoded(frame.x[name], kinds[name], both))
                kinds[name].dictionary = both
            rules.chains[column] = other
            break


def _recoded(x: np.ndarray, codec: CategoryCodec, dictionary: pa.Array) -> np.ndarray:
    """Codes in another dictionary, float (n,); NaN for NULL and for what is not in it."""
    table = np.append(to_numpy(pc.index_in(codec.dictionary, value_set=dictionary).cast(pa.float64())), np.nan)
    return np.asarray(table[np.where(np.isnan(x), len(table) - 1, x).astype(np.int64)])
