"""The stage itself: plan, search, measure, write, verify, under one snapshot of the source.

Each step is a module of its own; this one puts them in order and nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import TYPE_CHECKING

from synth_pipeline.errors import SourceError
from synth_pipeline.progress import Silent
from synth_pipeline.subset.keys import DANGLING, folds, positions, server_order, stored_keys
from synth_pipeline.subset.model import Subset, SubsetPlan
from synth_pipeline.subset.plan import FEW_ROWS, make_plan
from synth_pipeline.subset.population import count_rows, from_rows, measure
from synth_pipeline.subset.reader import Reader
from synth_pipeline.subset.report import build_report
from synth_pipeline.subset.write import Fetch, Notes, write_subset

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from synth_pipeline.artifacts import BundleWriter, TableBundle
    from synth_pipeline.catalog.schema import DatabaseSchema, Table
    from synth_pipeline.config import SubsetConfig
    from synth_pipeline.connectors.base import Connector
    from synth_pipeline.progress import Progress


def take_subset(
    connector: Connector, schema: DatabaseSchema, options: SubsetConfig, writer: BundleWriter, *,
    preserve: Collection[str] = (), holdout: float = 0.0, progress: Progress | None = None,
) -> Subset:  # fmt: skip
    """Draws a training subset, or takes everything where it fits the budget.

    Args:
        connector: the source; only SELECT is used, under one snapshot.
        schema: the working schema (selected tables, virtual and inferred foreign keys).
        options: budgets, filters, what to do about dangling references, the seed.
        writer: an empty bundle of the same schema; it is closed here.
        preserve: tables that are taken whole whatever the budget, with all that they refer to.
        holdout: the share of root entities to mark as kept from the synthesizer.
        progress: told of every step.

    Returns:
        The subset; `save` writes what is not in the bundle yet.

    Raises:
        ConfigError: the options name a table or key that does not exist.
        DanglingReferenceError: the source has dangling references and the policy is `error`.
        SourceError: a reference of the finished subset dangles, which is an error of this program.
    """
    progress = progress or Silent()
    start = time.monotonic()
    exact = options.population == "exact"
    with connector.snapshot() as snapshot:
        reader = Reader(snapshot, connector.dialect, options.where)
        rows = count_rows(reader, schema, exact=exact, progress=progress)
        plan = make_plan(schema, rows, options, preserve)
        fetch: Fetch = _everything(reader)
        keep = {t.table for t in plan.tables if t.role in ("preserved", "lookup") or t.rows < FEW_ROWS}
        written = write_subset(schema, plan, fetch, writer, dangling=options.dangling, holdout=holdout, keep=keep, progress=progress)
        population = from_rows(schema, written) if plan.whole else measure(reader, schema, rows, exact=exact, progress=progress)
    writer.info.update(seed=options.seed, whole=plan.whole)
    bundle = writer.close()
    verify(schema, bundle)
    report = build_report(schema, plan, written, population, reader, time.monotonic() - start)
    return Subset(bundle, population, report)


def plan_subset(
    connector: Connector, schema: DatabaseSchema, options: SubsetConfig, preserve: Collection[str] = (), progress: Progress | None = None
) -> SubsetPlan:  # fmt: skip
    """The plan alone: counts rows as `options.population` has it, and reads nothing else.

    Raises:
        ConfigError: the options name a table or key that does not exist.
    """
    with connector.snapshot() as snapshot:
        reader = Reader(snapshot, connector.dialect, options.where)
        rows = count_rows(reader, schema, exact=options.population == "exact", progress=progress or Silent())
    return make_plan(schema, rows, options, preserve)


def verify(schema: DatabaseSchema, bundle: TableBundle) -> None:
    """An anti-join for every foreign key over the finished bundle, read back from disk.

    Raises:
        SourceError: a reference has no parent.
    """
    for table in schema.tables:
        for fk in stored_keys(schema, table.id):
            child, parent = bundle.read(fk.table, fk.columns), bundle.read(fk.parent, fk.parent_columns)
            at = positions([child[c] for c in fk.columns], [parent[c] for c in fk.parent_columns], folds(schema, fk))
            lost = int((at == DANGLING).sum())
            if lost:
                raise SourceError(
                    f"{lost:,} rows of {fk.table!r} in the subset refer by ({', '.join(fk.columns)}) to rows of {fk.parent!r} that are not in it.",
                    "Please report this; `subset.dangling: drop` may avoid it.",
                )


def _everything(reader: Reader) -> Fetch:
    def fetch(table: Table, sink: Callable[[pa.RecordBatch], None]) -> Notes:
        for batch in reader.rows(table, tail=order_by(reader, server_order(table))):
            sink(batch)
        return Notes()

    return fetch


def order_by(reader: Reader, columns: Collection[str]) -> str:
    """ORDER BY some columns of the table that is called `t`, or nothing."""
    return f"ORDER BY {', '.join(reader.column('t', c) for c in columns)}" if columns else ""
