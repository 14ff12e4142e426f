"""Whatever is wrong with what a user gives: one clear line with the remedy, the documented exit code, the target untouched."""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

SHOP = """
CREATE TABLE client (id INTEGER PRIMARY KEY, name VARCHAR(40) NOT NULL, city TEXT);
CREATE TABLE visit (id INTEGER PRIMARY KEY, client_id INTEGER NOT NULL REFERENCES client (id), day DATE NOT NULL, paid NUMERIC(8, 2));
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60)
INSERT INTO client SELECT i, 'Client number ' || i, CASE i % 3 WHEN 0 THEN 'Bonn' WHEN 1 THEN 'Ulm' END FROM n;
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000)
INSERT INTO visit SELECT i, 1 + i * i % 60, date('2020-01-01', (i * 7 % 900) || ' days'), i * 13 % 500 / 10.0 FROM n;
"""
CONFIG = 'source: {url: "sqlite:///shop.db"}\nexport: {url: "sqlite:///out/copy.db"}\n'


def run(folder: Path, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "synth_pipeline", *arguments, "--quiet"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload, no-any-return]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which everything but the report has run once: source, configuration, artifacts, target."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "configs").mkdir()
    (folder / "configs" / "shop.yaml").write_text(CONFIG)
    with closing(sqlite3.connect(folder / "shop.db")) as connection:
        connection.executescript(SHOP)
    assert run(folder, "run", "shop", "--to", "sample").returncode == 0
    assert run(folder, "export", "shop").returncode == 0
    return folder


@pytest.fixture
def shop(finished: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(finished, tmp_path / "shop", symlinks=True))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def refused(folder: Path, code: int, *parts: str, arguments: tuple[str, ...] = ("run", "shop"), **options: object) -> str:
    """Runs the command and holds the outcome against what is promised; returns the line."""
    before = digest(folder / "out" / "copy.db")
    done = run(folder, *arguments, **options)
    assert done.returncode == code, done.stderr + done.stdout
    (line,) = done.stderr.splitlines()
    assert all(part in line for part in parts), line
    assert digest(folder / "out" / "copy.db") == before
    assert [p.name for p in (folder / "out").iterdir()] == ["copy.db"], "something was left beside the target"
    return line


def configure(folder: Path, text: str) -> None:
    (folder / "configs" / "shop.yaml").write_text(text)


def test_a_source_that_does_not_exist(shop: Path) -> None:
    configure(shop, CONFIG.replace("shop.db", "shpo.db"))
    refused(shop, 3, "shpo.db")
    assert not (shop / "shpo.db").exists()


def test_a_source_that_is_no_database(shop: Path) -> None:
    (shop / "shop.db").write_text("name,city\n" * 1000)
    refused(shop, 2, "shop.db is not a SQLite database", "Give the path")


def test_an_unknown_key(shop: Path) -> None:
    configure(shop, CONFIG + "sampel: {scale: 2}\n")
    refused(shop, 2, "shop.yaml:3", "unknown key `sampel`", "Did you mean 'sample'?")


def test_a_wrong_type(shop: Path) -> None:
    configure(shop, CONFIG + "sample: {scale: double}\n")
    refused(shop, 2, "shop.yaml:3", "`sample.scale` must be a number, not text")


def test_a_missing_environment_variable(shop: Path) -> None:
    configure(shop, CONFIG.replace('url: "sqlite:///shop.db"', "url_env: SHOP_DATABASE_URL"))
    refused(shop, 2, "SHOP_DATABASE_URL is not set", "Set it")


def test_a_password_in_a_file(shop: Path) -> None:
    configure(shop, CONFIG.replace("sqlite:///shop.db", "postgresql://me:geheim@localhost/shop"))
    assert "geheim" not in refused(shop, 2, "holds a password", "url_env")


@pytest.mark.parametrize("url", ["sqlite:///shop.db", "sqlite:///./out/../shop.db", "sqlite:///link.db"])
@pytest.mark.parametrize("arguments", [("run", "shop"), ("export", "shop")])
def test_a_target_that_is_the_source(shop: Path, url: str, arguments: tuple[str, ...]) -> None:
    (shop / "link.db").symlink_to("shop.db")
    configure(shop, CONFIG.replace("sqlite:///out/copy.db", url))
    before = digest(shop / "shop.db")
    refused(shop, 2, "is the source itself", arguments=arguments)
    assert digest(shop / "shop.db") == before


