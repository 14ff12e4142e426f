"""Which rows of a bundle a model may learn from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

    from synth_pipeline.synthesis.base import Tables


def training_rows(bundle: Tables, table: str, rows: int) -> pa.BooleanArray:
    """The rows that were drawn and not held out; where there are none, those not held out; then all. Bool (rows,)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    notes = bundle.annotations(table)
    everything: Any = pa.array([True] * rows, pa.bool_())
    if notes is None:
        return everything
    own = notes.column_names
    free = pc.invert(notes.column("holdout").combine_chunks()) if "holdout" in own else everything
    drawn = pc.and_(free, notes.column("core").combine_chunks()) if "core" in own else free
    for mask in (drawn, free):
        if pc.any(mask).as_py():
            return mask
    return everything
