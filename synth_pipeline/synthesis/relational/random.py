"""Random streams that depend on what is drawn, not on who draws it or when.

Every stream is a Philox counter generator (Salmon et al., 2011) keyed by the seed and by names: table, column, chunk.
Two workers that draw the same thing draw the same numbers, and no draw disturbs another.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from synth_pipeline.synthesis.relational.runs import in_runs


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


def stratified(rng: np.random.Generator, groups: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Uniform numbers in [0, 1), low-discrepancy within each group.

    Args:
        rng: the stream.
        groups: int array (n,); rows with the same number share a group.
        weights: float array (n,), positive: how much of its group's range each row stands for; None: all the same.

    Returns:
        float array (n,): the m members of a group get one number in each of m equal strata, in random order. Marginals
        of quantities drawn by inversion come out far closer to their distribution than with independent numbers.
    """
    n = len(groups)
    order = np.lexsort((rng.random(n), groups))
    place, size, starts = in_runs(groups[order])
    out = np.empty(n)
    if weights is None:
        out[order] = (place + rng.random(n)) / size
    else:
        share = weights[order]
        below = np.cumsum(share) - share
        whole = np.add.reduceat(share, starts) if n else share
        run = size[starts]
        out[order] = (below - np.repeat(below[starts], run) + share * rng.random(n)) / np.repeat(whole, run)
    return np.minimum(out, np.nextafter(1.0, 0.0))


def spread_along(rng: np.random.Generator, groups: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Uniform numbers in [0, 1), low-discrepancy within each group together with the place by `along`.

    The members of a group, in the order of `along` (n,), get the points of a Kronecker lattice (step: the golden ratio), so
    that sums of the two come out as evenly as each of them; float (n,).
    """
    n = len(groups)
    order = np.lexsort((rng.random(n), along, groups))
    place, size, starts = in_runs(groups[order])
    out = np.empty(n)
    out[order] = (place * 0.6180339887498949 + np.repeat(rng.random(len(starts)), size[starts])) % 1.0
    return np.minimum(out, np.nextafter(1.0, 0.0))
