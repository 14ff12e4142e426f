"""A help desk: which parent a row gets where it is that of another row."""

from __future__ import annotations

import datetime as dt
import sqlite3
from pathlib import Path

import numpy as np
import pytest

import synth_pipeline as sp
from synth_pipeline.notebook import Fitted
from synth_pipeline.synthesis.relational.matching import deal
from synth_pipeline_tests.helpers import broken_in, copied
from synth_pipeline_tests.synthesis.test_everyday import moment

DESK = """
CREATE TABLE agent (id INTEGER PRIMARY KEY, hired DATE NOT NULL, chief_id INTEGER REFERENCES agent);
CREATE TABLE leave (id INTEGER PRIMARY KEY, agent_id INTEGER NOT NULL REFERENCES agent, begins DATE NOT NULL, state TEXT NOT NULL,
    approved_by INTEGER REFERENCES agent);
CREATE TABLE ticket (id INTEGER PRIMARY KEY, agent_id INTEGER REFERENCES agent, opened DATETIME NOT NULL, status TEXT NOT NULL);
CREATE TABLE event (id INTEGER PRIMARY KEY, ticket_id INTEGER NOT NULL REFERENCES ticket, at DATETIME NOT NULL, kind TEXT NOT NULL,
    agent_id INTEGER REFERENCES agent);
CREATE TABLE survey (id INTEGER PRIMARY KEY, event_id INTEGER NOT NULL UNIQUE REFERENCES event, stars INTEGER NOT NULL,
    agent_id INTEGER REFERENCES agent);
"""
PATHS = {
    "an event is the agent's of its ticket": "SELECT count(*) FROM event e JOIN ticket t ON t.id = ticket_id WHERE e.agent_id <> t.agent_id",
    "an event has an agent by its kind": "SELECT count(*) FROM event WHERE (kind = 'answer') <> (agent_id IS NOT NULL)",
    "a survey is about who answered": "SELECT count(*) FROM survey s JOIN event e ON e.id = event_id JOIN ticket t ON t.id = ticket_id "
    "WHERE s.agent_id <> t.agent_id",
    "a leave is approved by the chief": "SELECT count(*) FROM leave l JOIN agent a ON a.id = agent_id WHERE approved_by <> chief_id",
    "a leave is approved by somebody": "SELECT count(*) FROM leave l JOIN agent a ON a.id = agent_id "
    "WHERE (state = 'asked' OR chief_id IS NULL) <> (approved_by IS NULL)",
}


def build_desk(path: Path) -> None:
    rng = np.random.default_rng(21)
    with sqlite3.connect(path) as db:
        db.executescript(DESK)
        chiefs: list[int | None] = []
        leaves = tickets = events = surveys = 0
        for a in range(1, 301):
            chiefs.append(None if a <= 5 else int(rng.integers(1, min(a, 60))))
            db.execute("INSERT INTO agent VALUES (?, ?, ?)", (a, str(dt.date(2018, 1, 1) + dt.timedelta(a)), chiefs[-1]))
            for _ in range(int(rng.poisson(4))):
                leaves += 1
                state = str(rng.choice(["asked", "granted", "refused"], p=[0.2, 0.7, 0.1]))
                begins = str(dt.date(2020, 1, 1) + dt.timedelta(int(rng.integers(0, 900))))
                db.execute("INSERT INTO leave VALUES (?, ?, ?, ?, ?)", (leaves, a, begins, state, None if state == "asked" else chiefs[-1]))
        for _ in range(1_200):
            tickets += 1
            at, new = rng.uniform(6e7, 9e7), rng.random() < 0.15
            agent = None if new else int(rng.integers(1, 301))
            db.execute("INSERT INTO ticket VALUES (?, ?, ?, ?)", (tickets, agent, moment(at), "new" if new else str(rng.choice(["open", "done"]))))
            for _ in range(1 if new else int(rng.integers(1, 7))):
                events += 1
                at += rng.exponential(4e4)
                kind = "question" if new else str(rng.choice(["question", "answer"]))
                db.execute("INSERT INTO event VALUES (?, ?, ?, ?, ?)", (events, tickets, moment(at), kind, agent if kind == "answer" else None))
                if not new and rng.random() < 0.4:
                    surveys += 1
                    values = (surveys, events, int(rng.integers(1, 6)), agent if rng.random() < 0.7 else None)
                    db.execute("INSERT INTO survey VALUES (?, ?, ?, ?)", values)
    db.close()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Fitted]:
    path = tmp_path_factory.mktemp("desk") / "real.db"
    build_desk(path)
    taken = sp.open(f"sqlite:///{path}").metadata().subset(holdout=0.0)
    return path, taken.fit(seed=1)


