"""Entities without a table of their own: what several rows of a table mean by the same number, code or address.

A column that repeats and says what others are (the receipt its date, the mail address its name) stands for such an entity:
a functional dependency with more support than chance would give. The entities of a table that say each other lie in a chain:
the line is of a receipt, the receipt of a customer (synthesis of the third normal form, Bernstein 1976).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from synth_pipeline.catalog.schema import DatabaseSchema, Table
from synth_pipeline.keys import by_appearance, combined_codes, complete_rows
from synth_pipeline.metadata.entities import naming_columns
from synth_pipeline.metadata.model import ColumnMetadata, TableMetadata
from synth_pipeline.synthesis.relational.histories import are_histories, time_columns

_LEAST = 30
"""Fewest entities; fewer are a category."""
_WORDS = 50
"""Fewest different words that are entities rather than categories, where nothing says that they are keys."""
_REPEATS = 50
"""Fewest rows that repeat an entity."""
_SURPRISE = 20
"""How many of the repeated rows would differ by chance, at least, for their being the same to say something."""
_EXCEPTIONS = 0.2
"""How many more values than rows a parent's attribute may have, as a share: what a few rows have otherwise is one all the same."""
_TOLD = 2
"""Fewest columns that words must say to name something, beside those that are written in them."""
_WRITTEN = 200
"""Rows of which texts are compared."""
_GLANCE = 4_000
"""Rows that refute most dependencies at once."""


@dataclass(frozen=True)
class Entity:
    """What stands for a thing on several rows of a table.

    Attributes:
        key: what names it: a column, or two (the number of the receipt and the shop).
        columns: what it says, in the order of the table.
        names: those of `columns` that name it as well: no two entities share a value.
        series: whether its rows are a history with one row at a time, beside those of others (the prices of a stock).
    """

    key: tuple[str, ...]
    columns: tuple[str, ...]
    names: tuple[str, ...] = ()
    series: bool = False


Composition = Callable[[Sequence[str]], Collection[str]]
"""Those of some columns that are composed of others."""


def find_entities(schema: DatabaseSchema, table: Table, about: TableMetadata, rows: pa.Table, composed: Composition) -> list[Entity]:
    """The entities of a table, events before things, and the smallest (those that say others) first; empty for most tables.

    Args:
        schema: of the database.
        table: whose rows are looked at.
        about: what its columns mean.
        rows: those that may be learnt from, with the stored columns.
        composed: tells which texts are composed of other columns, and so say nothing.
    """
    foreign = [fk.columns for fk in table.foreign_keys if fk.parent in schema]
    linked = {c for columns in foreign for c in columns}
    unique = {key[0] for key in table.keys if len(key) == 1}
    codes = _Codes(rows)
    free = [n for n in naming_columns(table, about) if not any(codes.mostly_says(columns, n) for columns in foreign)]
    names = [n for n in free if _repeats(codes.of((n,)), about.columns[n])]
    others = [c.name for c in table.stored_columns if c.name not in unique]

    def said_by(*key: str) -> list[str]:
        """What some columns say; part of a key that leads elsewhere is nothing."""
        told = [c for c in others if c not in key and codes.says(codes.of(key), codes.of((c,)))]
        return [c for c in told if c not in linked or any(c in f and set(f) <= {*told, *key} for f in foreign)]

    said = {n: said_by(n) for n in names}
    found: list[Entity] = []
    if (whose := _series(table, about, codes)) is not None and whose not in linked:
        return [Entity((whose,), tuple(said_by(whose)), series=True)]
    for n in sorted(names, key=lambda n: _rank(table, about, n)):
        worded = about.columns[n].sdtype == "id" and table.column(n).type.kind in ("text", "uuid")
        told = [c for c in said[n] if not _written_in(rows, n, c)]
        least = 0 if worded else 1 if _is_code(about.columns[n]) else _TOLD
        if least == _TOLD <= len(told):
            told = [c for c in told if c not in composed(told)]
        if not any(n in e.names for e in found) and len(told) >= least:
            found.append(Entity((n,), tuple(said[n]), tuple(m for m in said[n] if m in names and n in said[m])))
    for n in (n for n in free if not said.get(n) and not any(n in e.columns for e in found)):
        pair = _with_another(table, about, codes, n, said_by, foreign)
        if pair is not None:
            found = [*(e for e in found if e.key != (n,)), pair]
    return sorted(found, key=lambda e: (not _happened(table, about, e), -codes.of(e.key).size))


def _series(table: Table, about: TableMetadata, codes: _Codes) -> str | None:
    """A column by which there is one row at a time, and several at the same times: the code of a stock, the name of a country."""
    rows = len(codes.of((table.stored_columns[0].name,)).code)
    times = time_columns(table, about)
    kinds = [c.name for c in table.stored_columns if c.type.kind in ("text", "integer", "uuid") and c.name not in times]
    for time in (t for t in times if 2 <= codes.of((t,)).size <= rows / 2 and codes.of((t,)).known == rows):
        for name in (n for n in kinds if about.columns[n].sdtype in ("categorical", "id", "text", "unknown")):
            whose = codes.of((name,))
            long = whose.size >= 2 and whose.known == rows and are_histories(rows, whose.size, codes.of((time,)).size)
            if long and codes.of((name, time)).size == rows:
                return name
    return None


