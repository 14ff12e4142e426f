"""Which columns make up the gaps of the honest yardstick (see `benchmarks.honest`).

    python -m benchmarks.lost --tools FOLDER DATABASE … [--seeds 0,1,2] [--most 4]

The scorer's pairs of columns are scored one by one: those of a table, and those over one key and over two. A line per measure: its gap
to the floor, and what columns of one table, or of the table that a chain of keys leads to, have of it, the worst ones first.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations, islice, product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.honest import Halves, found_databases, halves, options_of, tool, training_rows

MEASURED = ("pairs", "hop1", "hop2")
"""Over no key, one, and two."""
_MOST_PAIRS = 30
"""As many pairs of a chain of keys as the scorer looks at."""
Scores = dict[tuple[str, str, str], float]
"""By chain of tables, column of the first and column of the last one."""


class Scorer:
    """Scores pairs of columns against those of one database."""

    def __init__(self, path: Path, tools: Path) -> None:
        self._tool = tool(tools, "score")
        self._rows, self._schema = self._tool.load(str(path))
        self._kinds = self._tool.kinds(self._rows, self._schema)
        self._known = self._normal(self._rows)

    def scores(self, path: Path) -> list[Scores]:
        """The scores of a database: within tables, over one key, and over two."""
        rows, _ = self._tool.load(str(path))
        normal = self._normal(rows)
        found: list[Scores] = [{} for _ in MEASURED]
        for keys, chain, mine, theirs, columns in self._chains(rows):
            first, last = chain[0], chain[-1]
            for a, b in columns:
                real, other = (
                    [side[t][c].loc[at].reset_index(drop=True) for t, c, at in zip((first, last), (a, b), ends, strict=True)]
                    for side, ends in ((self._known, mine), (normal, theirs))
                )
                value = self._tool.pair(*real, *other, self._kinds[first][a], self._kinds[last][b]) if len(other[0]) else 0.0
                if value is not None:
                    found[keys][" → ".join(chain), a, b] = value
        return found

    def _normal(self, rows: Any) -> dict[str, Any]:
        return {t: self._tool.norm(rows[t], kinds) for t, kinds in self._kinds.items()}

    def _chains(self, rows: Any) -> Iterator[tuple[int, list[str], Any, Any, list[tuple[str, str]]]]:
        """Chains of tables with the number of their keys, the rows at both ends here and there, and pairs of columns."""
        for table, kinds in self._kinds.items():
            mine, theirs = ((x[table].index, x[table].index) for x in (self._rows, rows))
            yield 0, [table], mine, theirs, list(combinations(kinds, 2))
            for keys in range(1, len(MEASURED)):
                here, there = ({str(p): (p, f) for p, f in self._tool.join_up(x, self._schema, self._kinds, table, keys)} for x in (self._rows, rows))
                for key in (k for k in here if k in there and len(here[k][1])):
                    chain = [table, *(parent for _, parent in here[key][0])]
                    mine, theirs = ((f["__orig"], f["__row"]) for f in (here[key][1], there[key][1]))
                    yield keys, chain, mine, theirs, list(islice(product(kinds, self._kinds[chain[-1]]), _MOST_PAIRS))


def lost(half: Halves, tools: Path, seeds: Sequence[int], folder: Path) -> dict[str, Scores]:
    """By measure what each pair of columns has of the mean gap to the floor over seeds."""
    scorer, runs = Scorer(half.held, tools), []
    for seed in seeds:
        path = folder / f"{half.name}_{seed}.db"
        training_rows(half).fit(seed=seed, workers=1).sample(seed=seed).export(f"sqlite:///{path}")
        runs.append(scorer.scores(path))
    found = {}
    for keys, (measure, floor) in enumerate(zip(MEASURED, scorer.scores(half.train), strict=True)):
        means = {at: float(np.mean([run[keys].get(at, 0.0) for run in runs])) for at in floor}
        found[measure] = {at: (means[at] - value) / len(floor) for at, value in floor.items()}
    return found


def line(measure: str, gaps: Scores, most: int) -> str:
    """The gap, and what has most of it."""
    parts: dict[str, float] = defaultdict(float)
    for (chain, first, last), gap in gaps.items():
        parts[f"{chain}.{last}" if "→" in chain else f"{chain}.{first}, {last}"] += gap
    worst = sorted(parts.items(), key=lambda p: p[1])[:most]
    return f"    {measure:<6}{sum(gaps.values()):>+8.3f}   " + "; ".join(f"{what} {gap:+.3f}" for what, gap in worst if gap < -5e-4)


def main() -> None:
    parser = options_of(__doc__, range(3))
    parser.add_argument("--most", type=int, default=4)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for database in found_databases(options.databases, Path(folder)):
            print(database.stem)
            half = halves(database, options.tools, Path(folder))
            for measure, gaps in lost(half, options.tools, options.seeds, Path(folder)).items():
                print(line(measure, gaps, options.most), flush=True)


if __name__ == "__main__":
    main()
