"""Another database read in the types of the real one, so that both can be laid side by side.

Tables and columns are matched by name (whatever their case), values are converted; what is missing, left over or does not
convert is counted, never refused: a synthetic database made elsewhere is judged by what it holds. How it is judged does
not belong here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from synth_pipeline.artifacts import BundleWriter, TableBundle

if TYPE_CHECKING:
    import pyarrow as pa

    from synth_pipeline.catalog.schema import Column, DatabaseSchema, Table
    from synth_pipeline.connectors.base import Connector
    from synth_pipeline.progress import Progress


@dataclass
class Aligned:
    """A database in the types of the real one.

    Attributes:
        bundle: its rows; a table or column that it lacks is empty or NULL.
        differences: what its schema declares otherwise, one readable line each.
        faults: per table the columns that are missing or hold values that cannot be converted.
    """

    bundle: TableBundle
    differences: list[str] = field(default_factory=list)
    faults: dict[str, list[str]] = field(default_factory=dict)


def read_aligned(connector: Connector, real: DatabaseSchema, directory: Path, progress: Progress) -> Aligned:
    """Reads all rows of the tables of `real` that a database has, under one snapshot, into a bundle in `directory`."""
    other = connector.reflect()
    tables = {t.id: _match(t, other) for t in real.tables}
    faults: dict[str, list[str]] = {}
    with progress.step(f"Reading {connector.label}", total=len(tables)) as step, BundleWriter(directory, real) as writer:
        with connector.snapshot() as snapshot:
            for table in real.tables:
                theirs = tables[table.id]
                if theirs is None:
                    faults[table.id] = ["the table is missing"]
                else:
                    converter = _Converter(table, theirs, writer.arrow_schema(table.id), same_engine=real.dialect == other.dialect)
                    for batch in snapshot.rows(converter.read, list(converter.names.values())):
                        writer.write(table.id, converter(batch))
                    if found := converter.faults():
                        faults[table.id] = found
                step.advance(note=table.id)
    return Aligned(TableBundle.open(directory), list(_differences(real, other, tables)), faults)


def _match(table: Table, other: DatabaseSchema) -> Table | None:
    """The table of the same id, or else the only one of the same name, whatever the case and the schema it lies in."""
    if table.id in other:
        return other.table(table.id)
    for mine, key in ((table.id, "id"), (table.name, "name")):
        found = [t for t in other.tables if getattr(t, key).lower() == mine.lower()]
        if len(found) == 1:
            return found[0]
    return None


def _columns(table: Table, theirs: Table) -> dict[str, str]:
    """The name that each stored column of a table has in the other one, where it is there."""
    exact, folded = {c.name for c in theirs.columns}, {c.name.lower(): c.name for c in theirs.columns}
    names = {c.name: c.name if c.name in exact else folded.get(c.name.lower()) for c in table.stored_columns}
    return {mine: name for mine, name in names.items() if name is not None}


# --- values ------------------------------------------------------------------------------------------------------------


class _Converter:
    """Batches of the other table as rows of the real one; counts what does not convert."""

    def __init__(self, table: Table, theirs: Table, schema: pa.Schema, *, same_engine: bool) -> None:
        self.names, self._schema = _columns(table, theirs), schema
        self._missing = [c.name for c in table.stored_columns if c.name not in self.names]
        self._lost: dict[str, int] = {}
        back = {name: mine for mine, name in self.names.items()}
        columns = [_readable(c, table.column(back[c.name]) if c.name in back else None, same_engine) for c in theirs.columns]
        self.read = dataclasses.replace(theirs, columns=tuple(columns))

    def __call__(self, batch: pa.RecordBatch) -> pa.Table:
        import pyarrow as pa

        arrays = []
        for f in self._schema:
            if f.name not in self.names:
                arrays.append(pa.nulls(batch.num_rows, f.type))
                continue
            values = batch.column(self.names[f.name])
            converted = converted_values(values, f.type)
            lost = converted.null_count - values.null_count
            if lost:
                self._lost[f.name] = self._lost.get(f.name, 0) + lost
            arrays.append(converted)
        return pa.Table.from_arrays(arrays, schema=self._schema)

    def faults(self) -> list[str]:
        kinds = {f.name: str(f.type) for f in self._schema}
        lost = [f"{count:,} values of {name} are no {kinds[name]}" for name, count in self._lost.items()]
        return [*(f"the column {name} is missing" for name in self._missing), *lost]


def _readable(column: Column, real: Column | None, same_engine: bool) -> Column:
    """The column as it is read: NULL for what does not conform, and mixed or undecodable values in the real one's form."""
    if same_engine and real is not None and real.storage in ("literal", "bytes"):
        return dataclasses.replace(real, name=column.name, nullable=True)
    return dataclasses.replace(column, nullable=True)


