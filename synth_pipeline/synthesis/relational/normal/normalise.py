"""The steps to normal form, in order: pairs taken apart, tables of attributes turned, entities given tables, keys and columns added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import pyarrow as pa

from synth_pipeline.catalog.graph import leads
from synth_pipeline.catalog.schema import DatabaseSchema, ForeignKey, Table
from synth_pipeline.keys import complete_rows, parent_rows
from synth_pipeline.synthesis.base import Tables, TrainingData, chosen, flagged
from synth_pipeline.synthesis.relational.normal.attributes import find_pivot, wide_table
from synth_pipeline.synthesis.relational.normal.borrowed import find_borrowed, lend
from synth_pipeline.synthesis.relational.normal.decompose import Part, decompose
from synth_pipeline.synthesis.relational.normal.entities import find_entities
from synth_pipeline.synthesis.relational.normal.folding import folding
from synth_pipeline.synthesis.relational.normal.keys import find_keys
from synth_pipeline.synthesis.relational.normal.pivot import Pivot
from synth_pipeline.synthesis.relational.normal.polymorphic import unfold
from synth_pipeline.synthesis.relational.normal.shared import common
from synth_pipeline.synthesis.relational.normal.texts import composed_columns


@dataclass(frozen=True)
class NormalForm:
    """A database in normal form: its `data`, those of the `source`, and how tables of attributes became wide ones, by table."""

    source: TrainingData
    data: TrainingData
    pivots: Mapping[str, Pivot]


def normalised(data: TrainingData, least: int) -> NormalForm:
    """The same database in normal form; entities that `least` others have in common are copied."""
    work = _Work(data, least)
    paired = [t for t in data.schema.tables if folding(data.schema, t)]
    for table in paired:
        work.unfold(table)
    for table in (t for t in work.tables() if t.id not in {p.id for p in paired}):
        work.turn(table)
    for table in (t for t in work.tables() if t.id not in work.pivots):
        work.divide(table)
    work.refer()
    work.complete()
    return NormalForm(data, work.result(), work.pivots)


_FEWEST = 50
"""Fewest rows that tell of a key."""


class _Work:
    """A database on its way."""

    def __init__(self, data: TrainingData, least: int) -> None:
        self.least = least
        self.data, self.schema, self.about, self.bundle = data, data.schema, dict(data.metadata.tables), Extended(data.bundle)
        self.rows, self.fanouts = dict(data.population.rows), dict(data.population.fanouts)
        self.preserve = set(data.preserve)
        self.types: set[str] = set()
        self.pivots: dict[str, Pivot] = {}

    def tables(self) -> list[Table]:
        """Those of the source that are learnt, as they are now."""
        return [self.schema.table(t) for t in self.data.schema.table_ids if t not in self.preserve and self.bundle.seen(t).any()]

    def unfold(self, table: Table) -> None:
        """Gives a table a foreign key for each table that its polymorphic ones lead to."""
        made = unfold(self.schema, table, self.about[table.id], self.bundle.read(table.id))
        self.schema = _with(self.schema, made.table, *(types for types, _, _ in made.added))
        self.bundle.tables[table.id], self.about[table.id] = made.rows, made.about
        for types, about, rows in made.added:
            self.about[types.id], self.rows[types.id] = about, rows.num_rows
            every = np.ones(rows.num_rows, dtype=bool)
            self.bundle.put(types.id, rows, core=every, holdout=~every)
        self.preserve |= made.types
        self.types |= made.types

    def turn(self, table: Table) -> None:
        """Turns a table of attributes and values."""
        held, seen = self.bundle.read(table.id), self.bundle.seen(table.id)
        pivot = find_pivot(self.schema, table, self.about, chosen(held, seen), self.bundle.read)
        if pivot is None:
            return
        wide, thing = pivot.turned(held)
        without, missing = (np.bincount(thing, ~own, wide.num_rows) > 0 for own in (self.bundle.core(table.id), seen))
        self.bundle.put(table.id, wide, core=~without, holdout=missing)
        new, self.about[table.id] = wide_table(self.schema, table, pivot, chosen(wide, ~missing), self.about[table.id])
        total = self.rows.get(table.id, held.num_rows)
        self.rows[table.id] = round(wide.num_rows * total / held.num_rows)
        self.pivots[table.id] = replace(pivot, rows=total)
        # A table of attributes is no longer referred to; what is written refers to it all the same.
        self.preserve |= {fk.parent for fk in table.foreign_keys if fk.columns == (pivot.attribute,)}
        for fk in table.foreign_keys:
            self.fanouts.pop(fk.id, None)
        self.schema = _with(self.schema, new)

    def divide(self, table: Table) -> None:
        """Gives the entities of a table tables of their own."""
        held, seen = self.bundle.read(table.id), self.bundle.seen(table.id)
        entities = find_entities(self.schema, table, self.about[table.id], chosen(held, seen), partial(self._composed, table))
        if not entities:
            return
        left, self.about[table.id], parts = decompose(self.schema, table, self.about[table.id], held, seen, entities)
        scale = self.rows.get(table.id, held.num_rows) / int(seen.sum())
        for number, part in enumerate(parts):
            self.about[part.table.id] = part.about
            rows = np.arange(held.num_rows) if entities[number].series else parts[0].index
            shared = common(part, rows, seen, self.least) if number or entities[number].series else None
            if shared is not None:
                part = replace(part, seen=np.where(shared, part.seen, 0))
                self.preserve.add(part.table.id)
            self.bundle.add(part, table.id)
            self.rows[part.table.id] = int((part.seen > 0).sum()) if shared is not None else round(int((part.seen > 0).sum()) * scale)
            self.fanouts |= {fk.id: part.fanout(scale) for fk in left.foreign_keys if fk.parent == part.table.id}
        self.schema = _with(self.schema, left, *(p.table for p in parts))
        self.bundle.tables[table.id] = held.select([c.name for c in left.stored_columns])

    def _composed(self, table: Table, columns: Sequence[str]) -> set[str]:
        """Those of some columns that are composed of others of their row, or of its parents."""
        near = {table.id, *(fk.parent for fk in table.foreign_keys if fk.parent in self.schema)}
        near |= {fk.parent for t in near for fk in self.schema.table(t).foreign_keys if fk.parent in self.schema}
        return composed_columns(self.schema, table, self.about, {t: self.bundle.learnable(t) for t in near}, columns)

    def refer(self) -> None:
        """Adds keys to entities that other tables name by the same columns: the number of a customer whose versions lie elsewhere."""
        for part in [t for t in self.schema.tables if t.id not in {*self.data.schema.table_ids, *self.types}]:
            key, known = part.primary_key, self.bundle.read(part.id)
            for table in (t for t in self.schema.tables if set(key) <= set(t.column_names) and t.id not in {part.id, *self.preserve}):
                linked = {c for fk in table.foreign_keys for c in fk.columns}
                same = all(c not in linked and table.column(c).type == part.column(c).type for c in key)
                if not same or leads(part.id, table.id, {t.id: {fk.parent for fk in t.foreign_keys} for t in self.schema.tables}):
                    continue
                rows = self.bundle.learnable(table.id)
                whole = complete_rows([rows.column(c) for c in key])
                index = parent_rows([rows.column(c) for c in key], [known.column(c) for c in key])
                if whole.sum() >= _FEWEST and (index[whole] >= 0).all():
                    link = ForeignKey(f"{table.id}({', '.join(key)})->{part.id}", table.id, key, part.id, key, declared=False)
                    self.schema = _with(self.schema, replace(self.schema.table(table.id), foreign_keys=(*table.foreign_keys, link)))

    def complete(self) -> None:
        """Adds keys that nobody declared and columns that rows compute with."""
        known = {t: self.bundle.learnable(t) for t in self.schema.table_ids}
        for table in self.tables():
            keys = find_keys(self.schema, table, self.about[table.id], known[table.id])
            borrowed = find_borrowed(self.schema, table, self.about, known[table.id], known)
            for loan in borrowed:
                lent = lend(loan, self.bundle.read(table.id), known[loan.key.parent])
                self.bundle.tables[table.id] = self.bundle.read(table.id).append_column(loan.name, lent)
            columns = [loan.definition(self.schema) for loan in borrowed]
            if keys or borrowed:
                meant = {loan.name: self.about[loan.key.parent].columns[loan.column] for loan in borrowed}
                self.about[table.id] = self.about[table.id].model_copy(update={"columns": {**self.about[table.id].columns, **meant}})
                self.schema = _with(self.schema, replace(table, columns=(*table.columns, *columns), unique_keys=(*table.unique_keys, *keys)))

    def result(self) -> TrainingData:
        """The data as they are now."""
        metadata = self.data.metadata.model_copy(update={"tables": self.about})
        population = replace(self.data.population, rows=self.rows, fanouts=self.fanouts)
        return TrainingData(self.schema, metadata, self.bundle, population, frozenset(self.preserve))


def _with(schema: DatabaseSchema, *tables: Table) -> DatabaseSchema:
    """The schema with other tables in the place of those of the same name, or beside them."""
    return replace(schema, tables=tuple({**{t.id: t for t in schema.tables}, **{t.id: t for t in tables}}.values()))


@dataclass
class Extended:
    """The tables of a bundle, each read once, those that became others, and those of entities, with what is noted of their rows."""

    bundle: Tables
    tables: dict[str, pa.Table] = field(default_factory=dict)
    notes: dict[str, pa.Table | None] = field(default_factory=dict)

    def add(self, part: Part, source: str) -> None:
        """Adds an entity's table taken from the table `source`; one is drawn if all of its rows are, and held out if they are."""
        known = part.index >= 0
        without = np.bincount(part.index[known], ~self.core(source)[known], part.rows.num_rows) > 0
        self.put(part.table.id, part.rows, core=~without, holdout=part.seen == 0)

    def put(self, table: str, rows: pa.Table, *, core: np.ndarray, holdout: np.ndarray) -> None:
        """Adds a table, or puts another one in its place; which of its rows are drawn and which held out, bool (rows,) each."""
        self.tables[table], self.notes[table] = rows, pa.table({"core": pa.array(core), "holdout": pa.array(holdout)})

    def read(self, table: str) -> pa.Table:
        """All rows of a table."""
        if table not in self.tables:
            self.tables[table] = self.bundle.read(table)
        return self.tables[table]

    def annotations(self, table: str) -> pa.Table | None:
        """What is noted of the rows of a table."""
        if table not in self.notes:
            self.notes[table] = self.bundle.annotations(table)
        return self.notes[table]

    def core(self, table: str) -> np.ndarray:
        """The rows of a table that were drawn, bool (rows,)."""
        return flagged(self.annotations(table), "core", self.read(table).num_rows, default=True)

    def seen(self, table: str) -> np.ndarray:
        """The rows of a table that may be learnt from, bool (rows,)."""
        return ~flagged(self.annotations(table), "holdout", self.read(table).num_rows, default=False)

    def learnable(self, table: str) -> pa.Table:
        """Those rows themselves."""
        return chosen(self.read(table), self.seen(table))
