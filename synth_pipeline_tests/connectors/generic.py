"""Engines of the contract reached through SQLAlchemy: the same databases, another way to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from synth_pipeline_tests.connectors.contract import Values
from synth_pipeline_tests.connectors.engines import PostgreSQL, SQLite

_PREFIX = "sqlalchemy+"


class GenericSQLite(SQLite):
    """Files, with keys of text hashed on the client and keys as bound parameters."""

    absent: ClassVar[dict[str, str]] = {**SQLite.absent, "key": "SQLAlchemy does not know the type"}
    values: ClassVar[dict[str, Values]] = {k: v for k, v in SQLite.values.items() if k != "key"}

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)

    def new(self) -> str:
        return _PREFIX + super().new()

    def execute(self, url: str, statements: Sequence[str]) -> None:
        super().execute(url.removeprefix(_PREFIX), statements)

    def query(self, url: str, sql: str) -> list[tuple[Any, ...]]:
        return super().query(url.removeprefix(_PREFIX), sql)


class GenericPostgreSQL(PostgreSQL):
    """Databases of a server, through psycopg's ordinary cursors."""

    values: ClassVar[dict[str, Values]] = {
        **PostgreSQL.values, "list": Values("text[]", "array", (("'{a,\"b,c\",NULL}'", '["a", "b,c", null]'), ("'{}'", "[]"))),
    }  # fmt: skip

    def __init__(self, new_database: Callable[..., str]) -> None:
        super().__init__(new_database)

    def new(self) -> str:
        return _PREFIX + super().new()

    def execute(self, url: str, statements: Sequence[str]) -> None:
        super().execute(url.removeprefix(_PREFIX), statements)

    def query(self, url: str, sql: str) -> list[tuple[Any, ...]]:
        return super().query(url.removeprefix(_PREFIX), sql)
