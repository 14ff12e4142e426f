"""How many children a row has at most, or exactly, because a number or a category says so: a section has seats, a plan allows projects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from synth_pipeline.catalog.schema import ForeignKey
from synth_pipeline.synthesis.relational.encode import CategoryCodec, NumberCodec, held_above, shown
from synth_pipeline.synthesis.relational.frame import Frame
from synth_pipeline.synthesis.relational.rules.support import SUPPORT, disorder, supported

_SMALLEST, _USUAL = 10, 0.7
"""Fewest rows of a category that fixes the number of children; the share of all rows with so many from which on it is no news."""
_VALUES = 40


@dataclass(frozen=True)
class Ceiling:
    """There are never more children than a number of the row, or of its parent by `key`, says."""

    column: str
    key: str = ""


@dataclass(frozen=True)
class Fixed:
    """Rows with some values (in units) of a column, or with some parents (their rows) by a lookup, have so many children each.

    `shown` has the values for people.
    """

    column: str
    values: tuple[float, ...]
    counts: tuple[int, ...]
    shown: tuple[str, ...] = ()
    key: str = ""

    def of(self, x: np.ndarray) -> np.ndarray:
        """The number of children by the column's values, -1 where it is free; int64 (n,)."""
        out = np.full(len(x), -1, dtype=np.int64)
        for value, count in zip(self.values, self.counts, strict=True):
            out[x == value] = count
        return out


def find_ceilings(
    frame: Frame, frames: Mapping[str, Frame], rows: np.ndarray, count: np.ndarray, parents: Sequence[ForeignKey], columns: Sequence[str]
) -> tuple[Ceiling, ...]:
    """The numbers that the counts never exceed, although they would if these were dealt at random.

    Args:
        frame: the table.
        frames: all tables.
        rows: the rows all of whose children are known, int (m,).
        count: children of each row, int (n,).
        parents: foreign keys whose parents exist before the rows' children do.
        columns: columns of the rows that are known before the children are.
    """
    found = []
    sources = [(Ceiling(c), frame.x[c], frame.codecs[c]) for c in columns]
    for fk in parents:
        above = frames[fk.parent]
        sources += [(Ceiling(c, fk.id), held_above(above.x[c], frame.parents[fk.id]), k) for c, k in above.codecs.items() if c not in above.late]
    for ceiling, x, codec in sources:
        if not isinstance(codec, NumberCodec) or pa.types.is_temporal(codec.type):
            continue
        at = rows[np.isfinite(x[rows])]
        value = x[at] * codec.unit
        if len(at) >= 2 * SUPPORT and (count[at] <= value).all() and supported(frame, at) and disorder(count[at], value, upper=True) >= 2 * SUPPORT:
            found.append(ceiling)
    return tuple(found)


def find_fixed(
    frame: Frame, frames: Mapping[str, Frame], rows: np.ndarray, count: np.ndarray, lookups: Sequence[ForeignKey], columns: Sequence[str]
) -> Fixed | None:
    """The column, or the lookup, most of whose values fix the number of children: a new ticket has one event.

    Args: see `find_ceilings`; `lookups` are the foreign keys to reference tables.
    """
    best: tuple[int, Fixed] | None = None
    common = np.bincount(count[rows]) / max(1, len(rows))
    sources: list[tuple[str, str, np.ndarray, CategoryCodec | Frame]]
    sources = [(c, "", frame.x[c], k) for c in columns if isinstance(k := frame.codecs[c], CategoryCodec)]
    sources += [("", fk.id, np.where(frame.parents[fk.id] >= 0, frame.parents[fk.id], np.nan), frames[fk.parent]) for fk in lookups]
    for column, key, x, about in sources:
        size = len(about.dictionary) if isinstance(about, CategoryCodec) else about.rows
        if size > _VALUES:
            continue
        at = rows[np.isfinite(x[rows])]
        code, held = x[at].astype(np.int64), count[at]
        least, most, number = np.full(size, np.iinfo(np.int64).max), np.full(size, -1), np.bincount(code, minlength=size)
        np.minimum.at(least, code, held)
        np.maximum.at(most, code, held)
        one = np.flatnonzero((least == most) & (most > 0) & (number >= _SMALLEST))
        fixed = [int(v) for v in one if common[least[v]] < _USUAL and supported(frame, at[code == v])]
        told = int(number[fixed].sum())
        if fixed and told >= 2 * SUPPORT and (best is None or told > best[0]):
            values = np.array(fixed, dtype=float)
            names = shown(about, values) if isinstance(about, CategoryCodec) else _named(about, fixed)
            best = told, Fixed(column, tuple(values.tolist()), tuple(least[fixed].tolist()), names, key)
    return best[1] if best is not None else None


def _named(above: Frame, rows: Sequence[int]) -> tuple[str, ...]:
    """Rows of a reference table by their keys, for people."""
    key = above.table.primary_key or tuple(above.data.column_names[:1])
    return tuple(", ".join(str(above.data.column(c)[int(r)].as_py()) for c in key) for r in rows)