def _happened(table: Table, about: TableMetadata, entity: Entity) -> bool:
    """Whether rows are of an event, as a receipt is: part of a key, or all at one time; of a thing there are rows at any time."""
    keyed = any(set(entity.key) < set(key) for key in table.keys)
    return keyed or not set(time_columns(table, about)).isdisjoint(entity.columns)


def _is_code(about: ColumnMetadata) -> bool:
    """Whether a column is there to name something, as a code or the address of a person does; words may do so or not."""
    return about.sdtype == "id" or about.pii and about.sdtype not in ("name", "company")


def _written_in(rows: pa.Table, name: str, other: str) -> bool:
    """Whether the words of one of two texts are parts of the other (the first name, a slug): it says nothing that is not written there."""

    def inside(words: list[str], text: list[str]) -> bool:
        return bool(words) and all(w in "".join(text) for w in words)

    some = rows.select([name, other]).slice(0, _WRITTEN).to_pylist()
    pairs = [[re.findall(r"\w+", str(row[c]).lower()) for c in (name, other)] for row in some if None not in row.values()]
    return bool(pairs) and sum(inside(a, b) or inside(b, a) for a, b in pairs) >= 0.9 * len(pairs)


def _with_another(
    table: Table, about: TableMetadata, codes: _Codes, name: str, said_by: Callable[..., list[str]], foreign: Sequence[tuple[str, ...]]
) -> Entity | None:
    """An entity that a column names together with another one, by which its numbers start again: a shop, a tenant, a day."""
    single = [f[0] for f in foreign if len(f) == 1]
    kinds = [c.name for c in table.stored_columns if about.columns[c.name].sdtype in ("categorical", "datetime") and c.name not in single]
    for other in (c for c in (*single, *kinds) if c != name):
        both = codes.of((other, name))
        if both.size <= (1 + _EXCEPTIONS) * codes.of((name,)).size or not _repeats(both, about.columns[name]):
            continue
        told = [c for c in said_by(other, name) if not codes.says(codes.of((other,)), codes.of((c,)))]
        if told:
            return Entity((other, name), tuple(said_by(other, name)))
    return None


def _rank(table: Table, about: TableMetadata, name: str) -> tuple[bool, bool, int]:
    """Of what names the same thing a code comes before a person's data, and what comes first before what comes later."""
    meta = about.columns[name]
    return meta.pii, meta.sdtype != "id", table.column_names.index(name)


def _repeats(seen: _Coded, about: ColumnMetadata) -> bool:
    """Whether values repeat as those of many entities do."""
    least = _LEAST if about.sdtype == "id" or about.pii else _WORDS
    return seen.size >= least and seen.known - seen.size >= max(_REPEATS, 0.05 * seen.known)


@dataclass(frozen=True)
class _Coded:
    """Values as codes: int64 (rows,), dense from 0, -1 for none; how many there are, and on how many rows.

    `first` is a row of each code, int64 (size,); `surprise` how often two rows differ by chance.
    """

    code: np.ndarray
    size: int
    known: int
    first: np.ndarray
    surprise: float


class _Codes:
    """The columns of a table as codes, each worked out once."""

    def __init__(self, rows: pa.Table) -> None:
        self._rows = rows
        self._known: dict[tuple[str, ...], _Coded] = {}

    def of(self, columns: Sequence[str]) -> _Coded:
        """The codes of the values of some columns together; a row that lacks one has none."""
        key = tuple(columns)
        if key not in self._known:
            parts = [self._rows.column(c) for c in key]
            present = np.flatnonzero(complete_rows(parts))
            code = np.full(self._rows.num_rows, -1, dtype=np.int64)
            code[present], first = by_appearance(combined_codes(parts)[present])
            share = np.bincount(code + 1) / max(1, len(code))
            self._known[key] = _Coded(code, len(first), len(present), present[first], 1 - float((share**2).sum()))
        return self._known[key]

    def mostly_says(self, columns: Sequence[str], name: str) -> bool:
        """Whether a parent, by its key, says what `name` is but for exceptions: it is then the parent's own attribute."""
        parent, mine = self.of(columns), self.of((name,))
        both = self.of((*columns, name))
        return (both.known - both.size) * mine.surprise >= _SURPRISE and both.size <= (1 + _EXCEPTIONS) * parent.size

    def says(self, source: _Coded, target: _Coded) -> bool:
        """Whether rows that agree in `source` agree in `target`, and would not by chance; what has no source has no target."""
        if (source.known - source.size) * target.surprise < _SURPRISE:
            return False
        for rows in (slice(0, _GLANCE), slice(None)):
            code, mine = source.code[rows], target.code[rows]
            known = code >= 0
            if (target.code[source.first[code[known]]] != mine[known]).any():
                return False
        return source.known == len(source.code) or bool((target.code[source.code < 0] < 0).all())
