"""Databases of every kind, generated: what `any schema` means, as a function of a source of random choices.

Composite and missing keys, natural keys, self references, cycles (nullable and required), several keys to one parent, keys
to unique columns, composite keys that share a column, one-to-one tables, bridges, all-NULL columns, BLOBs, generated columns,
CHECK constraints, odd names, tables of 0 to a few dozen rows. The data obey the schema that they come with.
"""

from __future__ import annotations

import random
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

NAMES = ["order", "Group", "my table", "straße", "select", "a-b", 'quo"ted', "T1", "item", "node", "x.y", "Ünïcode"]
TYPES = ["INTEGER", "REAL", "TEXT", "VARCHAR(12)", "DATE", "DATETIME", "BOOLEAN", "DECIMAL(8,2)", "BLOB", "NUMERIC", "SMALLINT", "JSON"]


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@dataclass
class Made:
    """A table under construction: column definitions, constraints, rows as dictionaries."""

    name: str
    columns: dict[str, str] = field(default_factory=dict)
    constraints: list[str] = field(default_factory=list)
    rows: list[dict[str, object]] = field(default_factory=list)
    key: tuple[str, ...] = ()
    unique: str | None = None
    insertable: list[str] = field(default_factory=list)

    def add(self, name: str, definition: str) -> str:
        while name in self.columns:
            name += "_"
        self.columns[name] = definition
        self.insertable.append(name)
        return name


def build_database(choose: random.Random, path: Path) -> None:
    """Writes a SQLite database with one to six tables to `path`."""
    names = choose.sample(NAMES, choose.randint(1, 6))
    tables: list[Made] = []
    for name in names:
        tables.append(_table(choose, name, tables))
    for table in tables:
        if choose.random() < 0.3:
            _late_key(choose, table, choose.choice(tables))
    connection = sqlite3.connect(path)
    try:
        for table in tables:
            parts = [f"{quoted(c)} {d}" for c, d in table.columns.items()] + table.constraints
            connection.execute(f"CREATE TABLE {quoted(table.name)} ({', '.join(parts)})")
        for table in tables:
            holes = ", ".join("?" * len(table.insertable))
            listed = ", ".join(map(quoted, table.insertable))
            connection.executemany(
                f"INSERT INTO {quoted(table.name)} ({listed}) VALUES ({holes})", [tuple(r[c] for c in table.insertable) for r in table.rows]
            )
        connection.commit()
        broken = connection.execute("PRAGMA foreign_key_check").fetchall()
        assert not broken, f"the generator made dangling rows: {broken[:3]}"
    finally:
        connection.close()


