"""SQLite as a source: what is there is found, read with the types that the values ask for, and never changed."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from synth_pipeline.catalog.schema import Column, DatabaseSchema
from synth_pipeline.catalog.types import LogicalType
from synth_pipeline.config import Connection, ExportConfig
from synth_pipeline.connectors import connect, masked, open_connector
from synth_pipeline.connectors.sqlite import probe, values
from synth_pipeline.connectors.sqlite.ddl import read_table, rename
from synth_pipeline.errors import ConfigError, SourceError, UnreachableError
from synth_pipeline.export import export_database
from synth_pipeline_tests.export.hostile import build
from synth_pipeline_tests.helpers import bundle_of


def made(path: Path, script: str) -> Path:
    with closing(sqlite3.connect(path)) as db:
        db.executescript(script)
    return path


def column(path: Path, declared: str, stored: list[object]) -> tuple[Column, list[object]]:
    """A one-column table read back: the column as reflected and its values."""
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"CREATE TABLE t (c {declared})")
        db.executemany("INSERT INTO t VALUES (?)", [(v,) for v in stored])
        db.commit()
    connector = connect(f"sqlite:///{path}")
    table = connector.reflect().table("t")
    with connector.snapshot() as snapshot:
        found = [v for batch in snapshot.rows(table) for v in batch.column(0).to_pylist()]
    connector.close()
    return table.column("c"), found


# --- opening -----------------------------------------------------------------------------------------------------------


def test_errors_are_one_line_with_a_remedy_and_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "letter").write_text("no database " * 100)
    monkeypatch.delenv("NO_SUCH_URL", raising=False)
    for url, error in [
        (f"sqlite:///{tmp_path}/missing.db", UnreachableError), (f"sqlite:///{tmp_path}/letter", SourceError), ("sqlite://", ConfigError),
        ("sqlite:///:memory:", ConfigError), ("nonsense", ConfigError), ("nope://u:hunter2@h/d?password=hunter2", ConfigError),
        ("http//u:hunter2@h", ConfigError),
    ]:  # fmt: skip
        with pytest.raises(error) as caught:
            connect(url)
        assert caught.value.remedy and "\n" not in str(caught.value) and "hunter2" not in str(caught.value)
    with pytest.raises(ConfigError, match="NO_SUCH_URL is not set"):
        open_connector(Connection(url_env="NO_SUCH_URL"))
    assert masked("postgresql://u:hunter2@h/d?password=hunter2") == "postgresql://u:***@h/d"


def test_relative_urls_and_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path / "a b?.db", "CREATE TABLE t (a)")
    (tmp_path / "link").symlink_to(tmp_path / "a b?.db")
    monkeypatch.chdir(tmp_path)
    identities = set()
    for url in ("sqlite:///link", f"sqlite:///{tmp_path}/link", f"sqlite+pysqlite:///{tmp_path}/link"):
        connector = connect(url)
        identities.add(connector.identity())
        connector.close()
    assert len(identities) == 1


def test_the_source_is_never_changed(tmp_path: Path) -> None:
    source = build(tmp_path / "s.db")
    before, names = source.read_bytes(), os.listdir(tmp_path)
    connector = connect(f"sqlite:///{source}")
    schema = connector.reflect()
    with connector.snapshot() as snapshot:
        for table in schema.tables:
            list(snapshot.rows(table))
        with pytest.raises((SourceError, sqlite3.OperationalError), match="readonly|read-only|query_only"):
            list(snapshot.select("DELETE FROM log RETURNING 1"))
    connector.close()
    assert source.read_bytes() == before and os.listdir(tmp_path) == names


def test_a_source_with_an_unfinished_transaction_is_named(tmp_path: Path) -> None:
    import subprocess

    crash = (
        "import os, sqlite3, sys; db = sqlite3.connect(sys.argv[1], isolation_level=None); db.execute('PRAGMA cache_size = 5');"
        "db.execute('CREATE TABLE t (x)'); db.execute('BEGIN');"
        "db.executemany('INSERT INTO t VALUES (?)', [('y' * 900,)] * 3000); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", crash, str(tmp_path / "s.db")], check=False)
    with pytest.raises(UnreachableError, match="unfinished transaction"):
        connect(f"sqlite:///{tmp_path}/s.db")


def test_a_snapshot_does_not_see_later_changes(tmp_path: Path) -> None:
    source = made(tmp_path / "s.db", "PRAGMA journal_mode = WAL; CREATE TABLE t (a INT); INSERT INTO t VALUES (1)")
    connector = connect(f"sqlite:///{source}")
    with connector.snapshot() as snapshot:
        made(source, "INSERT INTO t VALUES (2)")
        assert list(snapshot.select("SELECT count(*) FROM t")) == [(1,)]
    connector.close()


# --- the catalogue -----------------------------------------------------------------------------------------------------


@pytest.fixture
def hostile(tmp_path: Path) -> DatabaseSchema:
    connector = connect(f"sqlite:///{build(tmp_path / 's.db')}")
    schema = connector.reflect()
    connector.close()
    return schema


def test_everything_is_reflected(hostile: DatabaseSchema) -> None:
    parent, child = hostile.table("parent table"), hostile.table("child")
    assert hostile.table_ids == ("parent table", "child", "log", "strict_one", "documents", "select", "empty", "seats")
    assert parent.primary_key == ("id",) and parent.column("id").identity and not child.column("a").identity
    assert [u.columns for u in parent.unique_keys] == [('na"me',)] and not parent.column('na"me').case_sensitive
    assert [(c.name, c.sql) for c in parent.checks] == [
        ("positive(", "price >= 0 AND (price < 1e9 OR (price IS NULL))"), (None, "\"na\"\"me\" <> 'it''s ) , CHECK'"),
    ]  # fmt: skip
    assert [(i.name, i.unique, i.where) for i in parent.indexes] == [("born index", False, None), ("once", True, "seen IS NOT NULL")]
    assert parent.column("double_name").generated and parent.column("stored_sum").generated == "id + 1"
    keys = {fk.id: fk for fk in child.foreign_keys}
    assert list(keys) == ["child.fk_parent", "child.again_fk", "child.fk_me_a_me_b"]
    assert keys["child.fk_parent"].deferrable and keys["child.fk_parent"].parent_columns == ("id",)
    assert keys["child.again_fk"].on_delete == "CASCADE" and keys["child.again_fk"].parent == "parent table"
    assert keys["child.fk_me_a_me_b"].is_self_reference and keys["child.fk_me_a_me_b"].parent_columns == ("a", "b")
    assert any("nowhere" in w for w in hostile.warnings) and any("search" in w for w in hostile.warnings)
    assert [(k, n) for k, n, _ in hostile.other_ddl] == [
        ("index", "born index"), ("index", "once"), ("trigger", "noisy"), ("view", "joined"), ("trigger", "on_view"), ("index", "expression"),
        ("virtual_table", "search"),
    ]  # fmt: skip
    assert DatabaseSchema.from_dict(json.loads(json.dumps(hostile.to_dict()))) == hostile


def test_two_foreign_keys_to_one_parent_stay_two(tmp_path: Path) -> None:
    script = "CREATE TABLE p (a INTEGER PRIMARY KEY); CREATE TABLE c (x INT REFERENCES p, y INT REFERENCES p, FOREIGN KEY (x) REFERENCES p (a))"
    connector = connect(f"sqlite:///{made(tmp_path / 's.db', script)}")
    assert [fk.id for fk in connector.reflect().foreign_keys] == ["c.fk_x", "c.fk_y", "c.fk_x#2"]
    connector.close()


def test_nulls_in_a_key_and_keys_of_two_types(tmp_path: Path) -> None:
    """SQLite lets both happen; the first makes the key nullable, the second is carried as one type."""
    source = made(
        tmp_path / "s.db",
        "CREATE TABLE p (k TEXT PRIMARY KEY, n NUMERIC UNIQUE); INSERT INTO p VALUES (NULL, 1), ('5', 2.5);"
        "CREATE TABLE c (k INTEGER REFERENCES p, n BOOLEAN REFERENCES p (n)); INSERT INTO c VALUES (5, 1)",
    )
    connector = connect(f"sqlite:///{source}")
    schema = connector.reflect()
    assert schema.table("p").column("k").nullable
    for name in ("k", "n"):
        assert schema.table("p").column(name).type.kind == schema.table("c").column(name).type.kind
    with connector.snapshot() as snapshot:
        (child,) = snapshot.rows(schema.table("c"))
    assert child.to_pylist() == [{"k": "5", "n": 1.0}]
    assert values.encode(schema.table("c").column("k"), child.column(0)) == [5]
    connector.close()


def test_the_reader_of_create_table() -> None:
    text = read_table(
        "CREATE TABLE t (a INT CHECK(a>0)CONSTRAINT c CHECK (a IN (1,(2))), [check] TEXT DEFAULT (')' || 'CHECK (1)') COLLATE nocase, -- CHECK (no)\n"
        '"b" GENERATED ALWAYS AS (a*(2)) STORED, UNIQUE (a, [check]), CONSTRAINT u UNIQUE (b), FOREIGN KEY(a)REFERENCES p(x)NOT DEFERRABLE)'
    )
    assert text.checks == ((None, "a>0"), ("c", "a IN (1,(2))")) and text.collations == {"check": "NOCASE"} and text.generated == {"b": "a*(2)"}
    assert text.unique_names == {("b",): "u"} and text.references[0].columns == ("a",) and not text.references[0].deferrable
    renamed = rename('CREATE TABLE t (t INT CHECK (t.t > 0) REFERENCES "t" (t), s TEXT DEFAULT \'t\')', lambda n: "x" if n == "t" else None)
    assert renamed == "CREATE TABLE \"x\" (t INT CHECK (\"x\".t > 0) REFERENCES \"x\" (t), s TEXT DEFAULT 't')"


# --- values ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("declared", "stored", "kind", "storage", "read"), [
    ("DATE", ["2024-02-29", None], "date", "%Y-%m-%d", [date(2024, 2, 29), None]),
    ("DATETIME", ["2024-02-29"], "datetime", "%Y-%m-%d", [datetime(2024, 2, 29)]),
    ("DATE", ["2024-02-29 10:00:00"], "datetime", "%Y-%m-%d %H:%M:%S", [datetime(2024, 2, 29, 10)]),
    ("TIMESTAMP", ["2024-02-29T10:00:00Z"], "timestamp", "%Y-%m-%dT%H:%M:%SZ", [datetime(2024, 2, 29, 10, tzinfo=UTC)]),
    ("DATETIME", [1_700_000_000], "datetime", "epoch_s", [datetime(2023, 11, 14, 22, 13, 20)]),
    ("DATETIME", [-1_700_000_000_001], "datetime", "epoch_ms", [datetime(1916, 2, 18, 1, 46, 39, 999000)]),
    ("DATETIME", [2460000.5], "datetime", "julian", [datetime(2023, 2, 25)]),
    ("DATE", [20240229], "date", "integer:%Y%m%d", [date(2024, 2, 29)]),
    ("DATE", ["2024-02-29", "0000-00-00"], "text", None, ["2024-02-29", "0000-00-00"]),
    ("DATETIME", [3], "integer", None, [3]),
    ("BOOLEAN", [0, 1, None], "boolean", None, [False, True, None]),
    ("BOOLEAN", ["t", "f"], "boolean", "t|f", [True, False]),
    ("BOOLEAN", [-1, 1], "integer", None, [-1, 1]),
    ("DECIMAL(10,2)", [1.1, 2], "decimal", None, [Decimal("1.10"), Decimal("2.00")]),
    ("DECIMAL(10,2)", [1.125, 2], "float", None, [1.125, 2.0]),
    ("DECIMAL(10,2)", [1, 2], "integer", None, [1, 2]),
    ("INTEGER", [1, "n/a"], "text", None, ["1", "n/a"]),
    ("INTEGER", [2**53 + 1, 0.5], "text", "literal", [str(2**53 + 1), "0.5"]),
    ("INTEGER", [2**63 - 1, -(2**63)], "integer", None, [2**63 - 1, -(2**63)]),
    ("REAL", [float("inf"), -0.0], "float", None, [float("inf"), -0.0]),
    ("STRING", ["a", None], "text", None, ["a", None]),
    ("", [b"\x00", 1, "1"], "text", "literal", ["X'00'", "1", "'1'"]),
    ("VARCHAR(2)", ["long", ""], "text", None, ["long", ""]),
    ("UUID", ["9e1b"], "uuid", None, ["9e1b"]),
])  # fmt: skip
def test_types_follow_the_values(tmp_path: Path, declared: str, stored: list[object], kind: str, storage: str | None, read: list[object]) -> None:
    found, loaded = column(tmp_path / "s.db", declared, stored)
    assert (found.type.kind, found.storage, loaded) == (kind, storage, read)


ANY = st.one_of(
    st.none(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.binary(max_size=8),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.dates().map(str), st.datetimes().map(str), st.sampled_from(["t", "f", 0, 1, 20240101, 1_600_000_000, 2.5, "yes"]),
)  # fmt: skip
DECLARED = ["", "INT", "TEXT", "REAL", "NUMERIC", "DATE", "DATETIME", "TIME", "BOOLEAN", "DECIMAL(9,2)", "BLOB", "JSON", "POINT", "YEAR",
            "NUMBER(10)"]  # fmt: skip


@given(declared=st.sampled_from(DECLARED), stored=st.lists(ANY, max_size=6))
@settings(max_examples=300, deadline=None)
@example(declared="", stored=[0, 6.391616159187239e-300])
def test_any_value_in_any_column_comes_back_with_its_storage_class(declared: str, stored: list[object]) -> None:
    db = sqlite3.connect(":memory:")
    db.execute(f"CREATE TABLE s (c {declared})")
    db.execute(f"CREATE TABLE d (c {declared})")
    db.executemany("INSERT INTO s VALUES (?)", [(v,) for v in stored])
    (found,) = probe.probe(db, "s", [Column("c", probe.declared_type(declared), declared)])
    read = [v for (v,) in db.execute(f"SELECT {values.select_expression(found, 'c')} FROM s")]
    written = values.encode(found, values.decode(found, read))
    db.executemany(f"INSERT INTO d VALUES ({values.bind_expression(found)})", [(v,) for v in written])
    pairs = [db.execute(f"SELECT typeof(c), quote(c) FROM {t} ORDER BY rowid").fetchall() for t in "sd"]
    assert pairs[0] == pairs[1], found


def test_text_that_is_no_utf_8_comes_back_byte_by_byte(tmp_path: Path) -> None:
    source = made(
        tmp_path / "s.db",
        "CREATE TABLE t (a TEXT, b DATE, c TEXT); INSERT INTO t VALUES (CAST(x'ff6162' AS TEXT), CAST(x'fe' AS TEXT), 'ä'), ('ä', NULL, 'b')",
    )
    schema, bundle = bundle_of(source, tmp_path / "bundle")
    assert bundle.read("t").column("a").to_pylist() == [b"\xffab", "ä".encode()]
    config = ExportConfig(url=f"sqlite:///{tmp_path}/out.db")
    export_database(schema, schema, bundle, config, source_identity="sqlite:/elsewhere")
    pairs = []
    for path in (source, tmp_path / "out.db"):
        with closing(sqlite3.connect(path)) as db:
            pairs.append(db.execute("SELECT hex(a), typeof(a), hex(b), typeof(b), c FROM t").fetchall())
    assert pairs[0] == pairs[1]


def test_text_that_cannot_be_read_is_not_repeated(tmp_path: Path) -> None:
    source = made(tmp_path / "s.db", "CREATE TABLE t (a); INSERT INTO t VALUES (CAST(x'ff' || 'Jane Doe' AS TEXT)), (1)")
    connector = connect(f"sqlite:///{source}")
    with pytest.raises(SourceError, match="'t' holds text that is not UTF-8") as caught, connector.snapshot() as snapshot:
        list(snapshot.rows(connector.reflect().table("t")))
    assert "Jane" not in str(caught.value)
    connector.close()


def test_values_that_do_not_conform_above_the_full_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Beyond the full check a stray value is read as NULL and counted; where NULL is impossible, the column is named."""
    monkeypatch.setattr(probe, "FULL_CHECK_ROWS", 100)
    source = made(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, d DATE, e DATE NOT NULL);"
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)"
        "INSERT INTO t SELECT i, '2024-01-01', '2024-01-02' FROM n; UPDATE t SET d = 'never' WHERE id = 700; UPDATE t SET e = 'x' WHERE id = 299999",
    )
    connector = connect(f"sqlite:///{source}")
    table = connector.reflect().table("t")
    assert table.column("d").type == LogicalType("date")
    with connector.snapshot() as snapshot:
        assert sum(b.column(0).null_count for b in snapshot.rows(table, ["d"])) == 1
        assert "t.d: 1 values" in caplog.text
        with pytest.raises(SourceError, match="t.e"):
            list(snapshot.rows(table, ["e"]))
    connector.close()


