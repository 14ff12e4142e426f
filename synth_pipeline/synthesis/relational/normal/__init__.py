"""A database that is not in normal form is brought there before it is learnt, and back when its rows are written.

Where a fact is repeated on many rows (the date and the customer on every line of a receipt), nothing that looks at one row
keeps it the same on all of them. Here each fact comes to stand once, in a table of its own that the rows refer to; all that is
known of tables and keys (counts, siblings, copies, totals) then holds for it as for any other. What is added is never
written. How a table is learnt or drawn does not belong here.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from synth_pipeline.catalog.schema import Column, DatabaseSchema, Table
from synth_pipeline.synthesis.base import Tables, TrainingData, flagged
from synth_pipeline.synthesis.relational.normal.borrowed import Borrowed, find_borrowed, lend
from synth_pipeline.synthesis.relational.normal.decompose import Part, decompose
from synth_pipeline.synthesis.relational.normal.entities import find_entities
from synth_pipeline.synthesis.relational.normal.keys import find_keys


def normalised(data: TrainingData) -> TrainingData:
    """The same data with a table for every entity that has none, keys that nobody declared, and columns that rows compute with."""
    schema, about, bundle = data.schema, dict(data.metadata.tables), Extended(data.bundle)
    rows, fanouts = dict(data.population.rows), dict(data.population.fanouts)
    for table in (t for t in data.schema.tables if t.id not in data.preserve):
        held, seen = bundle.read(table.id), bundle.seen(table.id)
        entities = find_entities(schema, table, about[table.id], _taken(held, seen)) if seen.any() else []
        if not entities:
            continue
        left, about[table.id], parts = decompose(schema, table, about[table.id], held, seen, entities)
        schema = _with(schema, left, *(p.table for p in parts))
        bundle.tables[table.id] = held.select([c.name for c in left.stored_columns])
        scale = rows.get(table.id, held.num_rows) / int(seen.sum())
        for part in parts:
            about[part.table.id] = part.about
            bundle.add(part, table.id)
            rows[part.table.id] = round(int((part.seen > 0).sum()) * scale)
            fanouts |= {fk.id: part.fanout(scale) for fk in left.foreign_keys if fk.parent == part.table.id}
    known = {t.id: _taken(bundle.read(t.id), bundle.seen(t.id)) for t in schema.tables}
    for table in (t for t in schema.tables if t.id not in data.preserve and t.id in data.schema):
        keys = find_keys(schema, table, known[table.id])
        borrowed = find_borrowed(schema, table, about, known[table.id], known)
        for loan in borrowed:
            bundle.tables[table.id] = bundle.read(table.id).append_column(loan.name, lend(loan, bundle.read(table.id), known[loan.key.parent]))
        columns = [replace(_plain(schema, loan), name=loan.name) for loan in borrowed]
        if keys or borrowed:
            meant = {loan.name: about[loan.key.parent].columns[loan.column] for loan in borrowed}
            about[table.id] = about[table.id].model_copy(update={"columns": {**about[table.id].columns, **meant}})
            schema = _with(schema, replace(table, columns=(*table.columns, *columns), unique_keys=(*table.unique_keys, *keys)))
    metadata = data.metadata.model_copy(update={"tables": about})
    return replace(data, schema=schema, metadata=metadata, bundle=bundle, population=replace(data.population, rows=rows, fanouts=fanouts))


def _with(schema: DatabaseSchema, *tables: Table) -> DatabaseSchema:
    """The schema with other tables in the place of those of the same name, or beside them."""
    return replace(schema, tables=tuple({**{t.id: t for t in schema.tables}, **{t.id: t for t in tables}}.values()))


def _plain(schema: DatabaseSchema, loan: Borrowed) -> Column:
    return replace(schema.table(loan.key.parent).column(loan.column), nullable=True, default=None, identity=False)


def _taken(rows: pa.Table, wanted: np.ndarray) -> pa.Table:
    return rows if wanted.all() else rows.filter(pa.array(wanted))


@dataclass
class Extended:
    """The tables of a bundle, those that became others, and those of entities, with what is noted of the rows of these."""

    bundle: Tables
    tables: dict[str, pa.Table] = field(default_factory=dict)
    notes: dict[str, pa.Table] = field(default_factory=dict)

    def add(self, part: Part, source: str) -> None:
        """Adds an entity's table taken from the table `source`; one is drawn if all of its rows are, and held out if they are."""
        known, size = part.index >= 0, part.rows.num_rows
        drawn = flagged(self.bundle.annotations(source), "core", len(known), default=True)[known]
        missing = np.bincount(part.index[known], ~drawn, size)
        self.tables[part.table.id] = part.rows
        self.notes[part.table.id] = pa.table({"core": pa.array(missing == 0), "holdout": pa.array(part.seen == 0)})

    def read(self, table: str) -> pa.Table:
        """All rows of a table."""
        return self.tables[table] if table in self.tables else self.bundle.read(table)

    def annotations(self, table: str) -> pa.Table | None:
        """What is noted of the rows of a table."""
        return self.notes[table] if table in self.notes else self.bundle.annotations(table)

    def seen(self, table: str) -> np.ndarray:
        """The rows of a table that may be learnt from, bool (rows,)."""
        return ~flagged(self.annotations(table), "holdout", self.read(table).num_rows, default=False)
