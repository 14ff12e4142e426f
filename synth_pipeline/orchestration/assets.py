"""The source and the seven assets: each body calls one stage function, publishes its artifact, and says what to show.

In the graph each stage follows the one before it; what a body needs of earlier stages it reads from the same store, and
the fingerprints that artifacts carry keep stages of different schemas apart. The export follows the report, so that a
check whose severity is `error` stops it.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg

from synth_pipeline import pipeline, stored
from synth_pipeline.artifacts import TableBundle
from synth_pipeline.catalog.schema import DatabaseSchema
from synth_pipeline.config import SourceConfig
from synth_pipeline.errors import ArtifactError
from synth_pipeline.metadata.model import SynthesisMetadata
from synth_pipeline.orchestration import presentation
from synth_pipeline.orchestration.failures import RETRY_DATABASE, reported
from synth_pipeline.orchestration.history import observed
from synth_pipeline.orchestration.overrides import FitOverrides, SampleOverrides, SubsetOverrides
from synth_pipeline.orchestration.resources import Artifacts, Sources
from synth_pipeline.progress import LogLines

GROUP = "synthetic_database"


@dataclass
class _Stage:
    """One stage of one source under way: its configuration, its store, and what earlier stages left there."""

    name: str
    config: SourceConfig
    artifacts: Artifacts
    progress: LogLines
    started: float = field(default_factory=time.monotonic)

    def read(self, stage: str) -> Any:
        return self.artifacts.read(self.config.name, stage)

    def read_before(self) -> Any:
        """What this stage made last time; None where there is nothing readable."""
        try:
            return self.read(self.name)
        except ArtifactError:
            return None

    @property
    def seconds(self) -> float:
        return round(time.monotonic() - self.started, 3)

    @contextmanager
    def publish(self, facts: Mapping[str, Any] | None = None) -> Iterator[Path]:
        with self.artifacts.store().publish(self.config.name, self.name, facts) as directory:
            yield directory

    def result(self, value: Any, version: str, shown: Mapping[str, Any]) -> dg.MaterializeResult[Any]:
        return dg.MaterializeResult(value=value, data_version=dg.DataVersion(version), metadata={**shown, "seconds": self.seconds})


@contextmanager
def _stage(
    context: dg.AssetExecutionContext,
    sources: Sources,
    artifacts: Artifacts,
    overrides: SubsetOverrides | FitOverrides | SampleOverrides | None = None,
) -> Iterator[_Stage]:
    """Loads the source's file, holds its lock, and reports errors in the UI's terms."""
    name, source = context.asset_key.path[-1], context.partition_key
    with reported(context.log, f"making {name} of {source}"):
        config = sources.load(source)
        if overrides is not None:
            config = overrides.applied(config)
        with artifacts.store().lock(source):
            yield _Stage(name, config, artifacts, LogLines(context.log))


def observe_source(context: dg.OpExecutionContext, sources: Sources) -> dg.DataVersionsByPartition:
    """Reads the catalogue of each source asked for; its data version is the fingerprint of its schema."""
    versions = {}
    for source in context.partition_keys:
        with reported(context.log, f"observing {source}"):
            versions[source] = pipeline.declared(sources.load(source))
    return dg.DataVersionsByPartition(versions)


def reflected_schema(context: dg.AssetExecutionContext, sources: Sources, artifacts: Artifacts) -> dg.MaterializeResult[DatabaseSchema]:
    """Stage 1, `pipeline.reflect`."""
    with _stage(context, sources, artifacts) as stage:
        before = stage.read_before()
        schema = pipeline.reflect(stage.config)
        context.log_event(observed(stage.config.name, schema.declared_fingerprint()))
        with stage.publish() as directory:
            stored.save_schema(schema, directory)
        return stage.result(schema, schema.fingerprint(), presentation.of_schema(schema, before))


def inferred_metadata(
    context: dg.AssetExecutionContext, sources: Sources, artifacts: Artifacts, reflected_schema: DatabaseSchema
) -> dg.MaterializeResult[SynthesisMetadata]:
    """Stage 2, `pipeline.infer`."""
    with _stage(context, sources, artifacts) as stage:
        metadata = pipeline.infer(stage.config, reflected_schema, stage.progress)
        with stage.publish() as directory:
            stored.save_metadata(metadata, directory)
        return stage.result(metadata, _content(stage), presentation.of_metadata(metadata))


def rfs_subset(
    context: dg.AssetExecutionContext, config: SubsetOverrides, sources: Sources, artifacts: Artifacts, inferred_metadata: SynthesisMetadata
) -> dg.MaterializeResult[Any]:
    """Stage 3, `pipeline.subset`."""
    with _stage(context, sources, artifacts, config) as stage:
        working = pipeline.working_schema(stage.config, stage.read("reflected_schema"), inferred_metadata)
        with stage.publish({"seed": stage.config.subset.seed, "schema_fingerprint": working.fingerprint()}) as directory:
            pipeline.subset(stage.config, working, inferred_metadata, directory, stage.progress)
        subset = stage.read(stage.name)
        return stage.result(subset, subset.bundle.content_hash, presentation.of_subset(subset))


def fitted_synthesizer(
    context: dg.AssetExecutionContext, config: FitOverrides, sources: Sources, artifacts: Artifacts, rfs_subset: Any
) -> dg.MaterializeResult[Any]:
    """Stage 4, `pipeline.fit`."""
    with _stage(context, sources, artifacts, config) as stage:
        metadata = stage.read("inferred_metadata")
        working = pipeline.working_schema(stage.config, stage.read("reflected_schema"), metadata)
        with stage.publish({"seed": stage.config.synthesizer.seed, "schema_fingerprint": working.fingerprint()}) as directory:
            fitted = pipeline.fit(stage.config, working, metadata, rfs_subset, directory, stage.progress)
        return stage.result(fitted, _content(stage), presentation.of_fitted(fitted))


def synthetic_tables(
    context: dg.AssetExecutionContext, config: SampleOverrides, sources: Sources, artifacts: Artifacts, fitted_synthesizer: Any
) -> dg.MaterializeResult[TableBundle]:
    """Stage 5, `pipeline.sample`."""
    with _stage(context, sources, artifacts, config) as stage:
        subset = stage.read("rfs_subset")
        working = pipeline.working_schema(stage.config, stage.read("reflected_schema"), stage.read("inferred_metadata"))
        facts: dict[str, Any] = {"schema_fingerprint": working.fingerprint()}
        with stage.publish(facts) as directory:
            facts |= pipeline.generation_facts(pipeline.sample(stage.config, working, subset, fitted_synthesizer, directory, stage.progress))
        bundle, generations = stage.read(stage.name), artifacts.store().generations(stage.config.name)
        return stage.result(bundle, bundle.content_hash, presentation.of_tables(bundle, subset.population.rows, stage.seconds, generations))


def quality_report(
    context: dg.AssetExecutionContext, sources: Sources, artifacts: Artifacts, synthetic_tables: TableBundle
) -> dg.MaterializeResult[Any]:
    """Stage 6, `pipeline.report`."""
    with _stage(context, sources, artifacts) as stage:
        metadata = stage.read("inferred_metadata")
        reflected = stage.read("reflected_schema")
        working = pipeline.working_schema(stage.config, reflected, metadata)
        with stage.publish({"schema_fingerprint": working.fingerprint()}) as directory:
            report = pipeline.report(stage.config, working, metadata, stage.read("rfs_subset"), synthetic_tables, directory, stage.progress)
        page = f"{artifacts.store().locate(stage.config.name, stage.name)}/report.html"
        shown = presentation.of_report(report, reflected, page, artifacts.report_url(stage.config.name))
        return stage.result(report, _content(stage), shown)


def exported_database(
    context: dg.AssetExecutionContext, sources: Sources, artifacts: Artifacts, synthetic_tables: TableBundle
) -> Iterator[dg.MaterializeResult[Any]]:
    """Stage 7, `pipeline.export`."""
    with _stage(context, sources, artifacts) as stage:
        if stage.config.export is None:
            context.log.warning("Nothing was exported: the configuration of %s has no `export`.", stage.config.name)
            return
        reflected, metadata = stage.read("reflected_schema"), stage.read("inferred_metadata")
        working = pipeline.working_schema(stage.config, reflected, metadata)
        with stage.publish({"schema_fingerprint": working.fingerprint()}) as directory:
            pipeline.export(stage.config, reflected, working, synthetic_tables, directory, stage.progress, metadata=metadata)
        result = stage.read(stage.name)
        yield stage.result(result, synthetic_tables.content_hash, presentation.of_export(result, reflected))


def _content(stage: _Stage) -> str:
    """The data version of an artifact without a hash of its own: the hash of its files' hashes."""
    import hashlib

    files: Mapping[str, Mapping[str, str]] = stage.artifacts.store().manifest(stage.config.name, stage.name)["files"]
    return hashlib.sha256("".join(f"{name}:{entry['sha256']}\n" for name, entry in sorted(files.items())).encode()).hexdigest()


