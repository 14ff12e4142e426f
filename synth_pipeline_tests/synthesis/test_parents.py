"""A help desk: which parent a row gets where it is that of another row."""

from __future__ import annotations

import datetime as dt
import sqlite3
from pathlib import Path

import numpy as np
import pytest

import synth_pipeline as sp
from synth_pipeline.notebook import Fitted, Taken
from synth_pipeline_tests.synthesis.test_everyday import copied, count, moment

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
def desk(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Taken, Fitted]:
    path = tmp_path_factory.mktemp("desk") / "real.db"
    build_desk(path)
    taken = sp.open(f"sqlite:///{path}").metadata().subset(holdout=0.0)
    return path, taken, taken.fit(seed=1)


@pytest.mark.parametrize("shard_rows", [250_000, 1_500])
def test_a_key_that_may_be_missing_leads_where_others_lead(desk: tuple[Path, Taken, Fitted], shard_rows: int, tmp_path: Path) -> None:
    real, taken, fitted = desk
    assert not count(real, PATHS)
    path = copied(taken, fitted, tmp_path / "copy", shard_rows)
    assert not count(path, PATHS), fitted.info["rules"]
    some = "SELECT avg(agent_id IS NOT NULL) FROM survey"
    with sqlite3.connect(real) as one, sqlite3.connect(path) as other:
        assert other.execute(some).fetchone()[0] == pytest.approx(one.execute(some).fetchone()[0], abs=0.06)
    one.close()
    other.close()


def test_an_owner_is_what_rows_are_part_of(tmp_path: Path) -> None:
    """A chat: messages lie close together in a conversation, participants are named after it, a receipt is one-to-one with its message."""
    rng = np.random.default_rng(22)
    with sqlite3.connect(tmp_path / "chat.db") as db:
        db.executescript(
            "CREATE TABLE person (id INTEGER PRIMARY KEY, age INTEGER NOT NULL);"
            "CREATE TABLE chat (id INTEGER PRIMARY KEY, kind TEXT NOT NULL);"
            "CREATE TABLE chat_person (person_id INTEGER NOT NULL REFERENCES person, chat_id INTEGER NOT NULL REFERENCES chat, role TEXT NOT NULL,"
            " PRIMARY KEY (person_id, chat_id));"
            "CREATE TABLE message (id INTEGER PRIMARY KEY, sender_id INTEGER NOT NULL REFERENCES person, chat_id INTEGER NOT NULL REFERENCES chat,"
            " sent DATETIME NOT NULL);"
            "CREATE TABLE receipt (id INTEGER PRIMARY KEY, message_id INTEGER NOT NULL UNIQUE REFERENCES message,"
            " reader_id INTEGER REFERENCES person);"
            "CREATE TABLE note (id INTEGER PRIMARY KEY, writer_id INTEGER NOT NULL REFERENCES person,"
            " message_id INTEGER NOT NULL REFERENCES message ON DELETE CASCADE);"
        )
        db.executemany("INSERT INTO person VALUES (?, ?)", [(i + 1, int(rng.integers(18, 80))) for i in range(200)])
        messages = 0
        for c in range(1, 161):
            members = [int(p) + 1 for p in rng.permutation(200)[: int(rng.integers(2, 6))]]
            db.execute("INSERT INTO chat VALUES (?, ?)", (c, str(rng.choice(["pair", "group"]))))
            db.executemany("INSERT INTO chat_person VALUES (?, ?, ?)", [(p, c, str(rng.choice(["owner", "guest"]))) for p in members])
            at = rng.uniform(0, 1e8)
            for _ in range(int(rng.integers(1, 20))):
                messages, at = messages + 1, at + rng.exponential(500)
                db.execute("INSERT INTO message VALUES (?, ?, ?, ?)", (messages, int(rng.choice(members)), c, moment(at)))
        few = [int(m) + 1 for m in rng.permutation(messages)[:400]]
        db.executemany("INSERT INTO receipt VALUES (?, ?, ?)", [(i + 1, m, int(rng.integers(1, 201))) for i, m in enumerate(few)])
        db.executemany("INSERT INTO note VALUES (?, ?, ?)", [(i + 1, int(rng.integers(1, 201)), int(rng.choice(few))) for i in range(500)])
    db.close()
    fitted = sp.open(f"sqlite:///{tmp_path}/chat.db").metadata().subset(holdout=0.0).fit(seed=1)
    owners = {t: m.plan.owner.parent for t, m in fitted.made._model.tables.items() if m.plan.owner is not None}
    assert owners == {"chat_person": "chat", "message": "chat", "receipt": "message", "note": "message"}
