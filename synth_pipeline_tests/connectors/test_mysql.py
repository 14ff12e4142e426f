"""Reading a MariaDB database, on a real server: what is declared, exact values, one snapshot, SELECT and nothing more."""

from __future__ import annotations

import datetime as dt
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from synth_pipeline.artifacts import BundleWriter
from synth_pipeline.catalog.types import LogicalType, arrow_type
from synth_pipeline.config import SubsetConfig
from synth_pipeline.connectors import connect
from synth_pipeline.connectors.mysql import ddl, types
from synth_pipeline.connectors.mysql.connector import MySQLConnector
from synth_pipeline.errors import ConfigError, MissingExtraError, SourceError, UnreachableError
from synth_pipeline.subset import take_subset
from synth_pipeline_tests.connectors.hostile_mysql import HOSTILE
from synth_pipeline_tests.connectors.mysql import execute

NewDatabase = Callable[..., str]


@pytest.fixture
def hostile(new_mariadb: NewDatabase) -> Iterator[MySQLConnector]:
    url = new_mariadb("hostile")
    execute(url, HOSTILE)
    with closing(connect(url)) as connector:
        assert isinstance(connector, MySQLConnector)
        yield connector


def url_of(connector: MySQLConnector) -> str:
    return connector._url.render_as_string(hide_password=False)


def test_all_that_is_declared(hostile: MySQLConnector) -> None:
    schema = hostile.reflect()
    assert set(schema.table_ids) == {"customer", "Order", "line", "event_log", "counted", "nokey", "empty_one", "aria"}
    customer = schema.table("customer")
    column = customer.column
    assert customer.primary_key == ("id",) and customer.comment == "of a kind; AUTO_INCREMENT=7"
    assert [u.columns for u in customer.unique_keys] == [("code",)]
    assert ("part", ("weird %s `name",), False) in {(i.name, i.columns, i.unique) for i in customer.indexes}
    assert column("mood").type.values == ("sad", "it's ok", "happy") and column("tags").type.values[-1] == "a,b,c"
    assert column("many").type.kind == "text" and column("born").type.kind == "integer" and column("bits").type.bits == 5
    assert column("flag").type.kind == "boolean" and column("grade").type == LogicalType("integer", bits=8)  # which holds more than 0 and 1
    assert hostile.reflect(values=False).table("customer").column("grade").type.kind == "boolean"
    assert column("share").type == LogicalType("decimal", precision=5, scale=2) and column("doc").type.kind == "json"
    assert column("id").identity and column("id").type.unsigned and column("id").comment == "whose" and not column("boss").identity
    assert column("twice").generated and column("initial").generated and column("touched").default == "current_timestamp(3)"
    assert column("code").type == LogicalType("text", length=6, fixed=True) and column("code").case_sensitive
    assert column("number").default == "nextval(`ticket`)" and column("hidden").default == "3"
    assert {c.sql for c in customer.checks} == {"`share` < 100 and `code` <> 'a,(b'", "`grade` between 0 and 9"}
    boss = next(f for f in customer.foreign_keys if f.columns == ("boss",))
    assert (boss.id, boss.parent, boss.parent_columns, boss.on_delete) == ("customer.boss_fk", "customer", ("id",), "SET NULL")
    kinds = [(k, n) for k, n, _ in schema.other_ddl]
    assert kinds == [
        ("sequence", "ticket"), ("function", "doubled"), ("procedure", "cheer"), ("view", "a_happy_few"), ("view", "doubled_view"), ("view", "happy"),
        ("trigger", "touch"), ("trigger", "touch_again"), ("event", "tidy"),
    ]  # fmt: skip
    assert any("Aria" in w for w in schema.warnings)
    database = make_url(url_of(hostile)).database or ""
    assert not any(database in (t.ddl or "") for t in schema.tables)
    assert not any(database in sql for _, _, sql in schema.other_ddl)
    assert all("AUTO_INCREMENT=1000" not in (t.ddl or "") for t in schema.tables)


