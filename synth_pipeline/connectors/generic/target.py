"""Where an export through SQLAlchemy goes: is it the source, is there something already, may it be written?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import sqlalchemy as sa

from synth_pipeline.connectors.generic import names, reflect
from synth_pipeline.connectors.generic.connector import derived_dialect, server_identity
from synth_pipeline.connectors.generic.load import GenericLoad, execute
from synth_pipeline.connectors.generic.session import label, make_engine, open_session, reason
from synth_pipeline.connectors.generic.spelling import spelling
from synth_pipeline.errors import ExportError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

    from synth_pipeline.catalog.schema import DatabaseSchema

_PROBE = "synth_pipeline_probe"


class GenericTarget:
    """A database, or its schema, to be filled, replaced table by table, or added to; other tables in it are left alone."""

    renamed_kinds = ("constraint", "foreign_key", "index", "comment")
    shared_kinds = ("schema", "type")

    def __init__(self, url: URL) -> None:
        self.label = label(url)
        self._engine, self.traits = make_engine(url)
        self.dialect = derived_dialect(self._engine, self.traits)
        self.spelling = spelling(self.dialect, self._engine.dialect, self.traits) if self.traits.sqlglot else None

    @contextmanager
    def _connection(self) -> Iterator[sa.Connection]:
        connection = open_session(self._engine, self.traits, self.label)
        try:
            yield connection
        except sa.exc.SQLAlchemyError as e:
            remedy = "Check the server, and what the user may do there."
            raise ExportError(f"{self.label} cannot be written: {reason(e)}.", remedy) from None
        finally:
            connection.close()

    def is_same(self, source_identity: str) -> bool:
        with self._connection() as connection:
            return server_identity(connection, self.traits) == source_identity

    def exists(self) -> bool:
        with self._connection() as connection:
            return bool(sa.inspect(connection).get_table_names())

    def reflect(self) -> DatabaseSchema:
        with self._connection() as connection:
            return reflect.reflect(connection, self.traits)

    def rename(self, sql: str, new_name: Callable[[str], str | None]) -> str:
        return names.rename(sql, new_name, self.dialect.quotes)

    def require_writable(self) -> None:
        """Makes and drops an empty table, since no two databases agree how to ask."""
        name = self.dialect.quote(_PROBE)
        kind = str(sa.Integer().compile(dialect=self._engine.dialect))
        key = f" PRIMARY KEY ({self.dialect.quote('a')})" if self.traits.key_after_columns else ""
        with self._connection() as connection:
            execute(connection, f"CREATE TABLE {name} ({self.dialect.quote('a')} {kind} NOT NULL){key}")
            execute(connection, f"DROP TABLE {name}")
            connection.commit()

    @contextmanager
    def load(self, schema: DatabaseSchema, *, in_place: bool) -> Iterator[GenericLoad]:
        with self._connection() as connection:
            load = GenericLoad(connection, self.dialect, self.traits, schema, self.label, in_place=in_place)
            try:
                yield load
            finally:
                load.discard()
