"""Side by side with SDV's HMASynthesizer on a database of two tables: CPU seconds to fit and to sample, and scores of both.

python -m benchmarks.against_hma [--parents 4320] [--keep DIR]

The database is made of accounts and invoices of the demo, all of them or those of the first accounts. `--keep` leaves `real.db`,
`relational.db` and `hma.db` there, to be scored by others.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path

COLUMNS = (
    "invoice_id INTEGER PRIMARY KEY, account_id INTEGER NOT NULL REFERENCES account (account_id), issued_on DATE NOT NULL, minutes INTEGER NOT NULL, "
    "messages INTEGER NOT NULL, data_mb INTEGER, base_fee NUMERIC(8, 2) NOT NULL, usage_charge NUMERIC(8, 2) NOT NULL, total NUMERIC(8, 2) NOT NULL"
)


def build(path: Path, parents: int) -> None:
    """Accounts without what leads elsewhere, and their invoices."""
    from synth_pipeline import demo

    with tempfile.TemporaryDirectory() as folder:
        demo.build(Path(folder) / "telecom.db")
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("ATTACH ? AS demo", (f"{folder}/telecom.db",))
            db.execute(
                "CREATE TABLE account (account_id INTEGER PRIMARY KEY, plan TEXT NOT NULL, monthly_fee NUMERIC(8, 2) NOT NULL, "
                "data_limit_gb INTEGER, status TEXT NOT NULL, opened_on DATE NOT NULL, closed_on DATE)"
            )
            db.execute(f"CREATE TABLE invoice ({COLUMNS})")
            db.execute(
                "INSERT INTO account SELECT account_id, plan, monthly_fee, data_limit_gb, status, opened_on, closed_on FROM demo.account "
                "WHERE account_id <= ?", (parents,),
            )  # fmt: skip
            names = ", ".join(c.split()[0] for c in COLUMNS.split(", ") if c[0].islower())
            db.execute(f"INSERT INTO invoice SELECT {names} FROM demo.invoice WHERE account_id <= ?", (parents,))


def run(name: str, folder: Path) -> list[float]:
    """Fits, samples, reports and exports in one process; returns CPU seconds to fit and to sample, and the quality."""
    from synth_pipeline import pipeline
    from synth_pipeline.config import SourceConfig
    from synth_pipeline.synthesis.registry import synthesizer

    synthesizer(name)  # what it imports is not what it does

    config = SourceConfig.model_validate({
        "name": name, "source": {"url": f"sqlite:///{folder}/real.db"}, "synthesizer": {"name": name, "workers": 1},
        "export": {"url": f"sqlite:///{folder}/{name}.db"}, "privacy": {"holdout": 0.0},
    })  # fmt: skip
    reflected = pipeline.reflect(config)
    metadata = pipeline.infer(config, reflected)
    working = pipeline.working_schema(config, reflected, metadata)
    for stage in ("subset", "fit", "sample", "report", "export"):
        (folder / name / stage).mkdir(parents=True)
    subset = pipeline.subset(config, working, metadata, folder / name / "subset")
    start = time.process_time()
    fitted = pipeline.fit(config, working, metadata, subset, folder / name / "fit")
    fit_seconds = time.process_time() - start
    start = time.process_time()
    synthetic = pipeline.sample(config, working, subset, fitted, folder / name / "sample")
    sample_seconds = time.process_time() - start
    report = pipeline.report(config, working, metadata, subset, synthetic, folder / name / "report")
    pipeline.export(config, reflected, working, synthetic, folder / name / "export", metadata=metadata)
    return [fit_seconds, sample_seconds, report.quality or 0.0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parents", type=int, default=4_320)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(exist_ok=True)
        build(folder / "real.db", options.parents)
        with closing(sqlite3.connect(folder / "real.db")) as db:
            sizes = [db.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in ("account", "invoice")]
        print(f"{sizes[0]:,} accounts, {sizes[1]:,} invoices")
        print(f"{'':<12}{'fit':>9}{'sample':>9}{'quality':>9}")
        ours = run("relational", folder)
        print(f"{'relational':<12}" + "".join(f"{v:>9.2f}" for v in ours), flush=True)
        theirs = run("hma", folder)
        print(f"{'hma':<12}" + "".join(f"{v:>9.2f}" for v in theirs))
        print(f"{'times':<12}" + "".join(f"{b / a:>9.1f}" for a, b in zip(ours[:2], theirs[:2], strict=True)))


if __name__ == "__main__":
    main()
