"""Pairs of a type and an id are found on every engine, and nothing else is; what the user says of them holds."""

from __future__ import annotations

import itertools
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from synth_pipeline import pipeline
from synth_pipeline.catalog.schema import Column, DatabaseSchema, Table
from synth_pipeline.catalog.types import LogicalType
from synth_pipeline.connectors import connect
from synth_pipeline.errors import ConfigError
from synth_pipeline.metadata.infer import infer
from synth_pipeline.metadata.model import SynthesisMetadata
from synth_pipeline.metadata.names import Names
from synth_pipeline.metadata.polymorphic import _named
from synth_pipeline.metadata.sdv import from_json, to_sdv
from synth_pipeline.metadata.table import render
from synth_pipeline.selection import working_schema
from synth_pipeline_tests import blog
from synth_pipeline_tests.connectors.contract import Engine
from synth_pipeline_tests.connectors.engines import DuckDB, MariaDB, PostgreSQL, SQLite, required
from synth_pipeline_tests.metadata.databases import build, infer_file

FOUND = {
    ("comments", "commentable_type", "commentable_id"): {"Photo": "photos", "Post": "posts"},
    ("likes", "likeable_type", "likeable_id"): {"Comment": "comments", "Photo": "photos", "Post": "posts"},
    ("audits", "auditable_type", "auditable_id"): {"App\\Models\\Post": "posts", "App\\Models\\User": "users"},
    ("flags", "content_type", "object_id"): {"post": "posts", "user": "users"},
}


def pairs(metadata: SynthesisMetadata) -> dict[tuple[str, str, str], dict[str, str]]:
    return {(p.child_table_name, p.type_column, p.key_column): {q.value: q.table for q in p.parents} for p in metadata.polymorphic}


@pytest.fixture
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    match request.param:
        case "PostgreSQL":
            return PostgreSQL(request.getfixturevalue("new_database"))
        case "MariaDB":
            return MariaDB(request.getfixturevalue("new_mariadb"))
        case "DuckDB":
            required("duckdb")
            return DuckDB(tmp_path)
    return SQLite(tmp_path)


@pytest.mark.parametrize("engine", ["SQLite", "PostgreSQL", "MariaDB", "DuckDB"], indirect=True)
def test_pairs_are_found_on_every_engine(engine: Engine) -> None:
    """With ids kept as text, namespaces, types without a table; a foreign key beside a type stays one, and numbers stay numbers."""
    moment, backslash = ("DATETIME", "\\\\") if engine.name == "mysql" else ("TIMESTAMP", "\\")
    url = engine.made(blog.statements(blog.rows(60), moment=moment, backslash=backslash))
    with closing(connect(url)) as connector:
        schema = connector.reflect()
        metadata = infer(schema, (connector.profile(t) for t in schema.tables), probes=connector)
    assert pairs(metadata) == FOUND
    assert all(p.source == "inferred" and p.confidence >= 0.9 and p.reason for p in metadata.polymorphic)
    undeclared = [(r.child_table_name, *r.child_foreign_key) for r in metadata.relationships if r.source == "inferred"]
    assert undeclared == [("prints", "photo_id")]
    kinds = {(t, c): metadata.column(t, c).sdtype for t, *both in FOUND for c in both}
    assert kinds == {(t, c): sdtype for t, *both in FOUND for c, sdtype in zip(both, ("categorical", "id"), strict=True)}


def test_samples_alone_find_them_too(tmp_path: Path) -> None:
    with closing(connect(f"sqlite:///{blog.build(tmp_path / 'blog.db', blog.rows(40))}")) as connector:
        schema = connector.reflect()
        metadata = infer(schema, [connector.profile(t) for t in schema.tables])
    assert pairs(metadata) == FOUND


@pytest.mark.parametrize(
    ("value", "table"),
    [
        ("Post", "posts"), ("post", "posts"), ("posts", "posts"), ("App\\Models\\Post", "posts"), ("blog.post", "posts"), ("Blog::Post", "posts"),
        ("User", "auth_users"), ("PaidCategory", "categories"), ("Category", "categories"), ("Movie", "movies"), ("blogEntry", "blog_entries"),
        ("blogentry", "blog_entries"), ("Person", "people"), ("Entry", "blog_entries"), ("cust", "customers"), ("7", None), ("image/png", None),
        ("glossy", None), ("", None), ("\\", None),
    ],
)  # fmt: skip
def test_a_type_names_a_table_by_words(value: str, table: str | None) -> None:
    tables = ("posts", "auth_users", "categories", "movies", "blog_entries", "people", "customers")
    schema = DatabaseSchema("sqlite", tuple(Table(t, t, (Column("id", LogicalType("integer")),), primary_key=("id",)) for t in tables))
    first = next((rank for rank in _named(schema, Names(schema), value) if rank), [])
    assert first == ([table] if table else [])


