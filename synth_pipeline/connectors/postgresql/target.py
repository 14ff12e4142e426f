"""Where a PostgreSQL export goes: is it the source, is there something already, may it be written?

A database that does not exist is made, and removed again when the export fails. How rows and definitions get there is
the business of `load`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

import psycopg

from synth_pipeline.connectors.dialects import POSTGRESQL
from synth_pipeline.connectors.postgresql import names, reflect, schemas
from synth_pipeline.connectors.postgresql.load import PostgreSQLLoad, sweep
from synth_pipeline.connectors.postgresql.session import Connection, label, open_session, qualified_only, quoted, refusal, server_identity
from synth_pipeline.connectors.postgresql.spelling import SPELLING
from synth_pipeline.errors import ExportError, UnreachableError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

    from synth_pipeline.catalog.schema import DatabaseSchema

_MAINTENANCE = ("postgres", "template1")
_LOCK = 0x73796E7468
"""The advisory lock that keeps two exports into one database apart."""
_SOMETHING = """
    SELECT EXISTS (
        SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
            AND n.nspname NOT LIKE %s AND (%s::text[] IS NULL OR n.nspname = ANY(%s))
            AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend e WHERE e.objid = c.oid AND e.deptype = 'e')
    )
"""


class PostgreSQLTarget:
    """A database of a PostgreSQL server to be made, replaced or added to, schema by schema."""

    dialect = POSTGRESQL
    spelling = SPELLING
    renamed_kinds = ("sequence", "partition", "key", "index", "attachment", "check", "foreign_key", "owned", "cluster", "replica_identity")
    shared_kinds = ("schema", "extension", "type", "function")

    def __init__(self, url: URL, schemas: tuple[str, ...] | None = None) -> None:
        self.label = label(url)
        self._url, self._schemas = url, schemas

    def is_same(self, source_identity: str) -> bool:
        if self._missing():
            return False
        with closing(open_session(self._url)) as connection:
            return server_identity(connection) == source_identity

    def exists(self) -> bool:
        if self._missing():
            return False
        with closing(open_session(self._url)) as connection:
            wanted = None if self._schemas is None else list(self._schemas)
            found = connection.execute(_SOMETHING, [f"{reflect.DISCARDED}%", wanted, wanted]).fetchone()
            return bool(found and found[0])

    def reflect(self) -> DatabaseSchema:
        with closing(open_session(self._url)) as connection:
            qualified_only(connection)
            present = [str(n) for (n,) in connection.execute("SELECT nspname FROM pg_catalog.pg_namespace").fetchall()]
            return reflect.reflect(connection, [s for s in self._schemas or () if s in present])

    def in_schemas(self, schema: DatabaseSchema, names: Mapping[str, str]) -> tuple[PostgreSQLTarget, DatabaseSchema, tuple[str, ...]]:
        made, unclear = schemas.moved(schema, schemas.resolved(schema, names))
        return PostgreSQLTarget(self._url, schemas.of(made)), made, unclear

    def rename(self, sql: str, new_name: Callable[[str], str | None]) -> str:
        return names.rename(sql, new_name)

    def _maintenance(self) -> Connection:
        for name in _MAINTENANCE:
            with suppress(UnreachableError):
                return open_session(self._url, database=name)
        raise UnreachableError(f"{self.label} cannot be opened, and no other database of its server can.", "Create the database first.")

    def _missing(self) -> bool:
        """Whether the server answers but has no such database."""
        try:
            open_session(self._url).close()
            return False
        except UnreachableError as e:
            with suppress(UnreachableError), closing(self._maintenance()) as connection:
                name = self._url.database or ""
                if connection.execute("SELECT 1 FROM pg_catalog.pg_database WHERE datname = %s", [name]).fetchone() is None:
                    return True
            raise e

    def require_writable(self) -> None:
        if self._missing():
            with closing(self._maintenance()) as connection:
                sql = "SELECT rolcreatedb OR rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user"
                allowed = connection.execute(sql).fetchone()
        else:
            with closing(open_session(self._url)) as connection:
                allowed = connection.execute("SELECT has_database_privilege(current_database(), 'CREATE')").fetchone()
        if not allowed or not allowed[0]:
            raise ExportError(f"The role of {self.label} may not create anything there.", "Give it CREATE on the database, or use its owner.")

    @contextmanager
    def load(self, schema: DatabaseSchema, *, in_place: bool) -> Iterator[PostgreSQLLoad]:
        made = self._missing()
        if made:
            self._create_database(schema)
        load: PostgreSQLLoad | None = None
        try:
            with _explained(self.label), closing(open_session(self._url)) as connection:
                qualified_only(connection)
                locked = connection.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK]).fetchone()
                if not locked or not locked[0]:
                    raise ExportError(f"Another export into {self.label} is under way.", "Wait for its end.")
                sweep(connection)
                connection.execute("BEGIN")
                connection.execute("SET LOCAL check_function_bodies = off")
                load = PostgreSQLLoad(connection, schema, in_place=in_place)
                if in_place:
                    load.hold_triggers()
                yield load
        finally:
            if made and not (load and load.published):
                self._drop_database()

    def _create_database(self, schema: DatabaseSchema) -> None:
        settings = dict(s for s in schema.settings if s[0] in ("encoding", "collate", "ctype"))
        words = {"encoding": "ENCODING", "collate": "LC_COLLATE", "ctype": "LC_CTYPE"}
        like = "".join(f" {words[name]} '{value}'" for name, value in settings.items())
        name = quoted(self._url.database)
        with _explained(self.label), closing(self._maintenance()) as connection:
            try:
                connection.execute(f"CREATE DATABASE {name} TEMPLATE template0{like}".encode())
            except (psycopg.errors.WrongObjectType, psycopg.errors.InvalidParameterValue):  # a locale of another operating system
                connection.execute(f"CREATE DATABASE {name}".encode())

    def _drop_database(self) -> None:
        with suppress(psycopg.Error, UnreachableError), closing(self._maintenance()) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {quoted(self._url.database)}".encode())


@contextmanager
def _explained(target: str) -> Iterator[None]:
    """Turns what the server says while it is written to into one clear line."""
    try:
        yield
    except psycopg.Error as e:
        lost = isinstance(e, psycopg.OperationalError) and e.sqlstate is None
        problem = f"The connection to {target} was lost" if lost else f"{target} cannot be written: {refusal(e)}"
        raise ExportError(f"{problem}.", "Nothing was changed there. Check the server, and what the role may do.") from None
