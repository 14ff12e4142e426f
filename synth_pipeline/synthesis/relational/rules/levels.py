"""Columns that take one of a few values, and which few another column says: a discount of 10 or 15 per cent of the fee.

Such a column is drawn as the number of its level, which means the same at every value of the other column.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from synth_pipeline.synthesis.relational.distinct import owners_of
from synth_pipeline.synthesis.relational.frame import Frame
from synth_pipeline.synthesis.relational.rules.kinds import Levels
from synth_pipeline.synthesis.relational.rules.model import Rules
from synth_pipeline.synthesis.relational.rules.support import ENTITIES

_MOST_VALUES = 40
_MOST_LEVELS = 4
_UNSEEN = 0.3
"""Least share of the rows that would have another combination if the two columns had nothing to do with each other."""
_RARE = 0.01
"""Largest share of the rows whose combination fewer root entities have than make a rule."""


def find_levels(frame: Frame, columns: Sequence[str], rules: Rules) -> None:
    """Adds to the rules of a table which columns have levels, and by which other one.

    Args:
        frame: the table.
        columns: columns with values of their own.
        rules: the rules so far; gets those found.
    """
    codes: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for c in columns:
        if c not in frame.late and len(values := frame.distinct(c)[0]) <= _MOST_VALUES and not np.isnan(values).any():
            codes[c] = frame.distinct(c)
    taken = {*rules.exact(), *rules.sticky, *rules.chains, *rules.bases, *rules.steps, *rules.presence, *rules.determined.values()}
    for column, (values, code) in codes.items():
        if column in taken or len(values) <= _MOST_LEVELS:
            continue
        best: tuple[float, Levels] | None = None
        for source, (others, other) in codes.items():
            if source == column or len(others) < 2 or rules.needs(source, column) or source in rules.levels:
                continue
            cells = other.astype(np.int64) * len(values) + code
            count = np.bincount(cells, minlength=len(others) * len(values)).reshape(len(others), len(values))
            expected = np.outer(count.sum(axis=1), count.sum(axis=0)) / max(1, frame.rows)
            unseen = float(expected[count == 0].sum()) / max(1, frame.rows)
            sizes = (count > 0).sum(axis=1)
            if unseen < _UNSEEN or sizes.max() > _MOST_LEVELS or sizes.max() < 2 or not _supported(frame, cells, count):
                continue
            if best is None or unseen > best[0]:
                found = tuple(tuple(values[row > 0].tolist()) for row in count)
                best = unseen, Levels(source, tuple(others.tolist()), found)
        if best is not None:
            rules.levels[column] = best[1]


def _supported(frame: Frame, cells: np.ndarray, count: np.ndarray) -> bool:
    """Whether nearly all rows have a combination that occurs in enough root entities."""
    entities = owners_of(cells, frame.entities, count.size).reshape(count.shape)
    return bool(count[entities < ENTITIES].sum() <= _RARE * frame.rows)
