"""The main job on real databases: a file with `source` and `export` alone, and a copy that no constraint refuses."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from synth_pipeline import demo, pipeline
from synth_pipeline.artifacts import ArtifactStore
from synth_pipeline.config import overridden
from synth_pipeline.config_files import load_config

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("chinook", "northwind", "sakila", "oracle_hr", "oracle_hr_oe", "pubs", "employees_small", "ensembl_core")


def configured(folder: Path, source: Path, name: str) -> Path:
    (folder / "configs").mkdir(exist_ok=True)
    path = folder / "configs" / f"{name}.yaml"
    path.write_text(f'source: {{url: "sqlite:///{source}"}}\nexport: {{url: "sqlite:///{folder}/out/{name}.db"}}\n')
    return path


def read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True)


def unique_sets(connection: sqlite3.Connection, table: str) -> Iterator[list[str]]:
    """The columns of the primary key and of every full unique index."""
    key = [row[1] for row in sorted(connection.execute(f'PRAGMA table_info("{table}")'), key=lambda r: r[5]) if row[5]]
    if key:
        yield key
    for _, index, unique, _, partial in connection.execute(f'PRAGMA index_list("{table}")').fetchall():
        columns = [row[2] for row in connection.execute(f'PRAGMA index_info("{index}")')]
        if unique and not partial and None not in columns:
            yield columns


@pytest.mark.parametrize("name", NAMES)
def test_an_unedited_file_is_enough_for_any_database(shared_data: Path, tmp_path: Path, name: str) -> None:
    config = load_config(configured(tmp_path, shared_data / f"{name}.db", name))
    store = ArtifactStore(tmp_path / "artifacts")
    pipeline.run(config, store, last="sample")
    summary = pipeline.run(config, store, first="export")
    assert summary.target

    with closing(read_only(shared_data / f"{name}.db")) as source, closing(read_only(tmp_path / "out" / f"{name}.db")) as target:
        master = "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_stat%' ORDER BY type, name"
        assert target.execute(master).fetchall() == source.execute(master).fetchall()
        assert target.execute("PRAGMA foreign_key_check").fetchall() == []
        assert target.execute("PRAGMA integrity_check").fetchone() == ("ok",)  # evaluates NOT NULL, UNIQUE and CHECK as well
        for (table,) in source.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").fetchall():
            (before,), (after,) = (c.execute(f'SELECT count(*) FROM "{table}"').fetchone() for c in (source, target))
            assert before <= 100 or abs(after - before) <= 0.05 * before, table
            for columns in unique_sets(target, table):
                listed, known = ", ".join(f'"{c}"' for c in columns), " AND ".join(f'"{c}" IS NOT NULL' for c in columns)
                assert target.execute(f'SELECT 1 FROM "{table}" WHERE {known} GROUP BY {listed} HAVING count(*) > 1').fetchone() is None
        for (view,) in source.execute("SELECT name FROM sqlite_master WHERE type = 'view'").fetchall():
            target.execute(f'SELECT * FROM "{view}" LIMIT 5').fetchall()
    if name == "chinook":
        great_expectations_agrees(tmp_path, name)


def great_expectations_agrees(folder: Path, name: str) -> None:
    """A suite for every table, met by the real rows and by the synthetic ones."""
    for rows in ("subset", "synthetic"):
        command = [sys.executable, "-m", "synth_pipeline", "expectations", name, "--rows", rows, "--json"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        found = json.loads(done.stdout)
        assert done.returncode == 0 and all(r["success"] for r in found), [r for r in found if not r["success"]]
        assert len({r["rule"]["table"] for r in found}) == 11
        assert {r["rule"]["kind"] for r in found} >= {"schema_conformance", "not_null", "unique_keys", "referential_integrity"}


def test_a_seed_gives_the_same_tables_again_and_another_seed_others(shared_data: Path, tmp_path: Path) -> None:
    config = load_config(configured(tmp_path, shared_data / "chinook.db", "chinook"))

    def contents(folder: str, seed: int) -> str:
        store = ArtifactStore(tmp_path / folder)
        pipeline.run(overridden(config, seed=seed), store, last="sample")
        pipeline.run(config, store, first="export")
        digest = hashlib.sha256()
        with closing(read_only(tmp_path / "out" / "chinook.db")) as connection:
            for line in connection.iterdump():
                digest.update(line.encode())
        return digest.hexdigest()

    first = contents("first", 7)
    assert contents("second", 7) == first
    assert contents("third", 8) != first


def test_a_later_stage_goes_on_from_what_the_store_holds(shared_data: Path, tmp_path: Path) -> None:
    config = load_config(configured(tmp_path, shared_data / "pubs.db", "pubs"))
    store = ArtifactStore(tmp_path / "artifacts")
    whole = pipeline.run(config, store)
    assert [s.stage for s in whole.stages] == list(pipeline.VERBS)
    assert whole.integrity is not None and whole.integrity["broken"] == 0 and whole.quality is not None and 0 < whole.quality <= 1
    assert whole.report and Path(whole.report).read_text().startswith("<!") and whole.target
    assert sum(t.synthetic or 0 for t in whole.tables) > 0
    before = store.manifest("pubs", "fitted_synthesizer")["created_at"]
    again = pipeline.run(overridden(config, scale=2.0), store, first="sample", last="sample")
    assert [s.stage for s in again.stages] == ["sample"] and store.manifest("pubs", "fitted_synthesizer")["created_at"] == before
    rows = {t.table: t for t in again.tables}
    assert rows["sales"].synthetic is not None and rows["sales"].source is not None and rows["sales"].synthetic > 1.5 * rows["sales"].source


def test_a_failed_quality_check_of_severity_error_keeps_the_target(shared_data: Path, tmp_path: Path) -> None:
    path = configured(tmp_path, shared_data / "oracle_hr.db", "oracle_hr")
    path.write_text(path.read_text() + "checks: {quality_min: 1.0, severity: error}\n")
    command = [sys.executable, "-m", "synth_pipeline", "run", str(path), "--quiet"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "quality" in done.stdout, done.stderr
    assert not (tmp_path / "out" / "oracle_hr.db").exists()


def test_the_example_of_the_readme_runs_as_it_stands(tmp_path: Path) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    demo.build(tmp_path / "data" / "telecom.db")
    done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "client_id" in done.stdout and "quality 0." in done.stdout
    assert (tmp_path / "out" / "report" / "report.html").exists()
    with closing(read_only(tmp_path / "out" / "telecom_synthetic.db")) as target:
        assert target.execute("SELECT count(*) FROM account").fetchone()[0] > 5_000
        assert target.execute("SELECT count(*) FROM invoice").fetchone() == (0,)
