"""Generated databases that are not in normal form, of a few hundred rows: entities repeated on rows, tables of attributes and values.

Entities are named by codes, numbers, mail addresses or nothing that is ever NULL; they say dates, numbers, texts, foreign keys, each
other; they are part of primary keys, of unique ones and of CHECKs, and other tables refer to the rows that repeat them.
"""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

from synth_pipeline_tests.generated import quoted

KINDS = ("DATE", "DATETIME", "INTEGER", "REAL", "DECIMAL(8,2)", "TEXT", "BOOLEAN", "BLOB")


def build_denormalised(choose: random.Random, path: Path) -> None:
    """Writes a SQLite database to `path`."""
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE shop (id INTEGER PRIMARY KEY, town TEXT NOT NULL)")
        shops = list(range(1, choose.choice([3, 40]) + 1))
        db.executemany("INSERT INTO shop VALUES (?, ?)", [(s, choose.choice(["Ulm", "Bonn", "Kiel"])) for s in shops])
        codes = _repeated(choose, db, shops)
        if choose.random() < 0.6:
            _attributes(choose, db, shops)
        if choose.random() < 0.5:
            db.execute("CREATE TABLE call (no INTEGER PRIMARY KEY, thing_code TEXT, at DATETIME)")
            rows = [(i, choose.choice([*codes, None]), f"2023-0{choose.randint(1, 9)}-11 0{choose.randint(0, 9)}:00:00") for i in range(150)]
            db.executemany("INSERT INTO call VALUES (?, ?, ?)", rows)
        broken = db.execute("PRAGMA foreign_key_check").fetchall()
        assert not broken, f"the generator made dangling rows: {broken[:3]}"
    db.close()


def _repeated(choose: random.Random, db: sqlite3.Connection, shops: list[int]) -> list[str]:
    """A table with up to three entities on its rows; returns the codes of the first."""
    size, optional = choose.choice([150, 400]), choose.random() < 0.4
    things = [_thing(choose, i, shops) for i in range(choose.choice([40, 90]))]
    owners = [(f"u{i}@mail.example", f"Una Person{i}", choose.choice(["gold", "blue", None])) for i in range(choose.choice([35, 60]))]
    goods = [(500 + 3 * i, f"good number {i}", choose.randint(100, 9_999) / 100) for i in range(choose.choice([32, 50]))]
    kinds = [choose.choice(KINDS) for _ in range(choose.randint(0, 3))]
    said = [[_value(choose, k, i) for i, k in enumerate(kinds)] for _ in things]
    columns = [f"said{i} {k}{choose.choice([' NOT NULL', ''])}" for i, k in enumerate(kinds)]
    if kinds and kinds[0] == "INTEGER" and choose.random() < 0.5:
        columns.append("CHECK (said0 >= 0)")
    whose = [choose.choice(owners) for _ in things]
    numbered, keyed = choose.random() < 0.7, choose.random() < 0.6
    body = ["thing_code TEXT" + ("" if optional else " NOT NULL"), "line INTEGER NOT NULL", "shop_id INTEGER REFERENCES shop", "opened_on DATE",
            "email TEXT", "name TEXT", "level TEXT", "good_id INTEGER NOT NULL", "good TEXT NOT NULL", "price DECIMAL(8,2)",
            "pieces INTEGER"]  # fmt: skip
    tables = [c for c in columns if not c.startswith("CHECK")]
    checks = [c for c in columns if c.startswith("CHECK")]
    keys = ["PRIMARY KEY (thing_code, line)"] if keyed and not numbered and not optional else ["UNIQUE (thing_code, line)"] if keyed else []
    first = ["id INTEGER PRIMARY KEY"] if numbered else []
    db.execute(f"CREATE TABLE line ({', '.join([*first, *body, *tables, *keys, *checks])})")
    rows, count = [], [0] * len(things)
    for i in range(size):
        t = choose.randrange(len(things))
        count[t] += 1
        nothing = optional and choose.random() < 0.2
        head = (None, i + 1, None, None, None, None, None) if nothing else (things[t][0], count[t], *things[t][1:], *whose[t])
        unsaid = [_value(choose, k, 1) if c.endswith(" NOT NULL") else None for c, k in zip(tables, kinds, strict=True)]
        values = unsaid if nothing else said[t]
        rows.append((*([i + 1] if numbered else []), *head, *choose.choice(goods), choose.randint(1, 4), *values))
    db.executemany(f"INSERT INTO line VALUES ({', '.join('?' * len(rows[0]))})", rows)
    if numbered and choose.random() < 0.4:
        db.execute("CREATE TABLE note (line_id INTEGER NOT NULL REFERENCES line, said TEXT)")
        db.executemany("INSERT INTO note VALUES (?, ?)", [(choose.randint(1, size), "some words") for _ in range(60)])
    return [t[0] for t in things]


