"""What the values of one column show: counts, lengths, characters, numbers; bounded by the profile's sample.

`Facts` live only while inference runs; their distinct values never reach the metadata. What the facts mean for the
decision is weighed in `evidence`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from synth_pipeline.metadata import formats, validators

if TYPE_CHECKING:
    import pyarrow as pa

DISTINCT_LOOKED_AT = 120
_LONGEST = 400
_FIRST_LOOK = 10
_PLACEHOLDERS = frozenset("n/a na none null nil unknown - -- ? . tbd tba missing undefined x xxx not available not applicable".split()) | {
    "not available",
    "not applicable",
}


@dataclass
class Facts:
    """What a sample of a column shows.

    Attributes:
        rows: rows in the sample; `filled` of them are neither NULL nor blank.
        distinct: different values among the filled ones.
        commonest: rows that hold the commonest value.
        values: at most `DISTINCT_LOOKED_AT` distinct values as text, placeholders left out; only for text.
        numbers: all filled values as float64, shape (filled,); None for what is no number.
        length, longest: mean and greatest number of characters; words: mean number of words.
    """

    rows: int = 0
    filled: int = 0
    distinct: int = 0
    commonest: int = 0
    values: list[str] = field(default_factory=list)
    numbers: np.ndarray[Any, Any] | None = None
    length: float = 0.0
    longest: int = 0
    words: float = 0.0
    _shares: dict[str, float] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        return self.filled == 0

    @property
    def is_unique(self) -> bool:
        return self.filled > 0 and self.distinct == self.filled

    @property
    def repeats(self) -> float:
        """How often a value occurs on average."""
        return self.filled / self.distinct if self.distinct else 0.0

    @cached_property
    def characters(self) -> frozenset[str]:
        return frozenset("".join(self.values))

    @cached_property
    def integral(self) -> bool:
        return self.numbers is not None and len(self.numbers) > 0 and bool(np.all(self.numbers == np.floor(self.numbers)))

    @cached_property
    def numeric_text(self) -> float:
        """The share of texts that are plain decimal numbers."""
        hits = sum(v.lstrip("+-").replace(".", "", 1).isdigit() and v.isascii() for v in self.values)
        return hits / len(self.values) if self.values else 0.0

    @cached_property
    def leading_zeros(self) -> bool:
        return any(len(v) > 1 and v[0] == "0" and v.isdigit() for v in self.values)

    def share(self, kind: str) -> float:
        """The share of the values that the validator of `kind` takes."""
        if kind not in self._shares:
            self._shares[kind] = validators.share(kind, self.values)
        return self._shares[kind]

    def hardly(self, kind: str) -> bool:
        """Whether a first look at a few values shows that `kind` is out of the question."""
        if kind in self._shares:
            return self._shares[kind] < 0.2
        if len(self.values) <= _FIRST_LOOK:
            return False
        step = len(self.values) // _FIRST_LOOK
        return validators.share(kind, self.values[::step][:_FIRST_LOOK]) < 0.2

    def between(self, low: float, high: float) -> float:
        """The share of the numbers in [low, high]."""
        if self.numbers is None or not len(self.numbers):
            return 0.0
        return float(np.mean((self.numbers >= low) & (self.numbers <= high)))


def facts(column: pa.ChunkedArray[Any] | pa.Array[Any] | None) -> Facts:
    """The facts of one column of a profile; empty facts where there is nothing to see."""
    import pyarrow as pa

    if column is None or len(column) == 0:
        return Facts()
    flat = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(flat, pa.ChunkedArray):
        flat = pa.concat_arrays(flat.chunks)
    if pa.types.is_dictionary(flat.type):
        flat = flat.dictionary_decode()
    kind = flat.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _of_text(flat)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _of_numbers(flat)
    return _of_others(flat)


def _of_others(flat: Any) -> Facts:
    filled = len(flat) - flat.null_count
    try:
        distinct = len(flat.drop_null().unique())
    except Exception:  # nested types have no hash; nothing here depends on it
        distinct = filled
    return Facts(len(flat), filled, distinct)


def _of_numbers(flat: Any) -> Facts:
    import pyarrow as pa

    dense = flat.drop_null()
    numbers = np.asarray(dense.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)
    numbers = numbers[np.isfinite(numbers)]
    _, counts = np.unique(numbers, return_counts=True)
    # Large integers collapse as floats: count them exactly.
    distinct = len(dense.unique()) if len(numbers) and np.abs(numbers).max() >= 2**53 else len(counts)
    commonest = int(counts.max()) if len(counts) else 0
    return Facts(len(flat), len(numbers), distinct, commonest, numbers=numbers)


def _of_text(flat: Any) -> Facts:
    import pyarrow as pa
    import pyarrow.compute as pc

    present = flat.drop_null()
    try:
        counted = pc.utf8_trim_whitespace(present).value_counts()
    except (UnicodeDecodeError, ValueError):
        # Bytes that are no UTF-8 in a text column.
        texts = [b.decode("utf-8", "replace").strip() for b in present.cast("binary").to_pylist()]
        counted = pa.array(texts, pa.string()).value_counts()
    filled_ones = counted.filter(pc.not_equal(counted.field(0), ""))
    keys, counts = filled_ones.field(0), np.asarray(filled_ones.field(1).to_numpy(zero_copy_only=False), dtype=np.int64)
    filled = int(counts.sum())
    if not filled:
        return Facts(len(flat), 0, 0)
    lengths = np.asarray(pc.utf8_length(keys).to_numpy(zero_copy_only=False), dtype=np.float64)
    step = max(1, len(keys) // DISTINCT_LOOKED_AT)
    picked = pc.utf8_slice_codeunits(keys.take(pa.array(np.arange(0, len(keys), step)[: DISTINCT_LOOKED_AT + 10])), 0, _LONGEST).to_pylist()
    looked = [k for k in picked if k.casefold() not in _PLACEHOLDERS][:DISTINCT_LOOKED_AT]
    words = float(np.mean([len(k.split()) for k in looked])) if looked else 0.0
    length = float((lengths * counts).sum() / filled)
    return Facts(len(flat), filled, len(keys), int(counts.max()), looked, length=length, longest=int(lengths.max()), words=words)


def decimals(found: Facts) -> int | None:
    """Digits after the point that occur in the numbers."""
    return None if found.numbers is None else formats.decimals(found.numbers)
