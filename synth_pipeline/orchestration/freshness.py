"""Whether each source was refreshed when it was due: a check that its runs evaluate, and a sensor that does between runs.

A source is late when its newest complete refresh is older than the last time that its `refresh.cron` names, an hour of
grace apart. Sources without a cron expression or without a target are never late.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg

from synth_pipeline.config import SourceConfig
from synth_pipeline.errors import SynthPipelineError
from synth_pipeline.orchestration.failures import reported
from synth_pipeline.orchestration.history import Refresh, last_due, last_refresh
from synth_pipeline.orchestration.resources import Sources

FRESHNESS = {"freshness": "The database was refreshed when `refresh.cron` said, an hour of grace apart."}
GRACE = timedelta(hours=1)
INTERVAL = 600


def due(config: SourceConfig, now: datetime) -> datetime | None:
    """The time since which a refresh should exist by `now`; None where none is asked for."""
    if config.refresh.cron is None or config.export is None:
        return None
    return last_due(config.refresh.cron, config.refresh.timezone, now - GRACE)


def is_fresh(refresh: Refresh | None, since: datetime | None) -> bool:
    """Whether the newest refresh is no older than `since`."""
    return since is None or (refresh is not None and refresh.at >= since.timestamp())


def _told(refresh: Refresh | None, since: datetime | None) -> str:
    last = "never" if refresh is None else datetime.fromtimestamp(refresh.at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"Last refreshed: {last}; due since: {since.strftime('%Y-%m-%d %H:%M %Z') if since else 'no schedule'}."


def check_freshness(context: dg.AssetCheckExecutionContext, sources: Sources) -> Iterator[dg.AssetCheckResult]:
    """What a run says of its own source."""
    with reported(context.log, f"checking the freshness of {context.partition_key}"):
        config = sources.load(context.partition_key)
        refresh, since = last_refresh(context.instance, config), due(config, datetime.now(UTC))
        yield dg.AssetCheckResult(
            asset_key=dg.AssetKey("exported_database"), check_name="freshness", passed=is_fresh(refresh, since),
            severity=dg.AssetCheckSeverity.WARN, description=_told(refresh, since),
        )  # fmt: skip


def build_freshness_sensor(names: list[str], status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    """The sensor that evaluates the check for every scheduled source, whether or not a run comes."""

    @dg.sensor(
        name="freshness", minimum_interval_seconds=INTERVAL, default_status=status,
        description="Marks databases that were not refreshed when their schedule said.",
    )  # fmt: skip
    def freshness(context: dg.SensorEvaluationContext, sources: Sources) -> dg.SensorResult:
        now = datetime.now(UTC)
        events: list[dg.AssetCheckEvaluation] = []
        broken: list[str] = []
        for name in names:
            try:
                config = sources.load(name)
            except SynthPipelineError as e:
                broken.append(f"{name}: {e}")
                continue
            since = due(config, now)
            if since is None:
                continue
            refresh = last_refresh(context.instance, config)
            events.append(
                dg.AssetCheckEvaluation(
                    asset_key=dg.AssetKey("exported_database"),
                    check_name="freshness",
                    passed=is_fresh(refresh, since),
                    partition=name,
                    severity=dg.AssetCheckSeverity.WARN,
                    description=_told(refresh, since),
                    blocking=False,
                )  # fmt: skip
            )
        late = [e.partition for e in events if not e.passed]
        said = f"{len(events)} scheduled sources, late: {', '.join(map(str, late)) or 'none'}.{''.join(f' Not read: {b}.' for b in broken)}"
        return dg.SensorResult(asset_events=events, skip_reason=said)

    return freshness
