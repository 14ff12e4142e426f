"""The schema sensor on SQLite files and on a PostgreSQL server: one run per change, bounded retries, and silence is no change."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_pipeline import pipeline
from synth_pipeline.orchestration import schema_sensor
from synth_pipeline.orchestration.build import JOB
from synth_pipeline.orchestration.resources import Sources
from synth_pipeline.orchestration.schema_sensor import ATTEMPTS, Cursor, SourceState, build_schema_sensor, decide, rotated, run_key
from synth_pipeline_tests.orchestration.conftest import Databases, Place, PostgresqlDatabases, SqliteFiles
from synth_pipeline_tests.waiting import until


class Watcher:
    """Evaluates the sensor as the daemon does, tick by tick, and plays the runs it asks for."""

    def __init__(self, place: Place, instance: dg.DagsterInstance, names: list[str], budget: float = 10) -> None:
        self.place, self.instance, self.cursor = place, instance, None
        definitions = place.definitions()
        self.repository = definitions.get_repository_def()
        self.sensor = build_schema_sensor(names, definitions.resolve_job_def(JOB), dg.DefaultSensorStatus.STOPPED, budget=budget)
        self.keys: list[str] = []
        self.asked: list[dg.RunRequest] = []
        self.message = ""

    def tick(self) -> list[str]:
        """The partitions asked for by one tick, as the daemon would launch them: a run key counts once."""
        with dg.build_sensor_context(
            instance=self.instance,
            instance_ref=self.instance.get_ref(),
            cursor=self.cursor,
            repository_def=self.repository,
            resources={"sources": Sources(folder=str(self.place.settings.configs))},
        ) as context:
            data = self.sensor.evaluate_tick(context)
        self.cursor, self.message = data.cursor, data.skip_message or ""
        fresh = [r for r in data.run_requests or [] if r.run_key not in self.keys]
        self.asked = fresh or self.asked
        self.keys += [str(r.run_key) for r in fresh]
        return [str(r.partition_key) for r in fresh]

    def sees(self, names: list[str]) -> bool:
        """Whether these sources, and no others, have been seen after one more tick."""
        self.tick()
        return Cursor.parse(self.cursor).sources.keys() == set(names)

    def end_run(self, *, success: bool, status: dg.DagsterRunStatus | None = None) -> None:
        """The run asked for last ends; a success leaves the materialization that ends a refresh."""
        (request,) = self.asked
        name = str(request.partition_key)
        self.instance.add_run(
            dg.DagsterRun(
                JOB,
                tags={**request.tags, "dagster/partition": name},
                status=status or (dg.DagsterRunStatus.SUCCESS if success else dg.DagsterRunStatus.FAILURE),
            )
        )
        if success:
            self.refresh(name)

    def refresh(self, name: str) -> None:
        fingerprint = pipeline.declared(Sources(folder=str(self.place.settings.configs)).load(name))
        self.instance.report_runless_asset_event(
            dg.AssetMaterialization("exported_database", partition=name, metadata={"declared_fingerprint": fingerprint})
        )


@pytest.fixture(params=["sqlite", "postgresql"])
def watched(request: pytest.FixtureRequest, tmp_path: Path, instance: dg.DagsterInstance) -> Watcher:
    place = Place(tmp_path)
    if request.param == "postgresql":
        place = Place(tmp_path, PostgresqlDatabases(request.getfixturevalue("postgresql_server"), request.getfixturevalue("new_database")))
    place.add("shop")
    place.add("crm")
    return Watcher(place, instance, ["crm", "shop"])


def test_first_sight_records_and_asks_for_nothing(watched: Watcher) -> None:
    assert watched.tick() == []
    assert "first sight: crm, shop" in watched.message


def test_alter_table_asks_for_exactly_one_run_of_that_source(watched: Watcher) -> None:
    watched.tick()
    watched.place.alter("shop", "ALTER TABLE customer ADD COLUMN phone TEXT")
    assert watched.tick() == ["shop"]
    assert watched.tick() == []
    watched.end_run(success=True)
    assert watched.tick() == []


def test_new_rows_are_no_change(watched: Watcher) -> None:
    """Nor are types that the values of SQLite suggest, which holds anything anywhere."""
    watched.tick()
    loose = isinstance(watched.place.databases, SqliteFiles)
    amount, day = ("'not a number'", "'not a date'") if loose else ("-1", "DATE '1900-01-01'")
    watched.place.alter("shop", f"INSERT INTO purchase SELECT id + 1000, customer_id, {amount}, {day} FROM purchase")
    assert watched.tick() == []


def test_there_and_back_runs_twice(watched: Watcher) -> None:
    """Dagster remembers run keys for ever: the key of a state that returns must be new."""
    watched.refresh("shop")
    watched.tick()
    watched.place.alter("shop", "ALTER TABLE customer ADD COLUMN phone TEXT")
    assert watched.tick() == ["shop"]
    watched.end_run(success=True)
    watched.tick()
    watched.place.alter("shop", "ALTER TABLE customer DROP COLUMN phone")
    assert watched.tick() == ["shop"]
    watched.end_run(success=True)
    watched.place.alter("shop", "ALTER TABLE customer ADD COLUMN phone TEXT")
    assert watched.tick() == ["shop"]
    assert len(set(watched.keys)) == 3


def test_a_failed_refresh_is_asked_for_again_and_at_most_twice(watched: Watcher) -> None:
    watched.refresh("shop")
    watched.place.alter("shop", "ALTER TABLE customer ADD COLUMN phone TEXT")
    for _ in range(ATTEMPTS):
        assert watched.tick() == ["shop"]
        watched.end_run(success=False)
    assert watched.tick() == []
    assert "given up: shop" in watched.message
    watched.place.alter("shop", "ALTER TABLE customer ADD COLUMN fax TEXT")
    assert watched.tick() == ["shop"], "another change is another request"


def test_while_the_run_is_under_way_nothing_more_is_asked(watched: Watcher) -> None:
    watched.refresh("shop")
    watched.place.alter("shop", "ALTER TABLE customer ADD COLUMN phone TEXT")
    assert watched.tick() == ["shop"]
    watched.end_run(success=False, status=dg.DagsterRunStatus.STARTED)
    assert watched.tick() == []
    assert "wait: shop" in watched.message


def test_a_refresh_by_hand_settles_the_change(watched: Watcher) -> None:
    watched.refresh("shop")
    watched.place.alter("shop", "ALTER TABLE customer ADD COLUMN phone TEXT")
    watched.refresh("shop")
    assert watched.tick() == []


def test_unreachable_is_not_changed(watched: Watcher) -> None:
    watched.tick()
    watched.place.databases.hide("shop")
    assert watched.tick() == []
    assert "not read: shop: unreachable" in watched.message
    watched.place.databases.show("shop")
    assert watched.tick() == []


def test_a_broken_file_concerns_its_own_source(watched: Watcher) -> None:
    watched.tick()
    watched.place.write("crm", "sorce: 1\n")
    watched.place.alter("shop", "ALTER TABLE customer ADD COLUMN phone TEXT")
    assert watched.tick() == ["shop"]


def test_all_unreachable_fails_the_tick_and_keeps_the_cursor(watched: Watcher) -> None:
    watched.tick()
    before = watched.cursor
    for name in ("crm", "shop"):
        watched.place.databases.hide(name)
    with pytest.raises(dg.Failure, match="None of the sources answers"):
        watched.tick()
    assert watched.cursor == before


def test_a_source_that_asks_not_to_be_watched_is_not(place: Place, instance: dg.DagsterInstance) -> None:
    place.add("shop", extra="refresh: {on_schema_change: false}\n")
    watcher = Watcher(place, instance, ["shop"])
    watcher.tick()
    place.alter("shop", "ALTER TABLE customer ADD COLUMN phone TEXT")
    assert watcher.tick() == []


def test_a_budget_that_is_used_up_goes_on_where_it_stopped(place: Place, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look takes half the budget or longer, so that a sweep of eight threads asks at most sixteen; nobody is passed over."""
    names = [f"s{i:02d}" for i in range(24)]
    for name in names:
        place.add(name, rows=3)
    real = pipeline.declared
    monkeypatch.setattr(pipeline, "declared", lambda config: (time.sleep(0.5), real(config))[1])
    watcher = Watcher(place, instance, names, budget=1)
    watcher.tick()
    assert "left for the next sweep" in watcher.message
    assert Cursor.parse(watcher.cursor).start not in (None, names[0])
    until(lambda: watcher.sees(names), 60, "a look at every source")


