"""The plan: which tables are taken whole, which foreign keys make trees, and how likely a root entity is to be drawn.

Uses the schema, row counts and the configuration only; nothing is read here. How the plan is carried out does not
belong here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from synth_pipeline.errors import ConfigError, closest
from synth_pipeline.subset.keys import stored_foreign_keys
from synth_pipeline.subset.model import Role, SubsetPlan, TablePlan

if TYPE_CHECKING:
    from synth_pipeline.catalog.schema import DatabaseSchema, ForeignKey, Table
    from synth_pipeline.config import SubsetConfig

LOOKUP_ROWS = 1_000
"""Tables up to this size are taken whole, where they fit into `LOOKUP_SHARE` of the budget together."""
LOOKUP_SHARE = 0.2
FEW_ROWS = 30
"""Tables below this size make no tree and are never held out."""
MIN_HOLDOUT_ENTITIES = 300
"""Of trees with fewer root entities none is held out."""
_MANY = 300
_NARROW = 3
_LEAST_HUB = 50
_HUB_SHARE = 0.05


def make_plan(
    schema: DatabaseSchema, rows: Mapping[str, int], options: SubsetConfig, preserve: Collection[str], *,
    exact: bool = True, filtered: Collection[str] = (), before: SubsetPlan | None = None,
) -> SubsetPlan:  # fmt: skip
    """Makes the plan.

    Args:
        schema: the working schema.
        rows: rows of every table, exact or estimated.
        options: the configuration.
        preserve: tables that are taken whole whatever the budget.
        exact: whether `rows` are exact; a tree that seems to fit by estimates is drawn all the same.
        filtered: tables of which a filter, their own or that of a table above, lets only a part through.
        before: an earlier plan, whose tree keys stay.

    Raises:
        ConfigError: the options name a table or key that does not exist, or contradict each other.
    """
    _check(schema, options, preserve)
    total = sum(n for t, n in rows.items() if t not in preserve)
    whole = (
        options.fraction is None and options.main_table is None and not options.where
        and total <= options.max_rows and all(rows[t] <= n for t, n in options.table_max_rows.items())
    )  # fmt: skip
    lookups = set() if whole else _lookups(schema, rows, options, {*preserve, *filtered})
    keys = _keys_of(schema, before) if before is not None else choose_tree_keys(schema, rows, lookups | set(preserve), options)
    roots = {t: _root(t, keys) for t in schema.table_ids}
    budgets = {} if whole else _budgets(schema, rows, options, {t: r for t, r in roots.items() if t not in lookups and t not in preserve}, lookups)
    tables = []
    for table in schema.tables:
        name, root = table.id, roots[table.id]
        role: Role = "preserved" if name in preserve else "lookup" if name in lookups else "child" if name in keys else "root"
        ceiling = _ceiling(root, roots, rows, options)
        p = 1.0 if whole or role in ("preserved", "lookup") else _probability(root, ceiling, roots, rows, options, budgets)
        partial = any(t in options.where for t, r in roots.items() if r == root)
        taken = whole or role in ("preserved", "lookup") or (p >= 1 and not partial and exact)
        cap = _cap(name, options)
        hub = None if taken or role == "root" else most_of_one(min(budgets[root], cap or budgets[root]))
        key = keys[name].id if name in keys and role == "child" else None
        expected = rows[name] if taken else min(round(p * rows[name]), rows[name] if cap is None else cap)
        tables.append(TablePlan(name, rows[name], role, key, root if role == "child" else name, p, ceiling, taken, expected, cap, hub))
    warnings = _warnings(schema, options)
    return SubsetPlan(tuple(tables), whole, options.max_rows, options.seed, options.dangling, budgets, warnings=warnings)


def most_of_one(rows: int) -> int:
    """Of so many rows, those that may be of one parent or entity."""
    return max(_LEAST_HUB, int(_HUB_SHARE * rows))


def choose_tree_keys(
    schema: DatabaseSchema, rows: Mapping[str, int], whole: Collection[str], options: SubsetConfig
) -> dict[str, ForeignKey]:  # fmt: skip
    """For each table at most one foreign key along which its rows belong to an entity of another table.

    The configuration first; else a key that makes the row a part of its parent (inside the primary key, or ON DELETE
    CASCADE), then one that it cannot do without, then one to a parent of many rows, then the one with the most children per
    parent. Never one to a table that
    is taken whole or looks like a lookup (few rows and hardly a column of its own), and never one that closes a cycle.
    """
    chosen: dict[str, ForeignKey] = {}
    forced_roots = {options.main_table} if options.main_table else set()
    overridden = {t: _override(schema, t, wanted) for t, wanted in options.tree_keys.items()}
    for table_id, fk in overridden.items():
        if fk is not None:
            if _reaches(fk.parent, table_id, chosen) or fk.is_self_reference:
                raise ConfigError(f"The tree key of {table_id!r} closes a cycle.", "Choose another foreign key under `subset.tree_keys`.")
            chosen[table_id] = fk
    for table_id in (t for level in schema.levels() for t in level):
        if table_id in overridden or table_id in whole or table_id in forced_roots:
            continue
        table = schema.table(table_id)

        def rank(fk: ForeignKey, table: Table = table) -> tuple[bool, bool, bool, float, tuple[str, ...]]:
            part = set(fk.columns) <= set(table.primary_key) or (fk.on_delete or "").upper() == "CASCADE"
            many = rows[fk.parent] >= _MANY
            return (not part, not part and schema.nullable(fk), not many, -rows[table.id] / max(rows[fk.parent], 1), fk.columns)

        for fk in sorted(stored_foreign_keys(schema, table_id), key=rank):
            chosen_by_user = fk.parent in options.where or fk.parent == options.main_table
            lookup = not chosen_by_user and _looks_like_lookup(schema.table(fk.parent), rows[fk.parent])
            unfit = fk.is_self_reference or fk.parent in whole or lookup
            if not unfit and not _reaches(fk.parent, table_id, chosen):
                chosen[table_id] = fk
                break
    return chosen


def _keys_of(schema: DatabaseSchema, plan: SubsetPlan) -> dict[str, ForeignKey]:
    return {t.table: schema.table(t.table).foreign_key(t.tree_key) for t in plan.tables if t.tree_key is not None}


def _looks_like_lookup(table: Table, rows: int) -> bool:
    if rows < FEW_ROWS:
        return True
    own = {c.name for c in table.stored_columns} - set(table.primary_key) - {c for f in table.foreign_keys for c in f.columns}
    return rows < _MANY and len(own) <= _NARROW


def _override(schema: DatabaseSchema, table_id: str, wanted: str) -> ForeignKey | None:
    """The foreign key that the configuration means: by its id, its columns, or its parent; None for `none`."""
    if wanted == "none":
        return None
    keys = stored_foreign_keys(schema, table_id)
    columns = tuple(c.strip() for c in wanted.split(","))
    found = [f for f in keys if f.id == wanted] or [f for f in keys if f.columns == columns] or [f for f in keys if f.parent == wanted]
    if len(found) != 1:
        known = "; ".join(",".join(f.columns) for f in keys) or "none"
        raise ConfigError(f"The tree key {wanted!r} of {table_id!r} names {len(found)} foreign keys.", f"Its foreign keys: {known}.")
    return found[0]


def _reaches(start: str, goal: str, keys: Mapping[str, ForeignKey]) -> bool:
    """Whether `goal` is `start` or above it."""
    at: str | None = start
    while at is not None:
        if at == goal:
            return True
        at = keys[at].parent if at in keys else None
    return False


def _root(table: str, keys: Mapping[str, ForeignKey]) -> str:
    while table in keys:
        table = keys[table].parent
    return table


def _lookups(schema: DatabaseSchema, rows: Mapping[str, int], options: SubsetConfig, others: Collection[str]) -> set[str]:
    """Small tables that are taken whole, the smallest first, as far as their share of the budget goes.

    A table that the configuration limits, filters or makes the main one is not among them, nor one of `others`.
    """
    left = int(options.max_rows * LOOKUP_SHARE)
    special = {*others, *options.where, *options.table_max_rows, options.main_table}
    found = set()
    for table in sorted((t for t in schema.table_ids if t not in special), key=lambda t: (rows[t], t)):
        if rows[table] > min(left, LOOKUP_ROWS):
            break
        left -= rows[table]
        found.add(table)
    return found


def _budgets(
    schema: DatabaseSchema, rows: Mapping[str, int], options: SubsetConfig, roots: Mapping[str, str], lookups: Collection[str]
) -> dict[str, int]:  # fmt: skip
    """Core rows allowed per tree (by its root table): shares by number of tables, what small trees leave goes to the others."""
    sizes: dict[str, int] = {}
    weights: dict[str, int] = {}
    for table, root in roots.items():
        sizes[root] = sizes.get(root, 0) + rows[table]
        weights[root] = weights.get(root, 0) + 1
    left = options.max_rows - sum(rows[t] for t in lookups)
    budgets: dict[str, int] = {}
    waiting = sorted(sizes, key=lambda r: (sizes[r] / weights[r], r))
    for i, root in enumerate(waiting):
        share = left * weights[root] // sum(weights[r] for r in waiting[i:])
        budgets[root] = max(0, min(sizes[root], share))
        left -= budgets[root]
    return budgets


def _probability(
    root: str, ceiling: float, roots: Mapping[str, str], rows: Mapping[str, int], options: SubsetConfig, budgets: Mapping[str, int]
) -> float:  # fmt: skip
    """The probability of a tree's root entities: within its budget, the limits of its tables, and the fraction asked for."""
    members = [t for t, r in roots.items() if r == root]
    limits = [1.0, ceiling, budgets[root] / max(sum(rows[t] for t in members), 1)]
    caps = ((t, _cap(t, options)) for t in members)
    limits += [cap / max(rows[t], 1) for t, cap in caps if cap is not None]
    return min(limits)


