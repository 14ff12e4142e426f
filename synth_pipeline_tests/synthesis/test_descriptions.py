"""Very small tables that describe are copied; very small tables of somebody's rows are not."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

import synth_pipeline as sp

SCHEMA = """
CREATE TABLE tax_bracket (id INTEGER PRIMARY KEY, lower NUMERIC(10, 2), upper NUMERIC(10, 2), rate REAL);
CREATE TABLE zone (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE shipping_rate (id INTEGER PRIMARY KEY, zone_id INTEGER NOT NULL REFERENCES zone, most_kg INTEGER, price NUMERIC(6, 2));
CREATE TABLE model (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE firmware (id INTEGER PRIMARY KEY, model_id INTEGER NOT NULL REFERENCES model, version TEXT, released DATE, UNIQUE (model_id, version));
CREATE TABLE device (id INTEGER PRIMARY KEY, model_id INTEGER NOT NULL REFERENCES model, firmware_id INTEGER NOT NULL REFERENCES firmware,
    zone_id INTEGER NOT NULL REFERENCES zone, weight INTEGER);
CREATE TABLE visit (id INTEGER PRIMARY KEY, device_id INTEGER NOT NULL REFERENCES device, firmware_id INTEGER REFERENCES firmware, day DATE);
"""
SOMEBODY = {
    "employee": ("grade INTEGER, bonus INTEGER", [(i, 100 * i) for i in range(1, 9)]),
    "crew": ("name TEXT, grade INTEGER, bonus INTEGER", [(f"{n} Miller", i, 9 * i) for i, n in enumerate(("Ann", "Bob", "Eve", "Tom", "Sue"))]),
    "desk": ("size INTEGER, floor INTEGER, age INTEGER", [(3, 1, 40), (1, 2, 52), (2, 3, 29), (6, 1, 61), (4, 2, 33), (7, 3, 45), (5, 1, 38)]),
    "incident": ("day DATE, hours INTEGER, cost INTEGER", [(f"2024-0{i}-11", i, 100 * i) for i in range(1, 9)]),
    "setting": ("key TEXT, value TEXT, rank INTEGER, level INTEGER", [(f"k{i}", f"admin{i}@corp.example", i, 2 * i) for i in range(1, 9)]),
}  # fmt: skip


def build(path: Path) -> None:
    rng = np.random.default_rng(2)
    with sqlite3.connect(path) as db:
        db.executescript(SCHEMA)
        brackets = [(1, 0, 1500, 0.0), (2, 1500, 3000, 0.12), (3, 3000, 5000, 0.24), (4, 5000, 9000, 0.32), (5, 9000, None, 0.42)]
        db.executemany("INSERT INTO tax_bracket VALUES (?, ?, ?, ?)", brackets)
        db.executemany("INSERT INTO zone VALUES (?, ?)", list(enumerate(("home", "near", "far"))))
        rates = [(zone, kg, 3 + zone * 2.5 + i * (1 + zone)) for zone in range(3) for i, kg in enumerate((1, 5, 10, 30))]
        db.executemany("INSERT INTO shipping_rate (zone_id, most_kg, price) VALUES (?, ?, ?)", rates)
        db.executemany("INSERT INTO model VALUES (?, ?)", list(enumerate(("A10", "A20", "B5", "C1"))))
        versions = [(m, f"{v}.{m}", f"202{v}-0{m + 1}-15") for m in range(4) for v in range(1, 4 + m % 2)]
        db.executemany("INSERT INTO firmware (model_id, version, released) VALUES (?, ?, ?)", versions)
        for name, (columns, rows) in SOMEBODY.items():
            db.execute(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, {columns})")
            db.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * (1 + len(rows[0])))})", [(i, *r) for i, r in enumerate(rows)])
        for i in range(400):
            firmware = int(rng.integers(0, len(versions)))
            device = (i, versions[firmware][0], firmware + 1, *map(int, rng.integers((0, 1), (3, 30))))
            db.execute("INSERT INTO device VALUES (?, ?, ?, ?, ?)", device)
            for _ in range(int(rng.poisson(2))):
                other = [v + 1 for v in range(len(versions)) if versions[v][0] == versions[firmware][0]]
                new = int(rng.choice(other)) if rng.random() < 0.6 else None
                db.execute("INSERT INTO visit (device_id, firmware_id, day) VALUES (?, ?, ?)", (i, new, f"2024-{rng.integers(1, 13):02}-07"))
    db.close()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("real") / "real.db"
    build(path)
    return path


def test_tables_that_describe_are_copied_and_those_of_somebody_are_not(tmp_path: Path, path: Path) -> None:
    fitted = sp.open(f"sqlite:///{path}").metadata().subset(holdout=0.0).fit(seed=1)
    assert fitted.info["reference_tables"] == ["firmware", "model", "shipping_rate", "tax_bracket", "zone"]
    made = fitted.sample(seed=1)
    assert made["tax_bracket"]["rate"].tolist() == [0.0, 0.12, 0.24, 0.32, 0.42]
    model_of = dict(zip(made["firmware"]["id"], made["firmware"]["model_id"], strict=True))
    devices, visits = made["device"], made["visit"]
    assert (devices["firmware_id"].map(model_of) == devices["model_id"]).all(), "the firmware is one of the device's model"
    known = visits[visits["firmware_id"].notna()].merge(devices, left_on="device_id", right_on="id")
    assert (known["firmware_id_x"].map(model_of) == known["model_id"]).all() and len(known) > 100


@pytest.mark.parametrize("table", ["tax_bracket", "shipping_rate"])
def test_what_is_alone_is_not_copied(tmp_path: Path, path: Path, table: str) -> None:
    with sqlite3.connect(path) as db, sqlite3.connect(tmp_path / "alone.db") as alone:
        rows = db.execute(f"SELECT * FROM {table}").fetchall()
        alone.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, a INTEGER, b INTEGER, c REAL)")
        alone.executemany(f"INSERT INTO {table} VALUES (?, ?, ?, ?)", rows)
    db.close()
    alone.close()
    fitted = sp.open(f"sqlite:///{tmp_path}/alone.db").metadata().subset(holdout=0.0).fit(seed=1)
    assert fitted.info["reference_tables"] == []
