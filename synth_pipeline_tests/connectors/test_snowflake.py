"""Snowflake, on an emulator over DuckDB: reflection, subset and export.

What DuckDB beneath it cannot do is done another way here: foreign keys are part of the tables, and texts are hashed on the
client. The statements of the real thing are held to in `test_statements`.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from synth_pipeline.artifacts import BundleWriter
from synth_pipeline.config import ExportConfig, SubsetConfig
from synth_pipeline.connectors import connect
from synth_pipeline.connectors.generic import engines
from synth_pipeline.errors import ExportError
from synth_pipeline.export import export_database
from synth_pipeline.subset import take_subset
from synth_pipeline_tests.connectors import emulators
from synth_pipeline_tests.helpers import read_bundle

_SHOP = [
    "CREATE TABLE REGION (CODE VARCHAR(10) NOT NULL PRIMARY KEY, TITLE VARCHAR(40))",
    "CREATE TABLE CUSTOMER (ID NUMBER(18,0) NOT NULL PRIMARY KEY, REGION VARCHAR(10), BORN DATE, SEEN TIMESTAMP_NTZ, PLUS BOOLEAN,"
    " FOREIGN KEY (REGION) REFERENCES REGION (CODE))",
    "CREATE TABLE INVOICE (CUSTOMER NUMBER(18,0) NOT NULL, NO NUMBER(18,0) NOT NULL, AMOUNT NUMBER(20,2), RATE FLOAT, PRIMARY KEY (CUSTOMER, NO),"
    " FOREIGN KEY (CUSTOMER) REFERENCES CUSTOMER (ID))",
    "INSERT INTO REGION VALUES " + ", ".join(f"('r{i}', 'Region {i}')" for i in range(5)),
    "INSERT INTO CUSTOMER VALUES " + ", ".join(
        f"({i}, {'NULL' if i % 7 == 0 else repr(f'r{i % 5}')}, '18{50 + i % 50}-01-0{1 + i % 9}', '2020-02-29 23:59:59.000001', {i % 2 == 0})"
        for i in range(1, 61)
    ),
    "INSERT INTO INVOICE VALUES " + ", ".join(f"({1 + i * 7 % 60}, {i}, {i}.25, {i}e-3)" for i in range(300)),
]  # fmt: skip


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    pytest.importorskip("snowflake.sqlalchemy")
    with emulators.snowflake() as found:
        yield found


@pytest.fixture
def server(port: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """The emulator stands in for the service of every account."""
    served = {"host": "127.0.0.1", "port": port, "protocol": "http"}
    own = dataclasses.replace(
        engines.TRAITS["snowflake"], connect=lambda url: {"connect_args": served}, alter_keys=False,
        identity="SELECT CURRENT_DATABASE(), CURRENT_SCHEMA()",
        dialect={**engines.TRAITS["snowflake"].dialect, "text_number": ""},
    )  # fmt: skip
    monkeypatch.setitem(engines.TRAITS, "snowflake", own)
    return port


def _database(port: int, name: str, *statements: str) -> str:
    engine = sa.create_engine("snowflake://u:p@account/", connect_args={"host": "127.0.0.1", "port": port, "protocol": "http"})
    with engine.connect() as connection:
        for sql in (f"CREATE DATABASE {name}", f"CREATE SCHEMA IF NOT EXISTS {name}.PUBLIC", f"USE SCHEMA {name}.PUBLIC", *statements):
            connection.exec_driver_sql(sql)
        connection.commit()
    engine.dispose()
    return f"snowflake://u:p@account/{name}/PUBLIC"


def test_reflection_subset_and_export(server: int, tmp_path: Path) -> None:
    url = _database(server, "SHOP", *_SHOP)
    schema, bundle = read_bundle(url, tmp_path / "shop")
    assert {t.name: t.primary_key for t in schema.tables} == {"REGION": ("CODE",), "CUSTOMER": ("ID",), "INVOICE": ("CUSTOMER", "NO")}
    customer = schema.table("CUSTOMER")
    assert [c.type.kind for c in customer.columns] == ["integer", "text", "date", "datetime", "boolean"]
    row = bundle.read("CUSTOMER").to_pylist()[0]
    assert str(row["SEEN"]) == "2020-02-29 23:59:59.000001" and row["BORN"].year < 1900
    found = []
    with closing(connect(url)) as connector:
        identity = connector.identity()
        for place, batch in ((0, 10_000), (1, 7)):
            writer = BundleWriter(tmp_path / f"s{place}", schema)
            found.append(take_subset(connector, schema, SubsetConfig(max_rows=120, seed=3), writer, batch=batch).bundle.content_hash)
    assert found[0] == found[1]
    target = _database(server, "COPY")
    result = export_database(schema, schema, bundle, ExportConfig(url=target), source_identity=identity)
    assert result.rows == {"REGION": 5, "CUSTOMER": 60, "INVOICE": 300} and result.same_schema
    assert read_bundle(target, tmp_path / "copy")[1].content_hash == bundle.content_hash
    with pytest.raises(ExportError, match="is the source itself"):
        export_database(schema, schema, bundle, ExportConfig(url=url), source_identity=identity)


def test_a_subset_is_the_one_of_sqlite(server: int, tmp_path: Path) -> None:
    import sqlite3

    plain = [s.replace("NUMBER(18,0)", "INTEGER").replace("TIMESTAMP_NTZ", "TIMESTAMP").replace("NUMBER(20,2)", "DECIMAL(20,2)") for s in _SHOP]
    with closing(sqlite3.connect(tmp_path / "shop.db")) as db:
        for sql in plain:
            db.execute(sql)
        db.commit()
    found: list[dict[str, Any]] = []
    for place, url in enumerate((_database(server, "SHOP2", *_SHOP), f"sqlite:///{tmp_path / 'shop.db'}")):
        with closing(connect(url)) as connector:
            schema = connector.reflect()
            taken = take_subset(connector, schema, SubsetConfig(max_rows=150, seed=5), BundleWriter(tmp_path / f"s{place}", schema)).bundle
        columns = {"REGION": ["CODE"], "CUSTOMER": ["ID", "REGION"], "INVOICE": ["CUSTOMER", "NO"]}
        found.append({t: sorted(map(repr, taken.read(t, c).to_pylist())) for t, c in columns.items()})
    assert found[0] == found[1]
    assert 0 < len(found[0]["INVOICE"]) < 300


def test_a_replace_is_one_transaction_and_leaves_tables_and_views(server: int, tmp_path: Path) -> None:
    """Without keys, which DuckDB would check row by row where Snowflake does not."""
    shape = ["CREATE TABLE A (ID NUMBER(18,0) NOT NULL, NOTE VARCHAR(10))", "CREATE TABLE B (A NUMBER(18,0), N FLOAT)"]
    source = _database(server, "S4", *shape, *(f"INSERT INTO {t} VALUES " + ", ".join(f"({i}, {i})" for i in range(40)) for t in "AB"))
    target = _database(
        server, "T4", *shape, "CREATE VIEW BOTH_OF_THEM AS SELECT A.ID FROM A JOIN B ON B.A = A.ID", "CREATE TABLE MINE (X NUMBER(3,0))",
        *(f"INSERT INTO {t} VALUES " + ", ".join(f"({i}, {i})" for i in range(30)) for t in "AB"),
    )  # fmt: skip
    schema, bundle = read_bundle(source, tmp_path / "s")
    with closing(connect(source)) as connector:
        identity = connector.identity()
    seen: set[tuple[int, ...]] = set()
    stop = threading.Event()

    def read() -> None:
        engine = sa.create_engine(target, connect_args={"host": "127.0.0.1", "port": server, "protocol": "http"})
        while not stop.is_set():
            with engine.connect() as connection:
                sql = "SELECT (SELECT COUNT(*) FROM A), (SELECT COUNT(*) FROM B), (SELECT COUNT(*) FROM BOTH_OF_THEM)"
                seen.add(tuple(int(n) for n in connection.exec_driver_sql(sql).one()))
        engine.dispose()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for _ in range(2):
            result = export_database(schema, schema, bundle, ExportConfig(url=target), source_identity=identity)
            assert result.losses == () and result.rows == {"A": 40, "B": 40}
    finally:
        stop.set()
        reader.join()
    assert seen <= {(30, 30, 30), (40, 40, 40)}
    with closing(connect(target)) as connector:
        assert set(connector.reflect().table_ids) == {"A", "B", "MINE"}