def test_values_come_exactly_and_what_no_bundle_holds_comes_as_the_nearest(new_mariadb: NewDatabase) -> None:
    url = new_mariadb("values")
    execute(url, [
        "SET sql_mode = ''",
        "CREATE TABLE v (n INT PRIMARY KEY, u BIGINT UNSIGNED, day DATE, must DATE NOT NULL, at DATETIME(6), instant TIMESTAMP(6) NULL, "
        "hour TIME(6), old VARCHAR(9) CHARACTER SET latin1, one BIT, doc JSON, raw BINARY(3))",
        "INSERT INTO v VALUES (1, 18446744073709551615, '1000-01-01', '2024-02-29', '9999-12-31 23:59:59.999999', '2024-03-31 01:30:00.000001', "
        "'23:59:59.999999', 'Zoë', b'1', '[1, {\"a\": \"é\"}]', x'00ff')",
        "INSERT INTO v VALUES (2, 0, '0000-00-00', '2024-00-00', '2024-02-00', '0000-00-00', '-838:59:59', '', b'0', 'null', '')",
        "INSERT INTO v (n, must, hour) VALUES (3, '0000-00-00', '100:00:00')",
    ])  # fmt: skip
    with closing(connect(url)) as connector:
        table = connector.reflect().table("v")
        with connector.snapshot() as snapshot:
            (batch,) = snapshot.rows(table, tail="ORDER BY t.n")
    assert [f.type for f in batch.schema] == [arrow_type(c.type) for c in table.columns]
    first, second, third = batch.to_pylist()
    assert first["u"] == Decimal(2**64 - 1) and first["day"] == dt.date(1000, 1, 1) and first["at"] == dt.datetime(9999, 12, 31, 23, 59, 59, 999999)
    assert first["instant"] == dt.datetime(2024, 3, 31, 1, 30, 0, 1, dt.UTC) and first["hour"] == dt.time(23, 59, 59, 999999)
    assert (first["old"], first["one"], first["doc"], first["raw"]) == ("Zoë", True, '[1, {"a": "é"}]', b"\0\xff\0")
    assert second["day"] is None and second["must"] == dt.date(1, 1, 1) and second["at"] is None and second["instant"] is None
    assert (second["hour"], second["old"], second["one"], second["doc"]) == (dt.time(0), "", False, "null")
    assert third["must"] == dt.date(1, 1, 1) and third["hour"] == dt.time(23, 59, 59, 999999) and third["old"] is None and third["raw"] is None


def test_rows_that_come_as_lines_are_the_same(new_mariadb: NewDatabase) -> None:
    """Tables with columns of any length are read column by column, others a line at a time."""
    url = new_mariadb("lines")
    execute(url, [
        "CREATE TABLE v (n INT PRIMARY KEY, u BIGINT UNSIGNED, f FLOAT, d DOUBLE, x DECIMAL(20,6), day DATE, at DATETIME(6), "
        "instant TIMESTAMP(3) NULL, hour TIME(6), old CHAR(9) CHARACTER SET latin1, "
        "text VARCHAR(40) COLLATE utf8mb4_bin, other VARCHAR(40) COLLATE utf8mb4_unicode_ci, "
        "mood ENUM('a,b','c\"d'), flag BOOLEAN, one BIT(9), raw VARBINARY(9), k UUID, z INT(6) ZEROFILL, long_one LONGTEXT)",
        """INSERT INTO v VALUES (1, 18446744073709551615, 0.1, 1e-300, -0.000001, '0001-01-01', '9999-12-31 23:59:59.999999',
            '2024-03-31 01:30:00.5', '23:59:59.999999', 'Zoë', 'a,"b"\n\r\\\\N', '🦆', 'a,b', true, 300, x'00ff2c220a',
            'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 42, '')""",
        "INSERT INTO v VALUES (2, 0, -1e30, 1e308, 0, '2024-02-29', '2024-02-29', '2024-02-29', '0:0', '', '', 'NULL', "
        "'c\"d', false, 0, '', NULL, 0, '')",
        "INSERT INTO v (n) VALUES (3)",
    ])  # fmt: skip
    with closing(connect(url)) as connector:
        table = connector.reflect().table("v")
        names = [c.name for c in table.columns if c.name != "long_one"]
        with connector.snapshot() as snapshot:
            (lines,), (columns,) = (list(snapshot.rows(table, wanted, tail="ORDER BY t.n")) for wanted in (names, None))
    assert lines.equals(columns.select(names))
    first, second, third = lines.to_pylist()
    assert first["text"] == 'a,"b"\n\r\\N' and first["raw"] == b"\0\xff,\"\n" and first["mood"] == "a,b" and first["z"] == 42
    assert (second["old"], second["text"], second["other"], second["raw"]) == ("", "", "NULL", b"")
    assert all(v is None for name, v in third.items() if name != "n")


