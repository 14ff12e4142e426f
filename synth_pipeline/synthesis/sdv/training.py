"""Which rows of a bundle a model may learn from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synth_pipeline.synthesis.base import flagged

if TYPE_CHECKING:
    import pyarrow as pa

    from synth_pipeline.synthesis.base import Tables


def training_rows(bundle: Tables, table: str, rows: int) -> pa.BooleanArray:
    """The rows that were drawn and not held out; where there are none, those not held out; then all. Bool (rows,)."""
    import numpy as np
    import pyarrow as pa

    notes = bundle.annotations(table)
    free = ~flagged(notes, "holdout", rows, default=False)
    drawn = free & flagged(notes, "core", rows, default=True)
    return pa.array(next((mask for mask in (drawn, free) if mask.any()), np.ones(rows, dtype=bool)))
