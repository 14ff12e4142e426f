"""Connections to a MySQL or MariaDB server: opened by URL, with settings that make text forms the same everywhere.

What the driver raises is put into one clear line here; what is read or written belongs to others.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import pymysql
from pymysql.constants import CR, ER
from pymysql.cursors import SSCursor

from synth_pipeline.connectors.dialects import MYSQL
from synth_pipeline.errors import SourceError, UnreachableError

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

OLDEST = {"MariaDB": (10, 6), "MySQL": (8, 0)}
"""What has JSON_TABLE."""
MODE = "STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION"
_SETTINGS = (
    f"SET SESSION sql_mode = '{MODE}', time_zone = '+00:00', sql_quote_show_create = 1, net_write_timeout = 7200, net_read_timeout = 7200, "
    "wait_timeout = 86400, group_concat_max_len = 1048576"
)
_DEPTH = {"MariaDB": "max_recursive_iterations", "MySQL": "cte_max_recursion_depth"}
_OPTIONS: dict[str, Callable[[str], Any]] = {
    "unix_socket": str, "connect_timeout": int, "read_timeout": int, "write_timeout": int, "ssl_ca": str, "ssl_cert": str, "ssl_key": str,
    "ssl_verify_cert": lambda v: v.lower() in ("1", "true", "yes"), "ssl_verify_identity": lambda v: v.lower() in ("1", "true", "yes"),
}  # fmt: skip
_LOST = {CR.CR_SERVER_GONE_ERROR, CR.CR_SERVER_LOST, CR.CR_SERVER_LOST_EXTENDED, ER.SERVER_SHUTDOWN, 1927}  # the last: "connection was killed"
_NO_SUCH_DATABASE = ER.BAD_DB_ERROR
_NAMED = re.compile(r"(?:for key|for column|column|CONSTRAINT|constraint) [`']([^`']+)[`'](?:\.`([^`]+)`\.`([^`]+)`)?")
_QUOTED = re.compile(r"`(?:[^`]|``)*`")
_TWICE = {ER.DUP_ENTRY, 1586}
_WITHOUT_VALUES = {
    ER.DBACCESS_DENIED_ERROR, ER.ACCESS_DENIED_ERROR, ER.TABLEACCESS_DENIED_ERROR, ER.COLUMNACCESS_DENIED_ERROR, ER.SPECIFIC_ACCESS_DENIED_ERROR,
    ER.NO_SUCH_TABLE, ER.BAD_FIELD_ERROR, ER.TABLE_EXISTS_ERROR, ER.BAD_DB_ERROR, ER.LOCK_WAIT_TIMEOUT, ER.UNKNOWN_COLLATION,
    ER.UNKNOWN_CHARACTER_SET,
    ER.TOO_LONG_KEY, ER.TOO_BIG_ROWSIZE, ER.UNKNOWN_STORAGE_ENGINE, ER.RECORD_FILE_FULL, ER.BAD_NULL_ERROR, ER.SP_DOES_NOT_EXIST, ER.VIEW_INVALID,
    ER.NO_REFERENCED_ROW_2, ER.ROW_IS_REFERENCED_2, ER.CANT_CREATE_TABLE, 1005, 4025, 3819,
}  # fmt: skip
"""Codes of messages that name objects only; the last two are those of CHECK constraints."""


def label(url: URL) -> str:
    """The URL without password and options."""
    return url.set(query={}).render_as_string(hide_password=True)


@cache
def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class _Connection(pymysql.connections.Connection):  # type: ignore[misc]
    """Prefers TLS, as the driver does, which reads the machine's certificates for each connection and checks none of them: 50 ms for nothing."""

    def _create_ssl_ctx(self, sslp: Any) -> Any:
        return super()._create_ssl_ctx(sslp) if sslp else _unverified()


