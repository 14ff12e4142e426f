"""What never goes together: kinds by model, ranges by kind, forbidden changes of a status; and statuses that are passed on."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import synth_pipeline as sp
from synth_pipeline.synthesis.relational.trees import Feature
from synth_pipeline.synthesis.relational.zeros import find_zeros

KINDS = {1: ("humidity", "temperature"), 2: ("humidity", "pressure", "temperature"), 3: ("power",), 4: ("co2", "humidity", "temperature")}
RANGES = {"humidity": (20, 90), "temperature": (-5, 40), "pressure": (980, 1040), "power": (100, 150), "co2": (400, 900)}
NEXT = {"new": ("open",), "open": ("waiting", "solved"), "waiting": ("open",), "solved": ("closed", "open"), "closed": ()}
SCHEMA = """
CREATE TABLE model (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE device (id INTEGER PRIMARY KEY, model_id INTEGER NOT NULL REFERENCES model (id), since DATE NOT NULL);
CREATE TABLE sensor (id INTEGER PRIMARY KEY, device_id INTEGER NOT NULL REFERENCES device (id), kind TEXT NOT NULL, UNIQUE (device_id, kind));
CREATE TABLE reading (id INTEGER PRIMARY KEY, sensor_id INTEGER NOT NULL REFERENCES sensor (id), value REAL NOT NULL);
CREATE TABLE ticket (id INTEGER PRIMARY KEY, opened DATE NOT NULL);
CREATE TABLE change (
    id INTEGER PRIMARY KEY, ticket_id INTEGER NOT NULL REFERENCES ticket (id), seq INTEGER NOT NULL, kind TEXT NOT NULL,
    old TEXT, new TEXT NOT NULL, UNIQUE (ticket_id, seq));
"""


def build(path: Path) -> None:
    rng = np.random.default_rng(3)
    models = rng.choice([1, 2, 3, 4], 400, p=(0.35, 0.3, 0.2, 0.15)).tolist()
    sensors = [(d, k) for d, m in enumerate(models) for k in KINDS[m]]
    spread = {k: (low, (low + high) / 2, high) for k, (low, high) in RANGES.items()}
    readings = [(s, round(float(rng.triangular(*spread[k])), 1)) for s, (_, k) in enumerate(sensors) for _ in range(12)]
    changes = []
    for ticket in range(900):
        old, new, seq = None, "new", 1
        while True:
            changes.append((ticket, seq, "change" if old else "created", old, new))
            if not NEXT[new] or seq > 8 or rng.random() < 0.1:
                break
            old, new, seq = new, str(rng.choice(NEXT[new])), seq + 1
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript(SCHEMA)
        db.executemany("INSERT INTO model VALUES (?, ?)", [(m, f"M{m}") for m in KINDS])
        db.executemany("INSERT INTO device VALUES (?, ?, ?)", [(i, m, str(np.datetime64("2020-01-01") + 3 * i)) for i, m in enumerate(models)])
        db.executemany("INSERT INTO sensor VALUES (?, ?, ?)", [(i, *s) for i, s in enumerate(sensors)])
        db.executemany("INSERT INTO reading VALUES (?, ?, ?)", [(i, *r) for i, r in enumerate(readings)])
        db.executemany("INSERT INTO ticket VALUES (?, ?)", [(i, str(np.datetime64("2021-01-01") + i)) for i in range(900)])
        db.executemany("INSERT INTO change VALUES (?, ?, ?, ?, ?, ?)", [(i, *c) for i, c in enumerate(changes)])


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> sp.Fitted:
    path = tmp_path_factory.mktemp("zeros") / "real.db"
    build(path)
    return sp.open(f"sqlite:///{path}").metadata().subset(holdout=0.0).fit(seed=0, workers=1)


@pytest.fixture(scope="module")
def made(fitted: sp.Fitted) -> sp.Synthetic:
    return fitted.sample(seed=1)


def test_a_device_has_the_sensors_of_its_model(made: sp.Synthetic) -> None:
    sensors = made["sensor"].merge(made["device"], left_on="device_id", right_on="id")
    found = sensors.groupby(["model_id", "device_id"]).kind.agg(lambda k: tuple(sorted(k)))
    assert {m: set(kinds) for m, kinds in found.groupby(level=0)} == {m: {k} for m, k in KINDS.items()}


def test_readings_lie_where_those_of_their_kind_do(made: sp.Synthetic) -> None:
    readings = made["reading"].merge(made["sensor"], left_on="sensor_id", right_on="id")
    low, high = (readings.kind.map({k: r[i] for k, r in RANGES.items()}) for i in (0, 1))
    assert ((readings.value < low) | (readings.value > high)).mean() < 0.02
    means = readings.groupby("kind").value.mean()
    assert all(abs(means[k] - np.mean(r)) < 0.1 * (r[1] - r[0]) for k, r in RANGES.items())


def test_a_status_goes_from_where_the_one_before_went_and_only_where_it_may(fitted: sp.Fitted, made: sp.Synthetic) -> None:
    assert "change.new = old of the next row of the same parent" in fitted.info["rules"]
    changes: pd.DataFrame = made["change"].sort_values(["ticket_id", "seq"])
    before = changes.groupby("ticket_id").new.shift()
    assert (before.fillna("") == changes.old.fillna("")).mean() > 0.995
    moves = changes.dropna(subset=["old"])
    assert np.mean([n in NEXT[o] for o, n in zip(moves.old, moves.new, strict=True)]) > 0.995
    shares = moves.old.value_counts(normalize=True)
    assert 0.2 < shares["new"] < 0.45 and 0.25 < shares["open"] < 0.55


def test_an_empty_cell_is_a_rule_only_where_chance_would_fill_it() -> None:
    rng = np.random.default_rng(0)
    model = rng.integers(0, 4, 2_000).astype(np.int32)
    kind = np.where(model == 3, 2, rng.integers(0, 2, 2_000)).astype(float)
    kind[:3] = np.nan
    features, columns, rows = [Feature("m", 4), Feature("r", 4)], {"m": model, "r": rng.permutation(model)}, np.arange(2_000)
    found = find_zeros(kind, rows, features, columns, rows, 3)
    assert list(found) == ["m"]
    assert found["m"][:4].tolist() == [[True, True, False]] * 3 + [[False, False, True]] and found["m"][4].all()
    assert not find_zeros(kind, rows, features, columns, rows % 6, 3)  # six customers show nothing
    assert not find_zeros(kind, rows[:40], features, columns, rows, 3)
