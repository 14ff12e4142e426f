"""Columns that repeat one of a parent's parent, or follow from one of a parent."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np

import synth_pipeline as sp
from synth_pipeline.synthesis.relational.engine import RelationalSynthesizer
from synth_pipeline_tests.helpers import copied
from synth_pipeline_tests.synthesis.test_distances import one


def test_a_line_has_the_price_of_the_customers_plan_and_mostly_the_rate_and_the_currency_where_there_is_one(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "real.db") as db:
        rng = np.random.default_rng(4)
        db.execute("CREATE TABLE plan (code VARCHAR(8) PRIMARY KEY, price DECIMAL(8,2) NOT NULL)")
        db.execute(
            "CREATE TABLE customer (id INTEGER PRIMARY KEY, plan VARCHAR(8) NOT NULL REFERENCES plan (code), currency VARCHAR(3) NOT NULL, "
            "rate DECIMAL(8,3) NOT NULL, reference VARCHAR(12) NOT NULL)"
        )
        db.execute(
            "CREATE TABLE invoice (id INTEGER PRIMARY KEY, customer INTEGER REFERENCES customer (id), issued DATE NOT NULL, unit_price DECIMAL(8,2))"
        )
        db.execute(
            "CREATE TABLE line (invoice INTEGER NOT NULL REFERENCES invoice (id) ON DELETE CASCADE, number INTEGER NOT NULL, seats INTEGER NOT NULL, "
            "currency VARCHAR(3), rate DECIMAL(8,3) NOT NULL, PRIMARY KEY (invoice, number))"
        )
        prices, currencies, rates = [0.0, 8.0, 15.0, 29.0, 49.0], [], []
        db.executemany("INSERT INTO plan VALUES (?, ?)", [(f"P{k}", p) for k, p in enumerate(prices)])
        plans = [int(rng.integers(0, 5)) for _ in range(300)]
        for i, plan in enumerate(plans):
            currencies.append(str(rng.choice(("EUR", "USD", "GBP", "CHF"))))
            rates.append(int(rng.integers(500, 3000)) / 1000)
            db.execute("INSERT INTO customer VALUES (?, ?, ?, ?, ?)", (i, f"P{plan}", currencies[i], rates[i], f"C-{rng.integers(10**6, 10**7)}"))
        for i in range(1500):
            customer = int(rng.integers(0, 300)) if rng.random() < 0.96 else None
            price = prices[plans[customer]] if customer is not None else None
            db.execute("INSERT INTO invoice VALUES (?, ?, ?, ?)", (i, customer, f"2023-{rng.integers(1, 13):02d}-{rng.integers(1, 29):02d}", price))
            for k in range(int(rng.integers(1, 4))):
                rate = rates[customer] if customer is not None and rng.random() < 0.8 else int(rng.integers(500, 3000)) / 1000
                currency = currencies[customer] if customer is not None else None
                db.execute("INSERT INTO line VALUES (?, ?, ?, ?, ?)", (i, k + 1, int(rng.integers(1, 30)), currency, rate))
    db.close()
    taken = sp.open(f"sqlite:///{tmp_path}/real.db").metadata().subset(holdout=0.1)
    fitted = taken.fit(seed=1, workers=1)
    assert {
        "invoice.unit_price = price of the plan of its customer",
        "line.currency = currency of the customer of its invoice",
        "line.rate mostly = rate of the customer of its invoice",
    } <= set(fitted.info["rules"])
    ways = "FROM line JOIN invoice i ON i.id = line.invoice JOIN customer c ON c.id = i.customer"
    for shard_rows in (250_000, 1_000):
        db = sqlite3.connect(copied(fitted, tmp_path / str(shard_rows), shard_rows))
        priced = "FROM invoice i JOIN customer c ON c.id = customer JOIN plan ON code = plan WHERE unit_price IS NOT price"
        assert one(db, f"SELECT count(*) {priced}") == 0
        assert one(db, f"SELECT count(*) {ways} WHERE line.currency IS NOT c.currency") == 0
        assert 0.75 < one(db, f"SELECT avg(line.rate = c.rate) {ways}") < 0.85
        db.close()


def build_sales(db: sqlite3.Connection, customers: int) -> None:
    """The rate of the tax is that of the customer's country; the colour is anything."""
    rng, countries, rates = np.random.default_rng(4), ("AT", "BE", "CH", "DE", "FR", "IT", "NL"), (20, 21, 8, 19, 20, 22, 21)
    db.execute("CREATE TABLE customer (id INTEGER PRIMARY KEY, country VARCHAR(2) NOT NULL, kind VARCHAR(5) NOT NULL)")
    db.execute(
        "CREATE TABLE sale (id INTEGER PRIMARY KEY, customer INTEGER NOT NULL REFERENCES customer (id), sold DATE NOT NULL, "
        "tax_rate INTEGER NOT NULL, colour VARCHAR(5) NOT NULL)"
    )
    sale = 0
    for i in range(customers):
        at = int(rng.integers(0, 7))
        db.execute("INSERT INTO customer VALUES (?, ?, ?)", (i, countries[at], str(rng.choice(("shop", "home")))))
        for _ in range(int(rng.integers(1, 9))):
            sale += 1
            sold = f"2023-{rng.integers(1, 13):02d}-{rng.integers(1, 29):02d}"
            db.execute("INSERT INTO sale VALUES (?, ?, ?, ?, ?)", (sale, i, sold, rates[at], str(rng.choice(("red", "blue")))))


def test_what_follows_from_a_category_of_a_parent_does_so_if_enough_parents_say_so(tmp_path: Path) -> None:
    for customers in (300, 25):
        with sqlite3.connect(tmp_path / f"{customers}.db") as db:
            build_sales(db, customers)
        db.close()
        taken = sp.open(f"sqlite:///{tmp_path}/{customers}.db").metadata().subset(holdout=0.1 if customers == 300 else 0.0)
        fitted = taken.fit(seed=1, workers=1)
        found = [r for r in fitted.info["rules"] if "follows from" in r]
        assert found == (["sale.tax_rate follows from country of its customer"] if customers == 300 else [])
        if customers < 300:
            continue
        fitted.made.save(tmp_path)
        loaded = replace(fitted, made=RelationalSynthesizer().load(tmp_path))
        for shard_rows in (250_000, 300):
            db = sqlite3.connect(copied(loaded, tmp_path / str(shard_rows), shard_rows))
            several = "SELECT 1 FROM sale JOIN customer c ON c.id = customer GROUP BY country HAVING count(DISTINCT tax_rate) > 1"
            assert one(db, f"SELECT count(*) FROM ({several})") == 0
            assert one(db, "SELECT count(DISTINCT tax_rate) FROM sale") == 5
            db.close()
