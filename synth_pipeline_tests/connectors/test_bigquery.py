"""BigQuery, on an emulator that runs real statements: types, subset and export.

The emulator knows no keys (not even unenforced ones), so that these are named in the configuration here; how they are
declared and read is held to in `test_statements`.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from synth_pipeline.artifacts import BundleWriter, TableBundle
from synth_pipeline.catalog.schema import DatabaseSchema, ForeignKey
from synth_pipeline.config import ExportConfig, SubsetConfig
from synth_pipeline.connectors import connect
from synth_pipeline.errors import ExportError
from synth_pipeline.export import export_database
from synth_pipeline.subset import take_subset
from synth_pipeline_tests.connectors import emulators


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    pytest.importorskip("google.cloud.bigquery")
    with emulators.bigquery() as found:
        yield found


@pytest.fixture
def client(address: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", address)
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import bigquery

    return bigquery.Client(project="p", credentials=AnonymousCredentials())  # type: ignore[no-untyped-call]


def _dataset(client: Any, name: str, *statements: str) -> str:
    client.create_dataset(name)
    for sql in statements:
        client.query(sql).result(timeout=60)
    return f"bigquery://p/{name}"


def _read(url: str, folder: Path, keys: dict[str, str] | None = None) -> tuple[DatabaseSchema, TableBundle, str]:
    with closing(connect(url)) as connector:
        schema = connector.reflect()
        tables = tuple(dataclasses.replace(t, primary_key=((keys or {})[t.id],) if t.id in (keys or {}) else ()) for t in schema.tables)
        schema = dataclasses.replace(schema, tables=tables)
        with BundleWriter(folder, schema) as writer, connector.snapshot() as snapshot:
            for table in schema.tables:
                for batch in snapshot.rows(table):
                    writer.write(table.id, batch)
        return schema, TableBundle.open(folder), connector.identity()


_VALUES = (
    "CREATE TABLE {0}.held (n INT64 NOT NULL, flag BOOL, exact NUMERIC, real FLOAT64, text STRING, raw BYTES, day DATE, hour TIME,"
    " moment DATETIME, instant TIMESTAMP, doc JSON, list ARRAY<STRING>)",
    "INSERT INTO {0}.held VALUES (9223372036854775807, true, NUMERIC '12345678901.123', 1e300, '', b'a\\x00', DATE '1582-10-04',"
    " TIME '23:59:59.999999', DATETIME '1850-06-01 12:00:00.000001', TIMESTAMP '1890-06-01 06:30:00.000001+00',"
    " JSON '{{\"a\": [1, null]}}', ['a', 'b,c'])",
    "INSERT INTO {0}.held (n) VALUES (2)",
)


def test_types_come_back_and_are_written(client: Any, tmp_path: Path) -> None:
    url = _dataset(client, "values_in", *(s.format("values_in") for s in _VALUES))
    schema, bundle, identity = _read(url, tmp_path / "held")
    expected = {
        "n": 2**63 - 1, "flag": True, "exact": Decimal("12345678901.123"), "real": 1e300, "text": "", "raw": b"a\0",
        "day": dt.date(1582, 10, 4), "hour": dt.time(23, 59, 59, 999999), "moment": dt.datetime(1850, 6, 1, 12, 0, 0, 1),
        "instant": dt.datetime(1890, 6, 1, 6, 30, 0, 1, dt.UTC), "doc": '{"a":[1,null]}', "list": '["a", "b,c"]',
    }  # fmt: skip
    found = sorted(bundle.read("held").to_pylist(), key=lambda r: -r["n"])
    assert {**found[0], "doc": found[0]["doc"].replace(" ", "")} == expected
    assert found[1] == {**dict.fromkeys(expected), "n": 2, "list": found[1]["list"]}  # a NULL array is an empty one there
    target = _dataset(client, "values_out")
    result = export_database(schema, schema, bundle, ExportConfig(url=target), source_identity=identity)
    assert result.rows == {"held": 2} and result.same_schema
    copy = _read(target, tmp_path / "copy")[1]
    assert sorted(copy.read("held").to_pylist(), key=lambda r: -r["n"]) == found


def _shop(name: str) -> list[str]:
    customers = ", ".join(f"({i}, 'c{i}', {'NULL' if i < 9 else i // 3})" for i in range(1, 61))
    orders = ", ".join(f"('o{i}', {1 + i * 7 % 60}, {i}.5)" for i in range(300))
    return [
        f"CREATE TABLE {name}.customer (id INT64 NOT NULL, name STRING(40) NOT NULL, boss INT64)",
        f"CREATE TABLE {name}.orders (code STRING NOT NULL, customer INT64 NOT NULL, amount NUMERIC(10, 2))",
        f"INSERT INTO {name}.customer VALUES {customers}", f"INSERT INTO {name}.orders VALUES {orders}",
    ]  # fmt: skip


_KEYS = [ForeignKey("customer.boss", "customer", ("boss",), "customer", ("id",), declared=False),
         ForeignKey("orders.customer", "orders", ("customer",), "customer", ("id",), declared=False)]  # fmt: skip


def _with_keys(schema: DatabaseSchema) -> DatabaseSchema:
    keyed = {"customer": ("id",), "orders": ("code",)}
    return dataclasses.replace(schema, tables=tuple(dataclasses.replace(t, primary_key=keyed[t.id]) for t in schema.tables)).with_foreign_keys(_KEYS)


@pytest.mark.parametrize("options", [
    {"max_rows": 100, "seed": 3}, {"max_rows": 80, "seed": 9}, {"where": {"orders": "t.amount > 100"}, "max_rows": 90},
])  # fmt: skip
def test_the_subset_of_a_seed_is_the_one_of_sqlite(client: Any, tmp_path: Path, options: dict[str, Any]) -> None:
    import sqlite3

    name = f"shop_{options['max_rows']}"
    url = _dataset(client, name, *_shop(name))
    with closing(sqlite3.connect(tmp_path / "shop.db")) as db:
        for sql in _shop("main"):
            db.execute(sql.replace("INT64", "INTEGER").replace("STRING", "TEXT"))
        db.commit()
    found = []
    for place, source in enumerate((url, f"sqlite:///{tmp_path / 'shop.db'}")):
        with closing(connect(source)) as connector:
            schema = _with_keys(connector.reflect())
            taken = take_subset(connector, schema, SubsetConfig(**options), BundleWriter(tmp_path / f"s{place}", schema)).bundle
        columns = {"customer": ["id", "name", "boss"], "orders": ["code", "customer"]}
        found.append({t: sorted(map(repr, taken.read(t, c).to_pylist())) for t, c in columns.items()})
    assert found[0] == found[1]
    assert 0 < sum(map(len, found[0].values())) < 360


def test_an_export_is_replaced_and_appended_to_and_never_goes_to_the_source(client: Any, tmp_path: Path) -> None:
    from google.api_core.exceptions import NotFound

    url = _dataset(client, "shop_in", *_shop("shop_in"))
    schema, bundle, identity = _read(url, tmp_path / "shop")
    target = _dataset(client, "shop_out")
    for mode, rows in (("create", 300), ("replace", 300), ("append", 600)):
        result = export_database(schema, schema, bundle, ExportConfig(url=target, mode=mode), source_identity=identity)
        assert result.total_rows == 360
        assert [r[0] for r in client.query("SELECT COUNT(*) FROM shop_out.orders").result()] == [rows]
    for staged in ("synth_new_0", "synth_new_1"):
        with pytest.raises(NotFound):
            client.query(f"SELECT * FROM shop_out.{staged}").result(timeout=10)
    with pytest.raises(ExportError, match="is the source itself"):
        export_database(schema, schema, bundle, ExportConfig(url=url), source_identity=identity)