def _ceiling(root: str, roots: Mapping[str, str], rows: Mapping[str, int], options: SubsetConfig) -> float:
    """`fraction`, and for the trees beside that of the main table the share of it that is asked for."""
    ceiling = 1.0 if options.fraction is None else options.fraction
    if options.main_table is not None and options.rows is not None and roots[options.main_table] != root:
        ceiling = min(ceiling, options.rows / max(rows[options.main_table], 1))
    return ceiling


def _cap(table: str, options: SubsetConfig) -> int | None:
    """Core rows allowed of one table by its own limit, or as the main table."""
    caps = [options.table_max_rows[table]] if table in options.table_max_rows else []
    if table == options.main_table and options.rows is not None:
        caps.append(options.rows)
    return min(caps, default=None)


def _check(schema: DatabaseSchema, options: SubsetConfig, preserve: Collection[str]) -> None:
    for where, names in (
        ("subset.table_max_rows", options.table_max_rows), ("subset.where", options.where), ("subset.tree_keys", options.tree_keys),
        ("subset.main_table", [options.main_table] if options.main_table else []), ("tables.preserve", preserve),
    ):  # fmt: skip
        for name in names:
            if name not in schema:
                raise ConfigError(f"`{where}` names the table {name!r}, which is not part of the source.", closest(name, schema.table_ids))
    if options.rows is not None and options.main_table is None:
        raise ConfigError("`subset.rows` needs `subset.main_table`.", "Name the table of which so many rows are wanted, or use `max_rows`.")
    if options.main_table is not None and options.rows is None:
        raise ConfigError("`subset.main_table` needs `subset.rows`.", "Say how many of its rows are wanted.")


def _warnings(schema: DatabaseSchema, options: SubsetConfig) -> tuple[str, ...]:
    pulled = "filtered: rows outside of the filter that other rows refer to are pulled in by reference, but never drawn"
    return tuple(f"{table} is {pulled}" for table in options.where if schema.children[table])
