"""Where a MySQL or MariaDB export goes: is it the source, is there something already, may it be written?

A database that does not exist is made when everything is ready for it. How rows and definitions get there is the business
of `load`, and how they take their place that of `swap`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pymysql

from synth_pipeline.connectors.dialects import MYSQL
from synth_pipeline.connectors.mysql import ddl, reflect, swap
from synth_pipeline.connectors.mysql.load import MySQLLoad
from synth_pipeline.connectors.mysql.session import Session, is_lost, label, quoted, refusal, server_identity
from synth_pipeline.connectors.mysql.spelling import SPELLING
from synth_pipeline.errors import ExportError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

    from synth_pipeline.catalog.schema import DatabaseSchema

_SOMETHING = """
    SELECT EXISTS (SELECT 1 FROM information_schema.tables WHERE table_schema = %s)
        OR EXISTS (SELECT 1 FROM information_schema.routines WHERE routine_schema = %s)
"""


class MySQLTarget:
    """A database of a server to be made, replaced or added to."""

    dialect = MYSQL
    spelling = SPELLING
    renamed_kinds: tuple[str, ...] = ()
    shared_kinds = ("sequence",)

    def __init__(self, url: URL) -> None:
        self.label = label(url)
        self._url = url
        self._database = url.database or ""

    def _open(self) -> closing[Session]:
        """A session without a default database, since it may not exist."""
        return closing(Session(self._url, None, local_files=True))

    def is_same(self, source_identity: str) -> bool:
        with self._open() as session:
            return server_identity(session, self._database) == source_identity

    def exists(self) -> bool:
        with self._open() as session:
            return bool(session.one(_SOMETHING, [self._database] * 2)[0])

    def reflect(self) -> DatabaseSchema:
        with closing(Session(self._url, self._database)) as session:
            return reflect.reflect(session, values=False)

    def rename(self, sql: str, new_name: Callable[[str], str | None]) -> str:
        return ddl.rename(sql, new_name)

    def require_writable(self) -> None:
        staging = swap.staging_name(self._database)
        with self._open() as session:
            missing = [name for name in (staging, self._database) if not swap.has_database(session, name)]
            try:
                for name in missing:
                    session.run(f"CREATE DATABASE {quoted(name)}")
                    session.run(f"DROP DATABASE {quoted(name)}")
            except pymysql.err.MySQLError as e:
                kept = " and ".join(f"{pattern}%" for pattern in (reflect.STAGING, reflect.DISCARDED))
                remedy = f"Grant it ALL on {self._database}, and on databases named {kept}, in which an export builds."
                raise ExportError(f"The user of {self.label} may not create a database: {refusal(e)}.", remedy) from None

    @contextmanager
    def load(self, schema: DatabaseSchema, *, in_place: bool) -> Iterator[MySQLLoad]:
        with _explained(self.label), self._open() as session:
            if not swap.lock(session, self._database):
                raise ExportError(f"Another export into {self.label} is under way.", "Wait for its end.")
            swap.sweep(session, self._database)
            load = MySQLLoad(lambda: Session(self._url, None), session, self._database, schema, in_place=in_place)
            try:
                yield load
            finally:
                load.leave()


@contextmanager
def _explained(target: str) -> Iterator[None]:
    """Turns what the server says while it is written to into one clear line."""
    try:
        yield
    except pymysql.err.MySQLError as e:
        problem = f"The connection to {target} was lost" if is_lost(e) else f"{target} cannot be written: {refusal(e)}"
        raise ExportError(f"{problem}.", "Nothing was changed there. Check the server, and what the user may do.") from None
