"""Histories of one parent that begin or end together: an employee's first salary is of the day of his first title.

Two tables with the same owner say the same day twice. The one that is drawn first says it; the other one's history begins,
or ends, with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from synth_pipeline.catalog.schema import ForeignKey
from synth_pipeline.synthesis.relational.encode import NumberCodec
from synth_pipeline.synthesis.relational.frame import Frame
from synth_pipeline.synthesis.relational.rules.children import extremes
from synth_pipeline.synthesis.relational.rules.model import Rules, Together
from synth_pipeline.synthesis.relational.rules.support import ENTITIES, SUPPORT

_DIFFERENT = 5


def find_together(frame: Frame, frames: Mapping[str, Frame], owner: ForeignKey | None, cousins: Sequence[ForeignKey], rules: Rules) -> None:
    """Dates of the first or last sibling that are those of another history of the same parent, on every parent that has both.

    Args:
        frame: the table.
        frames: all tables, by id.
        owner: the foreign key to the parent.
        cousins: the owners of other tables with the same parents, whose rows exist before.
        rules: what is found is added here; chains and bases are known.
    """
    if owner is None or frame.group is None:
        return
    parents, index = frames[owner.parent], frame.parents[owner.id]
    first = np.flatnonzero((frame.group.position == 0) & (index >= 0))
    last = np.flatnonzero((frame.group.position == frame.group.size - 1) & (index >= 0))
    for fk in cousins:
        other = frames[fk.table]
        theirs = other.parents[fk.id]
        whole = np.bincount(theirs[theirs >= 0], minlength=parents.rows) > 0
        for side, rows in ((frame, index), (other, theirs)):
            whole[rows[(rows >= 0) & side.gaps]] = False
        for column in [*rules.bases, *rules.chains]:
            codec = frame.codecs[column]
            base = rules.bases.get(column)
            if not isinstance(codec, NumberCodec) or not (pa.types.is_date(codec.type) or pa.types.is_timestamp(codec.type)):
                continue
            chained = column in rules.chains
            if not chained and (base is None or base.kind != "previous" or base.calendar is not None or _fixed(rules, column)):
                continue
            rows = (last if chained else first)[whole[index[last if chained else first]]]
            if len(rows) < SUPPORT or len(np.unique(parents.entities[index[rows]])) < ENTITIES or column in (rules.ends if chained else rules.begins):
                continue
            mine = frame.x[column][rows]
            for name, kind in other.codecs.items():
                if not isinstance(kind, NumberCodec) or not kind.comparable(codec) or name in other.late:
                    continue
                value = other.x[name] * (kind.unit / codec.unit)
                held = latest(theirs, value, parents.rows) if chained else extremes(theirs, value, parents.rows, "lowest")
                if np.array_equal(mine, held[index[rows]], equal_nan=chained) and _telling(mine):
                    (rules.ends if chained else rules.begins)[column] = Together(owner.id, fk.table, fk.id, name)
                    break


def latest(index: np.ndarray, value: np.ndarray, parents: int) -> np.ndarray:
    """The highest value (n,) of each parent's children by `index`, NaN where one goes on, or there is none; float (parents,)."""
    out = extremes(index, value, parents, "highest")
    out[index[(index >= 0) & np.isnan(value)]] = np.nan
    return out


def _fixed(rules: Rules, column: str) -> bool:
    first = rules.bases[column].first
    return first is not None and first.least == first.most


def _telling(x: np.ndarray) -> bool:
    known = x[np.isfinite(x)]
    return len(known) >= SUPPORT and len(np.unique(known)) > _DIFFERENT
