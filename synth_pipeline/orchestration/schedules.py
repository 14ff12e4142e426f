"""Refreshing sources by the clock: one schedule asks every minute which sources are due by their own `refresh.cron`.

The expressions live in the sources' files, which are read when they are used and not when the code location loads; so
a change of a file takes effect within a minute, and a broken file concerns its own source only. A due time that passed
while the daemon was down is made up for within `CATCH_UP`, once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from synth_pipeline.errors import SynthPipelineError
from synth_pipeline.orchestration.history import last_due
from synth_pipeline.orchestration.resources import Sources

if TYPE_CHECKING:
    from synth_pipeline.config import SourceConfig

CATCH_UP = timedelta(hours=1)
DUE_TAG = "synth_pipeline/due"


def due_sources(
    names: Sequence[str], load: Callable[[str], SourceConfig], asked: Callable[[str, str], bool], now: datetime, broken: list[str]
) -> Iterator[tuple[str, str]]:
    """The sources that are due at `now` and were not asked for, with the time (ISO, UTC offset included) they are due for.

    Args:
        names: the sources.
        load: reads a source's file.
        asked: whether a run of a source was asked for at a due time before.
        now: aware of its time zone.
        broken: takes a line for each file that could not be read.
    """
    for name in names:
        try:
            refresh = load(name).refresh
        except SynthPipelineError as e:
            broken.append(f"{name}: {e}")
            continue
        if refresh.cron is None:
            continue
        due = last_due(refresh.cron, refresh.timezone, now)
        if now - due < CATCH_UP and not asked(name, due.isoformat()):
            yield name, due.isoformat()


def build_refresh_schedule(names: list[str], job: Any, status: dg.DefaultScheduleStatus) -> dg.ScheduleDefinition:
    """The schedule over the given sources."""

    @dg.schedule(
        cron_schedule="* * * * *", name="refresh_when_due", job=job, execution_timezone="UTC", default_status=status,
        description="Every minute: refreshes the sources that are due by `refresh.cron` in their files, each in its own time zone.",
    )  # fmt: skip
    def refresh_when_due(context: dg.ScheduleEvaluationContext, sources: Sources) -> Iterator[dg.RunRequest | dg.SkipReason]:
        broken: list[str] = []

        def asked(name: str, due: str) -> bool:
            return bool(context.instance.get_run_records(dg.RunsFilter(tags={DUE_TAG: due, "dagster/partition": name}), limit=1))

        requests = [
            dg.RunRequest(run_key=f"{name}@{due}", partition_key=name, tags={DUE_TAG: due})
            for name, due in due_sources(names, sources.load, asked, context.scheduled_execution_time, broken)
        ]
        for line in broken:
            context.log.warning("Not read: %s", line)
        if requests:
            yield from requests
        else:
            yield dg.SkipReason(f"No source is due.{''.join(f' Not read: {line}.' for line in broken)}")

    return refresh_when_due
