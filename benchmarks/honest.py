"""The honest yardstick: fit on one half of the entities, compare with the other half, beside what the first half scores.

    python -m benchmarks.honest --tools FOLDER DATABASE … [--seeds 0,1,2] [--privacy standard] [--tables] [--json FILE]

DATABASE is a SQLite file, or `demo`. FOLDER holds `heldout.py` (`split REAL TRAIN HELD`, `score TRAIN HELD SYNTHETIC --json OUT`)
and whatever it needs. A line per database: for each measure the mean gap to the floor, over seeds; the largest share of rows of a
table of at least 300 rows that lie nearer to training rows than to held-out ones; the share of replayed rows; seconds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import synth_pipeline as sp
from synth_pipeline import demo

MEASURES = ("shape", "pairs", "cardinality", "hop1", "hop2", "c2st", "c2st_agg")
_ROWS = 300
"""Tables of fewer rows have shares of near rows that say little."""


def halves(database: Path, tools: Path, folder: Path) -> tuple[Path, Path]:
    """The training half and the half that is held out."""
    train, held = folder / f"{database.stem}_train.db", folder / f"{database.stem}_held.db"
    subprocess.run([sys.executable, tools / "heldout.py", "split", database, train, held], check=True, stdout=subprocess.DEVNULL)
    return train, held


def measured(train: Path, held: Path, tools: Path, folder: Path, *, privacy: str = "standard", seed: int = 0) -> dict[str, Any]:
    """Fits on the training half, samples as many rows, and scores: gaps by measure, `nearer` by table, `replayed`, CPU seconds."""
    taken = sp.open(f"sqlite:///{train}").metadata().subset(holdout=0.0, max_rows=10**9)
    start = time.process_time()
    fitted = taken.fit(seed=seed, privacy=privacy, workers=1)
    fit = time.process_time() - start
    made = fitted.sample(seed=seed)
    sample = time.process_time() - start - fit
    made.export(f"sqlite:///{folder / 'synthetic.db'}")
    out = folder / "score.json"
    command = [sys.executable, tools / "heldout.py", "score", train, held, folder / "synthetic.db", "--json", out]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    found = json.loads(out.read_text())
    ours, floor = found["synthetic"], found["floor"]
    gaps = {m: ours[m] - floor[m] for m in MEASURES if ours.get(m) is not None and floor.get(m) is not None}
    large = {t for t in found["nearer"] if made.rows.get(t, made.rows.get(f"main.{t}", 0)) >= _ROWS}
    worst = [(v, t, floor[f"{m}_tables"].get(t)) for m in ("c2st_agg",) for t, v in ours[f"{m}_tables"].items()]
    return {
        "gaps": gaps, "nearer": {t: v for t, v in found["nearer"].items() if t in large}, "replayed": found["replayed"],
        "fit": fit, "sample": sample, "worst": sorted(worst, key=lambda w: (w[2] or 0.5) - w[0]),
    }  # fmt: skip


def line(name: str, runs: Sequence[dict[str, Any]]) -> str:
    """One database's means over its runs."""
    gaps = [f"{np.mean([r['gaps'][m] for r in runs]):>+9.3f}" if m in runs[0]["gaps"] else f"{'–':>9}" for m in MEASURES]
    nearest = {t: float(np.mean([r["nearer"][t] for r in runs])) for t in runs[0]["nearer"]}
    table = max(nearest, key=lambda t: nearest[t], default="")
    nearer = f"{nearest[table]:>8.3f} {table[:20]:<20}" if table else f"{'–':>8} {'':<20}"
    replayed = np.mean([r["replayed"] or 0.0 for r in runs])
    seconds = [f"{np.mean([r[k] for r in runs]):>8.1f}" for k in ("fit", "sample")]
    return f"{name[:18]:<18}" + "".join(gaps) + nearer + f"{replayed:>9.4f}" + "".join(seconds)


def heading(name: str = "database") -> str:
    """The line above those of `line`."""
    return f"{name:<18}" + "".join(f"{m:>9}" for m in MEASURES) + f"{'nearer':>8} {'':<20}{'replayed':>9}{'fit':>8}{'sample':>8}"


def found_databases(names: Iterable[str], folder: Path) -> list[Path]:
    """SQLite files; `demo` is built."""
    paths = [folder / "telecom.db" if n == "demo" else Path(n).resolve() for n in names]
    for path in paths:
        if path.parent == folder:
            demo.build(path)
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("databases", nargs="+")
    parser.add_argument("--tools", type=Path, required=True)
    parser.add_argument("--seeds", type=lambda text: [int(s) for s in text.split(",")], default=[0], metavar="0,1,2")
    parser.add_argument("--privacy", default="standard")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--tables", action="store_true", help="also the tables that give themselves away most")
    options = parser.parse_args()
    results: dict[str, list[dict[str, Any]]] = {}
    print(heading(), flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for database in found_databases(options.databases, folder):
            train, held = halves(database, options.tools, folder)
            runs = results[database.stem] = []
            for seed in options.seeds:
                runs.append(measured(train, held, options.tools, folder, privacy=options.privacy, seed=seed))
            print(line(database.stem, runs), flush=True)
            if options.tables:
                for value, table, floor in runs[0]["worst"][:6]:
                    print(f"    {table:<40}{value:>7.3f}  floor {floor if floor is None else format(floor, '.3f')}", flush=True)
            if options.json:
                options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
