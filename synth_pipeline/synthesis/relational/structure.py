"""How a schema is generated: the order of tables, and the part that each foreign key plays.

One foreign key of a table may *own* its rows: the parent decides how many there are. A key to a reference table is a
*lookup*, drawn like a category. Other keys to tables that exist already are *links*; keys that close a cycle or point
into their own table are *deferred* until the rows exist, and so are keys with columns of their own. Statistics of values do not belong here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from synth_pipeline.catalog.schema import DatabaseSchema, ForeignKey, Table

_ENTITY_ROWS = 30
"""Parents that are fewer than this do not own: their children would be one large group."""
_SELDOM = 0.05
"""An owner may be missing in this share of the rows."""
_CLOSE = 0.05
"""Siblings lie close together in time where their dates vary less than this, as a share of the variance of all."""


@dataclass(frozen=True)
class Typed:
    """A foreign key that only rows of some types have (see `normal.polymorphic`).

    Attributes:
        key: the foreign key to the table of types, by id; it is drawn before.
        types: rows of that table.
        always: whether all rows of these types have a parent.
    """

    key: str
    types: tuple[int, ...]
    always: bool

    def of(self, index: np.ndarray) -> np.ndarray:
        """Which rows have one of the types, by their rows in the table of types, int (n,), -1 for none; bool (n,)."""
        return np.isin(index, self.types)


@dataclass(frozen=True)
class TablePlan:
    """The part of every foreign key of a table; a table without an owner is a root. `typed` has those that a type decides, by id."""

    table: str
    owner: ForeignKey | None = None
    lookups: tuple[ForeignKey, ...] = ()
    links: tuple[ForeignKey, ...] = ()
    deferred: tuple[ForeignKey, ...] = ()
    typed: Mapping[str, Typed] = field(default_factory=dict)

    @property
    def keys(self) -> list[ForeignKey]:
        """All foreign keys, in the order in which they are drawn."""
        return [*([self.owner] if self.owner else []), *self.lookups, *self.links, *self.deferred]

    @property
    def ready(self) -> list[ForeignKey]:
        """Those that rows have from the first."""
        return [fk for fk in self.keys if fk not in self.deferred]

    def optional(self, schema: DatabaseSchema, fk: ForeignKey) -> bool:
        """Whether a row that is to have a parent may do without: its key may be NULL, and no type says that it is not."""
        return schema.nullable(fk) and not (fk.id in self.typed and self.typed[fk.id].always)

    def is_owner(self, key: str) -> bool:
        """Whether a foreign key, by id, leads to the owner."""
        return self.owner is not None and self.owner.id == key

    @property
    def soon(self) -> list[ForeignKey]:
        """Self references: rows have them as soon as all of them are there."""
        return [fk for fk in self.deferred if fk.is_self_reference]


def plan_tables(
    schema: DatabaseSchema,
    rows: Mapping[str, int],
    distinct: Mapping[str, int],
    absent: Mapping[str, float],
    reference: Collection[str],
    inverse: Collection[str] = (),
    close: Collection[str] = (),
    after: Mapping[str, Collection[str]] | None = None,
) -> list[TablePlan]:
    """The tables in the order of generation.

    Args:
        schema: the working schema.
        rows: rows per table.
        distinct: for each foreign key (by id) how many different parents its rows have.
        absent: for each foreign key the share of its rows without a parent.
        reference: tables whose rows are copied.
        inverse: foreign keys (by id) that lead to one of the row's own children, which must be there before.
        close: foreign keys (by id) whose siblings lie close together in time.
        after: tables that a table comes after although it does not refer to them; together with those that it does they make no circle.
    """
    plans = []
    done: set[str] = set()
    # Large tables first, where that is free: histories in small steps tell those in large ones.
    for group in schema.levels(sorted(schema.table_ids, key=lambda t: -rows.get(t, 0)), after):
        for table_id in _break_cycle(schema, group, inverse):
            table = schema.table(table_id)
            keys = usable_keys(schema, table)
            ready = [fk for fk in keys if fk.parent in done and not fk.is_self_reference and not anchored(schema, fk) and fk.id not in inverse]
            deferred = tuple(sorted((fk for fk in keys if fk not in ready), key=lambda fk: fk.id in inverse))
            lookups = tuple(fk for fk in ready if fk.parent in reference)
            rest = [fk for fk in ready if fk not in lookups]
            owner = None if table_id in reference else _owner(schema, table, rest, rows, distinct, absent, close)
            plans.append(TablePlan(table_id, owner, lookups, tuple(fk for fk in rest if fk is not owner), deferred))
            done.add(table_id)
    return plans


def usable_keys(schema: DatabaseSchema, table: Table) -> list[ForeignKey]:
    """The foreign keys of a table that say something: all but those that lead from a row to itself by definition."""
    return [fk for fk in table.foreign_keys if fk.parent in schema and not (fk.is_self_reference and fk.columns == fk.parent_columns)]


def anchored(schema: DatabaseSchema, fk: ForeignKey) -> tuple[str, ...]:
    """The columns of a key that are columns in their own right; the key follows when they are known.

    These are the required columns of a partly nullable key, which have values also where the key has none, and columns
    whose keys lead back to themselves.
    """
    required = {c for c in fk.columns if not schema.table(fk.table).column(c).nullable}
    if len(required) == len(fk.columns):
        required = set()
    return tuple(c for c in fk.columns if c in required or (fk.table, c) in schema.circular_columns)


def decided_columns(schema: DatabaseSchema, table: Table) -> set[str]:
    """The columns whose values are those of a parent."""
    return {c for fk in usable_keys(schema, table) for c in fk.columns if c not in anchored(schema, fk)}


def one_child(table: Table, fk: ForeignKey) -> bool:
    """Whether a parent has at most one row by this key: its columns are a key of the table."""
    return set(fk.columns) in [set(k) for k in table.keys]


def _break_cycle(schema: DatabaseSchema, group: list[str], inverse: Collection[str]) -> list[str]:
    """An order of the tables of a cycle that defers nullable keys rather than required ones."""
    left, order = list(group), []
    while left:

        def hard(table_id: str) -> tuple[int, int]:
            keys = [fk for fk in schema.table(table_id).foreign_keys if not fk.is_self_reference and fk.id not in inverse]
            waiting = [fk for fk in keys if fk.parent in left]  # noqa: B023
            return sum(not schema.nullable(fk) for fk in waiting), len(waiting)

        best = min(left, key=hard)
        left.remove(best)
        order.append(best)
    return order


def lie_close(index: np.ndarray, time: np.ndarray) -> bool:
    """Whether rows with the same parent (-1: none), int (n,), lie close together in `time`, float (n,) without NaN, on the whole."""
    rank = np.unique(time, return_inverse=True)[1].astype(float)
    with_one, rank = index[index >= 0], rank[index >= 0]
    groups = np.unique(with_one, return_inverse=True)[1]
    size = np.bincount(groups)
    several = size[groups] > 1
    free = int(several.sum() - (size > 1).sum())
    if free < _ENTITY_ROWS:
        return False
    within = rank - (np.bincount(groups, rank) / size)[groups]
    return bool((within[several] ** 2).sum() / free < _CLOSE * rank.var())


def _owner(
    schema: DatabaseSchema, table: Table, keys: list[ForeignKey], rows: Mapping[str, int], distinct: Mapping[str, int],
    absent: Mapping[str, float], close: Collection[str],
) -> ForeignKey | None:  # fmt: skip
    """The key whose parents best explain why the rows are there.

    Parents must be entities (not two stores), and have a child each on average (an order has lines; most products have
    none), or be what rows are one-to-one with, or go with, where not everything cascades. Then a key wins that is part of the row's
    identity, or cascades; one that is seldom missing; one that is a key by itself; one whose rows lie close together in time (the
    messages of a conversation, not of a sender); one that the table is named after; and then the one with most parents.
    """
    identity = {c for key in table.keys for c in key}
    cascading = {fk.id for fk in keys if (fk.on_delete or "").upper() == "CASCADE"}
    all_cascade = len(cascading) == len(keys)

    def rank(fk: ForeignKey) -> tuple[bool, bool, bool, bool, bool, bool, int]:
        one, words = one_child(table, fk), _words(schema.table(fk.parent).name)
        entities = rows.get(fk.parent, 0) >= _ENTITY_ROWS
        groups = rows.get(table.id, 0) >= rows.get(fk.parent, 0) or one or fk.id in cascading and not all_cascade
        belongs = set(fk.columns) <= identity or fk.id in cascading
        named = entities and _words(table.name)[: len(words)] == words
        return entities and groups, belongs, absent.get(fk.id, 0.0) < _SELDOM, one, fk.id in close, named, distinct.get(fk.id, 0)

    candidates = [fk for fk in keys if distinct.get(fk.id, 0) > 0 and any(rank(fk)[:2])]
    return max(candidates, key=rank, default=None)


def _words(name: str) -> list[str]:
    """The words of a name, in the singular: OrderItems and order_items are order, item."""
    return [w.lower().removesuffix("s") for w in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)]
