"""Opening DuckDB files, with settings that make values the same everywhere; what the driver raises becomes one clear line."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import duckdb

from synth_pipeline.errors import SourceError, UnreachableError

SIDECARS = (".wal",)


def open_file(path: Path, *, write: bool = False) -> duckdb.DuckDBPyConnection:
    """A connection to a database that exists; unless `write`, one that cannot change it.

    Raises:
        UnreachableError: there is no such file, or another program is writing to it.
        SourceError: it is not a DuckDB database.
    """
    if not path.is_file():
        raise UnreachableError(f"There is no database file {path}.", "Check the path in the URL; a relative one starts at the working directory.")
    try:
        connection = duckdb.connect(str(path), read_only=not write)
    except duckdb.ConnectionException:
        raise UnreachableError(f"The database file {path} is open in this process already.", "Close that connection first.") from None
    except duckdb.Error as e:
        if "lock" in str(e):
            raise UnreachableError(f"Another program is using the database file {path}.", "Close it first: DuckDB lets only one write.") from None
        if "Permission denied" in str(e):
            raise UnreachableError(f"The database file {path} cannot be opened: permission denied.", "Check that it may be read.") from None
        raise SourceError(f"The file {path} is not a database of this DuckDB ({duckdb.__version__}).", "Give the path of a DuckDB file.") from None
    return prepared(connection)


def prepared(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """The connection with its settings made: UTC, nothing fetched from the network, scratch files away from the database."""
    scratch = Path(tempfile.gettempdir()) / f"synth-duckdb-{os.getpid()}"
    for name, value in (
        ("TimeZone", "'UTC'"), ("autoinstall_known_extensions", "false"), ("temp_directory", f"'{str(scratch).replace(chr(39), chr(39) * 2)}'"),
    ):  # fmt: skip
        connection.execute(f"SET {name} = {value}")
    return connection


def refusal(error: duckdb.Error) -> str:
    """What DuckDB said, without any value: its own sentence may repeat one."""
    text = (str(error).splitlines() or [""])[0]
    if isinstance(error, duckdb.ConstraintException):
        for kind in ("NOT NULL", "CHECK"):
            if kind in text:
                return text.removeprefix("Constraint Error: ")
        kind = "foreign key" if "foreign key" in text else "primary or unique key"
        return f"a {kind} constraint is broken"
    if isinstance(error, duckdb.IOException):
        return text.removeprefix("IO Error: ")
    name = type(error).__name__.removesuffix("Exception")
    return "".join(f" {c.lower()}" if c.isupper() else c for c in name).strip()
