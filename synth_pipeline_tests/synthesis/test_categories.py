"""Categories within categories, in small tables."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

import synth_pipeline as sp

KINDS = {"food": ("bread", "fruit", "milk", "meat"), "home": ("paper", "pots"), "toys": ("dolls", "games", "balls"), "books": ("novels", "poems")}
TAX = {"food": 7, "home": 19, "toys": 19, "books": 7}


def test_a_category_that_says_another_may_follow_from_a_third_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    kinds = [(k, s) for k, subs in KINDS.items() for s in subs]
    with sqlite3.connect(tmp_path / "real.db") as db:
        db.execute("CREATE TABLE product (id INTEGER PRIMARY KEY, kind TEXT, sort TEXT, tax INTEGER, maker TEXT, shelf TEXT, price NUMERIC(8, 2))")
        for i in range(180):
            kind, sort = kinds[int(rng.integers(0, len(kinds)))]
            # A maker makes what he makes, mostly; the shelf of few products each is no rule.
            maker = f"maker {kind if rng.random() < 0.9 else 'other'}"
            row = (i, kind, sort, TAX[kind], maker, f"S{i // 2}", float(rng.integers(100, 9000)) / 100)
            db.execute("INSERT INTO product VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    db.close()
    fitted = sp.open(f"sqlite:///{tmp_path}/real.db").metadata().subset(holdout=0.0).fit(seed=1)
    rules = set(fitted.info["rules"])
    assert {"product.sort determines kind", "product.kind determines tax"} <= rules
    assert not [r for r in rules if r.startswith(("product.shelf", "product.maker"))], rules
    for seed in range(3):
        made = fitted.sample(seed=seed)["product"]
        assert set(zip(made["kind"], made["sort"], strict=True)) <= set(kinds)
        assert all(TAX[k] == t for k, t in zip(made["kind"], made["tax"], strict=True))


def test_addresses_among_values_of_all_kinds_do_not_come_out(tmp_path: Path) -> None:
    """What a field was before it was changed: telephone numbers and mail addresses beside what many have."""
    rng = np.random.default_rng(8)
    with sqlite3.connect(tmp_path / "real.db") as db:
        db.execute("CREATE TABLE change (id INTEGER PRIMARY KEY, field TEXT NOT NULL, old_value TEXT)")
        for i in range(2_000):
            field = str(rng.choice(["phone", "email", "status", "plan"]))
            value = {"phone": f"+49 170 {rng.integers(10**6, 10**7)}", "email": f"p{i}.{rng.integers(99)}@mail.org"}.get(field)
            value = value or str(rng.choice(["active", "new"] if field == "status" else ["S", "L"]))
            db.execute("INSERT INTO change VALUES (?, ?, ?)", (i + 1, field, value))
    db.close()
    taken = sp.open(f"sqlite:///{tmp_path}/real.db").metadata().subset(holdout=0.0)
    made, real = taken.fit().sample(), set(taken["change"].old_value)
    both = {v for v in made["change"].old_value if v in real}
    assert both == {"active", "new", "S", "L"}
    assert made["change"].old_value.str.contains("@").mean() == pytest.approx(0.25, abs=0.06)
