"""Executors by name, and the same bytes from those that one machine can run; a worker that is killed loses nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from synth_pipeline import pipeline
from synth_pipeline.artifacts import ArtifactStore
from synth_pipeline.config_files import load_config
from synth_pipeline.errors import ConfigError, MissingExtraError
from synth_pipeline.orchestration import executors
from synth_pipeline.orchestration.build import JOB
from synth_pipeline.orchestration.executors import EXECUTORS, executor
from synth_pipeline.orchestration.settings import Settings
from synth_pipeline.orchestration.ui import prepare
from synth_pipeline_tests.orchestration.conftest import Place
from synth_pipeline_tests.waiting import free_port, until

BIN = Path(sys.executable).parent


@pytest.mark.parametrize("name", EXECUTORS)
def test_every_executor_can_be_made_or_names_its_extra(name: str) -> None:
    if not os.environ.get("CI"):
        try:
            executor(name)
        except MissingExtraError as e:
            pytest.skip(str(e))
    assert executor(name).name == name.replace("celery_", "celery-")


@pytest.mark.parametrize("name", sorted(EXECUTORS.keys() - {"in_process", "multiprocess"}))
def test_a_missing_package_is_named_with_an_extra_that_exists(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import tomllib

    def missing(module: str) -> None:
        raise ImportError(module)

    monkeypatch.setattr(executors.importlib, "import_module", missing)
    with pytest.raises(MissingExtraError, match=rf"The executor '{name}' needs the package '[a-z0-9-]+'") as caught:
        executor(name)
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert caught.value.package in " ".join(project["optional-dependencies"][caught.value.extra])


def test_an_unknown_name_and_a_wrong_configuration_are_told() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'multiprocess'"):
        executor("multiproces")
    assert executor("multiprocess", {"max_concurrent": 1}).name == "multiprocess"
    with pytest.raises(ConfigError, match="'multiprocess' does not take its configuration: see max_concurrent") as caught:
        executor("multiprocess", {"max_concurrent": "geheim"})
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("text", ["[", "a list", '{broker: "redis://:geheim@host"}'])
def test_a_configuration_that_cannot_be_read_or_shows_a_password(text: str) -> None:
    with pytest.raises(ConfigError, match="SYNTH_PIPELINE_EXECUTOR_CONFIG") as caught:
        Settings.from_environment({"SYNTH_PIPELINE_EXECUTOR_CONFIG": text})
    assert "geheim" not in str(caught.value)


# --- runs ----------------------------------------------------------------------------------------------------------------


class Deployment:
    """Processes as an operator starts them, all with the same environment."""

    def __init__(self, place: Place, stack: ExitStack) -> None:
        self.place, self._stack = place, stack
        prepare(place.root / "home")
        self.environment = {
            **os.environ, "DAGSTER_HOME": str(place.root / "home"), "SYNTH_PIPELINE_CONFIGS": str(place.settings.configs), "OMP_NUM_THREADS": "1",
            "PATH": f"{BIN}:{os.environ['PATH']}", "PYTHONPATH": os.pathsep.join(sys.path),
        }  # fmt: skip

    def start(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        log = self._stack.enter_context((self.place.root / f"{name}.log").open("wb"))
        options: dict[str, Any] = {"env": self.environment, "cwd": self.place.root, "stdout": log, "stderr": subprocess.STDOUT}
        process = subprocess.Popen(command, start_new_session=True, **options)
        self._stack.callback(process.wait, 20)
        self._stack.callback(_kill_all, process.pid)
        return process

    def choose(self, executor: str, config: object = None) -> None:
        """What is started from now on is for this executor; its artifacts lie in a folder of that name."""
        self.environment |= {
            "SYNTH_PIPELINE_EXECUTOR": executor, "SYNTH_PIPELINE_EXECUTOR_CONFIG": json.dumps(config or {}),
            "SYNTH_PIPELINE_ARTIFACTS": str(self.place.root / executor),
        }  # fmt: skip

    def run(self) -> subprocess.Popen[bytes]:
        """Starts a refresh of the source `shop`."""
        tags = json.dumps({"dagster/partition": "shop"})
        return self.start("run", "dagster", "job", "execute", "-m", "synth_pipeline.definitions", "-j", JOB, "--tags", tags)

    def content(self, executor: str) -> dict[str, str]:
        """The hashes of subset, synthetic tables and target."""
        store, target = ArtifactStore(self.place.root / executor), self.place.target("shop")
        bundles = {stage: store.open("shop", stage) / "bundle.json" for stage in ("rfs_subset", "synthetic_tables")}
        hashes = {stage: json.loads(bundle.read_text())["content_hash"] for stage, bundle in bundles.items()}
        dump = subprocess.run([sys.executable, "-c", DUMP, str(target)], capture_output=True, text=True, check=True).stdout
        target.unlink()
        return {**hashes, "target": dump}

    def succeeds(self, executor: str, run: subprocess.Popen[bytes]) -> dict[str, str]:
        assert run.wait(240) == 0, (self.place.root / "run.log").read_text()[-3000:]
        return self.content(executor)


def _kill_all(leader: int) -> None:
    """Ends a process and those that it has started: a worker's worker outlives it otherwise."""
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


