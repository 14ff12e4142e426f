"""The asset checks: the rules of the schema after subset, synthetic tables and export; thresholds and freshness after that.

Rules are derived from the schema, never written by hand, and counted by `integrity`; whether a broken rule stops a run is
said by the one `gate` that the command line uses too. A blocking check holds within its run only, which is why the export
verifies what it writes once more.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, get_args

import dagster as dg

from synth_pipeline import pipeline
from synth_pipeline.artifacts import TableBundle
from synth_pipeline.gate import stops
from synth_pipeline.integrity import IntegrityReport, RuleKind
from synth_pipeline.orchestration import presentation
from synth_pipeline.orchestration.failures import reported
from synth_pipeline.orchestration.freshness import FRESHNESS, check_freshness
from synth_pipeline.orchestration.resources import Artifacts, Sources

KINDS: dict[RuleKind, str] = {
    "schema_conformance": "Tables, columns and types are those of the schema.",
    "not_null": "No NULL where the schema forbids one.",
    "unique_keys": "No two rows share a primary or unique key.",
    "referential_integrity": "Every foreign key finds its parent.",
    "value_domains": "Lengths, enumerations and ranges are kept.",
    "check_constraints": "Every CHECK constraint holds.",
}
assert set(KINDS) == set(get_args(RuleKind))
EXPORT = {
    "schema_conformance": "The target's declared schema, read back from it, is the one that was asked for.",
    "row_counts": "The target got as many rows as the synthetic tables have.",
    "nothing_lost": "The target holds everything that the source declares.",
}
SCORES = {
    "quality": "The quality score reaches `checks.quality_min`.",
    "privacy": "Synthetic rows are not nearer to the rows learned from than `checks.privacy_max_nearer` allows.",
}


def check_spec(asset: str, name: str, description: str, partitions: dg.PartitionsDefinition[str], *, blocking: bool) -> dg.AssetCheckSpec:
    """A check of one partition.

    Without `partitions_def` a check on a partitioned asset loads *every* partition; the argument is a preview of Dagster
    1.13, used here only.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.AssetCheckSpec(name, asset=asset, description=description, blocking=blocking, partitions_def=partitions)


def check_subset(context: dg.AssetCheckExecutionContext, sources: Sources, artifacts: Artifacts, value: Any) -> Iterator[dg.AssetCheckResult]:
    """Rows of the source may break what its server does not enforce (a length, a CHECK): that warns, all else stops."""
    with reported(context.log, f"checking rfs_subset of {context.partition_key}"):
        found = _evaluated(context, sources, artifacts, value.bundle)
        yield from _results("rfs_subset", found, structural_only=True)


def check_tables(context: dg.AssetCheckExecutionContext, sources: Sources, artifacts: Artifacts, value: TableBundle) -> Iterator[dg.AssetCheckResult]:
    """Synthetic rows keep every rule; only a value domain that the source breaks itself is let through."""
    with reported(context.log, f"checking synthetic_tables of {context.partition_key}"):
        found = _evaluated(context, sources, artifacts, value)
        yield from _results("synthetic_tables", found, tolerated=value.info.get("broken_in_source", ()))


def check_report(context: dg.AssetCheckExecutionContext, sources: Sources, value: Any) -> Iterator[dg.AssetCheckResult]:
    """Thresholds of the source's file; what is not set is not checked, and passes."""
    with reported(context.log, f"checking quality_report of {context.partition_key}"):
        config = sources.load(context.partition_key).checks
        severity = dg.AssetCheckSeverity.ERROR if config.severity == "error" else dg.AssetCheckSeverity.WARN
        thresholds = {"quality": config.quality_min, "privacy": config.privacy_max_nearer}
        for name in SCORES:
            failed = [line for line in value.failed_checks if line.startswith(name)]
            note = "; ".join(failed) or ("Passed." if thresholds[name] is not None else "No threshold is set in the source's file.")
            yield dg.AssetCheckResult(
                asset_key=dg.AssetKey("quality_report"), check_name=name, passed=not failed, severity=severity, description=note,
                metadata={} if thresholds[name] is None else {"threshold": thresholds[name]},
            )  # fmt: skip


