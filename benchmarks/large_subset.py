"""A 50,000-row subset of a database of 20 million rows: seconds, memory, statements, rows read, and how each is executed.

Twice, each in a process of its own: with the aggregates over the whole source that the synthesizer and the report use, and
without them. Every distinct statement is explained by the database; the last line names those that read a big table from
end to end, which may only be aggregates.

    python -m benchmarks.large_subset [--scale 14] [--rows 50000] [--threads 1] [--keep FILE]
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.heavy_tail import TREE_KEYS, generate

_BIG = 100_000
"""Rows of a big table."""


def _peak() -> float:
    """Most memory of this process, MiB; on Linux the parent's is part of what getrusage tells."""
    status = Path("/proc/self/status")
    if status.exists():
        return float(next(line for line in status.read_text().splitlines() if line.startswith("VmHWM")).split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measured(path: Path, rows: int, population: str, threads: int) -> dict[str, Any]:
    """One subset; memory is the peak of the whole process, from its start."""
    from synth_pipeline.artifacts import BundleWriter
    from synth_pipeline.config import SubsetConfig
    from synth_pipeline.connectors import connect
    from synth_pipeline.subset import take_subset

    connector = connect(f"sqlite:///{path}")
    start = time.monotonic()
    schema = connector.reflect()
    reflected = time.monotonic() - start
    with tempfile.TemporaryDirectory() as folder:
        config = SubsetConfig.model_validate({"max_rows": rows, "tree_keys": TREE_KEYS, "population": population, "threads": threads})
        start, used = time.monotonic(), time.process_time()
        report = take_subset(connector, schema, config, BundleWriter(folder, schema)).report
    return {
        "seconds": time.monotonic() - start, "processor": time.process_time() - used, "reflect": reflected,
        "peak": _peak(),
    } | {k: report[k] for k in ("rows", "core", "statements", "rows_read", "distinct_statements")}  # fmt: skip


def explained(path: Path, statements: list[str]) -> list[tuple[str, str, bool]]:
    """Per statement, the database's plan and whether that reads a big table from end to end."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        connection.create_function("text_number", 1, lambda v: 0)
        names = [n for (n,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        sizes = {n: connection.execute(f"SELECT MAX(rowid) FROM {n}").fetchone()[0] or 0 for n in names}
        found = []
        for statement in statements:
            steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", ["[]"] * statement.count("?"))]
            big = any(f'"{n}"' in statement and size >= _BIG for n, size in sizes.items())
            # j is the relation of keys, g and f are groups of an aggregate
            found.append((statement, "; ".join(steps), big and any(re.match(r"SCAN (?![jgf]\b)", s) for s in steps)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=int, default=14, help="multiples of the heavy-tailed database of 1.43 million rows")
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="file to keep the database in, or to find it")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        print(json.dumps(measured(options.keep, options.rows, options.only, options.threads)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = options.keep or Path(folder) / "large.db"
        if not path.exists():
            generate(path, scale=options.scale)
        for population in ("exact", "estimate"):
            command = [sys.executable, "-m", "benchmarks.large_subset", "--only", population, "--keep", str(path)]
            command += ["--rows", str(options.rows), "--threads", str(options.threads)]
            found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
            print(f"population: {population}, threads: {options.threads}")
            print(f"  {found['seconds']:.1f} s ({found['processor']:.1f} s of a processor), peak {found['peak']:.0f} MB")
            print(f"  before that, reflection: {found['reflect']:.1f} s")
            print(f"  {found['rows']:,} rows, {found['core']:,} core; {found['statements']} statements, {found['rows_read']:,} rows read")
            plans = explained(path, found["distinct_statements"])
            for statement, plan, scan in plans:
                print(f"  {'scan' if scan else '    '}  {statement[:130]}\n          {plan}")
            scans = [statement for statement, _, scan in plans if scan]
            others = [s for s in scans if not s.startswith(("SELECT COUNT(", "SELECT f.place, f.n, COUNT("))]
            print(f"  big tables are read from end to end by {len(scans)} statements, {len(others)} of which are no aggregates {others}")


if __name__ == "__main__":
    main()
