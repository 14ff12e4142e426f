"""Pairs of a type and an id are drawn as keys: each leads to the row that its type says, and all that holds for keys holds for them."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from synth_pipeline import pipeline, stored
from synth_pipeline.artifacts import ArtifactStore, TableBundle
from synth_pipeline.config import SourceConfig
from synth_pipeline_tests import blog

COUNTS = {
    "comments of a post": "SELECT (SELECT count(*) FROM comments WHERE commentable_type = 'Post' AND commentable_id = p.id) FROM posts p",
    "comments of a photo": "SELECT (SELECT count(*) FROM comments WHERE commentable_type = 'Photo' AND commentable_id = p.id) FROM photos p",
    "likes of a comment": "SELECT (SELECT count(*) FROM likes WHERE likeable_type = 'Comment' AND likeable_id = p.id) FROM comments p",
}
BROKEN = {
    "a comment before its post": "comments c JOIN posts p ON commentable_type = 'Post' AND p.id = commentable_id WHERE c.created_at < p.created_at",
    "a comment before its photo": "comments c JOIN photos p ON commentable_type = 'Photo' AND p.id = commentable_id "
    "WHERE c.created_at < p.created_at",
    "a like before its comment": "likes l JOIN comments c ON likeable_type = 'Comment' AND c.id = likeable_id WHERE l.created_at < c.created_at",
    "a number of comments": "posts p WHERE comments_count <> "
    "(SELECT count(*) FROM comments WHERE commentable_type = 'Post' AND commentable_id = p.id)",
    "liked twice": "(SELECT 1 FROM likes GROUP BY user_id, likeable_type, likeable_id HAVING count(*) > 1)",
    "flagged twice": "(SELECT 1 FROM flags GROUP BY content_type, object_id HAVING count(*) > 1)",
    "nothing and its id": "audits WHERE (auditable_type IS NULL) <> (auditable_id IS NULL)",
    "a session by a number of a row": "audits WHERE auditable_type = 'Session' AND auditable_id < 10000",
    "a type that there is not": "comments WHERE commentable_type NOT IN ('Post', 'Photo')",
}


def run(path: Path, folder: Path, **parts: Any) -> tuple[TableBundle, Path]:
    """The synthetic tables, and the database that they are exported to; integrity is checked on the way."""
    target = folder / "copy.db"
    config = SourceConfig.model_validate(
        {"name": "blog", "source": {"url": f"sqlite:///{path}"}, "export": {"url": f"sqlite:///{target}"}, **parts, "checks": {"severity": "warn"}}
    )
    store = ArtifactStore(folder / "artifacts")
    pipeline.run(config, store, last="sample")
    pipeline.run(config, store, first="export")
    return stored.load_tables(store.open("blog", "synthetic_tables")), target


def build(path: Path, ddl: str, rows: Mapping[str, Sequence[tuple[Any, ...]]]) -> Path:
    """A database with these rows in its tables."""
    with sqlite3.connect(path) as connection:
        connection.executescript(ddl)
        for table, values in rows.items():
            connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(values[0]))})", values)
    connection.close()
    return path


def asked(path: Path, sql: str) -> list[Any]:
    with sqlite3.connect(path) as connection:
        found = [row[0] for row in connection.execute(sql)]
    connection.close()
    return found


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return blog.build(tmp_path_factory.mktemp("blog") / "blog.db", blog.rows(300))


@pytest.fixture(scope="module")
def copy(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(source, tmp_path_factory.mktemp("copy"), synthesizer={"workers": 1})[1]


def test_what_is_tested_holds_in_the_source(source: Path) -> None:
    assert list(blog.dangling(source)) == []
    assert {what: n for what, sql in BROKEN.items() if (n := asked(source, f"SELECT count(*) FROM {sql}")[0])} == {}


def test_every_pair_leads_to_a_row_and_what_holds_for_keys_holds(copy: Path) -> None:
    """Order of time, counters, keys of a pair and a user, numbers of types that have no table."""
    assert list(blog.dangling(copy)) == []
    assert {what: n for what, sql in BROKEN.items() if (n := asked(copy, f"SELECT count(*) FROM {sql}")[0])} == {}


def test_types_are_as_frequent_as_they_are(source: Path, copy: Path) -> None:
    for table, column in (("comments", "commentable_type"), ("likes", "likeable_type"), ("audits", "auditable_type"), ("flags", "content_type")):
        real, made = (Counter(asked(path, f"SELECT {column} FROM {table}")) for path in (source, copy))
        assert real.keys() == made.keys()
        total = sum(real.values())
        assert all(abs(real[k] - made[k]) <= 0.03 * total for k in real), (table, real, made)


@pytest.mark.parametrize("what", COUNTS)
def test_parents_have_as_many_children_as_those_of_the_source(what: str, source: Path, copy: Path) -> None:
    real, made = (Counter(asked(path, COUNTS[what])) for path in (source, copy))

    def below(counts: Counter[int], k: int) -> float:
        return sum(counts[i] for i in range(k)) / sum(counts.values())

    distance = max(abs(below(real, k) - below(made, k)) for k in range(max(*real, *made) + 1))
    assert distance <= 0.04, (what, real, made)


def test_in_shards_by_any_number_of_workers(source: Path, tmp_path: Path) -> None:
    """The bytes do not depend on who draws, and pairs of the smallest shards lead to rows."""
    hashes = []
    for workers in (1, 2):
        bundle, target = run(source, tmp_path / str(workers), synthesizer={"workers": workers}, sample={"shard_rows": 1_200, "scale": 1.5})
        hashes.append(bundle.content_hash)
        assert list(blog.dangling(target)) == []
        still = {what: sql for what, sql in BROKEN.items() if "session" not in what}
        assert {what: n for what, sql in still.items() if (n := asked(target, f"SELECT count(*) FROM {sql}")[0])} == {}
    assert hashes[0] == hashes[1]


# --- any schema --------------------------------------------------------------------------------------------------------

PARENTS = """
CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, age INTEGER);
CREATE TABLE posts (id INTEGER PRIMARY KEY, title TEXT, score INTEGER);
"""
Made = tuple[str, dict[str, list[tuple[Any, ...]]], dict[str, Any]]


def _parents(r: random.Random) -> dict[str, list[tuple[Any, ...]]]:
    return {
        "users": [(i, f"n{i}", r.randint(18, 90)) for i in range(1, 151)],
        "posts": [(i, f"t{i}", r.randint(0, 9)) for i in range(1, 201)],
    }


def _pair(r: random.Random, kinds: Sequence[str] = ("Post", "User")) -> tuple[str, int]:
    kind = r.choice(kinds)
    return kind, r.randint(1, 150 if kind in ("User", "2") else 200)


def _part_of_the_primary_key(r: random.Random) -> Made:
    pairs = r.sample([("Post", i) for i in range(1, 201)] + [("User", i) for i in range(1, 151)], 340)
    ddl = "CREATE TABLE notes (owner_type TEXT NOT NULL, owner_id INTEGER NOT NULL, txt TEXT, PRIMARY KEY (owner_type, owner_id));"
    return ddl, {"notes": [(*p, "x" * r.randint(1, 9)) for p in pairs]}, {}


def _to_tables_that_are_copied(r: random.Random) -> Made:
    ddl = "CREATE TABLE logs (id INTEGER PRIMARY KEY, subject_type TEXT NOT NULL, subject_id INTEGER NOT NULL);"
    return ddl, {"logs": [(i, *_pair(r)) for i in range(400)]}, {"tables": {"preserve": ["users"]}, "privacy": {"level": "strict"}}


def _in_a_table_that_is_copied(r: random.Random) -> Made:
    ddl = "CREATE TABLE logs (id INTEGER PRIMARY KEY, subject_type TEXT NOT NULL, subject_id INTEGER NOT NULL);"
    return ddl, {"logs": [(i, *_pair(r)) for i in range(400)]}, {"tables": {"preserve": ["logs"]}}


def _sometimes_without_an_id(r: random.Random) -> Made:
    ddl = "CREATE TABLE logs (id INTEGER PRIMARY KEY, subject_type TEXT NOT NULL, subject_id INTEGER, size INTEGER);"
    pairs = [_pair(r) for _ in range(500)]
    return ddl, {"logs": [(i, k, v if r.random() < 0.8 else None, r.randint(0, 5)) for i, (k, v) in enumerate(pairs)]}, {}


def _in_a_circle(r: random.Random) -> Made:
    ddl = """
        CREATE TABLE threads (id INTEGER PRIMARY KEY, title TEXT, featured_type TEXT NOT NULL, featured_id INTEGER NOT NULL);
        CREATE TABLE replies (id INTEGER PRIMARY KEY, repliable_type TEXT NOT NULL, repliable_id INTEGER NOT NULL);
    """
    threads = [(i, f"t{i}", "Reply", r.randint(1, 400)) for i in range(1, 201)]
    return ddl, {"threads": threads, "replies": [(i, "Thread", r.randint(1, 200)) for i in range(1, 401)]}, {}


def _several_types_of_one_table(r: random.Random) -> Made:
    ddl = """CREATE TABLE likes (id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users (id), likeable_type TEXT NOT NULL,
        likeable_id INTEGER NOT NULL, UNIQUE (user_id, likeable_type, likeable_id));"""
    likes = sorted({(r.randint(1, 150), *_pair(r, ("Post", "Article", "User"))) for _ in range(700)})
    parents = {"Post": "posts", "Article": "posts", "User": "users"}
    given = {"child": "likes", "type_column": "likeable_type", "column": "likeable_id", "parents": parents}
    return ddl, {"likes": [(i, *like) for i, like in enumerate(likes)]}, {"relationships": [given]}


def _types_that_are_numbers(r: random.Random) -> Made:
    ddl = "CREATE TABLE logs (id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, ref INTEGER NOT NULL);"
    given = {"child": "logs", "type_column": "kind", "column": "ref", "parents": {"1": "posts", "2": "users"}}
    return ddl, {"logs": [(i, int(k), v) for i, (k, v) in enumerate(_pair(r, ("1", "2")) for _ in range(400))]}, {"relationships": [given]}


def _types_with_a_table(r: random.Random) -> Made:
    ddl = """CREATE TABLE kinds (name TEXT PRIMARY KEY, label TEXT);
        CREATE TABLE logs (id INTEGER PRIMARY KEY, subject_type TEXT NOT NULL REFERENCES kinds (name), subject_id INTEGER NOT NULL);"""
    return ddl, {"kinds": [("Post", "a"), ("User", "b"), ("Other", "c")], "logs": [(i, *_pair(r)) for i in range(400)]}, {}


def _types_by_the_key_of_their_table(r: random.Random) -> Made:
    ddl = """CREATE TABLE content_type (id INTEGER PRIMARY KEY, model TEXT NOT NULL);
        CREATE TABLE logs (id INTEGER PRIMARY KEY, content_type_id INTEGER REFERENCES content_type (id), object_id TEXT);"""
    pairs = [_pair(r) for _ in range(400)]
    logs = [(i, 3 if k == "Post" else 5, str(v)) if i % 7 else (i, 8, str(10**6 + i)) for i, (k, v) in enumerate(pairs)]
    return ddl, {"content_type": [(3, "post"), (5, "user"), (8, "session")], "logs": logs}, {}


def _without_case(r: random.Random) -> Made:
    ddl = "CREATE TABLE logs (id INTEGER PRIMARY KEY, subject_type TEXT COLLATE NOCASE NOT NULL, subject_id INTEGER NOT NULL);"
    pairs = [_pair(r) for _ in range(400)]
    return ddl, {"logs": [(i, r.choice([k, k.lower()]), v) for i, (k, v) in enumerate(pairs)]}, {}


def _two_in_a_row(r: random.Random) -> Made:
    ddl = """CREATE TABLE edges (id INTEGER PRIMARY KEY, source_type TEXT NOT NULL, source_id INTEGER NOT NULL, target_type TEXT NOT NULL,
        target_id INTEGER NOT NULL, UNIQUE (source_type, source_id, target_type, target_id));"""
    edges = sorted({(*_pair(r), *_pair(r)) for _ in range(500)})
    return ddl, {"edges": [(i, *edge) for i, edge in enumerate(edges)]}, {}


def _under_a_check(r: random.Random) -> Made:
    ddl = """CREATE TABLE logs (id INTEGER PRIMARY KEY, subject_type TEXT CHECK (subject_type IN ('Post', 'User')),
        subject_id INTEGER CHECK (subject_id > 0), CHECK ((subject_type IS NULL) = (subject_id IS NULL)));"""
    return ddl, {"logs": [(i, *(_pair(r) if r.random() < 0.9 else (None, None))) for i in range(400)]}, {}


def _numbers_beside_keys(r: random.Random) -> Made:
    ddl = """CREATE TABLE logs (id INTEGER PRIMARY KEY, subject_type TEXT NOT NULL, subject_id INTEGER NOT NULL,
        UNIQUE (subject_type, subject_id));"""
    pairs = r.sample([("Post", i) for i in range(1, 201)], 150) + [("Session", k) for k in r.sample(range(10**6, 10**7), 150)]
    return ddl, {"logs": [(i, *p) for i, p in enumerate(pairs)]}, {}


def _counted_within_the_pair(r: random.Random) -> Made:
    ddl = """CREATE TABLE versions (id INTEGER PRIMARY KEY, item_type TEXT NOT NULL, item_id INTEGER NOT NULL, number INTEGER NOT NULL,
        UNIQUE (item_type, item_id, number));"""
    things = r.sample([("Post", i) for i in range(1, 201)] + [("User", i) for i in range(1, 151)], 300)
    rows = [(*thing, n + 1) for thing in things for n in range(r.randint(1, 6))]
    return ddl, {"versions": [(i, *row) for i, row in enumerate(rows)]}, {}


def _a_handful(r: random.Random) -> Made:
    ddl = "CREATE TABLE logs (id INTEGER PRIMARY KEY, loggable_type TEXT NOT NULL, loggable_id INTEGER NOT NULL);"
    return ddl, {"logs": [(1, "Post", 1), (2, "User", 2), (3, "Post", 4), (4, "User", 1), (5, "Post", 2)]}, {}


@pytest.mark.parametrize(
    "shape",
    [
        _part_of_the_primary_key, _to_tables_that_are_copied, _in_a_table_that_is_copied, _sometimes_without_an_id, _in_a_circle,
        _several_types_of_one_table, _types_that_are_numbers, _types_with_a_table, _types_by_the_key_of_their_table, _without_case,
        _two_in_a_row, _under_a_check,
        _numbers_beside_keys, _counted_within_the_pair, _a_handful,
    ],
)  # fmt: skip
def test_any_shape_goes_through(shape: Callable[[random.Random], Made], tmp_path: Path) -> None:
    """Every run checks that all pairs lead to rows, all keys are unique and nothing is NULL that must not be; also in shards, and few rows."""
    r = random.Random(5)
    ddl, rows, parts = shape(r)
    path = build(tmp_path / "source.db", PARENTS + ddl, {**_parents(r), **rows})
    store = ArtifactStore(tmp_path / "artifacts")
    for first, sample in (("reflect", {}), ("sample", {"scale": 3.0, "shard_rows": 400}), ("sample", {"scale": 0.03})):
        given = {"name": "any", "source": {"url": f"sqlite:///{path}"}, "synthesizer": {"workers": 1}, "sample": sample, **parts}
        summary = pipeline.run(SourceConfig.model_validate(given), store, first=first, last="sample")
        assert summary.integrity is not None and summary.integrity["broken"] == 0
        assert stored.load_metadata(store.open("any", "inferred_metadata")).polymorphic
        bundle = stored.load_tables(store.open("any", "synthetic_tables"))
        assert all(bundle.rows(t) for t in rows)


def test_numbers_count_within_a_pair(tmp_path: Path) -> None:
    ddl, rows, _ = _counted_within_the_pair(r := random.Random(5))
    path = build(tmp_path / "source.db", PARENTS + ddl, {**_parents(r), **rows})
    _, target = run(path, tmp_path, synthesizer={"workers": 1})
    groups = "(SELECT count(*) AS n, max(number) AS m, min(number) AS low FROM versions GROUP BY item_type, item_id)"
    assert asked(target, f"SELECT count(*) FROM {groups} WHERE n <> m OR low <> 1") == [0]


def test_what_says_the_type_goes_with_it(tmp_path: Path) -> None:
    """A kind of notification is about one type of thing, or about nothing; every user is welcomed once."""
    r = random.Random(3)
    about = {"comment": "Post", "mention": "Post", "follow": "User", "digest": None}
    rows = []
    for user in range(1, 151):
        kinds = ["welcome", *r.choices(list(about), [6, 2, 3, 1], k=r.randint(0, 9))]
        for kind in kinds:
            target = about.get(kind)
            rows.append((user, kind, target, None if target is None else r.randint(1, 150 if target == "User" else 200)))
    ddl = """CREATE TABLE notifications (id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users (id), kind TEXT NOT NULL,
        notifiable_type TEXT, notifiable_id INTEGER);"""
    path = build(tmp_path / "source.db", PARENTS + ddl, {**_parents(r), "notifications": [(i, *row) for i, row in enumerate(rows)]})
    _, target = run(path, tmp_path, synthesizer={"workers": 1}, privacy={"holdout": 0})
    wrong = "notifiable_type IS NOT CASE WHEN kind IN ('comment', 'mention') THEN 'Post' WHEN kind = 'follow' THEN 'User' END"
    assert asked(target, f"SELECT count(*) FROM notifications WHERE {wrong} OR (notifiable_type IS NULL) <> (notifiable_id IS NULL)") == [0]


def test_rows_keep_to_the_dates_of_all_their_parents(tmp_path: Path) -> None:
    """Of four kinds of parents a row has one; it keeps to that and to its user, also where many are most often of one kind and unique."""
    r, kinds = random.Random(4), {"Post": 150, "Photo": 250, "Event": 60, "Page": 80}
    users = [(i, _day(r.randint(0, 700))) for i in range(1, 201)]
    things = {kind: [(i, _day(r.randint(0, 700))) for i in range(1, n + 1)] for kind, n in kinds.items()}
    likes = {}
    for user, joined in users:
        for kind in r.choices(list(kinds), [3, 10, 1, 1], k=min(60, int(r.expovariate(1 / 15)))):
            thing, made = r.choice(things[kind])
            likes[user, kind, thing] = _day(int(r.expovariate(1 / 40)), max(joined, made))
    dated = {"users": users, **{f"{kind.lower()}s": rows for kind, rows in things.items()}}
    ddl = "".join(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, created_at DATE NOT NULL);" for table in dated)
    ddl += """CREATE TABLE likes (id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users (id), likeable_type TEXT NOT NULL,
        likeable_id INTEGER NOT NULL, created_at DATE NOT NULL, UNIQUE (user_id, likeable_type, likeable_id));"""
    path = build(tmp_path / "source.db", ddl, {**dated, "likes": [(i, *key, day) for i, (key, day) in enumerate(likes.items())]})
    bundle, target = run(path, tmp_path, synthesizer={"workers": 1}, privacy={"holdout": 0})
    early = {"users": "p.id = l.user_id", **{f"{k.lower()}s": f"likeable_type = '{k}' AND p.id = likeable_id" for k in kinds}}
    for table, on in early.items():
        assert asked(target, f"SELECT count(*) FROM likes l JOIN {table} p ON {on} WHERE l.created_at < p.created_at") == [0], table
    assert bundle.rows("likes") >= 0.98 * len(likes)


def _day(days: int, after: str = "2021-01-01") -> str:
    return (date.fromisoformat(after) + timedelta(days=days)).isoformat()
