"""MariaDB for tests: a server that is found or started, what it shows of a database, and copies of SQLite files."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pymysql
from sqlalchemy.engine import make_url

from synth_pipeline.catalog.schema import Column, DatabaseSchema
from synth_pipeline.connectors import connect
from synth_pipeline.connectors.mysql.session import quoted
from synth_pipeline.connectors.mysql.values import rows
from synth_pipeline_tests.waiting import free_port

LOCAL = "mysql://root@127.0.0.1:3306/{}"
_NATIVE = {
    "integer": "bigint", "float": "double", "datetime": "datetime(6)", "binary": "longblob", "boolean": "boolean", "date": "date", "time": "time(6)",
}  # fmt: skip


@contextmanager
def server() -> Iterator[str]:
    """The URL of a server with {} for the database: of SYNTH_TEST_MARIADB_URL, on this machine, or one that is started.

    Raises:
        RuntimeError: there is none; the text says what was tried.
    """
    given = os.environ.get("SYNTH_TEST_MARIADB_URL")
    if given:
        yield make_url(given).set(database="{}").render_as_string(hide_password=False).replace("%7B%7D", "{}")
        return
    with suppress(pymysql.err.MySQLError):
        open_url(LOCAL.format("")).close()
        yield LOCAL
        return
    programs = [shutil.which(name) for name in ("mariadbd", "mariadb-install-db")]
    if not all(programs):
        raise RuntimeError(
            "no MariaDB: SYNTH_TEST_MARIADB_URL is not set, root without a password cannot log in at 127.0.0.1:3306, "
            "and mariadbd is not on the PATH (install the package mariadb-server)"
        )
    with _started(*map(str, programs)) as url:
        yield url


@contextmanager
def _started(daemon: str, install: str) -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(prefix="synth-my-"))
    port = free_port()
    user = ["--user=root"] if os.geteuid() == 0 else []
    base = [*user, f"--datadir={folder / 'data'}"]
    try:
        subprocess.run([install, "--no-defaults", *base, "--auth-root-authentication-method=normal"], check=True, capture_output=True)
        command = [daemon, "--no-defaults", *base, f"--socket={folder / 's'}", f"--port={port}", "--bind-address=127.0.0.1", "--local-infile=1"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        url = f"mysql://root@127.0.0.1:{port}/{{}}"
        try:
            deadline = time.monotonic() + 60
            while True:
                try:
                    open_url(url.format("")).close()
                    break
                except pymysql.err.MySQLError:
                    if process.poll() is not None or time.monotonic() > deadline:
                        raise RuntimeError(f"{daemon} does not start") from None
                    time.sleep(0.2)
            yield url
        finally:
            process.terminate()
            process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def open_url(url: str) -> pymysql.connections.Connection:
    """The driver's connection, in UTC."""
    parsed = make_url(url)
    return pymysql.connect(
        host=parsed.host, port=parsed.port or 3306, user=parsed.username, password=parsed.password or "", database=parsed.database or None,
        charset="utf8mb4", autocommit=True, init_command="SET time_zone = '+00:00'", ssl_disabled=True,
    )  # fmt: skip


def execute(url: str, statements: Sequence[str]) -> None:
    with closing(open_url(url)) as connection, connection.cursor() as cursor:
        for sql in statements:
            cursor.execute(sql)


def query(url: str, sql: str) -> list[tuple[Any, ...]]:
    with closing(open_url(url)) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def one(url: str, sql: str) -> Any:
    """The first value of the first row."""
    return query(url, sql)[0][0]


def run_script(url: str, *files: Path) -> None:
    """Runs files for the mysql client, with its DELIMITER lines, in the URL's database instead of the one that they name."""
    statements: list[str] = []
    for file in files:
        text = re.sub(r"(?m)^(DROP SCHEMA|CREATE SCHEMA|USE) .*?;\s*$", "", file.read_text().replace("sakila.", ""))
        delimiter = ";"
        for part in re.split(r"(?m)^(DELIMITER .*)$", text):
            if part.startswith("DELIMITER"):
                delimiter = part.split()[1]
            elif delimiter == ";":
                statements += _split(part)
            else:
                statements += [s for s in (x.strip() for x in part.split(delimiter)) if s]
    execute(url, statements)