def converted_values(values: pa.Array, target: pa.DataType) -> pa.Array:
    """Values in another type; NULL for one that it cannot hold, numbers rounded to its digits."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if values.type == target:
        return values
    try:
        if pa.types.is_decimal(target) and (pa.types.is_floating(values.type) or pa.types.is_decimal(values.type)):
            return pc.round(values.cast(pa.float64()), target.scale).cast(target, safe=False)
        if pa.types.is_integer(target) and pa.types.is_floating(values.type):
            whole = pc.equal(values, pc.round(values))
            return pc.if_else(pc.fill_null(whole, False), values, None).cast(target)
        if pa.types.is_boolean(target) and pa.types.is_string(values.type):
            words = pc.utf8_lower(values)
            yes, no = (pc.is_in(words, value_set=pa.array(w)) for w in (["1", "t", "true", "y", "yes"], ["0", "f", "false", "n", "no"]))
            return pc.if_else(yes, True, pc.if_else(no, False, None))
        return values.cast(target, safe=not pa.types.is_temporal(target))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return _one_by_one(values, target)


def _one_by_one(values: pa.Array, target: pa.DataType) -> pa.Array:
    """What casts as a whole cannot do: text with some numbers or dates in it."""
    import pandas as pd
    import pyarrow as pa

    if not pa.types.is_string(values.type) and not pa.types.is_binary(values.type):
        try:
            values = values.cast(pa.string())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            return pa.nulls(len(values), target)
    if pa.types.is_binary(target):
        return values.cast(target)
    if pa.types.is_binary(values.type):
        texts = [None if v is None else v.decode("utf-8", "replace") for v in values.to_pylist()]
        return converted_values(pa.array(texts, pa.string()), target)
    series = values.to_pandas()
    if pa.types.is_temporal(target):
        times = pd.to_datetime(series, errors="coerce", format="mixed", utc=getattr(target, "tz", None) is not None)
        if pa.types.is_time(target):
            times = times.dt.time
        return pa.array(times, from_pandas=True).cast(target, safe=False)
    numbers = pa.array(pd.to_numeric(series, errors="coerce").astype("float64"), pa.float64(), from_pandas=True)
    if pa.types.is_boolean(target):
        return numbers.cast(target)
    return converted_values(numbers, target)


# --- schemas -----------------------------------------------------------------------------------------------------------


def _differences(real: DatabaseSchema, other: DatabaseSchema, tables: dict[str, Table | None]) -> Iterator[str]:
    """What the other database declares otherwise; native types only where both speak one dialect."""
    for table in real.tables:
        theirs = tables[table.id]
        if theirs is None:
            yield f"table {table.id} is missing"
        else:
            yield from _table_differences(table, theirs, tables, same_engine=real.dialect == other.dialect)
    matched = {t.id for t in tables.values() if t is not None}
    yield from (f"table {t} is in the synthetic database only" for t in other.table_ids if t not in matched)


def _table_differences(table: Table, theirs: Table, tables: dict[str, Table | None], *, same_engine: bool) -> Iterator[str]:
    names = _columns(table, theirs)
    for column in table.stored_columns:
        if column.name not in names:
            yield f"column {table.id}.{column.name} is missing"
            continue
        other = theirs.column(names[column.name])
        if same_engine and column.native_type.upper() != other.native_type.upper():
            yield f"column {table.id}.{column.name} is {other.native_type or 'without a type'} instead of {column.native_type or 'without a type'}"
        if not column.nullable and other.nullable:
            yield f"column {table.id}.{column.name} may be NULL"
    back = {name: mine for mine, name in names.items()}
    yield from (f"column {table.id}.{c.name} is in the synthetic database only" for c in theirs.stored_columns if c.name not in back)

    def mine(columns: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(back.get(c, c) for c in columns)

    if table.primary_key and mine(theirs.primary_key) != table.primary_key:
        yield f"table {table.id} lacks the primary key ({', '.join(table.primary_key)})"
    keys = {frozenset(mine(k)) for k in theirs.keys}
    yield from (f"table {table.id} lacks the unique key ({', '.join(u.columns)})" for u in table.unique_keys if frozenset(u.columns) not in keys)
    ids = {t.id: mine_id for mine_id, t in tables.items() if t is not None}
    known = {(mine(f.columns), ids.get(f.parent)) for f in theirs.foreign_keys}
    for fk in table.foreign_keys:
        if fk.declared and (fk.columns, fk.parent) not in known:
            yield f"table {table.id} lacks the foreign key ({', '.join(fk.columns)}) → {fk.parent}"
    if same_engine and (lacking := len(table.checks) - len(theirs.checks)) > 0:
        yield f"table {table.id} lacks {lacking} CHECK constraint{'s' if lacking > 1 else ''}"
