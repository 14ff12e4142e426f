"""The code location: what it holds, how fast and how light it loads, and that a broken file cannot take it down."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from synth_pipeline.artifacts import STAGES
from synth_pipeline.errors import ConfigError
from synth_pipeline.orchestration.build import JOB
from synth_pipeline.orchestration.failures import RETRY_DATABASE
from synth_pipeline.orchestration.settings import Settings
from synth_pipeline_tests.orchestration.conftest import Place

GOLDEN = Path(__file__).with_name("golden_definitions.json")
HEAVY = ("torch", "sdv", "sdmetrics", "great_expectations", "sklearn", "pandas", "pyarrow", "scipy", "sqlalchemy")


def _described(definitions: dg.Definitions) -> dict[str, object]:
    """Everything by which users, schedules and dashboards refer to the code location."""
    repository = definitions.get_repository_def()
    graph = repository.asset_graph
    assets = {
        key.to_user_string(): {
            "group": graph.get(key).group_name,
            "after": sorted(p.to_user_string() for p in graph.get(key).parent_keys),
            "kinds": sorted(graph.get(key).kinds),
            "owners": sorted(graph.get(key).owners),
            "code_version": graph.get(key).code_version,
            "pools": sorted(graph.get(key).pools or ()),
            "partitioned": graph.get(key).partitions_def is not None,
        }
        for key in graph.get_all_asset_keys()
    }
    checks = {
        f"{key.asset_key.to_user_string()}:{key.name}": {
            "blocking": graph.get_check_spec(key).blocking,
            "partitioned": graph.get_check_spec(key).partitions_def is not None,
        }
        for key in graph.asset_check_keys
    }
    return {
        "assets": assets,
        "checks": checks,
        "jobs": sorted(j.name for j in repository.get_all_jobs() if not j.name.startswith("__")),
        "schedules": {s.name: s.cron_schedule for s in repository.schedule_defs},
        "sensors": {s.name: s.minimum_interval_seconds for s in repository.sensor_defs},
        "resources": sorted(repository.get_top_level_resources()),
    }


def test_the_graph_is_the_one_that_was_agreed(place: Place) -> None:
    """To accept a change on purpose, run this module with SYNTH_PIPELINE_GOLDEN=write."""
    place.add("shop")
    found = json.loads(json.dumps(_described(place.definitions()), sort_keys=True))
    if os.environ.get("SYNTH_PIPELINE_GOLDEN") == "write":
        GOLDEN.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    assert found == json.loads(GOLDEN.read_text())


def test_assets_are_the_stages_of_the_command_line(place: Place) -> None:
    place.add("shop")
    graph = place.definitions().get_repository_def().asset_graph
    assert {k.to_user_string() for k in graph.get_all_asset_keys()} == {"source_database", *STAGES}


def test_descriptions_help_a_person(place: Place) -> None:
    place.add("shop")
    graph = place.definitions().get_repository_def().asset_graph
    for key in graph.get_all_asset_keys():
        assert len(graph.get(key).description or "") > 80, key
    for check in graph.asset_check_keys:
        assert graph.get_check_spec(check).description, check


def test_partitions_are_the_names_of_the_files(place: Place) -> None:
    for name in ("shop", "crm.prod", "a-b_c"):
        place.add(name, rows=3)
    place.write("not a name", "source: {}")
    (place.settings.configs / "notes.txt").write_text("not a source")
    (key, *_) = (graph := place.definitions().get_repository_def().asset_graph).get_all_asset_keys()
    partitions = graph.get(key).partitions_def
    assert partitions is not None and partitions.get_partition_keys() == ["a-b_c", "crm.prod", "shop"]


@pytest.mark.parametrize("text", ["", "source: [", "unknown: 1", "\x00"])
def test_a_broken_file_does_not_take_the_location_down(place: Place, text: str) -> None:
    place.add("shop")
    place.write("broken", text)
    dg.Definitions.validate_loadable(place.definitions())


def test_no_folder_and_no_source_still_load(place: Place) -> None:
    dg.Definitions.validate_loadable(place.definitions())


def test_loads_light(place: Place) -> None:
    """None of the libraries that cost seconds may be imported."""
    place.add("shop")
    code = f"import sys; from synth_pipeline.definitions import defs; defs.get_repository_def(); print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "SYNTH_PIPELINE_CONFIGS": str(place.settings.configs)},
    )
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_only_this_layer_imports_dagster() -> None:
    package = Path(sys.modules["synth_pipeline"].__file__ or "").parent
    importing = {
        p.relative_to(package).parts[0] for p in package.rglob("*.py") if "import dagster" in p.read_text() or "from dagster" in p.read_text()
    }
    assert importing == {"orchestration"}


def test_steps_that_talk_to_a_database_are_tried_again(place: Place) -> None:
    place.add("shop")
    job = place.definitions().resolve_job_def(JOB)
    retried = {n.name for n in job.nodes if n.definition.retry_policy is not None}
    assert retried == {"reflected_schema", "inferred_metadata", "rfs_subset", "exported_database"}
    assert RETRY_DATABASE.max_retries == 3 and RETRY_DATABASE.backoff is dg.Backoff.EXPONENTIAL


def test_settings_come_from_the_environment(tmp_path: Path) -> None:
    chosen = Settings.from_environment(
        {
            "SYNTH_PIPELINE_CONFIGS": str(tmp_path),
            "SYNTH_PIPELINE_ARTIFACTS": "/a",
            "SYNTH_PIPELINE_EXECUTOR": "dask",
            "SYNTH_PIPELINE_AUTOMATION": "ON",
            "SYNTH_PIPELINE_REPORTS_URL": "http://r/",
            "SYNTH_PIPELINE_OWNERS": "team:a, b@c.org",
        }  # fmt: skip
    )
    assert chosen == Settings(tmp_path, "/a", executor="dask", automation=True, reports_url="http://r", owners=("team:a", "b@c.org"))
    assert not Settings.from_environment({}).automation and Settings.from_environment({}).executor == "multiprocess"
    with pytest.raises(ConfigError, match="SYNTH_PIPELINE_AUTOMATION"):
        Settings.from_environment({"SYNTH_PIPELINE_AUTOMATION": "maybe"})
