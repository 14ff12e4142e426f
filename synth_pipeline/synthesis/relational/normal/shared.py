"""Entities that many others have in common: the products on thousands of receipts.

Where each is on the rows of as many other entities as stand behind any value that is drawn, and says nothing of anybody, its rows
may come out as they are, like the values of a category: a product keeps its code, its name and its price.
"""

from __future__ import annotations

import numpy as np

from synth_pipeline.synthesis.relational.descriptions import is_plain
from synth_pipeline.synthesis.relational.distinct import owners_of
from synth_pipeline.synthesis.relational.histories import time_columns
from synth_pipeline.synthesis.relational.normal.decompose import Part

_MOST_ROWS = 5_000
_MOSTLY = 0.9
"""The share of rows whose entity must be had by enough others; nothing is learnt from the rest."""


def common(part: Part, smallest: np.ndarray, seen: np.ndarray, least: int) -> np.ndarray | None:
    """Which entities enough others have, bool (entities,); None where entities are not to be copied.

    Args:
        part: the entities.
        smallest: the smallest entity of each row (its receipt), int (rows,), -1 for none.
        seen: rows that may be learnt from, bool (rows,).
        least: how many smallest entities must have one.
    """
    rows = part.rows.drop_columns(["#"])
    # What has a date happened, to somebody perhaps.
    dated = time_columns(part.table, part.about)
    if dated or part.table.foreign_keys or not 0 < rows.num_rows <= _MOST_ROWS or not is_plain(rows, part.table, part.about.columns):
        return None
    known = np.flatnonzero(seen & (part.index >= 0) & (smallest >= 0))
    shared = owners_of(part.index[known], smallest[known], rows.num_rows) >= least
    return shared if known.size and shared[part.index[known]].mean() >= _MOSTLY else None
