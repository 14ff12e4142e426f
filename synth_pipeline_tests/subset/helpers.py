"""Small SQLite sources for the tests of the subset, and the anti-joins that every subset must pass."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import numpy as np

from synth_pipeline.artifacts import BundleWriter
from synth_pipeline.catalog.schema import DatabaseSchema
from synth_pipeline.config import SubsetConfig
from synth_pipeline.connectors import connect
from synth_pipeline.subset import Subset, take_subset
from synth_pipeline.subset.groups import Candidates


def build(path: Path, script: str, **rows: list[tuple[Any, ...]]) -> Path:
    """A database from DDL, with rows per table in catalogue order."""
    with sqlite3.connect(path) as connection:
        connection.executescript(script)
        for table, values in rows.items():
            if values:
                connection.executemany(f'INSERT INTO "{table}" VALUES ({", ".join("?" * len(values[0]))})', values)
    connection.close()
    return path


def draw(
    path: Path, target: Path, *, preserve: tuple[str, ...] = (), holdout: float = 0.0, candidates: Candidates | None = None, batch: int = 10_000,
    **options: Any,
) -> tuple[Subset, DatabaseSchema]:
    """A subset of the database, after its references were compared here once more, value by value."""
    connector = connect(f"sqlite:///{path}")
    try:
        schema = connector.reflect()
        writer = BundleWriter(target, schema, seed=options.get("seed", 0))
        subset = take_subset(
            connector, schema, SubsetConfig(**options), writer, preserve=preserve, holdout=holdout, candidates=candidates, batch=batch
        )
    finally:
        connector.close()
    assert dangling(subset, schema) == {}
    return subset, schema


def dangling(subset: Subset, schema: DatabaseSchema) -> dict[str, int]:
    """References of the bundle without a parent, by foreign key: an anti-join in plain Python."""
    found = {}
    for fk in schema.foreign_keys:
        parents = set(tuples(subset, fk.parent, fk.parent_columns))
        lost = sum(1 for v in tuples(subset, fk.table, fk.columns) if None not in v and v not in parents)
        if lost:
            found[fk.id] = lost
    return found


def unneeded(subset: Subset, schema: DatabaseSchema) -> dict[str, int]:
    """Rows by table that were neither drawn nor are referred to by any row of the bundle."""
    found = {}
    for table in schema.tables:
        needed = np.array(notes(subset, table.id, "core"), dtype=bool)
        for fk in (f for t in schema.tables for f in t.foreign_keys if f.parent == table.id):
            used = set(tuples(subset, fk.table, fk.columns))
            needed |= [key in used for key in tuples(subset, table.id, fk.parent_columns)]
        if not needed.all():
            found[table.id] = int((~needed).sum())
    return found


def tuples(subset: Subset, table: str, columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
    data = subset.bundle.read(table, columns)
    return list(zip(*(data[c].to_pylist() for c in columns), strict=True))


def notes(subset: Subset, table: str, name: str) -> list[Any]:
    annotations = subset.bundle.annotations(table)
    assert annotations is not None
    values: list[Any] = annotations[name].to_pylist()
    return values
