"""Whole runs on real SQLite files: all assets and checks, the same bytes as the command line, and what stops a run."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import dagster as dg
import pytest
from dagster._core.definitions.observe import observe
from dagster._serdes import serialize_value

from synth_pipeline import pipeline
from synth_pipeline.artifacts import STAGES, ArtifactStore
from synth_pipeline.config_files import load_config
from synth_pipeline.orchestration.build import JOB
from synth_pipeline_tests.orchestration.conftest import Place, instance_in


def _run(place: Place, instance: dg.DagsterInstance, source: str, **config: object) -> dg.ExecuteInProcessResult:
    job = place.definitions().resolve_job_def(JOB)
    return job.execute_in_process(partition_key=source, instance=instance, raise_on_error=False, run_config={"ops": config} if config else None)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, dg.DagsterInstance, dg.ExecuteInProcessResult]:
    """One run that all tests of this module that only look share."""
    root = tmp_path_factory.mktemp("shop")
    place = Place(root)
    place.add("shop", extra='checks: {quality_min: 0.01}\nrefresh: {cron: "0 3 * * *"}\n')
    place.alter("shop", "UPDATE purchase SET amount = 91234.56 WHERE id = 50")
    instance = instance_in(root)
    return place, instance, _run(place, instance, "shop")


def test_every_asset_is_materialized_and_every_check_passes(shop: tuple[Place, dg.DagsterInstance, dg.ExecuteInProcessResult]) -> None:
    place, _, result = shop
    assert result.success
    assert {e.asset_key.to_user_string() for e in result.get_asset_materialization_events() if e.asset_key} == set(STAGES)
    checks = result.get_asset_check_evaluations()
    assert len(checks) == 18 and all(c.passed for c in checks), [c for c in checks if not c.passed]
    assert {c.partition for c in checks} == {"shop"}
    store = ArtifactStore(place.settings.artifacts)
    assert all(store.open("shop", stage) for stage in STAGES)


def test_the_target_is_a_database_with_the_same_schema(shop: tuple[Place, dg.DagsterInstance, dg.ExecuteInProcessResult]) -> None:
    place, _, _ = shop
    with closing(sqlite3.connect(place.target("shop"))) as target, closing(sqlite3.connect(place.database("shop"))) as source:
        listing = "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY 1, 2"
        assert target.execute(listing).fetchall() == source.execute(listing).fetchall()
        assert target.execute("PRAGMA foreign_key_check").fetchall() == []


def test_events_are_small_and_hold_no_value_of_the_source(shop: tuple[Place, dg.DagsterInstance, dg.ExecuteInProcessResult]) -> None:
    place, instance, result = shop
    with closing(sqlite3.connect(place.database("shop"))) as source:
        secret = [e for (e,) in source.execute("SELECT email FROM customer")]
        assert source.execute("SELECT count(*) FROM purchase WHERE amount = 91234.56").fetchone() == (1,)
    secret += ["91234.56", "91,234.56"]  # a value that one real row has
    for event in result.all_events:
        text = serialize_value(event)
        assert len(text) < 50_000, (event.event_type_value, event.step_key)
        assert not [e for e in secret if e in text]
    log = "\n".join(e.to_json() for e in instance.all_logs(result.run_id))
    assert not [e for e in secret if e in log]
    report = ArtifactStore(place.settings.artifacts).open("shop", "quality_report")
    for name in ("report.html", "report.json", "summary.md"):
        text = (report / name).read_text()
        assert not [e for e in secret if e in text], name


def test_numbers_have_the_keys_that_dashboards_plot(shop: tuple[Place, dg.DagsterInstance, dg.ExecuteInProcessResult]) -> None:
    _, _, result = shop
    shown = {
        e.asset_key.to_user_string(): e.step_materialization_data.materialization.metadata
        for e in result.get_asset_materialization_events()
        if e.asset_key
    }
    expected = {
        "reflected_schema": {"tables", "columns", "foreign_keys", "cycles", "tables_without_key"},
        "inferred_metadata": {"columns", "personal_columns", "relationships", "relationships_inferred", "confidence_mean", "to_review"},
        "rfs_subset": {"rows", "source_rows", "share_of_source", "tables", "seed"},
        "fitted_synthesizer": {"rules_found", "warnings_count"},
        "synthetic_tables": {"rows", "rows_of_source", "rows_per_second", "tables", "seed", "scale"},
        "quality_report": {"quality", "replayed_values", "rules_broken", "checks_failed"},
        "exported_database": {"rows", "tables", "rows_per_second"},
    }
    for asset, keys in expected.items():
        numbers = {k for k, v in shown[asset].items() if isinstance(v, (dg.IntMetadataValue, dg.FloatMetadataValue))}
        assert keys | {"seconds", "megabytes"} <= numbers, asset
        assert "dagster/uri" in shown[asset]
    for asset in ("rfs_subset", "synthetic_tables", "exported_database"):
        assert shown[asset]["dagster/partition_row_count"].value == 160


def test_the_command_line_makes_the_same_tables(shop: tuple[Place, dg.DagsterInstance, dg.ExecuteInProcessResult]) -> None:
    place, _, _ = shop
    other = ArtifactStore(place.root / "other")
    pipeline.run(load_config("shop", place.settings.configs), other, last="sample")
    mine = ArtifactStore(place.settings.artifacts)
    for stage in ("rfs_subset", "synthetic_tables"):
        hashes = [json.loads((store.open("shop", stage) / "bundle.json").read_text())["content_hash"] for store in (mine, other)]
        assert hashes[0] == hashes[1], stage


def test_a_stage_goes_on_from_what_the_command_line_made(place: Place, instance: dg.DagsterInstance) -> None:
    place.add("shop")
    pipeline.run(load_config("shop", place.settings.configs), ArtifactStore(place.settings.artifacts), last="fit")
    job = place.definitions().resolve_job_def(JOB)
    result = job.execute_in_process(partition_key="shop", instance=instance, asset_selection=[dg.AssetKey("synthetic_tables")])
    assert result.success


def test_the_launchpad_overrides_one_run(place: Place, instance: dg.DagsterInstance) -> None:
    place.add("shop", export=False)
    overrides = {"config": {"scale": 0.5, "rows": {"customer": 10}, "seed": 9, "identifier": "sprint 12"}}
    result = _run(place, instance, "shop", synthetic_tables=overrides)
    assert result.success
    bundle = result.output_for_node("synthetic_tables")
    assert bundle.rows("customer") == 10 and bundle.seed == 9 and bundle.info["identifier"] == "sprint 12"
    assert not instance.fetch_materializations(dg.AssetKey("exported_database"), limit=1).records, "a source without a target ends with its report"


def test_broken_rows_stop_the_run_before_anything_is_exported(place: Place, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    """A blocking check: what is downstream is not made, and the failed check names table and rule."""
    import pyarrow as pa

    from synth_pipeline.artifacts import BundleWriter

    place.add("shop")
    real = BundleWriter.write

    def broken(self: BundleWriter, table: str, rows: pa.Table, annotations: pa.Table | None = None) -> None:
        if table == "purchase" and annotations is None:
            rows = pa.Table.from_batches([rows]) if isinstance(rows, pa.RecordBatch) else rows
            at = rows.schema.get_field_index("customer_id")
            rows = rows.set_column(at, rows.schema.field(at), pa.array([10**6] * rows.num_rows, rows.schema.field(at).type))
        real(self, table, rows, annotations)

    monkeypatch.setattr(BundleWriter, "write", broken)
    result = _run(place, instance, "shop")
    assert not result.success
    made = {e.asset_key.to_user_string() for e in result.get_asset_materialization_events() if e.asset_key}
    assert "quality_report" not in made and "exported_database" not in made
    failed = [c for c in result.get_asset_check_evaluations() if not c.passed]
    assert [c.check_name for c in failed] == ["referential_integrity"]
    assert not place.target("shop").exists()


@pytest.mark.parametrize("severity", ["warn", "error"])
@pytest.mark.parametrize("check", ["quality", "privacy"])
def test_a_missed_threshold_stops_the_export_only_if_its_severity_is_error(
    place: Place, instance: dg.DagsterInstance, severity: str, check: str
) -> None:
    """Customers that are preserved repeat their own addresses, which no threshold of privacy lets through."""
    limit, tables = ("quality_min: 1.0", "") if check == "quality" else ("privacy_max_nearer: 1.0", "tables: {preserve: [customer]}\n")
    place.add("shop", extra=f"{tables}checks: {{{limit}, severity: {severity}}}\n")
    result = _run(place, instance, "shop")
    failed = [c.check_name for c in result.get_asset_check_evaluations() if not c.passed]
    assert failed == [check]
    assert result.success is place.target("shop").exists() is (severity == "warn")


def test_a_missing_database_is_one_clear_line(place: Place, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    place.write("shop", f'source: {{url: "sqlite:///{place.root}/nowhere.db"}}\n')
    monkeypatch.setattr("synth_pipeline.orchestration.assets.RETRY_DATABASE", dg.RetryPolicy(max_retries=2, delay=0))
    result = _run(place, instance, "shop")
    assert not result.success
    (failure,) = [e for e in result.all_events if e.event_type_value == "STEP_FAILURE"]
    assert "There is no database file" in str(failure.step_failure_data.user_failure_data.description)
    assert len([e for e in result.all_events if e.event_type_value == "STEP_RESTARTED"]) == 2, "a database that does not answer is asked again"


def test_a_broken_file_fails_its_own_run_without_retries(place: Place, instance: dg.DagsterInstance) -> None:
    place.add("shop")
    place.write("shop", "sorce: {url: x}\n")
    result = _run(place, instance, "shop")
    assert not result.success
    assert not [e for e in result.all_events if e.event_type_value == "STEP_UP_FOR_RETRY"]
    (failure,) = [e for e in result.all_events if e.event_type_value == "STEP_FAILURE"]
    assert "Did you mean 'source'" in str(failure.step_failure_data.user_failure_data.description)


def test_a_damaged_artifact_is_refused_with_the_stage_to_run_again(place: Place, instance: dg.DagsterInstance) -> None:
    place.add("shop")
    store = ArtifactStore(place.settings.artifacts)
    pipeline.run(load_config("shop", place.settings.configs), store, last="subset")
    next(store.open("shop", "rfs_subset").glob("*purchase*.parquet")).write_bytes(b"damaged")
    job = place.definitions().resolve_job_def(JOB)
    result = job.execute_in_process(
        partition_key="shop", instance=instance, asset_selection=[dg.AssetKey("fitted_synthesizer")], raise_on_error=False
    )
    (failure,) = [e for e in result.all_events if e.event_type_value == "STEP_FAILURE"]
    assert "is damaged" in str(failure.step_failure_data) and "--from subset" in str(failure.step_failure_data)


def test_observing_the_source_gives_the_fingerprint_as_data_version(shop: tuple[Place, dg.DagsterInstance, dg.ExecuteInProcessResult]) -> None:
    place, instance, _ = shop
    definitions = place.definitions()
    source = next(a for a in definitions.assets or () if isinstance(a, dg.SourceAsset))
    result = observe(assets=[source], partition_key="shop", instance=instance, resources=dict(definitions.resources or {}))
    assert result.success
    (observation,) = result.get_asset_observation_events()
    records = instance.fetch_observations(dg.AssetRecordsFilter(dg.AssetKey("source_database"), asset_partitions=["shop"]), limit=5).records
    assert len(records) == 2, "a refresh observes its source as well"
    version = observation.asset_observation_data.asset_observation.data_version
    assert version == pipeline.declared(load_config("shop", place.settings.configs))
