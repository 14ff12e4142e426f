"""A small social network as Rails writes one: comments, likes, audits and flags refer to rows of several tables, by a type and an id."""

from __future__ import annotations

import datetime as dt
import random
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from synth_pipeline.config import SourceConfig

Rows = dict[str, list[list[Any]]]

TABLES = """
CREATE TABLE users (id {int} NOT NULL PRIMARY KEY, email {text} NOT NULL UNIQUE, name {text} NOT NULL, created_at {moment} NOT NULL);
CREATE TABLE posts (id {int} NOT NULL PRIMARY KEY, user_id {int} NOT NULL REFERENCES users (id), title {text} NOT NULL,
    comments_count {int} NOT NULL, created_at {moment} NOT NULL);
CREATE TABLE photos (id {int} NOT NULL PRIMARY KEY, user_id {int} NOT NULL REFERENCES users (id), width {int} NOT NULL,
    created_at {moment} NOT NULL);
CREATE TABLE comments (id {int} NOT NULL PRIMARY KEY, user_id {int} NOT NULL REFERENCES users (id), commentable_type {text} NOT NULL,
    commentable_id {int} NOT NULL, body {text}, created_at {moment} NOT NULL);
CREATE TABLE likes (id {int} NOT NULL PRIMARY KEY, user_id {int} NOT NULL REFERENCES users (id), likeable_type {text} NOT NULL,
    likeable_id {int} NOT NULL, created_at {moment} NOT NULL, UNIQUE (user_id, likeable_type, likeable_id));
CREATE TABLE audits (id {int} NOT NULL PRIMARY KEY, auditable_type {text}, auditable_id {int}, action {text} NOT NULL);
CREATE TABLE flags (id {int} NOT NULL PRIMARY KEY, content_type {text} NOT NULL, object_id {text} NOT NULL, UNIQUE (content_type, object_id));
CREATE TABLE prints (id {int} NOT NULL PRIMARY KEY, photo_type {text} NOT NULL, photo_id {int} NOT NULL, size_type {text} NOT NULL,
    size_id {int} NOT NULL);
"""
START = dt.datetime(2023, 1, 1)


def rows(users: int = 300, seed: int = 1) -> Rows:
    """The rows of all tables; half of the posts have no comment, audits are of sessions too, which have no table."""
    r = random.Random(seed)

    def later(than: dt.datetime, days: int) -> dt.datetime:
        return than + dt.timedelta(seconds=r.randint(60, days * 86_400))

    made: Rows = {"users": [[i, f"u{i}@example.org", f"Name {i}", START + dt.timedelta(hours=5 * i)] for i in range(1, users + 1)]}
    owner = [r.choice(made["users"]) for _ in range(5 * users)]
    made["posts"] = [[i + 1, u[0], f"Post number {r.randint(1, 9999)}", 0, later(u[3], 200)] for i, u in enumerate(owner[: 3 * users])]
    made["photos"] = [[i + 1, u[0], r.choice([640, 1024, 1920]), later(u[3], 200)] for i, u in enumerate(owner[3 * users :])]
    comments = []
    for kind, above, weights in (("Post", made["posts"], (50, 15, 12, 9, 6, 5, 3)), ("Photo", made["photos"], (70, 25, 5))):
        for row in above:
            for _ in range(r.choices(range(len(weights)), weights)[0]):
                comments.append([r.choice(made["users"])[0], kind, row[0], "nice " * r.randint(1, 9), later(row[-1], 30)])
                if kind == "Post":
                    row[3] += 1
    made["comments"] = [[i + 1, *c] for i, c in enumerate(sorted(comments, key=lambda c: c[-1]))]
    likes: dict[tuple[Any, ...], dt.datetime] = {}
    for kind, table, share in (("Post", "posts", 2.5), ("Photo", "photos", 1.5), ("Comment", "comments", 0.4)):
        for _ in range(int(share * len(made[table]))):
            row = r.choice(made[table])
            likes.setdefault((r.choice(made["users"])[0], kind, row[0]), later(row[-1], 10))
    made["likes"] = [[i + 1, *what, when] for i, (what, when) in enumerate(sorted(likes.items(), key=lambda like: like[1]))]
    made["audits"] = []
    for i in range(2 * users):
        kind = r.choice(["App\\Models\\Post", "App\\Models\\User", "Session", None])
        number = None if kind is None else r.randint(10**6, 10**7) if kind == "Session" else r.choice(made["posts" if "Post" in kind else "users"])[0]
        made["audits"].append([i + 1, kind, number, r.choice(["create", "update", "destroy"])])
    flagged = [("post", str(p[0])) for p in r.sample(made["posts"], users)] + [("user", str(u[0])) for u in r.sample(made["users"], users // 3)]
    made["flags"] = [[i + 1, *f] for i, f in enumerate(flagged)]
    kinds = (("Post", "User"), ("glossy", "matt"))
    made["prints"] = [[i, r.choice(kinds[0]), r.choice(made["photos"])[0], r.choice(kinds[1]), r.randint(1, 5)] for i in range(1, users)]
    return made


def statements(made: Mapping[str, Sequence[Sequence[Any]]], *, moment: str = "TIMESTAMP", backslash: str = "\\") -> list[str]:
    """The database as statements for any engine; `backslash` is how a text has one."""

    def literal(value: Any) -> str:
        if value is None or isinstance(value, int):
            return "NULL" if value is None else str(value)
        return "'" + str(value).replace("\\", backslash).replace("'", "''") + "'"

    found = [s for s in TABLES.format(int="BIGINT", text="VARCHAR(100)", moment=moment).split(";") if s.strip()]
    for table, content in made.items():
        for start in range(0, len(content), 500):
            values = ", ".join(f"({', '.join(literal(v) for v in row)})" for row in content[start : start + 500])
            found.append(f"INSERT INTO {table} VALUES {values}")
    return found


def build(path: Path, made: Rows | None = None) -> Path:
    """A SQLite database of the rows."""
    with sqlite3.connect(path) as connection:
        for statement in statements(rows() if made is None else made):
            connection.execute(statement)
    connection.close()
    return path


def config(path: Path, **parts: Any) -> SourceConfig:
    """A configuration that reads it."""
    return SourceConfig.model_validate({"name": "blog", "source": {"url": f"sqlite:///{path}"}, **parts})


def dangling(path: Path) -> Iterator[tuple[str, str, int]]:
    """(table, type, rows) for every type of a pair that leads to rows that are not there."""
    leads = {"Post": "posts", "Photo": "photos", "Comment": "comments", "User": "users"}
    leads |= {f"App\\Models\\{k}": t for k, t in leads.items()} | {k.lower(): t for k, t in leads.items()}
    with sqlite3.connect(path) as connection:
        for table, kind, number in (
            ("comments", "commentable_type", "commentable_id"), ("likes", "likeable_type", "likeable_id"),
            ("audits", "auditable_type", "auditable_id"), ("flags", "content_type", "object_id"),
        ):  # fmt: skip
            for value, parent in leads.items():
                sql = f"SELECT count(*) FROM {table} WHERE {kind} = ? AND ({number} IS NULL OR {number} NOT IN (SELECT id FROM {parent}))"
                lost = connection.execute(sql, [value]).fetchone()[0]
                if lost:
                    yield table, value, lost
    connection.close()