class Session:
    """A connection in autocommit mode.

    Attributes:
        database: the default database, or None.
        family: MariaDB or MySQL.
        version: as the server says it.
    """

    def __init__(self, url: URL, database: str | None, *, local_files: bool = False) -> None:
        options = _options(url)
        try:
            self._raw = _Connection(
                host=url.host or "127.0.0.1", port=url.port or 3306, user=url.username or None, password=str(url.password or ""),
                database=database, charset="utf8mb4", autocommit=True, local_infile=local_files, **options,
            )  # fmt: skip
        except (pymysql.err.MySQLError, OSError, RuntimeError) as e:
            code = e.args[0] if isinstance(e, pymysql.err.MySQLError) and e.args else 0
            error = MissingDatabaseError if code == _NO_SUCH_DATABASE else UnreachableError
            raise error(f"{label(url)} cannot be opened: {_sentence(e)}.", "Check host, port, database, user and password.") from None
        self.database = database
        self.version = str(self.one("SELECT version()")[0])
        self.family = "MariaDB" if "mariadb" in self.version.lower() else "MySQL"
        if self.release < OLDEST[self.family]:
            self.close()
            oldest = ".".join(map(str, OLDEST[self.family]))
            raise SourceError(f"{self.family} {self.version} of {label(url)} is too old.", f"Use {self.family} {oldest} or newer.")
        self.run(_SETTINGS)
        self.run("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        self.run(f"SET SESSION {_DEPTH[self.family]} = 4294967295")

    @property
    def release(self) -> tuple[int, ...]:
        """The first two numbers of the version."""
        return tuple(int(n) for n in re.findall(r"\d+", self.version.removeprefix("5.5.5-"))[:2])

    @property
    def is_open(self) -> bool:
        return bool(self._raw.open)

    def run(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Executes a statement; its rows, if it has any."""
        with self._raw.cursor() as cursor:
            cursor.execute(_escaped(sql, params), tuple(params) or None)
            return list(cursor.fetchall())

    def change(self, sql: str) -> tuple[int, int]:
        """Executes a statement that has no parameters; the rows that it affected, and its warnings."""
        with self._raw.cursor() as cursor:
            rows = cursor.execute(sql)
            return int(rows), int(cursor.warning_count)

    def many(self, sql: str, rows: Sequence[Sequence[Any]]) -> int:
        """An INSERT of many rows, as few statements as the driver can make of them."""
        with self._raw.cursor() as cursor:
            return int(cursor.executemany(sql, rows) or 0)

    def one(self, sql: str, params: Sequence[Any] = ()) -> tuple[Any, ...]:
        """The only row of a SELECT."""
        return self.run(sql, params)[0]

    def records(self, sql: str, params: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """The rows by the lower-case names of their columns."""
        with self._raw.cursor() as cursor:
            cursor.execute(_escaped(sql, params), tuple(params) or None)
            names = [d[0].lower() for d in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def stream(self, sql: str, params: Sequence[Any] = ()) -> SSCursor:
        """A SELECT whose rows stay on the server until they are fetched; nothing else may run before its end."""
        cursor = self._raw.cursor(SSCursor)
        cursor.execute(_escaped(sql, params), tuple(params) or None)
        return cursor

    def use(self, database: str) -> None:
        """Changes the default database."""
        self._raw.select_db(database)
        self.database = database

    def close(self) -> None:
        if self._raw.open:
            self._raw.close()


class MissingDatabaseError(UnreachableError):
    """The server answers, but has no such database."""


def _options(url: URL) -> dict[str, Any]:
    found: dict[str, Any] = {"connect_timeout": 15}
    for name, value in url.query.items():
        text = value if isinstance(value, str) else value[-1]
        if name == "charset":  # always utf8mb4
            continue
        try:
            found[name] = _OPTIONS[name](text)
        except (KeyError, ValueError):
            known = ", ".join(_OPTIONS)
            raise UnreachableError(f"The option {name} of {label(url)} is not understood.", f"Known after the question mark: {known}.") from None
    return found


def _escaped(sql: str, params: Sequence[Any]) -> str:
    """The statement with the percent signs of its names doubled, which the driver asks for where there are parameters."""
    return _QUOTED.sub(lambda m: m.group().replace("%", "%%"), sql) if params else sql


def server_identity(session: Session, database: str) -> str:
    """What the server calls itself, by whatever address it is reached, and the database."""
    if session.family == "MySQL":
        server = str(session.one("SELECT @@server_uuid")[0])
    else:
        cluster = session.run("SHOW STATUS LIKE 'wsrep_cluster_state_uuid'")
        server = str(cluster[0][1]) if cluster and cluster[0][1] else ""
        server = server or "|".join(str(v) for v in session.one("SELECT @@hostname, @@port, @@datadir, @@server_id"))
    folded = int(session.one("SELECT @@lower_case_table_names")[0])
    return f"mysql:{server}/{database.lower() if folded else database}"


def is_lost(error: Exception) -> bool:
    """Whether the connection is gone."""
    return isinstance(error, pymysql.err.InterfaceError) or _code(error) in _LOST


def refusal(error: Exception) -> str:
    """What the server said, without any value: its own sentence may repeat one."""
    code, text = _code(error), _sentence(error)
    if code in _WITHOUT_VALUES or isinstance(error, pymysql.err.InternalError) and not code:
        return text
    if code in _TWICE:
        return f"a value is there twice in {_place(text)}"
    kind = next((name for name in dir(ER) if name.isupper() and getattr(ER, name) == code), "")
    return f"{kind.lower().replace('_', ' ') or 'error'} ({code}){f' in {_place(text)}' if _NAMED.search(text) else ''}"


def _place(text: str) -> str:
    """The key, column or constraint that a message names last: values come before it."""
    found = list(_NAMED.finditer(text))
    return ".".join(part for part in found[-1].groups()[-1:] if part) or found[-1][1] if found else "a key"


def _code(error: Exception) -> int:
    return error.args[0] if error.args and isinstance(error.args[0], int) else 0


def _sentence(error: Exception) -> str:
    text = str(error.args[1] if len(error.args) > 1 else error)
    return (text.splitlines() or ["no answer"])[0].strip().rstrip(".")


def quoted(*names: str | None) -> str:
    """A qualified, quoted name."""
    return ".".join(MYSQL.quote(n) for n in names if n)
