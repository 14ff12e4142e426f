"""A whole run: the stages in their order, with integrity checked between them and each result published.

The command line and the Dagster assets call the functions offered here and nothing below. What a stage does belongs to
`stages`, what a terminal or a web page shows does not belong here.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from synth_pipeline import stored
from synth_pipeline.artifacts import CLI_STAGES, ArtifactStore, TableBundle
from synth_pipeline.catalog.schema import DatabaseSchema
from synth_pipeline.errors import ArtifactError, UsageError, closest
from synth_pipeline.gate import check, require_intact
from synth_pipeline.progress import Progress, Silent
from synth_pipeline.selection import working_schema
from synth_pipeline.stages import (
    declared,
    export,
    fit,
    generation_facts,
    infer,
    plan,
    reflect,
    report,
    require_synthesizer,
    require_target,
    sample,
    subset,
)  # fmt: skip
from synth_pipeline.summary import RunSummary, StageSummary, TableSummary

if TYPE_CHECKING:
    from synth_pipeline.config import SourceConfig
    from synth_pipeline.integrity import IntegrityReport
    from synth_pipeline.metadata.model import SynthesisMetadata
    from synth_pipeline.quality.expectations import ExpectationResult
    from synth_pipeline.subset import Subset
    from synth_pipeline.synthesis.base import FittedSynthesizer

__all__ = [
    "VERBS", "check", "declared", "expectations", "export", "fit", "generation_facts", "infer", "plan", "reflect", "report",
    "require_intact", "require_target", "run", "sample", "subset", "working_schema",
]  # fmt: skip

VERBS = tuple(CLI_STAGES.values())
"""The stages in their order, as the command line calls them."""


def run(
    config: SourceConfig, store: ArtifactStore, *, first: str = "reflect", last: str = "export", generation: str | None = None,
    progress: Progress | None = None,
) -> RunSummary:  # fmt: skip
    """Takes one source through the stages from `first` to `last`, publishing each; what came before is read from the store.

    `generation` names an earlier synthetic database to report or export instead of the newest, as `ArtifactStore.generation`
    takes it. Integrity is checked after subset and after sample. Without a target in the configuration a run ends with the report.

    Raises:
        UsageError: no such stage, `first` comes after `last`, or another run of the source is under way.
        CheckFailedError: subset or synthetic tables break a rule of the schema; nothing was exported.
        SynthPipelineError: whatever a stage raises; artifacts and target stay as they were before that stage.
    """
    for verb in (first, last):
        if verb not in VERBS:
            raise UsageError(f"There is no stage {verb!r}.", closest(verb, VERBS))
    if generation is not None and VERBS.index(first) < VERBS.index("report"):
        raise UsageError("An earlier generation can be reported or exported, not made.", "Use it with `report`, `export`, or --from report.")
    if VERBS.index(first) > VERBS.index(last):
        raise UsageError(f"Stage {first!r} comes after stage {last!r}.", f"The order is: {', '.join(VERBS)}.")
    verbs = VERBS[VERBS.index(first) : VERBS.index(last) + 1]
    with store.lock(config.name):
        return _Run(config, store, progress or Silent(), generation).go(verbs)


def expectations(config: SourceConfig, store: ArtifactStore, rows: str = "synthetic", docs: Path | None = None) -> list[ExpectationResult]:
    """What Great Expectations says of the rows of the newest `synthetic` tables or `subset`; its pages go into the folder `docs`.

    Raises:
        ArtifactError: an earlier stage is missing, or was made from another schema.
    """
    from synth_pipeline.integrity import derive_rules
    from synth_pipeline.quality.expectations import validate

    metadata = stored.load_metadata(store.open(config.name, "inferred_metadata"))
    working = working_schema(config, stored.load_schema(store.open(config.name, "reflected_schema")), metadata)
    stage, verb = {"synthetic": ("synthetic_tables", "sample"), "subset": ("rfs_subset", "subset")}[rows]
    bundle = stored.load_tables(store.open(config.name, stage)).require(working, verb)
    return validate(bundle, derive_rules(working, metadata), working, docs)


class _Done(NamedTuple):
    """What a stage made: how much of what, and what its manifest says beside that."""

    amount: int
    unit: str = "rows"
    facts: dict[str, Any] = {}


class _Run:
    """One run: results are read from the store, which each stage publishes into, so that a run and single stages agree."""

    def __init__(self, config: SourceConfig, store: ArtifactStore, progress: Progress, generation: str | None = None) -> None:
        self.config, self.store, self.progress = config, store, progress
        self.version = store.generation(config.name, generation).version if generation is not None else None
        self.summary = RunSummary(config.name, f"{store}/{config.name}")
        self.integrity: IntegrityReport | None = None

    def go(self, verbs: Sequence[str]) -> RunSummary:
        if verbs[-1] == "export" and self.config.export is None and len(verbs) > 1:
            self.summary.warnings.append("Nothing was exported: the configuration has no `export`.")
            verbs = verbs[:-1]
        self._require_earlier(verbs[0])
        if "fit" in verbs:
            require_synthesizer(self.config)
        if "export" in verbs and verbs[0] not in ("reflect", "infer"):
            self._require_target()
        for verb in verbs:
            if verb == "export" and self.summary.failed:
                self.summary.warnings.append("Nothing was exported: a check failed, and `checks.severity` is error.")
                break
            self._stage(verb)
            if verb == "infer" and "export" in verbs:
                self._require_target()
        return self.summary

    def _require_target(self) -> None:
        require_target(self.config, self.reflected, self.working)

    def _require_earlier(self, first: str) -> None:
        earlier = [s for s, v in CLI_STAGES.items() if v in VERBS[: min(VERBS.index(first), VERBS.index("report"))]]
        missing = [stage for stage in earlier if not self.store.exists(self.config.name, stage)]
        if missing:
            raise ArtifactError(
                f"There is no artifact {missing[0]} of {self.config.name} in {self.store}.",
                f"Make it first: synth-pipeline run {self.config.name} --to {CLI_STAGES[earlier[-1]]}.",
            )

    def _stage(self, verb: str) -> None:
        started = time.monotonic()
        stage = next(s for s, v in CLI_STAGES.items() if v == verb)
        facts = self._facts(verb)
        with self.store.publish(self.config.name, stage, facts) as directory:
            count, unit, made = getattr(self, f"_{verb}")(directory)
            facts |= made
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
        return stored.load_tables(self.store.open(self.config.name, "synthetic_tables", self.version))

    def _open(self, stage: str) -> Path:
        return self.store.open(self.config.name, stage)

    def _reflect(self, directory: Path) -> _Done:
        schema = reflect(self.config)
        stored.save_schema(schema, directory)
        return _Done(len(schema.tables), "tables")

    def _infer(self, directory: Path) -> _Done:
        metadata = infer(self.config, self.reflected, self.progress)
        stored.save_metadata(metadata, directory)
        return _Done(sum(len(t.columns) for t in metadata.tables.values()), "columns")

    def _subset(self, directory: Path) -> _Done:
        return _Done(subset(self.config, self.working, self.metadata, directory, self.progress).bundle.total_rows)

    def _after_subset(self) -> None:
        found = check(self.working, self.metadata, self.taken.bundle)
        let_through = require_intact(found, "subset's rows", structural_only=True)
        self.summary.warnings += [f"The source itself breaks a rule: {line}." for line in let_through]

    def _fit(self, directory: Path) -> _Done:
        fitted = fit(self.config, self.working, self.metadata, self.taken, directory, self.progress)
        self.summary.warnings += [str(w) for w in fitted.info.get("warnings", ())]
        return _Done(self.taken.bundle.total_rows)

    def _sample(self, directory: Path) -> _Done:
        made = sample(self.config, self.working, self.taken, self.fitted, directory, self.progress)
        return _Done(made.total_rows, facts=generation_facts(made))

    def _after_sample(self) -> None:
        self.integrity = check(self.working, self.metadata, self.synthetic)
        broken = sum(r.violations > 0 for r in self.integrity.results)
        self.summary.integrity = {"rules": len(self.integrity.results), "broken": broken}
        source = self.taken.population.rows
        self.summary.tables = [
            TableSummary(t, source.get(t), self.taken.bundle.rows(t), self.synthetic.rows(t)) for t in self.working.table_ids
        ]  # fmt: skip
        require_intact(self.integrity, "synthetic tables", tolerated=self.synthetic.info["broken_in_source"])

    def _report(self, directory: Path) -> _Done:
        seconds = {s.stage: s.seconds for s in self.summary.stages}
        made = report(
            self.config, self.working, self.metadata, self.taken, self.synthetic, directory, self.progress,
            integrity=self.integrity, facts={"seconds": seconds},
        )  # fmt: skip
        self.summary.quality, self.summary.privacy = made.quality, made.privacy
        verdict = made.figures["verdict"]
        self.summary.grade, self.summary.findings = verdict["quality"]["grade"], [f["text"] for f in verdict["first"]]
        self.summary.failed_checks = [str(c) for c in made.failed_checks]
        self.summary.failed = bool(made.failed_checks) and self.config.checks.severity == "error"
        return _Done(self.synthetic.total_rows)

    def _after_report(self) -> None:
        self.summary.report = f"{self.store.locate(self.config.name, 'quality_report')}/report.html"

    def _export(self, directory: Path) -> _Done:
        result = export(
            self.config, self.reflected, self.working, self.synthetic, directory, self.progress, metadata=self.metadata, integrity=self.integrity
        )
        self.summary.target = result.target
        return _Done(self.synthetic.total_rows)


_RESULT_OF = {
    "reflect": ("reflected", "working"), "infer": ("metadata", "working"),
    "subset": ("taken",), "fit": ("fitted",), "sample": ("synthetic",),
}  # fmt: skip
