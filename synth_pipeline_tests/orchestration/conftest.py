"""A deployment in a temporary folder, with real SQLite sources."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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


@dataclass
class Place:
    """Where a deployment's files lie."""

    root: Path

    @property
    def settings(self) -> Settings:
        return Settings(configs=self.root / "configs", artifacts=str(self.root / "artifacts"), executor="in_process")

    def database(self, name: str) -> Path:
        return self.root / f"{name}.db"

    def target(self, name: str) -> Path:
        return self.root / f"{name}_synthetic.db"

    def add(self, name: str, *, rows: int = 120, extra: str = "", export: bool = True) -> Path:
        """A source with its database and its file; `extra` is appended to the file."""
        with sqlite3.connect(self.database(name)) as connection:
            connection.executescript(SCHEMA)
            connection.executemany(
                "INSERT INTO customer VALUES (?, ?, ?)",
                [(i, f"person{i}@example.org", ("north", "south")[i % 3 % 2]) for i in range(1, rows // 3 + 1)],
            )
            connection.executemany(
                "INSERT INTO purchase VALUES (?, ?, ?, ?)",
                [(i, 1 + i * i % (rows // 3), round(10 + i % 37 * 1.5, 2), f"2024-{1 + i % 12:02d}-{1 + i % 28:02d}") for i in range(1, rows + 1)],
            )
        connection.close()
        target = f'export: {{url: "sqlite:///{self.target(name)}"}}\n' if export else ""
        self.write(name, f'source: {{url: "sqlite:///{self.database(name)}"}}\n{target}{extra}')
        return self.database(name)

    def write(self, name: str, text: str) -> None:
        self.settings.configs.mkdir(exist_ok=True)
        (self.settings.configs / f"{name}.yaml").write_text(text)

    def alter(self, name: str, statement: str) -> None:
        connection = sqlite3.connect(self.database(name))
        connection.execute(statement)
        connection.commit()
        connection.close()

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
