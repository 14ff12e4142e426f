"""From a URL to a SQLite file, as SQLAlchemy reads it: `sqlite:///relative.db`, `sqlite:////absolute.db`, `file:` URIs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

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


def label(url: URL) -> str:
    """The URL without options."""
    return url.set(query={}).render_as_string(hide_password=True)


def database_path(url: URL) -> Path:
    """The file of the URL; relative ones start at the working directory.

    Raises:
        ConfigError: the URL names no file, but a database in memory.
    """
    name = url.database or ""
    if name.startswith("file:"):
        name = unquote(urlsplit(name).path)
    if name in ("", ":memory:") or "mode=memory" in str(url):
        raise ConfigError(f"{label(url)} names no file.", "Write sqlite:///relative/path.db or sqlite:////absolute/path.db.")
    return Path(name).expanduser() if name.startswith("~") else Path(name)
