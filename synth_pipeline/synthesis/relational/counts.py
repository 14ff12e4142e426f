"""How many children each parent has: drawn with the parent, then given exactly the distribution of the population.

The tree says who has many and who has few; the histogram of the whole source says how many there are of each; a total
may be imposed on top. Which keys have counts is decided by `structure`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from synth_pipeline.synthesis.relational.balance import Margin
from synth_pipeline.synthesis.relational.distinct import several
from synth_pipeline.synthesis.relational.encode import NumberCodec
from synth_pipeline.synthesis.relational.frame import Frame, small_bins
from synth_pipeline.synthesis.relational.quota import Ceiling, Fixed
from synth_pipeline.synthesis.relational.rules import Pace, Presence, Run
from synth_pipeline.synthesis.relational.variable import Variable

_MOST_MEANS = 6


@dataclass
class CountModel:
    """Children per parent over one foreign key.

    Attributes:
        variable: a draw of the count given the parent.
        degrees, parents: the population's histogram.
        most: the most children that a parent may have (1 where the key is unique); None for no limit.
        steady: a calendar that says how many there are, or a pace that leaves time for so many at most; the variable is then of what
            there are more or less.
        margins: by feature of the parents, which share of the children groups of them have.
        childless: which parents have none, and which have some, because a column of theirs says so.
        ceilings: numbers that the children never exceed.
        fixed: a column some of whose values say how many there are.
    """

    variable: Variable
    degrees: np.ndarray
    parents: np.ndarray
    most: int | None = None
    steady: Run | Pace | None = None
    margins: dict[str, Margin] = field(default_factory=dict)
    childless: Presence | None = None
    ceilings: tuple[Ceiling, ...] = ()
    fixed: Fixed | None = None

    def histogram(self, n: int, at: float = 0.5) -> np.ndarray:
        """The counts of `n` parents, ascending: the population's quantiles at (0 + at) / n, (1 + at) / n …; int64 (n,)."""
        if n == 0 or self.parents.sum() == 0:
            return np.zeros(n, dtype=np.int64)
        share = np.cumsum(self.parents) / self.parents.sum()
        places = np.searchsorted(share, (np.arange(n) + at) / n, side="left").clip(0, len(self.degrees) - 1)
        values: np.ndarray = self.degrees[places].astype(np.int64)
        return np.minimum(values, self.most) if self.most is not None else values

    def calibrate(self, raw: np.ndarray, rng: np.random.Generator, at: float = 0.5) -> np.ndarray:
        """Counts in the order of `raw` and with the population's histogram (see there for `at`); int64 (n,)."""
        out = np.empty(len(raw), dtype=np.int64)
        out[np.lexsort((rng.random(len(raw)), np.nan_to_num(raw)))] = self.histogram(len(raw), at)
        return out


def count_bins(before: np.ndarray) -> np.ndarray:
    """How many children the sibling before has, float (n,), NaN for the first, as bins of a feature; uint8 (n,)."""
    return small_bins(np.nan_to_num(np.round(before) + 1))


def impose_total(
    counts: np.ndarray, total: int, rng: np.random.Generator, most: int | np.ndarray | None = None, least: np.ndarray | None = None
) -> np.ndarray:
    """Moves counts to a total by as little as possible, in proportion to their size; int64 (n,).

    Children are taken from, or added to, parents at evenly spaced places of a random order, so that parents without
    children mostly stay without. Where `most`, of all or of each one (n,), leaves no room for the total, every parent gets it; and
    so with `least` (n,), which no count falls below.
    """
    counts = counts.astype(np.int64)
    n = len(counts)
    if n == 0:
        return counts
    if least is not None:
        above = impose_total(counts - least, max(0, total - int(least.sum())), rng, None if most is None else np.maximum(most - least, 0))
        return np.asarray(least + above)
    if most is not None:
        most = np.broadcast_to(most, n)
        counts, total = np.minimum(counts, most), min(total, int(np.minimum(most, max(total, 0)).sum()))
    order = rng.permutation(n)
    while (have := int(counts.sum())) != total:
        change = total - have
        if change < 0:
            stubs = np.repeat(order, counts[order])
            counts -= np.bincount(_spaced(stubs, -change, rng), minlength=n)
            continue
        room = counts if most is None else np.where(counts < most, np.maximum(counts, 1), 0)
        if not room.any():
            room = np.ones(n, dtype=np.int64) if most is None else (counts < most).astype(np.int64)
        stubs = np.repeat(order, room[order])
        counts += np.bincount(_spaced(stubs, min(change, len(stubs)), rng), minlength=n)
        if most is not None:
            counts = np.minimum(counts, most)
    return counts


def _spaced(stubs: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    return stubs[((np.arange(count) + rng.random()) * (len(stubs) / max(1, count))).astype(np.int64) % max(1, len(stubs))]


def apportion(weights: np.ndarray, total: int, rng: np.random.Generator) -> np.ndarray:
    """Whole numbers in proportion to `weights` (n,) that add up to `total`: systematic sampling of the remainders."""
    n = len(weights)
    if n == 0 or total <= 0:
        return np.zeros(n, dtype=np.int64)
    weights = np.asarray(weights, dtype=float)
    if weights.sum() <= 0:
        weights = np.ones(n)
    share = weights / weights.sum() * total
    order = rng.permutation(n)
    edges = np.floor(np.cumsum(share[order]) + rng.random() * (1 - 1e-9))
    edges[-1] = total if edges[-1] != total else edges[-1]
    out = np.empty(n, dtype=np.int64)
    out[order] = np.diff(np.r_[0, np.minimum(edges, total)]).astype(np.int64)
    return out


def telling_columns(child: Frame, index: np.ndarray, count: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """The child's columns that differ between parents more than within, with a score per row to be averaged."""
    inside = index >= 0
    found: list[tuple[float, str, np.ndarray]] = []
    for column, x in child.x.items():
        codec = child.codecs[column]
        known = np.isfinite(x)
        if known.sum() < 50 or not several(x[known], 2):
            continue
        if isinstance(codec, NumberCodec):
            score = np.zeros(len(x))
            score[known] = np.argsort(np.argsort(x[known], kind="stable"), kind="stable") / known.sum()
            score[~known] = 0.5
        else:
            score = (x == np.bincount(x[known].astype(np.int64)).argmax()).astype(float)
        z = score[inside] - score[inside].mean()
        variance = float((z**2).mean())
        if variance <= 0:
            continue
        mean = np.bincount(index[inside], z, minlength=len(count)) / np.maximum(count, 1)
        within = float(((z - mean[index[inside]]) ** 2).sum() / max(1, inside.sum() - (count > 0).sum()))
        share = 1 - within / variance
        if share > 0.08:
            found.append((share, column, score))
    return [(c, s) for _, c, s in sorted(found, key=lambda f: -f[0])[:_MOST_MEANS]]
