"""Rules come from the schema, hold for good rows, and each kind is broken by the row that should break it."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from synth_pipeline import integrity
from synth_pipeline.artifacts import BundleWriter, TableBundle, arrow_schema
from synth_pipeline.catalog.schema import Check, Column, DatabaseSchema, ForeignKey, Index, Table, UniqueKey
from synth_pipeline.catalog.types import LogicalType
from synth_pipeline.integrity import derive_rules, evaluate

INT, TEXT = LogicalType("integer"), LogicalType("text")


def shop(dialect: str = "sqlite", **types: Any) -> DatabaseSchema:
    """Region (natural key), client (nullable region, unique email ignoring case, self reference), line (composite key)."""
    region = Table("region", "region", (Column("code", TEXT, "TEXT", nullable=False),), primary_key=("code",))
    client = Table(
        "client", "client",
        (
            Column("id", INT, "INTEGER", nullable=False), Column("region", TEXT, "TEXT"), Column("referrer", INT, "INTEGER"),
            Column("email", TEXT, "TEXT", case_sensitive=False), Column("age", LogicalType("integer", bits=8), "TINYINT"),
            Column("name", LogicalType("text", length=5), "VARCHAR(5)"),
            Column("grade", LogicalType("enum", values=("a", "b")), "ENUM"),
        ),
        primary_key=("id",), unique_keys=(UniqueKey(("email",)),),
        foreign_keys=(
            ForeignKey("f1", "client", ("region",), "region", ("code",)), ForeignKey("f2", "client", ("referrer",), "client", ("id",)),
        ),
        checks=(Check("age >= 0 AND age < 120"),),
    )  # fmt: skip
    orders = Table(
        "orders", "orders", (Column("client", INT, "INTEGER", nullable=False), Column("nr", INT, "INTEGER", nullable=False)),
        primary_key=("client", "nr"), foreign_keys=(ForeignKey("f3", "orders", ("client",), "client", ("id",)),),
    )  # fmt: skip
    line = Table(
        "line", "line", (
            Column("client", INT, "INTEGER"), Column("nr", INT, "INTEGER"),
            Column("amount", LogicalType("decimal", precision=8, scale=2), "DECIMAL(8,2)"),
        ),
        foreign_keys=(ForeignKey("f4", "line", ("client", "nr"), "orders", ("client", "nr")),),
    )  # fmt: skip
    return DatabaseSchema(dialect, (region, client, orders, line))


@pytest.fixture(params=[250_000, 1], ids=["whole", "in parts"])
def parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are read as a whole, or, as large ones are, by columns and batches."""
    monkeypatch.setattr(integrity, "_AT_ONCE", request.param)


GOOD: dict[str, list[tuple[Any, ...]]] = {
    "region": [("n",), ("s",)],
    "client": [(1, "n", None, "x@y", 30, "Ann", "a"), (2, None, 1, None, None, "Bo", "b"), (3, "s", 3, None, 0, None, None)],
    "orders": [(1, 1), (1, 2), (2, 1)],
    "line": [(1, 2, Decimal("1.50")), (1, 2, Decimal("3.00")), (None, 9, Decimal("3.00"))],
}


def bundle(directory: Path, schema: DatabaseSchema, rows: dict[str, list[tuple[Any, ...]]]) -> TableBundle:
    with BundleWriter(directory, schema) as writer:
        for table, content in rows.items():
            names = arrow_schema(schema, table)
            columns = list(zip(*content, strict=True)) if content else [[] for _ in names]
            writer.write(table, pa.table([pa.array(list(v), f.type) for v, f in zip(columns, names, strict=True)], schema=names))
    return TableBundle.open(directory)


def broken(directory: Path, schema: DatabaseSchema, **changes: list[tuple[Any, ...]]) -> dict[str, int]:
    report = evaluate(bundle(directory, schema, {**GOOD, **changes}), derive_rules(schema), schema)
    return {r.rule.text: r.violations for r in report.results if r.violations}


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_good_rows_keep_every_rule_and_nothing_is_skipped(tmp_path: Path, dialect: str) -> None:
    schema = shop(dialect)
    report = evaluate(bundle(tmp_path, schema, GOOD), derive_rules(schema), schema)
    assert report.passed and not [r for r in report.results if r.skipped]
    kinds = {r.rule.kind for r in report.results}
    assert kinds == {"schema_conformance", "not_null", "unique_keys", "referential_integrity", "value_domains", "check_constraints"}


def test_empty_tables_keep_every_rule(tmp_path: Path) -> None:
    schema = shop("postgresql")
    report = evaluate(bundle(tmp_path, schema, {}), derive_rules(schema), schema)
    assert report.passed and not [r for r in report.results if r.skipped]


def row(index: int, **changes: Any) -> list[tuple[Any, ...]]:
    names = ("id", "region", "referrer", "email", "age", "name", "grade")
    rows = [dict(zip(names, r, strict=True)) for r in GOOD["client"]]
    rows[index].update(changes)
    return [tuple(r.values()) for r in rows]


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (row(0, id=None), "client.id is never NULL"),
        (row(0, region="zz"), "client (region) refers to region (code)"),
        (row(0, referrer=9), "client (referrer) refers to client (id)"),
        (row(1, email="X@Y"), "client (email) is unique"),
        (row(0, age=121), "client: CHECK (age >= 0 AND age < 120)"),
        (row(0, grade="c"), "client.grade is one of 2 members"),
    ],
)
def test_each_fault_breaks_its_rule(tmp_path: Path, changes: list[tuple[Any, ...]], text: str) -> None:
    assert broken(tmp_path, shop(), client=changes)[text] == 1


