"""Dates and numbers as distances: what they are counted from, what they never pass, and when they never are."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

import synth_pipeline as sp
from synth_pipeline.synthesis.relational.encode import NumberCodec
from synth_pipeline.synthesis.relational.limits import between_limits


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


def test_nobody_works_at_weekends_or_is_visited_at_night(tmp_path: Path) -> None:
    def build(db: sqlite3.Connection, rng: np.random.Generator) -> None:
        db.execute("CREATE TABLE worker (id INTEGER PRIMARY KEY, hired DATE NOT NULL)")
        db.execute(
            "CREATE TABLE sheet (worker INTEGER NOT NULL REFERENCES worker (id) ON DELETE CASCADE, day DATE NOT NULL, hours INTEGER NOT NULL, "
            "PRIMARY KEY (worker, day))"
        )
        db.execute("CREATE TABLE visit (id INTEGER PRIMARY KEY, worker INTEGER NOT NULL REFERENCES worker (id), came TIMESTAMP NOT NULL)")
        days = [d for k in range(900) if (d := date(2020, 1, 1) + timedelta(days=k)).weekday() < 5]
        for i in range(300):
            first = int(rng.integers(0, len(days) - 100))
            db.execute("INSERT INTO worker VALUES (?, ?)", (i, f"{days[first]}"))
            for k in range(int(rng.integers(20, 60))):
                if rng.random() < 0.9:
                    db.execute("INSERT INTO sheet VALUES (?, ?, ?)", (i, f"{days[first + k]}", int(rng.integers(4, 9))))
            came = datetime(2020, 1, 1)
            for _ in range(int(rng.integers(1, 6))):
                came = came.replace(hour=8, minute=0) + timedelta(days=int(rng.integers(20, 200)), minutes=15 * int(rng.integers(0, 36)))
                db.execute("INSERT INTO visit (worker, came) VALUES (?, ?)", (i, f"{came}"))

    db, rules = copied(tmp_path, build)
    assert {"worker.hired is on Monday to Friday", "sheet.day is on Monday to Friday", "visit.came is between 8 and 17 h"} <= set(rules)
    assert not any(r.startswith("visit.came is on") for r in rules)
    assert one(db, "SELECT count(*) FROM sheet WHERE strftime('%w', day) IN ('0', '6')") == 0
    assert one(db, "SELECT count(*) FROM worker WHERE strftime('%w', hired) IN ('0', '6')") == 0
    assert one(db, "SELECT count(*) FROM visit WHERE strftime('%H', came) + 0 NOT BETWEEN 8 AND 16 OR strftime('%M', came) % 15") == 0
    weekdays = db.execute("SELECT count(*) FROM sheet GROUP BY strftime('%w', day)").fetchall()
    assert min(weekdays)[0] > 0.75 * max(weekdays)[0]
    assert one(db, "SELECT count(*) FROM sheet JOIN worker ON worker.id = worker WHERE day < hired") == 0
    assert one(db, "SELECT count(*) FROM sheet") > 10_000


def test_what_is_moved_to_a_limit_is_not_all_at_midnight_nor_rounded_over_it() -> None:
    second, day = 1_000_000.0, 86_400_000_000.0
    codec = NumberCodec(pa.timestamp("us"), step=60 * second, low=0.0, high=1000 * day)
    rng, n = np.random.default_rng(0), 500
    none, limit, exact = np.full(n, np.nan), np.full(n, 100 * day), np.full(n, 100 * day + 30 * second)
    for low, high in ((none, limit), (limit, none)):
        x = between_limits(np.where(np.isnan(low), 1, -1) * 3 * day + limit, low, high, codec, rng)
        assert (np.sign(limit - x)[np.abs(limit - x) > 0] == (1 if np.isnan(low[0]) else -1)).all()
        assert np.abs(limit - x).max() <= day and len(np.unique(x)) > 0.9 * n
    for side, low, high in ((-1, exact, none), (1, none, exact)):
        x = codec.encode(codec.decode(between_limits(exact + side * 10 * second, low, high, codec, rng)))
        assert (np.sign(exact - x) == side).all()


def test_numbers_lie_within_those_of_a_parent_and_dates_of_a_row_in_their_order(tmp_path: Path) -> None:
    def build(db: sqlite3.Connection, rng: np.random.Generator) -> None:
        db.execute("CREATE TABLE grade (code VARCHAR(2) PRIMARY KEY, min_salary INTEGER NOT NULL, max_salary INTEGER NOT NULL)")
        db.execute("CREATE TABLE test (id INTEGER PRIMARY KEY, max_points INTEGER NOT NULL, kind INTEGER NOT NULL)")
        db.execute(
            "CREATE TABLE person (id INTEGER PRIMARY KEY, grade VARCHAR(2) NOT NULL REFERENCES grade (code), "
            "test INTEGER NOT NULL REFERENCES test (id), salary INTEGER NOT NULL, points INTEGER NOT NULL, "
            "joined TIMESTAMP NOT NULL, seen TIMESTAMP NOT NULL)"
        )
        db.executemany("INSERT INTO grade VALUES (?, ?, ?)", [(f"G{k}", 20000 + 9000 * k, 36000 + 11000 * k) for k in range(6)])
        most = [int(rng.choice((10, 20, 50, 100))) for _ in range(200)]
        db.executemany("INSERT INTO test VALUES (?, ?, ?)", [(i, m, int(rng.integers(0, 3))) for i, m in enumerate(most)])
        for i in range(2500):
            grade, test = int(rng.integers(0, 6)), int(rng.integers(0, 200))
            salary = int(rng.integers(200 + 90 * grade, 361 + 110 * grade)) * 100
            joined = datetime(2019, 1, 1) + timedelta(minutes=int(rng.integers(0, 2_600_000)))
            last = datetime(2024, 12, 31) - timedelta(minutes=int(rng.exponential(40_000)))
            points = most[test] if rng.random() < 0.2 else int(rng.integers(0, most[test] + 1))
            db.execute("INSERT INTO person VALUES (?, ?, ?, ?, ?, ?, ?)", (i, f"G{grade}", test, salary, points, f"{joined}", f"{max(last, joined)}"))

    db, rules = copied(tmp_path, build)
    assert {"person.salary ≤ max_salary of its grade", "person.salary ≥ min_salary of its grade"} <= set(rules)
    assert "person.points ≤ max_points of its test" in rules
    assert one(db, "SELECT count(*) FROM person JOIN grade ON code = grade WHERE salary NOT BETWEEN min_salary AND max_salary") == 0
    assert one(db, "SELECT count(*) FROM person JOIN test ON test.id = test WHERE points > max_points") == 0
    assert one(db, "SELECT count(*) FROM person WHERE seen < joined") == 0


def test_nothing_happens_after_the_end_of_the_owners_owner(tmp_path: Path) -> None:
    def build(db: sqlite3.Connection, rng: np.random.Generator) -> None:
        db.execute("CREATE TABLE tenant (id INTEGER PRIMARY KEY, began TIMESTAMP NOT NULL, cancelled TIMESTAMP)")
        db.execute("CREATE TABLE project (id INTEGER PRIMARY KEY, tenant INTEGER NOT NULL REFERENCES tenant (id), size INTEGER NOT NULL)")
        db.execute("CREATE TABLE task (id INTEGER PRIMARY KEY, project INTEGER NOT NULL REFERENCES project (id), done TIMESTAMP NOT NULL)")
        key = 0
        for i in range(300):
            began = datetime(2020, 1, 1) + timedelta(minutes=int(rng.integers(0, 1_000_000)))
            end = began + timedelta(minutes=int(rng.integers(50_000, 900_000)))
            db.execute("INSERT INTO tenant VALUES (?, ?, ?)", (i, f"{began}", f"{end}" if rng.random() < 0.6 else None))
            for _ in range(int(rng.integers(1, 4))):
                key += 1
                db.execute("INSERT INTO project VALUES (?, ?, ?)", (key, i, int(rng.integers(1, 9))))
                for share in rng.random(int(rng.integers(1, 6))):
                    db.execute("INSERT INTO task (project, done) VALUES (?, ?)", (key, f"{(began + share * (end - began)).replace(microsecond=0)}"))

    db, rules = copied(tmp_path, build)
    above = "FROM task JOIN project ON project.id = project JOIN tenant ON tenant.id = tenant"
    assert {"task.done ≤ cancelled of the tenant of its project", "task.done ≥ began of the tenant of its project"} <= set(rules)
    assert one(db, f"SELECT count(*) {above} WHERE done > cancelled OR done < began") == 0
    assert one(db, f"SELECT count(*) {above} WHERE cancelled IS NOT NULL") > 500
    assert one(db, "SELECT count(*) FROM (SELECT done AS d, LAG(done) OVER (PARTITION BY project ORDER BY id) AS p FROM task) WHERE d = p") < 20
