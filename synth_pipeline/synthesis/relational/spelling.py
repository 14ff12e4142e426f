"""Dates and numbers that are kept as something else: as text, or as whole numbers (20240131, seconds since 1970).

Which columns these are is told by the metadata.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_EPOCHS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
"""Microseconds in a unit of what is counted since 1970."""
_TIME = frozenset("HMSIpf")
"""What stands for a time of day in a strptime format."""


def parsed(values: pa.Array | pa.ChunkedArray, text: str) -> pa.Array:
    """Text as date-times in a strptime format, or as numbers (`number`); NULL where it is neither."""
    import pandas as pd

    strings = values.to_pandas()
    if text == "number":
        return pa.array(pd.to_numeric(strings, errors="coerce").astype(float), from_pandas=True)
    return pa.array(pd.to_datetime(strings, format=text, errors="coerce"), type=pa.timestamp("us"), from_pandas=True)


def spelled(x: np.ndarray, null: np.ndarray, text: str, digits: int) -> pa.Array:
    """The text of date-times in microseconds, or of numbers in units of their last digit, float (n,)."""
    if text == "number":
        return pa.array([f"{v:.{digits}f}" for v in x / 10.0**digits], type=pa.string(), mask=null)
    import pandas as pd

    return pa.array(pd.to_datetime(x.astype(np.int64), unit="us").strftime(text).to_numpy(dtype=object), type=pa.string(), mask=null)


def dated(values: pa.Array | pa.ChunkedArray, form: str) -> pa.Array:
    """Whole numbers as date-times, or as dates where they say no more; NULL where they are neither."""
    if form in _EPOCHS:
        return pc.multiply(values.cast(pa.int64()), _EPOCHS[form]).cast(pa.timestamp("us"))
    found = parsed(values.cast(pa.string()), form)
    return found if _TIME & set(form.replace("%%", "")) else found.cast(pa.date32())


def numbered(x: np.ndarray, null: np.ndarray, form: str, unit: float) -> pa.Array:
    """Dates in units of so many microseconds as whole numbers."""
    if form in _EPOCHS:
        return pa.array((x * unit).astype(np.int64) // _EPOCHS[form], mask=null)
    return spelled(x * unit, null, form, 0).cast(pa.int64())
