"""Population statistics: what a whole table or relationship looks like, by aggregates in the source.

One aggregate per table (rows and NULLs) and one per foreign key (children per parent). Where all rows pass through the
client anyway they are counted there instead. Nothing here looks at a value.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from synth_pipeline.catalog.population import Fanout, PopulationStats
from synth_pipeline.subset.keys import stored_keys
from synth_pipeline.subset.rows import compared, type_condition

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from synth_pipeline.catalog.schema import DatabaseSchema, ForeignKey, Table
    from synth_pipeline.progress import Progress
    from synth_pipeline.subset.model import SubsetPlan
    from synth_pipeline.subset.reader import Reader
    from synth_pipeline.subset.write import Written


_COUNTED = 10_000
"""Tables that are estimated to be smaller are counted in any case."""


def count_rows(
    reader: Reader, schema: DatabaseSchema, *, exact: bool, progress: Progress, tables: Collection[str] | None = None
) -> dict[str, int]:  # fmt: skip
    """Rows of every table (or of `tables`) that the filters let through; catalogue estimates stand in where `exact` is off."""
    rows: dict[str, int] = {}
    counted: list[Table] = []
    for table in schema.tables if tables is None else [schema.table(t) for t in tables]:
        if exact or table.id in reader.where or table.row_estimate is None or table.row_estimate < _COUNTED:
            counted.append(table)
        else:
            rows[table.id] = table.row_estimate
    with progress.step("Counting rows", total=len(counted)) as step:
        for table, found in zip(counted, reader.each((count_statement(reader, t), ()) for t in counted), strict=True):
            rows[table.id] = int(found[0][0])
            step.advance(note=table.id)
    return rows


def count_statement(reader: Reader, table: Table) -> str:
    """One number: the table's rows."""
    return f"SELECT COUNT(*) FROM {reader.aliased(table)}{reader.filter(table)}"


def measure(reader: Reader, schema: DatabaseSchema, rows: dict[str, int], *, exact: bool, progress: Progress) -> PopulationStats:
    """Measures everything by aggregates; with `exact` off, only `rows` are known."""
    if not exact:
        return PopulationStats(rows, {}, {}, exact=False)
    nulls: dict[str, dict[str, float]] = {}
    fanouts: dict[str, Fanout] = {}
    keys = [fk for t in schema.tables for fk in stored_keys(schema, t.id)]
    with progress.step("Measuring the population", total=len(schema.tables) + len(keys)) as step:
        statements = [(nulls_statement(reader, t), []) for t in schema.tables] + [fanout_statement(reader, schema, fk) for fk in keys]
        answers = reader.each(statements)
        for table, ((total, *filled),) in zip(schema.tables, answers, strict=False):
            rows[table.id] = int(total)
            counted = dict(zip(_nullable(table), filled, strict=True))
            nulls[table.id] = {c.name: (total - counted.get(c.name, total)) / total if total else 0.0 for c in table.stored_columns}
            step.advance(note=table.id)
        for fk, groups in zip(keys, answers, strict=True):
            fanouts[fk.id] = _fanout(groups, fk, rows)
            step.advance(note=fk.table)
    return PopulationStats(rows, fanouts, nulls)


def nulls_statement(reader: Reader, table: Table) -> str:
    """One row: the table's rows, and the values that are not NULL of each column that may be NULL."""
    counts = "".join(f", COUNT({reader.column('t', c)})" for c in _nullable(table))
    return f"SELECT COUNT(*){counts} FROM {reader.aliased(table)}{reader.filter(table)}"


def _nullable(table: Table) -> list[str]:
    return [c.name for c in table.stored_columns if c.nullable]