def test_a_type_may_be_a_key_to_a_table_of_types(tmp_path: Path) -> None:
    """Django's content types: an application and a model, which together or alone name a table."""
    ddl = """
        CREATE TABLE django_content_type (id INTEGER PRIMARY KEY, app_label TEXT NOT NULL, model TEXT NOT NULL);
        CREATE TABLE auth_user (id INTEGER PRIMARY KEY, username TEXT NOT NULL); CREATE TABLE blog_post (id INTEGER PRIMARY KEY, title TEXT);
        CREATE TABLE wiki_page (id INTEGER PRIMARY KEY, title TEXT);
        CREATE TABLE admin_log (id INTEGER PRIMARY KEY, object_id TEXT, content_type_id INTEGER REFERENCES django_content_type (id));
    """
    types = [(2, "auth", "user"), (4, "blog", "post"), (5, "sessions", "session"), (9, "docs", "wikipage")]
    log = [(i, str(90_000 + i if kind == 5 else i % 40 + 1), kind) for i, kind in enumerate([2, 4, 5, 9] * 30)]
    many = [(i, f"x{i}") for i in range(1, 50)]
    rows = {"django_content_type": types, "auth_user": many, "blog_post": many, "wiki_page": many, "admin_log": log}
    metadata = infer_file(build(tmp_path / "t.db", ddl, rows))
    assert pairs(metadata) == {("admin_log", "content_type_id", "object_id"): {"2": "auth_user", "4": "blog_post", "9": "wiki_page"}}
    assert metadata.column("admin_log", "content_type_id").sdtype == "id"


def test_ids_that_are_not_there_make_it_a_question(tmp_path: Path) -> None:
    """A third of the comments are of rows that were deleted."""
    made = blog.rows(60)
    for number, comment in enumerate(made["comments"]):
        comment[3] += (number % 3 == 0) * 10_000
    metadata = infer_file(blog.build(tmp_path / "blog.db", made))
    assert set(pairs(metadata)) == set(FOUND) - {("comments", "commentable_type", "commentable_id")}
    asked = [r for r in metadata.review if (r.table, r.column) == ("comments", "commentable_id")]
    assert asked and all("commentable_type says" in r.question for r in asked)


def test_a_few_orphans_do_not_hide_it(tmp_path: Path) -> None:
    """Nothing keeps such a reference from outliving its row."""
    made = blog.rows(60)
    for comment in made["comments"][::80]:
        comment[3] += 10_000
    metadata = infer_file(blog.build(tmp_path / "blog.db", made))
    found = next(p for p in metadata.polymorphic if p.child_table_name == "comments")
    assert len(found.parents) == 2 and " of " in found.reason and "all" not in found.reason


@pytest.mark.parametrize(
    ("columns", "rows"),
    [
        # Types that name no table, and one that does only by its first letters.
        ("status_type TEXT, status_id INTEGER", [("open", 1), ("shut", 2), ("postponed", 3)] * 20),
        # One id among many that happen to be included.
        ("source_type TEXT, object_id INTEGER, record_id INTEGER", [("post", 1, 2), ("user", 2, 3)] * 20),
        # A category of a foreign key's parent.
        ("post_type TEXT, post_id INTEGER REFERENCES posts (id)", [("user", 1), ("post", 2)] * 20),
        # No name of a key, and no type.
        ("kind TEXT, amount INTEGER", [("post", 1), ("user", 2)] * 20),
        ("label TEXT, item_id INTEGER", [("post", 1), ("user", 2)] * 20),
        ("owner_type TEXT, owner_id INTEGER", [("post", None), ("user", None)] * 20),
    ],
)  # fmt: skip
def test_what_only_looks_like_one_is_none(tmp_path: Path, columns: str, rows: list[tuple[Any, ...]]) -> None:
    ddl = f"""
        CREATE TABLE posts (id INTEGER PRIMARY KEY, title TEXT); CREATE TABLE users (id INTEGER PRIMARY KEY, title TEXT);
        CREATE TABLE thing (nr INTEGER PRIMARY KEY, {columns});
    """
    many = [(i, "x") for i in range(1, 30)]
    number = itertools.count(1)
    path = build(tmp_path / "t.db", ddl, {"posts": many, "users": many, "thing": [(next(number), *row) for row in rows]})
    assert infer_file(path).polymorphic == ()


