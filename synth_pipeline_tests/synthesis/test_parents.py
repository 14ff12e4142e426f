"""Which parent a row gets."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np

import synth_pipeline as sp
from synth_pipeline_tests.synthesis.test_everyday import moment


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
