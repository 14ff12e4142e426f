"""Numbers that count the rows of any parent, or of two together."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

import synth_pipeline as sp
from synth_pipeline.synthesis.relational import store
from synth_pipeline_tests.synthesis import test_everyday
from synth_pipeline_tests.synthesis.test_distances import copied, one

GAPS = (
    "SELECT count(*) FROM (SELECT 1 FROM {table} GROUP BY {within} "
    "HAVING max({column}) <> count(*) OR min({column}) <> 1 OR count(DISTINCT {column}) <> count(*))"
)


def build_tracker(db: sqlite3.Connection, rng: np.random.Generator) -> None:
    """Tasks of projects, numbered within the company as they are created; drawings of projects, within stage and trade."""
    db.execute("CREATE TABLE company (id INTEGER PRIMARY KEY, kind VARCHAR(8) NOT NULL)")
    db.execute(
        "CREATE TABLE project (company INTEGER NOT NULL REFERENCES company (id) ON DELETE CASCADE, id INTEGER NOT NULL, begun DATE NOT NULL, "
        "PRIMARY KEY (company, id))"
    )
    db.execute(
        "CREATE TABLE task (company INTEGER NOT NULL, id INTEGER PRIMARY KEY, project INTEGER NOT NULL, number INTEGER NOT NULL, "
        "state VARCHAR(8) NOT NULL, created TIMESTAMP NOT NULL, UNIQUE (company, number), "
        "FOREIGN KEY (company, project) REFERENCES project (company, id) ON DELETE CASCADE)"
    )
    db.execute("CREATE TABLE stage (id INTEGER PRIMARY KEY, name VARCHAR(9) NOT NULL)")
    db.execute("CREATE TABLE trade (id INTEGER PRIMARY KEY, name VARCHAR(9) NOT NULL)")
    db.execute(
        "CREATE TABLE drawing (id INTEGER PRIMARY KEY, stage INTEGER NOT NULL REFERENCES stage (id), trade INTEGER NOT NULL REFERENCES trade (id), "
        "sheet INTEGER NOT NULL, scale VARCHAR(5) NOT NULL)"
    )
    project, task = 0, 0
    for i in range(1, 161):
        db.execute("INSERT INTO company VALUES (?, ?)", (i, str(rng.choice(("small", "large")))))
        rows = []
        for _ in range(int(rng.integers(1, 5))):
            project += 1
            begun = datetime(2022, 1, 1) + timedelta(days=int(rng.integers(0, 900)))
            db.execute("INSERT INTO project VALUES (?, ?, ?)", (i, project, f"{begun:%Y-%m-%d}"))
            rows += [(begun + timedelta(minutes=int(rng.integers(1, 400_000))), project) for _ in range(int(rng.integers(1, 9)))]
        for number, (created, of) in enumerate(sorted(rows), 1):
            task += 1
            db.execute("INSERT INTO task VALUES (?, ?, ?, ?, ?, ?)", (i, task, of, number, str(rng.choice(("open", "done"))), f"{created}"))
    for k, name in enumerate(("sketch", "design", "permit", "tender", "works", "as built")):
        db.execute("INSERT INTO stage VALUES (?, ?)", (k, name))
    for k, name in enumerate(("walls", "roof", "water", "heating", "power", "fire", "paint", "garden")):
        db.execute("INSERT INTO trade VALUES (?, ?)", (k, name))
    sheets: dict[tuple[int, int], int] = {}
    for i in range(600):
        at = int(rng.integers(0, 6)), int(rng.integers(0, 8))
        sheets[at] = sheets.get(at, 0) + 1
        db.execute("INSERT INTO drawing VALUES (?, ?, ?, ?, ?)", (i, *at, sheets[at], str(rng.choice(("1:50", "1:100")))))


def gaps(db: sqlite3.Connection, table: str, within: str, column: str) -> float:
    return one(db, GAPS.format(table=table, within=within, column=column))


def test_numbers_count_within_a_parent_of_the_owner_and_within_two_parents_in_their_order(tmp_path: Path) -> None:
    db, rules = copied(tmp_path, build_tracker)
    assert "task.number counts from 1 within its company, in the order of created" in rules
    assert "drawing.sheet counts from 1 within its stage, trade, in the order of id" in rules
    assert gaps(db, "task", "company", "number") == 0
    assert one(db, "SELECT count(*) FROM task a JOIN task b USING (company) WHERE a.number < b.number AND a.created > b.created") == 0
    assert gaps(db, "drawing", "stage, trade", "sheet") == 0
    assert one(db, "SELECT count(*) FROM drawing a JOIN drawing b USING (stage, trade) WHERE a.sheet < b.sheet AND a.id > b.id") == 0


def test_they_do_so_where_rows_are_held_out_and_over_all_shards(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "real.db") as db:
        build_tracker(db, np.random.default_rng(4))
    db.close()
    taken = sp.open(f"sqlite:///{tmp_path}/real.db").metadata().subset(holdout=0.1)
    fitted = taken.fit(seed=1, workers=1)
    fitted.made.save(tmp_path)
    ranks = {t: m.rules.ranks for t, m in store.load(tmp_path).tables.items()}
    assert (ranks["task"]["number"].within, ranks["task"]["number"].by) == (("company",), ("created",))
    assert (ranks["drawing"]["sheet"].within, ranks["drawing"]["sheet"].by) == (("stage", "trade"), ("id",))
    db = sqlite3.connect(test_everyday.copied(fitted, tmp_path / "shards", 400))
    assert gaps(db, "task", "company", "number") == 0
    assert gaps(db, "drawing", "stage, trade", "sheet") == 0
