"""Which columns make up the gaps of the honest yardstick (see `benchmarks.honest`).

    python -m benchmarks.lost --tools FOLDER DATABASE … [--seeds 0,1,2] [--most 4]

The scorer's pairs of columns are scored one by one: those of a table, and those over one key and over two. A line per measure: its gap
to the floor, and what columns of one table, or of the table that a chain of keys leads to, have of it, the worst ones first.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations, islice, product
from pathlib import Path
from typing import Any

import numpy as np

import synth_pipeline as sp
from benchmarks.honest import Halves, found_databases, halves

_MOST_PAIRS = 30
"""As many pairs of a chain of keys as the scorer looks at."""
Scores = dict[tuple[str, str, str], float]
"""By chain of tables, column of the first and column of the last one."""


class Scorer:
    """Scores pairs of columns against those of one database."""

    def __init__(self, path: Path) -> None:
        self._tool: Any = importlib.import_module("score")
        self._rows, self._schema = self._tool.load(str(path))
        self._kinds = self._tool.kinds(self._rows, self._schema)
        self._known = self._normal(self._rows)

    def pairs(self, path: Path, keys: int) -> Scores:
        """The scores of a database: within tables, or over so many keys."""
        rows, _ = self._tool.load(str(path))
        normal = self._normal(rows)
        found: Scores = {}
        for chain, mine, theirs, columns in self._chains(rows, keys):
            first, last = chain[0], chain[-1]
            for a, b in columns:
                value = 0.0
                if len(theirs[0]):
                    sides = [(n[first][a].loc[at[0]], n[last][b].loc[at[1]]) for n, at in ((self._known, mine), (normal, theirs))]
                    value = self._tool.pair(*(s.reset_index(drop=True) for side in sides for s in side), self._kinds[first][a], self._kinds[last][b])
                if value is not None:
                    found[" → ".join(chain), a, b] = value
        return found

    def _normal(self, rows: Any) -> dict[str, Any]:
        return {t: self._tool.norm(rows[t], kinds) for t, kinds in self._kinds.items()}

    def _chains(self, rows: Any, keys: int) -> Iterator[tuple[list[str], Any, Any, list[tuple[str, str]]]]:
        """Chains of tables, the rows at both ends here and there, and pairs of columns."""
        for table, kinds in self._kinds.items():
            if not keys:
                mine, theirs = ((x[table].index, x[table].index) for x in (self._rows, rows))
                yield [table], mine, theirs, list(combinations(kinds, 2))
                continue
            here, there = ({str(p): (p, f) for p, f in self._tool.join_up(x, self._schema, self._kinds, table, keys)} for x in (self._rows, rows))
            for key in (k for k in here if k in there and len(here[k][1])):
                chain = [table, *(parent for _, parent in here[key][0])]
                mine, theirs = ((f["__orig"], f["__row"]) for f in (here[key][1], there[key][1]))
                yield chain, mine, theirs, list(islice(product(kinds, self._kinds[chain[-1]]), _MOST_PAIRS))


def lost(half: Halves, seeds: Sequence[int], folder: Path) -> dict[str, Scores]:
    """By measure what each pair of columns has of the mean gap to the floor over seeds."""
    scorer, made = Scorer(half.held), []
    for seed in seeds:
        path = folder / f"{half.name}_{seed}.db"
        taken = sp.open(f"sqlite:///{half.train}").metadata().subset(holdout=0.0, max_rows=10**9)
        taken.fit(seed=seed, workers=1).sample(seed=seed).export(f"sqlite:///{path}")
        made.append(path)
    found = {}
    for keys, measure in enumerate(("pairs", "hop1", "hop2")):
        floor, ours = scorer.pairs(half.train, keys), [scorer.pairs(p, keys) for p in made]
        found[measure] = {at: (float(np.mean([o.get(at, 0.0) for o in ours])) - value) / len(floor) for at, value in floor.items()}
    return found


def line(measure: str, gaps: Scores, most: int) -> str:
    """The gap, and what has most of it."""
    parts: dict[str, float] = defaultdict(float)
    for (chain, first, last), gap in gaps.items():
        parts[f"{chain}.{last}" if "→" in chain else f"{chain}.{first}, {last}"] += gap
    worst = sorted(parts.items(), key=lambda p: p[1])[:most]
    return f"    {measure:<6}{sum(gaps.values()):>+8.3f}   " + "; ".join(f"{what} {gap:+.3f}" for what, gap in worst if gap < -5e-4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("databases", nargs="+")
    parser.add_argument("--tools", type=Path, required=True)
    parser.add_argument("--seeds", type=lambda text: [int(s) for s in text.split(",")], default=[0, 1, 2], metavar="0,1,2")
    parser.add_argument("--most", type=int, default=4)
    options = parser.parse_args()
    sys.path.insert(0, str(options.tools.resolve()))
    with tempfile.TemporaryDirectory() as folder:
        for database in found_databases(options.databases, Path(folder)):
            print(database.stem)
            for measure, gaps in lost(halves(database, options.tools, Path(folder)), options.seeds, Path(folder)).items():
                print(line(measure, gaps, options.most), flush=True)


if __name__ == "__main__":
    main()
