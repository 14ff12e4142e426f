"""The most that may be expected of the honest yardstick: the training half itself, with the rows of a few tables drawn anew.

    python -m benchmarks.ceiling --tools FOLDER DATABASE:TABLE,TABLE … [--seeds 0,1,2]

Tables that both halves hold whole (eight employees) score 1 only as a copy. Here all else is a copy of the training half, and the
rows of these tables are drawn from themselves with replacement: a model that knows their distribution exactly, and draws
independently (bootstrap, Efron 1979). A row keeps its key and what is unique; what referred to a row refers to one that was drawn
from it, or, where there is none, to another that was drawn from one with such rows. FOLDER is that of `benchmarks.honest`.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from benchmarks.honest import MEASURES, halves, options_of, scored


def redraw(path: Path, table: str, rng: np.random.Generator) -> None:
    """Draws the rows of a table with a key of one column anew; SQLite, in place."""
    with closing(sqlite3.connect(path)) as db, db:
        about = db.execute(f'PRAGMA table_info("{table}")').fetchall()
        [key] = [c[1] for c in about if c[5]]
        indexes = [i[1] for i in db.execute(f'PRAGMA index_list("{table}")').fetchall() if i[2]]
        own = {key, *(c[2] for i in indexes for c in db.execute(f'PRAGMA index_info("{i}")'))}
        others = [c[1] for c in about if c[1] not in own]
        wanted = ", ".join(f'"{c}"' for c in [key, *others])
        rows = {row[0]: row[1:] for row in db.execute(f'SELECT {wanted} FROM "{table}" ORDER BY "{key}"')}
        keys = list(rows)
        drawn = dict(zip(keys, rng.choice(np.array(keys, dtype=object), len(keys)), strict=True))
        setting = ", ".join(f'"{c}" = ?' for c in others)
        db.executemany(f'UPDATE "{table}" SET {setting} WHERE "{key}" = ?', [(*rows[old], new) for new, old in drawn.items()])
        for (child,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for _, _, parent, column, *_ in db.execute(f'PRAGMA foreign_key_list("{child}")').fetchall():
                if parent.lower() == table.lower():
                    _refer(db, child, column, drawn, rng)


def _refer(db: sqlite3.Connection, child: str, column: str, drawn: dict[object, object], rng: np.random.Generator) -> None:
    """Lets a column refer to keys that were drawn from those that it refers to."""
    refers = db.execute(f'SELECT rowid, "{column}" FROM "{child}" WHERE "{column}" IS NOT NULL').fetchall()
    used = {old for _, old in refers}
    from_used = [new for new, old in drawn.items() if old in used] or list(drawn)
    places = {old: [new for new, from_ in drawn.items() if from_ == old] or from_used for old in used}
    changes = [(places[old][rng.integers(len(places[old]))], row) for row, old in refers]
    db.executemany(f'UPDATE OR IGNORE "{child}" SET "{column}" = ? WHERE rowid = ?', changes)


def gaps(database: Path, tables: Sequence[str], tools: Path, seeds: Sequence[int], folder: Path) -> dict[str, float]:
    """What is lost by drawing the rows of some tables anew: the mean gap to the floor, by measure."""
    half = halves(database, tools, folder)
    runs = []
    for seed in seeds:
        other = folder / f"redrawn{seed}.db"
        shutil.copy(half.train, other)
        for table in tables:
            redraw(other, table, np.random.default_rng(seed))
        runs.append(scored(half.held, other, tools))
    return {m: float(np.mean([r[m] for r in runs])) - half.floor[m] for m in MEASURES if half.floor.get(m) is not None}


def main() -> None:
    options = options_of(__doc__, range(5), "DATABASE:TABLE,TABLE").parse_args()
    print(f"{'database':<20}" + "".join(f"{m[:9]:>10}" for m in MEASURES) + "  drawn anew")
    with tempfile.TemporaryDirectory() as folder:
        for word in options.databases:
            path, _, tables = word.rpartition(":")
            found = gaps(Path(path), tables.split(","), options.tools, options.seeds, Path(folder))
            numbers = [f"{found[m]:>+10.3f}" if m in found else f"{'–':>10}" for m in MEASURES]
            print(f"{Path(path).stem:<20}{''.join(numbers)}  {tables}", flush=True)


if __name__ == "__main__":
    main()
