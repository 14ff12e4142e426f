"""The file behind a SQLite target: what SQLite needs so that one file can take the place of another.

How files are built aside and renamed is the business of `local`; what lies inside does not belong here.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from synth_pipeline.connectors import local
from synth_pipeline.errors import ExportError

SIDECARS = ("-journal", "-wal", "-shm")
_BUSY_SECONDS = 10.0


def remove(path: Path) -> None:
    """Removes a database file with its sidecars, as far as they exist."""
    local.remove(path, SIDECARS)


def replace(staging: Path, target: Path) -> None:
    """Puts the finished file `staging` in the place of `target`, durably.

    Raises:
        ExportError: another program keeps writing to the target, or the target is no SQLite database.
    """
    local.sync(staging)
    with _quiet(target):
        local.put_in_place(staging, target)
    local.sync(target.parent)


def place_new(staging: Path, target: Path) -> None:
    """Puts `staging` at `target`, where nothing may be.

    Raises:
        ExportError: something appeared there meanwhile.
    """
    remove_orphans(target)
    local.place_new(staging, target)


def remove_orphans(target: Path) -> None:
    """Removes a journal that has outlived its database: SQLite would replay it into the new file."""
    if not target.exists():
        for suffix in SIDECARS:
            with suppress(FileNotFoundError):
                os.unlink(f"{target}{suffix}")


@contextmanager
def _quiet(target: Path) -> Iterator[None]:
    """Holds the old database without an unfinished transaction, so that no journal of it is left for the new file."""
    remove_orphans(target)
    if not target.exists():
        yield
        return
    if not os.access(target, os.W_OK):
        raise ExportError(f"The file {target} is write-protected.", "Change its permissions, or choose another path for the export.")
    try:
        with closing(sqlite3.connect(target, isolation_level=None, timeout=_BUSY_SECONDS)) as old:
            wal = old.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
            if wal:
                busy, *_ = old.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                if busy:
                    raise sqlite3.OperationalError("database is locked")
            # Reading and writing back a rolled-back journal happens here at the latest.
            old.execute("BEGIN IMMEDIATE")
            # What is left is nobody's: with the lock held no one else writes, and a journal that was killed too early is not replayed.
            for suffix in ("-wal", "-shm") if wal else ("-journal",):
                with suppress(FileNotFoundError):
                    os.unlink(f"{target}{suffix}")
            yield
            old.execute("ROLLBACK")
    except sqlite3.DatabaseError as e:
        if "locked" in str(e):
            raise ExportError(f"Another program is using {target}.", "Close it, or choose another path for the export.") from e
        raise ExportError(f"What lies at {target} cannot be replaced: {e}.", "Remove the file, or choose another path for the export.") from e
