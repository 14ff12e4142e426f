"""What the choice of training rows does to the synthetic database: Referential First Search against random rows.

Arms, with the same metadata, synthesizer (`relational`), seeds and numbers of synthetic rows:

    rfs             the subset as the pipeline takes it, with the statistics of the source that it measures
    rfs, rows only  the same rows, without these statistics
    random, kept    random rows of every table, then SDV's drop_unknown_references; so many that as many are kept as rfs has
    random, drawn   the same, as many rows drawn as rfs has; what drop_unknown_references leaves of them

    python -m benchmarks.training_data --score SCORE.py DATABASE=BUDGET … [--seeds 0,1,2] [--json FILE]

DATABASE is a SQLite file, or `demo`. SCORE.py takes REAL.db SYNTHETIC.db --json OUT and writes the measures of `MEASURES`,
among them SDMetrics' multi-table QualityReport.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import synth_pipeline as sp
from synth_pipeline import demo
from synth_pipeline.catalog.population import PopulationStats
from synth_pipeline.catalog.schema import DatabaseSchema
from synth_pipeline.config import Connection
from synth_pipeline.errors import SynthPipelineError
from synth_pipeline.metadata.sdv import to_sdv
from synth_pipeline.notebook import Described, Taken
from synth_pipeline.subset.keys import stored_keys

MEASURES = ("sdmetrics", "shape", "pairs", "cardinality", "hop1", "hop2", "c2st", "c2st_agg")
ALL_ROWS = 10**9
_STEPS = 12


def random_rows(described: Described, path: Path, seed: int) -> Callable[[float], dict[str, pd.DataFrame]]:
    """Draws rows of every table at a rate, and drops what refers to rows that were not drawn; a higher rate draws a superset."""
    from sdv.errors import InvalidDataError
    from sdv.metadata import Metadata
    from sdv.utils import drop_unknown_references

    schema = described.working
    tables = {}
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
        for table in schema.tables:
            names = ", ".join(f'"{c.name}"' for c in table.stored_columns)
            frame = pd.DataFrame(connection.execute(f'SELECT {names} FROM "{table.name}"').fetchall(), columns=[c.name for c in table.stored_columns])
            tables[table.id] = frame.astype(object).where(frame.notna(), None)
    rng = np.random.default_rng(seed)
    luck = {t: rng.random(len(frame)) for t, frame in tables.items()}
    relationships = to_sdv(described.found)[0]["relationships"]
    linked = sorted({r[side] for r in relationships for side in ("parent_table_name", "child_table_name")})
    keys: dict[str, dict[str, Any]] = {t: {"columns": {}} for t in linked}
    for r in relationships:
        for table, key in ((r["parent_table_name"], r["parent_primary_key"]), (r["child_table_name"], r["child_foreign_key"])):
            keys[table]["columns"] |= {c: {"sdtype": "id"} for c in ([key] if isinstance(key, str) else key)}
        keys[r["parent_table_name"]]["primary_key"] = r["parent_primary_key"]
    metadata = Metadata.load_from_dict({"METADATA_SPEC_VERSION": "V2", "tables": keys, "relationships": relationships})

    def draw(rate: float) -> dict[str, pd.DataFrame]:
        rows = {t: frame[luck[t] < rate] for t, frame in tables.items()}
        while True:
            before = sum(map(len, rows.values()))
            known = {t: rows[t][list(keys[t]["columns"])].reset_index(drop=True) for t in linked}
            try:
                kept = drop_unknown_references(known, metadata, drop_missing_values=False, verbose=False)
                rows |= {t: rows[t].iloc[kept[t].index] for t in linked}
            except InvalidDataError:
                pass  # a table is left without a row, which SDV refuses; what it would leave of the others follows here
            rows = _without_orphans(schema, rows)
            if sum(map(len, rows.values())) == before:
                return rows

    return draw


def _without_orphans(schema: DatabaseSchema, rows: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The same for the keys that SDV's metadata cannot hold: self references, cycles, keys to unique columns."""
    for table in schema.tables:
        for fk in stored_keys(schema, table.id):
            parents = set(rows[fk.parent][list(fk.parent_columns)].itertuples(index=False, name=None))
            mine = list(rows[table.id][list(fk.columns)].itertuples(index=False, name=None))
            rows[table.id] = rows[table.id][np.array([None in key or key in parents for key in mine], dtype=bool)]
    return rows


