r"""Polymorphic references: a column whose values name tables, beside a column with their keys.

Proposed by the names of the two columns (`commentable_type` with `commentable_id`, `content_type` with `object_id`), confirmed twice: a
value of the type, or what it leads to in a small table of types, must name a table by words (`Post`, `posts`, `App\Models\Post`,
`blog.post`), and its rows must have keys of that table. A value that names no table says nothing: the ids beside it are numbers.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from synth_pipeline.catalog.polymorphic import key_id
from synth_pipeline.connectors.base import Inclusion
from synth_pipeline.metadata import keys as k
from synth_pipeline.metadata.model import REVIEW_BELOW, PolymorphicParent, PolymorphicRelationship, ReviewItem
from synth_pipeline.metadata.names import singular

if TYPE_CHECKING:
    import pyarrow as pa

    from synth_pipeline.catalog.schema import Column, DatabaseSchema, Table
    from synth_pipeline.metadata.names import Names
    from synth_pipeline.metadata.values import Facts

_MOST_TYPES = 100
_INCLUDED = 0.999
_MOSTLY = 0.95
"""Nothing keeps such a reference from leading nowhere once its row is deleted: so many of many ids must be found."""
_MANY = 20
_TYPE_HEADS = frozenset("type class kind model table entity".split())
_ANYTHING = frozenset("object entity record row item content resource model target reference subject source table class foreign".split())
"""Words that stand for whatever is meant, so that they need not agree: `content_type` with `object_id`, `table_name` with `row_id`."""


@dataclass(frozen=True)
class _Pair:
    """Two columns whose names go together; `alike` where they have a stem of their own in common."""

    type_column: Column
    key: Column
    alike: bool


def guess_polymorphic(
    schema: DatabaseSchema, primary: Mapping[str, tuple[str, ...]], names: Names, facts: Mapping[str, Mapping[str, Facts]], probes: k.Probes,
    small: Mapping[str, pa.Table],
) -> tuple[list[PolymorphicRelationship], list[ReviewItem]]:  # fmt: skip
    """The polymorphic references of all tables, one for each column of keys, and what a person should judge.

    Args:
        schema: with its foreign keys and the polymorphic keys that the user gave or refused.
        primary: the primary key of each table, declared or inferred; () for none.
        names: the names as understood.
        facts: per table and column.
        probes: asked for the types, and for the inclusion of the ids of each.
        small: the rows of small tables, which may be of types.
    """
    found: list[PolymorphicRelationship] = []
    doubtful: list[ReviewItem] = []
    for table in schema.tables:
        taken = {c for f in (*table.foreign_keys, *(f for f in schema.cut if f.table == table.id)) for c in f.columns}
        for pair in _pairs(table, primary[table.id], names, taken):
            if not schema.can_be_polymorphic(table.id, pair.type_column.name, pair.key.name):
                continue
            parents, seen, missed = _parents(schema, table, pair, primary, names, facts, probes, small)
            if parents:
                relationship = _relationship(table, pair, parents, seen)
                if relationship.confidence >= REVIEW_BELOW:
                    found.append(relationship)
                else:
                    doubtful.append(_question(table, pair, relationship.by_table, relationship.reason, relationship.confidence))
            for parent, said in missed.items():
                doubtful.append(_question(table, pair, {parent: []}, said, 0.6))
    return found, doubtful


def clear(names: Names, relationship: PolymorphicRelationship) -> bool:
    """Whether nothing but a polymorphic reference explains the column: its types lead to several tables, and its name to none."""
    base = k.base_words(names.column(relationship.child_table_name, relationship.key_column))
    return len(relationship.by_table) > 1 and not any(names.table(t) == base for t in names.schema.table_ids)


def _pairs(table: Table, own: tuple[str, ...], names: Names, taken: set[str]) -> list[_Pair]:
    """The pairs of columns that could be a reference: with a stem in common, or else the only ones that say anything at all."""
    given = {c for key in table.polymorphic_keys for c in (key.type_column, key.column)}
    types = [(c, stem) for c in table.columns if _can_be_type(table, c) and c.name not in given and (stem := _type_stem(names, table, c)) is not None]
    keys = [c for c in table.columns if c.generated is None and c.name not in given | taken and (c.name,) != own and k.can_be_key(c)]
    alike, loose = [], []
    for column, stem in types:
        for key in keys:
            name = names.column(table.id, key.name)
            if key.name == column.name or not name.is_key or name.head in ("code", "number"):
                continue
            base = k.base_words(name)
            if stem == base and base:
                alike.append(_Pair(column, key, True))
            elif [w for w in stem if w not in _ANYTHING] == [w for w in base if w not in _ANYTHING]:
                loose.append(_Pair(column, key, False))
    used = {c for p in alike for c in (p.type_column.name, p.key.name)}
    loose = [p for p in loose if not used & {p.type_column.name, p.key.name}]
    only = Counter(c for p in loose for c in (p.type_column.name, p.key.name))
    return [*alike, *(p for p in loose if only[p.type_column.name] == only[p.key.name] == 1)]


def _can_be_type(table: Table, column: Column) -> bool:
    """Whether a column may name tables: by texts, or by a key to a table of types."""
    leads = any(fk.columns == (column.name,) for fk in table.foreign_keys)
    return column.generated is None and (column.type.kind in ("text", "enum") or leads and column.type.kind == "integer")


def _type_stem(names: Names, table: Table, column: Column) -> tuple[str, ...] | None:
    """What a type column says the type of: `commentable_type` → commentable, `table_name` → (); None where it is no type."""
    name = names.column(table.id, column.name)
    words = k.base_words(name) if column.type.kind == "integer" and name.is_key else name.words
    if not words:
        return None
    if words[-1] == "name" and len(words) > 1:
        words = words[:-1]
    if words[-1] in _TYPE_HEADS:
        return words[:-1]
    return words if set(words) <= _ANYTHING else None


def _parents(
    schema: DatabaseSchema, table: Table, pair: _Pair, primary: Mapping[str, tuple[str, ...]], names: Names,
    facts: Mapping[str, Mapping[str, Facts]], probes: k.Probes, small: Mapping[str, pa.Table],
) -> tuple[list[PolymorphicParent], Inclusion, dict[str, str]]:  # fmt: skip
    """What each type leads to, how many ids were tested and found, and for tables that are named but lack many of the ids, what was seen."""
    if facts[table.id][pair.key.name].is_empty or facts[table.id][pair.type_column.name].is_empty:
        return [], Inclusion(0, 0), {}
    values = probes.members(table, pair.type_column.name, _MOST_TYPES)
    found: list[PolymorphicParent] = []
    missed: dict[str, str] = {}
    total = Inclusion(0, 0)
    texts = _texts(table, pair.type_column, small)
    for value in sorted(values or ()):
        for rank in (tables for text in texts.get(value, [value]) for tables in _named(schema, names, text)):
            fit = []
            for parent in rank:
                key = primary[parent]
                if len(key) != 1 or not _comparable(pair.key, schema.table(parent).column(key[0])):
                    continue
                answer = probes.inclusion(table, (pair.key.name,), schema.table(parent), key, when=(pair.type_column.name, value))
                if answer.tested and answer.found >= (_INCLUDED if answer.tested < _MANY else _MOSTLY) * answer.tested:
                    fit.append((parent, key[0], answer))
                elif answer.found >= 0.5 * answer.tested > 0:
                    missed[parent] = f"{answer.found} of {answer.tested} ids tested are found there"
            if len(fit) == 1:
                parent, column, answer = fit[0]
                found.append(PolymorphicParent(value=value, table=parent, column=column))
                total = Inclusion(total.tested + answer.tested, total.found + answer.found)
            if fit:
                break
    return found, total, {parent: said for parent, said in missed.items() if parent not in {p.table for p in found}}


def _texts(table: Table, column: Column, small: Mapping[str, pa.Table]) -> dict[str, list[str]]:
    """What a table of types says of each type that a column refers to: all of its texts together (`blog.post`), and each of them."""
    fk = next((fk for fk in table.foreign_keys if fk.columns == (column.name,) and fk.parent in small), None)
    if fk is None:
        return {}
    rows = small[fk.parent].to_pylist()
    texts = [[v for c, v in row.items() if isinstance(v, str) and c not in fk.parent_columns] for row in rows]
    own = [str(row[fk.parent_columns[0]]) for row in rows]
    return {key: [*([] if column.type.kind == "integer" else [key]), ".".join(said), *reversed(said)] for key, said in zip(own, texts, strict=True)}


def _named(schema: DatabaseSchema, names: Names, value: str) -> Iterator[list[str]]:
    """The tables that a value names, the surest first: as a whole, without its namespace, and where one name ends in the other."""
    if not re.search(r"[^\W\d_]", value):
        return
    last = re.split(r"[\\/.:|]+", value.strip().rstrip("\\/.:|"))[-1]
    whole, short = _stems(names.words(value)), _stems(names.words(last))
    tables = {t.id: _stems(names.table(t.id)) for t in schema.tables}
    for wanted in dict.fromkeys((whole, short)):
        yield [t for t, words in tables.items() if "".join(words) == "".join(wanted)]
    yield [t for t, words in tables.items() if any("".join(words[i:]) == "".join(short) for i in range(1, len(words)))]  # blog_post of Post
    yield [t for t, words in tables.items() if len(words) < len(short) and words == short[-len(words) :]]  # users of AdminUser


def _stems(words: tuple[str, ...]) -> tuple[str, ...]:
    """Words without what singular and plural do to their ends: movie and movies, cache and caches."""
    ones = (singular(w) for w in words)
    return tuple((f"{w[:-2]}y" if w.endswith("ie") else w).removesuffix("e") for w in ones)


def _comparable(key: Column, parent: Column) -> bool:
    """Whether a column can hold the keys: of its own kind, or, as texts, of any."""
    numeric = ("integer", "decimal")
    return key.type.kind == "text" or (key.type.kind in numeric and parent.type.kind in numeric) or key.type.kind == parent.type.kind


def _relationship(table: Table, pair: _Pair, parents: list[PolymorphicParent], seen: Inclusion) -> PolymorphicRelationship:
    tables = dict.fromkeys(p.table for p in parents)
    what = "tables" if len(tables) > 1 else "a table"
    odds = (2.5 if pair.alike else 1.5) + (1.0 if len(tables) > 1 else 0.0) + min(2.0, seen.tested / 20)
    how = f"all {seen.tested}" if seen.found == seen.tested else f"{seen.found} of {seen.tested}"
    return PolymorphicRelationship(
        id=key_id(table.id, pair.type_column.name, pair.key.name), child_table_name=table.id, type_column=pair.type_column.name,
        key_column=pair.key.name, parents=tuple(parents), confidence=round(1.0 / (1.0 + math.exp(-odds)), 3),
        reason=f"{pair.type_column.name} names {what}, and {how} ids tested are found there",
    )  # fmt: skip


def _question(table: Table, pair: _Pair, tables: Collection[str], said: str, confidence: float) -> ReviewItem:
    question = f"Does {pair.key.name} refer to what {pair.type_column.name} says ({', '.join(tables)})? {said}; not used as it stands."
    return ReviewItem(table=table.id, column=pair.key.name, question=question, confidence=confidence)
