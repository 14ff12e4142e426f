"""The report on a pair of databases: the real one read as the stages read it, the other laid beside it, both scored.

Where a third database holds real rows that the synthesizer never saw, they give the ceilings and the privacy figures, as
the held-out rows of a run do. Nothing but the report is kept. The scores are `quality`'s.
"""

from __future__ import annotations

import dataclasses
import json
import re
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_pipeline import stages
from synth_pipeline.artifacts import BundleWriter, TableBundle
from synth_pipeline.comparison.aligned import Aligned, read_aligned
from synth_pipeline.errors import ConfigError
from synth_pipeline.gate import check
from synth_pipeline.integrity import IntegrityReport
from synth_pipeline.progress import Progress, Silent
from synth_pipeline.relationships import AnyRelationship, PolymorphicConfig
from synth_pipeline.selection import working_schema

if TYPE_CHECKING:
    import pyarrow as pa

    from synth_pipeline.catalog.schema import DatabaseSchema
    from synth_pipeline.config import Connection, SourceConfig
    from synth_pipeline.quality.model import QualityReport
    from synth_pipeline.summary import RunSummary


def adhoc(
    source: Connection, config: SourceConfig | None = None, *, checks: Mapping[str, float] | None = None, metadata: Path | None = None
) -> SourceConfig:
    """The configuration of a comparison: that of a file or none, with thresholds and metadata that a caller gives beside.

    Raises:
        ConfigError: `metadata` cannot be read.
    """
    from synth_pipeline.config import ChecksConfig, SourceConfig
    from synth_pipeline.metadata.sdv import from_json

    if config is None:
        config = SourceConfig(name=_name(source), source=source)
    parts: dict[str, Any] = {}
    if checks:
        parts["checks"] = ChecksConfig.model_validate({**config.checks.model_dump(), **checks})
    if metadata is not None:
        columns, relationships = from_json(_json(metadata), f"The file {metadata}")
        known = {_between(r) for r in config.relationships}
        parts["columns"] = {**columns, **config.columns}
        parts["relationships"] = (*config.relationships, *(r for r in relationships if _between(r) not in known))
    return config.model_copy(update=parts)


def _between(relationship: AnyRelationship) -> tuple[object, ...]:
    """What makes two relationships the same."""
    if isinstance(relationship, PolymorphicConfig):
        return relationship.child, relationship.type_column, relationship.column
    return relationship.child, relationship.columns, relationship.parent


def _name(source: Connection) -> str:
    """What the page calls a database that no file names: the last part of its URL."""
    from synth_pipeline.connectors import masked, resolve_url

    last = masked(resolve_url(source)).rstrip("/").rsplit("/", 1)[-1]
    words = re.sub(r"[^A-Za-z0-9_.-]+", "-", last.removesuffix(".db").removesuffix(".sqlite")).strip("-.")
    return words or "database"


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise ConfigError(f"The file {path} cannot be read: {getattr(e, 'strerror', None) or 'it is no JSON'}.", "Give a JSON file.") from e


def compare(
    config: SourceConfig, synthetic: Connection, directory: Path | str, *, holdout: Connection | None = None, progress: Progress | None = None
) -> QualityReport:
    """Scores a synthetic database against a real one and saves the report into `directory`.

    Args:
        config: `source` is the real database; tables, columns, relationships, subset and checks hold as in a run.
        synthetic: what is scored. Its tables and columns are found by their names; it may be of another kind.
        directory: gets report.html, report.json and summary.md.
        holdout: a database of the same schema with real rows that the synthesizer never saw. Rows that it shares with the
            real one are taken as seen.
        progress: told of every step.

    Raises:
        UnreachableError: a database does not answer.
        ConfigError: the configuration names what the real database does not have.
    """
    from synth_pipeline.connectors import masked, open_connector, resolve_url
    from synth_pipeline.quality.report import build_report

    progress = progress or Silent()
    started = time.monotonic()
    config = config.model_copy(update={"privacy": config.privacy.model_copy(update={"holdout": 0.0})})
    reflected = stages.reflect(config)
    metadata = stages.infer(config, reflected, progress)
    working = working_schema(config, reflected, metadata)
    labels = {role: masked(resolve_url(c)) for role, c in (("real", config.source), ("synthetic", synthetic), ("held_out", holdout)) if c}
    with tempfile.TemporaryDirectory(prefix="synth-pipeline-") as folder:
        place = Path(folder)

        def read(connection: Connection, name: str) -> Aligned:
            connector = open_connector(connection)
            try:
                return read_aligned(connector, working, place / name, progress)
            finally:
                connector.close()

        made = read(synthetic, "synthetic")
        unseen = read(holdout, "held") if holdout else None
        subset = stages.subset(config, working, metadata, place / "real", progress)
        real = subset.bundle if unseen is None else _joined(working, subset.bundle, unseen.bundle, place / "both")
        report = build_report(
            working, metadata, real, made.bundle, subset.population, integrity=_integrity(check(working, metadata, made.bundle), made),
            facts={
                "source": config.name, "description": config.description, "preserve": list(config.tables.preserve), "databases": labels,
                "scale": config.sample.scale, "rows": dict(config.sample.rows), "seed": config.sample.seed, "privacy": "unknown",
                "seconds": {"reading both": round(time.monotonic() - started, 1)},
            },
            differences=made.differences, checks=config.checks, seed=config.sample.seed, progress=progress,
        )  # fmt: skip
    report.save(directory)
    return report


