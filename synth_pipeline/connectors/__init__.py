"""How databases are reached: one module per family behind the protocol of `base`, opened here by URL.

Drivers are imported when a URL asks for them, and not before.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from synth_pipeline.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

    from synth_pipeline.config import Connection, ExportConfig
    from synth_pipeline.connectors.base import Connector, Target

__all__ = ["connect", "masked", "open_connector", "open_target", "resolve_url"]

_FAMILIES: dict[str, tuple[str, str, str]] = {
    "sqlite": ("synth_pipeline.connectors.sqlite.open", "sqlite3", ""),
    "files": ("synth_pipeline.connectors.files.open", "pyarrow", ""),
    "postgresql": ("synth_pipeline.connectors.postgresql.open", "psycopg", "postgresql"),
    "postgres": ("synth_pipeline.connectors.postgresql.open", "psycopg", "postgresql"),
    "alloydb": ("synth_pipeline.connectors.postgresql.alloydb", "psycopg", "alloydb"),
    "duckdb": ("synth_pipeline.connectors.duckdb.open", "duckdb", "duckdb"),
    "mysql": ("synth_pipeline.connectors.mysql.open", "pymysql", "mysql"),
    "mariadb": ("synth_pipeline.connectors.mysql.open", "pymysql", "mysql"),
}
"""Scheme (before any `+driver`) to the module with `connect` and `target`, its driver, and the extra that brings it."""
_GENERIC = ("synth_pipeline.connectors.generic.open", "sqlalchemy", "")
"""Everything else is SQLAlchemy's: one of its dialects, or an error that says what is missing."""


def connect(url: str, schemas: Sequence[str] = ()) -> Connector:
    """Opens the database of a URL for reading.

    Raises:
        ConfigError: the URL cannot be understood, or no connector knows its scheme.
        MissingExtraError: the driver is not installed.
        UnreachableError: the database does not answer, or its file does not exist.
    """
    parsed = _parse(url)
    connector: Connector = _family(parsed).connect(parsed, tuple(schemas))
    return connector


def open_connector(connection: Connection) -> Connector:
    """Opens the database that a configuration names; see `connect`."""
    return connect(resolve_url(connection), connection.schemas)


def open_target(config: ExportConfig) -> Target:
    """The database that an export writes; nothing is opened or changed yet."""
    parsed = _parse(resolve_url(config))
    target: Target = _family(parsed).target(parsed)
    return target


def resolve_url(connection: Connection | ExportConfig) -> str:
    """The URL that `url` or `url_env` gives.

    Raises:
        ConfigError: neither is set, or the environment variable is not.
    """
    if connection.url:
        return connection.url
    if not connection.url_env:
        raise ConfigError("The connection has no URL.", "Set `url`, or `url_env` to the name of an environment variable that holds it.")
    url = os.environ.get(connection.url_env)
    if not url:
        raise ConfigError(f"The environment variable {connection.url_env} is not set.", "Set it to the URL of the database.")
    return url


def masked(url: str) -> str:
    """The URL without password and options, for messages."""
    return _label(_parse(url))


def _label(url: URL) -> str:
    return url.set(query={}).render_as_string(hide_password=True)


def _parse(url: str) -> URL:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        # What cannot be parsed may hold a password: it is not repeated.
        remedy = "Write it as dialect://user@host/database, or sqlite:///path/to/file.db."
        raise ConfigError("The database URL cannot be understood.", remedy) from None


def _family(url: URL) -> _Family:
    scheme = url.drivername.split("+")[0]
    module, driver, extra = _FAMILIES.get(scheme, _GENERIC)
    try:
        return import_module(module)
    except ModuleNotFoundError as e:
        if e.name and e.name.split(".")[0] == driver:
            raise MissingExtraError(driver, extra, f"The connection {_label(url)}") from e
        raise


if TYPE_CHECKING:
    from typing import Protocol

    class _Family(Protocol):
        def connect(self, url: URL, schemas: tuple[str, ...]) -> Connector: ...
        def target(self, url: URL) -> Target: ...
