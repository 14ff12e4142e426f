"""What tests of several rooms build on: a real SQLite database read whole into a bundle."""

from __future__ import annotations

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