def _split(text: str) -> list[str]:
    parts = re.findall(r"(?:'(?:[^'\\]|''|\\.)*'|--[^\n]*\n|/\*.*?\*/|[^;'])+", text, re.DOTALL)
    bare = [re.sub(r"(?m)^--.*$", "", p).strip() for p in parts]
    return [b for b in bare if b]


def shown(url: str) -> dict[tuple[str, str], str]:
    """What SHOW CREATE says of everything in a database, without its name and the places of its counters."""
    name = make_url(url).database or ""
    found: dict[tuple[str, str], str] = {}

    def show(kind: str, names: str, place: int) -> None:
        for (thing,) in query(url, names.format(f"'{name}'")):
            text = str(query(url, f"SHOW CREATE {kind} {quoted(thing)}")[0][place])
            found[kind, thing] = re.sub(r" AUTO_INCREMENT=\d+", "", text).replace(f"`{name}`", "`database`")

    show("TABLE", "SELECT table_name FROM information_schema.tables WHERE table_schema = {} AND table_type <> 'VIEW'", 1)
    show("VIEW", "SELECT table_name FROM information_schema.views WHERE table_schema = {}", 1)
    show("TRIGGER", "SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = {}", 2)
    for kind in ("FUNCTION", "PROCEDURE"):
        show(kind, f"SELECT routine_name FROM information_schema.routines WHERE routine_schema = {{}} AND routine_type = '{kind}'", 2)
    show("EVENT", "SELECT event_name FROM information_schema.events WHERE event_schema = {}", 3)
    return found


def _type(column: Column, in_key: bool) -> str:
    if column.type.kind == "decimal":
        return f"decimal({column.type.precision},{column.type.scale})"
    return _NATIVE.get(column.type.kind, f"varchar({min(column.type.length or 200, 200)})" if in_key else "longtext")


def copy_sqlite(path: Path, url: str) -> DatabaseSchema:
    """The tables, keys and rows of a SQLite file in an empty database; returns the file's schema."""
    with closing(connect(f"sqlite:///{path}")) as source, closing(open_url(url)) as connection, connection.cursor() as cursor:
        schema = source.reflect()
        cursor.execute("SET foreign_key_checks = 0, sql_mode = 'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO'")
        with source.snapshot() as snapshot:
            for table in schema.tables:
                keyed = {c for k in (*table.keys, *(f.columns for f in table.foreign_keys)) for c in k}
                columns = [
                    f"{quoted(c.name)} {_type(c, c.name in keyed)}{'' if c.nullable else ' NOT NULL'}" for c in table.stored_columns
                ]  # fmt: skip
                columns += [f"PRIMARY KEY ({', '.join(map(quoted, table.primary_key))})"] if table.primary_key else []
                columns += [f"UNIQUE ({', '.join(map(quoted, u.columns))})" for u in table.unique_keys]
                for fk in table.foreign_keys:
                    action = f" ON DELETE {fk.on_delete}" if fk.on_delete else ""
                    parent = f"{quoted(schema.table(fk.parent).name)} ({', '.join(map(quoted, fk.parent_columns))})"
                    columns.append(f"FOREIGN KEY ({', '.join(map(quoted, fk.columns))}) REFERENCES {parent}{action}")
                cursor.execute(f"CREATE TABLE {quoted(table.name)} ({', '.join(columns)}) DEFAULT CHARSET utf8mb4 COLLATE utf8mb4_bin")
                marks = ", ".join(["%s"] * len(table.stored_columns))
                for batch in snapshot.rows(table):
                    cursor.executemany(f"INSERT INTO {quoted(table.name)} VALUES ({marks})", rows(table.stored_columns, batch))
        return schema
