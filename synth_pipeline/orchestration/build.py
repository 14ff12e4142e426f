"""The one place where the code location is put together."""

from __future__ import annotations

import warnings

import dagster as dg

from synth_pipeline.orchestration.alerts import build_failure_sensor
from synth_pipeline.orchestration.assets import GROUP, build_assets
from synth_pipeline.orchestration.checks import build_checks
from synth_pipeline.orchestration.executors import executor
from synth_pipeline.orchestration.freshness import build_freshness_sensor
from synth_pipeline.orchestration.io_managers import ArtifactIOManager
from synth_pipeline.orchestration.partitions import source_partitions
from synth_pipeline.orchestration.resources import Artifacts, Sources
from synth_pipeline.orchestration.schedules import build_refresh_schedule
from synth_pipeline.orchestration.schema_sensor import build_schema_sensor
from synth_pipeline.orchestration.settings import Settings

JOB = "refresh_synthetic_database"


def build_definitions(settings: Settings | None = None) -> dg.Definitions:
    """Assets, checks, the job, and what starts it by itself, for one deployment (by default the environment's)."""
    chosen = settings or Settings.from_environment()
    partitions = source_partitions(chosen.configs)
    names = list(partitions.get_partition_keys())
    artifacts = Artifacts(root=chosen.artifacts, keep=chosen.keep, reports_url=chosen.reports_url)
    sensors = dg.DefaultSensorStatus.RUNNING if chosen.automation else dg.DefaultSensorStatus.STOPPED
    schedules = dg.DefaultScheduleStatus.RUNNING if chosen.automation else dg.DefaultScheduleStatus.STOPPED
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)  # observable source assets
        assets = build_assets(partitions, chosen.owners)
    job = dg.define_asset_job(
        JOB, selection=dg.AssetSelection.groups(GROUP), description="A new synthetic database of one source: all seven stages, with their checks.",
    )  # fmt: skip
    return dg.Definitions(
        assets=assets,
        asset_checks=build_checks(partitions),
        jobs=[job],
        schedules=[build_refresh_schedule(names, job, schedules)],
        sensors=[
            build_schema_sensor(names, job, sensors, interval=chosen.watch_seconds),
            build_freshness_sensor(names, sensors),
            build_failure_sensor(sensors, chosen.ui_url),
        ],
        resources={
            "sources": Sources(folder=str(chosen.configs)),
            "artifacts": artifacts,
            "artifact_io_manager": ArtifactIOManager(artifacts=artifacts),
        },
        executor=executor(chosen.executor, chosen.executor_config),
    )
