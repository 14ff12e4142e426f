"""The statements that a plan will send, for a dry run: built by the same code that sends them, and sent by none.

Counts of how often each is sent depend on the rows and are not foretold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from synth_pipeline.subset.closure import distinct_references
from synth_pipeline.subset.hashing import threshold
from synth_pipeline.subset.keys import stored_keys
from synth_pipeline.subset.population import count_statement, fanout_statement, nulls_statement
from synth_pipeline.subset.rows import Shape

if TYPE_CHECKING:
    from synth_pipeline.catalog.schema import DatabaseSchema
    from synth_pipeline.subset.model import SubsetPlan
    from synth_pipeline.subset.reader import Reader


def preview(reader: Reader, schema: DatabaseSchema, plan: SubsetPlan, *, exact: bool) -> tuple[str, ...]:
    """The distinct statements of a plan, in order; parameters stand as placeholders."""
    listed = [count_statement(reader, t) for t in schema.tables]
    keys = [fk for t in schema.tables for fk in stored_keys(schema, t.id)]
    if not plan.whole:
        if exact:
            listed += [nulls_statement(reader, t) for t in schema.tables]
            listed += [fanout_statement(reader, schema, fk)[0] for fk in keys]
        shapes = {t.id: Shape(reader, schema, t, plan.seed, plan.of(t.id).together) for t in schema.tables}
        whole = {t.table for t in plan.tables if t.whole}
        for planned in plan.tables:
            shape = shapes[planned.table]
            if planned.role == "root" and not planned.whole:
                listed.append(shape.below(threshold(planned.probability)))
            elif planned.role == "child" and not planned.whole:
                columns = next(f.columns for f in keys if f.id == planned.tree_key)
                listed += [shape.counts_by(columns), shape.by_columns(columns, conditions=reader.conditions(shape.table, bound=True))]
        for fk in keys:
            if fk.parent not in whole:
                listed += [distinct_references(reader, schema, fk)[0]] if fk.table in whole else []
                listed.append(shapes[fk.parent].by_columns(fk.parent_columns))
                listed += [shapes[fk.parent].climb(fk)] if shapes[fk.parent].can_climb(fk) else []
    for planned in plan.tables:
        table = schema.table(planned.table)
        tail = "" if plan.whole or planned.whole else f" {shapes[table.id].by_address()}"
        names = ", ".join(reader.column("t", c.name) for c in table.stored_columns)
        listed.append(f"SELECT {names} FROM {reader.aliased(table)}{tail}")
    return tuple(dict.fromkeys(listed))
