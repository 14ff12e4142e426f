"""One wide table of the lines of receipts, side by side with SDV's single-table synthesizers: what still holds, and how fast.

python -m benchmarks.flat_table [--peers GaussianCopulaSynthesizer CTGANSynthesizer] [--epochs 30]

Customer, product and receipt are repeated on every line. For each statement that holds on every real row the table says how many
receipts, customers, products or lines break it. Peak memory is that of a process of its own.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from synth_pipeline_tests.helpers import broken_in
from synth_pipeline_tests.synthesis.test_normal_form import SALES_BROKEN, build_sales


def ours(folder: Path) -> tuple[float, float]:
    """Writes ours.db; returns seconds to fit and to sample."""
    import synth_pipeline as sp

    taken = sp.open(f"sqlite:///{folder}/real.db").metadata().subset(holdout=0.0)
    start = time.perf_counter()
    fitted = taken.fit()
    middle = time.perf_counter()
    made = fitted.sample()
    end = time.perf_counter()
    made.export(f"sqlite:///{folder}/ours.db")
    return middle - start, end - middle


def theirs(folder: Path, name: str, epochs: int) -> tuple[float, float]:
    """Writes NAME.db with what SDV makes of its own metadata; returns seconds to fit and to sample."""
    import pandas as pd
    import sdv.single_table
    from sdv.metadata import Metadata

    with closing(sqlite3.connect(folder / "real.db")) as db:
        rows = pd.read_sql_query("SELECT * FROM sale", db, parse_dates=["sold_at"])
    metadata = Metadata.detect_from_dataframes({"sale": rows})
    options = {"epochs": epochs} if "GAN" in name or "VAE" in name else {}
    synthesizer: Any = getattr(sdv.single_table, name)(metadata, **options)
    start = time.perf_counter()
    synthesizer.fit({"sale": rows})
    middle = time.perf_counter()
    made = synthesizer.sample(len(rows))["sale"]
    end = time.perf_counter()
    made["sold_at"] = pd.to_datetime(made["sold_at"]).dt.strftime("%Y-%m-%d %H:%M:%S")
    with closing(sqlite3.connect(folder / f"{name}.db")) as db:
        made.to_sql("sale", db, index=False)
    return middle - start, end - middle


def alone(folder: Path, name: str, epochs: int) -> dict[str, float]:
    """Runs one of them in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (folder, name, epochs))


def _measured(folder: Path, name: str, epochs: int) -> dict[str, float]:
    fit, sample = ours(folder) if name == "ours" else theirs(folder, name, epochs)
    return {"fit": fit, "sample": sample, "MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", nargs="*", default=["GaussianCopulaSynthesizer", "CTGANSynthesizer"])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        build_sales(folder / "real.db")
        names = ["ours", *options.peers]
        measured = {name: alone(folder, name, options.epochs) for name in names}
        broken = {name: broken_in(folder / f"{name}.db", SALES_BROKEN) for name in names}
        with closing(sqlite3.connect(folder / "real.db")) as db:
            lines = db.execute("SELECT count(*) FROM sale").fetchone()[0]
        print(f"{lines:,} lines\n{'':<34}" + "".join(f"{n.removesuffix('Synthesizer'):>16}" for n in names))
        for what in ("fit", "sample", "MiB"):
            print(f"{what:<34}" + "".join(f"{measured[n][what]:>16,.1f}" for n in names))
        print(f"{'rows/s':<34}" + "".join(f"{lines / measured[n]['sample']:>16,.0f}" for n in names))
        for statement in SALES_BROKEN:
            print(f"{statement:<34}" + "".join(f"{broken[n].get(statement, 0):>16,}" for n in names))
        if options.json:
            options.json.write_text(json.dumps({"measured": measured, "broken": broken}))


if __name__ == "__main__":
    main()