def test_one_snapshot_for_streams_side_by_side_and_for_those_that_are_left(hostile: MySQLConnector) -> None:
    schema = hostile.reflect()
    customer, line = schema.table("customer"), schema.table("line")
    with hostile.snapshot() as snapshot:
        counted = snapshot.select("SELECT count(*) FROM customer")
        assert next(counted) == (300,)
        execute(url_of(hostile), ["DELETE FROM line WHERE line = 3"])
        left = snapshot.rows(line, batch=10)
        next(left)
        streams = [snapshot.rows(line, batch=100), snapshot.rows(customer, batch=100)]
        assert next(streams[0]).num_rows == next(streams[1]).num_rows == 100
        left.close()
        assert 100 + sum(b.num_rows for b in streams[0]) == 1500
        assert 100 + sum(b.num_rows for b in streams[1]) == 300
        assert list(snapshot.select("SELECT count(*) FROM customer WHERE id > %s", [280])) == [(20,)]
        found = list(snapshot.rows(customer, ["weird %s `name"], tail="WHERE t.`weird %s ``name` = %s", params=["v1"]))
        assert sum(b.num_rows for b in found) == 43


def test_select_is_all_the_user_needs_and_nothing_is_written(hostile: MySQLConnector, tmp_path: Path) -> None:
    user, url = f"u_{os.urandom(3).hex()}", make_url(url_of(hostile))
    execute(url_of(hostile), [f"CREATE USER {user}@'%' IDENTIFIED BY 'x'", f"GRANT SELECT ON `{url.database}`.* TO {user}@'%'"])
    try:
        with closing(connect(url.set(username=user, password="x").render_as_string(hide_password=False))) as connector:
            schema = connector.reflect()
            assert [t.ddl for t in schema.tables] == [t.ddl for t in hostile.reflect().tables]
            assert any("may not see its definition" in w for w in schema.warnings)
            assert connector.identity() == hostile.identity()
            taken = take_subset(connector, schema, SubsetConfig(max_rows=400), BundleWriter(tmp_path / "s", schema))
            assert 0 < taken.bundle.total_rows <= 900
    finally:
        execute(url_of(hostile), [f"DROP USER {user}@'%'"])


@pytest.mark.parametrize("options", [
    {"max_rows": 300}, {"fraction": 0.3}, {"main_table": "customer", "rows": 20}, {"where": {"line": "t.amount % 2 < 1"}},
])  # fmt: skip
def test_a_subset_of_a_schema_of_everything(hostile: MySQLConnector, tmp_path: Path, options: dict[str, object]) -> None:
    schema = hostile.reflect()
    taken = [take_subset(hostile, schema, SubsetConfig(**options), BundleWriter(tmp_path / str(i), schema)) for i in range(2)]  # type: ignore[arg-type]
    assert taken[0].bundle.content_hash == taken[1].bundle.content_hash
    assert 0 < taken[0].bundle.total_rows < 2650


def test_keys_of_every_type_are_found_again(new_mariadb: NewDatabase, tmp_path: Path) -> None:
    url = new_mariadb("keys")
    kinds = {
        "b": ("BINARY(16)", "UNHEX(MD5(seq))"),
        "u": ("UUID", "CONCAT('a0eebc99-9c0b-4ef8-bb6d-', LPAD(seq, 12, '0'))"), "d": ("DATE", "'2000-01-01' + INTERVAL seq DAY"),
        "t": ("DATETIME(6)", "'2000-01-01 00:00:00.5' + INTERVAL seq HOUR"), "n": ("DECIMAL(12,3)", "seq / 8"),
        "h": ("BIGINT UNSIGNED", "18446744073709551615 - seq"),
        "c": ("VARCHAR(30) CHARACTER SET latin1 COLLATE latin1_swedish_ci", "CONCAT('ë', seq)"),
        "x": ("VARCHAR(30) COLLATE utf8mb4_bin", "CONCAT('🦆\\\\''\"', seq)"),
        "e": ("DOUBLE", "seq / 7"), "s": ("TIMESTAMP(3)", "'2020-01-01' + INTERVAL seq HOUR"),
    }  # fmt: skip
    statements = []
    for name, (kind, value) in kinds.items():
        statements += [
            f"CREATE TABLE p_{name} (k {kind} NOT NULL PRIMARY KEY, v INT)", f"INSERT INTO p_{name} SELECT {value}, seq FROM seq_1_to_60",
            f"CREATE TABLE c_{name} (id INT PRIMARY KEY, k {kind} NOT NULL, FOREIGN KEY (k) REFERENCES p_{name} (k))",
            f"INSERT INTO c_{name} SELECT v, k FROM p_{name}",
        ]  # fmt: skip
    execute(url, statements)
    with closing(connect(url)) as connector:
        schema = connector.reflect()
        taken = take_subset(connector, schema, SubsetConfig(fraction=0.4, seed=3), BundleWriter(tmp_path / "s", schema)).bundle
    for name in kinds:
        parents, children = (set(taken.read(f"{side}_{name}").column("k").to_pylist()) for side in "pc")
        assert children and children <= parents, name


