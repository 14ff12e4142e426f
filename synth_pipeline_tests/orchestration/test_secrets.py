"""A marked password is given to everything that takes one, in runs that succeed and that fail; afterwards it is nowhere."""

from __future__ import annotations

import logging
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster._serdes import serialize_value

from synth_pipeline.orchestration.build import JOB, build_definitions
from synth_pipeline_tests.orchestration.conftest import Place, PostgresqlDatabases

MARK = "Gehe1m-Marke-4711"
PERSON = "person7@example.org"


def _with_password(url: str) -> str:
    """The server of these tests asks for no password, and takes any."""
    return url.replace("postgresql://postgres@", f"postgresql://postgres:{MARK}@").replace("postgresql://postgres:@", f"postgresql://postgres:{MARK}@")


@pytest.fixture
def guarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgresql_server: str, new_database: Callable[[str], str]) -> Iterator[Place]:
    """A source and a target whose URLs, in variables, hold the password; one more source that cannot be reached; a webhook."""
    databases = PostgresqlDatabases(postgresql_server, new_database)
    place = Place(tmp_path, databases)
    place.add("shop", rows=60)
    monkeypatch.setenv("SHOP_URL", _with_password(databases.make("shop")))
    monkeypatch.setenv("COPY_URL", _with_password(databases.make("shop_synthetic")))
    monkeypatch.setenv("DOWN_URL", f"postgresql://postgres:{MARK}@127.0.0.1:1/nowhere")
    monkeypatch.setenv("SYNTH_PIPELINE_WEBHOOK", f"http://127.0.0.1:1/{MARK}")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", MARK)
    assert all(MARK in os.environ[name] for name in ("SHOP_URL", "COPY_URL", "DOWN_URL"))
    place.write("shop", "source: {url_env: SHOP_URL}\nexport: {url_env: COPY_URL}\n")
    place.write("down", "source: {url_env: DOWN_URL}\nexport: {url_env: COPY_URL}\n")
    place.write("odd", "source: {url_env: AWS_SECRET_ACCESS_KEY}\n")
    yield place


def _files_with(root: Path, *values: str) -> list[str]:
    wanted = [v.encode() for v in values]
    return [str(p) for p in root.rglob("*") if p.is_file() and any(v in p.read_bytes() for v in wanted)]


def test_a_password_is_nowhere_after_runs_that_succeed_and_that_fail(
    guarded: Place, instance: dg.DagsterInstance, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    definitions = build_definitions(guarded.settings)
    job = definitions.resolve_job_def(JOB)
    for source, succeeds in (("shop", True), ("odd", False)):
        result = job.execute_in_process(partition_key=source, instance=instance, raise_on_error=False)
        assert result.success is succeeds, source
        assert result.all_events
        for log in instance.all_logs(result.run_id):
            assert MARK not in log.to_json() and MARK not in serialize_value(log), source
    snapshot = serialize_value(RepositorySnap.from_def(definitions.get_repository_def()))
    assert len(snapshot) > 10_000 and MARK not in snapshot

    said = ""
    for arguments in (("run", "down", "--debug"), ("diff", "shop", "--json"), ("reflect", "odd"), ("validate",), ("export", "shop", "--json")):
        command = [sys.executable, "-m", "synth_pipeline", *arguments, "--configs", str(guarded.settings.configs)]
        if arguments[0] != "validate":
            command += ["--artifacts", guarded.settings.artifacts]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=guarded.root)
        assert done.returncode == (0 if "--json" in arguments else 1 if "--debug" in arguments else 2), done.stderr
        said += done.stdout + done.stderr
    printed = capfd.readouterr()
    assert len(said) > 1_000 and MARK not in said + caplog.text + printed.out + printed.err

    files = _files_with(guarded.root, MARK)  # records of Dagster, artifacts, reports, compute logs
    assert files == [] and (guarded.root / "artifacts" / "shop" / "quality_report" / "report.html").exists()
    # Nor is a personal value anywhere but in the artifact that is said to hold real rows.
    assert [f for f in _files_with(guarded.root, PERSON) if "rfs_subset" not in f] == []
    with closing(sqlite3.connect(next(guarded.root.rglob("runs.db")))) as records:
        assert MARK not in "\n".join(records.iterdump())
