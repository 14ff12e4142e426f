"""The schedule asks for due sources only, each in its own time zone, once."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

import dagster as dg
import pytest

from synth_pipeline.orchestration.build import build_definitions
from synth_pipeline.orchestration.resources import Sources
from synth_pipeline.orchestration.schedules import DUE_TAG
from synth_pipeline_tests.orchestration.conftest import Place

_definitions = lru_cache(build_definitions)


def _requests(place: Place, instance: dg.DagsterInstance, when: datetime) -> list[dg.RunRequest]:
    definitions = _definitions(place.settings)
    with dg.build_schedule_context(
        instance=instance,
        instance_ref=instance.get_ref(),
        scheduled_execution_time=when,
        repository_def=definitions.get_repository_def(),
        resources={"sources": Sources(folder=str(place.settings.configs))},
    ) as context:  # it opens an instance of its own, which stays Dagster's current one until it is closed
        return list(definitions.resolve_schedule_def("refresh_when_due").evaluate_tick(context).run_requests or [])


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.fixture
def scheduled(place: Place) -> Place:
    place.add("utc", extra='refresh: {cron: "0 3 * * *"}\n')
    place.add("zurich", extra='refresh: {cron: "0 3 * * *", timezone: Europe/Zurich}\n')
    place.add("manual")
    return place


@pytest.mark.parametrize(
    ("when", "due"),
    [
        ("2026-01-15T03:00", ["utc"]),
        ("2026-01-15T02:00", ["zurich"]),  # winter: UTC+1
        ("2026-07-15T01:00", ["zurich"]),  # summer: UTC+2
        ("2026-07-15T03:00", ["utc"]),
        ("2026-01-15T12:00", []),
    ],
)
def test_due_sources_only(scheduled: Place, instance: dg.DagsterInstance, when: str, due: list[str]) -> None:
    assert [r.partition_key for r in _requests(scheduled, instance, _at(when))] == due


def test_every_request_has_its_partition_and_a_key_of_its_own(scheduled: Place, instance: dg.DagsterInstance) -> None:
    (request,) = _requests(scheduled, instance, _at("2026-01-15T03:00"))
    assert request.run_key == "utc@2026-01-15T03:00:00+00:00"
    assert request.tags[DUE_TAG] == "2026-01-15T03:00:00+00:00"


def test_twice_in_a_minute_asks_once(scheduled: Place, instance: dg.DagsterInstance) -> None:
    (request,) = _requests(scheduled, instance, _at("2026-01-15T03:00"))
    (again,) = _requests(scheduled, instance, _at("2026-01-15T03:00"))
    assert request.run_key == again.run_key, "the scheduler launches a key once"
    instance.add_run(dg.DagsterRun("refresh", tags={**request.tags, "dagster/partition": "utc"}))
    assert _requests(scheduled, instance, _at("2026-01-15T03:00")) == []
    assert _requests(scheduled, instance, _at("2026-01-15T03:20")) == []
    assert len(_requests(scheduled, instance, _at("2026-01-16T03:00"))) == 1


def test_a_due_time_missed_by_the_daemon_is_made_up_for_within_the_hour(scheduled: Place, instance: dg.DagsterInstance) -> None:
    assert [r.run_key for r in _requests(scheduled, instance, _at("2026-01-15T03:40"))] == ["utc@2026-01-15T03:00:00+00:00"]
    assert _requests(scheduled, instance, _at("2026-01-15T04:01")) == []


def test_the_hour_that_a_clock_change_skips_or_repeats_runs_once(place: Place, instance: dg.DagsterInstance) -> None:
    """In Zurich 2026-10-25 02:30 exists twice, 2026-03-29 02:30 not at all."""
    place.add("night", extra='refresh: {cron: "30 2 * * *", timezone: Europe/Zurich}\n')
    for day, hours in (("2026-10-25", ("00:30", "01:30")), ("2026-03-29", ("00:30", "01:00", "01:30"))):
        keys = {r.run_key for h in hours for r in _requests(place, instance, _at(f"{day}T{h}"))}
        assert len(keys) == 1, (day, keys)


def test_a_broken_file_does_not_keep_others_from_running(scheduled: Place, instance: dg.DagsterInstance) -> None:
    scheduled.write("manual", "refresh: {cron: nonsense}\n")
    assert [r.partition_key for r in _requests(scheduled, instance, _at("2026-01-15T03:00"))] == ["utc"]


def test_a_changed_file_counts_at_once(scheduled: Place, instance: dg.DagsterInstance) -> None:
    assert _requests(scheduled, instance, _at("2026-01-15T12:00")) == []
    text = (scheduled.settings.configs / "utc.yaml").read_text()
    scheduled.write("utc", text.replace("0 3 * * *", "0 12 * * *"))
    assert [r.partition_key for r in _requests(scheduled, instance, _at("2026-01-15T12:00"))] == ["utc"]
