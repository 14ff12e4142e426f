"""Great Expectations finds the same rules kept and broken as our own evaluation, and learns no value."""

from __future__ import annotations

from pathlib import Path

import numpy as np

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
