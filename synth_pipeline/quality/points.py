"""Rows as points: how far two values of a feature lie apart. Numbers by their ranks among the real ones, categories same or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from synth_pipeline.quality.frames import Feature, TableFrame

    Array = np.ndarray[Any, Any]


def ranks_of(table: TableFrame) -> dict[str, Array]:
    """Per number or date the sorted real values, which ranks are taken in."""
    import numpy as np

    numbers = {f.name: table.real.values[f.name] for f in table.features.values() if f.kind != "category"}
    return {name: np.sort(x[~np.isnan(x)]) for name, x in numbers.items()}


def standing(feature: Feature, values: Array, ranks: Mapping[str, Array]) -> Array:
    """Values as coordinates: a rank in 0..1 (-1 for NULL), or the code of the category."""
    import numpy as np

    if feature.kind == "category":
        return values
    known = ranks[feature.name]
    return np.where(np.isnan(values), -1.0, np.searchsorted(known, values) / max(1, len(known)))


def squared_gaps(feature: Feature, a: Array, b: Array) -> Array:
    """Squared distances between all coordinates of `a` and `b`, shape (len(a), len(b)); two categories lie one apart."""
    gaps: Array = (a[:, None] != b).astype(a.dtype) if feature.kind == "category" else (a[:, None] - b) ** 2
    return gaps
