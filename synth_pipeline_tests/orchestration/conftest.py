"""A deployment in a temporary folder, with real sources on SQLite or PostgreSQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import dagster as dg
import pytest

from synth_pipeline.orchestration.build import build_definitions
from synth_pipeline.orchestration.settings import Settings

SCHEMA = """
CREATE TABLE customer (id INTEGER PRIMARY KEY, email TEXT NOT NULL UNIQUE, region TEXT NOT NULL CHECK (region IN ('north', 'south')));
CREATE TABLE purchase (
    id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customer (id), amount NUMERIC NOT NULL, placed_on DATE NOT NULL
);
CREATE INDEX purchase_customer ON purchase (customer_id);
"""


class Databases(Protocol):
    """Where the sources of a deployment are; names are the sources'."""

    def make(self, name: str) -> str:
        """Makes an empty database and returns its URL."""

    def execute(self, name: str, *statements: str) -> None: ...

    def hide(self, name: str) -> None:
        """Lets nobody connect."""

    def show(self, name: str) -> None: ...


class SqliteFiles:
    def __init__(self, root: Path) -> None:
        self.root = root

    def make(self, name: str) -> str:
        return f"sqlite:///{self.root / name}.db"

    def execute(self, name: str, *statements: str) -> None:
        with closing(sqlite3.connect(self.root / f"{name}.db")) as connection, connection:
            for statement in statements:
                connection.execute(statement)

    def hide(self, name: str) -> None:
        (self.root / f"{name}.db").rename(self.root / f"{name}.away")

    def show(self, name: str) -> None:
        (self.root / f"{name}.away").rename(self.root / f"{name}.db")


class PostgresqlDatabases:
    """`new` makes a database and returns its URL, as the fixture `new_database` does; `server` is the server's URL."""

    def __init__(self, server: str, new: Callable[[str], str]) -> None:
        self._server, self._new = server, new
        self.urls: dict[str, str] = {}

    def make(self, name: str) -> str:
        return self.urls.setdefault(name, self._new(name))

    def execute(self, name: str, *statements: str) -> None:
        self._run(self.urls[name], *statements)

    def hide(self, name: str) -> None:
        database = urlsplit(self.urls[name]).path.lstrip("/")
        ended = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"
        self._run(self._server.format("postgres"), f'ALTER DATABASE "{database}" WITH ALLOW_CONNECTIONS false', ended)

    def show(self, name: str) -> None:
        database = urlsplit(self.urls[name]).path.lstrip("/")
        self._run(self._server.format("postgres"), f'ALTER DATABASE "{database}" WITH ALLOW_CONNECTIONS true')

    @staticmethod
    def _run(url: str, *statements: str) -> None:
        import psycopg

        with psycopg.connect(url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())


class Place:
    """Where a deployment's files and databases lie; SQLite files in the same folder unless others are given."""

    def __init__(self, root: Path, databases: Databases | None = None) -> None:
        self.root, self.databases = root, databases or SqliteFiles(root)

    @property
    def settings(self) -> Settings:
        return Settings(configs=self.root / "configs", artifacts=str(self.root / "artifacts"), executor="in_process")

    def database(self, name: str) -> Path:
        return self.root / f"{name}.db"

    def target(self, name: str) -> Path:
        return self.root / f"{name}_synthetic.db"

    def add(self, name: str, *, rows: int = 120, extra: str = "", export: bool = True) -> None:
        """A source with its database and its file; `extra` is appended to the file."""
        url, customers = self.databases.make(name), rows // 3
        people = [(i, f"person{i}@example.org", ("north", "south")[i % 3 % 2]) for i in range(1, customers + 1)]
        bought = [(i, 1 + i * i % customers, round(10 + i % 37 * 1.5, 2), f"2024-{1 + i % 12:02d}-{1 + i % 28:02d}") for i in range(1, rows + 1)]
        filled = [f"INSERT INTO {table} VALUES {', '.join(map(str, values))}" for table, values in (("customer", people), ("purchase", bought))]
        self.databases.execute(name, *filter(str.strip, SCHEMA.split(";")), *filled)
        target = f'export: {{url: "{self.databases.make(f"{name}_synthetic")}"}}\n' if export else ""
        self.write(name, f'source: {{url: "{url}"}}\n{target}{extra}')

    def write(self, name: str, text: str) -> None:
        self.settings.configs.mkdir(exist_ok=True)
        (self.settings.configs / f"{name}.yaml").write_text(text)

    def alter(self, name: str, statement: str) -> None:
        self.databases.execute(name, statement)

    def definitions(self) -> dg.Definitions:
        return build_definitions(self.settings)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with instance_in(tmp_path) as made:
        yield made


def instance_in(folder: Path) -> dg.DagsterInstance:
    """A Dagster instance that keeps its records in a folder and tells nobody."""
    return dg.DagsterInstance.local_temp(str(folder), overrides={"telemetry": {"enabled": False}})
