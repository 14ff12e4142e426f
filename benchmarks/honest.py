"""The honest yardstick: fit on one half of the entities, compare with the other half, beside what the first half scores.

    python -m benchmarks.honest --tools FOLDER DATABASE … [--seeds 0,1,2] [--privacy standard] [--preserve TABLE,…] [--tables] [--json FILE]

DATABASE is a SQLite file, or `demo`. FOLDER holds `heldout.py` (`split REAL TRAIN HELD`, and a function `nearer`) and `score.py`
(`REAL OTHER --json OUT`). A line per database: for each measure the mean gap to the floor, over seeds; the largest share of rows of a
table of at least 300 rows that lie nearer to training rows than to held-out ones; the share of replayed rows; seconds.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

import synth_pipeline as sp
from synth_pipeline import demo
from synth_pipeline.notebook import Taken

MEASURES = ("shape", "pairs", "cardinality", "hop1", "hop2", "c2st", "c2st_agg")
Privacy = Literal["none", "standard", "strict"]
_ROWS = 300
"""Tables of fewer rows have shares of near rows that say little."""


@dataclass(frozen=True)
class Halves:
    """A training half, the half that is held out, and what the first scores against the second."""

    name: str
    train: Path
    held: Path
    floor: dict[str, Any]


def halves(database: Path, tools: Path, folder: Path) -> Halves:
    """Splits a database by its root entities."""
    train, held = folder / f"{database.stem}_train.db", folder / f"{database.stem}_held.db"
    subprocess.run([sys.executable, tools / "heldout.py", "split", database, train, held], check=True, stdout=subprocess.DEVNULL)
    return Halves(database.stem, train, held, scored(held, train, tools))


def scored(real: Path, other: Path, tools: Path) -> dict[str, Any]:
    """What one database scores against another."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "score.json"
        command: list[str | Path] = [sys.executable, tools / "score.py", real, other, "--skip-sdmetrics", "--json", out]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        found: dict[str, Any] = json.loads(out.read_text())
    return found


def tool(tools: Path, name: str) -> Any:
    """A module of FOLDER."""
    if (folder := str(tools.resolve())) not in sys.path:
        sys.path.insert(0, folder)
    return importlib.import_module(name)


def training_rows(half: Halves, preserve: Sequence[str] = ()) -> Taken:
    """All rows of the training half, none of them held out again; the rows of some tables are to be copied."""
    return sp.open(f"sqlite:///{half.train}").metadata(preserve=preserve).subset(holdout=0.0, max_rows=10**9)


def measured(
    half: Halves, tools: Path, *, privacy: Privacy = "standard", preserve: Sequence[str] = (), seed: int = 0
) -> dict[str, Any]:  # fmt: skip
    """Fits on the training half, samples as many rows, and scores: gaps by measure, `nearer` by table, `replayed`, CPU seconds."""
    nearer = tool(tools, "heldout").nearer
    taken = training_rows(half, preserve)
    start = time.process_time()
    fitted = taken.fit(seed=seed, privacy=privacy, workers=1)
    fit = time.process_time() - start
    made = fitted.sample(seed=seed)
    sample = time.process_time() - start - fit
    with tempfile.TemporaryDirectory() as folder:
        synthetic = Path(folder) / "synthetic.db"
        made.export(f"sqlite:///{synthetic}")
        ours, floor = scored(half.held, synthetic, tools), half.floor
        shares, replayed = nearer(str(half.train), str(half.held), str(synthetic))
    gaps = {m: ours[m] - floor[m] for m in MEASURES if ours.get(m) is not None and floor.get(m) is not None}
    large = {t: v for t, v in shares.items() if made.rows.get(t, made.rows.get(f"main.{t}", 0)) >= _ROWS}
    tables = [(t, v, floor["c2st_agg_tables"].get(t)) for t, v in ours["c2st_agg_tables"].items()]
    return {
        "gaps": gaps, "nearer": large, "replayed": replayed, "fit": fit, "sample": sample,
        "tables": sorted(tables, key=lambda w: (w[2] or 0.5) - w[1]),
    }  # fmt: skip


def line(name: str, runs: Sequence[dict[str, Any]]) -> str:
    """Means over runs, of one database or of several."""
    known = {m: [r["gaps"][m] for r in runs if m in r["gaps"]] for m in MEASURES}
    gaps = [f"{np.mean(values):>+9.3f}" if values else f"{'–':>9}" for values in known.values()]
    tables = dict.fromkeys(t for r in runs for t in r["nearer"])
    nearest = {t: float(np.mean([r["nearer"][t] for r in runs if t in r["nearer"]])) for t in tables}
    table = max(nearest, key=lambda t: nearest[t], default="")
    nearer = f"{nearest[table]:>8.3f} {table[:20]:<20}" if table else f"{'–':>8} {'':<20}"
    replayed = np.mean([r["replayed"] or 0.0 for r in runs])
    seconds = [f"{np.mean([r[k] for r in runs]):>8.1f}" for k in ("fit", "sample")]
    return f"{name[:24]:<25}" + "".join(gaps) + nearer + f"{replayed:>9.4f}" + "".join(seconds)


def heading(name: str = "database") -> str:
    """The line above those of `line`."""
    return f"{name:<25}" + "".join(f"{m[:9]:>9}" for m in MEASURES) + f"{'nearer':>8} {'':<20}{'replayed':>9}{'fit':>8}{'sample':>8}"


def found_databases(names: Iterable[str], folder: Path) -> list[Path]:
    """SQLite files; `demo` is built."""
    paths = [folder / "telecom.db" if n == "demo" else Path(n).resolve() for n in names]
    for path in paths:
        if path.parent == folder:
            demo.build(path)
    return paths


def options_of(about: str | None, seeds: Sequence[int], databases: str = "DATABASE") -> argparse.ArgumentParser:
    """What everything on this yardstick is asked: databases, FOLDER, and seeds."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("databases", nargs="+", metavar=databases)
    parser.add_argument("--tools", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--seeds", type=lambda text: [int(s) for s in text.split(",")], default=list(seeds), metavar="0,1,2")
    return parser


def main() -> None:
    parser = options_of(__doc__, [0])
    parser.add_argument("--privacy", default="standard", choices=("none", "standard", "strict"))
    parser.add_argument("--preserve", type=lambda text: text.split(","), default=[], metavar="TABLE,…", help="tables that are copied")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--tables", action="store_true", help="also the tables that give themselves away most, and what real rows do")
    options = parser.parse_args()
    results: dict[str, list[dict[str, Any]]] = {}
    print(heading(), flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        for database in found_databases(options.databases, Path(temporary)):
            half = halves(database, options.tools, Path(temporary))
            runs = results[half.name] = []
            for seed in options.seeds:
                runs.append(measured(half, options.tools, privacy=options.privacy, preserve=options.preserve, seed=seed))
            print(line(half.name, runs), flush=True)
            if options.tables:
                for table, value, floor in runs[0]["tables"][:6]:
                    print(f"    {table:<40}{value:>7.3f}  floor {floor if floor is None else format(floor, '.3f')}", flush=True)
            if options.json:
                options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
