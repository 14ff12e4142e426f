"""One run per source at a time: an advisory lock on a file beside the source's artifacts.

The lock is the kernel's and goes with the process, so that a killed run never leaves one behind. Locks on a target
database belong to `export`.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from synth_pipeline.errors import ArtifactError, UsageError


@contextmanager
def source_lock(root: Path, source: str) -> Iterator[None]:
    """Holds `ROOT/<source>/.lock` for the block.

    Raises:
        UsageError: another process holds it.
        ArtifactError: the folder cannot be written.
    """
    path = root / source / ".lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as e:
        raise ArtifactError(f"The artifacts cannot be written to {root}: {e.strerror}.", "Choose another folder with --artifacts.") from e
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(handle, 20).decode(errors="replace").strip()
            raise UsageError(
                f"Another run of {source} is under way in {root}{f' (process {holder})' if holder else ''}.",
                "Wait until it ends, or use another folder with --artifacts.",
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def process_alive(pid: int) -> bool:
    """Whether a process of this machine still runs: what a dead one left behind may be removed."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
