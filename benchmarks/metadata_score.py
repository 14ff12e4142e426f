"""Scores inferred metadata against hand-labelled databases, next to SDV's own detection on the same tables.

usage: python benchmarks/metadata_score.py SHARED [--json]

SHARED holds gold/NAME.json (accepted sdtypes, keys, relationships), data/NAME.db and tools/metadata_score.py. Three rows per
database: our inference, our inference after every declared key is stripped from a copy of the file, and SDV's
`Metadata.detect_from_dataframes` on tables that went through CSV (a table whose detection fails is left out and counts as wrong).
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import logging
import sqlite3
import sys
import tempfile
import time
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

from synth_pipeline.connectors import connect
from synth_pipeline.metadata.infer import infer
from synth_pipeline_tests.metadata.databases import strip_keys


def scorer(shared: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("metadata_score", shared / "tools" / "metadata_score.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ours(path: Path) -> dict[str, Any]:
    connector = connect(f"sqlite:///{path}")
    schema = connector.reflect()
    found = infer(schema, (connector.profile(t) for t in schema.tables), probes=connector).to_dict()
    connector.close()
    return found


def sdvs(path: Path) -> tuple[dict[str, Any], list[str]]:
    """SDV's detection from CSV files; tables on which it fails are dropped and named."""
    import pandas as pd
    from sdv.metadata import Metadata

    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    names = [n for (n,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")]
    frames = {}
    for name in names:
        text = io.StringIO()
        pd.read_sql_query(f'SELECT * FROM "{name}"', connection).to_csv(text, index=False)
        text.seek(0)
        frames[name] = pd.read_csv(text)
    connection.close()
    failed = []
    while True:
        try:
            return Metadata.detect_from_dataframes(frames).to_dict(), failed
        except Exception:
            bad = next((n for n, f in frames.items() if not _detects(f)), None)
            if bad is None:
                raise
            failed.append(bad)
            del frames[bad]


def _detects(frame: Any) -> bool:
    from sdv.metadata import Metadata

    try:
        Metadata.detect_from_dataframe(frame)
    except Exception:
        return False
    return True


def edges(gold: dict[str, Any], found: dict[str, Any]) -> tuple[int, int, int]:
    """True, found and common relationships inside the labelled tables."""

    def listed(key: Any) -> frozenset[str]:
        return frozenset([key] if isinstance(key, str) else key)

    true = {(r["parent"], listed(r["parent_columns"]), r["child"], listed(r["child_columns"])) for r in gold["relationships"]}
    have = {
        (r["parent_table_name"], listed(r["parent_primary_key"]), r["child_table_name"], listed(r["child_foreign_key"]))
        for r in found["relationships"]
    }
    return len(true), len(have), len(true & have)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    module = scorer(arguments.shared)
    rows: list[dict[str, Any]] = []
    totals = [0, 0, 0]
    with tempfile.TemporaryDirectory() as folder:
        for path in sorted((arguments.shared / "gold").glob("*.json")):
            gold = json.loads(path.read_text())
            source = arguments.shared / "data" / f"{path.stem}.db"
            for method in ("inferred", "keys stripped", "SDV"):
                start = time.perf_counter()
                failed: list[str] = []
                if method == "SDV":
                    found, failed = sdvs(source)
                elif method == "inferred":
                    found = ours(source)
                else:
                    found = ours(strip_keys(source, Path(folder) / source.name))
                    totals = [a + b for a, b in zip(totals, edges(gold, found), strict=True)]
                seconds = time.perf_counter() - start
                result = module.score(gold, found)
                result.pop("misses")
                rows.append({"database": path.stem, "method": method, **result, "seconds": seconds, "failed": failed})
    for method in ("inferred", "keys stripped", "SDV"):
        mine = [r for r in rows if r["method"] == method]
        rows.append(
            {
                "database": "mean",
                "method": method,
                "failed": [],
                **{k: sum(r[k] for r in mine) / len(mine) for k in ("score", "columns", "keys", "relationships", "seconds")},
            }
        )
    stripped = {"recall": totals[2] / totals[0], "precision": totals[2] / totals[1]}
    if arguments.json:
        json.dump({"rows": rows, "stripped_relationships": stripped}, sys.stdout, indent=1)
        return
    print(f"{'database':<12}{'method':<15}{'score':>7}{'columns':>9}{'keys':>7}{'relations':>11}{'seconds':>9}")
    for r in rows:
        note = f"  fails on {', '.join(r['failed'])}" if r["failed"] else ""
        print(
            f"{r['database']:<12}{r['method']:<15}{r['score']:>7.3f}{r['columns']:>9.3f}{r['keys']:>7.3f}{r['relationships']:>11.3f}{r['seconds']:>9.2f}{note}"
        )
    print(f"\nundeclared relationships, all databases: recall {stripped['recall']:.3f}, precision {stripped['precision']:.3f}")


if __name__ == "__main__":
    main()
