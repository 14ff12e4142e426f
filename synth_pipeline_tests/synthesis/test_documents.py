"""JSON in a column of texts: it parses, keeps its names and types, and what many documents say, and nothing of one alone."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import synth_pipeline as sp


def test_documents_in_a_text_column_stay_documents(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "real.db") as db:
        db.execute("CREATE TABLE customer (id INTEGER PRIMARY KEY, settings TEXT)")
        for i in range(200):
            settings = {"theme": ["dark", "light"][i % 2], "notify": {"sms": i % 3 == 0}, "agents": i % 90 + 10, "rate": i / 8 + 0.5, "interval": 900}
            settings |= {"hook": f"Qwxz/{i}", "seen": {f"Qwxz{i}@mail.com": [i]}}
            db.execute("INSERT INTO customer VALUES (?, ?)", (i + 1, json.dumps(settings, separators=(",", ":")) if i % 10 else None))
    db.close()
    drawn = sp.open(f"sqlite:///{tmp_path}/real.db").metadata().subset().fit().sample()["customer"]["settings"]
    assert 10 <= drawn.isna().sum() <= 30 and drawn.dropna().is_unique
    for text in drawn.dropna():
        made = json.loads(text)
        assert list(made) == ["theme", "notify", "agents", "rate", "interval", "hook", "seen"]
        assert made["theme"] in ("dark", "light") and made["interval"] == 900
        assert isinstance(made["notify"]["sms"], bool) and type(made["agents"]) is int and 10 <= made["agents"] < 100 and type(made["rate"]) is float
        assert len(made["seen"]) == 1 and "Qwxz" not in text and ", " not in text
