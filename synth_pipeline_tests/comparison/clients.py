"""A small database of clients and their visits, drawn as often as a test needs from one population."""

from __future__ import annotations

import contextlib
import io
import signal
import sqlite3
import warnings
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synth_pipeline import cli

DDL = """
CREATE TABLE region (code TEXT COLLATE NOCASE PRIMARY KEY, title TEXT NOT NULL);
CREATE TABLE client (
  id INTEGER PRIMARY KEY, region TEXT REFERENCES region (code), email TEXT UNIQUE, age INTEGER NOT NULL, income NUMERIC(8,2), plan TEXT, joined DATE
);
CREATE TABLE visit (id INTEGER PRIMARY KEY, client_id INTEGER NOT NULL REFERENCES client (id), day DATE, spent REAL, rating INTEGER, place TEXT);
"""


def build(path: Path, seed: int, *, clients: int = 300, same_case: bool = False) -> str:
    """A database of one population; every seed has people of its own, numbered from one. Returns its URL.

    Clients write the codes of regions in lower case, which the collation takes for the same, or like the regions.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(clients):
        age = int(np.clip(rng.normal(45, 14), 18, 90))
        region = str(rng.choice(["NO", "so", "We"])).lower()
        income = round(900 + 40 * age + rng.normal(0, 90), 2)
        plan = str(rng.choice(["basic", "plus"], p=[0.8, 0.2] if age < 50 else [0.2, 0.8]))
        rows.append((i + 1, region, f"p{seed}.{i}@mail{seed}.example", age, income, plan, f"20{rng.integers(10, 20)}-0{rng.integers(1, 9)}-11"))
    visits: list[tuple[Any, ...]] = []
    for client in rows:
        for _ in range(int(rng.poisson(4))):
            spent = round(float(np.exp(2 + client[3] / 40 + rng.normal(0, 0.3))), 2)
            day = f"2020-{rng.integers(1, 13):02}-{rng.integers(1, 28):02}"
            visits.append((len(visits) + 1, client[0], day, spent, int(rng.integers(1, 6)), str(rng.choice(["shop", "web", "phone"]))))
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(DDL)
        regions = [("NO", "North"), ("so", "South"), ("We", "West")]
        connection.executemany("INSERT INTO region VALUES (?, ?)", [(c.lower() if same_case else c, title) for c, title in regions])
        connection.executemany("INSERT INTO client VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        connection.executemany("INSERT INTO visit VALUES (?, ?, ?, ?, ?, ?)", visits)
        connection.commit()
    return f"sqlite:///{path}"


def called(folder: Path, *arguments: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    """A command of the command line in this process: its exit code, and what it printed."""
    said, handler = io.StringIO(), signal.getsignal(signal.SIGTERM)
    with contextlib.chdir(folder), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), pytest.MonkeyPatch.context() as patch:
        for name, value in (env or {}).items():
            patch.setenv(name, value)
        with warnings.catch_warnings():
            try:
                code = cli.main([*arguments, "--quiet"])
            except SystemExit as e:
                code = int(e.code or 0)
    signal.signal(signal.SIGTERM, handler)
    return code, said.getvalue()