DUMP = "import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).iterdump(), sep='\\n')"


@pytest.fixture
def deployment(place: Place) -> Iterator[Deployment]:
    place.add("shop", rows=90)
    with ExitStack() as stack:
        yield Deployment(place, stack)


def _expected(deployment: Deployment) -> dict[str, str]:
    """What the command line makes in one process."""
    pipeline.run(load_config("shop", deployment.place.settings.configs), ArtifactStore(deployment.place.root / "alone"))
    return deployment.content("alone")


def test_multiprocess_and_dask_make_the_same_bytes_and_a_killed_worker_loses_nothing(deployment: Deployment) -> None:
    """Of two Dask workers, the one that fits is killed: the other one takes over, and nothing tells the difference."""
    if not os.environ.get("CI"):
        pytest.importorskip("distributed", reason="the extra dask is not installed")
    expected = _expected(deployment)
    deployment.choose("multiprocess", {"max_concurrent": 2})
    assert deployment.succeeds("multiprocess", deployment.run()) == expected

    address = f"tcp://127.0.0.1:{free_port()}"
    deployment.choose("dask", {"address": address})
    deployment.start("scheduler", "dask", "scheduler", "--host", "127.0.0.1", "--port", address.rpartition(":")[2], "--no-dashboard")
    worker = ("dask", "worker", address, "--nworkers", "1", "--nthreads", "1", "--no-nanny", "--no-dashboard", "--name")
    workers = {p.pid: p for p in (deployment.start(name, *worker, name) for name in ("one", "two"))}
    run = deployment.run()
    versions = deployment.place.root / "dask" / "shop" / ".versions"
    staging = until(lambda: next(versions.glob(".staging-*-fitted_synthesizer-*"), None), 120, "the fit", pause=0.002)  # it is short
    victim = int(staging.name.split("-fitted_synthesizer")[0].rpartition("-")[2])
    os.kill(victim, signal.SIGKILL)
    assert victim in workers and workers[victim].wait(10) == -signal.SIGKILL
    assert deployment.succeeds("dask", run) == expected
    assert not list(versions.glob(".staging-*")), "what the dead worker left is swept up"


def test_celery_workers_make_the_same_bytes(deployment: Deployment) -> None:
    """On a real Redis server as broker; its address is given by a variable, as one with a password would be."""
    redis = shutil.which("redis-server")
    if redis is None:
        if os.environ.get("CI"):
            pytest.fail("there is no redis-server on this machine")
        pytest.skip("there is no redis-server on this machine")
    if not os.environ.get("CI"):
        pytest.importorskip("dagster_celery", reason="the extra celery is not installed")
    expected, port = _expected(deployment), free_port()
    deployment.start("redis", redis, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(deployment.place.root))
    deployment.environment["BROKER_URL"] = f"redis://127.0.0.1:{port}/0"
    config = {"broker": {"env": "BROKER_URL"}, "backend": {"env": "BROKER_URL"}}
    deployment.choose("celery", config)
    (deployment.place.root / "celery.yaml").write_text(json.dumps({"execution": {"config": config}}))
    command = ("dagster-celery", "worker", "start", "-A", "dagster_celery.app", "-y", "celery.yaml", "--", "--concurrency", "1")
    worker = deployment.start("worker", *command)
    until(lambda: "ready" in (deployment.place.root / "worker.log").read_text() or worker.poll() is not None, 60, "the worker")
    assert deployment.succeeds("celery", deployment.run()) == expected


