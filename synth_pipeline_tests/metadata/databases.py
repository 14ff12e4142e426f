"""Small real SQLite databases for the tests of inference, and copies of real ones without their keys."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synth_pipeline.config import ColumnConfig
from synth_pipeline.connectors import connect
from synth_pipeline.metadata.infer import infer
from synth_pipeline.metadata.model import SynthesisMetadata


def build(path: Path, ddl: str, rows: Mapping[str, Any]) -> Path:
    """Creates a database file."""
    connection = sqlite3.connect(path)
    connection.executescript(ddl)
    for table, values in rows.items():
        if values:
            connection.executemany(f'INSERT INTO "{table}" VALUES ({",".join("?" * len(values[0]))})', values)
    connection.commit()
    connection.close()
    return path


def infer_file(path: Path, overrides: Mapping[str, ColumnConfig] | None = None) -> SynthesisMetadata:
    """Reflects, profiles and infers through the real connector."""
    connector = connect(f"sqlite:///{path}")
    try:
        schema = connector.reflect()
        return infer(schema, (connector.profile(t) for t in schema.tables), overrides=overrides, probes=connector)
    finally:
        connector.close()


def strip_keys(source: Path, target: Path) -> Path:
    """A copy with the same tables, types and NOT NULL, but no PRIMARY KEY, UNIQUE, FOREIGN KEY or CHECK."""
    connection = sqlite3.connect(f"file:{target}", uri=True)
    connection.execute(f"ATTACH 'file:{source}?mode=ro' AS source")
    for (table,) in connection.execute("SELECT name FROM source.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").fetchall():
        name = '"' + table.replace('"', '""') + '"'
        columns = connection.execute(f"PRAGMA source.table_info({name})").fetchall()
        parts = ['"' + c[1].replace('"', '""') + f'" {c[2]}{" NOT NULL" if c[3] else ""}' for c in columns]
        connection.execute(f"CREATE TABLE main.{name} ({', '.join(parts)})")
        connection.execute(f"INSERT INTO main.{name} SELECT * FROM source.{name}")
    connection.commit()
    connection.close()
    return target