def check_export(context: dg.AssetCheckExecutionContext, artifacts: Artifacts, value: dict[str, Any]) -> Iterator[dg.AssetCheckResult]:
    """What the export read back from the target; keys were verified there before the target took the old one's place."""
    with reported(context.log, f"checking exported_database of {context.partition_key}"):
        bundle: TableBundle = artifacts.read(context.partition_key, "synthetic_tables")
        written, made, losses = sum(value["rows"].values()), bundle.total_rows, list(value["losses"])
        same = value["schema_fingerprint"] == value["target_fingerprint"]
        yield _exported("schema_conformance", same, "The schemas are equal." if same else "The schemas differ: compare their DDL.")
        yield _exported("row_counts", written == made, f"{written:,} rows written, {made:,} made.")
        said = presentation.listed(losses) if losses else None
        yield _exported("nothing_lost", not losses, f"{len(losses)} losses." if losses else "Nothing was lost.", dg.AssetCheckSeverity.WARN, said)


def _exported(
    name: str, passed: bool, text: str, severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR, losses: dg.MetadataValue[Any] | None = None
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=dg.AssetKey("exported_database"),
        check_name=name,
        passed=passed,
        severity=severity,
        description=text,
        metadata={"losses": losses} if losses is not None else {},
    )


def _evaluated(context: dg.AssetCheckExecutionContext, sources: Sources, artifacts: Artifacts, bundle: TableBundle) -> IntegrityReport:
    source = context.partition_key
    metadata = artifacts.read(source, "inferred_metadata")
    working = pipeline.working_schema(sources.load(source), artifacts.read(source, "reflected_schema"), metadata)
    return pipeline.check(working, metadata, bundle)


def _results(asset: str, found: IntegrityReport, *, structural_only: bool = False, tolerated: Sequence[str] = ()) -> Iterator[dg.AssetCheckResult]:
    for kind in KINDS:
        results = found.of(kind)
        broken = [r for r in results if r.violations]
        fatal = [r for r in broken if stops(r, structural_only=structural_only, tolerated=tolerated)]
        rows = sum(r.violations for r in broken)
        yield dg.AssetCheckResult(
            asset_key=dg.AssetKey(asset), check_name=kind, passed=not broken,
            severity=dg.AssetCheckSeverity.ERROR if fatal or not broken else dg.AssetCheckSeverity.WARN,
            description=f"{len(broken)} of {len(results)} rules are broken, by {rows:,} rows." if broken else _kept(len(results)),
            metadata=presentation.of_rules(results),
        )  # fmt: skip


def _kept(rules: int) -> str:
    return f"All {rules} rules are kept." if rules > 1 else "The one rule is kept." if rules else "The schema has no such rule."


def build_checks(partitions: dg.PartitionsDefinition[str]) -> list[dg.AssetChecksDefinition]:
    """All checks, over the partitions of the assets."""
    rules = {str(kind): text for kind, text in KINDS.items()}
    return [
        _checks(check_subset, "rfs_subset", rules, partitions),
        _checks(check_tables, "synthetic_tables", rules, partitions),
        # Blocking takes effect only where the severity is `error`.
        _checks(check_report, "quality_report", SCORES, partitions),
        _checks(check_export, "exported_database", EXPORT, partitions),
        _checks(check_freshness, "exported_database", FRESHNESS, partitions, blocking=False, loads=False),
    ]


def _checks(
    body: Callable[..., Any],
    asset: str,
    names: dict[str, str],
    partitions: dg.PartitionsDefinition[str],
    *,
    blocking: bool = True,
    loads: bool = True,
) -> dg.AssetChecksDefinition:
    specs = [check_spec(asset, name, text, partitions, blocking=blocking) for name, text in names.items()]
    name = body.__name__ if not loads else f"check_{asset}"
    ins = {"value": dg.AssetIn(asset)} if loads else None
    return dg.multi_asset_check(specs=specs, ins=ins, name=name)(body)
