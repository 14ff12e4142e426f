"""Generated schemas of every kind through the whole pipeline: `make stress`, or `ARGS="--schemas 200 --first 1000"`.

Each number is a schema: tables with whole, text, composite and missing keys, self references, cycles, several keys to one
parent, unique keys, CHECKs, generated names that need quotes, empty and one-row tables. A line per schema says what happened;
the exit code is 1 where one failed: an error, a broken constraint, or a row that was given up. `--keep` leaves the failed ones to look at.
"""

from __future__ import annotations

import argparse
import shutil
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import numpy as np

from synth_pipeline import pipeline
from synth_pipeline.artifacts import ArtifactStore, TableBundle
from synth_pipeline.config import Connection, ExportConfig, SampleConfig, SourceConfig, SynthesizerConfig

NAMES = ("order", "Kunde", "select", "tbl 1", "x-y", "Größe", "a.b", "items", "T'quote", "log")
TYPES = ("INTEGER", "REAL", "TEXT", "VARCHAR(12)", "DATE", "DATETIME", "BOOLEAN", "NUMERIC(8, 2)", "BLOB", "")
KEYS = ("whole", "text", "composite", "none")


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def value(rng: np.random.Generator, kind: str) -> object:
    day = f"20{rng.integers(10, 25):02d}-{rng.integers(1, 13):02d}-{rng.integers(1, 29):02d}"
    return {
        "INTEGER": int(rng.integers(-50, 1000)), "REAL": float(np.round(rng.lognormal(2, 1.5), 4)), "TEXT": " ".join(rng.choice(NAMES, 3)),
        "VARCHAR(12)": str(rng.choice(("low", "middle", "high", "äöü"))), "DATE": day, "DATETIME": f"{day} {rng.integers(0, 24):02d}:30:00",
        "BOOLEAN": int(rng.integers(0, 2)), "NUMERIC(8, 2)": float(np.round(rng.gamma(2, 40), 2)), "BLOB": rng.bytes(int(rng.integers(0, 40))),
        "": str(rng.integers(0, 9)),
    }[kind]  # fmt: skip


