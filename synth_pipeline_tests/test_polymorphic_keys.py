"""Polymorphic keys outside of inference: the schema that holds them, the subset that follows them, the rules that check them."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from synth_pipeline import pipeline
from synth_pipeline.artifacts import BundleWriter, TableBundle
from synth_pipeline.catalog.branches import branches
from synth_pipeline.catalog.polymorphic import PolymorphicKey
from synth_pipeline.catalog.schema import DatabaseSchema
from synth_pipeline.config import ExportConfig, SubsetConfig
from synth_pipeline.connectors import connect
from synth_pipeline.errors import ConfigError, DanglingReferenceError
from synth_pipeline.export import export_database
from synth_pipeline.gate import check
from synth_pipeline.integrity import IntegrityReport
from synth_pipeline.metadata.infer import infer
from synth_pipeline.selection import working_schema
from synth_pipeline.subset import Subset, plan_subset, take_subset
from synth_pipeline_tests import blog
from synth_pipeline_tests.connectors.contract import Engine
from synth_pipeline_tests.connectors.engines import DuckDB, MariaDB, PostgreSQL, required

COMMENTED = PolymorphicKey(
    "comments(commentable_type,commentable_id)", "comments", "commentable_type", "commentable_id",
    (("Photo", "photos", "id"), ("Post", "posts", "id")),
)  # fmt: skip


def schema_of(url: str) -> DatabaseSchema:
    """The working schema, with what is inferred."""
    with closing(connect(url)) as connector:
        reflected = connector.reflect()
        metadata = infer(reflected, (connector.profile(t) for t in reflected.tables), probes=connector)
    config = blog.config(Path("unused"))
    return working_schema(config, reflected, metadata)


def taken(url: str, schema: DatabaseSchema, target: Path, **options: Any) -> Subset:
    with closing(connect(url)) as connector:
        return take_subset(connector, schema, SubsetConfig(**options), BundleWriter(target, schema, seed=0))


def lost(subset: Subset, schema: DatabaseSchema) -> dict[str, int]:
    """Pairs of the bundle that lead nowhere, by branch, value by value in plain Python."""
    found = {}
    for branch in (b for t in schema.table_ids for b in branches(schema, t)):
        keys = {str(v) for v in subset.bundle.read(branch.parent, branch.parent_columns).column(0).to_pylist()}
        rows = subset.bundle.read(branch.table, [branch.type_column, *branch.columns])
        pairs = zip(*(column.to_pylist() for column in rows.columns), strict=True)
        wrong = [key for kind, key in pairs if kind in branch.values and key is not None and str(key) not in keys]
        if wrong:
            found[branch.id] = len(wrong)
    return found


# --- the schema --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return blog.build(tmp_path_factory.mktemp("blog") / "blog.db", blog.rows(200))


@pytest.fixture(scope="module")
def schema(source: Path) -> DatabaseSchema:
    return schema_of(f"sqlite:///{source}")


def test_a_key_is_part_of_the_schema_and_of_no_declaration(source: Path, schema: DatabaseSchema) -> None:
    with closing(connect(f"sqlite:///{source}")) as connector:
        reflected = connector.reflect()
    assert schema.table("comments").polymorphic_keys == (COMMENTED,)
    assert DatabaseSchema.from_dict(json.loads(json.dumps(schema.to_dict()))) == schema
    one = reflected.with_polymorphic_keys([COMMENTED])
    assert one.fingerprint() != reflected.fingerprint() and one.declared_fingerprint() == reflected.declared_fingerprint()
    assert reflected.diff(one) == ["polymorphic key of comments added: (commentable_type, commentable_id) → photos, posts"]
    assert one.table("comments").foreign_keys == reflected.table("comments").foreign_keys
    assert one.with_polymorphic_keys([dataclasses.replace(COMMENTED, parents=())]) == one
    assert one.select(exclude=["photos"]).table("comments").polymorphic_keys[0].parents == (("Post", "posts", "id"),)
    assert [b.condition for b in branches(one.select(exclude=["photos"]), "comments")] == ["commentable_type is Post"]


def test_types_of_one_table_are_one_branch(schema: DatabaseSchema) -> None:
    key = dataclasses.replace(COMMENTED, parents=(("Post", "posts", "id"), ("Photo", "photos", "id"), ("Article", "posts", "id")))
    other = dataclasses.replace(
        schema, tables=tuple(dataclasses.replace(t, polymorphic_keys=(key,)) if t.id == "comments" else t for t in schema.tables)
    )
    found = branches(other, "comments")
    assert [(b.parent, b.values) for b in found] == [("posts", ("Post", "Article")), ("photos", ("Photo",))]
    assert len({b.id for b in found}) == 2


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"type_column": "kind"}, "no column 'kind'"), ({"parents": (("Post", "post", "id"),)}, r"no table 'post'.*'posts'"),
        ({"parents": (("Post", "posts", "nr"),)}, "no column 'nr'"), ({"column": "user_id"}, "refers to a table already"),
    ],
)  # fmt: skip
def test_a_key_over_what_does_not_exist_is_refused(schema: DatabaseSchema, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        schema.with_polymorphic_keys([dataclasses.replace(COMMENTED, **wrong)])


# --- the subset --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{}, {"max_rows": 600, "seed": 3}, {"max_rows": 300, "seed": 4}, {"max_rows": 500, "where": {"users": "t.id < 90"}}]
)
def test_what_a_pair_refers_to_is_in_the_subset(source: Path, schema: DatabaseSchema, tmp_path: Path, options: dict[str, Any]) -> None:
    subset = taken(f"sqlite:///{source}", schema, tmp_path / "s", **options)
    assert lost(subset, schema) == {}
    assert all(subset.bundle.rows(t) for t in ("comments", "likes", "flags", "posts", "photos"))


def test_children_per_parent_are_those_of_the_source(source: Path, schema: DatabaseSchema, tmp_path: Path) -> None:
    """Counted by the server for a part, and on the client for the whole, to the same histograms."""
    part = taken(f"sqlite:///{source}", schema, tmp_path / "part", max_rows=600).population
    whole = taken(f"sqlite:///{source}", schema, tmp_path / "whole").population
    ids = {b.id for t in schema.table_ids for b in branches(schema, t)}
    assert ids <= set(whole.fanouts) and {i: part.fanouts[i] for i in ids} == {i: whole.fanouts[i] for i in ids}
    with sqlite3.connect(source) as connection:
        sql = "SELECT (SELECT count(*) FROM comments c WHERE c.commentable_type = 'Post' AND c.commentable_id = p.id) FROM posts p"
        degrees = Counter(n for (n,) in connection.execute(sql))
        other = connection.execute("SELECT count(*) FROM comments WHERE commentable_type <> 'Post'").fetchone()[0]
    found = whole.fanouts["comments(commentable_type,commentable_id)->posts(id)"]
    assert dict(zip(found.degrees, found.parents, strict=True)) == degrees and (found.null_children, found.dangling) == (other, 0)


@pytest.mark.parametrize("name", ["PostgreSQL", "MariaDB", "DuckDB"])
def test_the_subset_of_a_seed_is_the_one_of_sqlite(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    made = blog.rows(80)
    reference = f"sqlite:///{blog.build(tmp_path / 'blog.db', made)}"
    engine: Engine
    if name == "PostgreSQL":
        engine = PostgreSQL(request.getfixturevalue("new_database"))
    elif name == "MariaDB":
        engine = MariaDB(request.getfixturevalue("new_mariadb"))
    else:
        required("duckdb")
        engine = DuckDB(tmp_path)
    moment, backslash = ("DATETIME", "\\\\") if name == "MariaDB" else ("TIMESTAMP", "\\")
    url = engine.made(blog.statements(made, moment=moment, backslash=backslash))
    ids: list[dict[str, list[int]]] = []
    fanouts = []
    for place in (reference, url):
        schema = schema_of(place)
        subset = taken(place, schema, tmp_path / f"s{len(ids)}", max_rows=400, seed=2)
        assert lost(subset, schema) == {}
        ids.append({t: sorted(subset.bundle.read(t, ["id"]).column(0).to_pylist()) for t in schema.table_ids})
        fanouts.append({b.id: subset.population.fanouts[b.id] for t in schema.table_ids for b in branches(schema, t)})
    assert ids[0] == ids[1] and fanouts[0] == fanouts[1]


def orphaned(path: Path) -> Path:
    """Comments, audits and flags of rows that are gone."""
    made = blog.rows(80)
    for table, column in (("comments", 3), ("audits", 2)):
        for row in [r for r in made[table] if r[column] is not None and r[column - 1] != "Session"][::100]:
            row[column] = 999_999
    made["flags"][0][2] = "gone"
    return blog.build(path, made)


@pytest.mark.parametrize("options", [{}, {"max_rows": 300}])
def test_pairs_that_lead_nowhere_are_treated_like_other_keys(tmp_path: Path, options: dict[str, Any]) -> None:
    """Both columns become NULL where they can, else the row goes; types that lead to no table keep their numbers."""
    path = orphaned(tmp_path / "blog.db")
    schema = schema_of(f"sqlite:///{path}")
    subset = taken(f"sqlite:///{path}", schema, tmp_path / "null", **options)
    assert lost(subset, schema) == {}
    told = subset.report["relationships"]
    assert told["audits(auditable_type,auditable_id)->posts(id)"]["dangling"] == told["audits(auditable_type,auditable_id)->posts(id)"]["nulled"]
    if not options:
        assert subset.report["tables"]["comments"]["dropped"] > 0 and subset.report["tables"]["flags"]["dropped"] == 1
    rows = subset.bundle.read("audits").to_pylist()
    assert all((r["auditable_type"] is None) == (r["auditable_id"] is None) for r in rows)
    assert any(r["auditable_type"] == "Session" and r["auditable_id"] >= 10**6 for r in rows)
    dropped = taken(f"sqlite:///{path}", schema, tmp_path / "drop", dangling="drop", **options)
    assert lost(dropped, schema) == {}
    with pytest.raises(DanglingReferenceError, match=r"commentable_id|auditable_id|object_id"):
        taken(f"sqlite:///{path}", schema, tmp_path / "error", dangling="error", **options)


def test_a_plan_tells_its_statements(source: Path, schema: DatabaseSchema) -> None:
    with closing(connect(f"sqlite:///{source}")) as connector:
        plan = plan_subset(connector, schema, SubsetConfig(max_rows=500))
    assert any('"commentable_type" IN (?)' in s for s in plan.statements)
    assert not any(t.tree_key and "commentable" in t.tree_key for t in plan.tables)


# --- the rules ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def bundle(source: Path, schema: DatabaseSchema, tmp_path: Path) -> TableBundle:
    return taken(f"sqlite:///{source}", schema, tmp_path / "bundle").bundle


def changed(bundle: TableBundle, schema: DatabaseSchema, target: Path, table: str, column: str, at: int, value: Any) -> TableBundle:
    with BundleWriter(target, schema) as writer:
        for name in schema.table_ids:
            rows = bundle.read(name)
            if name == table:
                values, field = rows.column(column).to_pylist(), rows.schema.field(column)
                values[at] = value
                rows = rows.set_column(rows.schema.get_field_index(column), field, pa.array(values, field.type))
            writer.write(name, rows)
    return TableBundle.open(target)


def broken(report: IntegrityReport) -> list[tuple[str, int]]:
    return [(r.rule.text, r.violations) for r in report.results if r.violations]


def test_every_pair_leads_to_a_row(bundle: TableBundle, schema: DatabaseSchema, tmp_path: Path) -> None:
    report = check(schema, None, bundle)
    assert report.passed and not [r for r in report.results if r.skipped]
    told = {r.rule.text: r.checked for r in report.of("referential_integrity")}
    kinds = Counter(bundle.read("comments", ["commentable_type"]).column(0).to_pylist())
    assert told["comments (commentable_type, commentable_id) refers to posts (id) where commentable_type is Post"] == kinds["Post"]
    rows = bundle.read("comments").to_pylist()
    at = next(i for i, r in enumerate(rows) if r["commentable_type"] == "Photo")
    wrong = check(schema, None, changed(bundle, schema, tmp_path / "wrong", "comments", "commentable_id", at, 999_999))
    assert broken(wrong) == [("comments (commentable_type, commentable_id) refers to photos (id) where commentable_type is Photo", 1)]
    audits = bundle.read("audits").to_pylist()
    free = next(i for i, r in enumerate(audits) if r["auditable_type"] == "Session")
    assert check(schema, None, changed(bundle, schema, tmp_path / "free", "audits", "auditable_id", free, -5)).passed


def test_appended_pairs_move_with_the_keys_of_their_types(source: Path, schema: DatabaseSchema, bundle: TableBundle, tmp_path: Path) -> None:
    """A type at a time, also in a column of texts; numbers of types without a table stay."""
    with closing(connect(f"sqlite:///{source}")) as connector:
        reflected, identity = connector.reflect(), connector.identity()
    first, smaller = tmp_path / "copy.db", taken(f"sqlite:///{source}", schema, tmp_path / "part", max_rows=300)
    url = f"sqlite:///{first}"
    renamed = changed(bundle, schema, tmp_path / "mail", "users", "email", 0, "somebody@example.net")
    with BundleWriter(tmp_path / "renamed", schema) as writer:
        for name in schema.table_ids:
            rows = renamed.read(name)
            if name == "users":
                rows = rows.set_column(1, rows.schema.field(1), pa.array([f"x{m}" for m in rows.column(1).to_pylist()]))
            writer.write(name, rows)
    export_database(reflected, schema, smaller.bundle, ExportConfig(url=url), source_identity=identity)
    export_database(reflected, schema, TableBundle.open(tmp_path / "renamed"), ExportConfig(url=url, mode="append"), source_identity=identity)
    assert list(blog.dangling(first)) == []
    with sqlite3.connect(first) as connection:
        rows = connection.execute("SELECT count(*), min(auditable_id) FROM audits WHERE auditable_type = 'Session'").fetchone()
        assert rows[0] > 0 and 10**6 <= rows[1]
        assert connection.execute("SELECT count(*) FROM comments").fetchone()[0] == bundle.rows("comments") + smaller.bundle.rows("comments")


def test_a_run_up_to_the_subset_carries_it(source: Path, tmp_path: Path) -> None:
    from synth_pipeline.artifacts import ArtifactStore

    summary = pipeline.run(blog.config(source), ArtifactStore(tmp_path), last="subset")
    assert summary.warnings == []
