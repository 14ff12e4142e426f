"""A large synthetic database as a union of small ones: which tables are drawn once, and how the others are divided.

*Shared* tables are drawn whole, before all others: copied ones, small ones, and those with a key that could not be kept
unique in parts. All others are drawn in *shards*, each a small database of its own beneath the shared tables, with its share
of the planned rows of every table. A row and its parents are in the same shard, or the parent is shared. A table whose rows a
shared one owns is *anchored*: the owner's rows are divided among the shards, each with all of its children.

How rows are drawn does not belong here, nor where the shards are drawn.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from synth_pipeline.catalog.schema import ForeignKey, Table
from synth_pipeline.synthesis.relational.bridges import Bridge
from synth_pipeline.synthesis.relational.model import DatabaseModel, MadeColumn, Opaque, Surrogate, TableModel
from synth_pipeline.synthesis.relational.shapes import KeyShapes
from synth_pipeline.synthesis.relational.structure import anchored, one_child

_SHARED_ROWS = 100
"""A table of less than this part of a shard's rows is drawn once for all shards."""
_DENSEST = 0.5
"""Most rows of a table of pairs, as a share of the pairs that there are in a shard."""
_SHORTEST, _NARROWEST = 8, 32
"""Characters and bits of a key that leave room for the values of many shards."""


@dataclass(frozen=True)
class Layout:
    """Which tables are shared, and what divides the others.

    Attributes:
        shards: how many; 1 where all tables are shared.
        shared: tables that are drawn once.
        anchors: for tables whose rows hang on a shared one the foreign key that leads there.
    """

    shards: int
    shared: frozenset[str]
    anchors: Mapping[str, ForeignKey] = field(default_factory=dict)


@dataclass(frozen=True)
class Shard:
    """One part of a database.

    Attributes:
        number, count: this one, from 0, and how many there are.
        rows: rows of each table in it.
        before: rows of each table in the shards before.
        total: rows of each table in all shards.
        anchors: for each anchored table the foreign key that leads to the shared one.
        children: for each anchored table the children of every row of the shared one in this shard; int64 (rows,).
    """

    number: int = 0
    count: int = 1
    rows: Mapping[str, int] = field(default_factory=dict)
    before: Mapping[str, int] = field(default_factory=dict)
    total: Mapping[str, int] = field(default_factory=dict)
    anchors: Mapping[str, str] = field(default_factory=dict)
    children: Mapping[str, np.ndarray] = field(default_factory=dict)


