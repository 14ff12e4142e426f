"""Databases that are one file: what makes two names the same, how a new one is built beside the old and put in its place.

A crash at any moment leaves the old file whole, and at most a staging file that the next run sweeps away. What lies inside
a file, and what has to be done before it may be replaced, belongs to the families.
"""

from __future__ import annotations

import os
import shutil
import socket
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from synth_pipeline.errors import ConfigError, ExportError
from synth_pipeline.locking import process_alive

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

_STALE_AFTER = 7 * 86_400.0


def label(url: URL) -> str:
    """The URL without options."""
    return url.set(query={}).render_as_string(hide_password=True)


def database_path(url: URL) -> Path:
    """The file of the URL; relative ones start at the working directory.

    Raises:
        ConfigError: the URL names no file, but a database in memory.
    """
    name = url.database or ""
    if name.startswith("file:"):
        name = unquote(urlsplit(name).path)
    if name in ("", ":memory:") or "mode=memory" in str(url):
        scheme = url.drivername.split("+")[0]
        raise ConfigError(f"{label(url)} names no file.", f"Write {scheme}:///relative/path.db or {scheme}:////absolute/path.db.")
    return Path(name).expanduser() if name.startswith("~") else Path(name)


def file_identity(family: str, path: Path) -> str:
    """What makes two names the same file: the real path (see `same_file` for hard links)."""
    return f"{family}:{os.path.realpath(path)}"


def same_file(family: str, path: Path, identity: str) -> bool:
    """True where `path` is the database of that identity, through whatever link."""
    if file_identity(family, path) == identity:
        return True
    try:
        return identity.startswith(f"{family}:") and path.samefile(identity.removeprefix(f"{family}:"))
    except OSError:
        return False


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


def remove(path: Path, sidecars: tuple[str, ...]) -> None:
    """Removes a database file with its sidecars, as far as they exist."""
    for suffix in ("", *sidecars):
        with suppress(OSError):
            os.unlink(f"{path}{suffix}")


def put_in_place(staging: Path, target: Path) -> None:
    """Renames `staging` to `target`, with the permissions of the old file where there is one. Both must be synced by the caller."""
    if target.exists():
        shutil.copymode(target, staging)
        with suppress(OSError):
            os.chown(staging, target.stat().st_uid, target.stat().st_gid)
    os.replace(staging, target)


def place_new(staging: Path, target: Path) -> None:
    """Puts `staging` at `target`, where nothing may be, durably.

    Raises:
        ExportError: something appeared there meanwhile.
    """
    sync(staging)
    try:
        os.link(staging, target)
    except FileExistsError:
        raise ExportError(f"{target} exists.", "Use mode: replace, or choose another path.") from None
    except OSError:  # a file system without hard links
        os.replace(staging, target)
    with suppress(OSError):
        os.unlink(staging)
    sync(target.parent)


def sync(path: Path) -> None:
    """Waits until a file's contents, or a folder's entries, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
