"""Primary keys that nobody declared, and the classes of columns that foreign keys tie together.

A key is proposed by its name, place and declaration, and believed only when it is unique. Whether one table refers to another
is the business of `references`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from synth_pipeline.connectors.base import Inclusion, When
from synth_pipeline.metadata import lexicon as lex

if TYPE_CHECKING:
    from collections.abc import Mapping

    from synth_pipeline.catalog.schema import Column, DatabaseSchema, Table
    from synth_pipeline.connectors.base import TableProfile
    from synth_pipeline.metadata.model import Relationship
    from synth_pipeline.metadata.names import Name, Names
    from synth_pipeline.metadata.values import Facts

_BEGINNINGS = frozenset("start from begin since effective valid snapshot".split())
"""Dates that begin something are part of a history's key: `from_date`, `valid_from`."""
_STEPS = frozenset("line sequence position ordinal rank version year item".split())
STRONG_HEADS = frozenset("id ids uuid guid oid pk identifier rowid objectid".split())
_LONGEST_KEY_TEXT = 128


class Probes(Protocol):
    """Questions that only the source can answer in full; connectors do."""

    def inclusion(
        self, child: Table, columns: Sequence[str], parent: Table, parent_columns: Sequence[str], limit: int = 10_000, when: When | None = None
    ) -> Inclusion:  # fmt: skip
        """Tests up to `limit` distinct non-NULL values of the child's columns for membership in the parent's, of all rows or those of `when`."""
        ...

    def members(self, table: Table, column: str, limit: int) -> list[str] | None:
        """The distinct non-NULL values of a column as text, in no order; None where there are more than `limit`."""
        ...

    def is_unique(self, table: Table, columns: Sequence[str]) -> bool:
        """True where no two rows share the values of `columns` and none of them is NULL."""
        ...


class SampleProbes:
    """Answers from the profiles alone; says nothing (0 tested) where a parent's sample is not the whole table."""

    def __init__(self, profiles: Mapping[str, TableProfile]) -> None:
        self._profiles = profiles

    def inclusion(
        self, child: Table, columns: Sequence[str], parent: Table, parent_columns: Sequence[str], limit: int = 10_000, when: When | None = None
    ) -> Inclusion:  # fmt: skip
        above = self._profiles.get(parent.id)
        if above is None or above.rows is None or above.rows > above.sample.num_rows:
            return Inclusion(0, 0)
        rows = self._rows(child, columns)
        if when is not None:
            rows = [row for row, (kind,) in zip(rows, self._rows(child, when[:1]), strict=False) if str(kind) == when[1]]
        kinds = [(child.column(a).type.kind, parent.column(b).type.kind) for a, b in zip(columns, parent_columns, strict=True)]
        as_text = [(a == "text") != (b == "text") for a, b in kinds]

        def plain(row: tuple[object, ...]) -> tuple[object, ...]:
            return tuple(str(value) if text else value for value, text in zip(row, as_text, strict=True))

        values = {plain(row) for row in rows if None not in row}
        known = {plain(row) for row in self._rows(parent, parent_columns)}
        return Inclusion(len(values), len(values & known))

    def members(self, table: Table, column: str, limit: int) -> list[str] | None:
        found = {str(value) for (value,) in self._rows(table, [column]) if value is not None}
        return list(found) if len(found) <= limit else None

    def is_unique(self, table: Table, columns: Sequence[str]) -> bool:
        rows = self._rows(table, columns)
        return len(set(rows)) == len(rows) and not any(None in row for row in rows)

    def _rows(self, table: Table, columns: Sequence[str]) -> list[tuple[object, ...]]:
        profile = self._profiles.get(table.id)
        if profile is None or not set(columns) <= set(profile.sample.column_names):
            return []
        return list(zip(*(profile.sample.column(c).to_pylist() for c in columns), strict=True))


@dataclass(frozen=True)
class KeyGuess:
    """A primary key that was inferred."""

    columns: tuple[str, ...]
    confidence: float
    reason: str


def can_be_key(column: Column) -> bool:
    """Whether values of its type can identify rows: whole numbers, UUIDs, short texts."""
    logical = column.type
    if logical.kind == "decimal":
        return not logical.scale
    if logical.kind == "text":
        return (logical.length or 0) <= _LONGEST_KEY_TEXT * 2
    return logical.kind in ("integer", "uuid", "enum")


def owned_words(names: Names, table_id: str) -> tuple[str, ...]:
    """The words of the thing that a table is about, without a satellite's: `film_text` → film."""
    words = names.table(table_id)
    while len(words) > 1 and words[-1] in lex.SATELLITES:
        words = words[:-1]
    return words


def is_satellite(names: Names, table_id: str) -> bool:
    """Whether a table hangs on another by its name."""
    return owned_words(names, table_id) != names.table(table_id)


def base_words(name: Name) -> tuple[str, ...]:
    """The words of a key's name without the word for key: `customer_id` → customer."""
    return name.words[:-1] if name.is_key else name.words


def names_own_row(names: Names, table_id: str, name: Name) -> bool:
    """Whether a key's name is that of its own table: `author_id` in authors, `state_id` in us_states."""
    base, owner = base_words(name), owned_words(names, table_id)
    if not base or base in (owner, names.table(table_id)):
        return bool(base)
    # `territory_id` in employee_territories is the key of territories.
    return base == owner[-len(base) :] and not any(names.table(t) == base for t in names.schema.table_ids if t != table_id)


