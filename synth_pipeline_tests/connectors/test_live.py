"""A round trip through a server that somebody has: set SYNTH_TEST_MSSQL_URL, _ORACLE_URL, _SNOWFLAKE_URL or _OTHER_URL.

Tables with the prefix `synth_live_` are made there from a SQLite database, replaced, read, subset, and dropped again; nothing
else is touched. The same is done on PostgreSQL through SQLAlchemy, so that the suite itself is run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from synth_pipeline.artifacts import BundleWriter
from synth_pipeline.catalog.schema import DatabaseSchema
from synth_pipeline.config import SubsetConfig
from synth_pipeline.connectors import connect
from synth_pipeline.connectors.generic.connector import GenericConnector
from synth_pipeline.subset import take_subset
from synth_pipeline_tests.connectors.contract import read
from synth_pipeline_tests.connectors.engines import SQLite

PREFIX = "synth_live_"


@pytest.fixture(params=["POSTGRESQL", "MSSQL", "ORACLE", "SNOWFLAKE", "OTHER"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "POSTGRESQL":
        new_database: Callable[..., str] = request.getfixturevalue("new_database")
        yield f"sqlalchemy+{new_database('live')}"
        return
    found = os.environ.get(f"SYNTH_TEST_{request.param}_URL")
    if not found:
        pytest.skip(f"there is no server: set SYNTH_TEST_{request.param}_URL")
    yield found
    with closing(connect(found)) as connector:
        assert isinstance(connector, GenericConnector)
        made = _made(connector)
        with connector._engine.begin() as connection:
            for group in reversed(made.levels()):
                for table in group:
                    connection.execute(sa.text(f"DROP TABLE {connector.dialect.qualified(made.table(table))}"))


def _made(connector: GenericConnector) -> DatabaseSchema:
    schema = connector.reflect()
    return schema.select(include=[t.id for t in schema.tables if t.name.lower().startswith(PREFIX)])


def _plain(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(repr([str(v) for k, v in row.items() if k != "note"]) for row in rows)  # an empty note may have become NULL


def test_there_and_back(url: str, tmp_path: Path) -> None:
    engine = SQLite(tmp_path)
    source = read(engine, engine.made(engine.shop()), tmp_path / "shop")
    for _ in range(2):
        result = source.export(url, prefix=PREFIX)
        assert result.total_rows == source.bundle.total_rows
    with closing(connect(url)) as connector:
        assert isinstance(connector, GenericConnector)
        schema = _made(connector)
        assert {t.name for t in schema.tables} == {PREFIX + t for t in source.schema.table_ids}
        assert {(f.table, f.columns, f.parent) for f in schema.foreign_keys} >= {(f"{PREFIX}line", ("customer", "no"), f"{PREFIX}order")}
        with connector.snapshot() as snapshot:
            for table in schema.tables:
                rows = [r for b in snapshot.rows(table) for r in b.to_pylist()]
                assert _plain(rows) == _plain(source.bundle.read(table.name.removeprefix(PREFIX)).to_pylist()), table.id
        taken = []
        for place, batch in ((0, 10_000), (1, 7)):
            writer = BundleWriter(tmp_path / f"s{place}", schema)
            taken.append(take_subset(connector, schema, SubsetConfig(max_rows=300, seed=3), writer, batch=batch).bundle)
        assert taken[0].content_hash == taken[1].content_hash and 0 < taken[0].total_rows < source.bundle.total_rows
        assert connector.profile(schema.table(f"{PREFIX}visit"), 50).sample.num_rows == 50