@pytest.mark.parametrize("shard_rows", [250_000, 1_500])
def test_a_key_that_may_be_missing_leads_where_others_lead(desk: tuple[Path, Fitted], shard_rows: int, tmp_path: Path) -> None:
    real, fitted = desk
    assert not broken_in(real, PATHS)
    path = copied(fitted, tmp_path / "copy", shard_rows)
    assert not broken_in(path, PATHS), fitted.info["rules"]
    some = "SELECT avg(agent_id IS NOT NULL) FROM survey"
    with sqlite3.connect(real) as one, sqlite3.connect(path) as other:
        assert other.execute(some).fetchone()[0] == pytest.approx(one.execute(some).fetchone()[0], abs=0.06)
    one.close()
    other.close()


CHAT = """
CREATE TABLE person (id INTEGER PRIMARY KEY, age INTEGER NOT NULL);
CREATE TABLE chat (id INTEGER PRIMARY KEY, kind TEXT NOT NULL);
CREATE TABLE chat_person (person_id INTEGER NOT NULL REFERENCES person, chat_id INTEGER NOT NULL REFERENCES chat, role TEXT NOT NULL,
    favourite INTEGER NOT NULL, PRIMARY KEY (person_id, chat_id));
CREATE TABLE message (id INTEGER PRIMARY KEY, sender_id INTEGER NOT NULL REFERENCES person, chat_id INTEGER NOT NULL REFERENCES chat,
    sent DATETIME NOT NULL);
CREATE TABLE receipt (id INTEGER PRIMARY KEY, message_id INTEGER NOT NULL UNIQUE REFERENCES message, reader_id INTEGER REFERENCES person);
CREATE TABLE note (id INTEGER PRIMARY KEY, writer_id INTEGER NOT NULL REFERENCES person,
    message_id INTEGER NOT NULL REFERENCES message ON DELETE CASCADE);
"""
MEMBERS = {
    "who writes takes part": "SELECT count(*) FROM message WHERE (chat_id, sender_id) NOT IN (SELECT chat_id, person_id FROM chat_person)",
    "who reads takes part": "SELECT count(*) FROM receipt JOIN message m ON m.id = message_id "
    "WHERE reader_id IS NOT NULL AND (chat_id, reader_id) NOT IN (SELECT chat_id, person_id FROM chat_person)",
    "who notes takes part": "SELECT count(*) FROM note JOIN message m ON m.id = message_id "
    "WHERE (chat_id, writer_id) NOT IN (SELECT chat_id, person_id FROM chat_person)",
}
ONE = {
    "a chat has one owner": "SELECT count(*) FROM (SELECT sum(role = 'owner') AS n FROM chat_person GROUP BY chat_id) WHERE n <> 1",
    "a person has one favourite": "SELECT count(*) FROM (SELECT sum(favourite) AS n FROM chat_person GROUP BY person_id) WHERE n <> 1",
}


def build_chat(path: Path) -> None:
    rng = np.random.default_rng(22)
    with sqlite3.connect(path) as db:
        db.executescript(CHAT)
        db.executemany("INSERT INTO person VALUES (?, ?)", [(i + 1, int(rng.integers(18, 80))) for i in range(200)])
        chats: list[list[int]] = []
        for c in range(1, 161):
            members = [int(p) + 1 for p in rng.permutation(200)[: int(rng.integers(2, 6))]]
            db.execute("INSERT INTO chat VALUES (?, ?)", (c, str(rng.choice(["pair", "group"]))))
            roles = ["owner", *(str(r) for r in rng.choice(["guest", "helper"], len(members) - 1))]
            db.executemany("INSERT INTO chat_person VALUES (?, ?, ?, 0)", [(p, c, r) for p, r in zip(members, roles, strict=True)])
            at = rng.uniform(0, 1e8)
            for _ in range(int(rng.integers(1, 20))):
                chats.append(members)
                at += rng.exponential(500)
                db.execute("INSERT INTO message VALUES (?, ?, ?, ?)", (len(chats), int(rng.choice(members)), c, moment(at)))
        db.execute(
            "UPDATE chat_person SET favourite = 1 WHERE chat_id = (SELECT max(chat_id) FROM chat_person o WHERE o.person_id = chat_person.person_id)"
        )
        few = [int(m) for m in rng.permutation(len(chats))[:700]]
        readers = [int(rng.choice(chats[m])) if rng.random() < 0.8 else None for m in few]
        db.executemany("INSERT INTO receipt VALUES (?, ?, ?)", [(i + 1, m + 1, r) for i, (m, r) in enumerate(zip(few, readers, strict=True))])
        noted = [int(m) for m in rng.choice(few[:400], 500)]
        db.executemany("INSERT INTO note VALUES (?, ?, ?)", [(i + 1, int(rng.choice(chats[m])), m + 1) for i, m in enumerate(noted)])
    db.close()


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Fitted]:
    path = tmp_path_factory.mktemp("chat") / "real.db"
    build_chat(path)
    taken = sp.open(f"sqlite:///{path}").metadata().subset(holdout=0.0)
    return path, taken.fit(seed=1)


