"""From a URL to a PostgreSQL database, as SQLAlchemy reads it; options of the query string go to libpq."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synth_pipeline.connectors.postgresql.connector import PostgreSQLConnector
from synth_pipeline.connectors.postgresql.target import PostgreSQLTarget

if TYPE_CHECKING:
    from sqlalchemy.engine import URL


def connect(url: URL, schemas: tuple[str, ...] = ()) -> PostgreSQLConnector:
    """Opens the database for reading; without `schemas`, all that are not the server's own."""
    return PostgreSQLConnector(url, schemas)


def target(url: URL) -> PostgreSQLTarget:
    """The database as something to write."""
    return PostgreSQLTarget(url)
