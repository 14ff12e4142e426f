"""Polymorphic keys put together again: of the columns for each table that a pair leads to, the one that its type says.

How they are taken apart is in `polymorphic`.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synth_pipeline.catalog.branches import branches
from synth_pipeline.catalog.polymorphic import PolymorphicKey
from synth_pipeline.catalog.schema import DatabaseSchema, ForeignKey, Table
from synth_pipeline.catalog.types import arrow_type
from synth_pipeline.keys import rows_of_branch


def folding(schema: DatabaseSchema, table: Table) -> list[PolymorphicKey]:
    """The polymorphic keys of a table that lead somewhere, over stored columns."""
    stored = {c.name for c in table.stored_columns}
    led = {b.key for b in branches(schema, table.id)}
    return [k for k in table.polymorphic_keys if k.id in led and {k.type_column, k.column} <= stored]


def branch_columns(schema: DatabaseSchema, table: Table) -> dict[str, str]:
    """The column of each branch of a table's polymorphic keys, by the branch's id; no other column has its name."""
    found: dict[str, str] = {}
    for branch in branches(schema, table.id):
        name = f"{branch.columns[0]} of {branch.parent}"
        while name in table.column_names or name in found.values():
            name += "'"
        found[branch.id] = name
    return found


def type_key(table: Table, key: PolymorphicKey) -> ForeignKey | None:
    """The key by which the type refers to a table of types."""
    return next((fk for fk in table.foreign_keys if fk.columns == (key.type_column,)), None)


def fold(schema: DatabaseSchema, table_id: str, rows: pa.Table) -> pa.Table:
    """The rows of a table, finished but for its polymorphic keys, with these as `schema`, the source's, has them."""
    table = schema.table(table_id)
    keys, names = folding(schema, table), branch_columns(schema, table)
    if not keys:
        return rows
    whole = {c: rows.column(c) for c in rows.column_names}
    for key in keys:
        column = table.column(key.column)
        kind = arrow_type(column.type)
        led, values = np.zeros(rows.num_rows, dtype=bool), pa.nulls(rows.num_rows, kind)
        for branch in (b for b in branches(schema, table_id) if b.key == key.id):
            here = rows_of_branch(schema, branch, rows.column(key.type_column))
            values = pc.if_else(pa.array(here), _plain(rows.column(names[branch.id]).cast(kind)), values)
            led |= here
        rest = _plain(whole.get(key.column, pa.chunked_array([pa.nulls(rows.num_rows, kind)])))
        if not column.nullable and rest.null_count:
            known = rest.drop_null()
            rest = pc.fill_null(rest, known[0] if len(known) else pa.scalar("" if pa.types.is_string(kind) else 0).cast(kind))
        whole[key.column] = pa.chunked_array([pc.if_else(pa.array(led), values, rest)])
    return pa.table({c.name: whole[c.name] for c in table.stored_columns})


def _plain(values: pa.ChunkedArray) -> pa.Array:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
