"""Carries a plan out: tables, rows, then indexes, views and triggers; checked, and published in one step."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from synth_pipeline.connectors import open_target
from synth_pipeline.export.keys import Shifts, branch_shifts, key_shifts, refuse_taken, shifted
from synth_pipeline.export.plan import ExportPlan, plan_export
from synth_pipeline.export.verify import ExportResult, fingerprint, verify
from synth_pipeline.progress import Progress, Silent

if TYPE_CHECKING:
    import pyarrow as pa

    from synth_pipeline.artifacts import TableBundle
    from synth_pipeline.catalog.schema import DatabaseSchema
    from synth_pipeline.config import ExportConfig
    from synth_pipeline.connectors.base import Load
    from synth_pipeline.progress import Step


def export_database(
    reflected: DatabaseSchema, working: DatabaseSchema, bundle: TableBundle, target: ExportConfig, *,
    source_identity: str, progress: Progress | None = None,
) -> ExportResult:  # fmt: skip
    """Writes the bundle's tables to the target, with the whole schema of the source.

    Args:
        reflected: all tables of the source, with its own DDL.
        working: the tables that the bundle holds; the others of `reflected` are made without rows.
        bundle: made from `working`.
        target: where to, and in which mode.
        source_identity: the source connector's `identity()`, which is never written to.
        progress: where to report; silent by default.

    Raises:
        ExportError: the target cannot or must not be written, or the rows break a constraint; what it held is untouched.
        SchemaMismatchError: the bundle was made from another schema.
    """
    start = time.monotonic()
    progress = progress or Silent()
    bundle.require(working, "sample")
    opened = open_target(target)
    plan = plan_export(reflected, working, opened, target, source_identity=source_identity)
    for loss in plan.losses:
        progress.note(loss)
    with opened.load(plan.schema, in_place=plan.in_place) as load, progress.step(f"Export to {opened.label}", bundle.total_rows) as step:
        losses = [*plan.losses]
        load.drop(plan.drop)
        if plan.make:
            losses += load.create(plan.schema)
        before = {} if plan.make else {new: load.count(new) for new in plan.names.values()}
        rows = _insert(load, plan, working, bundle, step)
        step.advance(0, "indexes, views, triggers")
        losses += load.complete(plan.schema if plan.make else dataclasses.replace(plan.schema, other_ddl=(), object_order=()))
        whole = plan.make and not plan.in_place
        empty = {t: 0 for t in plan.schema.table_ids} if plan.make else {}
        expected = {**empty, **{t: n + before.get(t, 0) for t, n in rows.items()}}
        step.advance(0, "verification")
        made = verify(load, plan.schema, expected, whole=whole and len(losses) == len(plan.losses), spelled=not plan.translated)
        load.publish()
    return ExportResult(
        target=opened.label, mode=plan.mode, rows=rows,
        schema_fingerprint=fingerprint(plan.schema, spelled=not plan.translated), target_fingerprint=made,
        seconds=round(time.monotonic() - start, 3), prefix=target.prefix, losses=tuple(losses),
    )  # fmt: skip


def _insert(load: Load, plan: ExportPlan, working: DatabaseSchema, bundle: TableBundle, step: Step) -> dict[str, int]:
    """Loads every table, with its keys moved where rows are appended; returns the rows by the target's table id."""
    shifts: Shifts = {} if plan.make else key_shifts(working, bundle, load, plan.names)
    by_type = {} if plan.make else {t: branch_shifts(working, shifts, t) for t in plan.names}
    if not plan.make:
        for source_id, target_id in plan.names.items():
            moved = {*shifts[source_id], *(b.columns[0] for b, _ in by_type[source_id])}
            refuse_taken(working.table(source_id), plan.schema.table(target_id), bundle, moved, load)
    rows: dict[str, int] = {}
    for source_id, target_id in plan.names.items():
        batches: Iterable[pa.RecordBatch] = bundle.batches(source_id)
        if shifts.get(source_id) or by_type.get(source_id):
            batches = shifted(batches, shifts[source_id], working, by_type[source_id])
        rows[target_id] = load.insert(plan.schema.table(target_id), _counted(batches, step, target_id))
    return rows


def _counted(batches: Iterable[pa.RecordBatch], step: Step, table: str) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield batch
        step.advance(batch.num_rows, table)