def build(path: Path, seed: int) -> int:
    """Writes a generated database; returns its rows."""
    rng = np.random.Generator(np.random.PCG64(seed))
    names = [str(n) for n in rng.choice(NAMES, int(rng.integers(1, 7)), replace=False)]
    kinds = [str(rng.choice(KEYS, p=[0.5, 0.2, 0.2, 0.1])) for _ in names]
    counts = [int(rng.choice((0, 1, 2, 15, 120, 600), p=[0.08, 0.08, 0.08, 0.2, 0.36, 0.2])) for _ in names]
    keys = [
        [{"whole": (i + 1,), "text": (f"K{i:04d}",), "composite": (i // 5 + 1, f"p{i % 5}"), "none": ()}[kind] for i in range(n)]
        for kind, n in zip(kinds, counts, strict=True)
    ]
    with closing(sqlite3.connect(path)) as connection, connection:
        for t, name in enumerate(names):
            shapes = {"whole": [("id", "INTEGER")], "text": [("code", "CHAR(5)")], "composite": [("major", "INTEGER"), ("minor", "TEXT")], "none": []}
            columns = [(c, f"{k} NOT NULL") for c, k in shapes[kinds[t]]]
            constraints = [f"PRIMARY KEY ({', '.join(c for c, _ in shapes[kinds[t]])})"] if kinds[t] != "none" else []
            parents: list[tuple[int, bool]] = []
            for p in rng.integers(0, len(names), int(rng.integers(0, 4))):
                # A key to a table that comes later, or to itself, may close a cycle: it can be NULL.
                optional = bool(p >= t or rng.random() < 0.4 or not counts[p])
                if kinds[p] != "none":
                    number = len(parents)
                    parents.append((int(p), optional))
                    own = [f"fk{number}_{c}" for c, _ in shapes[kinds[p]]]
                    columns += [(o, k if optional else f"{k} NOT NULL") for o, (_, k) in zip(own, shapes[kinds[p]], strict=True)]
                    constraints.append(
                        f"FOREIGN KEY ({', '.join(own)}) REFERENCES {quoted(names[p])} ({', '.join(c for c, _ in shapes[kinds[p]])})"
                    )
            plain = [str(k) for k in rng.choice(TYPES, int(rng.integers(0 if columns else 1, 6)))]
            nullable = [bool(rng.random() < 0.5) for _ in plain]
            columns += [(f"c{i} {k[:3]}", k if n else f"{k} NOT NULL") for i, (k, n) in enumerate(zip(plain, nullable, strict=True))]
            constraints += [f'CHECK ("c{i} {k[:3]}" >= -50)' for i, k in enumerate(plain) if k == "INTEGER" and rng.random() < 0.5]
            body = ", ".join([*(f"{quoted(c)} {k}" for c, k in columns), *constraints])
            connection.execute(f"CREATE TABLE {quoted(name)} ({body})")
            rows = []
            for i in range(counts[t]):
                row: list[object] = list(keys[t][i])
                for p, optional in parents:
                    empty = not counts[p] or (optional and rng.random() < 0.3)
                    row += [None] * len(shapes[kinds[p]]) if empty else keys[p][int(counts[p] * rng.beta(1, 2))]
                row += [None if n and rng.random() < 0.2 else value(rng, k) for k, n in zip(plain, nullable, strict=True)]
                rows.append(row)
            connection.executemany(f"INSERT INTO {quoted(name)} VALUES ({', '.join('?' * len(columns))})", rows)
    return sum(counts)


def attempt(folder: Path, seed: int, *, report: bool, shard_rows: int | None) -> str:
    """Runs one schema; returns what went wrong, or nothing."""
    config = SourceConfig(
        name=f"s{seed}", source=Connection(url=f"sqlite:///{folder}/source.db"), export=ExportConfig(url=f"sqlite:///{folder}/target.db"),
        sample=SampleConfig() if shard_rows is None else SampleConfig(shard_rows=shard_rows), synthesizer=SynthesizerConfig(workers=1),
    )  # fmt: skip
    store = ArtifactStore(folder / "artifacts")
    try:
        pipeline.run(config, store, last="report" if report else "sample")
        pipeline.run(config, store, first="export")
    except Exception as error:  # whatever happens is what this program looks for
        return f"{type(error).__name__}: {error}"
    with closing(sqlite3.connect(folder / "target.db")) as connection:
        dangling = connection.execute("PRAGMA foreign_key_check").fetchall()
        state = connection.execute("PRAGMA integrity_check").fetchone()[0]
    lost = [w for w in store_warnings(store, config.name) if "given up" in w]
    return f"{len(dangling)} dangling references" if dangling else "; ".join(lost) if state == "ok" else str(state)


def store_warnings(store: ArtifactStore, name: str) -> list[str]:
    """What the sampler had to give up."""
    found: list[str] = TableBundle.open(store.open(name, "synthetic_tables")).info.get("warnings", [])
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schemas", type=int, default=300)
    parser.add_argument("--first", type=int, default=0, help="number of the first schema")
    parser.add_argument("--shard-rows", type=int, help="draw in parts of so many rows; otherwise every second schema is drawn in parts of 10 to 100")
    parser.add_argument("--report", action="store_true", help="make the report too")
    parser.add_argument("--keep", type=Path, help="folder for the databases of failed schemas")
    options = parser.parse_args()
    failed = 0
    for seed in range(options.first, options.first + options.schemas):
        with tempfile.TemporaryDirectory() as temporary:
            folder, started = Path(temporary), time.monotonic()
            rows = build(folder / "source.db", seed)
            shard_rows = options.shard_rows or (10 + seed % 91 if seed % 2 else None)
            problem = attempt(folder, seed, report=options.report, shard_rows=shard_rows)
            print(f"{seed:>6}{rows:>8,} rows{time.monotonic() - started:>7.1f} s  {problem or 'ok'}", flush=True)
            if problem:
                failed += 1
                if options.keep:
                    options.keep.mkdir(parents=True, exist_ok=True)
                    shutil.copy(folder / "source.db", options.keep / f"{seed}.db")
    print(f"{options.schemas - failed} of {options.schemas} schemas went through")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
