"""From a URL to a SQLite file, as SQLAlchemy reads it: `sqlite:///relative.db`, `sqlite:////absolute.db`, `file:` URIs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synth_pipeline.connectors.local import database_path, label
from synth_pipeline.errors import ConfigError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

    from synth_pipeline.connectors.sqlite.connector import SQLiteConnector
    from synth_pipeline.connectors.sqlite.target import SQLiteTarget


def connect(url: URL, schemas: tuple[str, ...] = ()) -> SQLiteConnector:
    """Opens the file for reading."""
    from synth_pipeline.connectors.sqlite.connector import SQLiteConnector

    if [s for s in schemas if s != "main"]:
        raise ConfigError(f"SQLite has no schemas, but {', '.join(schemas)} is asked for.", "Remove `schemas`.")
    path = database_path(url)
    return SQLiteConnector(path, label(url))


def target(url: URL) -> SQLiteTarget:
    """The file as something to write."""
    from synth_pipeline.connectors.sqlite.target import SQLiteTarget

    return SQLiteTarget(database_path(url), label(url))