# --- what the graph says of them -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Spec:
    """How an asset is described; `code_version` is raised by whoever changes what the stage computes."""

    body: Callable[..., Any]
    kinds: frozenset[str]
    description: str
    pool: str
    code_version: str = "1"
    reads_database: bool = False
    deps: tuple[str, ...] = ()
    optional: bool = False


SPECS: tuple[_Spec, ...] = (
    _Spec(
        reflected_schema, frozenset({"sql", "json"}), pool="database", reads_database=True, deps=("source_database",),
        description="""The structure of the source as its catalogue declares it: tables, columns, keys, checks, indexes, and the server's own DDL.

Look at **changes** to see what became different since the run before.""",
    ),
    _Spec(
        inferred_metadata, frozenset({"python", "json"}), pool="database", reads_database=True,
        description="""What each column *means*: its kind, whether it is personal, its format, and foreign keys that nobody declared,
each with evidence and confidence.

Look at **review**: decisions that a person should confirm. Overrule one under `columns:` or `relationships:` in the source's file.""",
    ),
    _Spec(
        rfs_subset, frozenset({"parquet"}), pool="database", reads_database=True,
        description="""Rows to learn from, drawn by Referential First Search: every row comes with the rows that it refers to, so no key dangles
and children per parent keep their true distribution.

These are **real rows**: they stay in the artifact folder and are never shown here.""",
    ),
    _Spec(
        fitted_synthesizer, frozenset({"python", "scikitlearn"}), pool="compute",
        description="""The learned model of the whole database: distributions, dependences within and across tables, children per parent, and the
rules that hold between columns.

Look at **rules** to see what it found, and at **warnings** for what it could not learn.""",
    ),
    _Spec(
        synthetic_tables, frozenset({"parquet"}), pool="compute",
        description="""A whole synthetic database as Parquet tables, with every key in place.

The Launchpad takes a `scale`, row counts, a `seed` and an `identifier` for one run.""",
    ),
    _Spec(
        quality_report, frozenset({"html"}), pool="compute",
        description="""How good and how safe the synthetic database is: likeness of every table and relationship, integrity, privacy distances.

Open **report** for the whole page with plots.""",
    ),
    _Spec(
        exported_database, frozenset({"sql"}), pool="database", reads_database=True, deps=("quality_report",), optional=True,
        description="""The synthetic database in its target, with the source's own DDL and all constraints on. An old target is replaced in one step:
it is there whole until the new one is.

A source without `export` in its file ends before this asset.""",
    ),
)  # fmt: skip


