"""Structural zeros: values that never go together although each is frequent, as no power meter measures humidity.

A leaf holds enough entities for privacy, and so may mix what never mixes. That a cell of a contingency table is empty where chance
would have filled it many times over (Bishop, Fienberg & Holland, Discrete Multivariate Analysis, 1975) says nothing of anybody; draws
keep out of such cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from synth_pipeline.synthesis.relational.distinct import owners_of
from synth_pipeline.synthesis.relational.trees import Feature

_EXPECTED = 8.0
"""How many rows, and root entities, chance would have in a cell for its emptiness to be a rule."""
_FEW, _TARGETS, _MOST = 64, 256, 4
"""Most categories of a feature and of what is drawn; most features that are heeded."""
_WORTH = 0.01
"""The share of the rows that chance would have in the empty cells of a feature for it to be heeded."""


def find_zeros(
    x: np.ndarray, rows: np.ndarray, features: Sequence[Feature], columns: Mapping[str, np.ndarray], entities: np.ndarray, codes: int
) -> dict[str, np.ndarray]:
    """What may go together, by feature: bool (its codes + 1, `codes`), the last row for a missing or unknown one.

    Args:
        x: codes of all rows, float (n,), NaN for NULL.
        rows: the rows to learn from.
        features: the context; `columns` has an array (n,) for each.
        columns: the context's values.
        entities: root entity of each row, int (n,).
        codes: number of categories of `x`; numbers come as the part of the range in which they lie.
    """
    known = rows[np.isfinite(x[rows])]
    if not 2 <= codes <= _TARGETS or len(known) < 2 * _EXPECTED:
        return {}
    target, n = x[known].astype(np.int64), len(known)
    frequency = np.bincount(target, minlength=codes)
    missing: list[tuple[Feature, np.ndarray, np.ndarray, np.ndarray]] = []
    for f in features:
        if not 2 <= f.codes <= _FEW:
            continue
        code = place_of(columns[f.name][known], f.codes)
        table = np.bincount(code * codes + target, minlength=(f.codes + 1) * codes).reshape(-1, codes)
        expected = np.outer(table.sum(axis=1), frequency) / n
        empty = (table == 0) & (expected >= _EXPECTED)
        if expected[empty].sum() >= _WORTH * n:
            missing.append((f, code, expected, empty))
    if not missing:
        return {}
    entity = np.unique(entities[known], return_inverse=True)[1]
    owners, found = owners_of(target, entity, codes), list[tuple[float, str, np.ndarray]]()
    for f, code, expected, empty in missing:
        empty &= np.outer(owners_of(code, entity, f.codes + 1), owners) / (entity.max() + 1) >= _EXPECTED
        share = float(expected[empty].sum()) / n
        if share >= _WORTH:
            found.append((share, f.name, ~empty))
    return {name: table for _, name, table in sorted(found, key=lambda w: (-w[0], w[1]))[:_MOST]}


def place_of(values: np.ndarray, codes: int) -> np.ndarray:
    """Codes as rows of a table of `find_zeros`."""
    return np.where((values < 0) | (values >= codes), codes, values).astype(np.int64)
