"""Inference as a whole: on real databases with and without their keys, on anything at all, with overrides, without leaks."""

from __future__ import annotations

import importlib.util
import json
import sqlite3
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synth_pipeline import pipeline
from synth_pipeline.artifacts import ArtifactStore
from synth_pipeline.catalog.schema import Check, Column, DatabaseSchema, ForeignKey, Table, UniqueKey
from synth_pipeline.catalog.types import LogicalType, arrow_type
from synth_pipeline.config import ColumnConfig, SourceConfig
from synth_pipeline.connectors import connect
from synth_pipeline.connectors.base import TableProfile
from synth_pipeline.errors import ConfigError
from synth_pipeline.metadata import model
from synth_pipeline.metadata.infer import infer
from synth_pipeline.metadata.model import REVIEW_BELOW, SynthesisMetadata
from synth_pipeline.metadata.sdv import to_sdv
from synth_pipeline.metadata.table import render
from synth_pipeline_tests.metadata.databases import build, infer_file, strip_keys

GOLD = ("chinook", "northwind", "oracle_hr", "pubs", "sakila")


@pytest.fixture(scope="module")
def found(shared_data: Path) -> dict[str, SynthesisMetadata]:
    return {name: infer_file(shared_data / f"{name}.db") for name in GOLD}


@pytest.fixture(scope="module")
def gold(shared_data: Path) -> dict[str, Any]:
    return {name: json.loads((shared_data.parent / "gold" / f"{name}.json").read_text()) for name in GOLD}


