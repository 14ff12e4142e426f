"""A database that was not refreshed when its schedule said is late, whether or not a run comes."""

from __future__ import annotations

import dagster as dg
import pytest

from synth_pipeline.orchestration.freshness import build_freshness_sensor
from synth_pipeline.orchestration.resources import Sources
from synth_pipeline_tests.orchestration.conftest import Place


def _look(place: Place, instance: dg.DagsterInstance, *names: str) -> tuple[dict[str, bool], str]:
    """What the sensor says of each scheduled source, and in all."""
    sensor = build_freshness_sensor(list(names), dg.DefaultSensorStatus.STOPPED)
    with dg.build_sensor_context(
        instance=instance, instance_ref=instance.get_ref(), resources={"sources": Sources(folder=str(place.settings.configs))},
        repository_def=place.definitions().get_repository_def(),
    ) as context:  # fmt: skip
        data = sensor.evaluate_tick(context)
    events = [e for e in data.asset_events if isinstance(e, dg.AssetCheckEvaluation)]
    assert all(e.check_name == "freshness" and e.asset_key == dg.AssetKey("exported_database") for e in events)
    return {str(e.partition): e.passed for e in events}, data.skip_message or ""


@pytest.fixture
def scheduled(place: Place) -> Place:
    place.add("hourly", rows=3, extra='refresh: {cron: "0 * * * *"}\n')
    place.add("manual", rows=3)
    place.add("unexported", rows=3, extra='refresh: {cron: "0 * * * *"}\n', export=False)
    return place


def test_only_what_is_scheduled_and_has_a_target_can_be_late(scheduled: Place, instance: dg.DagsterInstance) -> None:
    found, said = _look(scheduled, instance, "hourly", "manual", "unexported")
    assert found == {"hourly": False} and "1 scheduled sources, late: hourly" in said
    instance.report_runless_asset_event(dg.AssetMaterialization("exported_database", partition="hourly"))
    found, said = _look(scheduled, instance, "hourly", "manual", "unexported")
    assert found == {"hourly": True} and "late: none" in said


def test_the_refresh_of_another_source_and_a_broken_file_change_nothing(scheduled: Place, instance: dg.DagsterInstance) -> None:
    instance.report_runless_asset_event(dg.AssetMaterialization("exported_database", partition="manual"))
    scheduled.write("manual", "sorce: 1\n")
    found, said = _look(scheduled, instance, "hourly", "manual")
    assert found == {"hourly": False} and "Not read: manual" in said