def test_inclusion_and_uniqueness_whatever_the_types(hostile: MySQLConnector) -> None:
    schema = hostile.reflect()
    customer, order, line = schema.table("customer"), schema.table("Order"), schema.table("line")
    full = hostile.inclusion(order, ["customer"], customer, ["id"])
    assert full.tested == full.found == 300
    assert hostile.inclusion(customer, ["code"], customer, ["id"]).found == 0
    assert hostile.inclusion(customer, ["code"], customer, ["weird %s `name"]).found == 0  # of other collations
    assert hostile.inclusion(line, ["order", "line"], line, ["order", "line"]).found == 1500
    assert hostile.is_unique(customer, ["raw"]) and not hostile.is_unique(customer, ["place"])
    assert not hostile.is_unique(customer, ["boss"]) and not hostile.is_unique(line, ["order"])


def test_a_profile_is_a_bounded_sample_spread_over_the_table(new_mariadb: NewDatabase) -> None:
    url = new_mariadb("large")
    execute(url, ["CREATE TABLE t AS SELECT seq AS i FROM seq_1_to_50000"])
    with closing(connect(url)) as connector:
        profile = connector.profile(connector.reflect().table("t"), 500)
    values = profile.sample.column("i").to_pylist()
    assert profile.rows == 50_000 and 400 <= len(values) <= 500
    assert min(values) < 2_000 and max(values) > 48_000


def test_what_cannot_be_opened_is_one_line_without_the_password(mariadb_server: str, new_mariadb: NewDatabase) -> None:
    for url in (mariadb_server.format("nowhere"), "mysql://someone:s3cret@127.0.0.1:1/db", "mysql://a:s3cret@h/db?nonsense=1"):
        with pytest.raises(UnreachableError) as caught:
            connect(url)
        assert "s3cret" not in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="names no database"):
        connect("mysql://root@127.0.0.1")
    url = new_mariadb("gone")
    with pytest.raises(ConfigError, match="another database"):
        connect(url, ["elsewhere"])
    execute(url, ["CREATE TABLE t (a TEXT)", "INSERT INTO t VALUES ('s3cret')"])
    with closing(connect(url)) as connector:
        table = connector.reflect().table("t")
        with pytest.raises(SourceError) as refused, connector.snapshot() as snapshot:
            list(snapshot.rows(table, tail="WHERE exp(length(t.a) * 1000) > 1 AND extractvalue('<a/>', t.a, 1)"))
        assert "s3cret" not in str(refused.value)


def test_a_missing_driver_is_an_error_that_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [m for m in sys.modules if m.startswith(("pymysql", "synth_pipeline.connectors.mysql"))]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "pymysql", None)
    with pytest.raises(MissingExtraError, match=r"synth-pipeline\[mysql\]"):
        connect("mysql://root@127.0.0.1/db")


def test_the_names_of_a_definition() -> None:
    sql = (
        "CREATE DEFINER=`a b`@`%` TRIGGER t BEFORE INSERT ON `shop`.x FOR EACH ROW "
        "INSERT INTO shop.y SELECT `shop`.`id`, 'shop.y' FROM y AS shop -- shop.y"
    )
    bare = ddl.unqualified(sql, "shop", {"x", "y"})
    assert bare == sql.replace("`shop`.x", "x").replace("INTO shop.y", "INTO y")
    assert ddl.trigger_table(bare) == "x" and ddl.mentions(bare, "shop") and not ddl.mentions(bare, "other")
    assert ddl.without_definer(bare) == bare.replace("DEFINER=`a b`@`%` ", "")


@pytest.mark.parametrize(("native", "kind"), [
    ("tinyint(1)", "boolean"), ("tinyint(1) unsigned", "integer"), ("tinyint(4)", "integer"), ("bit(1)", "boolean"), ("bit(64)", "integer"),
    ("year(4)", "integer"), ("double(8,2)", "float"), ("decimal(65,30) unsigned", "decimal"), ("char(0)", "text"), ("varbinary(9)", "binary"),
    ("tinyblob", "binary"), ("multipolygon", "geometry"), ("inet4", "other"), ("vector(3)", "other"), ("set('a')", "enum"), ("json", "json"),
    ("enum('a','b)','c,(''')", "enum"), ("timestamp(6)", "timestamp"), ("something new", "other"),
])  # fmt: skip
def test_every_type_means_something(native: str, kind: str) -> None:
    found = types.logical(native)
    assert found.kind == kind
    arrow_type(found)