def test_real_databases_have_no_others(shared_data: Path) -> None:
    """Ensembl has three that are ones; seven further databases have none."""
    found = {p.stem: sorted(t for t, *_ in pairs(infer_file(p))) for p in sorted(shared_data.glob("*.db"))}
    assert {name: tables for name, tables in found.items() if tables} == {"ensembl_core": ["object_xref", "supporting_feature", "unmapped_object"]}


# --- the user's word ---------------------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return blog.build(tmp_path / "blog.db", blog.rows(40))


def relate(path: Path, *relationships: dict[str, Any], **parts: Any) -> tuple[SynthesisMetadata, DatabaseSchema]:
    config = blog.config(path, relationships=relationships, **parts)
    reflected = pipeline.reflect(config)
    metadata = pipeline.infer(config, reflected)
    return metadata, working_schema(config, reflected, metadata)


def test_what_is_found_is_part_of_the_working_schema_and_shown(path: Path) -> None:
    metadata, working = relate(path)
    assert [(k.type_column, k.column, dict((v, t) for v, t, _ in k.parents)) for t in working.tables for k in t.polymorphic_keys] == [
        (kind, key, parents) for (_, kind, key), parents in FOUND.items()
    ]
    assert "comments (commentable_type" in render(metadata) and "audits (auditable_type, auditable_id)" in render(metadata)
    assert any("SDV knows none that a column decides" in line for line in to_sdv(metadata)[1])


def test_a_pair_can_be_given(path: Path) -> None:
    """Also where no name says so, to any column, for some of the types; a column is a table's primary key where it is not said."""
    given = {"child": "prints", "type_column": "size_type", "column": "size_id", "parents": {"matt": "users", "glossy": "posts.comments_count"}}
    metadata, working = relate(path, given)
    (key,) = working.table("prints").polymorphic_keys
    assert key.parents == (("matt", "users", "id"), ("glossy", "posts", "comments_count"))
    (told,) = [p for p in metadata.polymorphic if p.child_table_name == "prints"]
    assert (told.source, told.reason, told.confidence) == ("user", "given in the configuration", 1.0)


def test_a_pair_can_be_refused(path: Path) -> None:
    metadata, working = relate(path, {"child": "comments", "type_column": "commentable_type", "column": "commentable_id", "parents": {}})
    (key,) = working.table("comments").polymorphic_keys
    assert key.parents == ()
    assert "no table" in render(metadata) and "refused in the configuration" in render(metadata)
    assert metadata.column("comments", "commentable_id").reason != "refers to"
    assert not [r for r in metadata.relationships if r.child_foreign_key == ("commentable_id",)]


def test_parents_that_are_left_out_are_none(path: Path) -> None:
    metadata, _ = relate(path, tables={"exclude": ["photos", "prints"]})
    assert pairs(metadata)["comments", "commentable_type", "commentable_id"] == {"Post": "posts"}
    given = {"child": "comments", "type_column": "commentable_type", "column": "commentable_id", "parents": {"Post": "posts", "Photo": "photos"}}
    _, working = relate(path, given, tables={"exclude": ["photos", "prints"]})
    assert working.table("comments").polymorphic_keys[0].parents == (("Post", "posts", "id"),)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"child": "coments"}, r"no table 'coments' .*`relationships`.* Did you mean 'comments'\?"),
        ({"type_column": "commentable_typ"}, r"no column 'commentable_typ' .*Did you mean 'commentable_type'\?"),
        ({"column": "comentable_id"}, r"no column 'comentable_id' .*Did you mean 'commentable_id'\?"),
        ({"parents": {"Post": "post"}}, r"no table 'post' .*Did you mean 'posts'\?"),
        ({"parents": {"Post": "posts.ids"}}, r"no column 'ids' .*Did you mean 'id'\?"),
        ({"column": "user_id"}, r"'user_id' of 'comments' refers to a table already"),
    ],
)  # fmt: skip
def test_names_that_the_source_lacks_are_refused_with_the_nearest(path: Path, wrong: dict[str, Any], message: str) -> None:
    given = {"child": "comments", "type_column": "commentable_type", "column": "commentable_id", "parents": {"Post": "posts"}}
    with pytest.raises(ConfigError, match=message):
        pipeline.reflect(blog.config(path, relationships=[{**given, **wrong}]))


def test_our_own_metadata_can_be_given_back(path: Path) -> None:
    metadata, _ = relate(path)
    _, relationships = from_json(metadata.to_dict(), "the metadata")
    again, _ = relate(path, *(r.model_dump() for r in relationships if not hasattr(r, "columns")))
    assert pairs(again) == pairs(metadata) and {p.source for p in again.polymorphic} == {"user"}
