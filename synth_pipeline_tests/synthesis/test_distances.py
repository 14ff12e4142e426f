"""Dates and numbers as distances: what they are counted from, what they never pass, and when they never are."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np

import synth_pipeline as sp


def copied(folder: Path, build: Callable[[sqlite3.Connection, np.random.Generator], None]) -> tuple[sqlite3.Connection, list[str]]:
    """The synthetic copy of a database, and the rules that were found."""
    with sqlite3.connect(folder / "real.db") as db:
        build(db, np.random.default_rng(4))
    db.close()
    fitted = sp.open(f"sqlite:///{folder}/real.db").metadata().subset(holdout=0.0).fit(seed=1, workers=1)
    fitted.sample(seed=2).export(f"sqlite:///{folder}/synthetic.db")
    return sqlite3.connect(folder / "synthetic.db"), fitted.info["rules"]


def one(db: sqlite3.Connection, sql: str) -> float:
    return float(db.execute(sql).fetchone()[0] or 0)


def test_a_period_ends_on_the_day_before_the_next_one_begins(tmp_path: Path) -> None:
    def build(db: sqlite3.Connection, rng: np.random.Generator) -> None:
        db.execute("CREATE TABLE product (id INTEGER PRIMARY KEY, name VARCHAR(10) NOT NULL)")
        db.execute(
            "CREATE TABLE price (product INTEGER NOT NULL REFERENCES product (id), valid_from DATE NOT NULL, valid_to DATE, "
            "amount INTEGER NOT NULL, PRIMARY KEY (product, valid_from))"
        )
        for i in range(300):
            db.execute("INSERT INTO product VALUES (?, ?)", (i, str(rng.choice(("tea", "rice", "salt")))))
            start = date(2020, 1, 1)
            for k in range(n := int(rng.integers(1, 5))):
                end = start + timedelta(days=int(rng.integers(20, 400)))
                db.execute("INSERT INTO price VALUES (?, ?, ?, ?)", (i, start.isoformat(), None if k == n - 1 else end.isoformat(), k))
                start = end + timedelta(days=1)

    db, rules = copied(tmp_path, build)
    after = "julianday(LEAD(valid_from) OVER (PARTITION BY product ORDER BY valid_from))"
    steps = f"SELECT {after} - julianday(valid_to) AS step, {after} IS NULL AS last, valid_to FROM price"
    assert one(db, f"SELECT count(*) FROM ({steps}) WHERE NOT last") > 300
    assert one(db, f"SELECT count(*) FROM ({steps}) WHERE NOT last AND step IS NOT 1.0 OR last AND valid_to IS NOT NULL") == 0
    assert "price.valid_from of the next row of the same parent continues 1 day after valid_to" in rules


def test_what_is_handed_in_is_counted_from_when_it_is_due_and_not_from_what_came_before(tmp_path: Path) -> None:
    def build(db: sqlite3.Connection, rng: np.random.Generator) -> None:
        db.execute("CREATE TABLE task (id INTEGER PRIMARY KEY, weight INTEGER NOT NULL, due TIMESTAMP NOT NULL)")
        db.execute("CREATE TABLE pupil (id INTEGER PRIMARY KEY, born DATE NOT NULL)")
        db.execute(
            "CREATE TABLE paper (pupil INTEGER NOT NULL REFERENCES pupil (id) ON DELETE CASCADE, task INTEGER NOT NULL REFERENCES task (id), "
            "handed_in TIMESTAMP NOT NULL, PRIMARY KEY (pupil, task))"
        )
        due = sorted(datetime(2023, 1, 1) + timedelta(days=int(d)) for d in rng.integers(0, 700, 200))
        db.executemany("INSERT INTO task VALUES (?, ?, ?)", [(i, int(rng.integers(1, 4)), f"{d}") for i, d in enumerate(due)])
        for i in range(400):
            db.execute("INSERT INTO pupil VALUES (?, ?)", (i, f"{date(2008, 1, 1) + timedelta(days=int(rng.integers(0, 900)))}"))
            for t in rng.choice(200, int(rng.integers(3, 9)), replace=False):
                db.execute("INSERT INTO paper VALUES (?, ?, ?)", (i, int(t), f"{due[t] + timedelta(hours=int(rng.integers(-60, 20)))}"))

    db, _ = copied(tmp_path, build)
    late = "24 * (julianday(handed_in) - julianday(due))"
    assert one(db, f"SELECT max(abs({late})) FROM paper JOIN task ON task.id = task") <= 61
    assert -24 < one(db, f"SELECT avg({late}) FROM paper JOIN task ON task.id = task") < -16


def test_a_deadline_is_counted_from_what_is_always_known(tmp_path: Path) -> None:
    def build(db: sqlite3.Connection, rng: np.random.Generator) -> None:
        db.execute(
            "CREATE TABLE ticket (id INTEGER PRIMARY KEY, urgent INTEGER NOT NULL, created TIMESTAMP NOT NULL, resolved TIMESTAMP, "
            "due TIMESTAMP NOT NULL)"
        )
        for i in range(1500):
            created, urgent = datetime(2023, 1, 1) + timedelta(minutes=int(rng.integers(0, 900_000))), int(rng.integers(0, 3))
            resolved = created + timedelta(minutes=int(rng.integers(5, 90))) if rng.random() < 0.85 else None
            due = created + timedelta(hours=(72, 24, 8)[urgent])
            db.execute("INSERT INTO ticket VALUES (?, ?, ?, ?, ?)", (i, urgent, f"{created}", resolved and f"{resolved}", f"{due}"))

    db, _ = copied(tmp_path, build)
    hours = "round(24 * (julianday(due) - julianday(created)), 3)"
    assert one(db, f"SELECT count(*) FROM ticket WHERE {hours} <> CASE urgent WHEN 0 THEN 72 WHEN 1 THEN 24 ELSE 8 END") < 4  # at the end of the data
