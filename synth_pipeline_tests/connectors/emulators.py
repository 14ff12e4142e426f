"""Emulators of databases that exist as a service only, each in a process of its own on a free port."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from synth_pipeline_tests.waiting import free_port

_WITHOUT_GEOGRAPHY = """
import sys
from bqemulator.cli import main
from bqemulator.storage import engine
for kind in list(vars(engine).values()):
    if hasattr(kind, "_load_spatial"):
        kind._load_spatial = lambda self: None
sys.exit(main())
"""
"""Starts the emulator of BigQuery without an extension for geography, which it would download."""


@contextmanager
def _process(command: Sequence[str], port: int, seconds: float = 60.0) -> Iterator[None]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline and process.poll() is None:
                with socket.socket() as probe:
                    probe.settimeout(0.5)
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            assert process.poll() is None, "the emulator did not start"
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _required(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"the emulator {package} is not in this environment: make test-cloud")


@contextmanager
def bigquery() -> Iterator[str]:
    """The address of an emulator of BigQuery."""
    _required("bqemulator")
    rest, grpc = free_port(), free_port()
    command = [sys.executable, "-c", _WITHOUT_GEOGRAPHY, "start", "--rest-port", str(rest), "--grpc-port", str(grpc), "--log-level", "critical"]
    with _process(command, rest):
        yield f"http://127.0.0.1:{rest}"


@contextmanager
def snowflake() -> Iterator[int]:
    """The port of an emulator of Snowflake."""
    _required("fakesnow")
    port = free_port()
    with _process([sys.executable, "-m", "fakesnow", "-s", "-p", str(port)], port):
        yield port