# --- looking ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tail", ["", "WITHOUT ROWID"])
def test_a_profile_is_spread_over_the_table(tmp_path: Path, tail: str) -> None:
    source = made(
        tmp_path / "s.db",
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, rowid TEXT) {tail}; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9000)"
        "INSERT INTO t SELECT i * i, NULL FROM n; CREATE TABLE none (a INT)",
    )
    connector = connect(f"sqlite:///{source}")
    schema = connector.reflect()
    profile = connector.profile(schema.table("t"), 300)
    ids = profile.sample.column("id").to_pylist()
    assert profile.rows == 9000 and len(ids) == len(set(ids)) == 300
    assert max(ids) > 0.9 * 9000**2 and sum(i > 4500**2 for i in ids) in range(140, 161)
    assert connector.profile(schema.table("none")).sample.num_rows == 0
    connector.close()


def test_inclusion_and_uniqueness(tmp_path: Path) -> None:
    source = made(
        tmp_path / "s.db",
        "CREATE TABLE p (a INT, b TEXT); INSERT INTO p VALUES (1, 'x'), (2, 'y'), (2, 'z');"
        "CREATE TABLE c (a INT, b TEXT); INSERT INTO c VALUES (1, 'x'), (1, 'x'), (2, 'x'), (3, NULL), (NULL, 'y')",
    )
    connector = connect(f"sqlite:///{source}")
    schema = connector.reflect()
    p, c = schema.table("p"), schema.table("c")
    one, two = connector.inclusion(c, ["a"], p, ["a"]), connector.inclusion(c, ["a", "b"], p, ["a", "b"])
    assert (one.tested, one.found) == (3, 2) and (two.tested, two.found) == (2, 1)
    assert connector.inclusion(c, ["a"], p, ["a"], limit=1).tested == 1
    assert [connector.is_unique(p, k) for k in (["a"], ["a", "b"], ["b"])] == [False, True, True]
    assert not connector.is_unique(c, ["b"])
    connector.close()


