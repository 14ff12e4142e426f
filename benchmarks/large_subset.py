"""A 50,000-row subset of a database of 20 million rows: seconds, memory, statements, rows read, and how each is executed.

python -m benchmarks.large_subset [--scale 14] [--keep FILE] [--estimate]
"""

from __future__ import annotations

import argparse
import resource
import sqlite3
import tempfile
import time
from pathlib import Path

from benchmarks.heavy_tail import TREE_KEYS, generate


def main() -> None:
    from synth_pipeline.artifacts import BundleWriter
    from synth_pipeline.config import SubsetConfig
    from synth_pipeline.connectors import connect
    from synth_pipeline.subset import take_subset

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=int, default=14, help="multiples of the heavy-tailed database of 1.4 million rows")
    parser.add_argument("--keep", type=Path, help="file to keep the database in, or to find it")
    parser.add_argument("--estimate", action="store_true", help="without the aggregates over the whole source")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.keep or Path(folder) / "large.db"
        if not path.exists():
            generate(path, scale=options.scale)
        connector = connect(f"sqlite:///{path}")
        schema = connector.reflect()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.monotonic()
        config = SubsetConfig(max_rows=50_000, tree_keys=TREE_KEYS, population="estimate" if options.estimate else "exact")
        report = take_subset(connector, schema, config, BundleWriter(Path(folder) / "subset", schema)).report
        seconds, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(f"{seconds:.1f} s, peak {after / 1024:.0f} MB (before {before / 1024:.0f} MB)")
        print(f"{report['statements']} statements, {report['rows_read']:,} rows read")
        print(f"{report['rows']:,} rows, {report['core']:,} core")
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
            connection.create_function("text_number", 1, lambda v: 0)
            for statement in report["distinct_statements"]:
                plan = "; ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", ["[]"] * statement.count("?")))
                print(f"  {plan}\n    {statement[:160]}")



if __name__ == "__main__":
    main()
