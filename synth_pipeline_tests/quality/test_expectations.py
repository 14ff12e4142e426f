"""Great Expectations finds the same rules kept and broken as our own evaluation, and learns no value."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from synth_pipeline.artifacts import BundleWriter, TableBundle
from synth_pipeline.catalog.schema import Check, Column, DatabaseSchema, ForeignKey, Table, UniqueKey
from synth_pipeline.catalog.types import LogicalType
from synth_pipeline.integrity import derive_rules, evaluate
from synth_pipeline.quality.expectations import suite_of, validate
from synth_pipeline_tests.quality import shop


def test_both_say_the_same_of_good_and_broken_tables(tmp_path: Path) -> None:
    made = shop.make(3)
    rules = derive_rules(shop.SCHEMA)
    good = shop.write(made, tmp_path / "good")
    assert all(r.success for r in validate(good, rules, shop.SCHEMA))

    made.orders["customer_id"] = np.asarray(made.orders["customer_id"]).copy()
    made.orders["customer_id"][:5] = 10**6
    made.orders["id"] = np.asarray(made.orders["id"]).copy()
    made.orders["id"][1] = made.orders["id"][0]
    broken = shop.write(made, tmp_path / "broken")
    ours = {r.rule.text: r.violations == 0 for r in evaluate(broken, rules, shop.SCHEMA).results}
    theirs = validate(broken, rules, shop.SCHEMA)
    assert {r.rule.text: r.success for r in theirs} == ours
    assert {r.rule.text: r.unexpected for r in theirs}["orders (customer_id) refers to customer (id)"] == 5


def test_a_suite_names_its_rules() -> None:
    rules = derive_rules(shop.SCHEMA)
    suite = suite_of(rules, "orders")
    assert len(suite.expectations) == sum(r.table == "orders" for r in rules)
    assert {e.meta["text"] for e in suite.expectations} == {r.text for r in rules if r.table == "orders"}


# --- a fault of each kind ----------------------------------------------------------------------------------------------

TEXT, INT = LogicalType("text", length=30), LogicalType("integer", bits=16)
SCHEMA = DatabaseSchema(
    "postgresql",
    (
        Table(
            "person", "person",
            (
                Column("id", INT, "smallint", nullable=False), Column("mail", TEXT, "varchar(30)", nullable=False),
                Column("mood", LogicalType("text", values=("glad", "sad")), "mood"),
            ),
            primary_key=("id",), unique_keys=(UniqueKey(("mail",)),),
        ),
        Table(
            "order line", "order line",
            (
                Column("a", INT, "smallint", nullable=False), Column("b", INT, "smallint", nullable=False),
                Column("person", INT, "smallint", nullable=False), Column("amount", LogicalType("float"), "double precision"),
            ),
            primary_key=("a", "b"), foreign_keys=(ForeignKey("buyer", "order line", ("person",), "person", ("id",)),),
            checks=(Check("amount > 0", "positive"),),
        ),
    ),
)  # fmt: skip
ROWS: dict[str, dict[str, list[Any]]] = {
    "person": {"id": list(range(20)), "mail": [f"person{i}@example.org" for i in range(20)], "mood": ["glad", "sad"] * 10},
    "order line": {
        "a": list(range(30)), "b": [i % 3 for i in range(30)], "person": [i % 20 for i in range(30)], "amount": [i + 0.5 for i in range(30)],
    },  # fmt: skip
}
MARK = "leaked" * 8
FAULTS = {
    "a NULL": ("person", "mail", {3: None}, "expect_column_values_to_not_be_null", "person.mail is never NULL", 1),
    "a key twice": ("person", "id", {3: 4}, "expect_column_values_to_be_unique", "person (id) is unique", 2),
    "a unique value twice": ("person", "mail", {3: "person4@example.org"}, "expect_column_values_to_be_unique", "person (mail) is unique", 2),
    "a composite key twice": ("order line", "a", {3: 0}, "expect_compound_columns_to_be_unique", "order line (a, b) is unique", 2),
    "an orphan": ("order line", "person", {3: 99, 5: 98}, "expect_column_values_to_be_in_set", "order line (person) refers to person (id)", 2),
    "a text too long": ("person", "mail", {3: MARK}, "expect_column_value_lengths_to_be_between", "person.mail has at most 30 characters", 1),
    "no member": ("person", "mood", {3: MARK}, "expect_column_values_to_be_in_set", "person.mood is one of 2 members", 1),
    "a CHECK": ("order line", "amount", {3: -5.0}, "expect_column_values_to_be_in_set", "order line: CHECK (amount > 0)", 1),
}


def _bundle(folder: Path, rows: dict[str, dict[str, list[Any]]]) -> TableBundle:
    with BundleWriter(folder, SCHEMA) as writer:
        for table, columns in rows.items():
            writer.write(table, pa.table(columns, schema=writer.arrow_schema(table)))
    return TableBundle.open(folder)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_fails_its_expectation_and_no_other(tmp_path: Path, fault: str) -> None:
    table, column, changed, expectation, text, unexpected = FAULTS[fault]
    values = [changed.get(i, v) for i, v in enumerate(ROWS[table][column])]
    found = validate(_bundle(tmp_path, {**ROWS, table: {**ROWS[table], column: values}}), derive_rules(SCHEMA), SCHEMA)
    broken = [r for r in found if not r.success]
    if fault == "a key twice":  # what was row 3 is missing now, and who refers to it is an orphan
        broken = [r for r in broken if r.rule.kind != "referential_integrity"]
    assert [(r.expectation, r.rule.text, r.unexpected) for r in broken] == [(expectation, text, unexpected)]


def test_a_missing_column_fails_the_expectation_of_the_columns(tmp_path: Path) -> None:
    more = dataclasses.replace(SCHEMA.table("person"), columns=(*SCHEMA.table("person").columns, Column("phone", TEXT, "varchar(30)")))
    grown = dataclasses.replace(SCHEMA, tables=(more, SCHEMA.table("order line")))
    found = validate(_bundle(tmp_path, ROWS), derive_rules(grown), grown)
    (broken,) = [r for r in found if not r.success]
    assert broken.expectation == "expect_table_columns_to_match_set" and broken.rule.text.startswith("person has the columns")


def test_the_pages_open_and_hold_no_value(tmp_path: Path, browser: Any) -> None:
    """Also where rows break rules: of what is unexpected, only the number is kept."""
    mails = [MARK if i < 3 else v for i, v in enumerate(ROWS["person"]["mail"])]
    amounts = [-123.456789 if i == 7 else v for i, v in enumerate(ROWS["order line"]["amount"])]
    rows = {"person": {**ROWS["person"], "mail": mails}, "order line": {**ROWS["order line"], "amount": amounts}}
    found = validate(_bundle(tmp_path / "rows", rows), derive_rules(SCHEMA), SCHEMA, tmp_path / "docs")
    assert sum(not r.success for r in found) == 3 and MARK not in str(found)
    pages = {p: p.read_text(errors="replace") for p in (tmp_path / "docs").rglob("*") if p.suffix in (".html", ".json")}
    assert len(pages) >= 5
    for value in (MARK, "123.456", *ROWS["person"]["mail"]):
        assert not [p for p, text in pages.items() if value in text], value
    page = browser.new_page()
    page.goto((tmp_path / "docs" / "index.html").as_uri())
    assert "person" in page.inner_text("body")
    page.locator("a[href*='validations/']").first.click()
    page.wait_for_url("**/validations/**")
    assert "Expectation" in page.inner_text("body")