def test_rows_takes_a_tail_with_bound_parameters_and_batches(tmp_path: Path) -> None:
    source = made(tmp_path / "s.db", "CREATE TABLE t (a INT, b TEXT, c AS (a + 1)); INSERT INTO t (a, b) VALUES (1, 'x'), (2, 'y'), (3, 'z')")
    connector = connect(f"sqlite:///{source}")
    table = connector.reflect().table("t")
    with connector.snapshot() as snapshot:
        found = list(snapshot.rows(table, ["b", "a"], tail="WHERE t.a > ? ORDER BY t.a DESC", params=[1], batch=1))
        assert [b.to_pylist() for b in found] == [[{"b": "z", "a": 3}], [{"b": "y", "a": 2}]]
        assert [b.schema.names for b in snapshot.rows(table)] == [["a", "b"]]
    connector.close()


def test_rows_of_large_tables_are_estimated_without_reading_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of dense, sparse and unevenly spread row numbers, with negative ones; what is small is counted."""
    monkeypatch.setattr(probe, "FULL_CHECK_ROWS", 10_000)
    spread = {
        "dense": range(1, 60_001), "sparse": range(-(10**9), 10**9, 10**5), "clustered": [*range(30_000), *range(10**6, 10**6 + 30_000)],
        "far": [1, 2**62], "few": [3], "empty": [],
    }  # fmt: skip
    path = tmp_path / "large.db"
    with closing(sqlite3.connect(path)) as db:
        for name, numbers in spread.items():
            db.execute(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, v REAL)")
            db.executemany(f"INSERT INTO {name} VALUES (?, 0.5)", [(n,) for n in numbers])
        db.commit()
    with closing(connect(f"sqlite:///{path}")) as connector:
        schema = connector.reflect()
        for name, numbers in spread.items():
            estimate = schema.table(name).row_estimate
            assert estimate == pytest.approx(len(numbers), rel=0.02 if len(numbers) > 10 else 0)
            assert connector.profile(schema.table(name)).rows == estimate
