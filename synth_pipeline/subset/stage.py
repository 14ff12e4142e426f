"""The stage itself: plan, search, measure, write, verify, under one snapshot of the source.

Each step is a module of its own; this one puts them in order and nothing else.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Collection
from typing import TYPE_CHECKING

from synth_pipeline.catalog.branches import used_columns
from synth_pipeline.catalog.population import PopulationStats
from synth_pipeline.errors import SourceError
from synth_pipeline.progress import Silent
from synth_pipeline.subset.groups import Candidates, group_roots
from synth_pipeline.subset.keys import DANGLING, parents_of, stored_keys
from synth_pipeline.subset.model import Subset, SubsetPlan
from synth_pipeline.subset.plan import FEW_ROWS, make_plan
from synth_pipeline.subset.population import count_rows, from_rows, inherited_filters, measure
from synth_pipeline.subset.preview import preview
from synth_pipeline.subset.reader import Reader
from synth_pipeline.subset.report import build_report
from synth_pipeline.subset.rows import KEYS
from synth_pipeline.subset.search import Search
from synth_pipeline.subset.write import dangling_error, write_subset

if TYPE_CHECKING:
    from synth_pipeline.artifacts import BundleWriter, TableBundle
    from synth_pipeline.catalog.schema import DatabaseSchema
    from synth_pipeline.config import SubsetConfig
    from synth_pipeline.connectors.base import Connector
    from synth_pipeline.progress import Progress


def take_subset(
    connector: Connector, schema: DatabaseSchema, options: SubsetConfig, writer: BundleWriter, *,
    preserve: Collection[str] = (), holdout: float = 0.0, candidates: Candidates | None = None, progress: Progress | None = None, batch: int = KEYS,
) -> Subset:  # fmt: skip
    """Draws a training subset, or takes everything where it fits the budget.

    Args:
        connector: the source; only SELECT is used, under one snapshot.
        schema: the working schema (selected tables, virtual and inferred foreign keys).
        options: budgets, filters, what to do about dangling references, the seed.
        writer: an empty bundle of the same schema; it is closed here.
        preserve: tables that are taken whole whatever the budget, with all that they refer to.
        holdout: the share of root entities to mark as kept from the synthesizer.
        candidates: columns that may name entities which have no table of their own; those of roots stay whole.
        progress: told of every step.
        batch: keys per statement; the subset does not depend on it.

    Returns:
        The subset; `save` writes what is not in the bundle yet.

    Raises:
        ConfigError: the options name a table or key that does not exist.
        DanglingReferenceError: the source has dangling references and the policy is `error`.
        SourceError: a reference of the finished subset dangles, which is an error of this program.
    """
    progress = progress or Silent()
    start = time.monotonic()
    exact, candidates = options.population == "exact", candidates or {}
    with connector.snapshot() as snapshot, Reader(snapshot, connector.dialect, options.where, threads=options.threads) as reader:
        plan, rows = _planned(reader, schema, options, preserve, progress)
        plan = group_roots(reader, schema, plan, candidates, exact=exact, progress=progress)
        population = PopulationStats(rows, exact=False) if plan.whole else measure(reader, schema, rows, exact=exact, progress=progress)
        if options.dangling == "error":
            refuse_dangling(schema, population)
        search = Search(reader, schema, plan, population, batch)
        search.run(progress)
        keep = {t.table for t in plan.tables if t.role in ("preserved", "lookup") or t.rows < FEW_ROWS}
        written = write_subset(
            schema, plan, search.fetch, writer,
            dangling=options.dangling, holdout=holdout, keep=keep, candidates=candidates, progress=progress,
        )  # fmt: skip
    if plan.whole:
        population = from_rows(schema, written)
    writer.info.update(seed=options.seed, whole=plan.whole)
    bundle = writer.close()
    verify(schema, bundle)
    report = build_report(schema, plan, written, population, search, reader, time.monotonic() - start)
    return Subset(bundle, population, report)


def plan_subset(
    connector: Connector, schema: DatabaseSchema, options: SubsetConfig, preserve: Collection[str] = (), candidates: Candidates | None = None,
    progress: Progress | None = None,
) -> SubsetPlan:  # fmt: skip
    """The plan with its statements: counts rows and values as `options.population` has it, and reads nothing else.

    Raises:
        ConfigError: the options name a table or key that does not exist.
    """
    with connector.snapshot() as snapshot, Reader(snapshot, connector.dialect, options.where, threads=options.threads) as reader:
        exact, progress = options.population == "exact", progress or Silent()
        plan, _ = _planned(reader, schema, options, preserve, progress)
        plan = group_roots(reader, schema, plan, candidates or {}, exact=exact, progress=progress)
        statements = dict.fromkeys((*reader.texts, *preview(reader, schema, plan, exact=exact)))
        plan = group_roots(reader, schema, plan, candidates or {}, exact=exact, whole=True, progress=progress)
        return dataclasses.replace(plan, statements=tuple(statements))


def _planned(
    reader: Reader, schema: DatabaseSchema, options: SubsetConfig, preserve: Collection[str], progress: Progress
) -> tuple[SubsetPlan, dict[str, int]]:  # fmt: skip
    """The plan and the row counts it is made from; filters come to hold for the tables below, too."""
    exact = options.population == "exact"
    rows = count_rows(reader, schema, exact=exact, progress=progress)
    plan = make_plan(schema, rows, options, preserve, exact=exact)
    if not options.where:
        return plan, rows
    reader.where = inherited_filters(reader, schema, plan)
    below = [t for t in reader.where if reader.where[t] != options.where.get(t)]
    rows |= count_rows(reader, schema, exact=exact, progress=progress, tables=below)
    return make_plan(schema, rows, options, preserve, exact=exact, filtered=reader.where, before=plan), rows


def verify(schema: DatabaseSchema, bundle: TableBundle) -> None:
    """An anti-join for every foreign key over the finished bundle, read back from disk.

    Raises:
        SourceError: a reference has no parent.
    """
    for table in schema.tables:
        for fk in stored_keys(schema, table.id):
            child, parent = bundle.read(fk.table, used_columns(fk)), bundle.read(fk.parent, fk.parent_columns)
            lost = int((parents_of(schema, fk, child, parent) == DANGLING).sum())
            if lost:
                raise SourceError(
                    f"{lost:,} rows of {fk.table!r} in the subset refer by ({', '.join(fk.columns)}) to rows of {fk.parent!r} that are not in it.",
                    "Please report this; `subset.dangling: drop` may avoid it.",
                )


def refuse_dangling(schema: DatabaseSchema, population: PopulationStats) -> None:
    """Raises DanglingReferenceError where the source has a reference to nothing."""
    for fk in (fk for t in schema.table_ids for fk in stored_keys(schema, t)):
        fanout = population.fanouts.get(fk.id)
        if fanout is not None and fanout.dangling:
            raise dangling_error(fk, fanout.dangling)
