"""Which tables hold attributes and values (entity, attribute, value), and what the attributes mean.

The values of such a table are of different kinds by their attribute: a phone number is personal, a birthday is a date. Each
becomes a column, with a meaning of its own (see `pivot`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synth_pipeline.catalog.schema import Column, DatabaseSchema, Table
from synth_pipeline.connectors.base import PROFILE_ROWS, TableProfile
from synth_pipeline.keys import column_codes, combined_codes
from synth_pipeline.metadata.infer import infer
from synth_pipeline.metadata.model import TableMetadata
from synth_pipeline.synthesis.relational.normal.pivot import Pivot
from synth_pipeline.synthesis.relational.runs import in_runs

_LEAST_THINGS, _MOST_ATTRIBUTES, _MOST_COLUMNS = 30, 60, 8
_EACH = 1.5
"""Fewest attributes of a thing on average."""
_SHARED = 1.5
"""In how many attributes a text value occurs at most, on average over different values."""
_EXPLAINED = 0.3
"""The share of the variance of numbers (of their ranks) that attributes explain at least."""


def find_pivot(
    schema: DatabaseSchema, table: Table, about: Mapping[str, TableMetadata], rows: pa.Table, read: Callable[[str], pa.Table]
) -> Pivot | None:
    """How a table is turned, where it holds attributes and values and nothing else; None for most tables.

    Args:
        schema: of the database.
        table: whose rows are looked at.
        about: what the columns of all tables mean.
        rows: those that may be learnt from, with the stored columns.
        read: gives all rows of a table.
    """
    links = [fk.columns for fk in table.foreign_keys if fk.parent in schema and not fk.is_self_reference]
    if not links or schema.children[table.id] or table.checks or len(table.stored_columns) > _MOST_COLUMNS or rows.num_rows < 2 * _LEAST_THINGS:
        return None
    linked = {c for columns in links for c in columns}
    number = next((c.name for c in table.stored_columns if (c.name,) == table.primary_key and c.type.kind == "integer" and c.name not in linked), "")
    codes = {c.name: column_codes(rows.column(c.name)) for c in table.stored_columns if c.name != number}
    for part in _layouts(table, about[table.id], links, codes):
        if any(rows.column(c).null_count for c in part.key):
            continue
        thing = np.unique(combined_codes([rows.column(c) for c in part.key]), return_inverse=True)[1]
        attribute, values = codes[part.attribute], rows.column(part.value)
        if not _turns(thing, attribute) or not _differ(values, attribute, codes[part.value]):
            continue
        order = np.argsort(np.asarray(rows.column(number).to_numpy()), kind="stable") if number else np.arange(rows.num_rows)
        attributes = _in_order(rows.column(part.attribute), attribute[order], thing[order])
        names = _names(schema, table, about, part.attribute, attributes, read)
        if names is not None:
            example = pc.index_in(attributes, value_set=rows.column(part.attribute).combine_chunks())
            return Pivot(
                part.key, part.attribute, part.value, tuple(_free(name, part.key, i) for i, name in enumerate(names)), attributes,
                {c: rows.column(c).combine_chunks().take(example) for c in part.said}, number,
                pc.min(rows.column(number)).as_py() if number else 0, _ascends(rows.select(part.key).take(pa.array(order))), rows.num_rows,
            )  # fmt: skip
    return None


class _Layout(NamedTuple):
    """The parts that columns may play: see `Pivot`."""

    attribute: str
    value: str
    key: tuple[str, ...]
    said: tuple[str, ...]


def _layouts(table: Table, about: TableMetadata, links: Sequence[tuple[str, ...]], codes: Mapping[str, np.ndarray]) -> Iterator[_Layout]:
    """What the columns of a table may be, by its keys and types; its declared keys are those of the attributes of things, or number rows."""
    linked = {c for columns in links for c in columns}
    kinds = {c.name: c.type.kind for c in table.stored_columns}
    for name, attribute in codes.items():
        few = attribute.min() >= 0 and 2 <= int(attribute.max()) + 1 <= _MOST_ATTRIBUTES
        if not few or not ((name,) in links or name not in linked and about.columns[name].sdtype in ("categorical", "id")):
            continue
        for value in (c for c in codes if c != name and c not in linked and codes[c].min() >= 0):
            rest = [c for c in codes if c not in (name, value)]
            said = tuple(c for c in rest if c not in linked and _says(attribute, codes[c]))
            key = tuple(c for c in rest if c not in said)
            whole = all({*k} == {*key, name} for k in table.keys if not {*k}.isdisjoint(codes))
            exact = all(c in linked or kinds[c] != "text" or about.columns[c].sdtype == "id" for c in key)
            if kinds[value] in ("text", "integer", "decimal", "float") and whole and exact and any(set(columns) <= set(key) for columns in links):
                yield _Layout(name, value, key, said)


def _turns(thing: np.ndarray, attribute: np.ndarray) -> bool:
    """Whether things, int (n,), have each attribute, int (n,), once, and several of them."""
    cells, things = np.unique(thing * (int(attribute.max()) + 1) + attribute), int(thing.max()) + 1
    return len(cells) == len(thing) >= _EACH * things and things >= _LEAST_THINGS


def _says(source: np.ndarray, target: np.ndarray) -> bool:
    """Whether rows that agree in `source` agree in `target`; codes, int (n,)."""
    image = np.zeros(int(source.max()) + 1, dtype=np.int64)
    image[source] = target
    return bool((image[source] == target).all())


def _in_order(values: pa.ChunkedArray, code: np.ndarray, thing: np.ndarray) -> pa.Array:
    """The attributes, those first that come first in a thing on average; `code` and `thing` of rows in their order, int (rows,) each."""
    by_thing = np.argsort(thing, kind="stable")
    place = np.empty(len(thing))
    place[by_thing] = in_runs(thing[by_thing])[0]
    mean = np.bincount(code, place) / np.bincount(code)
    return values.unique().take(pa.array(np.argsort(mean, kind="stable")))


def _ascends(rows: pa.Table) -> bool:
    """Whether rows are in the order of their columns."""
    order = np.asarray(pc.sort_indices(rows, sort_keys=[(c, "ascending") for c in rows.column_names]))  # stable
    return np.array_equal(order, np.arange(len(order)))


def _differ(values: pa.ChunkedArray, attribute: np.ndarray, value: np.ndarray) -> bool:
    """Whether values are of different kinds by their attribute; not so the grades of pupils in several subjects."""
    if pa.types.is_string(values.type):
        pairs = np.unique(value * (int(attribute.max()) + 1) + attribute)
        return len(pairs) <= _SHARED * (int(value.max()) + 1)
    x = np.asarray(pc.cast(values, pa.float64()).to_numpy())
    rank = np.unique(x, return_inverse=True)[1].astype(float)
    mean = np.bincount(attribute, rank) / np.maximum(np.bincount(attribute), 1)
    return bool(rank.var() > 0 and mean[attribute].var() >= _EXPLAINED * rank.var())


def _names(
    schema: DatabaseSchema, table: Table, about: Mapping[str, TableMetadata], column: str, attributes: pa.Array, read: Callable[[str], pa.Table]
) -> list[str] | None:
    """What attributes are called: by themselves, or where they lead to a table of attributes; None where that one must not be copied."""
    fk = next((fk for fk in table.foreign_keys if fk.columns == (column,) and fk.parent in schema), None)
    if fk is None:
        return [str(v) for v in attributes.to_pylist()]
    if any(c.pii for c in about[fk.parent].columns.values()):
        return None
    listed = read(fk.parent)
    place = pc.index_in(attributes, value_set=listed.column(fk.parent_columns[0]).combine_chunks())
    for other in (c for c in schema.table(fk.parent).stored_columns if c.type.kind == "text"):
        values = listed.column(other.name)
        if not values.null_count and len(values.unique()) == len(values):
            return [str(v) for v in values.take(place).to_pylist()]
    return [str(v) for v in attributes.to_pylist()]


def _free(name: str, taken: Sequence[str], place: int) -> str:
    return name if name not in taken else f"{name} {place}"


def wide_table(schema: DatabaseSchema, table: Table, pivot: Pivot, rows: pa.Table, about: TableMetadata) -> tuple[Table, TableMetadata]:
    """The table with a row for each thing, and what its columns mean by their names and values.

    Args:
        schema: of the database.
        table: as it is in the source.
        pivot: how it is turned.
        rows: turned ones that may be learnt from.
        about: what the columns of the source's table mean.
    """
    value = table.column(pivot.value)
    cells = tuple(Column(c, value.type, value.native_type, case_sensitive=value.case_sensitive) for c in pivot.columns)
    keys = tuple(fk for fk in table.foreign_keys if set(fk.columns) <= set(pivot.key))
    wide = replace(table, columns=(*(table.column(c) for c in pivot.key), *cells), primary_key=pivot.key, unique_keys=(), foreign_keys=keys, ddl=None)
    # A user's attributes are a person's.
    whose = next((schema.table(fk.parent).name for fk in keys), table.name)
    guessed = replace(wide, name=whose, foreign_keys=(), indexes=(), primary_key=())
    profile = TableProfile(table.id, rows.num_rows, rows.slice(0, PROFILE_ROWS))
    meant = infer(DatabaseSchema(schema.dialect, (guessed,)), [profile]).tables[table.id]
    columns = {c: about.columns[c] if c in pivot.key else meant.columns[c] for c in wide.column_names}
    return wide, TableMetadata(columns=columns, primary_key=pivot.key, groups=meant.groups)
