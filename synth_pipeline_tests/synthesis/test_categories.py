"""Categories within categories, in small tables."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np

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