def build_assets(partitions: dg.PartitionsDefinition[str], owners: Sequence[str]) -> list[dg.AssetsDefinition | dg.SourceAsset]:
    """The observable source and the seven assets, over the given partitions."""
    source = dg.observable_source_asset(
        name="source_database", partitions_def=partitions, group_name=GROUP, tags=_tags("source"),
        description="The live databases, one partition each. Observing reads the catalogue only; the data version is the schema's fingerprint.",
    )(observe_source)  # fmt: skip
    return [source, *(_asset(spec, step, partitions, owners) for step, spec in enumerate(SPECS, 1))]


def _asset(spec: _Spec, step: int, partitions: dg.PartitionsDefinition[str], owners: Sequence[str]) -> dg.AssetsDefinition:
    decorator = dg.asset(
        partitions_def=partitions, group_name=GROUP, owners=owners, kinds=set(spec.kinds), tags=_tags(str(step)), deps=list(spec.deps),
        description=spec.description, code_version=spec.code_version, io_manager_key="artifact_io_manager", pool=f"synth_{spec.pool}",
        retry_policy=RETRY_DATABASE if spec.reads_database else None, output_required=not spec.optional,
    )  # fmt: skip
    made: dg.AssetsDefinition = decorator(spec.body)
    return made


def _tags(step: str) -> dict[str, str]:
    return {"synth_pipeline/step": step}
