"""The seven stages as plain functions.

A stage gets the results of earlier ones, refuses what was made from another schema, and writes its own into the
directory that `ArtifactStore.publish` yields; `stored` reads it back. How a stage works belongs to its room, the order
of the stages to `pipeline`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_pipeline import stored
from synth_pipeline.artifacts import BundleWriter, TableBundle
from synth_pipeline.catalog.schema import DatabaseSchema
from synth_pipeline.errors import ConfigError, SchemaMismatchError, SourceError
from synth_pipeline.gate import broken_domains, check, require_intact
from synth_pipeline.progress import Progress, Silent
from synth_pipeline.selection import cut_columns, selected_schema

if TYPE_CHECKING:
    import pyarrow as pa

    from synth_pipeline.config import SourceConfig
    from synth_pipeline.connectors.base import Connector
    from synth_pipeline.export import ExportResult
    from synth_pipeline.export.plan import ExportPlan
    from synth_pipeline.integrity import IntegrityReport
    from synth_pipeline.metadata.model import SynthesisMetadata
    from synth_pipeline.quality.model import QualityReport
    from synth_pipeline.subset import Subset, SubsetPlan
    from synth_pipeline.synthesis.base import FittedSynthesizer
    from synth_pipeline.synthesis.parallel import Workers


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

    Keys to tables that are left out become NULL. Of `metadata` counts which columns may name entities without a table of their own.
    """
    import dataclasses

    from synth_pipeline.metadata.entities import naming_tiers
    from synth_pipeline.subset import take_subset

    _require_known(working, metadata)
    with _source(config) as connector, _CutWriter(directory, working, seed=config.subset.seed) as writer:
        taken = take_subset(
            connector, working, config.subset, writer,
            preserve=frozenset(config.tables.preserve), holdout=config.privacy.holdout, candidates=naming_tiers(working, metadata),
            progress=progress or Silent(),
        )  # fmt: skip
    shares = {table: dict(columns) for table, columns in taken.population.null_shares.items()}
    for table, columns in cut_columns(working).items():
        shares.setdefault(table, {}).update(dict.fromkeys(columns, 1.0))
    taken = dataclasses.replace(taken, population=dataclasses.replace(taken.population, null_shares=shares))
    taken.save(directory)
    return taken


def plan(config: SourceConfig, working: DatabaseSchema, metadata: SynthesisMetadata) -> SubsetPlan:
    """What `subset` would take, without reading rows."""
    from synth_pipeline.metadata.entities import naming_tiers
    from synth_pipeline.subset import plan_subset

    _require_known(working, metadata)
    with _source(config) as connector:
        return plan_subset(connector, working, config.subset, frozenset(config.tables.preserve), naming_tiers(working, metadata))


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
    request = SampleRequest(options.scale, dict(options.rows), options.seed, _workers(config), options.shard_rows)
    with BundleWriter(directory, working, seed=options.seed) as writer:
        writer.info = {
            "identifier": options.identifier or f"{config.name}-{subset.bundle.content_hash[:8]}-{options.seed}",
            "scale": options.scale, "rows": dict(options.rows), "seed": options.seed,
            "subset": {"seed": config.subset.seed, "rows": subset.bundle.total_rows, "content_hash": subset.bundle.content_hash},
            "synthesizer": {"name": config.synthesizer.name, "seed": config.synthesizer.seed, **fitted.info},
            "privacy": config.privacy.level,
            "broken_in_source": broken_domains(working, subset.bundle),
        }  # fmt: skip
        fitted.sample(request, writer, progress or Silent())
    return TableBundle.open(directory)


def generation_facts(synthetic: TableBundle) -> dict[str, Any]:
    """What the log of generations keeps of a synthetic database; the fields of `artifacts.Generation`."""
    info = synthetic.info
    return {
        "identifier": info["identifier"], "scale": info["scale"], "seed": info["seed"], "rows": synthetic.total_rows,
        "content_hash": synthetic.content_hash, "subset": info["subset"]["content_hash"], "synthesizer": info["synthesizer"]["name"],
    }  # fmt: skip


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
        facts={
            "source": config.name, "description": config.description, "preserve": list(config.tables.preserve), **synthetic.info, **(facts or {}),
        },
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


def require_synthesizer(config: SourceConfig) -> None:
    """Refuses, before any work is done, a synthesizer that does not exist or whose package is not installed."""
    from synth_pipeline.synthesis.registry import synthesizer

    synthesizer(config.synthesizer.name)


def require_target(config: SourceConfig, reflected: DatabaseSchema, working: DatabaseSchema) -> ExportPlan:
    """What `export` will do, with everything that the target will not hold; nothing is written.

    A target that `export` would refuse at the end is refused here, before any work is done.

    Raises:
        ConfigError: the configuration names no target.
        ExportError: the target is the source, is of another kind, cannot be written, or holds what `mode` forbids.
    """
    from synth_pipeline.connectors import open_target
    from synth_pipeline.export.plan import plan_export

    if config.export is None:
        raise ConfigError(f"{config.name}: there is no `export` in the configuration.", "Say where to write: export: {url: …}.")
    with _source(config) as connector:
        identity = connector.identity()
    target = open_target(config.export)
    plan = plan_export(reflected, working, target, config.export, source_identity=identity)
    target.require_writable()
    return plan


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


def _workers(config: SourceConfig) -> Workers:
    from synth_pipeline.synthesis.parallel import Workers

    options = config.synthesizer
    return Workers(options.workers or max(1, min(8, os.cpu_count() or 1)), options.backend, options.address)
