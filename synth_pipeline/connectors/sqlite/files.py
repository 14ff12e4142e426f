"""The file behind a SQLite target: built beside it, made durable, and swapped in by one rename.

A crash at any moment leaves the old file whole, and at most a staging file that the next run sweeps away. What lies
inside the file does not belong here.
"""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from synth_pipeline.errors import ExportError
from synth_pipeline.locking import process_alive

SIDECARS = ("-journal", "-wal", "-shm")
_STALE_AFTER = 7 * 86_400.0
_BUSY_SECONDS = 10.0


def staging_path(target: Path) -> Path:
    """A new name beside `target`, on the same file system, that says which process made it."""
    return target.parent / f".synth-{target.name}-{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp"


def make_folder(target: Path) -> None:
    """Makes the target's folder where it is missing, and sweeps what killed runs left in it.

    Raises:
        ExportError: the folder cannot be made or written.
    """
    folder = target.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise ExportError(f"The folder {folder} cannot be made: {e.strerror}.", "Choose another path for the export.") from e
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ExportError(f"The folder {folder} cannot be written.", "Change its permissions, or choose another path for the export.")
    _sweep(target)


def _sweep(target: Path) -> None:
    prefix, host = f".synth-{target.name}-", socket.gethostname()
    for left in target.parent.iterdir():
        if not left.name.startswith(prefix) or ".tmp" not in left.name:
            continue
        pid = left.name.removeprefix(f"{prefix}{host}-").split("-")[0]
        with suppress(OSError):
            if (pid.isdigit() and not process_alive(int(pid))) or time.time() - left.stat().st_mtime > _STALE_AFTER:
                left.unlink()


def remove(path: Path) -> None:
    """Removes a database file with its sidecars, as far as they exist."""
    for suffix in ("", *SIDECARS):
        with suppress(OSError):
            os.unlink(f"{path}{suffix}")


def replace(staging: Path, target: Path) -> None:
    """Puts the finished file `staging` in the place of `target`, durably.

    Raises:
        ExportError: another program keeps writing to the target, or the target is no SQLite database.
    """
    sync(staging)
    with _quiet(target):
        if target.exists():
            shutil.copymode(target, staging)
            with suppress(OSError):
                os.chown(staging, target.stat().st_uid, target.stat().st_gid)
        os.replace(staging, target)
    sync(target.parent)


def place_new(staging: Path, target: Path) -> None:
    """Puts `staging` at `target`, where nothing may be.

    Raises:
        ExportError: something appeared there meanwhile.
    """
    sync(staging)
    remove_orphans(target)
    try:
        os.link(staging, target)
    except FileExistsError:
        raise ExportError(f"{target} exists.", "Use mode: replace, or choose another path.") from None
    except OSError:  # a file system without hard links
        os.replace(staging, target)
    with suppress(OSError):
        os.unlink(staging)
    sync(target.parent)


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


def sync(path: Path) -> None:
    """Waits until a file's contents, or a folder's entries, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
