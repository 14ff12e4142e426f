"""An export gives the schema of the source, every value in its stored form, and leaves the old target whole when it fails."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from synth_pipeline.artifacts import BundleWriter, TableBundle
from synth_pipeline.catalog.schema import DatabaseSchema
from synth_pipeline.config import ExportConfig
from synth_pipeline.errors import ExportError, SchemaMismatchError
from synth_pipeline.export import ExportResult, export_database
from synth_pipeline_tests.export.hostile import build, catalogue, contents
from synth_pipeline_tests.helpers import bundle_of

DATABASES = ("chinook", "northwind", "sakila", "oracle_hr", "oracle_hr_oe", "pubs", "employees_small", "ensembl_core")
Exporter = Callable[..., ExportResult]


def exporter(schema: DatabaseSchema, bundle: TableBundle, source: Path) -> Exporter:
    def run(target: Path, **options: str) -> ExportResult:
        return export_database(
            schema, schema, bundle, ExportConfig(url=f"sqlite:///{target}", **options), source_identity=f"sqlite:{source.resolve()}"
        )  # fmt: skip

    return run


@pytest.fixture
def hostile(tmp_path: Path) -> tuple[Path, Exporter]:
    source = build(tmp_path / "source.db")
    schema, bundle = bundle_of(source, tmp_path / "bundle")
    return source, exporter(schema, bundle, source)


def small(path: Path, script: str) -> Path:
    with closing(sqlite3.connect(path)) as db:
        db.executescript(script)
    return path


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


def assert_same(schema: DatabaseSchema, source: Path, target: Path) -> None:
    assert catalogue(target) == catalogue(source)
    for table in schema.tables:
        assert contents(target, table.name, table.column_names) == contents(source, table.name, table.column_names), table.id


@pytest.mark.parametrize("name", DATABASES)
def test_a_real_database_comes_back_value_by_value(shared_data: Path, tmp_path: Path, name: str) -> None:
    source = shared_data / f"{name}.db"
    schema, bundle = bundle_of(source, tmp_path / "bundle")
    result = exporter(schema, bundle, source)(tmp_path / "out.db")
    assert_same(schema, source, tmp_path / "out.db")
    assert result.same_schema and result.losses == () and result.total_rows == bundle.total_rows


def test_a_hostile_database_comes_back_value_by_value(hostile: tuple[Path, Exporter], tmp_path: Path) -> None:
    source, export = hostile
    target = tmp_path / "new" / "folder" / "out.db"
    result = export(target)
    schema, _ = bundle_of(target, tmp_path / "again")
    assert_same(schema, source, target)
    for pragma in ("page_size", "encoding", "user_version", "application_id"):
        assert rows(target, f"PRAGMA {pragma}") == rows(source, f"PRAGMA {pragma}")
    assert rows(target, "SELECT * FROM sqlite_sequence") == [("parent table", 120)]
    assert rows(target, "SELECT rowid FROM search WHERE search MATCH 'hello'") == [(1,)]
    assert rows(target, "SELECT what FROM log") == [("kept",)], "a trigger fired during the load"
    assert os.listdir(target.parent) == ["out.db"]
    assert ExportResult.from_dict(json.loads(json.dumps(result.to_dict()))) == result


def test_wal_mode_is_copied(tmp_path: Path) -> None:
    source = small(tmp_path / "s.db", "PRAGMA journal_mode = WAL; CREATE TABLE t (a INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)")
    schema, bundle = bundle_of(source, tmp_path / "bundle")
    exporter(schema, bundle, source)(tmp_path / "out.db")
    assert rows(tmp_path / "out.db", "PRAGMA journal_mode") == [("wal",)]


@pytest.mark.parametrize("how", ["path", "symlink", "hard link", "relative"])
def test_the_source_is_never_the_target(hostile: tuple[Path, Exporter], tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source, export = hostile
    target = source if how == "path" else tmp_path / "other.db"
    if how == "symlink":
        target.symlink_to(source)
    elif how == "hard link":
        target.hardlink_to(source)
    elif how == "relative":
        monkeypatch.chdir(tmp_path)
        target = Path("./source.db")
    before = source.read_bytes()
    for options in ({}, {"mode": "append"}, {"prefix": "x_"}):
        with pytest.raises(ExportError, match="is the source itself"):
            export(target, **options)
    assert source.read_bytes() == before


def test_create_refuses_what_exists_and_what_is_no_database(hostile: tuple[Path, Exporter], tmp_path: Path) -> None:
    _, export = hostile
    export(tmp_path / "out.db", mode="create")
    before = (tmp_path / "out.db").read_bytes()
    with pytest.raises(ExportError, match="exists"):
        export(tmp_path / "out.db", mode="create")
    assert (tmp_path / "out.db").read_bytes() == before
    (tmp_path / "letter.txt").write_text("dear " * 500)
    with pytest.raises(ExportError, match="not a SQLite database"):
        export(tmp_path / "letter.txt")
    assert (tmp_path / "letter.txt").read_text().startswith("dear")
    with pytest.raises(ExportError, match="folder"):
        export(tmp_path / "out.db" / "inside.db")
    (tmp_path / "dir").mkdir()
    with pytest.raises(ExportError, match="is a folder"):
        export(tmp_path / "dir")


def test_a_symbolic_link_stays_one(hostile: tuple[Path, Exporter], tmp_path: Path) -> None:
    _, export = hostile
    (tmp_path / "real").mkdir()
    (tmp_path / "link.db").symlink_to(tmp_path / "real" / "out.db")
    export(tmp_path / "link.db")
    export(tmp_path / "link.db")
    assert (tmp_path / "link.db").is_symlink() and os.listdir(tmp_path / "real") == ["out.db"]


def test_rows_that_break_a_constraint_leave_the_target_alone(tmp_path: Path) -> None:
    """Each kind of constraint, with a message that names the table and holds no value."""
    source = small(
        tmp_path / "s.db",
        "CREATE TABLE p (id INTEGER PRIMARY KEY, n INT CHECK (n < 100), u TEXT UNIQUE, m TEXT NOT NULL);"
        "CREATE TABLE c (id INTEGER PRIMARY KEY, p INT REFERENCES p); INSERT INTO p VALUES (1, 5, 'secret', 'x'), (2, 6, 'b', 'y');"
        "INSERT INTO c VALUES (1, 1)",
    )
    schema, bundle = bundle_of(source, tmp_path / "bundle")
    target = tmp_path / "out.db"
    exporter(schema, bundle, source)(target)
    before = target.read_bytes()
    good = {"p": bundle.read("p").to_pylist(), "c": bundle.read("c").to_pylist()}
    for i, (table, change, message) in enumerate([
        ("p", {"n": 1000}, "CHECK"), ("p", {"u": "b"}, "UNIQUE"), ("p", {"m": None}, "NOT NULL"), ("c", {"p": 77}, "no parent over c.fk_p"),
    ]):  # fmt: skip
        import pyarrow as pa

        with BundleWriter(tmp_path / f"bad{i}", schema) as writer:
            for name, data in good.items():
                changed = [{**data[0], **(change if name == table else {})}, *data[1:]]
                writer.write(name, pa.Table.from_pylist(changed, schema=writer.arrow_schema(name)))
        with pytest.raises(ExportError, match=message) as caught:
            exporter(schema, TableBundle.open(tmp_path / f"bad{i}"), source)(target)
        assert table in str(caught.value) and "secret" not in str(caught.value) and "77" not in str(caught.value)
        assert target.read_bytes() == before and not list(tmp_path.glob(".synth-*"))


def test_excluded_tables_are_made_empty(tmp_path: Path) -> None:
    script = "CREATE TABLE keep (a INT); CREATE TABLE leave (b INT); INSERT INTO keep VALUES (1); INSERT INTO leave VALUES (2)"
    source = small(tmp_path / "s.db", script)
    reflected, _ = bundle_of(source, tmp_path / "all")
    working = reflected.select(exclude=["leave"])
    with BundleWriter(tmp_path / "bundle", working) as writer:
        writer.write("keep", TableBundle.open(tmp_path / "all").read("keep"))
    bundle, config = TableBundle.open(tmp_path / "bundle"), ExportConfig(url=f"sqlite:///{tmp_path}/out.db")
    export_database(reflected, working, bundle, config, source_identity="sqlite:/elsewhere")
    assert rows(tmp_path / "out.db", "SELECT (SELECT count(*) FROM keep), (SELECT count(*) FROM leave)") == [(1, 0)]
    with pytest.raises(SchemaMismatchError):
        export_database(reflected, reflected, bundle, config, source_identity="sqlite:/elsewhere")


def test_append_moves_surrogate_keys_and_all_that_refers_to_them(tmp_path: Path) -> None:
    source = small(
        tmp_path / "s.db",
        "CREATE TABLE boss (id INTEGER PRIMARY KEY, chief INT REFERENCES boss);"
        "CREATE TABLE link (a INT REFERENCES boss, b INT REFERENCES boss, PRIMARY KEY (a, b));"
        "CREATE TABLE sub (id INT PRIMARY KEY REFERENCES boss); CREATE TABLE deep (id INTEGER PRIMARY KEY, sub INT REFERENCES sub);"
        "CREATE TABLE log (x); CREATE TRIGGER t AFTER INSERT ON boss BEGIN INSERT INTO log VALUES (1); END;"
        "INSERT INTO boss VALUES (5, NULL), (6, 5), (9, 6); INSERT INTO link VALUES (5, 6), (9, 9); INSERT INTO sub VALUES (6);"
        "INSERT INTO deep VALUES (1, 6); DELETE FROM log",
    )
    schema, bundle = bundle_of(source, tmp_path / "bundle")
    export, target = exporter(schema, bundle, source), tmp_path / "out.db"
    export(target)
    export(target, mode="append")
    assert rows(target, "SELECT id, chief FROM boss") == [(5, None), (6, 5), (9, 6), (10, None), (11, 10), (14, 11)]
    assert rows(target, "SELECT a, b FROM link ORDER BY 1") == [(5, 6), (9, 9), (10, 11), (14, 14)]
    assert rows(target, "SELECT d.id, d.sub, s.id FROM deep d JOIN sub s ON s.id = d.sub ORDER BY 1") == [(1, 6, 6), (2, 11, 11)]
    assert rows(target, "PRAGMA foreign_key_check") == [] and rows(target, "SELECT count(*) FROM log") == [(0,)]
    assert catalogue(target)[-1] == catalogue(source)[-1]


def test_append_refuses_a_natural_key_that_is_taken(tmp_path: Path) -> None:
    source = small(tmp_path / "s.db", "CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE country (code TEXT PRIMARY KEY);"
                   "INSERT INTO a VALUES (1); INSERT INTO country VALUES ('de')")  # fmt: skip
    schema, bundle = bundle_of(source, tmp_path / "bundle")
    export, target = exporter(schema, bundle, source), tmp_path / "out.db"
    export(target)
    before = target.read_bytes()
    with pytest.raises(ExportError, match="country.*natural key"):
        export(target, mode="append")
    assert target.read_bytes() == before
    with pytest.raises(ExportError, match="no table 'a'"):
        export(small(tmp_path / "other.db", "CREATE TABLE z (x)"), mode="append")


def test_prefix_stays_beside_what_is_there(hostile: tuple[Path, Exporter], tmp_path: Path) -> None:
    source, export = hostile
    target = small(tmp_path / "out.db", "CREATE TABLE mine (a); INSERT INTO mine VALUES (7); CREATE TABLE child (own)")
    for _ in range(2):
        result = export(target, prefix="syn_")
    assert result.same_schema and any("search" in loss for loss in result.losses)
    assert rows(target, "SELECT a FROM mine") == [(7,)] and rows(target, "PRAGMA foreign_key_check(syn_child)") == []
    assert rows(target, "SELECT count(*) FROM syn_child") == [(60,)]
    assert {r[2] for r in rows(target, "PRAGMA foreign_key_list(syn_child)")} >= {"syn_parent table", "syn_child"}
    with pytest.raises(ExportError, match="has a table"):
        export(target, prefix="syn_", mode="create")


def test_a_stale_journal_is_not_replayed_into_the_new_file(tmp_path: Path) -> None:
    """SQLite would apply a -wal or -journal of the old database to whatever lies under its name."""
    source = small(tmp_path / "s.db", "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT); INSERT INTO t VALUES (1, 'new')")
    schema, bundle = bundle_of(source, tmp_path / "bundle")
    target = tmp_path / "out.db"
    crash = (
        "import os, sqlite3, sys\n"
        "db = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "db.execute(f'PRAGMA journal_mode = {sys.argv[2]}'); db.execute('PRAGMA cache_size = 5')\n"
        "db.execute('CREATE TABLE IF NOT EXISTS old (x)'); db.execute('BEGIN')\n"
        "db.executemany('INSERT INTO old VALUES (?)', [('y' * 900,)] * 3000)\n"
        "if sys.argv[2] == 'wal': db.execute('COMMIT')\n"
        "os.kill(os.getpid(), 9)\n"
    )
    for mode, left in (("wal", "-wal"), ("delete", "-journal")):
        subprocess.run([sys.executable, "-c", crash, str(target), mode], check=False)
        assert Path(f"{target}{left}").exists()
        exporter(schema, bundle, source)(target)
        assert rows(target, "SELECT * FROM t") == [(1, "new")] and rows(target, "PRAGMA integrity_check") == [("ok",)]
        subprocess.run([sys.executable, "-c", crash, str(target), mode], check=False)
        target.unlink()  # the journal has outlived its database
        exporter(schema, bundle, source)(target)
        assert catalogue(target) == catalogue(source)


def test_a_target_in_use_is_refused_and_readers_keep_their_view(
    hostile: tuple[Path, Exporter], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from synth_pipeline.connectors.sqlite import files

    monkeypatch.setattr(files, "_BUSY_SECONDS", 0.1)
    _, export = hostile
    target = small(tmp_path / "out.db", "CREATE TABLE old (x); INSERT INTO old VALUES (1)")
    with closing(sqlite3.connect(target, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ExportError, match="using"):
            export(target)
        other.execute("ROLLBACK")
        other.execute("BEGIN")
        assert other.execute("SELECT * FROM old").fetchall() == [(1,)]
        export(target)
        assert other.execute("SELECT * FROM old").fetchall() == [(1,)]
    assert rows(target, "SELECT what FROM log") == [("kept",)]


SCRIPT = """
import resource, sys
from pathlib import Path
from synth_pipeline.artifacts import TableBundle, read_json
from synth_pipeline.catalog.schema import DatabaseSchema
from synth_pipeline.config import ExportConfig
from synth_pipeline.errors import ExportError
from synth_pipeline.export import export_database
folder, target, mode, limit = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
schema = DatabaseSchema.from_dict(read_json(folder / "schema.json", "schema"))
bundle = TableBundle.open(folder / "bundle")
import pyarrow.compute, sqlalchemy.engine
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
print("ready", flush=True)
try:
    while True:
        export_database(schema, schema, bundle, ExportConfig(url=f"sqlite:///{target}", mode=mode), source_identity="sqlite:/elsewhere")
        if limit:
            break
