"""Polymorphic keys as foreign keys: a column for each table that they lead to, of which a row has the one that its type says.

The types stand in a table of their own that is copied, unless there is one. A key to it is drawn like a category, before any
of the others (`structure.Typed`), so that keys, counts, copies and dates then hold as for every other key. What types without a
table go with stays in the column.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synth_pipeline.catalog.branches import Branch, branches
from synth_pipeline.catalog.polymorphic import PolymorphicKey
from synth_pipeline.catalog.schema import Column, DatabaseSchema, ForeignKey, Table, UniqueKey
from synth_pipeline.catalog.types import arrow_type
from synth_pipeline.keys import rows_of_branch
from synth_pipeline.metadata.model import ColumnMetadata, TableMetadata
from synth_pipeline.synthesis.relational.columns import named_columns
from synth_pipeline.synthesis.relational.normal.folding import branch_columns, folding, type_key


@dataclass(frozen=True)
class Unfolded:
    """A table with foreign keys in the place of its polymorphic ones.

    Attributes:
        table, about, rows: what became of it.
        added: tables of types, each with what it means and its rows.
        types: the tables of types, those that the source has among them.
    """

    table: Table
    about: TableMetadata
    rows: pa.Table
    added: tuple[tuple[Table, TableMetadata, pa.Table], ...]
    types: frozenset[str]


def unfold(schema: DatabaseSchema, table: Table, about: TableMetadata, rows: pa.Table) -> Unfolded:
    """The table without the columns of its polymorphic keys, each of which leads somewhere."""
    added: list[tuple[Table, TableMetadata, pa.Table]] = []
    types: set[str] = set()
    names = branch_columns(schema, table)
    for key in folding(schema, table):
        lookup = type_key(table, key)
        if lookup is None:
            made = _types(schema, table, about, key, rows)
            added.append(made)
            lookup = ForeignKey(f"{table.id}({key.type_column})", table.id, (key.type_column,), made[0].id, (key.type_column,), declared=False)
            table = replace(table, foreign_keys=(*table.foreign_keys, lookup))
        types.add(lookup.parent)
        table, about, rows = _divided(schema, table, about, rows, key, names)
    return Unfolded(table, about, rows, tuple(added), frozenset(types))


def _types(
    schema: DatabaseSchema, table: Table, about: TableMetadata, key: PolymorphicKey, rows: pa.Table
) -> tuple[Table, TableMetadata, pa.Table]:
    """A table of the types that occur."""
    name, column = f"{table.id}({key.type_column})", table.column(key.type_column)
    while name in schema:
        name += "'"
    own = Column(column.name, column.type, column.native_type, nullable=False, case_sensitive=column.case_sensitive)
    values = pc.unique(rows.column(column.name)).drop_null()
    held = pa.table({column.name: values.take(pc.sort_indices(values.cast(pa.string())))})
    meant = TableMetadata(columns={column.name: about.columns[column.name]}, primary_key=(column.name,))
    return Table(name, column.name, (own,), table.schema, (column.name,)), meant, held


def _divided(
    schema: DatabaseSchema, table: Table, about: TableMetadata, rows: pa.Table, key: PolymorphicKey, names: Mapping[str, str]
) -> tuple[Table, TableMetadata, pa.Table]:
    """The table with a column for each branch of a key in the place of its column; that stays where a type without a table has one."""
    mine = [b for b in branches(schema, table.id) if b.key == key.id]
    old = table.column(key.column)
    columns, meant, values = [], dict[str, ColumnMetadata](), dict[str, pa.ChunkedArray]()
    rest, led = rows.column(key.column), np.zeros(rows.num_rows, dtype=bool)
    for branch in mine:
        above, here = schema.table(branch.parent).column(branch.parent_columns[0]), rows_of_branch(schema, branch, rows.column(key.type_column))
        column = replace(above, name=names[branch.id], nullable=True, default=None, generated=None, identity=False, comment=None)
        columns.append(column)
        meant[column.name] = ColumnMetadata(sdtype="id")
        values[column.name] = rest.filter(pa.array(here)).cast(arrow_type(above.type)) if here.all() else _only(rest, here, arrow_type(above.type))
        led |= here
    if not (led | np.asarray(rest.is_null())).all():
        columns.append(replace(old, nullable=True, default=None))
        meant[old.name] = about.columns[old.name]
        values[old.name] = _only(rest, ~led, rest.type)
    at = table.column_names.index(old.name)
    keys = [k for t in table.keys for k in (_keys(t, key, mine, names, plain=old.name in values) if old.name in t else [t])]
    primary = table.primary_key if old.name not in table.primary_key else ()
    made = replace(
        table, columns=(*table.columns[:at], *columns, *table.columns[at + 1 :]), primary_key=primary,
        unique_keys=tuple(UniqueKey(k) for k in keys if k != primary),
        foreign_keys=(*table.foreign_keys, *(_foreign_key(b, names[b.id]) for b in mine)),
        checks=tuple(c for c in table.checks if not named_columns(c.sql, [old.name])),
    )  # fmt: skip
    kept = {c: m for c, m in about.columns.items() if c != old.name}
    about = about.model_copy(update={"columns": {**kept, **meant}, "groups": tuple(g for g in about.groups if old.name not in g.columns)})
    held = {c: values[c] if c in values else rows.column(c) for c in (x.name for x in made.stored_columns)}
    return made, about, pa.table(held)


def _only(values: pa.ChunkedArray, rows: np.ndarray, kind: pa.DataType) -> pa.ChunkedArray:
    """The values of some rows, NULL for the others."""
    index = np.where(rows, np.cumsum(rows) - 1, 0)
    some = values.filter(pa.array(rows)).cast(kind)
    return some.take(pa.array(index, mask=~rows)) if len(some) else pa.chunked_array([pa.nulls(len(rows), kind)])


def _foreign_key(branch: Branch, column: str) -> ForeignKey:
    return ForeignKey(branch.id, branch.table, (column,), branch.parent, branch.parent_columns, declared=False)


def _keys(key: tuple[str, ...], pair: PolymorphicKey, mine: list[Branch], names: Mapping[str, str], *, plain: bool) -> list[tuple[str, ...]]:
    """What a key over the column of a pair asks of the branches; one of a single type needs no type beside it."""
    found = []
    for branch in mine:
        found.append(tuple(names[branch.id] if c == pair.column else c for c in key if c != pair.type_column or len(branch.values) > 1))
    return [*found, *([key] if plain else [])]
