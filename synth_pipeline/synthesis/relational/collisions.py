"""Rows that collide in a key, and what they may have instead: another parent, the next free number, another category.

All keys that a component is part of are looked at together, so that none is mended at the cost of another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from synth_pipeline.synthesis.relational.encode import NumberCodec

_NEAR, _BEYOND = 2_000, 100_000
"""How many steps are tried from a number to either side, and beyond the range."""


def duplicates(codes: np.ndarray, complete: np.ndarray) -> np.ndarray:
    """Rows whose key occurred in an earlier row; `codes` (n,) are equal where keys are, `complete` says which can collide."""
    rows = np.flatnonzero(complete)
    _, first = np.unique(codes[rows], return_index=True)
    late = np.ones(len(rows), dtype=bool)
    late[first] = False
    return rows[late]


@dataclass(frozen=True)
class Claim:
    """What a key asks of one of its components: that no two rows have the same of it and of the rest of the key.

    Attributes:
        rest: code of the other columns of the key, int (n,).
        complete: rows that can collide, bool (n,).
        code: what a value of the component is to the key, by value; None: itself.
    """

    rest: np.ndarray
    complete: np.ndarray
    code: np.ndarray | None = None

    def of(self, values: np.ndarray) -> np.ndarray:
        """What values are to the key."""
        return values if self.code is None else self.code[values.astype(np.int64)]


def reassign(
    claims: Sequence[Claim], values: np.ndarray, rows: np.ndarray, candidates: Callable[[int], Iterator[float]]
) -> tuple[np.ndarray, np.ndarray]:
    """Gives `rows` other values of a component, so that no key that it is part of repeats.

    Args:
        claims: one for each such key.
        values: the component, float (n,).
        rows: the rows to change.
        candidates: for a row the values that it may take, best first.

    Returns:
        The new values (n,), and the rows for which none was free.
    """
    values = values.copy()
    used: list[set[tuple[int, float]]] = []
    for claim in claims:
        touched = np.isin(claim.rest, claim.rest[rows]) & claim.complete
        touched[rows] = False
        used.append(set(zip(claim.rest[touched].tolist(), claim.of(values[touched]).tolist(), strict=True)))
    failed = []
    for row in rows.tolist():
        mine = [(int(c.rest[row]), c.code, u) for c, u in zip(claims, used, strict=True) if c.complete[row]]
        for value in candidates(row):
            marks = [(rest, value if code is None else int(code[int(value)])) for rest, code, _ in mine]
            if not any(m in u for m, (_, _, u) in zip(marks, mine, strict=True)):
                values[row] = value
                for m, (_, _, u) in zip(marks, mine, strict=True):
                    u.add(m)
                break
        else:
            failed.append(row)
    return values, np.array(failed, dtype=np.int64)


def number_candidates(
    codec: NumberCodec, x: np.ndarray, low: np.ndarray, high: np.ndarray, *, upward: bool = False
) -> Callable[[int], Iterator[float]]:
    """The nearest values of the lattice first, within the range of the training values, then beyond its end.

    None is below `low` or above `high`, in units, float (n,), NaN for no limit. With `upward` later ones come before earlier ones: for
    a date that never lies before what it is counted from.
    """
    step = codec.step if codec.digits is not None else max((codec.high - codec.low) / 1e6, 1e-9)
    around = np.multiply.outer(np.arange(1, _NEAR), (1, -1))
    turns = [around[:, 0], around[:, 1]] if upward else [around.ravel()]

    def near(row: int) -> Iterator[float]:
        start = x[row] if np.isfinite(x[row]) else codec.low
        least, most = np.fmax(codec.low, low[row]), np.fmin(codec.high, high[row])
        for steps in turns:
            values = start + steps * step
            yield from values[(values >= least) & (values <= most)].tolist()
        for k in range(1, _BEYOND):
            if (value := codec.high + k * step) > high[row]:
                break
            if not value < low[row]:
                yield value

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
