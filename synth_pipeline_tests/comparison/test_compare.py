"""Any pair of databases is scored through the real command line: whoever made them, of whatever kind, complete or not."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pytest

from synth_pipeline.comparison.aligned import converted_values
from synth_pipeline.config import ColumnConfig
from synth_pipeline.errors import ConfigError
from synth_pipeline.metadata.sdv import from_json
from synth_pipeline_tests.comparison.clients import DDL, build, called


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("pair")
    return {name: build(folder / f"{name}.db", seed) for name, seed in (("real", 1), ("other", 2), ("unseen", 3))}


def in_a_process(folder: Path, *arguments: str, env: dict[str, str] | None = None) -> tuple[int, dict[str, Any], str]:
    """The command as a shell runs it: exit code, figures, and what it printed."""
    command = [sys.executable, "-m", "synth_pipeline", "report", *arguments, "--quiet"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env={**os.environ, **(env or {})})
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, figures_in(folder), done.stdout + done.stderr


def report(folder: Path, *arguments: str, env: dict[str, str] | None = None) -> tuple[int, dict[str, Any], str]:
    """The same without the seconds that a process needs to start."""
    code, said = called(folder, "report", *arguments, env=env)
    return code, figures_in(folder), said


def figures_in(folder: Path) -> dict[str, Any]:
    path = folder / "report" / "report.json"
    return json.loads(path.read_text()) if path.exists() else {}


def test_a_pair_is_scored_and_thresholds_decide_the_exit_code(databases: dict[str, str], tmp_path: Path) -> None:
    pair = ["--real", databases["real"], "--synthetic", "env:MADE"]
    code, figures, said = report(tmp_path, *pair, env={"MADE": databases["other"]})
    assert code == 0 and "quality" in said and "report/report.html" in said
    assert figures["schema"] == {**figures["schema"], "equal": True, "differences": []}
    assert figures["verdict"]["privacy"]["replayed"] == 0 and figures["verdict"]["privacy"]["level"] == "Normal"
    assert figures["facts"]["databases"] == {"real": databases["real"], "synthetic": databases["other"]}
    assert figures["relationships"][0]["null_synthetic"] == figures["relationships"][0]["null_real"] == 0, "NOCASE keys join without case"
    code, _, said = in_a_process(tmp_path, *pair, "--quality-min", "1", env={"MADE": databases["other"]})
    assert code == 1 and "is below quality_min 1" in said
    code, _, said = report(tmp_path, *pair, "--quality-min", "0.5", "--json", env={"MADE": databases["other"]})
    assert code == 0 and json.loads(said)["failed"] is False


def test_the_database_of_a_configuration_with_its_thresholds(databases: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    source = f'source: {{url: "{databases["real"]}"}}\ntables: {{exclude: [visit]}}\n'
    (tmp_path / "configs" / "crm.yaml").write_text(source + "checks: {quality_min: 1.0}\n")
    code, figures, said = report(tmp_path, "crm", "--synthetic", databases["other"])
    assert code == 1 and "quality_min" in said and set(figures["tables"]) == {"region", "client"} and figures["facts"]["source"] == "crm"


def test_unseen_rows_give_the_ceilings_and_tell_a_copy_from_a_likeness(databases: dict[str, str], tmp_path: Path) -> None:
    """All three databases number their rows from one: keys of the real and of the unseen rows do not mix."""
    arguments = ["--real", databases["real"], "--holdout", databases["unseen"], "--privacy-max-nearer", "0.6"]
    code, honest, _ = report(tmp_path, *arguments, "--synthetic", databases["other"])
    assert code == 0 and honest["verdict"]["privacy"]["level"] == "Good" and honest["verdict"]["privacy"]["held_out"]
    assert {t["ceiling_basis"] for n, t in honest["tables"].items() if n == "visit"} == {"held-out rows"}
    assert 0.4 < next(p["nearer"] for p in honest["privacy"] if p["table"] == "visit") < 0.6
    assert honest["properties"]["hop1"]["score"] > honest["properties"]["hop1"]["ceiling"] - 0.05
    code, copy, said = report(tmp_path, *arguments, "--synthetic", databases["real"])
    assert code == 1 and copy["verdict"]["privacy"]["level"] == "At risk" and "privacy_max_nearer" in said
    assert next(p["nearer_low"] for p in copy["privacy"] if p["table"] == "visit") > 0.6


def changed(tmp_path: Path, change: Callable[[sqlite3.Connection], Any], *, seed: int = 2) -> str:
    url = build(tmp_path / "made.db", seed)
    with closing(sqlite3.connect(tmp_path / "made.db")) as connection:
        change(connection)
        connection.commit()
    return url


def test_what_is_missing_or_of_another_type_is_named_and_scored(databases: dict[str, str], tmp_path: Path) -> None:
    made = changed(tmp_path, lambda c: c.executescript("""
        DROP TABLE visit; ALTER TABLE client DROP COLUMN plan; ALTER TABLE client RENAME TO CLIENT_;
        CREATE TABLE "Client" (id TEXT, Region TEXT, email TEXT, age TEXT, income TEXT, joined TEXT, extra INTEGER);
        INSERT INTO "Client" SELECT id, region, email, CASE WHEN id < 5 THEN 'old' ELSE age END, income, joined || ' 00:00:00', 1 FROM CLIENT_;
        DROP TABLE CLIENT_;
    """))  # fmt: skip
    code, figures, _ = report(tmp_path, "--real", databases["real"], "--synthetic", made)
    assert code == 1
    lines = figures["schema"]["differences"]
    for line in (
        "table visit is missing", "column client.plan is missing", "column client.extra is in the synthetic database only",
        "table client lacks the primary key (id)", "table client lacks the foreign key (region) → region",
        "column client.age is TEXT instead of INTEGER",
    ):  # fmt: skip
        assert line in lines, line
    broken = " ".join(r["text"] for r in figures["integrity"] if r["kind"] == "schema_conformance" and r["violations"])
    assert "the table is missing" in broken and "the column plan is missing" in broken and "4 values of age are no int64" in broken
    assert figures["verdict"]["first"][0]["area"] == "integrity"
    assert figures["tables"]["visit"]["rows_synthetic"] == 0 and figures["tables"]["client"]["rows_synthetic"] == 300
    shapes = {c["column"]: c["score"] for c in figures["tables"]["client"]["columns"]}
    assert min(shapes["age"], shapes["income"], shapes["joined"]) > 0.85, "text that holds numbers and dates is read as such"


def test_a_folder_of_files_against_a_database(databases: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    with closing(sqlite3.connect(databases["other"].removeprefix("sqlite:///"))) as connection:
        for name in ("region", "client", "visit"):
            cursor = connection.execute(f"SELECT * FROM {name}")
            names = [d[0] for d in cursor.description]
            pyarrow.csv.write_csv(pa.table(dict(zip(names, zip(*cursor.fetchall(), strict=True), strict=True))), folder / f"{name}.csv")
    code, figures, _ = report(tmp_path, "--real", databases["real"], "--synthetic", f"files://{folder}")
    assert code == 0 and figures["verdict"]["integrity"]["broken"] == 0
    assert "table visit lacks the foreign key (client_id) → client" in figures["schema"]["differences"]
    assert figures["properties"]["shape"]["score"] > 0.9 and figures["relationships"][1]["score"] > 0.9


def test_metadata_of_others_is_taken_at_its_word(databases: dict[str, str], tmp_path: Path) -> None:
    columns = {"id": {"sdtype": "id"}, "plan": {"sdtype": "categorical"}, "income": {"sdtype": "numerical", "computer_representation": "Float"}}
    payload = {
        "METADATA_SPEC_VERSION": "V1", "tables": {"client": {"columns": {**columns, "place": {"sdtype": "unknown", "pii": True}}}},
        "relationships": [
            {"parent_table_name": "client", "parent_primary_key": "id", "child_table_name": "visit", "child_foreign_key": "client_id"}
        ],
    }  # fmt: skip
    overrides, relationships = from_json(payload, "it")
    assert overrides["client.plan"] == ColumnConfig(sdtype="categorical") and "client.place" not in overrides
    assert relationships[0].columns == ("client_id",) and relationships[0].parent_columns == ("id",)
    with pytest.raises(ConfigError, match="it is no metadata"):
        from_json({"columns": {}}, "it")
    payload["tables"]["client"]["columns"] = {**columns, "email": {"sdtype": "categorical", "pii": False}}  # type: ignore[index]
    (tmp_path / "m.json").write_text(json.dumps(payload))
    code, figures, _ = report(tmp_path, "--real", databases["real"], "--synthetic", databases["real"], "--metadata", "m.json")
    assert code == 0 and figures["verdict"]["privacy"]["replayed"] == 0, "the addresses are personal no longer"
    (tmp_path / "m.json").write_text(json.dumps({"tables": {"client": {"columns": {"nme": {"sdtype": "id"}}}}}))
    code, _, said = report(tmp_path, "--real", databases["real"], "--synthetic", databases["real"], "--metadata", "m.json")
    assert code == 2 and "nme" in said


def test_rows_on_a_server_against_a_file(databases: dict[str, str], new_database: Callable[..., str], tmp_path: Path) -> None:
    import psycopg

    url = new_database("real")
    with psycopg.connect(url) as server, closing(sqlite3.connect(databases["real"].removeprefix("sqlite:///"))) as file:
        server.execute(DDL.replace("COLLATE NOCASE", ""))
        for name in ("region", "client", "visit"):
            rows = file.execute(f"SELECT * FROM {name}").fetchall()
            if name == "region":
                rows = [(code.lower(), title) for code, title in rows]
            with server.cursor().copy(f"COPY {name} FROM STDIN".encode()) as copy:
                for row in rows:
                    copy.write_row(row)
    code, figures, _ = report(tmp_path, "--real", "env:REAL", "--synthetic", databases["other"], env={"REAL": url})
    assert code == 1, "codes of regions differ in case, which PostgreSQL tells apart"
    assert figures["verdict"]["integrity"]["broken"] == 1 and figures["schema"]["differences"] == []
    assert figures["properties"]["shape"]["score"] > 0.9


@pytest.mark.parametrize(
    ("values", "target", "expected"),
    [
        (["1", "x", None, "2.0"], pa.int64(), [1, None, None, 2]),
        ([1.0, 2.5, None], pa.int64(), [1, None, None]),
        ([34.799999, None], pa.decimal128(10, 2), ["34.80", None]),
        (["2020-01-02 03:04:05", "never"], pa.timestamp("us"), ["2020-01-02 03:04:05", None]),
        (["2020-01-02T00:00:00"], pa.date32(), ["2020-01-02"]),
        (["yes", "f", "?"], pa.bool_(), [True, False, None]),
        ([1, 0], pa.bool_(), [True, False]),
        ([7], pa.string(), ["7"]),
        ([b"ab"], pa.string(), ["ab"]),
        ([b"12"], pa.int64(), [12]),
        (["ab"], pa.binary(), [b"ab"]),
        ([[1]], pa.int64(), [None]),
    ],
)
def test_values_are_converted_or_counted_as_lost(values: list[Any], target: pa.DataType, expected: list[Any]) -> None:
    found = converted_values(pa.array(values), target)
    assert found.type == target
    shown = found.to_pylist()
    assert [str(v) if isinstance(e, str) and not isinstance(v, str) else v for v, e in zip(shown, expected, strict=True)] == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "There is nothing to report on."),
        (["--real", "sqlite:///x.db"], "--real is for a pair of databases."),
        (["--synthetic", "sqlite:///x.db"], "The real database is needed once."),
        (["--real", "sqlite:///x.db", "--synthetic", "sqlite:///x.db", "--quality-min", "2"], "'2' is no number from 0 to 1"),
        (["--real", "postgresql://u:hush@h/d", "--synthetic", "sqlite:///x.db"], "holds a password"),
        (["--real", "sqlite:///x.db", "--synthetic", "x.db"], "`--synthetic` is no database URL"),
        (["--real", "env:NOT_THERE", "--synthetic", "sqlite:///x.db"], "the environment variable NOT_THERE is not set"),
    ],
)
def test_wrong_usage_is_one_line_without_secrets(tmp_path: Path, arguments: list[str], message: str) -> None:
    code, figures, said = report(tmp_path, *arguments)
    assert code == 2 and message in said and not figures and len(said.splitlines()) == 1 and "hush" not in said


def test_a_database_that_is_not_there_is_exit_code_3_and_leaves_nothing(databases: dict[str, str], tmp_path: Path) -> None:
    code, figures, said = report(tmp_path, "--real", databases["real"], "--synthetic", "sqlite:///nowhere.db")
    assert code == 3 and "There is no database file" in said and not figures and not (tmp_path / "report").exists()
