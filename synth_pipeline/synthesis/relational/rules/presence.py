"""Columns that have a value exactly where another column says so: by its value, or by having one itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from synth_pipeline.catalog.schema import ForeignKey
from synth_pipeline.synthesis.relational.encode import Codec, held_above, shown
from synth_pipeline.synthesis.relational.frame import Frame
from synth_pipeline.synthesis.relational.rules.kinds import Presence
from synth_pipeline.synthesis.relational.rules.model import Rules
from synth_pipeline.synthesis.relational.rules.support import SUPPORT, supported

_FEW_VALUES = 40
_EXPECTED = 5
"""How many exceptions chance should have made at a value for it to decide."""
_SMALLEST = 10
"""Fewest rows with and without a value, and fewest of a value that is told to the user."""


def find_presence(
    frame: Frame, frames: Mapping[str, Frame], parents: Sequence[ForeignKey], columns: Sequence[str], made: Sequence[str], rules: Rules
) -> None:
    """Adds to the rules of a table which columns are empty where another one says so.

    Args:
        frame: the table.
        frames: all tables.
        parents: foreign keys whose parents exist before the table's rows do.
        columns: columns with values of their own.
        made: columns whose values are made up.
        rules: the rules so far; gets those found.
    """
    counted = {c for c, t in rules.totals.items() if t.extreme is None and not t.bare}
    explained = (rules.exact() | {*rules.chains}) - counted
    for column in (*columns, *made):
        empty = np.asarray(frame.data.column(column).is_null())
        if column in explained or any(len(rows) < _SMALLEST or not supported(frame, rows) for rows in map(np.flatnonzero, (empty, ~empty))):
            continue
        best: tuple[bool, bool, float, Presence] | None = None
        for rule, codes, s, codec in _deciders(frame, frames, parents, [c for c in columns if c != column]):
            if not rule.key and rules.needs(rule.source, column):
                continue
            seen = ~frame.lost if rule.key else np.ones(frame.rows, dtype=bool)
            found = _decided(frame.entities[seen], rule, codes[seen], s[seen], codec, empty[seen])
            if found is not None and (best is None or found[:3] > best[:3]):
                best = found
        if best is not None:
            rules.presence[column] = best[3]


def find_childless(frame: Frame, rows: np.ndarray, count: np.ndarray, columns: Sequence[str]) -> Presence | None:
    """Which rows have no children by one foreign key, and which have some, because a column says so: no payment of what was cancelled.

    Args:
        frame: the table.
        rows: the rows all of whose children are known, int (n,).
        count: children of each row.
        columns: columns of the rows that are known before the children are.
    """
    empty = count[rows] == 0
    if any(len(r) < _SMALLEST or not supported(frame, rows[r]) for r in map(np.flatnonzero, (empty, ~empty))):
        return None
    best: tuple[bool, bool, float, Presence] | None = None
    for rule, codes, s, codec in _deciders(frame, {}, (), columns):
        found = _decided(frame.entities[rows], rule, codes[rows], s[rows], codec, empty)
        if found is not None and (best is None or found[:3] > best[:3]):
            best = found
    return best[3] if best is not None else None


def _decided(
    entities: np.ndarray, rule: Presence, codes: np.ndarray, s: np.ndarray, codec: Codec | None, empty: np.ndarray
) -> tuple[bool, bool, float, Presence] | None:
    """What a column says of whether another is empty: whether always, whether by being empty itself, its support, the rule."""
    codes = np.unique(codes, return_inverse=True)[1]
    # A root entity counts once for each value of the column: what it does again and again is its habit.
    _, once = np.unique(codes.astype(np.int64) * (int(entities.max(initial=0)) + 1) + entities, return_index=True)
    size, share = int(codes.max(initial=0)) + 1, float(empty.mean())
    count = np.bincount(codes[once], minlength=size)
    some, none = np.bincount(codes[empty], minlength=size) == 0, np.bincount(codes[~empty], minlength=size) == 0
    exceptions = np.where(none, count * (1 - share), 0) + np.where(some, count * share, 0)
    always = bool((none | some).all())
    sure = exceptions >= _EXPECTED
    if float(exceptions[sure].sum()) < 2 * SUPPORT:
        return None
    # Where every value decides, the rare ones do, too.
    kept = none | some if always else sure
    first = np.full(size, -1)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    value = s[first]
    missing = None
    for k in np.flatnonzero(kept & np.isnan(value)):
        missing = bool(none[k])
    known = kept & ~np.isnan(value)
    if rule.source and codec is None:
        others = next((bool(none[k]) for k in np.flatnonzero(known)), None)
        made = Presence(rule.source, rule.key, (), (), missing, others)
    else:
        made = Presence(rule.source, rule.key, tuple(value[known & none].tolist()), tuple(value[known & some].tolist()), missing, None)
    return always, codec is None, float(exceptions[sure].sum()), replace(made, shown=_words(made, codec, value[known & none & (count >= _SMALLEST)]))


def _words(rule: Presence, codec: Codec | None, empty: np.ndarray) -> str:
    """The rule for people; `{source}` stands for the column that decides. `empty`: the frequent values where nothing is."""
    always = rule.missing is not None and rule.others is not None or rule.source != "" and codec is not None and rule.empty and rule.filled
    parts = []
    if len(empty) and codec is not None:
        parts.append("{source} = " + ", ".join(v.replace("{", "(").replace("}", ")") for v in shown(codec, empty)))
    elif rule.empty:
        parts.append("{source} says so")
    if rule.missing is True:
        parts.append("{source} is missing")
    if rule.others is True:
        parts.append("{source} is known")
    if parts:
        return f"is empty {'exactly ' if always else ''}where " + " or ".join(parts)
    if rule.filled and codec is not None:
        return "is never empty where {source} = " + ", ".join(v.replace("{", "(").replace("}", ")") for v in shown(codec, np.array(rule.filled)))
    return "is never empty where {source} " + ("is missing" if rule.missing is False else "is known")


def _deciders(
    frame: Frame, frames: Mapping[str, Frame], parents: Sequence[ForeignKey], columns: Sequence[str]
) -> Iterator[tuple[Presence, np.ndarray, np.ndarray, Codec | None]]:
    """What may decide: whether a column has a value, or which, or which row of a reference table the parent is.

    Yields codes from 0, the values (NaN or 0 for the first kind), and the codec that shows them.
    """
    sources = [("", c, frame.x[c], frame.codecs[c]) for c in columns if c not in frame.late]
    for fk in parents:
        above, index = frames[fk.parent], frame.parents[fk.id]
        if above.reference:
            row = np.where(index >= 0, index, np.nan)
            values, codes = np.unique(np.where(index >= 0, index, np.inf), return_inverse=True)
            if 2 <= len(values) <= _FEW_VALUES:
                yield Presence("", fk.id), codes, row, None
            continue
        for c in above.codecs:
            if c not in above.late and above.rows:
                sources.append((fk.id, c, held_above(above.x[c], index), above.codecs[c]))
    for key, name, s, codec in sources:
        missing = np.isnan(s)
        if missing.any() and not missing.all():
            yield Presence(name, key), missing.astype(np.int64), np.where(missing, np.nan, 0.0), None
        values, codes = np.unique(s, return_inverse=True) if key else frame.distinct(name)
        if 2 <= len(values) <= _FEW_VALUES:
            yield Presence(name, key), codes, s, codec