def summarised(report: QualityReport, name: str, directory: Path | str) -> RunSummary:
    """What a terminal shows of it; `failed` where a threshold is missed or a rule of the schema is broken."""
    from synth_pipeline.summary import RunSummary, StageSummary, TableSummary

    verdict, facts = report.figures["verdict"], report.figures["facts"]
    seconds = round(sum(facts["seconds"].values()) + facts["report_seconds"], 1)
    return RunSummary(
        name, str(directory), [StageSummary("report", seconds, verdict["rows_synthetic"], "rows")],
        [TableSummary(t, v["rows_real"], None, v["rows_synthetic"]) for t, v in report.figures["tables"].items()],
        quality=report.quality, grade=verdict["quality"]["grade"], privacy=report.privacy,
        integrity={k: verdict["integrity"][k] for k in ("rules", "broken")}, findings=[f["text"] for f in verdict["first"]],
        failed_checks=report.failed_checks, failed=not report.passed, report=str(Path(directory) / "report.html"),
    )  # fmt: skip


def _integrity(found: IntegrityReport, made: Aligned) -> IntegrityReport:
    """The rules with what reading the rows has shown: columns that are missing or hold values of another type."""
    results = []
    for r in found.results:
        if r.rule.kind == "schema_conformance" and (faults := made.faults.get(r.rule.table)):
            rule = dataclasses.replace(r.rule, text=f"{r.rule.text}: {'; '.join(faults[:5])}{' …' if len(faults) > 5 else ''}")
            r = dataclasses.replace(r, rule=rule, violations=min(len(faults), max(1, r.checked)))
        results.append(r)
    return IntegrityReport(tuple(results))


def _joined(schema: DatabaseSchema, training: TableBundle, held: TableBundle, directory: Path) -> TableBundle:
    """One bundle of both; `part` keeps their keys apart, for each may have numbered its rows from one."""
    import numpy as np
    import pyarrow as pa

    with BundleWriter(directory, schema) as writer:
        for table in schema.table_ids:
            rows, more, notes = training.read(table), held.read(table), training.annotations(table)
            n, m = rows.num_rows, more.num_rows
            core = np.ones(n, dtype=bool) if notes is None else np.asarray(notes.column("core").to_numpy(), dtype=bool)
            entity = np.full(n, -1) if notes is None else np.asarray(notes.column("entity").to_numpy(), dtype=np.int64)
            new = ~_shared(rows, more)
            about: dict[str, Any] = {
                "core": np.r_[core, new], "entity": np.r_[entity, np.full(m, -1)], "holdout": np.r_[np.zeros(n, dtype=bool), new],
                "part": np.r_[np.zeros(n, dtype=np.int64), np.ones(m, dtype=np.int64)],
            }  # fmt: skip
            writer.write(table, pa.concat_tables([rows, more]), pa.table(about))
    return TableBundle.open(directory)


def _shared(rows: pa.Table, more: pa.Table) -> Any:
    """Which of `more` are among `rows`, equal in every column: bool (len(more),)."""
    import numpy as np

    from synth_pipeline.keys import combined_codes, stacked

    if rows.num_rows == 0 or more.num_rows == 0 or not rows.column_names:
        return np.zeros(more.num_rows, dtype=bool)
    codes = combined_codes([stacked(rows.column(c), more.column(c)) for c in rows.column_names])
    return np.isin(codes[rows.num_rows :], codes[: rows.num_rows])
