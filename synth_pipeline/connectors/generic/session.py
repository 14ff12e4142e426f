"""Connections through SQLAlchemy: the engine of a URL, a missing driver, and what drivers raise put into one line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.pool import NullPool

from synth_pipeline.connectors.generic.engines import traits_of
from synth_pipeline.errors import ConfigError, MissingExtraError, SynthPipelineError, UnreachableError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Engine

    from synth_pipeline.connectors.generic.traits import Traits

PREFIX = "sqlalchemy"
"""The scheme `sqlalchemy+NAME` reads a database in this way even where it has a connector of its own."""


def label(url: URL) -> str:
    """The URL without password and options."""
    return url.set(query={}).render_as_string(hide_password=True)


def plain_url(url: URL) -> URL:
    """The URL as SQLAlchemy takes it: without the prefix, with the driver that is meant where none is named."""
    name = url.drivername.removeprefix(f"{PREFIX}+")
    return url.set(drivername=traits_of(name.split("+")[0]).drivername if "+" not in name else name)


def make_engine(url: URL) -> tuple[Engine, Traits]:
    """The engine, which opens a connection whenever one is asked for, and what is known of the database.

    Raises:
        ConfigError: SQLAlchemy has no dialect or driver of that name.
        MissingExtraError: the driver of a known database is not installed.
    """
    named = label(url)
    url = plain_url(url)
    backend = url.drivername.split("+")[0]
    traits = traits_of(backend)
    try:
        arguments = {**traits.engine_options, **(traits.connect(url) if traits.connect else {})}
        if "client" in arguments.get("connect_args", {}):
            url = url.update_query_dict({"user_supplied_client": "true"})
        engine = sa.create_engine(url, poolclass=NullPool, **arguments)
    except exc.NoSuchModuleError:
        if traits.extra:
            raise MissingExtraError(traits.package, traits.extra, f"The connection {named}") from None
        remedy = "Install the package that brings it, or correct the URL."
        raise ConfigError(f"No connector and no dialect of SQLAlchemy knows the scheme {backend!r} of {named}.", remedy) from None
    except ImportError as e:
        if traits.extra:
            raise MissingExtraError(traits.package, traits.extra, f"The connection {named}") from None
        raise ConfigError(f"The connection {named} needs the driver {e.name!r}, which is not installed.", f"pip install {e.name}") from None
    except (exc.ArgumentError, TypeError, ValueError):
        raise ConfigError(f"The URL {named} cannot be used by its driver.", "Check its parts and its options.") from None
    if backend == "sqlite":
        _explicit_transactions(engine)
    return engine, traits


def _explicit_transactions(engine: Engine) -> None:
    """The driver of SQLite would commit before it makes a table; here a transaction begins when SQLAlchemy says so."""

    def on_connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None

    def on_begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    sa.event.listen(engine, "connect", on_connect)
    sa.event.listen(engine, "begin", on_begin)


def open_session(engine: Engine, traits: Traits, named: str, **options: Any) -> sa.Connection:
    """A connection, with the settings that the database needs.

    Raises:
        UnreachableError: it does not answer, or refuses the login.
    """
    try:
        connection = engine.connect().execution_options(**options)
        for statement in traits.session:
            connection.exec_driver_sql(statement)
        return connection
    except exc.SQLAlchemyError as e:
        raise UnreachableError(f"{named} cannot be opened: {reason(e)}.", "Check host, port, database, user and password.") from None
    except Exception as e:  # drivers over HTTP raise what they like before there is a cursor
        if isinstance(e, SynthPipelineError):
            raise
        raise UnreachableError(f"{named} cannot be opened ({type(e).__name__}).", "Check the URL, and the credentials of the environment.") from None


def reason(error: BaseException) -> str:
    """What a driver says, without any value: the kind of the error, and the names of constraints that it quotes.

    Drivers repeat values and statements in their sentences, so that none of these is passed on.
    """
    original = getattr(error, "orig", None) or error
    kind = "".join(f" {c.lower()}" if c.isupper() else c for c in type(original).__name__).strip()
    text = str(original)
    code = re.search(r"\b(ORA-\d+|SQLSTATE[ =:]*\w{5}|\b[0-9A-Z]{5}\b(?=\)))", text)
    return f"{kind} ({code.group()})" if code else kind
