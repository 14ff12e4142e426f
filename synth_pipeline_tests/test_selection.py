"""What a configuration names is held against the source; what is left out is not missed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from synth_pipeline import pipeline
from synth_pipeline.catalog.schema import DatabaseSchema
from synth_pipeline.config import SourceConfig
from synth_pipeline.errors import ConfigError, SchemaMismatchError
from synth_pipeline.selection import cut_columns, selected_schema, working_schema

SHOP = """
CREATE TABLE country (code CHAR(2) PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE client (id INTEGER PRIMARY KEY, country CHAR(2) REFERENCES country (code), name TEXT NOT NULL);
CREATE TABLE "order" (id INTEGER PRIMARY KEY, client_id INTEGER NOT NULL REFERENCES client (id), sales_rep INTEGER);
CREATE TABLE slot (client_id INTEGER NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (client_id, number));
CREATE TABLE visit (
    id INTEGER PRIMARY KEY, client_id INTEGER NOT NULL REFERENCES client (id), number INTEGER,
    FOREIGN KEY (client_id, number) REFERENCES slot (client_id, number)
);
INSERT INTO country VALUES ('DE', 'Germany'), ('FR', 'France');
INSERT INTO client VALUES (1, 'DE', 'a'), (2, 'FR', 'b'), (3, NULL, 'c');
INSERT INTO "order" VALUES (1, 1, 3), (2, 1, NULL), (3, 2, 1);
INSERT INTO slot VALUES (1, 1), (2, 1);
INSERT INTO visit VALUES (1, 1, 1), (2, 2, 1), (3, 1, NULL);
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "shop.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SHOP)
    return path


def config_of(database: Path, **parts: Any) -> SourceConfig:
    return SourceConfig.model_validate({"name": "shop", "source": {"url": f"sqlite:///{database}"}, **parts})


@pytest.fixture
def schema(database: Path) -> DatabaseSchema:
    return pipeline.reflect(config_of(database))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"tables": {"exclude": ["contry"]}}, r"no table 'contry' .*`tables.exclude`.* Did you mean 'country'\?"),
        ({"tables": {"include": ["clients"]}}, r"`tables.include`.* Did you mean 'client'\?"),
        ({"tables": {"preserve": ["Country_"]}}, r"`tables.preserve`.* Did you mean 'country'\?"),
        ({"sample": {"rows": {"oder": 1}}}, r"`sample.rows`.* Did you mean 'order'\?"),
        ({"subset": {"where": {"x": "1"}}}, r"`subset.where`"),
        ({"subset": {"main_table": "x", "rows": 1}}, r"`subset.main_table`"),
        ({"columns": {"client.nam": {"pii": True}}}, r"'client' has no column 'nam' .*Did you mean 'name'\?"),
        ({"columns": {"clint.name": {"pii": True}}}, r"no table 'clint' .*Did you mean 'client'\?"),
        ({"columns": {"name": {"pii": True}}}, r"names no table"),
        ({"relationships": [{"child": "order", "columns": ["rep"], "parent": "client", "parent_columns": ["id"]}]}, r"no column 'rep'"),
        ({"tables": {"exclude": ["visit"], "preserve": ["visit"]}}, r"both `tables.exclude` and `tables.preserve`"),
        ({"tables": {"include": []}}, r"leaves no table"),
    ],
)  # fmt: skip
def test_an_unknown_name_is_an_error_with_the_nearest_that_exists(database: Path, parts: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        pipeline.reflect(config_of(database, **parts))
    assert caught.value.exit_code == 2


def test_all_unknown_names_are_told_at_once(database: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        pipeline.reflect(config_of(database, tables={"exclude": ["a", "b"]}, sample={"rows": {"c": 1}}))
    assert len(caught.value.problem.splitlines()) == 3


def test_a_table_cannot_do_without_the_parent_of_a_required_key(database: Path) -> None:
    with pytest.raises(ConfigError, match="'order' needs table 'client'.*client_id is NOT NULL"):
        pipeline.reflect(config_of(database, tables={"exclude": ["client"]}))


def test_keys_to_a_table_that_is_left_out_become_null(database: Path, schema: DatabaseSchema, tmp_path: Path) -> None:
    config = config_of(database, tables={"exclude": ["country"]}, privacy={"holdout": 0})
    metadata = pipeline.infer(config, schema)
    working = working_schema(config, schema, metadata)
    assert cut_columns(working) == {"client": ("country",)}
    taken = pipeline.subset(config, working, metadata, tmp_path / "subset")
    assert taken.bundle.read("client").column("country").null_count == taken.bundle.rows("client") == 3
    assert taken.population.null_shares["client"]["country"] == 1.0
    assert taken.bundle.read("order").column("client_id").null_count == 0


def test_of_a_composite_key_only_what_no_other_key_needs_becomes_null(database: Path, schema: DatabaseSchema) -> None:
    selected = selected_schema(config_of(database, tables={"exclude": ["slot"]}), schema)
    assert cut_columns(selected) == {"visit": ("number",)}


def test_keys_of_the_configuration_are_part_of_the_schema(database: Path, schema: DatabaseSchema) -> None:
    relationship = {"child": "order", "columns": ["sales_rep"], "parent": "client", "parent_columns": ["id"]}
    selected = selected_schema(config_of(database, relationships=[relationship]), schema)
    (added,) = [fk for fk in selected.foreign_keys if not fk.declared]
    assert (added.table, added.columns, added.parent, added.parent_columns) == ("order", ("sales_rep",), "client", ("id",))


def test_metadata_of_another_selection_is_refused_by_name(database: Path, schema: DatabaseSchema) -> None:
    metadata = pipeline.infer(config_of(database), schema)
    with pytest.raises(SchemaMismatchError, match="(?s)metadata was made from schema .* but the schema is now .* 'infer'"):
        working_schema(config_of(database, tables={"exclude": ["visit"]}), schema, metadata)
