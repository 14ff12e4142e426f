"""Numbers that count the rows of any parent, or of two together, and the order in which they do.

Where siblings under the owner are counted is in `children`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import pyarrow as pa

from synth_pipeline.catalog.branches import branches_of
from synth_pipeline.catalog.schema import ForeignKey
from synth_pipeline.keys import combined_codes
from synth_pipeline.synthesis.relational.encode import NumberCodec
from synth_pipeline.synthesis.relational.frame import Frame
from synth_pipeline.synthesis.relational.rules.kinds import Rank
from synth_pipeline.synthesis.relational.rules.model import Rules
from synth_pipeline.synthesis.relational.rules.support import SUPPORT, supported
from synth_pipeline.synthesis.relational.runs import in_runs

_MOST_KEYS = 8
"""Most foreign keys of which any two are looked at together."""
_TOGETHER = 0.3
"""Least share of rows that are not alone in their group."""


def find_count(frame: Frame, parents: Sequence[ForeignKey], column: str) -> Rank | None:
    """Within which columns of foreign keys a column counts 1, 2, 3 … (or 0, 1, 2 …), in some order."""
    x = frame.x[column]
    if len(x) < SUPPORT or np.isnan(x).any() or x.min() not in (0.0, 1.0) or x.max() - x.min() >= len(x) + frame.missing or (x % 1).any():
        return None
    first = float(x.min())
    # There are no more rows with a number than with the one before it.
    if not frame.missing and (np.diff(np.bincount((x - first).astype(np.int64))) > 0).any():
        return None
    return next((Rank(first, within) for within, declared in _groupings(frame, parents, column) if _counts(frame, x - first, within, declared)), None)


def _groupings(frame: Frame, parents: Sequence[ForeignKey], column: str) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Columns that rows may be counted within, and whether a key says so: parents, what they are within themselves, pairs of parents."""
    known = {c for fk in parents for c in fk.columns}
    ways = [(rest, True) for key in frame.table.keys if column in key and (rest := tuple(c for c in key if c != column)) and known >= set(rest)]
    ways += [(fk.columns, False) for fk in parents]
    ways += [((c,), False) for fk in parents for c in fk.columns]
    ways += [(tuple(dict.fromkeys((*a.columns, *b.columns))), False) for a, b in combinations(parents[:_MOST_KEYS], 2)]
    led = [{b.id for b in branches_of(key)} for key in frame.table.polymorphic_keys]
    pairs = [tuple(c for fk in parents if fk.id in ids for c in fk.columns) for ids in led]
    ways += [(way, False) for way in pairs if len(way) > 1]
    seen: set[frozenset[str]] = set()
    for way, declared in ways:
        # Of the columns of a polymorphic key a row has one.
        missing = [np.asarray(frame.data.column(c).is_null()) for c in way]
        if frozenset(way) not in seen and not (np.all(missing, axis=0) if way in pairs else np.any(missing, axis=0)).any():
            seen.add(frozenset(way))
            yield way, declared


def _counts(frame: Frame, x: np.ndarray, within: tuple[str, ...], declared: bool) -> bool:
    """Whether numbers from 0 count the rows of every group; those of a group some of whose rows are left out find room among its own."""
    code, hidden = _groups(frame, within)
    order = np.lexsort((x, code))
    ordered, (place, size, starts) = x[order], in_runs(code[order])
    left_out = hidden[code[order]]
    whole = left_out == 0
    rising = np.r_[True, np.diff(ordered) > 0] if len(ordered) else np.empty(0, dtype=bool)
    rising[starts] = True
    if not np.array_equal(ordered[whole], place[whole]) or not (rising & (ordered >= place) & (ordered < size + left_out)).all():
        return False
    told = np.flatnonzero(whole & (size > 1))
    # A column that is 1 or 2 may be anything, if no key says that it tells rows apart.
    enough = declared or (place[told] > 1).sum() >= SUPPORT
    return enough and len(told) >= SUPPORT and bool((size > 1).mean() >= _TOGETHER) and supported(frame, order[told])


def _groups(frame: Frame, within: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The group of each row, int64 (rows,), and how many rows of each group are left out."""
    columns = [frame.data.column(c) for c in within]
    if frame.unseen is not None:
        columns = [pa.chunked_array([*c.chunks, *frame.unseen.column(n).chunks], c.type) for n, c in zip(within, columns, strict=True)]
    codes = np.unique(combined_codes(columns), return_inverse=True)[1]
    return codes[: frame.rows], np.bincount(codes[frame.rows :], minlength=int(codes.max(initial=-1)) + 1)


def find_order(frame: Frame, rules: Rules) -> None:
    """In what order rows are counted within parents: that of a date, and where this leaves them equal, or there is none, that of a key."""
    linked = {c for fk in frame.table.foreign_keys for c in fk.columns}
    for column, rank in rules.ranks.items():
        if not rank.within:
            continue
        code = _groups(frame, rank.within)[0]
        order = np.lexsort((frame.x[column], code))
        same = np.diff(code[order]) == 0
        known = [c for c, k in frame.codecs.items() if isinstance(k, NumberCodec) and pa.types.is_temporal(k.type) and not rules.needs(c, column)]
        steps = {c: np.diff(frame.x[c][order])[same] for c in known if c not in frame.late}
        dates = [c for c, step in steps.items() if (step >= 0).all() and (step > 0).sum() >= SUPPORT]
        by = sorted(dates, key=lambda c: -int((steps[c] > 0).sum()))[:1]
        if not by or (steps[by[0]] == 0).any():
            by += [c for c in frame.table.primary_key if c not in linked and c not in frame.codecs and _rises(frame.data.column(c), order, same)][:1]
        rules.ranks[column] = replace(rank, by=tuple(by))


def _rises(keys: pa.ChunkedArray, order: np.ndarray, same: np.ndarray) -> bool:
    """Whether numbers rise along the rows in `order` where neighbours are in the same group."""
    return pa.types.is_integer(keys.type) and bool((np.diff(np.asarray(keys.to_numpy())[order])[same] > 0).all())
