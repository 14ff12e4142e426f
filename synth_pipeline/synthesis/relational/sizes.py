"""How many rows each table gets, before anything is drawn."""

from __future__ import annotations

from synth_pipeline.errors import UsageError
from synth_pipeline.synthesis.base import SampleRequest
from synth_pipeline.synthesis.relational.model import DatabaseModel, Surrogate
from synth_pipeline.synthesis.relational.structure import one_child


def planned_rows(model: DatabaseModel, request: SampleRequest) -> dict[str, int]:
    """Rows per table: what was asked for, or the population's times `scale`, as far as keys and parents allow.

    Copied tables keep their rows. A table whose rows need a parent has none where there is no parent; where the key to
    the parent is unique it has at most as many rows as there are parents.

    Raises:
        UsageError: `scale` is not positive, `rows` names an unknown table or a negative count, or the type of a key
            cannot number so many rows.
    """
    if request.scale <= 0:
        raise UsageError(f"The scale must be positive, not {request.scale:g}.")
    for table, count in request.rows.items():
        if table not in model.source:
            raise UsageError(f"Rows are asked for a table {table!r} that does not take part.", f"Tables: {', '.join(model.source.table_ids)}.")
        if count < 0:
            raise UsageError(f"Table {table!r} cannot have {count} rows.", "Ask for 0 or more.")
    planned = {}
    for table, item in model.tables.items():
        if item.reference is not None:
            planned[table] = item.reference.num_rows
        elif table in request.rows:
            asked = request.rows[table]
            planned[table] = round(asked * item.rows / max(1, model.pivots[table].rows)) if table in model.pivots else asked
        else:
            planned[table] = max(1, round(item.rows * request.scale)) if item.rows else 0
    for table in (t for t in reversed(model.tables) if t not in model.source and model.tables[t].reference is None):
        # What was taken from a table grows with it, whatever is asked for.
        below = model.schema.children[table][0].table
        if model.tables[below].rows:
            planned[table] = max(1, round(model.tables[table].rows * planned[below] / model.tables[below].rows)) if planned[below] else 0
    for _ in range(len(planned) + 1):
        before = dict(planned)
        for table, item in model.tables.items():
            if item.reference is not None:
                continue
            definition = model.schema.table(table)
            for fk in definition.foreign_keys:
                if fk.parent not in planned or model.schema.nullable(fk) or fk.is_self_reference:
                    continue
                if planned[fk.parent] == 0:
                    planned[table] = 0
                elif one_child(definition, fk):
                    planned[table] = min(planned[table], planned[fk.parent])
        if planned == before:
            break
    for table, item in model.tables.items():
        for column, made in item.made.items():
            bits = model.schema.table(table).column(column).type.bits
            if isinstance(made.maker, Surrogate) and bits is not None:
                made.maker.within(planned[table], bits, f"{table}.{column}")
    return planned