def lay_out(model: DatabaseModel, planned: Mapping[str, int], shard_rows: int) -> Layout:
    """Divides a database of `planned` rows per table into shards of about `shard_rows`."""
    if sum(planned.values()) <= shard_rows:
        return Layout(1, frozenset(model.tables))
    whole = _with_ancestors(model, {t for t, m in model.tables.items() if m.reference is not None})
    while True:
        shared = _shared(model, planned, shard_rows, whole)
        anchors: dict[str, ForeignKey] = {}
        again = set()
        for table, item in model.tables.items():
            if table not in shared and not _divisible(model, item, shared, anchors):
                again.add(table)
        again |= {t for t in model.tables if t not in shared and t not in again and _added_above(model, t, shared)}
        again |= {p for t in model.tables if t not in shared and t not in again for p in _unsure(model, t, shared, anchors)}
        if not again:
            break
        whole = _with_ancestors(model, whole | again)
    left = sum(n for t, n in planned.items() if t not in shared)
    return Layout(max(1, -(-left // shard_rows)), frozenset(shared), anchors)


def _shared(model: DatabaseModel, planned: Mapping[str, int], shard_rows: int, whole: Collection[str]) -> set[str]:
    """The tables to draw once: `whole` ones, and small ones all of whose ancestors are drawn once, the smallest first."""
    shards = -(-sum(planned.values()) // shard_rows)
    small, room = set(whole), shard_rows
    for table in sorted(planned, key=lambda t: planned[t]):
        if planned[table] <= max(shard_rows // _SHARED_ROWS, 2 * shards) and planned[table] <= room and table not in small:
            small.add(table)
            room -= planned[table]
    while True:
        alone = {t for t in small if _parents(model, t) <= small} | set(whole)
        if alone == small:
            return small
        small = alone


def _parents(model: DatabaseModel, table: str) -> set[str]:
    """The tables that must be drawn before: those referred to, those whose histories its own begin or end with, those with its pairs of parents."""
    item = model.tables[table]
    others = {t.table for t in (*item.rules.begins.values(), *item.rules.ends.values())} | {b.table for b in _bridges(item)}
    return {fk.parent for fk in item.plan.keys} | others


def _bridges(item: TableModel) -> list[Bridge]:
    return [link.among for link in item.links.values() if link.among is not None]


def _added_above(model: DatabaseModel, table: str, shared: Collection[str]) -> bool:
    """Whether a shared table adds up rows of this one for what other tables follow from, which then cannot wait for all shards."""
    for fk in (k for k in model.tables[table].plan.keys if k.parent in shared):
        totals = model.tables[fk.parent].rules.totals
        held = {c for c, t in totals.items() if t.key == fk.id}
        ways = [k.id for m in model.tables.values() for k in m.plan.keys if k.parent == fk.parent]
        if any(held & m.rules.seen_above(way) for m in model.tables.values() for way in ways):
            return True
    return False


def _with_ancestors(model: DatabaseModel, tables: Collection[str]) -> set[str]:
    found, waiting = set(tables), list(tables)
    while waiting:
        above = _parents(model, waiting.pop()) - found
        found |= above
        waiting += above
    return found


def _divisible(model: DatabaseModel, item: TableModel, shared: Collection[str], anchors: dict[str, ForeignKey]) -> bool:
    """Whether all keys of a table stay unique when it is drawn in parts; notes the table's anchor where it takes one."""
    plan, table = item.plan, model.schema.table(item.plan.table)
    if plan.owner is not None and plan.owner.parent in shared:
        anchors[table.id] = plan.owner
    whole = {k.parent for k in plan.keys if k.id in {s.key for s in item.rules.single.values()} and anchors.get(table.id) != k}
    if whole & set(shared):
        return False  # the one that is marked is one of all shards
    ranks = {c: rank.within for c, rank in item.rules.ranks.items() if rank.within}
    apart = {c for fk in plan.keys if fk.id in plan.typed for c in fk.columns}  # of which a row has one
    parts = [part for w in ranks.values() for part in ([{c} for c in w] if apart & set(w) else [set(w)])]
    if not all(_gathered(model, table, part, shared, anchors) for part in parts):
        return False  # rows that are counted together are those of all shards
    for key in table.keys:
        if any(table.column(c).generated is not None for c in key) or any(_laned(item, table, c) for c in key):
            continue
        if any({c, *within} <= set(key) for c, within in ranks.items()):
            continue
        inside = [fk for fk in plan.keys if set(fk.columns) <= set(key) and _identifies(model, fk)]
        if any(fk.parent not in shared or anchors.get(table.id) == fk for fk in inside):
            continue
        links = [fk for fk in inside if fk in plan.links and item.links[fk.id].path is None]
        if table.id in anchors or not links:
            return False
        anchors[table.id] = max(links, key=lambda fk: (not model.schema.nullable(fk), fk.id))
    return True


def _gathered(model: DatabaseModel, table: Table, columns: Collection[str], shared: Collection[str], anchors: Mapping[str, ForeignKey]) -> bool:
    """Whether rows with the same values in columns of foreign keys are in the same shard, as a parent is, or what that is in in turn."""
    for fk in model.tables[table.id].plan.ready:
        above = {p for c, p in zip(fk.columns, fk.parent_columns, strict=True) if c in columns}
        if above == set(fk.parent_columns) and _identifies(model, fk) and (fk.parent not in shared or anchors.get(table.id) == fk):
            return True
        if above and fk.parent not in shared and _gathered(model, model.schema.table(fk.parent), above, shared, anchors):
            return True
    return False


def _identifies(model: DatabaseModel, fk: ForeignKey) -> bool:
    """Whether rows with different parents have different values in the key."""
    return not anchored(model.schema, fk) and any(set(key) <= set(fk.parent_columns) for key in model.schema.table(fk.parent).keys)


def _laned(item: TableModel, table: Table, column: str) -> bool:
    """Whether a column's values are unique by themselves, and can be kept apart between shards."""
    if (rule := item.rules.composed.get(column)) is not None:
        return rule.keyed or rule.taken is not None and (table.column(column).type.length or _SHORTEST) >= _SHORTEST
    made = item.made.get(column)
    return made is not None and made.unique and _roomy(made, table.column(column).type.length, table.column(column).type.bits)


def _roomy(made: MadeColumn, length: int | None, bits: int | None) -> bool:
    if isinstance(made.maker, Surrogate):
        return True
    if isinstance(made.maker, (KeyShapes, Opaque)) or length is not None:
        return length is None or length >= _SHORTEST
    return bits is None or bits >= _NARROWEST


def _unsure(model: DatabaseModel, table: str, shared: Collection[str], anchors: Mapping[str, ForeignKey]) -> set[str]:
    """Tables in the table's shard in which the row that a further, shared parent asks for may be missing: parents, and pairs of them."""
    keys, found = model.tables[table].plan.keys, set()
    for fk in keys:
        for other in keys:
            if fk.parent in shared or other.parent not in shared or not set(fk.columns) & set(other.columns):
                continue
            theirs = anchors.get(fk.parent)
            if anchors.get(table) != other or theirs is None or theirs.parent != other.parent:
                found.add(fk.parent)
    for bridge in (b for b in _bridges(model.tables[table]) if b.table not in shared):
        # All rows of the bridge that go with a shared row are in this shard only where both tables hang on that row.
        mine, theirs = anchors.get(table), anchors.get(bridge.table)
        aligned = mine is not None and theirs is not None and (mine.id, "", (theirs.id,)) == (bridge.key, bridge.via, bridge.one)
        if not aligned and next(fk.parent for fk in model.schema.foreign_keys if fk.id == bridge.one[-1]) in shared:
            found.add(bridge.table)
    return found


def divide(model: DatabaseModel, layout: Layout, planned: Mapping[str, int], children: Mapping[str, tuple[np.ndarray, int]]) -> list[Shard]:
    """The shards of a layout.

    Args:
        model: the database.
        layout: what `lay_out` returned.
        planned: rows per table.
        children: for each anchored table the children of every row of its shared parent, and the rows without one.

    Returns:
        Shards whose rows add up to the planned ones. There are fewer than the layout asks for where a table's parents
        cannot be spread over so many.
    """
    count = layout.shards
    while True:
        slices = _slices(layout, children, count)
        rows = _quotas(model, layout, planned, children, slices, count)
        if rows is not None:
            break
        count = max(1, count // 2)
    total, anchors = {t: int(r.sum()) for t, r in rows.items()}, {t: fk.id for t, fk in layout.anchors.items()}
    before = {t: np.cumsum(r) - r for t, r in rows.items()}
    shards = []
    for s in range(count):
        inside = {t: np.where(slices[fk.parent] == s, children[t][0], 0) for t, fk in layout.anchors.items()}
        shards.append(Shard(s, count, {t: int(r[s]) for t, r in rows.items()}, {t: int(b[s]) for t, b in before.items()}, total, anchors, inside))
    return shards


def _slices(layout: Layout, children: Mapping[str, tuple[np.ndarray, int]], count: int) -> dict[str, np.ndarray]:
    """The shard of every row of a shared table that anchors others; the same for all tables that it anchors."""
    weights: dict[str, np.ndarray] = {}
    for table, fk in layout.anchors.items():
        weights[fk.parent] = weights.get(fk.parent, 0.0) + children[table][0].astype(float)
    out = {}
    for parent, weight in weights.items():
        middle = np.cumsum(weight + 1e-3) - weight / 2
        most = float((weight + 1e-3).sum())
        out[parent] = np.minimum((middle / max(most, 1e-9) * count).astype(np.int64), count - 1)
    return out


def _quotas(
    model: DatabaseModel, layout: Layout, planned: Mapping[str, int], children: Mapping[str, tuple[np.ndarray, int]],
    slices: Mapping[str, np.ndarray], count: int,
) -> dict[str, np.ndarray] | None:  # fmt: skip
    """Rows of each table in each shard, int64 (count,); None where parents are too thinly spread for the planned ones."""
    rows: dict[str, np.ndarray] = {}
    for _ in range(3):
        for table, item in model.tables.items():
            if table not in layout.shared:
                rows[table] = _quota(model, layout, item, planned[table], rows, children, slices, count)
        if count == 1 or all(
            (r <= _most(model, t, rows, count)).all()
            and (_paired(model, t, layout.anchors[t], rows, children[t][0], slices) if t in layout.anchors else r.sum() >= planned[t])
            for t, r in rows.items()
        ):
            return rows
    return None


def _paired(
    model: DatabaseModel, table: str, anchor: ForeignKey, rows: Mapping[str, np.ndarray], children: np.ndarray, slices: Mapping[str, np.ndarray]
) -> bool:
    """Whether every shared parent finds as many different partners in its shard as a key of pairs asks for."""
    for other in model.tables[table].plan.keys:
        pair = {*anchor.columns, *other.columns} in [set(key) for key in model.schema.table(table).keys]
        if pair and other.parent in rows and (children * model.share(other) > rows[other.parent][slices[anchor.parent]]).any():
            return False
    return True


def _quota(
    model: DatabaseModel, layout: Layout, item: TableModel, total: int, rows: Mapping[str, np.ndarray],
    children: Mapping[str, tuple[np.ndarray, int]], slices: Mapping[str, np.ndarray], count: int,
) -> np.ndarray:  # fmt: skip
    plan, even = item.plan, np.ones(count)
    if plan.table in layout.anchors:
        inside, alone = children[plan.table]
        fixed = np.bincount(slices[layout.anchors[plan.table].parent], inside, minlength=count).astype(np.int64)
        return np.asarray(fixed + spread(even, alone, np.full(count, alone)))
    most, weights = _most(model, plan.table, rows, count), even
    if plan.owner is not None and plan.owner.parent in rows and plan.owner.id in model.tables[plan.owner.parent].counts:
        counts = model.tables[plan.owner.parent].counts[plan.owner.id]
        weights = np.array([counts.histogram(int(n), (s + 0.5) / count).sum() for s, n in enumerate(rows[plan.owner.parent])], dtype=float)
    return spread(weights, total, most)


def _most(model: DatabaseModel, table: str, rows: Mapping[str, np.ndarray], count: int) -> np.ndarray:
    """The most rows that a table can have in each shard, by the parents that are there."""
    definition = model.schema.table(table)
    most: np.ndarray = np.full(count, np.iinfo(np.int64).max)
    for fk in model.tables[table].plan.keys:
        if fk.parent in rows and not model.schema.nullable(fk) and not fk.is_self_reference:
            most = np.minimum(most, rows[fk.parent] if one_child(definition, fk) else np.where(rows[fk.parent] > 0, most, 0))
    for one, other in combinations([fk for fk in model.tables[table].plan.keys if fk.parent in rows], 2):
        if {*one.columns, *other.columns} in [set(key) for key in definition.keys]:
            share = model.share(one) * model.share(other)
            most = np.minimum(most, _DENSEST * rows[one.parent] * rows[other.parent] / share).astype(np.int64)
    return most


def spread(weights: np.ndarray, total: int, most: np.ndarray) -> np.ndarray:
    """Whole numbers in proportion to `weights` (n,) that add up to `total`, none above `most` (n,); int64 (n,)."""
    out = np.zeros(len(weights), dtype=np.int64)
    while (left := total - int(out.sum())) > 0:
        room = most - out
        if not (room > 0).any():
            break
        share = np.where(room > 0, weights, 0.0)
        share = share if share.sum() > 0 else (room > 0).astype(float)
        exact = share / share.sum() * left
        add = np.minimum(np.floor(exact).astype(np.int64), room)
        if not add.any():
            first = np.argsort(-np.where(room > 0, exact - np.floor(exact) + (share > 0), -1.0), kind="stable")[: min(left, int((room > 0).sum()))]
            add[first] = 1
        out += add
    return out
