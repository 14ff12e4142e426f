"""Codes in which a running count is written, beside literals, dates and other columns: `INV-2024-000017`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synth_pipeline.keys import combined_codes
from synth_pipeline.synthesis.relational import checkdigits
from synth_pipeline.synthesis.relational.rules.pieces import CHECK, COUNT, Piece, Written, formed, joined
from synth_pipeline.synthesis.relational.rules.searching import EXAMPLES, ROUNDS, search, widened
from synth_pipeline.synthesis.relational.rules.support import SUPPORT
from synth_pipeline.synthesis.relational.rules.texts import Texts, spread

_FEW = 6
"""Rows that are looked at first."""


def find_written(texts: Texts, column: str, numbers: Collection[str]) -> Written | None:
    """How the values of a text key are written; None where they are not all pieces and one count.

    Args:
        texts: what texts may be composed of.
        column: a text column, no two values equal.
        numbers: the keys that are numbered in the order of something; the count must follow one of them.
    """
    frame, values = texts.frame, texts.frame.data.column(column)
    known = np.flatnonzero(texts.sure)
    if values.null_count or len(known) < 2 * SUPPORT or not pa.types.is_string(values.type) or not numbers:
        return None
    rows = spread(known, _FEW)
    if not all(any(c.isdigit() for c in t) for t in values.take(pa.array(rows)).to_pylist()):
        return None
    real = values.take(pa.array(known)).to_pylist()
    check = kind if (kind := checkdigits.find(real)) in ("gtin", "luhn") else ""
    if search(texts, column, rows, count=True, check=check).solve() is None:
        return None
    rows = spread(known, EXAMPLES)
    for _ in range(ROUNDS):
        parts = search(texts, column, rows, count=True, check=check).solve()
        if parts is None or not any(p.form == COUNT for p in parts):
            return None
        counts = _counts(texts, parts, known, real)
        wrong = known[[c is None for c in counts]]
        if not len(wrong):
            return _ordered(texts, parts, known, pa.array(counts), numbers, frame.missing + frame.rows - len(known))
        rows = widened(rows, wrong)
    return None


def _counts(texts: Texts, parts: tuple[Piece, ...], known: np.ndarray, real: Sequence[str]) -> list[str | None]:
    """The count in each text, None where that is written otherwise."""
    at = next(i for i, p in enumerate(parts) if p.form == COUNT)
    back = tuple(p for p in parts[at + 1 :] if p.form != CHECK)
    before, after = (joined(some, lambda p: texts.value(p, known), len(known)).to_pylist() for some in (parts[:at], back))
    end = -1 if parts[-1].form == CHECK else None
    found: list[str | None] = []
    for text, a, b in zip((t[:end] for t in real), before, after, strict=True):
        fits = a is not None and b is not None and text.startswith(a) and text.endswith(b)
        count = text[len(a) : len(text) - len(b)] if fits else ""
        found.append(count if count.isascii() and count.isdigit() else None)
    return found


def _ordered(texts: Texts, parts: tuple[Piece, ...], known: np.ndarray, counts: pa.Array, numbers: Collection[str], missing: int) -> Written | None:
    """The rule, where the counts follow a key; so many rows are missing."""
    least = int(pc.min(pc.utf8_length(counts)).as_py())
    if not _widths(counts, least):
        return None
    number = np.asarray(counts.cast(pa.float64()).to_numpy(zero_copy_only=False))
    parts = tuple(Piece(COUNT, str(least)) if p.form == COUNT else p for p in parts)
    each = {i: formed(p, texts.value(p, known)) for i, p in enumerate(parts) if p.holds}
    for within in _groupings(parts, {i: len(e.unique()) for i, e in each.items()}):
        group = combined_codes([pa.chunked_array([each[i]]) for i in within]) if within else np.zeros(len(known), dtype=np.int64)
        for key in numbers:
            place = np.lexsort((np.asarray(texts.frame.data.column(key).take(pa.array(known)).cast(pa.float64()).to_numpy()), group))
            starts = np.flatnonzero(np.r_[True, np.diff(group[place]) != 0])
            sizes = np.diff(np.r_[starts, len(known)])
            first = float(number[place][starts].min())
            skipped = number[place] - (first + np.arange(len(known)) - np.repeat(starts, sizes))
            rises = (np.diff(skipped, prepend=0.0) >= 0) | np.isin(np.arange(len(known)), starts)
            # Rows that are left out have numbers, too; there are no other gaps.
            if rises.all() and (skipped >= 0).all() and skipped[starts + sizes - 1].sum() <= missing:
                bare = joined(parts, lambda p: texts.value(p, known), len(known), pa.repeat(pa.scalar(""), len(known)))
                return Written(parts, key, int(first), within, int(pc.max(pc.utf8_length(bare)).as_py()))
    return None


def _groupings(parts: tuple[Piece, ...], sizes: dict[int, int]) -> Iterator[tuple[int, ...]]:
    """The pieces with each text of which a count may start again: all that vary, the dates, none."""
    every = tuple(i for i, size in sizes.items() if size > 1)
    yield from dict.fromkeys((every, tuple(i for i in every if parts[i].form.startswith("%")), ()))


def _widths(counts: pa.Array, least: int) -> bool:
    """Whether counts are written without zeros in front, or all with as many digits as it takes to fill `least`."""
    length, zeros = np.asarray(pc.utf8_length(counts)), np.asarray(pc.starts_with(counts, "0"))
    return not zeros[length > least].any() and (least == 1 or zeros[length == least].any() or len(np.unique(length)) == 1)
