"""Codes that begin with what other columns say, and go on as they like: `BO-1253` for books, +49 for Germany."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synth_pipeline.synthesis.relational.rules.composed import says
from synth_pipeline.synthesis.relational.rules.pieces import Piece, joined
from synth_pipeline.synthesis.relational.rules.searching import EXAMPLES, ROUNDS, search, widened
from synth_pipeline.synthesis.relational.rules.support import SUPPORT, supported
from synth_pipeline.synthesis.relational.rules.texts import GLANCE, Texts, spread


def find_beginning(texts: Texts, column: str) -> tuple[Piece, ...]:
    """The pieces with which all texts of a column begin; empty for none, or where two different beginnings might be one and the same."""
    values = texts.frame.data.column(column)
    known = np.flatnonzero(np.asarray(values.is_valid()) & texts.sure)
    if len(known) < 2 * SUPPORT or not supported(texts.frame, known):
        return ()
    # In their order, so that they begin as differently as they may.
    ordered = known[np.asarray(pc.sort_indices(values.take(pa.array(known))))]
    if not search(texts, column, np.sort(spread(ordered, GLANCE))).begin():
        return ()
    rows = np.sort(spread(ordered, EXAMPLES))
    for _ in range(ROUNDS):
        pieces = search(texts, column, rows).begin()
        if not pieces:
            return ()
        begun, real = beginnings_of(texts, pieces, known), values.take(pa.array(known)).to_pylist()
        wrong = known[[b is None or len(t) <= len(b) or not t.startswith(b) for t, b in zip(real, begun, strict=True)]]
        if not len(wrong):
            return pieces if _apart(sorted({b for b in begun if b})) and says(texts, pieces, known) else ()
        rows = widened(rows, wrong)
    return ()


def beginnings_of(texts: Texts, pieces: tuple[Piece, ...], rows: np.ndarray) -> list[str | None]:
    """What texts of some rows begin with."""
    return list(joined(pieces, lambda p: texts.value(p, rows), len(rows)).to_pylist())


def without_beginning(texts: Texts, pieces: tuple[Piece, ...], column: str) -> tuple[pa.ChunkedArray, list[str]]:
    """What is left of the texts of a column, and of those that are left out, of which only their text is known."""
    frame = texts.frame
    begun = beginnings_of(texts, pieces, np.arange(frame.rows))
    left = [None if t is None else t[len(b or "") :] for t, b in zip(frame.data.column(column).to_pylist(), begun, strict=True)]
    some = sorted({b for b in begun if b})
    unseen = [t[len(b) :] for t in frame.protected(column).drop_null().to_pylist() for b in some if t.startswith(b)]
    return pa.chunked_array([pa.array(left, pa.string())]), unseen


def _apart(beginnings: list[str]) -> bool:
    """Whether none of some sorted texts begins with another one, and there are several."""
    return len(beginnings) > 1 and not any(b.startswith(a) for a, b in zip(beginnings, beginnings[1:], strict=False))
