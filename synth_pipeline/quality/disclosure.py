"""Whether a column of a real person can be guessed from the synthetic rows better than that of a person nobody learned from.

An attacker who knows all other columns of a row looks for the nearest synthetic row and guesses its value. Rows that were
learned from should be no easier to guess than rows that were held out: what is right on both sides is a pattern of the
population, what is right on the one side only was given away (the control of Giomi et al., Anonymeter, 2023). Distances
between whole rows are `privacy`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from synth_pipeline.quality.points import ranks_of, squared_gaps, standing

if TYPE_CHECKING:
    import numpy as np

    from synth_pipeline.quality.frames import Feature, Frame, TableFrame

    Array = np.ndarray[Any, Any]

FEWEST_TARGETS = 50
TARGETS = 600
SYNTHETIC_ROWS = 6_000
MOST_COLUMNS = 15
CLOSE = 0.025
"""A number counts as guessed when it lies within so much of the real values' ranks to either side."""


@dataclass(frozen=True)
class Disclosure:
    """How often a column is guessed right; shares in 0..1.

    Attributes:
        sensitive: whether the metadata mark it so.
        learned: of rows that the synthesizer learned from.
        unseen: of rows that were held out: what the population alone gives away.
        blind: of rows that it learned from, with the value that is most often right and no look at the row.
        risk: `learned` - `unseen`, with its interval (95 %, corrected for the number of columns that are looked at).
    """

    column: str
    sensitive: bool
    targets: int
    learned: float
    unseen: float
    blind: float
    risk: float
    low: float
    high: float


def measure_disclosure(frame: Frame, table: TableFrame) -> list[Disclosure]:
    """The columns that are marked sensitive, then others, the riskiest first; empty without enough held-out rows or columns."""
    import numpy as np

    held, training = np.flatnonzero(table.holdout), np.flatnonzero(~table.holdout)
    if len(table.features) < 2 or table.synthetic.rows < FEWEST_TARGETS:
        return []
    rng = frame.random(table.id, "disclosure")
    unseen, learned = (_one_per_entity(rows, table.entity, rng) for rows in (held, training))
    targets = min(TARGETS, len(unseen), len(learned))
    if targets < FEWEST_TARGETS:
        return []
    rows = np.concatenate([learned[:targets], unseen[:targets]])
    others = frame.sample(np.arange(table.synthetic.rows), SYNTHETIC_ROWS, table.id, "disclosure rows")
    about = frame.metadata.tables[table.id].columns if table.id in frame.metadata.tables else {}
    marked = {c for c, m in about.items() if m.sensitive}
    columns = sorted(table.features, key=lambda c: c not in marked)[:MOST_COLUMNS]
    found = _attack(table, columns, marked, rows, others, targets)
    return sorted(found, key=lambda d: (not d.sensitive, -d.low))


def _one_per_entity(rows: Array, entity: Array | None, rng: Any) -> Array:
    """The rows in random order, only one of each root entity where these are known, so that they are independent."""
    import numpy as np

    rows = rng.permutation(rows)
    if entity is None or (entity[rows] < 0).any():
        return np.asarray(rows)
    return np.asarray(rows[np.sort(np.unique(entity[rows], return_index=True)[1])])


def _attack(table: TableFrame, columns: list[str], marked: Collection[str], rows: Array, others: Array, targets: int) -> list[Disclosure]:
    import numpy as np

    spread: Mapping[str, Array] = ranks_of(table)

    def side(feature: Feature) -> tuple[Array, Array]:
        real, made = table.real.values[feature.name][rows], table.synthetic.values[feature.name][others]
        return standing(feature, real, spread).astype(np.float32), standing(feature, made, spread).astype(np.float32)

    sides = {name: side(feature) for name, feature in table.features.items()}
    total = np.zeros((len(rows), len(others)), dtype=np.float32)
    for name, feature in table.features.items():
        total += squared_gaps(feature, *sides[name])
    found = []
    for name in columns:
        feature, (real, made) = table.features[name], sides[name]
        nearest = np.argmin(total - squared_gaps(feature, real, made), axis=1)
        right = _right(feature, real, made[nearest])
        learned, unseen = float(right[:targets].mean()), float(right[targets:].mean())
        blind = float(_right(feature, real[:targets], np.full(targets, _usual(feature, made), dtype=np.float32)).mean())
        low, high = _interval(right[:targets], right[targets:], len(columns))
        found.append(Disclosure(name, name in marked, targets, learned, unseen, blind, learned - unseen, low, high))
    return found


def _right(feature: Feature, real: Array, guessed: Array) -> Array:
    import numpy as np

    return np.asarray(real == guessed if feature.kind == "category" else np.abs(real - guessed) <= CLOSE)


def _usual(feature: Feature, made: Array) -> float:
    """The guess of somebody who looks at the column alone: its most frequent category, or where most of its values lie."""
    import numpy as np

    if feature.kind == "category":
        values, counts = np.unique(made, return_counts=True)
        return float(values[counts.argmax()])
    ordered = np.sort(made)
    within = np.searchsorted(ordered, ordered + 2 * CLOSE, "right") - np.arange(len(ordered))
    return float(ordered[within.argmax()] + CLOSE)


def _interval(a: Array, b: Array, looks: int) -> tuple[float, float]:
    """Of the difference of two shares (Agresti and Caffo 2000), wide enough for so many looks (Bonferroni)."""
    import numpy as np
    from scipy.stats import norm

    shares = [(float(x.sum()) + 1) / (len(x) + 2) for x in (a, b)]
    error = float(norm.ppf(1 - 0.025 / looks) * np.sqrt(sum(p * (1 - p) / (len(x) + 2) for p, x in zip(shares, (a, b), strict=True))))
    gap = shares[0] - shares[1]
    return max(-1.0, gap - error), min(1.0, gap + error)