@pytest.fixture(scope="module")
def score(shared_tools: Path) -> Any:
    spec = importlib.util.spec_from_file_location("metadata_score", shared_tools / "metadata_score.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.score


def test_the_labelled_databases_score_at_least_985_thousandths(found: Mapping[str, SynthesisMetadata], gold: Mapping[str, Any], score: Any) -> None:
    scores = {name: score(gold[name], found[name].to_dict())["score"] for name in GOLD}
    assert min(scores.values()) >= 0.96, scores
    assert sum(scores.values()) / len(scores) >= 0.985, scores


def test_keys_and_relationships_are_found_where_none_is_declared(shared_data: Path, tmp_path: Path, gold: Mapping[str, Any]) -> None:
    keys: list[bool] = []
    common = true_count = found_count = 0
    for name in GOLD:
        metadata = infer_file(strip_keys(shared_data / f"{name}.db", tmp_path / f"{name}.db"))
        keys += [set(metadata.tables[t].primary_key) == set(spec["primary_key"]) for t, spec in gold[name]["tables"].items()]
        true = {(r["child"], frozenset(r["child_columns"]), r["parent"], frozenset(r["parent_columns"])) for r in gold[name]["relationships"]}
        have = {
            (r.child_table_name, frozenset(r.child_foreign_key), r.parent_table_name, frozenset(r.parent_primary_key)) for r in metadata.relationships
        }
        common, true_count, found_count = common + len(true & have), true_count + len(true), found_count + len(have)
    assert sum(keys) / len(keys) >= 0.95
    assert common / true_count >= 0.90
    assert common / found_count >= 0.95


def test_what_is_labelled_personal_is_found_personal(found: Mapping[str, SynthesisMetadata], gold: Mapping[str, Any]) -> None:
    missed = [
        (name, table, column)
        for name in GOLD
        for table, spec in gold[name]["tables"].items()
        for column, label in spec["columns"].items()
        if label.get("pii") and not found[name].column(table, column).pii
    ]
    assert missed == []


def test_no_value_of_a_personal_column_is_in_what_inference_writes_or_shows(
    found: Mapping[str, SynthesisMetadata], gold: Mapping[str, Any], shared_data: Path, tmp_path: Path
) -> None:
    """Greps the artifacts up to metadata, SDV's form and the rendering for every value of the columns labelled personal.

    Values of four characters and more; words that the schema itself or the program's own vocabulary holds do not count.
    """
    vocabulary = "\n".join(f.read_text(encoding="utf-8") for f in Path(model.__file__).parent.glob("*.py"))
    for name in GOLD:
        source = SourceConfig.model_validate({"name": name, "source": {"url": f"sqlite:///{shared_data / name}.db"}})
        store = ArtifactStore(tmp_path)
        pipeline.run(source, store, last="infer")
        written = "\n".join(f.read_text(encoding="utf-8") for f in sorted((tmp_path / name).rglob("*.json")))
        assert written
        haystack = "\n".join([written, render(found[name]), *_strings(to_sdv(found[name])[0])])
        connection = sqlite3.connect(f"file:{shared_data / name}.db?mode=ro", uri=True)
        allowed = (vocabulary + "\n".join(r[0] for r in connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"))).lower()
        for table, spec in gold[name]["tables"].items():
            for column, label in spec["columns"].items():
                if not label.get("pii"):
                    continue
                for (value,) in connection.execute(f'SELECT DISTINCT "{column}" FROM "{table}" WHERE "{column}" IS NOT NULL'):
                    text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
                    if len(text) >= 4 and text.lower() not in allowed:
                        assert text.lower() not in haystack.lower(), (name, table, column)
        connection.close()


def _strings(node: Any) -> list[str]:
    if isinstance(node, dict):
        return [s for v in node.values() for s in _strings(v)]
    if isinstance(node, list | tuple):
        return [s for v in node for s in _strings(v)]
    return [node] if isinstance(node, str) else []


def test_every_real_database_goes_through_and_round_trips(shared_data: Path) -> None:
    """Seven databases, one of 77 tables; each decision has a reason, and JSON brings back the same."""
    for path in sorted(shared_data.glob("*.db")):
        metadata = infer_file(path)
        assert SynthesisMetadata.from_dict(json.loads(json.dumps(metadata.to_dict()))) == metadata
        assert all(c.reason and 0 <= c.confidence <= 1 for t in metadata.tables.values() for c in t.columns.values())
        assert render(metadata)


def test_inference_is_deterministic(shared_data: Path) -> None:
    path = shared_data / "pubs.db"
    assert infer_file(path) == infer_file(path)


def test_overrides_win_and_reach_the_whole_key_class(tmp_path: Path) -> None:
    ddl = "CREATE TABLE person (code TEXT PRIMARY KEY, mail TEXT); CREATE TABLE visit (id INTEGER PRIMARY KEY, code TEXT REFERENCES person (code))"
    rows = {"person": [(f"A{i}", f"a{i}@b.org") for i in range(9)], "visit": [(i, f"A{i}") for i in range(9)]}
    path = build(tmp_path / "t.db", ddl, rows)
    metadata = infer_file(path, {"person.code": ColumnConfig(sdtype="user_name"), "person.mail": ColumnConfig(pii=False)})
    assert [metadata.column(t, "code").sdtype for t in ("person", "visit")] == ["user_name", "user_name"]
    assert metadata.column("visit", "code").pii
    assert metadata.column("person", "mail").source == "user" and not metadata.column("person", "mail").pii


@pytest.mark.parametrize(("where", "sdtype", "said"), [("person.mial", "email", "person.mail"), ("person.mail", "emial", "email")])
def test_an_override_that_names_nothing_is_refused_with_the_nearest_name(tmp_path: Path, where: str, sdtype: str, said: str) -> None:
    path = build(tmp_path / "t.db", "CREATE TABLE person (id INTEGER PRIMARY KEY, mail TEXT)", {})
    with pytest.raises(ConfigError, match=said):
        infer_file(path, {where: ColumnConfig(sdtype=sdtype)})


def test_two_keys_to_one_parent_and_a_self_reference_are_found_undeclared(tmp_path: Path) -> None:
    ddl = """CREATE TABLE airport (airport_id INTEGER NOT NULL, name TEXT);
             CREATE TABLE flight (flight_id INTEGER NOT NULL, origin_airport_id INTEGER, destination_airport_id INTEGER);
             CREATE TABLE employee (id INTEGER NOT NULL, manager_id INTEGER, last_name TEXT)"""
    rows = {
        "airport": [(i, f"Field {i}") for i in range(1, 30)], "flight": [(i, 1 + i % 29, 1 + i * 7 % 29) for i in range(90)],
        "employee": [(i, i // 3 or None, "X") for i in range(1, 40)],
    }  # fmt: skip
    metadata = infer_file(build(tmp_path / "t.db", ddl, rows))
    links = {(r.child_table_name, r.child_foreign_key[0], r.parent_table_name) for r in metadata.relationships}
    assert links == {
        ("flight", "origin_airport_id", "airport"),
        ("flight", "destination_airport_id", "airport"),
        ("employee", "manager_id", "employee"),
    }
    assert all(r.source == "inferred" and r.confidence >= REVIEW_BELOW for r in metadata.relationships)


def test_a_name_that_fits_but_values_that_do_not_make_no_reference(tmp_path: Path) -> None:
    ddl = "CREATE TABLE product (product_id INTEGER NOT NULL, label TEXT); CREATE TABLE price (price_id INTEGER NOT NULL, product_id INTEGER)"
    rows = {"product": [(i, "x") for i in range(50)], "price": [(i, 1000 + i) for i in range(50)]}
    assert infer_file(build(tmp_path / "t.db", ddl, rows)).relationships == ()


def test_a_composite_reference_is_found_undeclared(tmp_path: Path) -> None:
    ddl = """CREATE TABLE order_line (order_id INTEGER NOT NULL, line_no INTEGER NOT NULL, qty INTEGER);
             CREATE TABLE shipment (shipment_id INTEGER NOT NULL, order_id INTEGER, line_no INTEGER)"""
    rows = {"order_line": [(i // 3, i % 3, 5) for i in range(60)], "shipment": [(i, i // 3, i % 3) for i in range(50)]}
    metadata = infer_file(build(tmp_path / "t.db", ddl, rows))
    assert metadata.tables["order_line"].primary_key == ("order_id", "line_no")
    assert [r.child_foreign_key for r in metadata.relationships] == [("order_id", "line_no")]


def test_without_probes_the_samples_answer(shared_data: Path) -> None:
    connector = connect(f"sqlite:///{shared_data / 'oracle_hr.db'}")
    schema = connector.reflect()
    profiles = [connector.profile(t) for t in schema.tables]
    metadata = infer(schema, profiles)
    connector.close()
    assert metadata.tables["employees"].primary_key == ("employee_id",)


def test_a_hundred_tables_of_thirty_columns(tmp_path: Path) -> None:
    """Guards against a cost per value or per pair of tables that would show only on large schemas."""
    kinds = ("INTEGER", "REAL", "TEXT", "DATE")
    columns = ", ".join(f"c{i} {kinds[i % 4]}" for i in range(29))
    ddl = ";".join(f"CREATE TABLE t{n} (id INTEGER PRIMARY KEY, {columns})" for n in range(100))
    rows = {f"t{n}": [(i, *((i, i / 7, f"text {i} of {j}", "2020-01-02")[j % 4] for j in range(29))) for i in range(20)] for n in range(100)}
    metadata = infer_file(build(tmp_path / "t.db", ddl, rows))
    assert len(metadata.tables) == 100 and all(len(t.columns) == 30 for t in metadata.tables.values())


# --- anything at all ---------------------------------------------------------------------------------------------------

_NAMES = st.one_of(
    st.sampled_from(
        [
            "id",
            "name",
            "email",
            "Phone",
            "ZIP",
            "state",
            "title",
            "address",
            "address2",
            "parent_id",
            "is_ok",
            "lat",
            "lng",
            "x of y",
            "ID",
            "_",
            "1",
            "größe",
        ]
    ),
    st.text(min_size=1, max_size=12),
)
_TYPES = st.one_of(
    st.builds(
        LogicalType,
        st.sampled_from(["integer", "float", "boolean", "text", "binary", "date", "time", "datetime", "timestamp", "uuid", "json", "other"]),
    ),
    st.builds(LogicalType, st.just("decimal"), precision=st.integers(5, 20), scale=st.integers(0, 4)),
    st.just(LogicalType("enum", values=("a", "b"))),
)


def _values(kind: LogicalType, draw: st.DrawFn, rows: int) -> pa.Array[Any]:
    arrow = arrow_type(kind)
    if pa.types.is_string(arrow):
        items: st.SearchStrategy[Any] = st.one_of(
            st.text(max_size=30), st.sampled_from(["1999-01-01", "a@b.co", "12", "Y", "N", "{}", "[", "x" * 500, "0", "٣", "²", "+1 2"])
        )
    elif pa.types.is_binary(arrow):
        items = st.binary(max_size=9)
    elif pa.types.is_floating(arrow):
        items = st.floats()
    elif pa.types.is_boolean(arrow):
        items = st.booleans()
    else:
        items = st.integers(-9_999, 9_999)
    drawn = draw(st.lists(st.one_of(st.none(), items), min_size=rows, max_size=rows))
    if pa.types.is_decimal(arrow):
        return pa.array([None if v is None else Decimal(v).scaleb(-arrow.scale) for v in drawn], arrow)
    if pa.types.is_date32(arrow):
        return pa.array(drawn, pa.int32()).cast(arrow, safe=False)
    if pa.types.is_time(arrow) or pa.types.is_timestamp(arrow):
        return pa.array([None if v is None else abs(v) for v in drawn], pa.int64()).cast(arrow)
    return pa.array(drawn, arrow)


@st.composite
def _databases(draw: st.DrawFn) -> tuple[DatabaseSchema, list[TableProfile]]:
    ids = draw(st.lists(_NAMES, min_size=1, max_size=4, unique=True))
    tables: list[Table] = []
    profiles = []
    for table_id in ids:
        names = draw(st.lists(_NAMES, max_size=5, unique=True))
        columns = tuple(
            Column(n, draw(_TYPES), nullable=draw(st.booleans()), native_type=draw(st.sampled_from(["", "BOOLEAN", "bit(1)", "VARCHAR(3)"])))
            for n in names
        )
        key = tuple(names[: draw(st.integers(0, min(2, len(names))))])
        foreign: tuple[ForeignKey, ...] = ()
        if names and tables and tables[-1].columns and draw(st.booleans()):
            parent = draw(st.sampled_from([t for t in tables if t.columns]))
            foreign = (ForeignKey(f"fk_{table_id}", table_id, (names[-1],), parent.id, (parent.columns[0].name,)),)
        if names and draw(st.booleans()):
            foreign = (*foreign, ForeignKey(f"self_{table_id}", table_id, (names[-1],), table_id, (names[0],)))
        checks = tuple(Check(c) for c in draw(st.lists(st.sampled_from(['"id" > 3', "name IN ('a','b')", "((", "x = ANY (ARRAY['a'])"]), max_size=2)))
        tables.append(
            Table(
                table_id,
                table_id,
                columns,
                primary_key=key,
                foreign_keys=foreign,
                checks=checks,
                unique_keys=(UniqueKey((names[0],)),) if names else (),
            )
        )
        rows = draw(st.sampled_from([0, 1, 2, 8]))
        if draw(st.booleans()):
            arrays = [_values(c.type, draw, rows) for c in columns]
            profiles.append(TableProfile(table_id, rows, pa.table(arrays, names=names)))
    return DatabaseSchema("sqlite", tuple(tables)), profiles


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(_databases())
def test_inference_never_fails(database: tuple[DatabaseSchema, list[TableProfile]]) -> None:
    """Empty tables, no columns, all NULL, one row, bytes, odd names: every column gets an sdtype, and SDV's form validates."""
    schema, profiles = database
    metadata = infer(schema, profiles)
    assert {t: tuple(m.columns) for t, m in metadata.tables.items()} == {t.id: t.column_names for t in schema.tables}
    assert render(metadata)
    assert SynthesisMetadata.from_dict(metadata.to_dict()) == metadata
    to_sdv(metadata)