def refers_elsewhere(names: Names, schema: DatabaseSchema, table_id: str, name: Name) -> bool:
    """Whether a key's name ends in the name of another table."""
    base = base_words(name)
    if not base:
        return False
    others = (names.table(t) for t in schema.table_ids if t != table_id)
    return any(base[-len(words) :] == words for words in others)


def guess_primary_key(
    schema: DatabaseSchema, table: Table, names: Names, facts: Mapping[str, Facts], probes: Probes, *, trust_nulls: bool
) -> KeyGuess | None:
    """The primary key of a table that declares none, or None.

    Args:
        schema: the whole schema.
        table: the table.
        names: its names as understood.
        facts: of its columns.
        probes: asked for uniqueness.
        trust_nulls: whether NOT NULL is declared anywhere, so that a nullable column cannot be part of a key.
    """

    def eligible(column: Column) -> bool:
        found = facts[column.name]
        return column.generated is None and found.filled == found.rows and not (trust_nulls and column.nullable and not column.identity)

    unique = {u.columns[0] for u in table.unique_keys if len(u.columns) == 1}
    scored: list[tuple[float, int, str]] = []
    for place, column in enumerate(table.columns):
        found = facts[column.name]
        if not (eligible(column) and can_be_key(column)) or (found.rows and not found.is_unique):
            continue
        score = _single_score(schema, table, names, column, place, column.name in unique)
        if score >= 3.5:
            scored.append((-score, place, column.name))
    for score, _, name in sorted(scored)[:3]:
        if probes.is_unique(table, (name,)):
            seen = facts[name].rows >= 3
            return KeyGuess(
                (name,), min(0.98, (0.9 if seen else 0.8) - 0.02 * score / 2), "named as a key" + (", and no value repeats" if seen else "")
            )
    return _guess_composite(schema, table, names, facts, probes, [c for c in table.columns if eligible(c)])


def _single_score(schema: DatabaseSchema, table: Table, names: Names, column: Column, place: int, unique: bool) -> float:
    name = names.column(table.id, column.name)
    score = 6.0 if column.identity else 0.0
    if name.head in STRONG_HEADS:
        score += 2.0
    elif name.is_key and not name.is_measure:
        score += 1.5
    score += (1.5 if place == 0 else 0.0) + (2.0 if unique else 0.0) + (2.0 if column.type.kind == "uuid" else 0.0)
    if name.is_key:
        base = base_words(name)
        if not base:
            score += 3.0
        elif names_own_row(names, table.id, name):
            score += 4.0
        elif set(base) & set(names.table(table.id)):
            score += 1.0
        if refers_elsewhere(names, schema, table.id, name):
            score -= 2.0
    return score


def _guess_composite(
    schema: DatabaseSchema, table: Table, names: Names, facts: Mapping[str, Facts], probes: Probes, eligible: Sequence[Column]
) -> KeyGuess | None:
    places = {c.name: i for i, c in enumerate(table.columns)}
    parts = [c.name for c in eligible if can_be_key(c) and names.column(table.id, c.name).is_key]
    rows = max((f.rows for f in facts.values()), default=0)
    if not parts or places[parts[0]] > 1:
        return None
    tries: list[tuple[str, ...]] = []
    if 2 <= len(parts) <= 4:
        tries += [tuple(parts[:n]) for n in range(2, len(parts) + 1)]
    run: list[str] = []  # the leading columns, with line numbers and dates that begin something
    for column in table.columns:
        name = names.column(table.id, column.name)
        sequence = bool(_STEPS & {name.head}) and column.type.kind in ("integer", "decimal")
        begins = column.type.is_temporal and bool(_BEGINNINGS & set(name.words))
        if column not in eligible or not (column.name in parts or sequence or begins):
            break
        run.append(column.name)
    tries += [tuple(run[:n]) for n in range(2, min(4, len(run)) + 1) if set(run[:n]) & set(parts)]
    tries += [(parts[0], c.name) for c in eligible if c.type.is_temporal and _BEGINNINGS & set(names.column(table.id, c.name).words)]
    for attempt in sorted(set(tries), key=lambda t: (len(t), [places[c] for c in t])):
        referring = sum(refers_elsewhere(names, schema, table.id, names.column(table.id, c)) for c in attempt)
        if rows < 3:
            # Too few rows to see that anything repeats: only tables that link others are clear by their names.
            if len(attempt) == len(parts) <= 3 and referring >= max(1, len(attempt) - 1):
                return KeyGuess(attempt, 0.8, "links other tables; too few rows to confirm it")
        elif probes.is_unique(table, attempt):
            # Where keys are declared, a table without one was probably left so on purpose.
            sure = (0.92 if referring else 0.82) - (0.2 if any(t.primary_key for t in schema.tables) else 0.0)
            return KeyGuess(attempt, sure, "no two rows share these key columns")
    return None


def key_classes(relationships: Iterable[Relationship]) -> list[frozenset[tuple[str, str]]]:
    """The sets of (table, column) that foreign keys make equal, directly or through others."""
    parent: dict[tuple[str, str], tuple[str, str]] = {}

    def root(x: tuple[str, str]) -> tuple[str, str]:
        parent.setdefault(x, x)
        while parent[x] != x:
            parent[x] = parent[parent[x]]
            x = parent[x]
        return x

    for r in relationships:
        for above, below in zip(r.parent_primary_key, r.child_foreign_key, strict=True):
            parent[root((r.child_table_name, below))] = root((r.parent_table_name, above))
    classes: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for member in parent:
        classes.setdefault(root(member), set()).add(member)
    return [frozenset(c) for c in classes.values()]
