"""What a schema declares holds whatever was drawn: keys that overlap, CHECKs on foreign keys and on counts, limits on children."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import synth_pipeline as sp
from synth_pipeline.synthesis.relational.collisions import Claim, choice_candidates, reassign
from synth_pipeline.synthesis.relational.counts import impose_total

SCHEMA = """
CREATE TABLE member (id INTEGER PRIMARY KEY, joined DATE NOT NULL);
CREATE TABLE friendship (
    one INTEGER NOT NULL REFERENCES member (id), other INTEGER NOT NULL REFERENCES member (id), since DATE NOT NULL,
    PRIMARY KEY (one, other), CHECK (one < other));
CREATE TABLE course (code TEXT PRIMARY KEY, level INTEGER NOT NULL);
CREATE TABLE term (id INTEGER PRIMARY KEY, starts DATE NOT NULL);
CREATE TABLE section (
    id INTEGER PRIMARY KEY, course_code TEXT NOT NULL REFERENCES course (code), term_id INTEGER NOT NULL REFERENCES term (id),
    number INTEGER NOT NULL, room TEXT NOT NULL, slot INTEGER NOT NULL, capacity INTEGER NOT NULL, enrolled INTEGER NOT NULL,
    UNIQUE (course_code, term_id, number), UNIQUE (term_id, room, slot), CHECK (enrolled <= capacity));
CREATE TABLE enrolment (
    id INTEGER PRIMARY KEY, section_id INTEGER NOT NULL REFERENCES section (id), member_id INTEGER NOT NULL REFERENCES member (id),
    seat INTEGER NOT NULL, UNIQUE (section_id, member_id), UNIQUE (section_id, seat));
