"""Histories of one parent that begin or end together: an employee's first salary is of the day of his first title.

Two tables with the same owner say the same day twice. The one that is drawn first says it; the other one's history begins,
or ends, with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from synth_pipeline.catalog.schema import ForeignKey
from synth_pipeline.synthesis.relational.distinct import several
from synth_pipeline.synthesis.relational.encode import NumberCodec
from synth_pipeline.synthesis.relational.frame import Frame
from synth_pipeline.synthesis.relational.rules.calendar import is_calendar
from synth_pipeline.synthesis.relational.rules.children import extremes
from synth_pipeline.synthesis.relational.rules.kinds import Together
from synth_pipeline.synthesis.relational.rules.model import Rules
from synth_pipeline.synthesis.relational.rules.support import SUPPORT, supported

_DIFFERENT = 5
_Outermost = Callable[[np.ndarray, np.ndarray, int], np.ndarray]


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
        for kept, candidates, rows, of in ((rules.begins, _beginning(rules), first, earliest), (rules.ends, list(rules.chains), last, latest)):
            rows = rows[whole[index[rows]]]
            if len(rows) < SUPPORT or not supported(parents, index[rows]):
                continue

            def held(value: np.ndarray, of: _Outermost = of, at: np.ndarray = index[rows]) -> np.ndarray:
                return np.asarray(of(theirs, value, parents.rows)[at])  # noqa: B023

            for column in (c for c in candidates if c not in kept and is_calendar(frame.codecs[c])):
                name = _same(frame, column, rows, other, held, endless=of is latest)
                if name is not None:
                    kept[column] = Together(owner.id, fk.table, fk.id, name)


def _same(
    frame: Frame, column: str, rows: np.ndarray, other: Frame, held: Callable[[np.ndarray], np.ndarray], *, endless: bool
) -> str | None:
    """The other history's column whose outermost value for each row's parent, as `held` gives it, is the column's on all of these rows."""
    codec, mine = frame.codecs[column], frame.x[column][rows]
    known = mine[np.isfinite(mine)]
    if not isinstance(codec, NumberCodec) or len(known) < SUPPORT or not several(known, _DIFFERENT + 1):
        return None
    for name, kind in other.codecs.items():
        if isinstance(kind, NumberCodec) and kind.comparable(codec) and name not in other.late:
            if np.array_equal(mine, held(other.x[name] * (kind.unit / codec.unit)), equal_nan=endless):
                return name
    return None


def _beginning(rules: Rules) -> list[str]:
    """The columns whose first sibling is drawn: dates in steps, unless a parent's date says the first one, or a calendar all."""
    stepping = [c for c, b in rules.bases.items() if b.kind == "previous" and b.calendar is None and c not in rules.chains]
    return [c for c in stepping if (first := rules.bases[c].first) is None or first.least < first.most]


def earliest(index: np.ndarray, value: np.ndarray, parents: int) -> np.ndarray:
    """The lowest value (n,) of each parent's children by `index`, NaN where there is none; float (parents,)."""
    return extremes(index, value, parents, "lowest")


def latest(index: np.ndarray, value: np.ndarray, parents: int) -> np.ndarray:
    """The highest value (n,) of each parent's children by `index`, NaN where one goes on, or there is none; float (parents,)."""
    out = extremes(index, value, parents, "highest")
    out[index[(index >= 0) & np.isnan(value)]] = np.nan
    return out
