"""The command line in a process of its own: exit codes, one clear line per problem, one JSON document on request."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from synth_pipeline import cli
from synth_pipeline.artifacts import CLI_STAGES


def run(folder: Path, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "synth_pipeline", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env={**os.environ, **(env or {})})


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "shop.yaml").write_text('source: {url: "sqlite:///shop.db"}\n')
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        connection.executescript("""
            CREATE TABLE client (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
            CREATE TABLE visit (id INTEGER PRIMARY KEY, client_id INTEGER NOT NULL REFERENCES client (id), day DATE);
            INSERT INTO client VALUES (1, 'Ann'), (2, 'Bob');
            INSERT INTO visit VALUES (1, 1, '2020-01-01'), (2, 1, '2020-02-01');
        """)
    return tmp_path


def test_the_stages_of_the_command_line_are_those_of_the_artifacts() -> None:
    assert tuple(cli.STAGES) == tuple(CLI_STAGES.values())


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["demo", "--help"], ["--version"]])
def test_help_is_no_error(tmp_path: Path, arguments: list[str]) -> None:
    done = run(tmp_path, *arguments)
    assert done.returncode == 0 and "synth-pipeline" in done.stdout and not done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: COMMAND"),
        (["rnu"], "there is no 'rnu'. Did you mean 'run'?"),
        (["run"], "required: CONFIG"),
        (["run", "shop", "--form", "fit"], "unknown argument '--form'. Did you mean '--from'?"),
        (["run", "shop", "--to", "exprot"], "there is no 'exprot'. Did you mean 'export'?"),
        (["run", "shop", "--from", "fit", "--to", "infer"], "Stage 'fit' comes after stage 'infer'"),
        (["run", "shop", "--scale", "0"], "'0' is no number above 0"),
        (["run", "shop", "--scale", "nan"], "'nan' is no number above 0"),
        (["run", "shop", "--seed", "-1"], "'-1' is no whole number"),
        (["run", "shpo"], "no such configuration. Did you mean 'shop'?"),
        (["fit", "shop"], "There is no artifact reflected_schema of shop in artifacts. Make it first: synth-pipeline run shop --to subset."),
        (["diff", "shop"], "There is no artifact reflected_schema of shop"),
        (["export", "shop"], "synth-pipeline run shop --to sample."),
        (["validate", "--configs", "nowhere"], "There is no configuration in nowhere/"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line_and_exit_code_2(shop: Path, arguments: list[str], message: str) -> None:
    done = run(shop, *arguments)
    assert done.returncode == 2 and message in done.stderr and not done.stdout
    assert len(done.stderr.splitlines()) == 1


def test_validate_tells_the_problems_of_every_file(shop: Path) -> None:
    assert run(shop, "validate").returncode == 0
    (shop / "configs" / "bad.yaml").write_text("sorce: {}\nsubset: {seed: x}\n")
    done = run(shop, "validate")
    assert done.returncode == 2
    assert "bad:1: unknown key `sorce`. Did you mean 'source'?" in done.stdout.replace("configs/bad.yaml", "bad") and "shop: ok" in done.stdout
    found = json.loads(run(shop, "validate", "--json").stdout)
    assert found["shop"] == [] and [p["line"] for p in found["bad"]] == [None, 1, 2]


def test_reflect_shows_the_tables_and_publishes_the_artifact(shop: Path) -> None:
    done = run(shop, "reflect", "shop")
    assert done.returncode == 0 and "client" in done.stdout and "visit" in done.stdout
    assert (shop / "artifacts" / "shop" / "reflected_schema" / "schema.json").exists()


def test_diff_names_what_changed(shop: Path) -> None:
    assert run(shop, "reflect", "shop", "--quiet").returncode == 0
    assert "as it was" in run(shop, "diff", "shop").stdout
    with closing(sqlite3.connect(shop / "shop.db")) as connection:
        connection.execute("ALTER TABLE client ADD COLUMN city TEXT")
    done = run(shop, "diff", "shop")
    assert done.returncode == 0 and "column client.city added" in done.stdout
    assert run(shop, "diff", "shop", "--exit-code").returncode == 1
    assert "column client.city added" in json.loads(run(shop, "diff", "shop", "--json").stdout)["changes"]


def test_the_plan_of_a_subset_reads_no_rows(shop: Path) -> None:
    assert run(shop, "run", "shop", "--to", "infer", "--quiet").returncode == 0
    done = run(shop, "subset", "shop", "--plan")
    assert done.returncode == 0 and "client" in done.stdout
    assert not (shop / "artifacts" / "shop" / "rfs_subset").exists()


def test_json_is_one_document_also_for_errors(shop: Path) -> None:
    found = json.loads(run(shop, "run", "shop", "--to", "subset", "--json").stdout)
    assert [s["stage"] for s in found["stages"]] == ["reflect", "infer", "subset"] and found["source"] == "shop"
    done = run(shop, "run", "nothing", "--json")
    assert json.loads(done.stdout)["exit_code"] == done.returncode == 2


def test_a_fault_of_the_program_is_one_line_without_values_and_debug_shows_where(shop: Path) -> None:
    code = (
        "import sys; from synth_pipeline import cli, pipeline\n"
        "def broken(*a, **k): raise RuntimeError('value of a row')\n"
        "pipeline.run = broken; sys.exit(cli.main(sys.argv[1:]))"
    )
    done = subprocess.run([sys.executable, "-c", code, "run", "shop"], cwd=shop, capture_output=True, text=True, check=False)
    assert done.returncode == 70 and len(done.stderr.splitlines()) == 1
    assert "Unexpected RuntimeError" in done.stderr and "value of a row" not in done.stderr
    done = subprocess.run([sys.executable, "-c", code, "run", "shop", "--debug"], cwd=shop, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "Traceback" in done.stderr


def test_an_interrupt_is_one_line_and_leaves_no_staging_behind(shop: Path) -> None:
    code = (
        "import os, signal, sys; from synth_pipeline import cli, pipeline\n"
        "def slow(*a, **k): os.kill(os.getpid(), int(os.environ['SIGNAL'])); import time; time.sleep(30)\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # whatever these tests were started by
        "pipeline.infer = slow; sys.exit(cli.main(sys.argv[1:]))"
    )
    for number, returned in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        done = subprocess.run(
            [sys.executable, "-c", code, "run", "shop", "--quiet"], cwd=shop, capture_output=True, text=True, check=False,
            env={**os.environ, "SIGNAL": str(int(number))}, timeout=60,
        )  # fmt: skip
        assert done.returncode == returned and "Traceback" not in done.stderr
        assert not list((shop / "artifacts" / "shop" / ".versions").glob(".staging*"))


def test_the_folders_come_from_the_environment_too(shop: Path) -> None:
    done = run(shop, "reflect", "shop", env={"SYNTH_PIPELINE_ARTIFACTS": "elsewhere"})
    assert done.returncode == 0 and (shop / "elsewhere" / "shop").is_dir() and not (shop / "artifacts").exists()
