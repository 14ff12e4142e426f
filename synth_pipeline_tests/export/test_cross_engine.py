"""Any database to any other: rows and keys arrive, what the target cannot hold is named before anything is written."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from synth_pipeline.artifacts import TableBundle
from synth_pipeline.catalog.schema import DatabaseSchema
from synth_pipeline.config import ExportConfig
from synth_pipeline.connectors import connect, open_target
from synth_pipeline.errors import ExportError
from synth_pipeline.export.plan import plan_export
from synth_pipeline_tests.connectors.contract import Engine, Source, read
from synth_pipeline_tests.connectors.engines import DuckDB, MariaDB, PostgreSQL, SQLite
from synth_pipeline_tests.connectors.hostile_mysql import HOSTILE
from synth_pipeline_tests.connectors.postgresql import run_sql
from synth_pipeline_tests.export.hostile import build

NAMES = ("sqlite", "postgresql", "duckdb", "mysql")
PAIRS = [(a, b) for a in NAMES for b in NAMES if a != b]
SCRIPTS = Path(__file__).parents[1] / "connectors"
Engines = Callable[[str], Engine]


@pytest.fixture
def engines(tmp_path: Path, request: pytest.FixtureRequest) -> Engines:
    def engine(name: str) -> Engine:
        if name == "postgresql":
            return PostgreSQL(request.getfixturevalue("new_database"))
        if name == "mysql":
            return MariaDB(request.getfixturevalue("new_mariadb"))
        return {"sqlite": SQLite, "duckdb": DuckDB}[name](tmp_path)

    return engine


def rows(bundle: TableBundle, schema: DatabaseSchema, table: str) -> list[str]:
    """Every row as text, whatever a NaN is equal to."""
    names = [c.name for c in schema.table(table).stored_columns]
    return sorted(repr([row[n] for n in names]) for row in bundle.read(table).to_pylist())


def keys(schema: DatabaseSchema) -> set[Any]:
    """Every key and every foreign key that is declared."""
    found: set[Any] = {(t.name, k) for t in schema.tables for k in t.keys}
    return found | {(f.table, f.columns, f.parent, f.parent_columns) for f in schema.foreign_keys}


def dangling(source: Source) -> list[str]:
    """Foreign keys with rows that have no parent, asked by the engine itself."""
    q, broken = source.engine.q, []
    for fk in source.schema.foreign_keys:
        child, parent = (".".join(q(p) for p in (t.schema, t.name) if p) for t in map(source.schema.table, (fk.table, fk.parent)))
        filled = " AND ".join(f"c.{q(a)} IS NOT NULL" for a in fk.columns)
        match = " AND ".join(f"p.{q(b)} = c.{q(a)}" for a, b in zip(fk.columns, fk.parent_columns, strict=True))
        lonely = f"{filled} AND NOT EXISTS (SELECT 1 FROM {parent} p WHERE {match})"
        ((count,),) = source.engine.query(source.url, f"SELECT count(*) FROM {child} c WHERE {lonely}")
        broken += [fk.id] if count else []
    return broken


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_the_shop_there_and_back(engines: Engines, tmp_path: Path, one: str, other: str) -> None:
    first, second = engines(one), engines(other)
    source = read(first, first.made(first.shop()), tmp_path / "source")
    target = second.new()
    result = source.export(target)
    assert result.same_schema and result.total_rows == source.bundle.total_rows
    copy = read(second, target, tmp_path / "copy")
    assert keys(copy.schema) == keys(source.schema) and dangling(copy) == []
    assert {t: rows(copy.bundle, copy.schema, t) for t in copy.schema.table_ids} == {
        t: rows(source.bundle, source.schema, t) for t in source.schema.table_ids
    }
    second.execute(target, ["INSERT INTO visit (page) VALUES ('fresh')"])
    assert second.query(target, "SELECT max(id), count(*) FROM visit") == [(401, 401)]
    assert second.query(target, "SELECT plus FROM customer WHERE id = 7") == [(8,)]
    assert second.query(target, "SELECT count(*) FROM loyal") == first.query(source.url, "SELECT count(*) FROM loyal")
    level = copy.schema.table("customer").column("level")
    assert level.default is not None and "3" in level.default and any("level" in c.sql for c in copy.schema.table("customer").checks)
    assert all("ON DELETE" in loss or "length" in loss or "in keys" in loss for loss in result.losses), result.losses
    back = first.new()
    copy.export(back)
    again = read(first, back, tmp_path / "again")
    assert keys(again.schema) == keys(source.schema)
    assert rows(again.bundle, again.schema, "line") == rows(source.bundle, source.schema, "line")


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_chinook_between_any_two(engines: Engines, shared_data: Path, tmp_path: Path, one: str, other: str) -> None:
    origin = read(engines("sqlite"), f"sqlite:///{shared_data}/chinook.db", tmp_path / "origin")
    first, second = engines(one), engines(other)
    url = origin.url
    if one != "sqlite":
        url = first.new()
        assert origin.export(url).same_schema
    source = read(first, url, tmp_path / "source")
    target = second.new()
    result = source.export(target)
    copy = read(second, target, tmp_path / "copy")
    assert result.same_schema and result.total_rows == 15_607
    assert keys(copy.schema) == keys(origin.schema) and dangling(copy) == []
    for table in origin.schema.table_ids:
        assert rows(copy.bundle, copy.schema, table) == rows(origin.bundle, origin.schema, table), table
    assert set(result.losses) <= {"SQLite does not enforce the length of texts.", "DuckDB does not enforce the length of texts."}


def hostile(name: str, engine: Engine, folder: Path) -> str:
    if name == "sqlite":
        return f"sqlite:///{build(folder / 'hostile.db')}"
    if name == "duckdb":
        return engine.made([(SCRIPTS / "hostile_duckdb.sql").read_text()])
    if name == "mysql":
        return engine.made(HOSTILE)
    url = engine.new()
    run_sql(url, SCRIPTS / "hostile.sql")
    return url


EXPECTED = {
    "sqlite": ("trigger noisy", "virtual table search", "index expression", "generated column parent table.double_name"),
    "postgresql": (
        "trigger touch", "function public.touch()", "policy everything", "CHECK worth_less", '"public"."totals"', "index search", "type array",
    ),
    "mysql": ("trigger touch", "function doubled", "event tidy", "procedure cheer", "view a_happy_few", "generated column customer.initial"),
    "duckdb": ('macro "twice"', 'view "listed"', "index computed", "CHECK", "type array", "struct("),
}  # fmt: skip


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_a_schema_of_everything_says_what_it_loses_before_it_is_written(engines: Engines, tmp_path: Path, one: str, other: str) -> None:
    first, second = engines(one), engines(other)
    source = read(first, hostile(one, first, tmp_path), tmp_path / "source")
    target = second.new()
    config = ExportConfig(url=target)
    plan = plan_export(source.schema, source.schema, open_target(config), config, source_identity=source.identity)
    for expected in EXPECTED[one]:
        assert any(expected.lower() in loss.lower() for loss in plan.losses), (expected, plan.losses)
    result = source.export(target)
    assert result.same_schema and result.losses == plan.losses
    copy = read(second, target, tmp_path / "copy")
    assert [copy.bundle.rows(t) for t in plan.schema.table_ids] == [source.bundle.rows(t) for t in source.schema.table_ids]
    assert dangling(copy) == []
    tables = zip(source.schema.tables, plan.schema.tables, strict=True)
    assert all(set(old.keys) == set(copy.schema.table(new.id).keys) for old, new in tables)
    assert source.export(target).same_schema, "again, over what is there"


def test_names_that_are_one_in_the_target_are_refused(engines: Engines, tmp_path: Path) -> None:
    first = engines("postgresql")
    source = read(first, first.made(['CREATE TABLE "A" (x int)', "CREATE TABLE a (x int)"]), tmp_path / "source")
    with pytest.raises(ExportError, match="one name"):
        source.export(engines("sqlite").new())


def test_rows_are_appended_and_prefixed_across_engines(engines: Engines, tmp_path: Path) -> None:
    statements = [
        "CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT)", "CREATE TABLE pet (id INTEGER PRIMARY KEY, person INTEGER REFERENCES person (id))",
        "INSERT INTO person VALUES (3, 'a'), (9, 'b')", "INSERT INTO pet VALUES (1, 3), (2, 9)",
    ]  # fmt: skip
    source = read(engines("sqlite"), engines("sqlite").made(statements), tmp_path / "source")
    for name in ("postgresql", "duckdb", "mysql"):
        engine = engines(name)
        target = engine.new()
        source.export(target)
        source.export(target, mode="append")
        source.export(target, prefix="x_")
        assert engine.query(target, "SELECT id, person FROM pet ORDER BY id") == [(1, 3), (2, 9), (3, 10), (4, 16)]
        assert engine.query(target, "SELECT id, person FROM x_pet ORDER BY id") == [(1, 3), (2, 9)]
        with closing(connect(target)) as connector:
            assert {f.parent for f in connector.reflect().table("x_pet").foreign_keys} == {"x_person"}


def test_numbers_and_moments_keep_their_digits(engines: Engines, tmp_path: Path) -> None:
    """Between two engines that both can hold a value, it is the same to the last digit."""
    first = engines("postgresql")
    source = read(first, first.made(first.table_of_values()), tmp_path / "source")
    for name in ("duckdb", "sqlite", "mysql"):
        target = engines(name).new()
        source.export(target)
        copy = read(engines(name), target, tmp_path / name)
        left, right = source.bundle.read("held").sort_by("n").to_pylist(), copy.bundle.read("held").sort_by("n").to_pylist()
        lost = {"sqlite": ("exact", "real"), "mysql": ("real", "instant")}.get(name, ())
        kept = [c for c in left[0] if c not in lost]
        for a, b in zip(left, right, strict=True):
            for c in kept:
                assert a[c] == b[c] or isinstance(a[c], float) and math.isnan(a[c]) and math.isnan(b[c]), (name, c, a[c], b[c])


def test_a_database_of_any_family_becomes_a_folder_of_files(engines: Engines, tmp_path: Path) -> None:
    engine = engines("duckdb")
    source = read(engine, hostile("duckdb", engine, tmp_path), tmp_path / "source")
    result = source.export(f"files:///{tmp_path}/folder")
    assert sorted(p.name for p in (tmp_path / "folder").iterdir()) == ["Sales Ops_item.parquet", "Sales Ops_order.parquet", "person.parquet"]
    assert result.total_rows == source.bundle.total_rows and any("declare no keys" in loss for loss in result.losses)
