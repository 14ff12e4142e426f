"""Ports for the processes that a test starts, and waiting for what they do."""

from __future__ import annotations

import socket
import time
from contextlib import closing
from typing import Any


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def until(check: Any, seconds: float, what: str, pause: float = 0.5) -> Any:
    """What `check` returns, once that is true; a server that does not answer yet is waited for."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if found := check():
                return found
        except OSError:
            pass
        time.sleep(pause)
    raise AssertionError(f"{what} took longer than {seconds} s")
