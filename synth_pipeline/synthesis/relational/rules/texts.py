"""The texts of a table, and what they may be composed of; most are refuted by a glance at a few rows."""

from __future__ import annotations

import datetime as dt
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from synth_pipeline.catalog.schema import ForeignKey
from synth_pipeline.synthesis.relational.frame import Frame
from synth_pipeline.synthesis.relational.rules.pieces import Composed, Piece
from synth_pipeline.synthesis.relational.rules.sources import Source, sources_of, unsure_rows
from synth_pipeline.synthesis.relational.rules.support import SUPPORT

_SAMPLE, GLANCE = 64, 6
"""Rows of a table that may be glanced at, and how many are."""
_PARTS = 4
"""Parts of a text whose beginnings are looked at."""
_LONGEST = 240
CATEGORIES, TOLD_ROWS = 30, 500
"""Most values of a category that stands for a text, and rows that are looked at."""


@dataclass
class Texts:
    """What the texts of a table may be composed of.

    Attributes:
        frame, frames, parents: as for `find_rules`.
        personal: by table the columns whose values are made up, as they are personal.
        renamed: by table the columns whose values come out under other names.
        unique: the columns of the table that are a key by themselves.
        waiting: columns of the table that wait for other rows.
        invented: columns of the table with free texts and names, which come out as others.
    """

    frame: Frame
    frames: Mapping[str, Frame]
    parents: Sequence[ForeignKey]
    personal: Mapping[str, Collection[str]]
    renamed: Mapping[str, Collection[str]]
    unique: Collection[str]
    waiting: Collection[str] = ()
    invented: Collection[str] = ()
    found: dict[str, Composed] = field(default_factory=dict)

    @cached_property
    def sources(self) -> list[Source]:
        """The columns that there are."""
        return sources_of(self.frame, self.frames, self.parents, self.waiting)

    @cached_property
    def _by_place(self) -> dict[tuple[str, str, str], Source]:
        return {s.piece.source: s for s in self.sources}

    @cached_property
    def categories(self) -> list[Source]:
        """Those with few values, none of which comes out under another name."""
        some, found = spread(np.flatnonzero(self.sure), TOLD_ROWS), []
        for source in self.sources:
            hidden = {*self.personal.get(source.table, ()), *self.renamed.get(source.table, ())}
            coded = pa.types.is_string(source.values.type) or pa.types.is_integer(source.values.type)
            if coded and source.piece.column not in hidden and 2 <= len(source.at(some).drop_null().unique()) <= CATEGORIES:
                found.append(source)
        return found

    @cached_property
    def sure(self) -> np.ndarray:
        """Rows whose parents are known; bool (rows,)."""
        return ~unsure_rows(self.frame, self.frames, self.parents)

    @cached_property
    def _sample(self) -> tuple[np.ndarray, list[list[Any] | None], dict[tuple[int, int], tuple[str, ...]]]:
        """Some rows; for each source what these see, and what would be seen of that in a text, by source and row, as far as it was asked."""
        return spread(np.flatnonzero(self.sure), _SAMPLE), [None] * len(self.sources), {}

    def _seen(self, source: int) -> list[Any]:
        rows, held, _ = self._sample
        if (known := held[source]) is None:
            known = held[source] = self.sources[source].at(rows).to_pylist()
        return known

    def _marks(self, source: int, row: int) -> tuple[str, ...]:
        known = self._sample[2]
        if (source, row) not in known:
            known[source, row] = _marks(self._seen(source)[row])
        return known[source, row]

    def source(self, piece: Piece) -> Source:
        """The column of a piece."""
        return self._by_place[piece.source]

    def value(self, piece: Piece, rows: np.ndarray) -> pa.Array:
        """What rows see of the column of a piece."""
        return self.source(piece).at(rows)

    def after(self, column: str) -> set[str]:
        """The columns that are composed of this one, and itself."""
        found = {column}
        while more := {c for c, rule in self.found.items() if c not in found and found & set(rule.own())}:
            found |= more
        return found

    def glance(self, column: str) -> bool:
        """Whether a few texts of a column hold what a source begins with, and are no parent's; most texts are not such."""
        real = self.frame.data.column(column).take(pa.array(self._sample[0])).to_pylist()
        known = np.array([i for i, t in enumerate(real) if t is not None])
        if len(known) < GLANCE:
            return bool(self.frame.rows - self.frame.data.column(column).null_count >= 2 * SUPPORT)
        # In their order, so that they differ as much as they may.
        rows = spread(known[np.argsort([real[i] for i in known], kind="stable")], GLANCE).tolist()
        texts = [plain(real[i]) for i in rows]
        if len(set(texts)) < 2 or not all(texts) or sum(map(len, texts)) > _LONGEST * len(texts):
            return False
        short, own, held = sum(map(len, texts)) <= 4 * len(texts), self.after(column), False
        for i, source in enumerate(self.sources):
            if source.piece.key and pa.types.is_string(source.values.type):
                seen = self._seen(i)
                if sum(seen[row] == real[row] for row in rows) > len(rows) // 2:
                    return False  # what mostly repeats a parent's is another rule
            if not held and (source.piece.key or source.piece.column not in own):
                held = self._held_by(texts, i, rows, short=short)
        return held

    def _held_by(self, texts: Sequence[str], source: int, rows: Sequence[int], *, short: bool) -> bool:
        """Whether each text holds what a source begins with, which is not the same in all."""
        able, first = set(range(_PARTS)), self._marks(source, rows[0])
        varies = False
        for text, row in zip(texts, rows, strict=True):
            marks = self._marks(source, row)
            able = {at for at in able if at < len(marks) and marks[at] and (marks[at][:1] if short else marks[at]) in text}
            varies |= marks != first
            if not able:
                return False
        return varies


def spread(rows: np.ndarray, count: int) -> np.ndarray:
    """So many of the rows, evenly."""
    return rows if len(rows) <= count else rows[np.linspace(0, len(rows) - 1, count).astype(np.int64)]


def plain(text: str) -> str:
    """The letters and digits of a text, small and without accents."""
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text)
    return "".join(c for c in text.lower() if c.isalnum())


def _marks(value: Any) -> tuple[str, ...]:
    """What would be seen of a value in a text that holds it in some form: how it begins, or a part of it does."""
    if value is None:
        return ()
    if isinstance(value, dt.date):
        return f"{value.year % 100:02d}", f"{value.month:02d}"
    return (str(value),) if isinstance(value, int) else beginnings(value)


def beginnings(text: str) -> tuple[str, ...]:
    """How a text, its last word, and what follows its last @ or point begin: two letters or digits of each."""
    words = text.split()
    return tuple(plain(part[:8])[:2] for part in (text, words[-1] if words else "", text.rpartition("@")[2], text.rpartition(".")[2]))


def may_hold(values: Sequence[str], texts: Sequence[str]) -> bool:
    """Whether each text, in letters and digits, may hold some form of each value."""
    able = set(range(_PARTS))
    for value, text in zip(values, texts, strict=True):
        parts = beginnings(value)
        able = {at for at in able if parts[at] and parts[at][0] in text}
        if not able:
            return False
    return True
