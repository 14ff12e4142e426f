"""The seven stages as plain functions, and `run`, which takes a source through them.

A stage gets the results of earlier ones, refuses what was made from another schema, and writes its own into the
directory that `ArtifactStore.publish` yields; `stored` reads them back. The command line and the Dagster
assets call these and nothing below. How a stage works belongs to its room; what a terminal or a web page shows does not
belong here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_pipeline import stored
from synth_pipeline.artifacts import CLI_STAGES, ArtifactStore, BundleWriter, TableBundle
from synth_pipeline.catalog.schema import DatabaseSchema
from synth_pipeline.errors import ConfigError, SchemaMismatchError, SourceError, UsageError, closest
from synth_pipeline.gate import broken_domains, check, require_intact
from synth_pipeline.locking import source_lock
from synth_pipeline.progress import Progress, Silent
from synth_pipeline.selection import cut_columns, selected_schema, working_schema
from synth_pipeline.summary import RunSummary, StageSummary, TableSummary

if TYPE_CHECKING:
    import pyarrow as pa

    from synth_pipeline.config import SourceConfig
    from synth_pipeline.connectors.base import Connector
    from synth_pipeline.export import ExportResult
    from synth_pipeline.integrity import IntegrityReport
    from synth_pipeline.metadata.model import SynthesisMetadata
    from synth_pipeline.quality.report import QualityReport
    from synth_pipeline.subset import Subset, SubsetPlan
    from synth_pipeline.synthesis.base import FittedSynthesizer

__all__ = [
    "VERBS", "check", "declared", "export", "fit", "infer", "plan", "reflect", "report", "require_intact", "run", "sample", "subset", "working_schema",
]  # fmt: skip

VERBS = tuple(CLI_STAGES.values())
"""The stages in their order, as the command line calls them."""


# --- stages ------------------------------------------------------------------------------------------------------------


def reflect(config: SourceConfig) -> DatabaseSchema:
    """The whole structure of the source; what the configuration names is held against it at once.

    Raises:
        UnreachableError: the source does not answer.
        SourceError: it has no table.
        ConfigError: the configuration names a table or column that it does not have.
    """
    with _source(config) as connector:
        schema = connector.reflect()
        label = connector.label
    if not schema.tables:
        raise SourceError(f"{label} has no tables.", "Check the URL, and `schemas` where the tables lie in another schema.")
    selected_schema(config, schema)
    return schema


def declared(config: SourceConfig) -> str:
    """The fingerprint of what the source's catalogue declares now, without a look at any row; what watches for changes compares it.

    Raises:
        UnreachableError: the source does not answer.
    """
    with _source(config) as connector:
        return connector.reflect(values=False).declared_fingerprint()


def infer(config: SourceConfig, schema: DatabaseSchema, progress: Progress | None = None) -> SynthesisMetadata:
    """What the columns of the selected tables mean; `schema` is what `reflect` returned."""
    from synth_pipeline.metadata.infer import infer as infer_metadata

    selected = selected_schema(config, schema)
    with _source(config) as connector:
        profiles = (connector.profile(table) for table in selected.tables)
        return infer_metadata(selected, profiles, overrides=config.columns, probes=connector, progress=progress or Silent())


def subset(
    config: SourceConfig, working: DatabaseSchema, metadata: SynthesisMetadata, directory: Path, progress: Progress | None = None
) -> Subset:
    """Takes the training subset into `directory`.

    Keys to tables that are left out become NULL. `metadata` decides nothing here; it is asked for so that the stages
    form one chain and `working` is the schema that it completes.
    """
    import dataclasses

    from synth_pipeline.subset import take_subset

    _require_known(working, metadata)
    with _source(config) as connector, _CutWriter(directory, working, seed=config.subset.seed) as writer:
        taken = take_subset(
            connector, working, config.subset, writer,
            preserve=frozenset(config.tables.preserve), holdout=config.privacy.holdout, progress=progress or Silent(),
        )  # fmt: skip
    shares = {table: dict(columns) for table, columns in taken.population.null_shares.items()}
    for table, columns in cut_columns(working).items():
        shares.setdefault(table, {}).update(dict.fromkeys(columns, 1.0))
    taken = dataclasses.replace(taken, population=dataclasses.replace(taken.population, null_shares=shares))
    taken.save(directory)
    return taken


def plan(config: SourceConfig, working: DatabaseSchema) -> SubsetPlan:
    """What `subset` would take, without reading rows."""
    from synth_pipeline.subset import plan_subset

    with _source(config) as connector:
        return plan_subset(connector, working, config.subset, frozenset(config.tables.preserve))


def fit(
    config: SourceConfig, working: DatabaseSchema, metadata: SynthesisMetadata, subset: Subset, directory: Path, progress: Progress | None = None
) -> FittedSynthesizer:
    """Fits the configured synthesizer to the subset and saves it into `directory`.

    Raises:
        SchemaMismatchError: the subset was taken from another schema.
        SynthesisError: the synthesizer cannot take this schema or these parameters.
    """
    from synth_pipeline.synthesis.base import TrainingData
    from synth_pipeline.synthesis.registry import synthesizer

    _require_known(working, metadata)
    subset.bundle.require(working, "subset")
    options = config.synthesizer
    data = TrainingData(working, metadata, subset.bundle, subset.population, frozenset(config.tables.preserve))
    fitted = synthesizer(options.name).fit(
        data, options.params, privacy=config.privacy.level, seed=options.seed, workers=_workers(config), progress=progress or Silent()
    )
    stored.save_fitted(fitted, options.name, directory)
    return fitted


def sample(
    config: SourceConfig, working: DatabaseSchema, subset: Subset, fitted: FittedSynthesizer, directory: Path, progress: Progress | None = None
) -> TableBundle:
    """Samples a whole synthetic database into `directory`; `info` of the bundle says how it was made.

    Raises:
        SchemaMismatchError: the synthesizer was fitted to another schema.
        ConfigError: `sample.rows` names a table that is left out.
    """
    from synth_pipeline.synthesis.base import SampleRequest

    if fitted.schema_fingerprint != working.fingerprint():
        raise SchemaMismatchError("The fitted synthesizer", fitted.schema_fingerprint, working.fingerprint(), "fit")
    options = config.sample
    for table in options.rows:
        if table not in working:
            raise ConfigError(f"{config.name}: `sample.rows` names table {table!r}, which is left out.", "Take it out of one of the two.")
    request = SampleRequest(options.scale, dict(options.rows), options.seed, _workers(config))
    with BundleWriter(directory, working, seed=options.seed) as writer:
        writer.info = {
            "identifier": options.identifier or f"{config.name}-{subset.bundle.content_hash[:8]}-{options.seed}",
            "scale": options.scale, "rows": dict(options.rows), "seed": options.seed,
            "subset": {"seed": config.subset.seed, "rows": subset.bundle.total_rows, "content_hash": subset.bundle.content_hash},
            "synthesizer": {"name": config.synthesizer.name, "seed": config.synthesizer.seed, **fitted.info},
            "privacy": config.privacy.level,
            "broken_in_source": broken_domains(check(working, None, subset.bundle)),
        }  # fmt: skip
        fitted.sample(request, writer, progress or Silent())
    return TableBundle.open(directory)


def report(
    config: SourceConfig, working: DatabaseSchema, metadata: SynthesisMetadata, subset: Subset, synthetic: TableBundle, directory: Path,
    progress: Progress | None = None, *, integrity: IntegrityReport | None = None, facts: dict[str, Any] | None = None,
) -> QualityReport:  # fmt: skip
    """Compares the synthetic tables with the subset and saves the report into `directory`.

    `integrity` is evaluated here where the caller has not done it; `facts` (seconds per stage …) are shown beside what
    the bundle says about itself.
    """
    from synth_pipeline.quality.report import build_report

    _require_known(working, metadata)
    made = build_report(
        working, metadata, subset.bundle.require(working, "subset"), synthetic.require(working, "sample"), subset.population,
        integrity=integrity or check(working, metadata, synthetic),
        facts={"source": config.name, "description": config.description, **synthetic.info, **(facts or {})},
        checks=config.checks, seed=config.sample.seed, progress=progress or Silent(),
    )  # fmt: skip
    made.save(directory)
    return made


def export(
    config: SourceConfig, reflected: DatabaseSchema, working: DatabaseSchema, synthetic: TableBundle, directory: Path,
    progress: Progress | None = None, *, metadata: SynthesisMetadata | None = None, integrity: IntegrityReport | None = None,
) -> ExportResult:  # fmt: skip
    """Writes the synthetic tables as a database with the source's schema; what was written goes into `directory`.

    The gate is here and not with the caller: tables that break a rule are never exported.

    Raises:
        ConfigError: the configuration names no target.
        CheckFailedError: the tables break a rule of the schema.
        ExportError: the target cannot be written; it holds what it held before.
    """
    import dataclasses

    from synth_pipeline.export import export_database

    if config.export is None:
        raise ConfigError(f"{config.name}: there is no `export` in the configuration.", "Say where to write: export: {url: …}.")
    synthetic.require(working, "sample")
    require_intact(integrity or check(working, metadata, synthetic), "synthetic tables", tolerated=synthetic.info["broken_in_source"])
    with _source(config) as connector:
        identity = connector.identity()
    result = export_database(reflected, working, synthetic, config.export, source_identity=identity, progress=progress or Silent())
    stored.save_export(dataclasses.asdict(result), directory)
    return result


# --- a whole run -------------------------------------------------------------------------------------------------------


def run(config: SourceConfig, store: ArtifactStore, *, first: str = "reflect", last: str = "export", progress: Progress | None = None) -> RunSummary:
    """Takes one source through the stages from `first` to `last`, publishing each; what came before is read from the store.

    Integrity is checked after subset and after sample. Without a target in the configuration a run ends with the report.

    Raises:
        UsageError: no such stage, `first` comes after `last`, or another run of the source is under way.
        CheckFailedError: subset or synthetic tables break a rule of the schema; nothing was exported.
        SynthPipelineError: whatever a stage raises; artifacts and target stay as they were before that stage.
    """
    for verb in (first, last):
        if verb not in VERBS:
            raise UsageError(f"There is no stage {verb!r}.", closest(verb, VERBS))
    if VERBS.index(first) > VERBS.index(last):
        raise UsageError(f"Stage {first!r} comes after stage {last!r}.", f"The order is: {', '.join(VERBS)}.")
    verbs = VERBS[VERBS.index(first) : VERBS.index(last) + 1]
    with source_lock(store.root, config.name):
        return _Run(config, store, progress or Silent()).go(verbs)


class _Run:
    """One run: results are read from the store, which each stage publishes into, so that a run and single stages agree."""

    def __init__(self, config: SourceConfig, store: ArtifactStore, progress: Progress) -> None:
        self.config, self.store, self.progress = config, store, progress
        self.summary = RunSummary(config.name, str(store.root / config.name))
        self.integrity: IntegrityReport | None = None

    def go(self, verbs: Sequence[str]) -> RunSummary:
        if verbs[-1] == "export" and self.config.export is None and len(verbs) > 1:
            self.summary.warnings.append("Nothing was exported: the configuration has no `export`.")
            verbs = verbs[:-1]
        for verb in verbs:
            if verb == "export" and self.summary.failed:
                self.summary.warnings.append("Nothing was exported: a check failed, and `checks.severity` is error.")
                break
            self._stage(verb)
        return self.summary

    def _stage(self, verb: str) -> None:
        started = time.monotonic()
        stage = next(s for s, v in CLI_STAGES.items() if v == verb)
        with self.store.publish(self.config.name, stage, **self._facts(verb)) as directory:
            count, unit = getattr(self, f"_{verb}")(directory)
        for cached in _RESULT_OF.get(verb, ()):
            self.__dict__.pop(cached, None)
        getattr(self, f"_after_{verb}", lambda: None)()
        self.summary.stages.append(StageSummary(verb, round(time.monotonic() - started, 3), count, unit))
        self.progress.note(f"{verb:<8}{time.monotonic() - started:7.1f} s   {count:,} {unit}")

    def _facts(self, verb: str) -> dict[str, Any]:
        seeds = {"subset": self.config.subset.seed, "fit": self.config.synthesizer.seed, "sample": self.config.sample.seed}
        facts: dict[str, Any] = {"seed": seeds[verb]} if verb in seeds else {}
        return facts if verb in ("reflect", "infer") else {**facts, "schema_fingerprint": self.working.fingerprint()}

    @cached_property
    def reflected(self) -> DatabaseSchema:
        return stored.load_schema(self._open("reflected_schema"))

    @cached_property
    def metadata(self) -> SynthesisMetadata:
        return stored.load_metadata(self._open("inferred_metadata"))

    @cached_property
    def working(self) -> DatabaseSchema:
        return working_schema(self.config, self.reflected, self.metadata)

    @cached_property
    def taken(self) -> Subset:
        return stored.load_subset(self._open("rfs_subset"))

    @cached_property
    def fitted(self) -> FittedSynthesizer:
        return stored.load_fitted(self._open("fitted_synthesizer"))

    @cached_property
    def synthetic(self) -> TableBundle:
        return stored.load_tables(self._open("synthetic_tables"))

    def _open(self, stage: str) -> Path:
        return self.store.open(self.config.name, stage)

    def _reflect(self, directory: Path) -> tuple[int, str]:
        schema = reflect(self.config)
        stored.save_schema(schema, directory)
        return len(schema.tables), "tables"

    def _infer(self, directory: Path) -> tuple[int, str]:
        metadata = infer(self.config, self.reflected, self.progress)
        stored.save_metadata(metadata, directory)
        return sum(len(t.columns) for t in metadata.tables.values()), "columns"

    def _subset(self, directory: Path) -> tuple[int, str]:
        return subset(self.config, self.working, self.metadata, directory, self.progress).bundle.total_rows, "rows"

    def _after_subset(self) -> None:
        found = check(self.working, self.metadata, self.taken.bundle)
        let_through = require_intact(found, "subset's rows", structural_only=True)
        self.summary.warnings += [f"The source itself breaks a rule: {line}." for line in let_through]

    def _fit(self, directory: Path) -> tuple[int, str]:
        fitted = fit(self.config, self.working, self.metadata, self.taken, directory, self.progress)
        self.summary.warnings += [str(w) for w in fitted.info.get("warnings", ())]
        return self.taken.bundle.total_rows, "rows"

    def _sample(self, directory: Path) -> tuple[int, str]:
        return sample(self.config, self.working, self.taken, self.fitted, directory, self.progress).total_rows, "rows"

    def _after_sample(self) -> None:
        self.integrity = check(self.working, self.metadata, self.synthetic)
        broken = sum(r.violations > 0 for r in self.integrity.results)
        self.summary.integrity = {"rules": len(self.integrity.results), "broken": broken}
        source = self.taken.population.rows
        self.summary.tables = [
            TableSummary(t, source.get(t), self.taken.bundle.rows(t), self.synthetic.rows(t)) for t in self.working.table_ids
        ]  # fmt: skip
        require_intact(self.integrity, "synthetic tables", tolerated=self.synthetic.info["broken_in_source"])

    def _report(self, directory: Path) -> tuple[int, str]:
        seconds = {s.stage: s.seconds for s in self.summary.stages}
        made = report(
            self.config, self.working, self.metadata, self.taken, self.synthetic, directory, self.progress,
            integrity=self.integrity, facts={"seconds": seconds},
        )  # fmt: skip
        self.summary.quality, self.summary.privacy = made.quality, made.privacy
        self.summary.failed_checks = [str(c) for c in made.failed_checks]
        self.summary.failed = bool(made.failed_checks) and self.config.checks.severity == "error"
        return self.synthetic.total_rows, "rows"

    def _after_report(self) -> None:
        self.summary.report = str(self.store.path(self.config.name, "quality_report") / "report.html")

    def _export(self, directory: Path) -> tuple[int, str]:
        result = export(
            self.config, self.reflected, self.working, self.synthetic, directory, self.progress, metadata=self.metadata, integrity=self.integrity
        )
        self.summary.target = result.target
        return self.synthetic.total_rows, "rows"


_RESULT_OF = {
    "reflect": ("reflected", "working"), "infer": ("metadata", "working"),
    "subset": ("taken",), "fit": ("fitted",), "sample": ("synthetic",),
}  # fmt: skip


# --- helpers -----------------------------------------------------------------------------------------------------------


class _CutWriter(BundleWriter):
    """Writes NULL into the keys that point to tables which are left out."""

    def __init__(self, directory: Path, schema: DatabaseSchema, *, seed: int) -> None:
        super().__init__(directory, schema, seed=seed)
        self._cut = cut_columns(schema)

    def write(self, table: str, rows: pa.Table | pa.RecordBatch, annotations: pa.Table | pa.RecordBatch | None = None) -> None:
        import pyarrow as pa

        for name in self._cut.get(table, ()):
            at = rows.schema.get_field_index(name)
            rows = rows.set_column(at, rows.schema.field(at), pa.nulls(rows.num_rows, rows.schema.field(at).type))
        super().write(table, rows, annotations)


@contextmanager
def _source(config: SourceConfig) -> Iterator[Connector]:
    from synth_pipeline.connectors import open_connector

    connector = open_connector(config.source)
    try:
        yield connector
    finally:
        connector.close()


def _require_known(working: DatabaseSchema, metadata: SynthesisMetadata) -> None:
    """The metadata must speak of exactly the tables at hand; its fingerprint was compared when `working` was made."""
    if set(metadata.tables) != set(working.table_ids):
        raise SchemaMismatchError("The metadata", metadata.schema_fingerprint, working.fingerprint(), "infer")


def _workers(config: SourceConfig) -> int:
    return config.synthesizer.workers or max(1, min(8, os.cpu_count() or 1))
