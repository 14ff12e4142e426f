"""Any database through SQLAlchemy: the contract, both ways of taking the old one's place, and what users get wrong."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from synth_pipeline.connectors import connect
from synth_pipeline.connectors.generic import engines, keys, load, names, traits
from synth_pipeline.errors import ConfigError, ExportError, MissingExtraError, UnreachableError
from synth_pipeline_tests.connectors.contract import Contract, Engine, Source
from synth_pipeline_tests.connectors.generic import GenericPostgreSQL, GenericSQLite


class TestSQLite(Contract):
    @pytest.fixture
    def engine(self, tmp_path: Path) -> Engine:
        return GenericSQLite(tmp_path)


class TestPostgreSQL(Contract):
    @pytest.fixture
    def engine(self, new_database: Callable[..., str]) -> Engine:
        return GenericPostgreSQL(new_database)


class TestExchangeOfNames(Contract):
    """The way of databases whose data definition is not transactional, on one where everything can be looked at."""

    @pytest.fixture
    def engine(self, new_database: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> Engine:
        cautious = dataclasses.replace(engines.TRAITS["postgresql"], swap="rename", late_constraints=True)
        monkeypatch.setitem(engines.TRAITS, "postgresql", cautious)
        return GenericPostgreSQL(new_database)

    def test_what_a_killed_export_left_is_swept(self, engine: Engine, shop: Source) -> None:
        target = engine.new()
        shop.export(target)
        engine.execute(target, [f"CREATE TABLE {load.NEW}3 (a bigint)", f"CREATE TABLE {load.OLD}1 (a bigint)"])
        shop.export(target)
        assert engine.query(target, "SELECT count(*) FROM pg_tables WHERE tablename LIKE 'synth%'") == [(0,)]
        assert int(engine.query(target, "SELECT count(*) FROM visit")[0][0]) == 400


@pytest.fixture
def small(tmp_path: Path) -> Iterator[str]:
    url = f"sqlite:///{tmp_path / 'small.db'}"
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (a INTEGER PRIMARY KEY, b DECIMAL(10,2), c TEXT)")
        connection.exec_driver_sql("INSERT INTO t VALUES (1, 2.5, 'x:y'), (2, NULL, '100%')")
    engine.dispose()
    yield f"sqlalchemy+{url}"


def test_statements_with_colons_and_percent_signs_are_sent_as_they_are(small: str) -> None:
    connector = connect(small)
    with connector.snapshot() as snapshot:
        sql = f"SELECT c FROM t WHERE c LIKE '%:%' OR c = {connector.dialect.placeholder} ORDER BY a"
        assert [c for (c,) in snapshot.select(sql, ["100%"])] == ["x:y", "100%"]
    connector.close()


def test_keys_go_in_as_many_statements_as_the_server_takes() -> None:
    listed = json.dumps([[i, f"k{i}"] for i in range(10)])
    sent = list(keys.bound(f"SELECT x FROM {keys.KEYS} WHERE z = {keys.PARAMETER}", [listed, 7], 9, " FROM dual"))
    assert [len(p) for _, p in sent] == [9, 9, 5]
    assert sent[2] == (
        "SELECT x FROM (SELECT :k0_0 AS c0, :k0_1 AS c1 FROM dual UNION ALL SELECT :k1_0 AS c0, :k1_1 AS c1 FROM dual) j WHERE z = :p1",
        {"k0_0": 8, "k0_1": "k8", "k1_0": 9, "k1_1": "k9", "p1": 7},
    )


def test_other_names_stand_only_where_a_table_key_or_index_is_named() -> None:
    sql = (
        'CREATE TABLE "s"."a" ("a" INT, CONSTRAINT "a" CHECK ("a" <> \'"a"\'), FOREIGN KEY ("a") REFERENCES "a" ("a") ON DELETE CASCADE);'
        ' CREATE INDEX "i" ON "a" ("a")'
    )
    wanted = (
        'CREATE TABLE "s"."x_a" ("a" INT, CONSTRAINT "x_a" CHECK ("a" <> \'"a"\'), FOREIGN KEY ("a") REFERENCES "x_a" ("a") ON DELETE CASCADE);'
        ' CREATE INDEX "i" ON "x_a" ("a")'
    )
    assert names.rename(sql, {"a": "x_a"}.get, ('"', '"')) == wanted


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ConfigError, match="'nosuchdb'"):
        connect("nosuchdb://u:secret@host/x")
    with pytest.raises(UnreachableError) as caught:
        connect("sqlalchemy+postgresql://u:secret@127.0.0.1:1/x")
    assert "secret" not in str(caught.value)


def test_a_driver_that_is_not_installed_is_an_error_that_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = traits.Traits("missing", "postgresql+nosuchdriver", "some-package", "some-extra")
    monkeypatch.setitem(engines.TRAITS, "postgresql", missing)
    with pytest.raises(MissingExtraError, match=r"synth-pipeline\[some-extra\]"):
        connect("sqlalchemy+postgresql://u:secret@host/x")


def test_a_database_without_exchange_is_filled_once_and_never_replaced(tmp_path: Path, small: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from synth_pipeline_tests.connectors.contract import read

    engine = GenericSQLite(tmp_path)
    source, target = read(engine, small, tmp_path / "held"), engine.new()
    monkeypatch.setitem(engines.TRAITS, "sqlite", dataclasses.replace(engines.TRAITS["sqlite"], swap="none"))
    source.export(target)
    with pytest.raises(ExportError, match="cannot be replaced"):
        source.export(target)
    assert engine.query(target, "SELECT count(*) FROM t") == [(2,)]
