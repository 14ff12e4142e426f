"""A SQLite database with everything that is hard to copy, used by the tests of the connector and of the export."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

STATEMENTS = """
PRAGMA page_size = 8192; PRAGMA encoding = 'UTF-16le'; PRAGMA user_version = 42; PRAGMA application_id = 77;
CREATE TABLE "parent table" (id INTEGER PRIMARY KEY AUTOINCREMENT, "na""me" TEXT COLLATE NOCASE UNIQUE NOT NULL,
    born DATE, seen DATETIME, epoch TIMESTAMP, ms DATETIME, real_epoch TIMESTAMP, julian DATETIME, day DATE, clock TIME,
    flag BOOLEAN, word BOOL, price DECIMAL(10,2), "any" , mixed INTEGER, blob BLOB, note VARCHAR(3),
    double_name TEXT GENERATED ALWAYS AS ("na""me" || "na""me") VIRTUAL, stored_sum INT AS (id + 1) STORED,
    CONSTRAINT "positive(" CHECK (price >= 0 AND (price < 1e9 OR (price IS NULL))) /* a , comment ) */,
    CHECK ("na""me" <> 'it''s ) , CHECK'));
CREATE INDEX "born index" ON "parent table" (born);
CREATE UNIQUE INDEX once ON "parent table" (seen) WHERE seen IS NOT NULL;
CREATE TABLE child (a INT NOT NULL, b INT NOT NULL, parent REFERENCES "PARENT table" DEFERRABLE INITIALLY DEFERRED,
    again INTEGER CONSTRAINT again_fk REFERENCES "parent table"(ID) ON DELETE CASCADE,
    lost INTEGER REFERENCES nowhere(id), me_a INT, me_b INT, PRIMARY KEY (a, b), FOREIGN KEY (me_a, me_b) REFERENCES child)
    WITHOUT ROWID;
CREATE TABLE log (what TEXT);
CREATE TRIGGER noisy AFTER INSERT ON child BEGIN INSERT INTO log VALUES ('fired ' || new.a); END;
CREATE TABLE strict_one (k TEXT PRIMARY KEY, v ANY, n REAL) STRICT;
CREATE VIEW joined AS SELECT p.id, c.b FROM "parent table" p JOIN child c ON c.again = p.id;
CREATE TRIGGER on_view INSTEAD OF INSERT ON joined BEGIN SELECT 1; END;
CREATE INDEX expression ON child (a + b);
CREATE TABLE documents (id INTEGER PRIMARY KEY, body TEXT);
CREATE VIRTUAL TABLE search USING fts5(body, content='documents', content_rowid='id');
CREATE TABLE "select" ("order" INTEGER, "group by" TEXT, rowid TEXT);
CREATE TABLE empty (x INTEGER, y NUMERIC(5,1), z TIMESTAMP WITH TIME ZONE);
CREATE TABLE seats (row_no INT, seat INT, who TEXT, UNIQUE (row_no, seat));
"""


def build(path: Path) -> Path:
    """The database, with rows whose stored forms are as odd as their declarations."""
    with closing(sqlite3.connect(path)) as db:
        db.executescript(STATEMENTS)
        for i in range(1, 41):
            db.execute(
                'INSERT INTO "parent table" (id, "na""me", born, seen, epoch, ms, real_epoch, julian, day, clock, flag, word, price, "any", mixed,'
                " blob, note) VALUES (?,?,?,?,?,?,?,julianday(?),?,?,?,?,?,?,?,?,?)",
                (
                    i * 3, f"Zoë {i}", f"{1850 + i}-02-1{i % 10}", f"2020-01-01T00:00:{i:02d}.{i * 7:03d}Z" if i % 5 else None,
                    1_500_000_000 + i,
                    -1_500_000_000_000 - i if i % 2 else 1_500_000_000_123, 1_500_000_000.25 + i, f"2021-05-0{i % 9 + 1} 12:34:56.789",
                    20_200_100 + i % 28 + 1, f"0{i % 10}:15", i % 2, "yes" if i % 3 else "no", [1, 2.5, 0.1, None][i % 4],
                    [1, 1.5, "x'y", b"\x00\xff", None][i % 5], [i, "n/a"][i % 2], b"\x01\x00" * i, "longer than three",
                ),
            )  # fmt: skip
        db.executemany(
            "INSERT INTO child VALUES (?,?,?,?,?,?,?)",
            [
                (i, i % 3, 3 * (i % 40 + 1), 3 * (i % 7 + 1) if i % 4 else None, None, i - 1 if i else None, (i - 1) % 3 if i else None)
                for i in range(60)
            ],
        )
        db.execute("DELETE FROM log")
        db.execute("INSERT INTO log VALUES ('kept')")
        db.executemany("INSERT INTO strict_one VALUES (?,?,?)", [("a", 1, 1.0), ("b", "1", 2.5), ("c", 2.5, None)])
        db.executemany("INSERT INTO documents VALUES (?,?)", [(1, "hello world"), (2, "good bye")])
        db.execute("INSERT INTO search(search) VALUES ('rebuild')")
        db.executemany('INSERT INTO "select" VALUES (?,?,?)', [(1, "nul\0inside", "r"), (None, "", None)])
        db.executemany("INSERT INTO seats VALUES (?,?,?)", [(1, 1, "a"), (1, 2, "b"), (None, None, "c")])
        db.execute("ANALYZE")
        db.commit()
    return path


def contents(path: Path, table: str, columns: tuple[str, ...]) -> list[str]:
    """All rows with the storage class of every value, in an order of their own."""
    with closing(sqlite3.connect(path)) as db:
        parts = ", ".join(f'"{c}", typeof("{c}")'.replace('na"me', 'na""me') for c in columns)
        return sorted(map(repr, db.execute(f'SELECT {parts} FROM "{table}"')))


def catalogue(path: Path) -> list[tuple[object, ...]]:
    """`sqlite_master` in its own order."""
    with closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY rowid").fetchall()
