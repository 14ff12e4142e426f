"""What tests of several rooms build on: a real SQLite database read whole into a bundle."""

from __future__ import annotations

from pathlib import Path

from synth_pipeline.artifacts import BundleWriter, TableBundle
from synth_pipeline.catalog.schema import DatabaseSchema
from synth_pipeline.connectors import connect


def bundle_of(database_path: Path | str, directory: Path | str) -> tuple[DatabaseSchema, TableBundle]:
    """Reads every row of a SQLite database; the bundle lies in `directory`."""
    connector = connect(f"sqlite:///{database_path}")
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
