"""What is left after a fault, as the table in docs/operating.md says: what was published is whole, what was under way is not seen.

Full disks and damaged files are in `test_bad_input`, targets that are killed in `export`, runs of one source at once in
`test_locking` and, for Dagster, in `orchestration.test_docker`.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path

import pytest

from synth_pipeline import pipeline
from synth_pipeline.artifacts import CLI_STAGES, STAGES, ArtifactStore
from synth_pipeline.config_files import load_config
from synth_pipeline.errors import ArtifactError, SynthPipelineError, UnreachableError
from synth_pipeline.progress import Silent, Step
from synth_pipeline_tests.orchestration.conftest import Place, PostgresqlDatabases

NEEDS_SOURCE = ("reflect", "infer", "subset", "export")
VERBS = [v for v in pipeline.VERBS if v != "report"]
"""The report is measured from artifacts alone and takes longest; what it needs is asked for by the test of deleted artifacts."""


def _versions(store: ArtifactStore) -> dict[str, str]:
    """What is published, after every file was compared with its recorded hash."""
    return {stage: store.open("shop", stage).name for stage in STAGES if store.exists("shop", stage)}


def _left(store: ArtifactStore) -> list[Path]:
    return list((Path(store.root) / "shop" / ".versions").glob(".*"))


def test_a_database_that_is_down_stops_the_stages_that_read_it_and_no_other(
    tmp_path: Path, postgresql_server: str, new_database: Callable[[str], str]
) -> None:
    databases = PostgresqlDatabases(postgresql_server, new_database)
    place = Place(tmp_path, databases)
    place.add("shop", rows=60)
    config, store = load_config("shop", place.settings.configs), ArtifactStore(place.settings.artifacts)
    for verb in VERBS:
        before = _versions(store)
        databases.hide("shop")
        if verb in NEEDS_SOURCE:
            with pytest.raises(UnreachableError) as caught:
                pipeline.run(config, store, first=verb, last=verb)
            assert caught.value.exit_code == 3 and caught.value.remedy
            assert _versions(store) == before and _left(store) == [], verb
            databases.show("shop")
            pipeline.run(config, store, first=verb, last=verb)
        else:
            pipeline.run(config, store, first=verb, last=verb)
            databases.show("shop")

    before = _versions(store)
    databases.hide("shop_synthetic")
    with pytest.raises(UnreachableError):
        pipeline.run(config, store, first="export")
    assert _versions(store) == before


def test_a_database_that_goes_down_while_the_subset_is_taken(tmp_path: Path, postgresql_server: str, new_database: Callable[[str], str]) -> None:
    databases = PostgresqlDatabases(postgresql_server, new_database)
    place = Place(tmp_path, databases)
    place.add("shop", rows=60)
    config, store = load_config("shop", place.settings.configs), ArtifactStore(place.settings.artifacts)
    pipeline.run(config, store, last="infer")
    before, cut = _versions(store), []

    class Cut(Silent):
        def step(self, title: str, total: float | None = None) -> AbstractContextManager[Step]:
            if not cut:
                databases.hide("shop")
            cut.append(title)
            return super().step(title, total)

    with pytest.raises(SynthPipelineError) as caught:
        pipeline.run(config, store, first="subset", last="subset", progress=Cut())
    assert cut and "Unexpected" not in str(caught.value)
    assert _versions(store) == before and _left(store) == []


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which all stages ran once."""
    place = Place(tmp_path_factory.mktemp("faults"))
    place.add("shop", rows=60)
    config, store = load_config("shop", place.settings.configs), ArtifactStore(place.settings.artifacts)
    pipeline.run(config, store)
    return place.root


@pytest.fixture
def shop(finished: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged; source and target stay where they are."""
    return Path(shutil.copytree(finished, tmp_path / "shop", symlinks=True))


@pytest.mark.parametrize("stage", STAGES[:5])
def test_a_deleted_artifact_is_named_with_the_command_that_makes_it(shop: Path, stage: str) -> None:
    config, store = load_config("shop", shop / "configs"), ArtifactStore(shop / "artifacts")
    shutil.rmtree(store.open("shop", stage))
    for verb in pipeline.VERBS[pipeline.VERBS.index(CLI_STAGES[stage]) + 1 :]:
        if stage in ("reflected_schema", "inferred_metadata") or verb in ("report", "fit") or (stage, verb) == ("synthetic_tables", "export"):
            before = _versions(store)
            with pytest.raises(ArtifactError, match=f"no artifact {stage} of shop.*synth-pipeline run shop --to "):
                pipeline.run(config, store, first=verb, last=verb)
            assert _versions(store) == before
    pipeline.run(config, store, first=CLI_STAGES[stage], last=CLI_STAGES[stage])
    assert store.exists("shop", stage)


KILLED = """
import os, signal, sys
from synth_pipeline import cli, pipeline
verb = sys.argv.pop(1)
real = getattr(pipeline, verb)
def killed(*given, **named):
    real(*given, **named)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(pipeline, verb, killed)
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.parametrize("verb", ["subset", "sample", "export"])
def test_a_process_that_is_killed_at_the_end_of_a_stage_has_published_nothing(shop: Path, verb: str) -> None:
    """SIGKILL comes when all files of the stage are written, right before they become an artifact."""
    store, stage = ArtifactStore(shop / "artifacts"), next(s for s, v in CLI_STAGES.items() if v == verb)
    before = _versions(store)
    command = [sys.executable, "-c", KILLED, verb, verb, "shop", "--quiet"]
    done = subprocess.run(command, cwd=shop, capture_output=True, check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert done.returncode == -signal.SIGKILL
    assert _versions(store) == before and len(_left(store)) == 1
    config = load_config("shop", shop / "configs")
    pipeline.run(config, store, first=verb, last=verb)
    assert _left(store) == [] and _versions(store)[stage] != before[stage]
    target = (config.export.url or "").removeprefix("sqlite:///") if config.export else ""
    with closing(sqlite3.connect(f"file:{target}?mode=ro", uri=True)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT count(*) FROM purchase").fetchone() == (60,)
