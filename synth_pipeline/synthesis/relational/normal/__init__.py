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

from synth_pipeline.catalog.schema import DatabaseSchema, Table
from synth_pipeline.synthesis.base import Tables, TrainingData, flagged
from synth_pipeline.synthesis.relational.normal.decompose import Part, decompose
from synth_pipeline.synthesis.relational.normal.entities import find_entities
from synth_pipeline.synthesis.relational.normal.keys import find_keys


def normalised(data: TrainingData) -> TrainingData:
    """The same data with a table for every entity that has none, and with the keys that nobody declared."""
    schema, about = data.schema, dict(data.metadata.tables)
    bundle = Extended(data.bundle)
    rows, fanouts = dict(data.population.rows), dict(data.population.fanouts)
    for table in (t for t in data.schema.tables if t.id not in data.preserve):
        held, notes = data.bundle.read(table.id), data.bundle.annotations(table.id)
        seen = ~flagged(notes, "holdout", held.num_rows, default=False)
        if not seen.any():
            continue
        known = held.filter(pa.array(seen))
        entities = find_entities(schema, table, about[table.id], known)
        if entities:
            left, about[table.id], parts = decompose(schema, table, about[table.id], held, seen, entities)
            schema = _with(schema, left, *(p.table for p in parts))
            bundle.columns[table.id] = [c.name for c in left.stored_columns]
            scale = rows.get(table.id, held.num_rows) / int(seen.sum())
            for part in parts:
                about[part.table.id] = part.about
                bundle.add(part, table.id)
                rows[part.table.id] = round(int((part.seen > 0).sum()) * scale)
                fanouts |= {fk.id: part.fanout(scale) for fk in left.foreign_keys if fk.parent == part.table.id}
        left = schema.table(table.id)
        if keys := find_keys(schema, left, known):
            schema = _with(schema, replace(left, unique_keys=(*left.unique_keys, *keys)))
    metadata = data.metadata.model_copy(update={"tables": about})
    return replace(data, schema=schema, metadata=metadata, bundle=bundle, population=replace(data.population, rows=rows, fanouts=fanouts))


def _with(schema: DatabaseSchema, *tables: Table) -> DatabaseSchema:
    """The schema with other tables in the place of those of the same name, or beside them."""
    return replace(schema, tables=tuple({**{t.id: t for t in schema.tables}, **{t.id: t for t in tables}}.values()))


@dataclass
class Extended:
    """The tables of a bundle and those of entities; one is drawn if all of its rows are, and held out if they are.

    `columns` are those that are left of a table; `added` are the tables of entities, each with the table that it was taken from.
    """

    bundle: Tables
    columns: dict[str, list[str]] = field(default_factory=dict)
    added: dict[str, tuple[Part, str]] = field(default_factory=dict)

    def add(self, part: Part, source: str) -> None:
        """Adds the table of an entity taken from the table `source`."""
        self.added[part.table.id] = part, source

    def read(self, table: str) -> pa.Table:
        """All rows of a table."""
        if table in self.added:
            return self.added[table][0].rows
        rows = self.bundle.read(table)
        return rows.select(self.columns[table]) if table in self.columns else rows

    def annotations(self, table: str) -> pa.Table | None:
        """What is noted of the rows of a table."""
        if table not in self.added:
            return self.bundle.annotations(table)
        part, source = self.added[table]
        notes = self.bundle.annotations(source)
        if notes is None:
            return None
        known, size = part.index >= 0, part.rows.num_rows
        drawn = flagged(notes, "core", len(known), default=True)[known]
        missing = np.bincount(part.index[known], ~drawn, size)
        return pa.table({"core": pa.array(missing == 0), "holdout": pa.array(part.seen == 0)})
