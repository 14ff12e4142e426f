"""What the instance remembers of a source: its last complete refresh, and the times at which the next was due.

Sensors, schedules and the freshness check ask here, so that they agree; a failed run leaves no trace in these answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import dagster as dg
from dagster._utils.schedules import get_latest_completed_cron_tick  # not public, but the one the scheduler itself uses: right at clock changes

if TYPE_CHECKING:
    from synth_pipeline.config import SourceConfig


DATA_VERSION_TAG = "dagster/data_version"


@dataclass(frozen=True, slots=True)
class Refresh:
    """A complete refresh: when (seconds since the epoch), and the declared fingerprint of the schema that it was made from."""

    at: float
    fingerprint: str


def last_stage(config: SourceConfig) -> str:
    """The asset whose materialization ends a refresh of this source."""
    return "quality_report" if config.export is None else "exported_database"


def last_refresh(instance: dg.DagsterInstance, config: SourceConfig) -> Refresh | None:
    """The newest complete refresh of a source; None where there was none."""
    wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(last_stage(config)), asset_partitions=[config.name])
    records = instance.fetch_materializations(wanted, limit=1).records
    if not records or records[0].asset_materialization is None:
        return None
    shown = records[0].asset_materialization.metadata.get("declared_fingerprint")
    return Refresh(records[0].timestamp, str(shown.value) if shown is not None else "")


def last_due(cron: str, timezone: str, now: datetime) -> datetime:
    """The latest time at or before `now` that a cron expression names, in its own time zone."""
    return get_latest_completed_cron_tick(cron, now, timezone)


def observed(source: str, fingerprint: str) -> dg.AssetObservation:
    """The observation of a source: its data version is the declared fingerprint of its schema."""
    return dg.AssetObservation("source_database", partition=source, tags={DATA_VERSION_TAG: fingerprint})
