"""The readable table."""

from __future__ import annotations

from pathlib import Path

from synth_pipeline.metadata.table import render
from synth_pipeline_tests.metadata.databases import build, infer_file


def test_every_column_shows_its_decision_and_the_reason(tmp_path: Path) -> None:
    ddl = """CREATE TABLE customer (customer_id INTEGER PRIMARY KEY, email TEXT, "odd\nname" TEXT);
             CREATE TABLE orders (order_id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customer (customer_id))"""
    rows = {"customer": [(i, f"a{i}@b.org", None) for i in range(9)], "orders": [(i, i) for i in range(9)]}
    text = render(infer_file(build(tmp_path / "t.db", ddl, rows)))
    lines = text.splitlines()
    email = next(line for line in lines if line.strip().startswith("email"))
    assert "personal" in email and "100% of the values pass as email" in email
    assert any(line.strip().startswith("*customer_id") for line in lines)
    assert "orders (customer_id)" in text and "→ customer (customer_id)" in text
    assert "Please look at" in text and "odd�name" in text
    assert "a1@b.org" not in text
