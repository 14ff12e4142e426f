"""What rows store of their children: sums, sums of sums, the last of their dates, the lowest of their numbers."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

import synth_pipeline as sp
from synth_pipeline.synthesis.base import SampleRequest
from synth_pipeline_tests.helpers import broken_in, sampled

BROKEN = {
    "orders.total": "SELECT count(*) FROM orders o WHERE total <> (SELECT sum(price) FROM line WHERE order_id = o.id)",
    "customer.spent": "SELECT count(*) FROM customer c WHERE spent <> (SELECT coalesce(sum(total), 0) FROM orders WHERE customer_id = c.id)",
    "customer.last_order": "SELECT count(*) FROM customer c WHERE last_order IS NOT (SELECT max(ordered) FROM orders WHERE customer_id = c.id)",
    "orders.cheapest": "SELECT count(*) FROM orders o WHERE cheapest <> (SELECT min(price) FROM line WHERE order_id = o.id)",
}


def build(path: Path, customers: int) -> None:
    rng = np.random.default_rng(5)
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE customer (id INTEGER PRIMARY KEY, since DATE NOT NULL, spent INTEGER NOT NULL, last_order DATE)")
        db.execute(
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customer (id), "
            "ordered DATE NOT NULL, total INTEGER NOT NULL, cheapest INTEGER NOT NULL)"
        )
        db.execute("CREATE TABLE line (id INTEGER PRIMARY KEY, order_id INTEGER NOT NULL REFERENCES orders (id), price INTEGER NOT NULL)")
        order = line = 0
        for c in range(customers):
            since = np.datetime64("2018-01-01") + int(rng.integers(0, 1500))
            dates = np.sort(since + rng.integers(1, 700, rng.poisson(2.5)))
            spent = 0
            for d in dates:
                order += 1
                prices = rng.integers(3, 90, rng.integers(1, 6))
                db.executemany("INSERT INTO line VALUES (?, ?, ?)", [(line + i + 1, order, int(p)) for i, p in enumerate(prices)])
                db.execute("INSERT INTO orders VALUES (?, ?, ?, ?, ?)", (order, c, str(d), int(prices.sum()), int(prices.min())))
                line, spent = line + len(prices), spent + int(prices.sum())
            db.execute("INSERT INTO customer VALUES (?, ?, ?, ?)", (c, str(since), spent, str(dates[-1]) if len(dates) else None))
    db.close()


@pytest.mark.parametrize("shard_rows", [250_000, 800])
def test_what_is_stored_of_children_is_what_they_are(tmp_path: Path, shard_rows: int) -> None:
    build(tmp_path / "real.db", 400)
    assert not broken_in(tmp_path / "real.db", BROKEN)
    taken = sp.open(f"sqlite:///{tmp_path}/real.db").metadata().subset(holdout=0.0)
    fitted = taken.fit(seed=1)
    assert {
        "customer.spent = sum of total over its orders rows", "customer.last_order = highest ordered over its orders rows",
        "orders.total = sum of price over its line rows", "orders.cheapest = lowest price over its line rows",
    } <= set(fitted.info["rules"])  # fmt: skip
    drawn = sampled(fitted, tmp_path / "sample", SampleRequest(seed=2, shard_rows=shard_rows))
    with sqlite3.connect(tmp_path / "synthetic.db") as db:
        for table in ("customer", "orders", "line"):
            drawn.read(table).to_pandas().to_sql(table, db, index=False)
    db.close()
    assert not broken_in(tmp_path / "synthetic.db", BROKEN), broken_in(tmp_path / "synthetic.db", BROKEN)


TAGS = {
    "tag.uses": "SELECT count(*) FROM tag t WHERE uses <> (SELECT count(*) FROM post_tag WHERE tag_id = t.id)",
    "kind.posts": "SELECT count(*) FROM kind k WHERE posts <> (SELECT count(*) FROM post WHERE kind_id = k.id)",
    "kind.read": 'SELECT count(*) FROM kind k WHERE "read" <> (SELECT sum(reads) FROM post WHERE kind_id = k.id)',
}


@pytest.mark.parametrize(("holdout", "scale", "shard_rows"), [(0.0, 1.0, 250_000), (0.1, 2.0, 700)])
def test_copied_tables_count_synthetic_rows(tmp_path: Path, holdout: float, scale: float, shard_rows: int) -> None:
    rng = np.random.default_rng(8)
    with sqlite3.connect(tmp_path / "real.db") as db:
        db.execute('CREATE TABLE kind (id INTEGER PRIMARY KEY, name TEXT, level INTEGER, posts INTEGER, "read" INTEGER)')
        db.execute("CREATE TABLE tag (id INTEGER PRIMARY KEY, name TEXT, uses INTEGER)")
        db.execute("CREATE TABLE post (id INTEGER PRIMARY KEY, kind_id INTEGER NOT NULL REFERENCES kind, reads INTEGER NOT NULL)")
        db.execute("CREATE TABLE post_tag (post_id INTEGER REFERENCES post, tag_id INTEGER REFERENCES tag, PRIMARY KEY (post_id, tag_id))")
        post = [(i, int(rng.integers(0, 5)), int(rng.gamma(2, 40))) for i in range(900)]
        db.executemany("INSERT INTO post VALUES (?, ?, ?)", post)
        for i in range(900):
            db.executemany("INSERT INTO post_tag VALUES (?, ?)", [(i, int(t)) for t in set((rng.random(3) ** 2 * 60).astype(int))])
        db.executemany("INSERT INTO kind VALUES (?, ?, ?, 0, 0)", [(i, f"kind {i}", i + 1) for i in range(5)])
        db.executemany("INSERT INTO tag VALUES (?, ?, 0)", [(i, f"tag{i}") for i in range(60)])
        db.execute("UPDATE tag SET uses = (SELECT count(*) FROM post_tag WHERE tag_id = tag.id)")
        db.execute("UPDATE kind SET posts = (SELECT count(*) FROM post WHERE kind_id = kind.id)")
        db.execute('UPDATE kind SET "read" = (SELECT sum(reads) FROM post WHERE kind_id = kind.id)')
    db.close()
    taken = sp.open(f"sqlite:///{tmp_path}/real.db").metadata().subset(holdout=holdout)
    fitted = taken.fit(seed=1)
    assert fitted.info["reference_tables"] == ["kind", "tag"]
    drawn = sampled(fitted, tmp_path / "sample", SampleRequest(scale=scale, seed=2, shard_rows=shard_rows))
    with sqlite3.connect(tmp_path / "synthetic.db") as db:
        for table in ("kind", "tag", "post", "post_tag"):
            drawn.read(table).to_pandas().to_sql(table, db, index=False)
        off = {name: db.execute(sql).fetchone()[0] for name, sql in TAGS.items()}
        levels = [level for (level,) in db.execute("SELECT level FROM kind ORDER BY id")]
    db.close()
    assert not any(off.values()), off
    assert levels == [1, 2, 3, 4, 5]
