"""Population statistics: what a whole table or relationship looks like, by aggregates in the source.

One aggregate per table (rows and NULLs) and one per foreign key (children per parent). Where all rows pass through the
client anyway they are counted there instead. Nothing here looks at a value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from synth_pipeline.catalog.population import Fanout, PopulationStats
from synth_pipeline.subset.keys import stored_keys

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from synth_pipeline.catalog.schema import DatabaseSchema, ForeignKey, Table
    from synth_pipeline.progress import Progress
    from synth_pipeline.subset.reader import Reader
    from synth_pipeline.subset.write import Written


_COUNTED = 10_000
"""Tables that are estimated to be smaller are counted in any case."""


def count_rows(reader: Reader, schema: DatabaseSchema, *, exact: bool, progress: Progress) -> dict[str, int]:
    """Rows of every table that the configured filters let through; catalogue estimates stand in where `exact` is off."""
    rows = {}
    with progress.step("Counting rows", total=len(schema.tables)) as step:
        for table in schema.tables:
            filtered = table.id in reader.where
            if exact or filtered or table.row_estimate is None or table.row_estimate < _COUNTED:
                rows[table.id] = int(reader.one(count_statement(reader, table))[0])
            else:
                rows[table.id] = table.row_estimate
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
    filled: dict[str, dict[str, int]] = {}
    fanouts: dict[str, Fanout] = {}
    with progress.step("Measuring the population", total=len(schema.tables) + len(schema.foreign_keys)) as step:
        for table in schema.tables:
            columns = [c.name for c in table.stored_columns]
            counts = reader.one(nulls_statement(reader, table, columns)) if columns else (rows[table.id],)
            total = int(counts[0])
            rows[table.id] = total
            filled[table.id] = {c: int(n) for c, n in zip(columns, counts[1:], strict=True)}
            nulls[table.id] = {c: (total - n) / total if total else 0.0 for c, n in filled[table.id].items()}
            step.advance(note=table.id)
        for table in schema.tables:
            for fk in stored_keys(schema, table.id):
                fanouts[fk.id] = _fanout(reader, schema, fk, rows)
                step.advance(note=table.id)
    return PopulationStats(rows, fanouts, nulls)


def nulls_statement(reader: Reader, table: Table, columns: list[str]) -> str:
    """One row: the table's rows, and the values that are not NULL per column."""
    counts = "".join(f", COUNT({reader.column('t', c)})" for c in columns)
    return f"SELECT COUNT(*){counts} FROM {reader.aliased(table)}{reader.filter(table)}"


def fanout_statement(reader: Reader, schema: DatabaseSchema, fk: ForeignKey) -> str:
    """Rows (parent exists, children, how many keys have so many); the parent is joined once per distinct key."""
    child, parent = schema.table(fk.table), schema.table(fk.parent)
    keys = [reader.column("t", c) for c in fk.columns]
    names = [reader.quote(f"k{i}") for i in range(len(keys))]
    listed = ", ".join(f"{k} AS {n}" for k, n in zip(keys, names, strict=True))
    where = reader.filter(child, *(f"{k} IS NOT NULL" for k in keys))
    inner = f"SELECT {listed}, COUNT(*) AS n FROM {reader.aliased(child)}{where} GROUP BY {', '.join(keys)}"
    on = " AND ".join(f"{reader.column('t', p)} = g.{n}" for p, n in zip(fk.parent_columns, names, strict=True))
    found = f"CASE WHEN {reader.column('t', fk.parent_columns[0])} IS NULL THEN 0 ELSE 1 END"
    groups, parents = reader.dialect.aliased(f"({inner})", "g"), reader.dialect.aliased(reader.source(parent), "t")
    return f"SELECT {found}, g.n, COUNT(*) FROM {groups} LEFT JOIN {parents} ON {on} GROUP BY {found}, g.n"


def _fanout(reader: Reader, schema: DatabaseSchema, fk: ForeignKey, rows: dict[str, int]) -> Fanout:
    histogram: dict[int, int] = {}
    matched = dangling = 0
    for found, n, parents in reader.select(fanout_statement(reader, schema, fk)):
        if found:
            histogram[int(n)] = histogram.get(int(n), 0) + int(parents)
            matched += int(n) * int(parents)
        else:
            dangling += int(n) * int(parents)
    without = rows[fk.parent] - sum(histogram.values())
    if without > 0:
        histogram[0] = without
    degrees = sorted(histogram)
    return Fanout(tuple(degrees), tuple(histogram[d] for d in degrees), max(0, rows[fk.table] - matched - dangling), dangling)


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
