"""From a URL to a MySQL or MariaDB database, as SQLAlchemy reads it; known options of the query string go to the driver."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synth_pipeline.connectors.mysql.connector import MySQLConnector
from synth_pipeline.connectors.mysql.target import MySQLTarget
from synth_pipeline.errors import ConfigError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL


def connect(url: URL, schemas: tuple[str, ...] = ()) -> MySQLConnector:
    """Opens the database for reading; a schema is a database here, so that only the URL's own can be named.

    Raises:
        ConfigError: the URL names no database, or `schemas` another one.
    """
    others = [s for s in schemas if s != url.database]
    if others:
        problem = f"The schema {others[0]!r} is another database of a MySQL server."
        raise ConfigError(problem, "Name it in the URL, and write a file of its own for it.")
    return MySQLConnector(_named(url))


def target(url: URL) -> MySQLTarget:
    """The database as something to write."""
    return MySQLTarget(_named(url))


def _named(url: URL) -> URL:
    if not url.database:
        raise ConfigError("The URL of a MySQL server names no database.", "Write it as mysql://user@host/database.")
    return url
