"""Foreign keys that nobody declared: proposed by names and types, confirmed by the inclusion of values.

Names alone make a candidate; values decide wherever there are any, because small numbers are included in each other by
chance. One parent per column: the table that owns the key, not one that merely carries it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from synth_pipeline.metadata import keys as k
from synth_pipeline.metadata import lexicon as lex
from synth_pipeline.metadata.model import REVIEW_BELOW, Relationship, ReviewItem

if TYPE_CHECKING:
    from synth_pipeline.catalog.schema import Column, DatabaseSchema, Table
    from synth_pipeline.metadata.names import Name, Names
    from synth_pipeline.metadata.values import Facts

_INCLUDED = 0.999
_SELF = frozenset({("report", "to"), ("parent",), ("parent", "id"), ("ancestor", "id"), ("supervisor",), ("boss",)})


@dataclass(frozen=True)
class _Candidate:
    parent: Table
    columns: tuple[str, ...]
    parent_columns: tuple[str, ...]
    score: float
    reason: str


def guess_references(
    schema: DatabaseSchema, primary: Mapping[str, tuple[str, ...]], names: Names, facts: Mapping[str, Mapping[str, Facts]], probes: k.Probes,
    others: Collection[tuple[str, str]] = (),
) -> tuple[list[Relationship], list[ReviewItem]]:  # fmt: skip
    """The undeclared foreign keys of all tables, and those that a person should judge.

    Args:
        schema: with its declared foreign keys.
        primary: the primary key of each table, declared or inferred; () for none.
        names: the names as understood.
        facts: per table and column.
        probes: asked for inclusion.
        others: columns, as (table, column), of which it is known already what they refer to.
    """
    declared = bool(schema.foreign_keys)
    found: list[Relationship] = []
    doubtful: list[ReviewItem] = []
    for table in schema.tables:
        taken = {c for f in table.foreign_keys for c in f.columns} | {c for f in schema.cut if f.table == table.id for c in f.columns}
        for column in table.columns:
            if column.name in taken or (table.id, column.name) in others or column.generated is not None or not k.can_be_key(column):
                continue
            ranked = sorted(_candidates(schema, table, column, primary, names), key=lambda c: (-c.score, c.parent.id))[:3]
            best = _judge(table, ranked, facts, probes, declared)
            if best is None:
                continue
            relationship, tested = best
            if relationship.confidence >= REVIEW_BELOW:
                found.append(relationship)
            elif relationship.confidence >= 0.5 and tested:
                question = f"Does {column.name} refer to {relationship.parent_table_name}? {relationship.reason}; not used as it stands."
                doubtful.append(ReviewItem(table=table.id, column=column.name, question=question, confidence=relationship.confidence))
        found += _composites(schema, table, primary, probes)
    return found, doubtful


def _candidates(schema: DatabaseSchema, table: Table, column: Column, primary: Mapping[str, tuple[str, ...]], names: Names) -> list[_Candidate]:
    name = names.column(table.id, column.name)
    own = primary[table.id]
    if own == (column.name,) and (k.names_own_row(names, table.id, name) and not k.is_satellite(names, table.id) or not k.base_words(name)):
        return []
    persons = [t.id for t in schema.tables if names.entity(t.id) == "person" and len(primary[t.id]) == 1]
    found = []
    for parent in schema.tables:
        # What the other table's rows refer to is there before them, whatever values the two have in common.
        if parent.id != table.id and any(f.parent == table.id and column.name in f.parent_columns for f in parent.foreign_keys):
            continue
        singles = {c for c in (primary[parent.id], *(u.columns for u in parent.unique_keys)) if len(c) == 1}
        for key in sorted(singles):
            if parent.id == table.id and (key == (column.name,) or own == (column.name,)):
                continue
            if not _same_family(column, parent.column(key[0])):
                continue
            score, reason = _name_score(name, column.name, table, parent, key[0], names, persons)
            if key != primary[parent.id]:
                score -= 1.0
            if score > 4.5 and own == (column.name,) and k.is_satellite(names, table.id) and k.owned_words(names, table.id) == names.table(parent.id):
                score, reason = score + 1.5, f"{reason}, and {table.id} extends {parent.id} row by row"
            if score >= 2.0:
                found.append(_Candidate(parent, (column.name,), key, score, reason))
    return found


def _name_score(name: Name, raw: str, table: Table, parent: Table, key: str, names: Names, persons: list[str]) -> tuple[float, str]:
    words, base = name.words, k.base_words(name)
    key_name = names.column(parent.id, key)
    key_base, about = k.base_words(key_name), names.table(parent.id)
    minus = 2.0 if k.is_satellite(names, parent.id) and key_base not in ((), about) else 0.0
    own_key = k.names_own_row(names, parent.id, key_name)
    if parent.id != table.id and base and (raw.casefold() == key.casefold() or words == key_name.words):
        foreign = 0.0 if own_key else 0.7 if any(names.table(t) == key_base for t in names.schema.table_ids) else 0.2
        return 5.0 - minus - foreign, f"it has the name of the key {parent.id}.{key}"
    if name.is_key and base:
        if base[-len(about) :] == about and (own_key or not key_base):
            return 4.8 - minus, f"its name ends in that of {parent.id}"
        if key_base and base[-len(key_base) :] == key_base:
            return 4.5 - minus, f"its name ends in that of the key {parent.id}.{key}"
        if base[-1] == about[-1] and parent.id != table.id:
            return 3.3 - minus, f"its name ends in a word of {parent.id}"
    if parent.id == table.id and (words in _SELF or words[-2:] == ("report", "to") or (name.is_key and base[-1:] in (("parent",), ("ancestor",)))):
        return 5.0, "it points at a row of its own table by name"
    if base[-1:] and base[-1] in lex.ROLE_PARENTS and parent.id in persons and not minus and (name.is_key or words[-1] in lex.ROLE_PARENTS):
        staff = [t for t in persons if _staff(names.table(t))]
        sole = _staff(about) or len(persons) == 1 or (parent.id == table.id and not staff)
        return (4.0 if sole else 2.2), f"{base[-1]!r} is a role of a person, and {parent.id} holds persons"
    if not name.is_key and words[-len(about) :] == about:
        return 3.5 - minus, f"it is named after {parent.id}"
    if (
        not name.is_key
        and len(words[0]) >= 4
        and parent.id != table.id
        and about[-1].startswith(words[0])
        and words[-1] in ("via", "by", "from", "to", "at")
    ):
        return 3.3 - minus, f"its name shares a stem with {parent.id}"
    return 0.0, ""


def _staff(words: tuple[str, ...]) -> bool:
    return bool({"employee", "staff", "worker", "personnel"} & set(words))


def _same_family(child: Column, parent: Column) -> bool:
    numeric = ("integer", "decimal")
    if child.type.kind in numeric and parent.type.kind in numeric:
        return True
    text = ("text", "enum", "uuid")
    return child.type.kind in text and parent.type.kind in text


def _judge(
    table: Table, ranked: list[_Candidate], facts: Mapping[str, Mapping[str, Facts]], probes: k.Probes, declared: bool
) -> tuple[Relationship, int] | None:
    best: tuple[float, _Candidate, str, int] | None = None
    for candidate in ranked:
        seen = facts[table.id][candidate.columns[0]]
        tested = found = 0
        if not seen.is_empty:
            answer = probes.inclusion(table, candidate.columns, candidate.parent, candidate.parent_columns)
            tested, found = answer.tested, answer.found
        if tested:
            share = found / tested
            if share < _INCLUDED:
                continue
            text = seen.numbers is None
            odds = candidate.score + (min(3.0, 1.0 + tested / 4) if text else min(2.0, 1.0 + tested / 20)) - 3.5
            reason = f"{candidate.reason}, and all {tested} values tested are found there"
        else:
            odds = candidate.score - 3.3
            reason = f"{candidate.reason}; there are no values to test it"
        if declared:
            # Where keys are declared, one that is not was probably left out on purpose.
            odds -= 1.5
        if best is None or odds > best[0]:
            best = (odds, candidate, reason, tested)
    if best is None:
        return None
    odds, candidate, reason, tested = best
    return _relationship(table, candidate.columns, candidate.parent, candidate.parent_columns, 1.0 / (1.0 + math.exp(-odds)), reason), tested


def _relationship(
    child: Table, columns: tuple[str, ...], parent: Table, parent_columns: tuple[str, ...], confidence: float, reason: str
) -> Relationship:
    return Relationship(
        id=f"{child.id}({','.join(columns)})->{parent.id}({','.join(parent_columns)})",
        parent_table_name=parent.id, parent_primary_key=parent_columns, child_table_name=child.id, child_foreign_key=columns,
        source="inferred", confidence=round(confidence, 3), reason=reason,
    )  # fmt: skip


def _composites(schema: DatabaseSchema, table: Table, primary: Mapping[str, tuple[str, ...]], probes: k.Probes) -> list[Relationship]:
    """References to composite keys: all columns under the same names, included as tuples."""
    by_name = {c.name.casefold(): c for c in table.columns if c.generated is None}
    found = []
    for parent in schema.tables:
        key = primary[parent.id]
        if parent.id == table.id or len(key) < 2 or not all(c.casefold() in by_name for c in key):
            continue
        columns = tuple(by_name[c.casefold()].name for c in key)
        if set(columns) == set(primary[table.id]) or any(f.columns == columns for f in table.foreign_keys):
            continue
        if not all(
            _same_family(table.column(a), parent.column(b)) or table.column(a).type == parent.column(b).type
            for a, b in zip(columns, key, strict=True)
        ):
            continue
        answer = probes.inclusion(table, columns, parent, key)
        if answer.tested >= 5 and answer.found >= _INCLUDED * answer.tested:
            reason = f"it has the columns of the key of {parent.id}, and all {answer.tested} combinations tested are found there"
            found.append(_relationship(table, columns, parent, key, 0.93, reason))
    return found
