"""Keys that nobody declared: two parents that no two rows share, or a parent and a time.

A playlist holds a track once, an employee has one timesheet a day. Chance would have it otherwise many times over.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pyarrow as pa

from synth_pipeline.catalog.schema import DatabaseSchema, Table, UniqueKey
from synth_pipeline.keys import combined_codes, complete_rows
from synth_pipeline.metadata.model import TableMetadata
from synth_pipeline.synthesis.relational.histories import time_columns

_FEWEST = 50
_SURPRISE = 20
"""How many rows would share both by chance, at least."""
_MOST = 12
"""Most single columns that are paired."""


def find_keys(schema: DatabaseSchema, table: Table, about: TableMetadata, rows: pa.Table) -> list[UniqueKey]:
    """The pairs of a table of which no two rows have the same; none that a key implies.

    Args:
        schema: of the database.
        table: whose rows are looked at.
        about: what its columns mean.
        rows: those that may be learnt from, with the stored columns.
    """
    stored = {c.name for c in table.stored_columns}
    links = [fk.columns for fk in table.foreign_keys if fk.parent in schema and set(fk.columns) <= stored and not fk.is_self_reference]
    days = [(c,) for c in time_columns(table, about)]
    parts = [p for p in dict.fromkeys([*links, *days]) if not any(set(key) <= set(p) for key in table.keys)][:_MOST]
    found: list[UniqueKey] = []
    for a, b in combinations(parts, 2):
        columns = tuple(dict.fromkeys((*a, *b)))
        implied = any(set(key.columns) <= set(columns) for key in found) or any(set(key) <= set(columns) for key in table.keys)
        if a in links and len(columns) == len(a) + len(b) and not implied and _is_key(rows, a, b):
            found.append(UniqueKey(columns))
    return found


def _is_key(rows: pa.Table, a: Sequence[str], b: Sequence[str]) -> bool:
    """Whether no two complete rows agree in `a` and `b`, although many would by chance."""
    known = complete_rows([rows.column(c) for c in (*a, *b)])
    if known.sum() < _FEWEST:
        return False
    first, second = (combined_codes([rows.column(c) for c in columns])[known] for columns in (a, b))
    if _repeats(first, second):
        return False
    others = np.random.default_rng(0).permutation(second)
    return _repeats(first, others) >= _SURPRISE


def _repeats(a: np.ndarray, b: np.ndarray) -> int:
    """How many rows have a pair that one before them has; each int (n,)."""
    pairs = np.unique(a, return_inverse=True)[1].astype(np.int64) * (len(b) + 1) + np.unique(b, return_inverse=True)[1]
    return len(pairs) - len(np.unique(pairs))