def test_an_unknown_table_in_exclude(shop: Path) -> None:
    configure(shop, CONFIG + "tables: {exclude: [vist]}\n")
    refused(shop, 2, "no table 'vist'", "tables.exclude", "Did you mean 'visit'?")


def test_an_unknown_synthesizer_is_told_before_any_work(shop: Path) -> None:
    configure(shop, CONFIG + "synthesizer: {name: relationl}\n")
    refused(shop, 2, "no synthesizer 'relationl'", "Did you mean 'relational'?")


@pytest.mark.parametrize(
    ("stage", "reader"), [("reflected_schema", "export"), ("inferred_metadata", "fit"), ("rfs_subset", "fit"), ("synthetic_tables", "export")]
)
def test_a_corrupted_artifact(shop: Path, stage: str, reader: str) -> None:
    folder = shop / "artifacts" / "shop" / stage
    victim = max((p for p in folder.rglob("*") if p.is_file() and p.name != "artifact.json"), key=lambda p: p.stat().st_size)
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 0xFF
    victim.write_bytes(data)
    refused(shop, 2, f"{stage} of shop is damaged", victim.name, "synth-pipeline run shop --from", arguments=(reader, "shop"))


def test_a_corrupted_record_of_an_artifact(shop: Path) -> None:
    (shop / "artifacts" / "shop" / "synthetic_tables" / "artifact.json").write_text("{")
    refused(shop, 2, "damaged", "artifact.json", arguments=("export", "shop"))


def test_an_artifact_made_from_another_schema(shop: Path) -> None:
    with closing(sqlite3.connect(shop / "shop.db")) as connection:
        connection.execute("ALTER TABLE client ADD COLUMN phone TEXT")
    assert run(shop, "run", "shop", "--to", "infer").returncode == 0
    refused(shop, 2, "was made from schema", "but the schema is now", "'subset'", arguments=("fit", "shop"))
    refused(shop, 2, "was made from schema", "'sample'", arguments=("export", "shop"))


@pytest.mark.parametrize("arguments", [("run", "shop", "--from", "infer", "--to", "export"), ("export", "shop")])
def test_a_target_folder_that_cannot_be_written(shop: Path, arguments: tuple[str, ...]) -> None:
    (shop / "file").write_text("in the way")
    configure(shop, CONFIG.replace("out/copy.db", "file/copy.db"))
    refused(shop, 2, "file", "cannot be", arguments=arguments)


def test_a_folder_of_artifacts_that_cannot_be_written(shop: Path) -> None:
    (shop / "file").write_text("in the way")
    refused(shop, 2, "artifacts cannot be written", "--artifacts", arguments=("run", "shop", "--artifacts", "file/artifacts"))


def limited(most: int) -> Callable[[], None]:
    """For a child process: no file may grow beyond so many bytes, which is what a full disk looks like from inside."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    return limit


def test_a_disk_that_fills_up_while_the_target_is_written(shop: Path) -> None:
    refused(shop, 2, "copy.db", arguments=("export", "shop"), preexec_fn=limited(60_000))
    assert run(shop, "export", "shop").returncode == 0


def test_a_disk_that_fills_up_while_an_artifact_is_written(shop: Path) -> None:
    refused(shop, 2, arguments=("run", "shop", "--from", "sample"), preexec_fn=limited(4_000))
    assert run(shop, "run", "shop", "--from", "sample", "--to", "sample").returncode == 0


def test_a_real_full_disk(shop: Path) -> None:
    mounted = shop / "small"
    mounted.mkdir()
    mount = shutil.which("mount")
    command = [str(mount), "-t", "tmpfs", "-o", "size=64k", "none", str(mounted)]
    if not mount or os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        configure(shop, CONFIG.replace("out/copy.db", "small/copy.db"))
        refused(shop, 2, "copy.db", "full", arguments=("export", "shop"))
        assert list(mounted.iterdir()) == []
    finally:
        subprocess.run(["umount", str(mounted)], check=True)