def test_where_all_that_were_asked_hang_the_others_come_next(place: Place, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many hang as are asked at once: that is no failure while others have not been asked."""
    names = [f"s{i:02d}" for i in range(12)]
    for name in names:
        place.add(name, rows=3)
    real, answering = pipeline.declared, threading.Event()
    monkeypatch.setattr(pipeline, "declared", lambda config: (config.name >= "s08" or answering.wait(), real(config))[1])
    watcher = Watcher(place, instance, names, budget=2)
    try:
        assert watcher.tick() == []
        assert watcher.message.startswith("none answered; not read: s00: no answer within 2 s; ")
        assert watcher.message.endswith("; 4 left for the next sweep")
        until(lambda: watcher.sees(names[8:]), 60, "a look at the others")
    finally:
        answering.set()
    until(lambda: watcher.sees(names), 60, "a look at those that hung")


def test_fifty_sources_of_which_one_hangs_are_read_within_the_budget(
    tmp_path: Path, instance: dg.DagsterInstance, postgresql_server: str, new_database: Callable[[str], str]
) -> None:
    """One server accepts connections and says nothing; the others are looked at, and it does not cost the next sweep its time."""
    names = [f"s{i:02d}" for i in range(49)]
    place, served = Place(tmp_path), PostgresqlDatabases(postgresql_server, new_database)
    for number, name in enumerate(names):
        databases: Databases = place.databases if number % 7 else served
        place.write(name, f'source: {{url: "{databases.make(name)}"}}\n')
        databases.execute(name, f"CREATE TABLE {name} (id INTEGER PRIMARY KEY)")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        place.write("s49", f'source: {{url: "postgresql://me@127.0.0.1:{silent.getsockname()[1]}/x"}}\n')
        watcher = Watcher(place, instance, [*names, "s49"], budget=20)
        started = time.monotonic()
        assert watcher.tick() == []
        assert time.monotonic() - started < 60, "Dagster ends a sensor after 60 s"
        assert watcher.message.startswith(f"first sight: {', '.join(names)}") and "not read: s49: " in watcher.message
        served.execute("s07", "ALTER TABLE s07 ADD COLUMN more TEXT")
        assert watcher.tick() == ["s07"]


def test_the_data_version_of_the_source_is_observed(watched: Watcher, instance: dg.DagsterInstance) -> None:
    """Only then do observations mark `reflected_schema` stale in the UI."""
    with dg.build_sensor_context(
        instance=instance,
        instance_ref=instance.get_ref(),
        repository_def=watched.repository,
        resources={"sources": Sources(folder=str(watched.place.settings.configs))},
    ) as context:
        (event, _) = watched.sensor.evaluate_tick(context).asset_events
    assert event.asset_key == dg.AssetKey("source_database") and event.partition in ("crm", "shop")
    assert len(event.tags["dagster/data_version"]) == 64


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from(["succeeds", "fails", "runs"])), max_size=30))
def test_requests_are_bounded_and_unique_whatever_happens(history: list[tuple[str, str]]) -> None:
    """For any history: a run key is never used twice, a change is asked for at most `ATTEMPTS` times, no change asks for nothing."""
    state, done, keys, under_way = SourceState(), None, [], False
    for seen, outcome in history:
        status = "under way" if under_way else "ended"
        before = state
        state, verdict = decide(state, seen, done, lambda _, status=status: status)
        if verdict == "ask":
            assert seen != (done or before.baseline)
            assert state.attempt <= ATTEMPTS
            keys.append(run_key("s", state))
            under_way = outcome == "runs"
            if outcome == "succeeds":
                done = seen
    assert len(set(keys)) == len(keys)


def test_a_lost_request_is_repeated_under_the_same_key() -> None:
    state = SourceState(baseline="A", asked="B", sequence=1, attempt=1)
    assert decide(state, "B", None, lambda _: "none") == (state, "ask")


def test_rotation() -> None:
    assert rotated(["a", "b", "c"], "b") == ["b", "c", "a"]
    assert rotated(["a", "b"], "gone") == ["a", "b"]


def test_the_cursor_survives_its_text() -> None:
    cursor = Cursor("b", {"a": SourceState("x", "y", 3, 1)})
    assert Cursor.parse(cursor.dump()) == cursor
    assert Cursor.parse(None) == Cursor()
    assert schema_sensor.BUDGET < 60, "Dagster ends a sensor after 60 s"
