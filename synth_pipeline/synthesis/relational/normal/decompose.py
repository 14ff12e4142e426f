"""A table whose entities have tables of their own: the schema, the metadata, the rows and the counts of what is added.

What the smallest of the entities says is no longer in the table, but for columns of keys and of CHECKs. What others say
stays, and is found to be copied from the new parent like from any other.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from synth_pipeline.catalog.population import Fanout
from synth_pipeline.catalog.schema import Column, DatabaseSchema, ForeignKey, Table, UniqueKey
from synth_pipeline.catalog.types import LogicalType
from synth_pipeline.keys import by_appearance, combined_codes, complete_rows
from synth_pipeline.metadata.model import ColumnMetadata, TableMetadata
from synth_pipeline.synthesis.relational.columns import named_columns
from synth_pipeline.synthesis.relational.normal.entities import Entity

_NUMBER = Column("#", LogicalType("integer", bits=64), nullable=False)
"""The place of an entity among all, by the first of its rows; what is written in this order (a year and a count) is found by it."""


@dataclass(frozen=True)
class Part:
    """The table of an entity.

    Attributes:
        table, about: what it is, as of any other table.
        rows: one for each entity, in the order in which they first occur; those of which no row may be learnt from come last.
        index: the entity of each row of the table that it was taken from, int64 (rows,), -1 for none.
        seen: of how many rows of that table the entities may be learnt, int64 (entities,).
    """

    table: Table
    about: TableMetadata
    rows: pa.Table
    index: np.ndarray
    seen: np.ndarray

    def fanout(self, scale: float) -> Fanout:
        """How many rows the entities have in a population `scale` times as large as what is seen."""
        degrees, parents = np.unique(self.seen[self.seen > 0], return_counts=True)
        return Fanout(tuple(degrees.tolist()), tuple(np.round(parents * scale).astype(int).tolist()))


def decompose(
    schema: DatabaseSchema, table: Table, about: TableMetadata, rows: pa.Table, seen: np.ndarray, entities: Sequence[Entity]
) -> tuple[Table, TableMetadata, list[Part]]:
    """The table with keys to its entities and without what the smallest says, what is left of its metadata, and the entities' tables.

    Args:
        schema: of the database.
        table: to be divided.
        about: what is known of it.
        rows: all of its rows.
        seen: those that may be learnt from, bool (rows,).
        entities: those found in it, the smallest first; at least one.
    """
    ids = dict(zip((e.key for e in entities), _names(schema, table, entities), strict=True))
    parts = []
    for entity in entities:
        name = ids[entity.key]
        columns = [c for c in table.stored_columns if c.name in (*entity.key, *entity.columns)]
        names = {c.name for c in columns}
        keys = [
            replace(fk, id=f"{name}({','.join(fk.columns)})->{fk.parent}", table=name, declared=False)
            for fk in table.foreign_keys if fk.parent in schema and set(fk.columns) <= names
        ]  # fmt: skip
        keys += [_key(name, key, ids[key]) for key in _direct(entities, entity.columns)]
        own = Table(
            id=name, name=" ".join(entity.key), columns=(*(_plain(c, required=c.name in entity.key) for c in columns), _NUMBER),
            schema=table.schema, primary_key=entity.key, unique_keys=tuple(UniqueKey((n,)) for n in (*entity.names, _NUMBER.name)),
            foreign_keys=tuple(keys),
        )  # fmt: skip
        index, first = _numbered(rows.select(entity.key), seen)
        meant = _cut(about, names).model_copy(update={"primary_key": entity.key})
        meant = meant.model_copy(update={"columns": {**meant.columns, _NUMBER.name: ColumnMetadata(sdtype="id")}})
        held = rows.select([c.name for c in columns]).take(pa.array(first)).append_column(_NUMBER.name, pa.array(np.arange(1, len(first) + 1)))
        parts.append(Part(own, meant, held, index, np.bincount(index[seen & (index >= 0)], minlength=len(first))))
    keys = [_key(table.id, key, ids[key]) for key in _direct(entities, table.column_names)]
    bound = {c for columns in (*table.keys, *(fk.columns for fk in table.foreign_keys)) for c in columns}
    bound |= {c for fk in schema.children[table.id] for c in fk.parent_columns}
    bound |= {c for check in table.checks for c in named_columns(check.sql, entities[0].columns)}
    kept = tuple(c for c in table.columns if c.name in bound or c.name not in entities[0].columns)
    left = replace(table, columns=kept, foreign_keys=(*table.foreign_keys, *keys))
    return left, _cut(about, {c.name for c in kept}), parts


def _numbered(keys: pa.Table, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The number of each row's key, -1 where a part is NULL, and a row of each; keys of rows that are `seen` come first."""
    order = np.argsort(~seen, kind="stable")
    order = order[complete_rows(keys.columns)[order]]
    index = np.full(keys.num_rows, -1, dtype=np.int64)
    index[order], first = by_appearance(combined_codes(keys.columns)[order])
    return index, order[first]


def _cut(about: TableMetadata, columns: Collection[str]) -> TableMetadata:
    """What is known of some of the columns."""
    groups = tuple(g for g in about.groups if set(g.columns) <= set(columns))
    return about.model_copy(update={"columns": {c: m for c, m in about.columns.items() if c in columns}, "groups": groups})


def _direct(entities: Sequence[Entity], columns: Sequence[str]) -> list[tuple[str, ...]]:
    """Of the entities that some columns name, those that no other one of them says."""
    named = [e for e in entities if set(e.key) <= set(columns)]
    return [e.key for e in named if not any(set(e.key) <= {*other.key, *other.columns} for other in named if other is not e)]


def _key(table: str, columns: tuple[str, ...], parent: str) -> ForeignKey:
    return ForeignKey(f"{table}({', '.join(columns)})->{parent}", table, columns, parent, columns, declared=False)


def _plain(column: Column, *, required: bool) -> Column:
    return replace(column, nullable=column.nullable and not required, default=None, identity=False)


def _names(schema: DatabaseSchema, table: Table, entities: Sequence[Entity]) -> list[str]:
    """A name that no table has for the table of each entity."""
    names: list[str] = []
    for entity in entities:
        name = f"{table.id}({', '.join(entity.key)})"
        while name in schema or name in names:
            name += "'"
        names.append(name)
    return names