CREATE TABLE ticket (id INTEGER PRIMARY KEY, status TEXT NOT NULL);
CREATE TABLE event (id INTEGER PRIMARY KEY, ticket_id INTEGER NOT NULL REFERENCES ticket (id), at DATE NOT NULL);
"""


def build(path: Path) -> None:
    rng = np.random.default_rng(8)
    day = np.datetime64("2022-01-01")
    joined = day + rng.integers(0, 300, 400)
    pairs = {(min(p), max(p)) for p in rng.integers(0, 400, (1_500, 2)).tolist() if p[0] != p[1]}
    friends = [(a, b, str(max(joined[a], joined[b]) + int(rng.integers(0, 200)))) for a, b in sorted(pairs)]
    courses = [(f"C{i:02d}", 1 + i % 4) for i in range(40)]
    places = [(f"R{r}", s) for r in range(12) for s in range(6)]
    sections, enrolments = [], []
    for term in range(10):
        free = rng.permutation(len(places))[:55]
        numbers: dict[str, int] = {}
        for at in free.tolist():
            course = courses[int(rng.integers(0, 40))][0]
            numbers[course] = numbers.get(course, 0) + 1
            capacity = int(rng.choice([6, 10, 16, 24]))
            taken = int(min(capacity, rng.poisson(9)))
            chosen = rng.choice(400, taken, replace=False).tolist()
            enrolments += [(len(enrolments) + k, len(sections), m, k + 1) for k, m in enumerate(chosen)]
            sections.append((len(sections), course, term, numbers[course], *places[at], capacity, taken))
    status = rng.choice(("new", "open", "done"), 600, p=(0.2, 0.3, 0.5)).tolist()
    events = [(i, t) for t, s in enumerate(status) for i in range({"new": 1, "open": 2}.get(s, int(rng.integers(3, 7))))]
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript(SCHEMA)
        db.executemany("INSERT INTO member VALUES (?, ?)", [(i, str(d)) for i, d in enumerate(joined)])
        db.executemany("INSERT INTO friendship VALUES (?, ?, ?)", friends)
        db.executemany("INSERT INTO course VALUES (?, ?)", courses)
        db.executemany("INSERT INTO term VALUES (?, ?)", [(i, str(day + 120 * i)) for i in range(10)])
        db.executemany("INSERT INTO section VALUES (?, ?, ?, ?, ?, ?, ?, ?)", sections)
        db.executemany("INSERT INTO enrolment VALUES (?, ?, ?, ?)", enrolments)
        db.executemany("INSERT INTO ticket VALUES (?, ?)", list(enumerate(status)))
        db.executemany("INSERT INTO event VALUES (?, ?, ?)", [(n, t, str(day + t + i)) for n, (i, t) in enumerate(events)])


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("declared") / "real.db"
    build(path)
    return path


@pytest.fixture(scope="module")
def fitted(real: Path) -> sp.Fitted:
    return sp.open(f"sqlite:///{real}").metadata().subset(holdout=0.0).fit(seed=0, workers=1)


@pytest.mark.parametrize(("seed", "scale"), [(0, 1.0), (1, 1.0), (2, 0.3), (3, 2.0)])
def test_everything_declared_holds_and_hardly_a_row_is_lost(fitted: sp.Fitted, real: Path, tmp_path: Path, seed: int, scale: float) -> None:
    made = fitted.sample(seed=seed, scale=scale)
    made.export(f"sqlite:///{tmp_path}/made.db")
    with closing(sqlite3.connect(tmp_path / "made.db")) as db, closing(sqlite3.connect(real)) as source:
        assert not db.execute("PRAGMA foreign_key_check").fetchall()
        for table in ("friendship", "section", "enrolment", "event"):
            count, wanted = (d.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for d in (db, source))
            assert 0.97 * scale * wanted <= count <= 1.03 * scale * wanted, table
        assert not db.execute("SELECT * FROM friendship WHERE one >= other").fetchall()
        assert not db.execute("SELECT * FROM section WHERE enrolled > capacity").fetchall()
        wrong = "SELECT * FROM section WHERE enrolled <> (SELECT count(*) FROM enrolment WHERE section_id = section.id)"
        assert not db.execute(wrong).fetchall()
        events = "SELECT status, count(*) AS n FROM ticket JOIN event ON ticket_id = ticket.id GROUP BY ticket.id"
        assert not db.execute(f"SELECT * FROM ({events}) WHERE status = 'new' AND n <> 1 OR status = 'open' AND n <> 2").fetchall()


def test_the_rules_are_told(fitted: sp.Fitted) -> None:
    rules = fitted.info["rules"]
    assert any("no more enrolment rows than capacity says" in r for r in rules)
    assert any("as many event rows as status says: 1 where status = new, 2 where status = open" in r for r in rules)


def test_a_component_of_two_keys_is_changed_for_both() -> None:
    """Three rows collide in the first key; what is free there is taken in the second one."""
    values = np.array([0.0, 0.0, 1.0, 2.0])
    first = Claim(np.zeros(4, dtype=int), np.ones(4, dtype=bool))
    second = Claim(np.array([0, 1, 1, 1]), np.ones(4, dtype=bool), np.array([0, 1, 2, 2, 3]))
    out, failed = reassign([first, second], values, np.array([1]), choice_candidates(np.arange(5), np.random.default_rng(0)))
    assert out[1] == 4 and not len(failed) and np.array_equal(out[[0, 2, 3]], values[[0, 2, 3]])


def test_a_total_leaves_everyone_the_fewest_and_needs_no_limit() -> None:
    rng = np.random.default_rng(1)
    counts, least = rng.integers(0, 9, 500), rng.integers(0, 3, 500)
    out = impose_total(np.maximum(counts, least), 1_400, rng, np.full(500, np.iinfo(np.int64).max), least)
    assert out.sum() == 1_400 and (out >= least).all()


def test_a_value_that_waits_for_a_later_table_is_not_taken_for_null(tmp_path: Path) -> None:
    """Codes that lead from table to table in a circle: what a row refers to is known only at the end."""
    with closing(sqlite3.connect(tmp_path / "real.db")) as db, db:
        db.executescript("""
            CREATE TABLE quote (no INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE REFERENCES item (code));
            CREATE TABLE item (code TEXT NOT NULL UNIQUE REFERENCES stock (code), amount INTEGER);
            CREATE TABLE stock (
                id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE REFERENCES item (code), quoted TEXT NOT NULL REFERENCES quote (code),
                low INTEGER, high INTEGER, CHECK (low <= high));
        """)
        codes = [f"B-{i:03d}" for i in range(8)]
        db.executemany("INSERT INTO quote VALUES (?, ?)", list(enumerate(codes)))
        db.executemany("INSERT INTO item VALUES (?, ?)", [(c, i) for i, c in enumerate(codes)])
        db.executemany("INSERT INTO stock VALUES (?, ?, ?, ?, ?)", [(i, c, codes[-i], 3 * i, 4 * i) for i, c in enumerate(codes)])
    made = sp.open(f"sqlite:///{tmp_path}/real.db").metadata().subset(holdout=0.0).fit(seed=0, workers=1).sample(seed=0)
    made.export(f"sqlite:///{tmp_path}/made.db")
    with closing(sqlite3.connect(tmp_path / "made.db")) as db:
        assert db.execute("SELECT count(*) FROM stock WHERE quoted IN (SELECT code FROM quote)").fetchone() == (8,)
