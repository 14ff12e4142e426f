"""Which texts of a table are composed of other columns: that something says them does not make it an entity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from synth_pipeline.catalog.schema import DatabaseSchema, ForeignKey, Table
from synth_pipeline.metadata.model import TableMetadata
from synth_pipeline.synthesis.relational.frame import Frame, parents_of
from synth_pipeline.synthesis.relational.rules import Texts, find_composed
from synth_pipeline.synthesis.relational.structure import usable_keys


def composed_columns(
    schema: DatabaseSchema, table: Table, about: Mapping[str, TableMetadata], rows: Mapping[str, pa.Table], columns: Sequence[str]
) -> set[str]:
    """Those of some columns of a table that are composed of others of their row, or of its parents.

    Args:
        schema: of the database.
        table: whose texts are looked at.
        about: what the columns of all tables mean.
        rows: the rows of all tables that may be learnt from.
        columns: of the table, in its order.
    """
    keys = _keys(schema, table)
    frames = {t: _frame(schema, schema.table(t), rows) for t in {table.id, *(fk.parent for fk in keys)}}
    further = {fk.parent for t in frames for fk in _keys(schema, schema.table(t))} - frames.keys()
    frames |= {t: Frame(schema.table(t), rows[t], *_every(rows[t])) for t in further}
    personal = {t: {c for c, m in about[t].columns.items() if m.pii} for t in frames}
    unique = {key[0] for key in table.keys if len(key) == 1}
    texts = [c for c in columns if pa.types.is_string(rows[table.id].column(c).type)]
    return set(find_composed(Texts(frames[table.id], frames, keys, personal, {}, unique), texts))


def _keys(schema: DatabaseSchema, table: Table) -> list[ForeignKey]:
    return [fk for fk in usable_keys(schema, table) if not fk.is_self_reference]


def _frame(schema: DatabaseSchema, table: Table, rows: Mapping[str, pa.Table]) -> Frame:
    frame = Frame(table, rows[table.id], *_every(rows[table.id]))
    frame.known = tuple(_keys(schema, table))
    frame.parents = {fk.id: parents_of(frame.data, fk, rows[fk.parent]) for fk in frame.known}
    frame.entities = np.arange(frame.rows)
    return frame


def _every(rows: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    return np.ones(rows.num_rows, dtype=bool), np.ones(rows.num_rows, dtype=bool)
