"""What tests of several rooms build on: a real SQLite database read whole into a bundle, and copies as databases again."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

from synth_pipeline.artifacts import BundleWriter, TableBundle
from synth_pipeline.catalog.schema import DatabaseSchema
from synth_pipeline.connectors import connect
from synth_pipeline.notebook import Fitted
from synth_pipeline.progress import Silent
from synth_pipeline.synthesis.base import SampleRequest


def bundle_of(database_path: Path | str, directory: Path | str) -> tuple[DatabaseSchema, TableBundle]:
    """Reads every row of a SQLite database; the bundle lies in `directory`."""
    return read_bundle(f"sqlite:///{database_path}", directory)


def read_bundle(url: str, directory: Path | str) -> tuple[DatabaseSchema, TableBundle]:
    """Reads every row of a database, each table in an order of its own; the bundle lies in `directory`."""
    connector = connect(url)
    try:
        schema = connector.reflect()
        writer = BundleWriter(directory, schema)
        with writer, connector.snapshot() as snapshot:
            for table in schema.tables:
                for batch in snapshot.rows(table):
                    writer.write(table.id, batch)
    finally:
        connector.close()
    return schema, TableBundle.open(directory)


def sampled(fitted: Fitted, folder: Path, request: SampleRequest) -> TableBundle:
    """What a fitted synthesizer draws, as a request has it; the tables lie in a new folder."""
    folder.mkdir()
    with BundleWriter(folder, fitted.taken.described.working) as writer:
        fitted.made.sample(request, writer, Silent())
    return TableBundle.open(folder)


def copied(fitted: Fitted, folder: Path, shard_rows: int) -> Path:
    """What a fitted synthesizer draws, in shards of about so many rows, as a SQLite database in a new folder."""
    drawn = sampled(fitted, folder, SampleRequest(seed=2, shard_rows=shard_rows))
    with sqlite3.connect(folder / "copy.db") as db:
        for table in fitted.taken.described.working.table_ids:
            rows = drawn.read(table)
            db.execute(f"CREATE TABLE {table} ({', '.join(rows.column_names)})")
            values = [tuple(_plain(v) for v in row.values()) for row in rows.to_pylist()]
            db.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * rows.num_columns)})", values)
    db.close()
    return folder / "copy.db"


def _plain(value: object) -> object:
    return float(value) if isinstance(value, Decimal) else str(value) if isinstance(value, dt.date) else value


def broken_in(path: Path, statements: Mapping[str, str]) -> dict[str, int]:
    """How many rows of a SQLite database break each statement, of those that count any."""
    with sqlite3.connect(path) as db:
        found = {name: int(db.execute(sql).fetchone()[0]) for name, sql in statements.items()}
    db.close()
    return {name: n for name, n in found.items() if n}