def of_size(draw: Callable[[float], dict[str, pd.DataFrame]], rows: int) -> dict[str, pd.DataFrame]:
    """The draw that keeps nearest to so many rows."""
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(map(len, draw(middle).values())) < rows else (low, middle)
    return draw(high)


def written(rows: dict[str, pd.DataFrame], schema: DatabaseSchema, path: Path) -> Path:
    """The rows in a SQLite database of the same tables."""
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as connection:
        for table in schema.tables:
            connection.execute(str(table.ddl))
            names = [c.name for c in table.stored_columns]
            listed = ", ".join(f'"{n}"' for n in names)
            sql = f'INSERT INTO "{table.name}" ({listed}) VALUES ({", ".join("?" * len(names))})'
            connection.executemany(sql, rows[table.id].itertuples(index=False, name=None))
    connection.close()
    return path


def arms(described: Described, path: Path, budget: int, seed: int, folder: Path) -> Iterator[tuple[str, Taken]]:
    """The training rows of each arm."""
    taken = described.subset(holdout=0.0, max_rows=budget, seed=seed)
    yield "rfs", taken
    bare = dataclasses.replace(taken.made, population=PopulationStats(taken.made.population.rows, exact=False))
    yield "rfs, rows only", dataclasses.replace(taken, made=bare)
    draw = random_rows(described, path, seed)
    total = sum(taken.made.population.rows.values())
    for name, rows in (
        ("random, kept", of_size(draw, taken.made.bundle.total_rows)), ("random, drawn", draw(taken.made.bundle.total_rows / total)),
    ):  # fmt: skip
        part = written(rows, described.working, folder / "part.db")
        source = described.config.model_copy(update={"source": Connection(url=f"sqlite:///{part}")})
        yield name, dataclasses.replace(described, config=source).subset(holdout=0.0, max_rows=ALL_ROWS)


def scored(taken: Taken, rows: dict[str, int], path: Path, score: Path, seed: int, folder: Path) -> dict[str, Any]:
    """Fits, samples and scores one arm against the whole source."""
    start = time.monotonic()
    synthetic = taken.fit(seed=seed).sample(rows=rows, seed=seed)
    synthetic.export(f"sqlite:///{folder / 'synthetic.db'}")
    seconds = time.monotonic() - start
    out = folder / "score.json"
    command = [sys.executable, score, path, folder / "synthetic.db", "--json", out]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    found = json.loads(out.read_text())
    report = found["sdmetrics"]
    trends = {f"sdmetrics {k}": v for k, v in report.items() if k != "overall"}
    return {m: found.get(m) for m in MEASURES} | {"sdmetrics": report.get("overall")} | trends | {"seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("databases", nargs="+", metavar="DATABASE=BUDGET")
    parser.add_argument("--score", type=Path, required=True)
    parser.add_argument("--seeds", type=lambda text: [int(s) for s in text.split(",")], default=[0, 1, 2], metavar="0,1,2")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, _, budget in (d.partition("=") for d in options.databases):
            path = Path(name)
            if name == "demo":
                path = folder / "telecom.db"
                demo.build(path)
            described = sp.open(f"sqlite:///{path.resolve()}").metadata()
            for seed in options.seeds:
                for arm, taken in arms(described, path, int(budget), seed, folder):
                    kept, rows = taken.made.bundle.total_rows, dict(taken.made.population.rows)
                    if arm == "rfs":
                        wanted = rows
                    try:
                        figures = scored(taken, wanted, path, options.score, seed, folder)
                    except SynthPipelineError as e:
                        figures = {"error": str(e)}
                    found.append({"database": path.stem, "budget": int(budget), "seed": seed, "arm": arm, "rows": kept} | figures)
                    print(json.dumps(found[-1]), flush=True)
                    if options.json:
                        options.json.write_text(json.dumps(found, indent=1))
    print(table(found))


def table(found: list[dict[str, Any]]) -> str:
    """Means over the seeds, an arm a row."""
    frame = pd.DataFrame(found)
    measures = [m for m in ("rows", *MEASURES) if m in frame]
    means = frame.groupby(["database", "arm"], sort=False)[measures].mean()
    return str(means.round(3).to_string())


if __name__ == "__main__":
    main()