def _thing(choose: random.Random, i: int, shops: list[int]) -> tuple[str, int, str]:
    return f"T-{i:04d}", choose.choice(shops), f"2023-0{choose.randint(1, 9)}-{choose.randint(1, 28):02d}"


def _attributes(choose: random.Random, db: sqlite3.Connection, shops: list[int]) -> None:
    """A table of attributes and values of persons."""
    people, listed, numbered = choose.choice([40, 80]), choose.random() < 0.5, choose.random() < 0.5
    db.execute(f"CREATE TABLE {quoted('the person')} (id INTEGER PRIMARY KEY, shop_id INTEGER REFERENCES shop)")
    db.executemany(f"INSERT INTO {quoted('the person')} VALUES (?, ?)", [(i + 1, choose.choice(shops)) for i in range(people)])
    names = ["last name", "visits", "since", "mode", "phone"][: choose.randint(2, 5)]
    if listed:
        db.execute("CREATE TABLE attribute (id INTEGER PRIMARY KEY, label TEXT NOT NULL UNIQUE)")
        db.executemany("INSERT INTO attribute VALUES (?, ?)", [(10 * i, n) for i, n in enumerate(names)])
    kind = "INTEGER NOT NULL REFERENCES attribute" if listed else "TEXT NOT NULL"
    first = "id INTEGER PRIMARY KEY, " if numbered else ""
    key = choose.choice(["", f", UNIQUE (person_id, {quoted('what is it')})"])
    person = f"person_id INTEGER NOT NULL REFERENCES {quoted('the person')} ON DELETE CASCADE"
    db.execute(f"CREATE TABLE trait ({first}{person}, {quoted('what is it')} {kind}, content TEXT NOT NULL, unit TEXT{key})")
    rows = []
    for p in range(1, people + 1):
        for i, name in enumerate(names):
            if i == 0 or choose.random() < 0.7:
                value = {"last name": f"Quast{p}", "visits": str(choose.randint(0, 90)), "since": f"2021-03-{choose.randint(1, 28):02d}",
                         "mode": choose.choice(["dark", "light"]), "phone": f"+49 30 {choose.randint(10**6, 10**7)}"}[name]  # fmt: skip
                rows.append((*([len(rows) + 1] if numbered else []), p, 10 * i if listed else name, value, "days" if name == "visits" else None))
    db.executemany(f"INSERT INTO trait VALUES ({', '.join('?' * len(rows[0]))})", rows)


def _value(choose: random.Random, kind: str, i: int) -> object:
    return {
        "DATE": f"202{choose.randint(0, 4)}-0{choose.randint(1, 9)}-{choose.randint(1, 28):02d}", "INTEGER": choose.randint(0, 500),
        "DATETIME": f"202{choose.randint(0, 4)}-0{choose.randint(1, 9)}-{choose.randint(1, 28):02d} 1{choose.randint(0, 9)}:30:00",
        "REAL": choose.uniform(-5, 900), "DECIMAL(8,2)": choose.randint(0, 99_999) / 100, "BOOLEAN": choose.randint(0, 1),
        "TEXT": f"words {choose.choice('abc')} {choose.randint(0, 30)}", "BLOB": bytes(choose.randint(0, 255) for _ in range(5)),
    }[kind]  # fmt: skip