def fanout_statement(reader: Reader, schema: DatabaseSchema, fk: ForeignKey) -> tuple[str, list[Any]]:
    """Rows (where the parent is, children, how many keys have so many), with the parameters; the parent is joined once per distinct key."""
    child, parent = schema.table(fk.table), schema.table(fk.parent)
    conditions, types = type_condition(reader, schema, fk)
    keys = [reader.column("t", c) for c in fk.columns]
    names = [reader.quote(f"k{i}") for i in range(len(keys))]
    listed = ", ".join(f"{k} AS {n}" for k, n in zip(keys, names, strict=True))
    where = " AND ".join([*(f"{k} IS NOT NULL" for k in keys), *conditions, *reader.conditions(child, bound=bool(types))])
    inner = f"SELECT {listed}, COUNT(*) AS n FROM {reader.aliased(child)} WHERE {where} GROUP BY {', '.join(keys)}"
    sides = [(child.column(c), parent.column(p), n) for c, p, n in zip(fk.columns, fk.parent_columns, names, strict=True)]
    on = " AND ".join("{} = {}".format(*compared(reader, p, reader.column("t", p.name), c, f"g.{n}")) for c, p, n in sides)
    inside = " AND ".join(reader.conditions(parent, bound=bool(types)))
    place = f"CASE WHEN {reader.column('t', fk.parent_columns[0])} IS NULL THEN {_NOWHERE}"
    place += f" WHEN {inside} THEN {_INSIDE} ELSE {_OUTSIDE} END" if inside else f" ELSE {_INSIDE} END"
    groups = reader.dialect.aliased(f"({inner})", "g")
    found = f"SELECT {place} AS place, g.n AS n FROM {groups} LEFT JOIN {reader.aliased(parent)} ON {on}"
    return f"SELECT f.place, f.n, COUNT(*) FROM {reader.dialect.aliased(f'({found})', 'f')} GROUP BY f.place, f.n", types


_NOWHERE, _INSIDE, _OUTSIDE = range(3)
"""Where a parent is: nowhere, among the rows that a configured filter lets through, or outside of it."""


def _fanout(counted: Iterable[tuple[Any, ...]], fk: ForeignKey, rows: Mapping[str, int]) -> Fanout:
    """From what `fanout_statement` gives; rows that refer to parents outside of a filter are no one's children and not dangling."""
    histogram: dict[int, int] = {}
    children = [0, 0, 0]
    for place, n, parents in counted:
        children[place] += int(n) * int(parents)
        if place == _INSIDE:
            histogram[int(n)] = histogram.get(int(n), 0) + int(parents)
    without = rows[fk.parent] - sum(histogram.values())
    if without > 0:
        histogram[0] = without
    degrees = sorted(histogram)
    return Fanout(tuple(degrees), tuple(histogram[d] for d in degrees), max(0, rows[fk.table] - sum(children)), children[_NOWHERE])


def inherited_filters(reader: Reader, schema: DatabaseSchema, plan: SubsetPlan) -> dict[str, str]:
    """What the configured filters mean for the tables below: a row whose tree key leads to a filtered-out parent is out too.

    Rows without a parent stay. Conditions on `t`, like the configured ones, which are part of them.
    """
    found = dict(reader.where)
    waiting = [schema.table(t.table).foreign_key(t.tree_key) for t in plan.tables if t.tree_key is not None]
    while ready := [fk for fk in waiting if not any(other.table == fk.parent for other in waiting)]:
        waiting = [fk for fk in waiting if fk not in ready]
        for fk in (fk for fk in ready if fk.parent in found):
            parent = schema.table(fk.parent)
            same = " AND ".join(f"{reader.column('p', b)} = {reader.column('t', a)}" for a, b in zip(fk.columns, fk.parent_columns, strict=True))
            out = f"(SELECT * FROM {reader.aliased(parent)} WHERE CASE WHEN {found[fk.parent]} THEN 0 ELSE 1 END = 1)"
            kept = f"NOT EXISTS (SELECT 1 FROM {reader.dialect.aliased(out, 'p')} WHERE {same})"
            found[fk.table] = f"({found[fk.table]}) AND {kept}" if fk.table in found else kept
    return found


def from_rows(schema: DatabaseSchema, written: Written) -> PopulationStats:
    """The same statistics where every row was fetched: counted on the client, at no statement."""
    fanouts = {}
    for fk_id, seen in written.seen.items():
        degrees, parents = histogram_of(seen.degrees)
        fanouts[fk_id] = Fanout(degrees, parents, seen.null, seen.dangling)
    shares = {t: {c: n / max(written.fetched[t], 1) for c, n in written.nulls[t].items()} for t in schema.table_ids}
    return PopulationStats(dict(written.fetched), fanouts, shares)


def histogram_of(degrees: NDArray[np.int64]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The numbers that occur, ascending, and how often each does."""
    values, counts = np.unique(degrees, return_counts=True)
    return tuple(int(v) for v in values), tuple(int(c) for c in counts)
