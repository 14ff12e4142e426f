"""The contract of the connectors, on every engine that runs here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from synth_pipeline_tests.connectors.contract import Contract, Engine
from synth_pipeline_tests.connectors.engines import DuckDB, MariaDB, PostgreSQL, SQLite, required


class TestSQLite(Contract):
    @pytest.fixture
    def engine(self, tmp_path: Path) -> Engine:
        return SQLite(tmp_path)


class TestPostgreSQL(Contract):
    @pytest.fixture
    def engine(self, new_database: Callable[..., str]) -> Engine:
        return PostgreSQL(new_database)


class TestDuckDB(Contract):
    @pytest.fixture
    def engine(self, tmp_path: Path) -> Engine:
        required("duckdb")
        return DuckDB(tmp_path)


class TestMariaDB(Contract):
    @pytest.fixture
    def engine(self, new_mariadb: Callable[..., str]) -> Engine:
        return MariaDB(new_mariadb)
