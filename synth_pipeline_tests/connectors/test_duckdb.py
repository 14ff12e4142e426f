"""What DuckDB has beyond the contract: everything that its catalogue declares, its one file, and its one writer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from synth_pipeline.artifacts import BundleWriter, TableBundle
from synth_pipeline.config import SubsetConfig
from synth_pipeline.connectors import connect
from synth_pipeline.errors import ConfigError, ExportError, SourceError, UnreachableError
from synth_pipeline.subset import take_subset
from synth_pipeline_tests.connectors.contract import Source, read
from synth_pipeline_tests.connectors.engines import DuckDB, required

HOSTILE = Path(__file__).with_name("hostile_duckdb.sql")
CATALOGUE = (
    "schema_name, table_name, sql, comment FROM duckdb_tables()",
    "schema_name, view_name, sql, comment FROM duckdb_views() WHERE NOT internal",
    "schema_name, index_name, sql, comment FROM duckdb_indexes()",
    "schema_name, column_name, data_type, comment FROM duckdb_columns()",
    "schema_name, type_name, labels, comment FROM duckdb_types() WHERE NOT internal",
    "schema_name, sequence_name, min_value, max_value, increment_by, cycle, comment FROM duckdb_sequences()",
    "function_name, parameters, macro_definition FROM duckdb_functions() WHERE NOT internal",
    "schema_name, constraint_text FROM duckdb_constraints()",
)


@pytest.fixture
def engine(tmp_path: Path) -> DuckDB:
    required("duckdb")
    return DuckDB(tmp_path)


@pytest.fixture
def hostile(engine: DuckDB, tmp_path: Path) -> Source:
    return read(engine, engine.made([HOSTILE.read_text()]), tmp_path / "hostile")


def test_everything_declared_is_in_the_copy(engine: DuckDB, hostile: Source, tmp_path: Path) -> None:
    target = engine.new()
    result = hostile.export(target)
    assert result.same_schema and result.losses == ()
    for what in CATALOGUE:
        sql = f"SELECT {what} ORDER BY ALL"
        assert engine.query(target, sql) == engine.query(hostile.url, sql), what
    for table in ("person", '"Sales Ops"."order"', '"Sales Ops".item'):
        found, wanted = (sorted(map(repr, engine.query(url, f"SELECT * FROM {table}"))) for url in (target, hostile.url))
        assert found == wanted, table
    engine.execute(target, ['INSERT INTO person ("na""me") VALUES (\'new\')', 'INSERT INTO "Sales Ops"."order" (line) VALUES (1)'])
    assert engine.query(target, "SELECT max(id) FROM person") == [(304,)]
    assert engine.query(target, 'SELECT max(no) FROM "Sales Ops"."order"') == [(50,)]
    assert engine.query(target, "SELECT nextval('lonely'), twice(4)") == [(7, 8)]
    assert engine.query(target, "SELECT count(*) FROM recent(250)") == [(50,)]
    assert os.listdir(tmp_path) == [n for n in os.listdir(tmp_path) if not n.startswith(".synth")]


def test_the_meaning_of_types_and_keys(hostile: Source) -> None:
    person, order = hostile.schema.table("person"), hostile.schema.table("Sales Ops.order")
    kinds = {c.name: c.type.kind for c in person.columns}
    assert [kinds[c] for c in ("mood", "tags", "pair", "bag", "either", "three", "span", "doc", "bits")] == [
        "enum", "array", "other", "other", "other", "array", "interval", "json", "other",
    ]  # fmt: skip
    assert not person.column('na"me').case_sensitive and person.column("boss").case_sensitive
    assert ("boss", 'na"me') in person.keys and person.indexes[1].columns == () and order.column("no").identity
    assert order.primary_key == ("no", "line") and hostile.schema.table("Sales Ops.item").foreign_keys[0].parent == "Sales Ops.order"


def test_one_schema_only_and_one_that_is_not_there(hostile: Source) -> None:
    with closing(connect(hostile.url, ["Sales Ops"])) as connector:
        assert {t.schema for t in connector.reflect().tables} == {"Sales Ops"}
    with closing(connect(hostile.url, ["Sales"])) as connector, pytest.raises(ConfigError, match="Sales Ops"):
        connector.reflect()


@pytest.mark.parametrize(("name", "options"), [
    ("chinook", {"max_rows": 3_000}), ("northwind", {"main_table": "orders", "rows": 100}), ("employees_small", {"max_rows": 2_000, "seed": 5}),
])  # fmt: skip
def test_the_subset_of_a_real_database_is_the_one_of_sqlite(
    engine: DuckDB, shared_data: Path, tmp_path: Path, name: str, options: dict[str, object]
) -> None:
    url = f"sqlite:///{shared_data}/{name}.db"
    copy = engine.new()
    read(engine, url, tmp_path / "whole").export(copy)
    found = []
    for place, source in enumerate((url, copy)):
        with closing(connect(source)) as connector:
            schema = connector.reflect()
            taken = take_subset(connector, schema, SubsetConfig(**options), BundleWriter(tmp_path / str(place), schema))  # type: ignore[arg-type]
            found.append({t: taken.bundle.read(t).to_pylist() for t in schema.table_ids})
    assert found[0] == found[1]
    assert sum(map(len, found[0].values())) > 0


def test_values_that_a_type_does_not_take_are_replaced(engine: DuckDB, tmp_path: Path) -> None:
    import pyarrow as pa

    made = engine.made(["CREATE TABLE t (n INTEGER, l INTEGER[] NOT NULL, s STRUCT(a INTEGER))", "INSERT INTO t VALUES (1, [1], {'a': 1})"])
    source = read(engine, made, tmp_path / "source")
    with BundleWriter(tmp_path / "made", source.schema) as writer:
        rows = {"n": [1, 2, 3], "l": ["[1, 2]", "oh", "[3]"], "s": ["no", None, "nor this"]}
        writer.write("t", pa.table(rows, schema=writer.arrow_schema("t")))
    target = engine.new()
    Source(source.url, source.schema, TableBundle.open(tmp_path / "made"), source.identity, engine).export(target)
    assert engine.query(target, "SELECT n, l IN ([1, 2], [3]), s FROM t ORDER BY n") == [(1, True, None), (2, True, None), (3, True, None)]


def test_errors_are_one_line(engine: DuckDB, hostile: Source, tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("dear " * 1000)
    for path, error in ((f"{tmp_path}/none", UnreachableError), (f"{tmp_path}/letter", SourceError), (":memory:", ConfigError)):
        with pytest.raises(error) as caught:
            connect(f"duckdb:///{path}")
        assert caught.value.remedy and "\n" not in str(caught.value)
    with pytest.raises(ExportError, match="not written over"):
        hostile.export(f"duckdb:///{tmp_path}/letter")
    assert (tmp_path / "letter").read_text().startswith("dear")
    with pytest.raises(ExportError, match="is a folder"):
        hostile.export(f"duckdb:///{tmp_path}")


HOLD = """
import duckdb, sys, time
connection = duckdb.connect(sys.argv[1])
connection.execute("CREATE TABLE late (x INT)")
print("open", flush=True)
time.sleep(60)
"""


def test_a_file_that_somebody_writes_to_is_left_alone(engine: DuckDB, hostile: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synth_pipeline.connectors.duckdb.target._BUSY_SECONDS", 0.3)
    target = engine.new()
    hostile.export(target)
    path = target.removeprefix("duckdb:///")
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None and writer.stdout.readline() == b"open\n"
        try:
            with pytest.raises(UnreachableError, match="Another program"):
                connect(target)
            with pytest.raises(ExportError, match="Another program"):
                hostile.export(target)
        finally:
            writer.send_signal(signal.SIGKILL)
            writer.wait()
    assert Path(f"{path}.wal").exists(), "the writer died with a journal"
    hostile.export(target)
    assert not Path(f"{path}.wal").exists()
    assert engine.query(target, "SELECT count(*) FROM duckdb_tables() WHERE table_name = 'late'") == [(0,)]


EXPORT = """
import sys
from pathlib import Path
from synth_pipeline.connectors.duckdb import load
from synth_pipeline_tests.connectors.contract import read
from synth_pipeline_tests.connectors.engines import DuckDB
folder = Path(sys.argv[1])
source = read(DuckDB(folder), sys.argv[2], folder / f"bundle{sys.argv[4]}")
print("read", flush=True)
for _ in range(100):
    source.export(sys.argv[3])
"""


def test_readers_see_a_whole_database_and_a_kill_leaves_one(engine: DuckDB, tmp_path: Path) -> None:
    source = read(engine, engine.made(engine.shop()), tmp_path / "shop")
    target = engine.new()
    source.export(target)
    script = tmp_path / "run.py"
    script.write_text(EXPORT)
    for attempt, delay in enumerate((0.2, 0.5, 0.9)):
        command = [sys.executable, str(script), str(tmp_path), source.url, target, str(attempt)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None and process.stdout.readline() == b"read\n"
            deadline = time.monotonic() + delay
            while time.monotonic() < deadline:
                with closing(connect(target)) as connector, connector.snapshot() as snapshot:
                    assert list(snapshot.select("SELECT (SELECT count(*) FROM visit), (SELECT count(*) FROM loyal)")) == [(400, 60)]
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert engine.query(target, "SELECT count(*) FROM visit") == [(400,)]
    source.export(target)
    assert not list(tmp_path.glob(".synth-*"))
