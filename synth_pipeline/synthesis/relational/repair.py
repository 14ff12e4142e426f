"""Constraints that a draw can break: keys over several columns, and CHECK constraints.

Only the rows that break one are touched: they get another parent, the next free number, another category; for a CHECK a
combination of values that some training row had. Rows are given up only when the key has no free value left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from synth_pipeline.synthesis.relational.encode import NumberCodec


def duplicates(codes: np.ndarray, complete: np.ndarray) -> np.ndarray:
    """Rows whose key occurred in an earlier row; `codes` (n,) are equal where keys are, `complete` says which can collide."""
    rows = np.flatnonzero(complete)
    _, first = np.unique(codes[rows], return_index=True)
    late = np.ones(len(rows), dtype=bool)
    late[first] = False
    return rows[late]


def reassign(
    rest: np.ndarray, values: np.ndarray, rows: np.ndarray, complete: np.ndarray, candidates: Callable[[int], Iterator[float]]
) -> tuple[np.ndarray, np.ndarray]:
    """Gives `rows` other values, so that no pair of `rest` and value repeats.

    Args:
        rest: code of the other columns of the key, int (n,).
        values: the component that may change, float (n,).
        rows: the rows to change.
        complete: rows that can collide, bool (n,).
        candidates: for a row the values that it may take, best first.

    Returns:
        The new values (n,), and the rows for which none was free.
    """
    values = values.copy()
    touched = np.isin(rest, rest[rows]) & complete
    touched[rows] = False
    used: dict[int, set[float]] = {}
    for code, value in zip(rest[touched].tolist(), values[touched].tolist(), strict=True):
        used.setdefault(code, set()).add(value)
    failed = []
    for row in rows.tolist():
        mine = used.setdefault(int(rest[row]), set())
        for value in candidates(row):
            if value not in mine:
                values[row] = value
                mine.add(value)
                break
        else:
            failed.append(row)
    return values, np.array(failed, dtype=np.int64)


def number_candidates(codec: NumberCodec, x: np.ndarray, *, upward: bool = False) -> Callable[[int], Iterator[float]]:
    """The nearest values of the lattice first, within the range of the training values, then beyond its end.

    With `upward` later ones before earlier ones: for a date that never lies before what it is counted from.
    """
    step = codec.step if codec.digits is not None else max((codec.high - codec.low) / 1e6, 1e-9)

    def near(row: int) -> Iterator[float]:
        start = x[row] if np.isfinite(x[row]) else codec.low
        signs = ((1,), (-1,)) if upward else ((1, -1),)
        for value in (start + sign * k * step for tried in signs for k in range(1, 2_000) for sign in tried):
            if codec.low <= value <= codec.high:
                yield value
        for k in range(1, 100_000):
            yield codec.high + k * step

    return near


def choice_candidates(options: np.ndarray, rng: np.random.Generator, weights: np.ndarray | None = None) -> Callable[[int], Iterator[float]]:
    """Some of the numbers `options`: first by their `weights` (which are by number), then all of them in random order."""
    share = None
    if weights is not None and weights[options].sum() > 0:
        share = np.cumsum(weights[options]) / weights[options].sum()

    def pick(_: int) -> Iterator[float]:
        if share is not None:
            yield from options[np.searchsorted(share, rng.random(20), side="right").clip(0, len(options) - 1)].astype(float).tolist()
        yield from rng.permutation(options).astype(float).tolist()

    return pick