def test_lengths_and_widths_are_rules_only_where_the_database_enforces_them(tmp_path: Path) -> None:
    changes = row(0, name="Annabel")
    assert "client.name has at most 5 characters" in broken(tmp_path / "a", shop("postgresql"), client=changes)
    assert not broken(tmp_path / "b", shop("sqlite"), client=changes)
    wide = broken(tmp_path / "c", shop("postgresql"), client=row(0, age=300))
    assert wide["client.age lies in -128 … 127"] == 1


@pytest.mark.usefixtures("parts")
def test_composite_keys_are_compared_as_a_whole(tmp_path: Path) -> None:
    """(2, 2) has a client 2 and an order number 2, but no order (2, 2)."""
    found = broken(tmp_path / "a", shop(), line=[(2, 2, None), (1, 1, None), (None, 7, None)])
    assert found == {"line (client, nr) refers to orders (client, nr)": 1}
    found = broken(tmp_path / "b", shop(), orders=[(1, 1), (1, 2), (2, 1), (1, 2), (1, 2)])
    assert found == {"orders (client, nr) is unique": 2}


def test_a_text_key_may_refer_to_a_number(tmp_path: Path) -> None:
    parent = Table("p", "p", (Column("id", INT, nullable=False),), primary_key=("id",))
    child = Table("c", "c", (Column("p", TEXT),), foreign_keys=(ForeignKey("f", "c", ("p",), "p", ("id",)),))
    schema = DatabaseSchema("sqlite", (parent, child))
    report = evaluate(bundle(tmp_path, schema, {"p": [(1,), (2,)], "c": [("1",), ("3",), (None,)]}), derive_rules(schema), schema)
    assert [(r.checked, r.violations) for r in report.of("referential_integrity")] == [(2, 1)]


@pytest.mark.usefixtures("parts")
def test_a_partial_unique_index_binds_only_its_rows(tmp_path: Path) -> None:
    table = Table("t", "t", (Column("a", INT, "INTEGER"), Column("live", INT, "INTEGER")), indexes=(Index("i", ("a",), True, "live = 1"),))
    schema = DatabaseSchema("sqlite", (table,))
    report = evaluate(bundle(tmp_path, schema, {"t": [(1, 1), (1, 0), (1, None), (2, 1), (2, 1)]}), derive_rules(schema), schema)
    assert [(r.checked, r.violations) for r in report.of("unique_keys")] == [(3, 1)]


def test_a_check_that_cannot_be_evaluated_is_skipped_with_a_reason(tmp_path: Path) -> None:
    table = Table("t", "t", (Column("a", INT, "INTEGER"),), checks=(Check("no_such_function(a) > 0"),))
    for dialect in ("sqlite", "postgresql"):
        schema = DatabaseSchema(dialect, (table,))
        result = evaluate(bundle(tmp_path / dialect, schema, {"t": [(1,)]}), derive_rules(schema), schema).of("check_constraints")[0]
        assert result.skipped and result.checked == 0 and result.violations == 0


@pytest.mark.usefixtures("parts")
def test_a_missing_or_mistyped_column_breaks_conformance(tmp_path: Path) -> None:
    made = DatabaseSchema("sqlite", (Table("t", "t", (Column("a", TEXT), Column("c", TEXT))),))
    wanted = Table("t", "t", (Column("a", INT), Column("b", INT, nullable=False)))
    asked = DatabaseSchema("sqlite", (wanted, Table("gone", "gone", (Column("a", INT),))))
    report = evaluate(bundle(tmp_path, made, {"t": [("1", "x")]}), derive_rules(asked), asked)
    assert [(r.checked, r.violations) for r in report.of("schema_conformance")] == [(2, 3), (1, 1)]
    assert report.of("not_null")[0].skipped == "the column b is missing"


def test_tables_read_a_part_at_a_time_are_judged_as_a_whole(tmp_path: Path) -> None:
    rng, n = np.random.default_rng(0), 77_000
    schema = shop()
    day = dt.datetime(2020, 1, 1)
    tables = {
        "region": pa.table({"code": ["n", "s"]}),
        "client": pa.table({
            "id": np.arange(n), "region": rng.choice(["n", "s"], n), "referrer": rng.integers(0, n, n), "email": [f"{day}{i}" for i in range(n)],
            "age": rng.integers(0, 120, n), "name": ["x"] * n, "grade": rng.choice(["a", "b"], n),
        }),
        "orders": pa.table({"client": np.arange(n), "nr": np.ones(n, dtype=int)}),
        "line": pa.table({"client": rng.permutation(n), "nr": np.ones(n, dtype=int), "amount": pa.array([Decimal("1.00")] * n, pa.decimal128(8, 2))}),
    }  # fmt: skip
    with BundleWriter(tmp_path, schema) as writer:
        for name, rows in tables.items():
            writer.write(name, rows)
    report = evaluate(TableBundle.open(tmp_path), derive_rules(schema), schema)
    assert report.passed
