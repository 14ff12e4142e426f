"""Keys of appended rows: numbers that only identify a row are moved past the target's highest, and so is every reference.

Natural keys (text, dates, numbers that are not handed out) mean something and are not changed: where one of them is
taken, the append is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from synth_pipeline.catalog.branches import Branch, branches
from synth_pipeline.errors import ExportError
from synth_pipeline.keys import rows_of_branch

if TYPE_CHECKING:
    import pyarrow as pa

    from synth_pipeline.artifacts import TableBundle
    from synth_pipeline.catalog.schema import DatabaseSchema, Table
    from synth_pipeline.connectors.base import Load

Shifts = dict[str, dict[str, int]]
"""Table id to column to what is added."""


def key_shifts(working: DatabaseSchema, bundle: TableBundle, load: Load, names: Mapping[str, str]) -> Shifts:
    """How far every surrogate key, and every column that refers to one, must move.

    Raises:
        ExportError: a column refers to two keys that move by different distances.
    """
    shifts: Shifts = {t: {} for t in working.table_ids}
    for table in working.tables:
        column = surrogate(table)
        if column is not None and bundle.rows(table.id):
            highest = load.highest(names[table.id], column)
            lowest = _lowest(bundle, table.id, column)
            if highest is not None and lowest is not None:
                shifts[table.id][column] = highest + 1 - lowest
    pending = [(t, c) for t, columns in shifts.items() for c in columns]
    while pending:
        parent, moved = pending.pop()
        distance = shifts[parent][moved]
        for fk in working.children[parent]:
            for column, parent_column in zip(fk.columns, fk.parent_columns, strict=True):
                if parent_column != moved:
                    continue
                if column not in shifts[fk.table]:
                    shifts[fk.table][column] = distance
                    pending.append((fk.table, column))
                elif shifts[fk.table][column] != distance:
                    raise ExportError(
                        f"Rows cannot be appended to {fk.table}: its column {column} refers to keys that move by different distances.",
                        "Use mode: replace.",
                    )
    return shifts


def branch_shifts(working: DatabaseSchema, shifts: Shifts, table_id: str) -> list[tuple[Branch, int]]:
    """How far polymorphic keys of a table must move, by what the type says.

    Raises:
        ExportError: the column is itself a key that other keys refer to.
    """
    moved = [(b, shifts[b.parent][b.parent_columns[0]]) for b in branches(working, table_id) if b.parent_columns[0] in shifts[b.parent]]
    for branch, _ in moved:
        if any(branch.columns[0] in fk.parent_columns for fk in working.children[table_id]):
            problem = f"Rows cannot be appended to {table_id}: other tables refer to its column {branch.columns[0]}, whose keys move by type."
            raise ExportError(problem, "Use mode: replace.")
    return moved


def surrogate(table: Table) -> str | None:
    """The single integer column that only identifies a row: a primary key that refers to nothing."""
    if len(table.primary_key) != 1:
        return None
    (column,) = table.primary_key
    refers = any(column in fk.columns for fk in table.foreign_keys) or any(column == key.column for key in table.polymorphic_keys)
    return column if table.column(column).type.kind == "integer" and not refers else None


def _lowest(bundle: TableBundle, table: str, column: str) -> int | None:
    import pyarrow.compute as pc

    found = pc.min(bundle.read(table, [column]).column(column)).as_py()
    return None if found is None else int(found)


def shifted(
    batches: Iterable[pa.RecordBatch], shifts: Mapping[str, int], working: DatabaseSchema, by_type: Iterable[tuple[Branch, int]] = ()
) -> Iterator[pa.RecordBatch]:
    """The batches with every column of `shifts` moved, and those of polymorphic keys in the rows of their types."""
    import pyarrow as pa
    import pyarrow.compute as pc

    by_type = list(by_type)
    for batch in batches:
        arrays = [
            pc.add(batch.column(i), shifts[name]).cast(batch.column(i).type) if name in shifts else batch.column(i)
            for i, name in enumerate(batch.schema.names)
        ]
        for branch, distance in by_type:
            at = batch.schema.names.index(branch.columns[0])
            here = pa.array(rows_of_branch(working, branch, pa.chunked_array([batch.column(branch.type_column)])))
            moved = pc.add(pc.if_else(here, arrays[at], pa.scalar(None, arrays[at].type)).cast(pa.int64()), distance)
            arrays[at] = pc.if_else(here, moved.cast(arrays[at].type), arrays[at])
        yield pa.RecordBatch.from_arrays(arrays, schema=batch.schema)


def refuse_taken(table: Table, target_table: Table, bundle: TableBundle, moved: Collection[str], load: Load) -> None:
    """Checks the keys that did not move.

    Raises:
        ExportError: a natural key of the new rows is in the target already; the message names the table.
    """
    for key in table.keys:
        if any(column in moved for column in key) or any(table.column(c).generated is not None for c in key):
            continue
        if load.taken(target_table, key, bundle.batches(table.id)):
            raise ExportError(
                f"Rows cannot be appended to {table.id}: a value of its natural key ({', '.join(key)}) is in the target already.",
                "Use mode: replace, or exclude the table.",
            )