except ExportError as e:
    sys.exit(f"ExportError: {e}")
"""


@pytest.fixture
def heavy(tmp_path: Path) -> Path:
    """A source of about 2 MB whose every version holds the same number of rows, as a bundle."""
    source = small(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, b TEXT); CREATE INDEX i ON t (b);"
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) INSERT INTO t SELECT i, hex(i) || 'abcdefghijklmnop' FROM n",
    )
    from synth_pipeline.artifacts import write_json

    schema, _ = bundle_of(source, tmp_path / "bundle")
    write_json(tmp_path / "schema.json", schema.to_dict())
    return tmp_path


def started(folder: Path, target: Path, mode: str = "replace", limit: int = 0) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), str(target), mode, str(limit)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("mode", ["replace", "append"])
def test_a_kill_at_any_moment_leaves_a_whole_target(heavy: Path, mode: str) -> None:
    target, delays = heavy / "out" / "x.db", random.Random(7)
    seen = 0
    for attempt in range(30):
        if attempt >= 5 and seen:
            break
        process = started(heavy, target, mode)
        time.sleep(delays.uniform(0.0, 0.35) * (1 + attempt / 5))  # a busy machine needs longer to finish once
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if target.exists():
            seen += 1
            assert rows(target, "PRAGMA integrity_check") == [("ok",)]
            (count,) = rows(target, "SELECT count(*) FROM t")[0]
            assert count == 20_000 if mode == "replace" else count % 20_000 == 0
    assert seen, "no run was long enough to finish once"
    schema = DatabaseSchema.from_dict(json.loads((heavy / "schema.json").read_text()))
    exporter(schema, TableBundle.open(heavy / "bundle"), heavy / "s.db")(target)
    assert os.listdir(target.parent) == ["x.db"], "leftovers of killed runs are swept"


@pytest.mark.parametrize("mode", ["replace", "append"])
def test_a_full_disk_is_one_clear_line_and_changes_nothing(heavy: Path, mode: str) -> None:
    target = heavy / "out" / "x.db"
    schema = DatabaseSchema.from_dict(json.loads((heavy / "schema.json").read_text()))
    exporter(schema, TableBundle.open(heavy / "bundle"), heavy / "s.db")(target)
    before = target.read_bytes()
    process = started(heavy, target, mode, limit=500_000)
    _, errors = process.communicate()
    assert process.returncode == 1 and errors.startswith("ExportError: ") and "cannot be written" in errors and len(errors.splitlines()) == 1
    assert target.read_bytes() == before and os.listdir(target.parent) == ["x.db"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_a_folder_that_cannot_be_written_is_named(hostile: tuple[Path, Exporter]) -> None:
    _, export = hostile
    with pytest.raises(ExportError, match="/proc"):
        export(Path("/proc/none/out.db"))


def test_declared_fingerprints_do_not_depend_on_rows(hostile: tuple[Path, Exporter], tmp_path: Path) -> None:
    source, _ = hostile
    schema, _ = bundle_of(source, tmp_path / "again")
    column = schema.table("log").columns[0]
    other = dataclasses.replace(schema.table("log"), columns=(dataclasses.replace(column, storage="literal"),))
    changed = dataclasses.replace(schema, tables=tuple(other if t.id == "log" else t for t in schema.tables))
    assert changed.declared_fingerprint() == schema.declared_fingerprint() and changed.fingerprint() != schema.fingerprint()
