"""Pairs of parents that always are a pair of another table: who writes into a conversation takes part in it.

Two parents of a row (one of them perhaps over a further key) may occur together only where another table's rows lead to
both: a *bridge*. Rows are then drawn after the bridge's, and the second parent among those that go with the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations, product

import numpy as np

from synth_pipeline.catalog.schema import DatabaseSchema
from synth_pipeline.synthesis.relational.encode import follow
from synth_pipeline.synthesis.relational.rules.support import SUPPORT
from synth_pipeline.synthesis.relational.structure import usable_keys

_CHANCE = 0.5
_FIRST = 500
"""Rows that are looked at before all are."""


@dataclass(frozen=True)
class Bridge:
    """Rows of `table` lead by the keys `one` to where a row's `key` (and then `via`, or "") leads, and by the keys `other` to its parent."""

    key: str
    via: str
    table: str
    one: tuple[str, ...]
    other: tuple[str, ...]


def find_bridges(schema: DatabaseSchema, parents: Mapping[str, np.ndarray], seen: Mapping[str, np.ndarray]) -> dict[str, list[Bridge]]:
    """For foreign keys, by id, the bridges that all pairs of the key's parent and another one are in, which chance would not; the narrowest first.

    A bridge is a table of pairs (members of a team); or any other one that has many of one kind with many of the other (what customers
    bought), after these.

    Args:
        schema: the working schema.
        parents: for each foreign key id the row of the parent, -1 for none.
        seen: by table the rows to learn from, bool (rows,).
    """
    found: dict[str, list[tuple[bool, float, Bridge]]] = {}
    target = {fk.id: (fk.parent, fk.parent_columns) for fk in schema.foreign_keys}
    after = {t: {fk.parent for fk in schema.table(t).foreign_keys if fk.parent in schema} for t in schema.table_ids}
    above = {t: _reached(after, t) for t in schema.table_ids}
    ends = {t: list(_ends(schema, t, parents)) for t in schema.table_ids}
    for table in schema.table_ids:
        pairs = [(fk, p, at) for fk in usable_keys(schema, schema.table(table)) if not fk.is_self_reference for p, at in ends[table] if p[0] != fk.id]
        for (fk, path, at), bridge in product(pairs, (t for t in schema.table_ids if t != table and table not in above[t])):
            for (one, first), (other, second) in permutations(ends[bridge], 2):
                if target[one[-1]] != target[path[-1]] or target[other[-1]] != target[fk.id] or one[0] == other[0]:
                    continue
                item = Bridge(path[0], path[1] if len(path) > 1 else "", bridge, one, other)
                strict = _strict(schema, item)
                if strict or len(path) == 1 and len(one) + len(other) <= 3:
                    share = _inside(at[seen[table]], parents[fk.id][seen[table]], first, second, several=not strict)
                    if share is not None:
                        found.setdefault(fk.id, []).append((not strict, share, item))
    return {k: [b for *_, b in sorted(f, key=lambda s: s[:2])] for k, f in found.items()}


def _pairs(schema: DatabaseSchema, table: str, one: str, other: str) -> bool:
    """Whether no pair of parents by two keys of a table occurs twice."""
    columns = {c for fk in schema.table(table).foreign_keys if fk.id in (one, other) for c in fk.columns}
    return any(set(key) <= columns for key in schema.table(table).keys)


def _ends(schema: DatabaseSchema, table: str, parents: Mapping[str, np.ndarray]) -> Iterator[tuple[tuple[str, ...], np.ndarray]]:
    """Where rows lead by one key, or by two."""
    for fk in (k for k in usable_keys(schema, schema.table(table)) if not k.is_self_reference):
        yield (fk.id,), parents[fk.id]
        for then in (k for k in usable_keys(schema, schema.table(fk.parent)) if not k.is_self_reference and k.parent != table):
            yield (fk.id, then.id), follow(parents[fk.id], parents[then.id])


def _inside(one: np.ndarray, other: np.ndarray, first: np.ndarray, second: np.ndarray, *, several: bool) -> float | None:
    """The share of pairs (n,) that would be among those of the bridge (m,) by chance, where all of them are and few would; else None.

    `several`: only where most parents of either side have several on the other.
    """
    both = (one >= 0) & (other >= 0)
    one, other = one[both], other[both]
    held = (first >= 0) & (second >= 0)
    if len(one) < 2 * SUPPORT or not held.any():
        return None
    span = int(max(other.max(), second.max())) + 1
    pairs = np.unique(first[held] * span + second[held])
    for part in (slice(_FIRST), slice(None)):
        asked = one[part] * span + other[part]
        if (pairs[np.searchsorted(pairs, asked).clip(0, len(pairs) - 1)] != asked).any():
            return None
    if len(np.unique(one * span + other)) < 2 * SUPPORT:
        return None
    if several and any((np.bincount(p)[a] > 1).mean() < _CHANCE for p, a in ((pairs // span, one), (pairs % span, other))):
        return None
    weight = np.bincount(other, minlength=span) / len(other)
    chance = np.bincount(pairs // span, weight[pairs % span], minlength=int(one.max()) + 1)[one]
    return float(chance.mean()) if chance.mean() < _CHANCE and (1 - chance).sum() >= 2 * SUPPORT else None


def in_order(schema: DatabaseSchema, bridges: Mapping[str, list[Bridge]]) -> tuple[dict[str, set[str]], dict[str, list[Bridge]]]:
    """The tables that each table must come after, and the bridges that this leaves: those that need no order in a circle."""
    tables = {fk.id: fk.table for fk in schema.foreign_keys}
    after = {t: {fk.parent for fk in schema.table(t).foreign_keys if fk.parent in schema} for t in schema.table_ids}
    extra: dict[str, set[str]] = {}
    kept: dict[str, list[Bridge]] = {}
    for key, bridge in sorted(((k, b) for k, found in bridges.items() for b in found), key=lambda kb: not _strict(schema, kb[1])):
        if tables[key] not in {bridge.table, *_reached(after, bridge.table)}:
            after[tables[key]].add(bridge.table)
            extra.setdefault(tables[key], set()).add(bridge.table)
            kept.setdefault(key, []).append(bridge)
    return extra, kept


def _reached(after: Mapping[str, set[str]], table: str) -> set[str]:
    """All tables that come before one, directly or not."""
    found, waiting = set[str](), [table]
    while waiting:
        fresh = after[waiting.pop()] - found
        found |= fresh
        waiting += fresh
    return found


def _strict(schema: DatabaseSchema, bridge: Bridge) -> bool:
    return len(bridge.one) + len(bridge.other) == 2 and _pairs(schema, bridge.table, bridge.one[0], bridge.other[0])
