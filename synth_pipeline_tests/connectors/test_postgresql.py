"""Reading a PostgreSQL database, on a real server: what is declared, exact values, one snapshot, SELECT and nothing more."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy.engine import make_url

from synth_pipeline.artifacts import BundleWriter
from synth_pipeline.catalog.types import LogicalType, arrow_type
from synth_pipeline.config import ExportConfig, SubsetConfig
from synth_pipeline.connectors import connect, open_target
from synth_pipeline.connectors.postgresql.connector import PostgreSQLConnector
from synth_pipeline.errors import ConfigError, MissingExtraError, SourceError, UnreachableError
from synth_pipeline.subset import take_subset
from synth_pipeline_tests.connectors.postgresql import run_sql

NewDatabase = Callable[..., str]


@pytest.fixture
def hostile(new_database: NewDatabase) -> Iterator[PostgreSQLConnector]:
    url = new_database("hostile")
    run_sql(url, Path(__file__).with_name("hostile.sql"))
    with closing(connect(url)) as connector:
        assert isinstance(connector, PostgreSQLConnector)
        yield connector


def test_all_schemas_and_what_is_declared_in_them(hostile: PostgreSQLConnector) -> None:
    schema = hostile.reflect()
    assert set(schema.table_ids) == {
        "customer", "Sales Ops.Order", "Sales Ops.line", "archive.event", "archive.base", "archive.special", "archive.empty", "archive.nokey",
    }  # fmt: skip
    customer = schema.table("customer")
    assert customer.primary_key == ("id",)
    assert [u.columns for u in customer.unique_keys] == [("code",)]
    kinds = {c.name: c.type.kind for c in customer.columns}
    assert kinds["mood"] == "enum" and customer.column("mood").type.values == ("sad", "it's ok", "happy")
    assert customer.column("share").type == LogicalType("decimal", precision=5, scale=2)
    assert not customer.column("share").nullable  # the domain says so
    assert customer.column("tags").type == LogicalType("array", item=LogicalType("text"))
    assert customer.column("initials").type == LogicalType("text", length=3, fixed=True)
    assert customer.column("id").identity and not customer.column("mail").identity
    assert customer.column("upper_mail").generated == "upper((mail)::text)"
    assert customer.column("mail").comment == "where to write"
    assert any("[^@]+" in c.sql and '"mail"' in c.sql for c in customer.checks)  # the domain's, for this column
    boss = next(f for f in customer.foreign_keys if f.columns == ("boss",))
    assert (boss.parent, boss.parent_columns, boss.on_delete, boss.deferrable) == ("customer", ("id",), "SET NULL", True)
    last = next(f for f in schema.table("Sales Ops.Order").foreign_keys if len(f.columns) == 2)
    assert (last.parent, last.parent_columns) == ("Sales Ops.line", ("order", "line"))
    assert [c.name for c in schema.table("archive.event").checks] == ["partitions"]
    assert {"schema", "type", "function", "sequence", "partition", "view", "trigger", "policy", "comment"} <= {k for k, _, _ in schema.other_ddl}


def test_some_schemas_only_and_one_that_is_not_there(hostile: PostgreSQLConnector) -> None:
    url = hostile._url.render_as_string(hide_password=False)
    with closing(connect(url, ["archive"])) as connector:
        assert {t.schema for t in connector.reflect().tables} == {"archive"}
    with closing(connect(url, ["archve"])) as connector, pytest.raises(ConfigError, match="archive"):
        connector.reflect()


def test_a_parent_of_inheritance_has_its_own_rows_and_a_partitioned_table_all(hostile: PostgreSQLConnector) -> None:
    schema = hostile.reflect()
    with hostile.snapshot() as snapshot:
        rows = {t.id: sum(b.num_rows for b in snapshot.rows(t)) for t in schema.tables}
    assert (rows["archive.base"], rows["archive.special"], rows["archive.event"]) == (50, 60, 400)
    assert {t.id: hostile.profile(t).rows for t in schema.tables} == rows


def test_values_come_exactly_and_what_no_bundle_holds_comes_as_the_nearest(new_database: NewDatabase) -> None:
    url = new_database("values")
    with psycopg.connect(url) as connection:
        connection.execute("""
            CREATE TABLE v (n int PRIMARY KEY, big bigint, exact numeric(38,9), day date, at timestamp, instant timestamptz, hour time,
                text text, raw bytea, key uuid, doc jsonb, list text[], flag boolean, real8 float8, span interval, cash money);
            INSERT INTO v VALUES
            (1, -9223372036854775808, 12345678901234567890123456789.123456789, '1582-10-04', '0001-01-01 00:00:00.000001',
                '1890-06-01 12:00+05:30', '23:59:59.999999', E'é"\\n,\\t\\\\N', '\\x00ff', 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11',
                '{"a": [1, null]}', '{a,"b,c",NULL}', true, 'NaN', '1 year 2 days 03:00:00.5', '-$1,234.50'),
            (2, NULL, NULL, 'infinity', '-infinity', 'infinity', '24:00', '', '', NULL, 'null', '{}', NULL, '-infinity', NULL, NULL),
            (3, NULL, NULL, '0044-03-15 BC', '294000-01-01', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
        """)
    with closing(connect(url)) as connector:
        table = connector.reflect().table("v")
        with connector.snapshot() as snapshot:
            (batch,) = snapshot.rows(table, tail="ORDER BY t.n")
    assert [f.type for f in batch.schema] == [arrow_type(c.type) for c in table.columns]
    first, second, third = batch.to_pylist()
    assert first["big"] == -(2**63) and first["exact"] == Decimal("12345678901234567890123456789.123456789")
    assert first["day"] == dt.date(1582, 10, 4) and first["at"] == dt.datetime(1, 1, 1, 0, 0, 0, 1)
    assert first["instant"] == dt.datetime(1890, 6, 1, 6, 30, tzinfo=dt.UTC) and first["hour"] == dt.time(23, 59, 59, 999999)
    assert first["text"] == 'é"\n,\t\\N' and first["raw"] == b"\x00\xff" and first["key"] == "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
    assert first["doc"] == '{"a": [1, null]}' and first["list"] == '{a,"b,c",NULL}' and first["flag"] is True
    assert first["real8"] != first["real8"] and first["span"] == "1 year 2 days 03:00:00.5" and first["cash"] == Decimal("-1234.50")
    assert (second["text"], second["raw"], second["doc"], second["list"], second["flag"]) == ("", b"", "null", "{}", None)
    assert second["day"] == dt.date(9999, 12, 31) and second["at"] == dt.datetime(1, 1, 1)
    assert second["hour"] == dt.time(23, 59, 59, 999999) and second["real8"] == float("-inf")
    assert third["day"] == dt.date(1, 1, 1) and third["at"].year == 9999 and third["text"] is None and third["raw"] is None


def test_one_snapshot_for_streams_side_by_side_and_for_those_that_are_left(hostile: PostgreSQLConnector) -> None:
    schema = hostile.reflect()
    customer, line = schema.table("customer"), schema.table("Sales Ops.line")
    with hostile.snapshot() as snapshot:
        counted = snapshot.select("SELECT count(*) FROM public.customer")
        assert next(counted) == (300,)
        with psycopg.connect(hostile._url.render_as_string(hide_password=False), autocommit=True) as other:
            other.execute('DELETE FROM "Sales Ops".line WHERE line = 3')
        left = snapshot.rows(line, batch=10)
        next(left)
        streams = [snapshot.rows(line, batch=100), snapshot.rows(customer, batch=100)]
        assert next(streams[0]).num_rows == next(streams[1]).num_rows == 100
        left.close()
        assert 100 + sum(b.num_rows for b in streams[0]) == 1500
        assert list(snapshot.select("SELECT count(*) FROM public.customer WHERE id > %s", [1400])) == [(20,)]
        found = list(snapshot.rows(customer, ['weird %s "name'], tail='WHERE t."weird %s ""name" = %s', params=["v1"]))
        assert sum(b.num_rows for b in found) > 0


def test_select_is_all_the_role_needs_and_nothing_is_written(hostile: PostgreSQLConnector, tmp_path: Path) -> None:
    role = f"looker_{os.urandom(3).hex()}"
    url = hostile._url
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as admin:
        admin.execute(f'CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA public, archive, "Sales Ops" TO {role}'.encode())
        admin.execute(f'GRANT SELECT ON ALL TABLES IN SCHEMA public, archive, "Sales Ops" TO {role}'.encode())
        admin.execute(f"ALTER ROLE {role} SET default_transaction_read_only = on".encode())
        try:
            with closing(connect(url.set(username=role).render_as_string(hide_password=False))) as connector:
                schema = connector.reflect()
                assert schema.declared_fingerprint() == hostile.reflect().declared_fingerprint()
                assert connector.identity() == hostile.identity()
                taken = take_subset(connector, schema, SubsetConfig(max_rows=400, threads=2), BundleWriter(tmp_path / "s", schema))
                assert 0 < taken.bundle.total_rows <= 900
        finally:
            admin.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


@pytest.mark.parametrize("options", [
    {"max_rows": 300}, {"fraction": 0.3}, {"main_table": "customer", "rows": 20}, {"where": {"Sales Ops.line": "t.amount % 2 = 0"}},
])  # fmt: skip
def test_a_subset_of_a_schema_of_everything(hostile: PostgreSQLConnector, tmp_path: Path, options: dict[str, object]) -> None:
    schema = hostile.reflect()
    taken = [take_subset(hostile, schema, SubsetConfig(**options), BundleWriter(tmp_path / str(i), schema)) for i in range(2)]  # type: ignore[arg-type]
    assert taken[0].bundle.content_hash == taken[1].bundle.content_hash
    assert 0 < taken[0].bundle.total_rows < 2850


def test_inclusion_and_uniqueness_whatever_the_types(hostile: PostgreSQLConnector) -> None:
    schema = hostile.reflect()
    customer, order, line = schema.table("customer"), schema.table("Sales Ops.Order"), schema.table("Sales Ops.line")
    full = hostile.inclusion(order, ["customer"], customer, ["id"])
    assert full.tested == full.found == 300
    assert hostile.inclusion(customer, ["mail"], customer, ["id"]).found == 0
    assert hostile.inclusion(line, ["order", "line"], line, ["order", "line"]).found == 1500
    assert hostile.is_unique(customer, ["doc"]) and hostile.is_unique(customer, ["spot"])
    assert not hostile.is_unique(customer, ["boss"]) and not hostile.is_unique(line, ["order"])


def test_a_profile_is_a_bounded_sample_spread_over_the_table(new_database: NewDatabase) -> None:
    url = new_database("large")
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE t AS SELECT i FROM generate_series(1, 50000) i")
    with closing(connect(url)) as connector:
        profile = connector.profile(connector.reflect().table("t"), 500)
    values = profile.sample.column("i").to_pylist()
    assert profile.rows == 50_000 and 400 <= len(values) <= 500
    assert min(values) < 2_000 and max(values) > 48_000


def test_what_cannot_be_opened_is_one_line_without_the_password(postgresql_server: str, new_database: NewDatabase) -> None:
    for url in (postgresql_server.format("nowhere"), "postgresql://someone:s3cret@127.0.0.1:1/db", "postgresql://a:s3cret@h/db?nonsense=1"):
        with pytest.raises(UnreachableError) as caught:
            connect(url)
        assert "s3cret" not in str(caught.value) and "\n" not in str(caught.value)
    url = new_database("gone")
    with closing(connect(url)) as connector:
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE t (a text); INSERT INTO t VALUES ('s3cret')")
        table = connector.reflect().table("t")
        with pytest.raises(SourceError) as refused, connector.snapshot() as snapshot:
            list(snapshot.rows(table, tail="WHERE t.a::int = 1"))
        assert "s3cret" not in str(refused.value)


def test_alloydb_is_opened_through_the_connector_of_its_cloud(new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connector stands in front of the server of these tests; what it is called with is what the real one asks for."""
    import sys
    from types import SimpleNamespace

    from synth_pipeline.connectors.postgresql import alloydb

    url, calls = new_database("alloy"), list[dict[str, object]]()
    run_sql(url, Path(__file__).with_name("hostile.sql"))
    real = make_url(url)
    host = real.query["host"] if real.host is None else real.host

    class Connector:
        def __init__(self, **options: object) -> None:
            assert options == {"refresh_strategy": "LAZY"}

        def connect(self, instance: str, driver: str, *, user: str, db: str, enable_iam_auth: bool, ip_type: str = "PRIVATE", **options: Any) -> Any:
            calls.append({"instance": instance, "driver": driver, "user": user, "db": db, "iam": enable_iam_auth, "ip": ip_type})
            options.pop("password", None)
            return psycopg.connect(user=real.username, dbname=db, host=str(host), port=real.port, **options)

    place = f"p/europe-west1/c/i/{real.database}"
    with pytest.raises(ConfigError, match="another form"):
        connect("alloydb://me@p/europe-west1/c")
    monkeypatch.setitem(sys.modules, "google.cloud.alloydbconnector", None)
    alloydb._connector.cache_clear()
    with pytest.raises(MissingExtraError, match="alloydb-connector"):
        connect(f"alloydb://me@{place}")
    monkeypatch.setitem(sys.modules, "google.cloud.alloydbconnector", SimpleNamespace(Connector=Connector))
    try:
        with closing(connect(f"alloydb://me%40p.iam@{place}?ip_type=PUBLIC")) as connector, closing(connect(url)) as plain:
            assert connector.reflect().fingerprint() == plain.reflect().fingerprint() and connector.identity() == plain.identity()
            assert connector.label == f"alloydb://me%40p.iam@{place}"
        name = "projects/p/locations/europe-west1/clusters/c/instances/i"
        assert calls[0] == {"instance": name, "driver": "psycopg", "user": "me@p.iam", "db": real.database, "iam": True, "ip": "PUBLIC"}
        target = open_target(ExportConfig(url=f"alloydb://me:s3cret@{place}"))
        assert target.exists() and "s3cret" not in target.label and calls[-1]["iam"] is False
    finally:
        alloydb._connector.cache_clear()