def test_an_owner_is_what_rows_are_part_of(chat: tuple[Path, Fitted]) -> None:
    """Messages lie close together in a chat, who takes part is named after it, a receipt is one-to-one with its message."""
    owners = {t: m.plan.owner.parent for t, m in chat[1].made._model.tables.items() if m.plan.owner is not None}
    assert owners == {"chat_person": "chat", "message": "chat", "receipt": "message", "note": "message"}


@pytest.mark.parametrize("shard_rows", [250_000, 1_000])
def test_pairs_of_parents_are_those_of_another_table_and_one_of_each_is_marked(
    chat: tuple[Path, Fitted], shard_rows: int, tmp_path: Path
) -> None:
    real, fitted = chat
    assert not broken_in(real, MEMBERS | ONE)
    path = copied(fitted, tmp_path / "copy", shard_rows)
    assert not broken_in(path, MEMBERS | ONE), fitted.info["rules"]


def test_a_group_is_dealt_different_parents_the_heavier_ones_more_often() -> None:
    rng = np.random.default_rng(23)
    groups = np.repeat(np.arange(3_000), 2)
    wanted, cells = groups % 3, np.array([0, 0, 0, 1, 1, 2])
    weights = np.array([1.0, 1.0, 8.0, 1.0, 1.0, 1.0])
    found = deal(groups, wanted, cells, weights, rng)
    assert found is not None and (cells[found[found >= 0]] == wanted[found >= 0]).all()
    assert len(np.unique(groups[found >= 0] * 6 + found[found >= 0])) == (found >= 0).sum()
    assert np.bincount(groups[found < 0] % 3, minlength=3).tolist() == [0, 0, 1_000]  # one parent for two rows
    use = np.bincount(found[found >= 0], minlength=6)
    assert use[2] > 900 > use[:2].max()


def test_the_date_that_a_parent_keeps_to_may_be_that_of_a_copied_table(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    terms = [dt.date(2015, 7, 1) + dt.timedelta(180 * i) for i in range(12)]
    made = [dt.date(2015, 1, 1) + dt.timedelta(int(d)) for d in rng.integers(0, 2_000, 300)]
    with sqlite3.connect(tmp_path / "real.db") as db:
        db.executescript("""
            CREATE TABLE term (id INTEGER PRIMARY KEY, begins DATE NOT NULL);
            CREATE TABLE teacher (id INTEGER PRIMARY KEY, hired DATE NOT NULL);
            CREATE TABLE course (id INTEGER PRIMARY KEY, credits INTEGER NOT NULL, made DATE NOT NULL);
            CREATE TABLE section (id INTEGER PRIMARY KEY, teacher_id INTEGER NOT NULL REFERENCES teacher ON DELETE CASCADE,
                term_id INTEGER NOT NULL REFERENCES term, course_id INTEGER NOT NULL REFERENCES course);
        """)
        db.executemany("INSERT INTO term VALUES (?, ?)", [(i, str(t)) for i, t in enumerate(terms)])
        db.executemany("INSERT INTO teacher VALUES (?, ?)", [(i, str(made[i % 300])) for i in range(400)])
        db.executemany("INSERT INTO course VALUES (?, ?, ?)", [(i, int(rng.integers(1, 6)), str(m)) for i, m in enumerate(made)])
        for n in range(4_000):
            term = int(rng.integers(12))
            course = int(rng.choice([i for i, m in enumerate(made) if m <= terms[term]]))
            db.execute("INSERT INTO section VALUES (?, ?, ?, ?)", (n, int(rng.integers(400)), term, course))
    fitted = sp.open(f"sqlite:///{tmp_path / 'real.db'}").metadata().subset(holdout=0.0).fit(seed=0)
    assert "section: made of its course ≤ begins of its term" in fitted.info["rules"]
    fitted.sample(seed=0).export(f"sqlite:///{tmp_path / 'copy.db'}")
    early = "SELECT count(*) FROM section s JOIN term t ON t.id = term_id JOIN course c ON c.id = course_id WHERE made > begins"
    with sqlite3.connect(tmp_path / "copy.db") as db:
        assert db.execute(early).fetchone()[0] <= 4  # where no two rows can exchange
