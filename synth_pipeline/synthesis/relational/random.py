"""Random streams that depend on what is drawn, not on who draws it or when.

Every stream is a Philox counter generator (Salmon et al., 2011) keyed by the seed and by names: table, column, chunk.
Two workers that draw the same thing draw the same numbers, and no draw disturbs another.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Lane:
    """One of `count` parts of a table that are drawn apart from each other and must not make the same value.

    Attributes:
        number, count: this part, from 0, and how many there are.
        start: rows of the table in the parts before.
        total: rows of the table in all parts; None: those that are asked for.
    """

    number: int = 0
    count: int = 1
    start: int = 0
    total: int | None = None

    @property
    def middle(self) -> float:
        """Where in each of equal intervals the lane stands, so that all of them together are evenly spaced."""
        return (self.number + 0.5) / self.count

    def numbers(self, below: int) -> int:
        """How many of the numbers 0 … `below` - 1 are this lane's, which follow each other at the distance `count`."""
        return max(0, -((self.number - below) // self.count))

    def settle(self, value: int, below: int) -> int:
        """The lane's number next to `value`, from 0 to `below` - 1 where there is one."""
        value += (self.number - value) % self.count
        return value - self.count if value >= below and value >= self.count else value


WHOLE = Lane()


def stream(seed: int | str, *names: object) -> np.random.Generator:
    """The generator of the thing that `names` name, under `seed`."""
    text = "\0".join(map(str, (seed, *names)))
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


def stratified(rng: np.random.Generator, groups: np.ndarray) -> np.ndarray:
    """Uniform numbers in [0, 1), low-discrepancy within each group.

    Args:
        rng: the stream.
        groups: int array (n,); rows with the same number share a group.

    Returns:
        float array (n,): the m members of a group get one number in each of m equal strata, in random order. Marginals
        of quantities drawn by inversion come out far closer to their distribution than with independent numbers.
    """
    n = len(groups)
    order = np.lexsort((rng.random(n), groups))
    ordered = groups[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if n else np.empty(0, dtype=np.int64)
    sizes = np.diff(np.r_[starts, n])
    rank = np.arange(n) - np.repeat(starts, sizes)
    out = np.empty(n)
    out[order] = (rank + rng.random(n)) / np.repeat(sizes, sizes)
    return np.minimum(out, np.nextafter(1.0, 0.0))
