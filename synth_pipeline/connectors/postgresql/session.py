"""Connections to a PostgreSQL server: opened by URL, with settings that make text forms the same everywhere.

What the driver raises is put into one clear line here; what is read or written belongs to others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from synth_pipeline.errors import SourceError, UnreachableError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

Connection = psycopg.Connection[tuple[Any, ...]]

OLDEST = 140_000
"""PostgreSQL 14: what the catalogue is asked for."""
_SETTINGS = """
    SET client_encoding = 'UTF8'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; SET TimeZone = 'UTC'; SET extra_float_digits = 1;
    SET bytea_output = 'hex'; SET xmloption = 'content'; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;
    SET standard_conforming_strings = on
"""


def label(url: URL) -> str:
    """The URL without password and options."""
    return url.set(query={}).render_as_string(hide_password=True)


OPENERS: dict[str, Callable[..., Connection]] = {}
"""What opens connections of a scheme that has a way of its own, given the URL and the driver's options."""


def _driver(_: URL, **options: Any) -> Connection:
    connection: Connection = psycopg.connect(**options)
    return connection


def open_session(url: URL, *, database: str | None = None) -> Connection:
    """A connection in autocommit mode.

    Raises:
        UnreachableError: the server does not answer, has no such database or refuses the login.
        SourceError: the server is older than PostgreSQL 14.
    """
    options: dict[str, Any] = {k: v if isinstance(v, str) else v[-1] for k, v in url.query.items()}
    for key, value in (("host", url.host), ("port", url.port), ("user", url.username), ("password", url.password)):
        if value is not None:
            options[key] = value
    options.setdefault("application_name", "synth-pipeline")
    options.setdefault("connect_timeout", "15")
    try:
        options |= {"dbname": database or url.database or "", "autocommit": True, "prepare_threshold": None}
        opener: Callable[..., Connection] = OPENERS.get(url.drivername, _driver)
        connection = opener(url, **options)
    except psycopg.ProgrammingError:
        raise UnreachableError(f"The options of {label(url)} are not understood.", "Check what follows the question mark of the URL.") from None
    except psycopg.OperationalError as e:
        reason = (str(e).strip().splitlines() or ["no answer"])[-1]
        raise UnreachableError(f"{label(url)} cannot be opened: {reason}.", "Check host, port, database, user and password.") from None
    if connection.info.server_version < OLDEST:
        version = connection.info.server_version // 10_000
        connection.close()
        raise SourceError(f"PostgreSQL {version} of {label(url)} is too old.", "Use PostgreSQL 14 or newer.")
    connection.execute(_SETTINGS)
    return connection


def qualified_only(connection: Connection) -> None:
    """From now on the server spells every name outside pg_catalog with its schema, and understands no other."""
    connection.execute("SELECT pg_catalog.set_config('search_path', '', false)")


def server_identity(connection: Connection) -> str:
    """The system identifier of the server's data, which replicas share, and the database."""
    try:
        system = connection.execute("SELECT system_identifier FROM pg_catalog.pg_control_system()").fetchone()
    except psycopg.errors.InsufficientPrivilege:  # some hosted servers do not tell it
        system = connection.execute("SELECT inet_server_addr()::text || ':' || inet_server_port()").fetchone()
    return f"postgresql:{system[0] if system else ''}/{connection.info.dbname}"


def refusal(error: psycopg.Error) -> str:
    """What the server said, without any value: its own sentence may repeat one."""
    diagnosis = error.diag
    named = diagnosis.constraint_name or diagnosis.column_name
    where = f" ({named})" if named else ""
    kind = type(error).__name__
    safe = isinstance(error, psycopg.errors.IntegrityError | psycopg.errors.InsufficientPrivilege | psycopg.OperationalError)
    message = "".join(f" {c.lower()}" if c.isupper() else c for c in kind).strip()
    if safe:
        message = diagnosis.message_primary or (str(error).splitlines() or [kind])[0]
    return f"{message}{where if named and named not in message else ''}"


def quoted(*names: str | None) -> str:
    """A qualified, quoted name."""
    return ".".join(sql.Identifier(n).as_string(None) for n in names if n)
