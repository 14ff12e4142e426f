"""From a URL to a DuckDB file, as SQLAlchemy reads it: `duckdb:///relative.duckdb`, `duckdb:////absolute.duckdb`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synth_pipeline.connectors.duckdb.connector import DuckDBConnector
from synth_pipeline.connectors.duckdb.target import DuckDBTarget
from synth_pipeline.connectors.local import database_path, label

if TYPE_CHECKING:
    from sqlalchemy.engine import URL


def connect(url: URL, schemas: tuple[str, ...] = ()) -> DuckDBConnector:
    """Opens the file for reading; without `schemas`, all of them."""
    return DuckDBConnector(database_path(url), schemas, label(url))


def target(url: URL) -> DuckDBTarget:
    """The file as something to write."""
    return DuckDBTarget(database_path(url), label(url))