def _table(choose: random.Random, name: str, before: list[Made]) -> Made:
    table = Made(name)
    count = choose.choice([0, 1, 2, 5, 8, 8, 20, 40])
    kind = choose.choice(["surrogate", "surrogate", "natural", "composite", "none", "line", "bridge", "one"])
    with_key = [t for t in before if len(t.key) == 1]
    with_rows = [t for t in with_key if t.rows]
    if kind in ("line", "bridge", "one") and not with_key:
        kind = "surrogate"
    table.rows = [{} for _ in range(count)]
    if kind == "surrogate":
        column = table.add("id", choose.choice(["INTEGER PRIMARY KEY", "INTEGER PRIMARY KEY AUTOINCREMENT", "INT NOT NULL PRIMARY KEY"]))
        start = choose.choice([0, 1, 1, 1000, -5])
        _fill(table, column, [start + i for i in range(count)])
        table.key = (column,)
    elif kind == "natural":
        column = table.add(
            "code", choose.choice(["TEXT NOT NULL PRIMARY KEY", "VARCHAR(6) NOT NULL PRIMARY KEY", "CHAR(3) PRIMARY KEY COLLATE NOCASE NOT NULL"])
        )
        _fill(table, column, [f"{chr(65 + i % 26)}{i:02d}" for i in range(count)])
        table.key = (column,)
    elif kind == "composite":
        a, b = table.add("tenant", "INTEGER NOT NULL"), table.add("no", choose.choice(["INTEGER NOT NULL", "TEXT NOT NULL"]))
        text = "TEXT" in table.columns[b]
        _fill(table, a, [i % 3 for i in range(count)])
        _fill(table, b, [f"n{i // 3}" if text else i // 3 for i in range(count)])
        table.constraints.append(f"PRIMARY KEY ({quoted(a)}, {quoted(b)})")
        table.key = (a, b)
    elif kind in ("line", "bridge", "one"):
        _identifying(choose, table, with_rows or with_key, kind)
    _more_columns(choose, table)
    if not table.columns:
        _fill(table, table.add("only", "TEXT"), [choose.choice(["a", "b", None]) for _ in table.rows])
    for _ in range(choose.choice([0, 1, 1, 2])):
        if before:
            _foreign(choose, table, choose.choice(before))
    return table


def _identifying(choose: random.Random, table: Made, parents: list[Made], kind: str) -> None:
    """A table whose key contains the key of one parent (with a line number, or alone) or of two."""
    a = choose.choice(parents)
    left = table.add("left_id", _type_of(a, a.key[0]) + " NOT NULL")
    keys = [r[a.key[0]] for r in a.rows]
    references = f"REFERENCES {quoted(a.name)} ({quoted(a.key[0])}){choose.choice(['', ' ON DELETE CASCADE'])}"
    table.constraints.append(f"FOREIGN KEY ({quoted(left)}) {references}")
    if kind == "one":
        table.rows = table.rows[: len(keys)]
        _fill(table, left, choose.sample(keys, len(table.rows)))
        table.constraints.insert(0, f"PRIMARY KEY ({quoted(left)})")
        table.key = (left,)
        return
    if not keys:
        table.rows = []
    if kind == "line":
        line = table.add("line", "INTEGER NOT NULL")
        owners = sorted((choose.choice(keys) for _ in table.rows), key=str)
        _fill(table, left, owners)
        _fill(table, line, [owners[:i].count(o) + 1 for i, o in enumerate(owners)])
        table.constraints.insert(0, f"PRIMARY KEY ({quoted(left)}, {quoted(line)})")
        table.key = (left, line)
        return
    b = choose.choice(parents)
    right = table.add("right_id", _type_of(b, b.key[0]) + " NOT NULL")
    table.constraints.append(f"FOREIGN KEY ({quoted(right)}) REFERENCES {quoted(b.name)} ({quoted(b.key[0])})")
    pairs = [(x, y[b.key[0]]) for x in keys for y in b.rows]
    table.rows = table.rows[: len(pairs)]
    chosen = choose.sample(pairs, len(table.rows))
    _fill(table, left, [x for x, _ in chosen])
    _fill(table, right, [y for _, y in chosen])
    table.constraints.insert(0, f"PRIMARY KEY ({quoted(left)}, {quoted(right)})")
    table.key = (left, right)


def _more_columns(choose: random.Random, table: Made) -> None:
    count = len(table.rows)
    for i in range(choose.randint(0, 4)):
        kind = choose.choice(TYPES)
        required = choose.random() < 0.4
        column = table.add(
            choose.choice(["name", "email", "amount", "when", "note", "value", "city", "flag"]) + str(i), kind + (" NOT NULL" if required else "")
        )
        empty = not required and choose.random() < 0.15
        _fill(table, column, [None if empty or (not required and choose.random() < 0.3) else _value(choose, kind, i) for _ in range(count)])
    if choose.random() < 0.3:
        column = table.add("status", "TEXT NOT NULL CHECK (status IN ('new', 'paid', 'gone'))" if "status" not in table.columns else "TEXT")
        _fill(table, column, [choose.choice(["new", "paid", "gone"]) for _ in range(count)])
    if choose.random() < 0.3:
        low, high = table.add("low", "INTEGER"), table.add("high", "INTEGER")
        table.constraints.append(f"CHECK ({quoted(low)} <= {quoted(high)})")
        _fill(table, low, [choose.randint(0, 50) for _ in range(count)])
        _fill(table, high, [int(str(r[low])) + choose.randint(0, 9) for r in table.rows])
    if choose.random() < 0.3:
        table.unique = table.add("badge", choose.choice(["TEXT UNIQUE", "INTEGER NOT NULL UNIQUE", "VARCHAR(8) NOT NULL UNIQUE"]))
        whole = "INTEGER" in table.columns[table.unique]
        _fill(table, table.unique, [100 + 7 * i if whole else f"B-{i:03d}" for i in range(count)])
    if choose.random() < 0.2:
        pair = [c for c in table.insertable if not table.columns[c].startswith(("BLOB", "JSON"))][:2]
        seen = {tuple(r[c] for c in pair) for r in table.rows}
        if len(pair) == 2 and len(seen) == count:
            table.constraints.append(f"UNIQUE ({', '.join(map(quoted, pair))})")
    if choose.random() < 0.15 and table.insertable:
        table.columns["made_up"] = f"TEXT GENERATED ALWAYS AS ({quoted(table.insertable[0])} || '!') {choose.choice(['STORED', 'VIRTUAL'])}"


def _foreign(choose: random.Random, table: Made, parent: Made) -> None:
    """A further key to an earlier table: to its primary key (also a composite one) or to a unique column."""
    target = (parent.unique,) if parent.unique and choose.random() < 0.4 else parent.key
    if not target:
        return
    required = choose.random() < 0.4 and (bool(parent.rows) or not table.rows)
    known = [tuple(r[c] for c in target) for r in parent.rows if all(r[c] is not None for c in target)]
    if required and not known and table.rows:
        required = False
    shared = next((c for c in table.insertable if c == "tenant"), None) if target[:1] == ("tenant",) and choose.random() < 0.5 else None
    columns = []
    for i, c in enumerate(target):
        if i == 0 and shared is not None:
            columns.append(shared)
        else:
            columns.append(table.add(f"ref_{parent.name[:3]}_{i}", _type_of(parent, c) + (" NOT NULL" if required and shared is None else "")))
    for row in table.rows:
        options = [k for k in known if shared is None or k[0] == row[shared]]
        value = choose.choice(options) if options and (required or choose.random() < 0.8) else (None,) * len(target)
        for c, v in zip(columns, value, strict=True):
            if c != shared:
                row[c] = v
    references = f"REFERENCES {quoted(parent.name)} ({', '.join(map(quoted, target))})"
    table.constraints.append(f"FOREIGN KEY ({', '.join(map(quoted, columns))}) {references}")


def _late_key(choose: random.Random, table: Made, parent: Made) -> None:
    """A key to any table, itself and later ones among them, so that there are self references and cycles."""
    if len(parent.key) != 1:
        return
    known = [r[parent.key[0]] for r in parent.rows]
    required = choose.random() < 0.3 and (bool(known) or not table.rows)
    single = choose.random() < 0.15 and len(known) >= len(table.rows)
    column = table.add("back_ref", _type_of(parent, parent.key[0]) + (" NOT NULL" if required else "") + (" UNIQUE" if single else ""))
    if single:
        _fill(table, column, choose.sample(known, len(table.rows)))
    elif parent is table and not required:
        # A forest: every row points to an earlier one or to none.
        _fill(table, column, [choose.choice([None, *known[:i]]) for i in range(len(table.rows))])
    else:
        _fill(table, column, [choose.choice(known) if required else choose.choice([None, *known]) for _ in table.rows])
    table.constraints.append(f"FOREIGN KEY ({quoted(column)}) REFERENCES {quoted(parent.name)} ({quoted(parent.key[0])})")


def _type_of(table: Made, column: str) -> str:
    definition = table.columns[column]
    return next(t for t in ("INTEGER", "INT", "TEXT", "VARCHAR(12)", "VARCHAR(8)", "VARCHAR(6)", "CHAR(3)") if definition.startswith(t))


def _fill(table: Made, column: str, values: list[object]) -> None:
    for row, value in zip(table.rows, values, strict=True):
        row[column] = value


def _value(choose: random.Random, kind: str, i: int) -> object:
    match kind:
        case "INTEGER" | "SMALLINT":
            return choose.choice([0, 1, 7, choose.randint(-1000, 1000)])
        case "REAL" | "NUMERIC":
            return choose.choice([0.0, 1.5, choose.uniform(-10, 10)])
        case "DECIMAL(8,2)":
            return choose.randint(0, 99_999) / 100
        case "DATE":
            return f"20{choose.randint(10, 29)}-{choose.randint(1, 12):02d}-{choose.randint(1, 28):02d}"
        case "DATETIME":
            return f"20{choose.randint(10, 29)}-{choose.randint(1, 12):02d}-{choose.randint(1, 28):02d} {choose.randint(0, 23):02d}:00:00"
        case "BOOLEAN":
            return choose.randint(0, 1)
        case "BLOB":
            return bytes(choose.randint(0, 255) for _ in range(choose.randint(0, 6)))
        case "JSON":
            return choose.choice(['{"a": 1}', "[]", '{"k": "v"}'])
        case "VARCHAR(12)":
            return choose.choice(["red", "green", "blue", "", f"x{choose.randint(0, 99)}"])
        case _:
            return choose.choice(["alpha beta", "Ann Lee", "ann@example.org", "", "ünï cödé", f"some words {choose.randint(0, 999)}"])
