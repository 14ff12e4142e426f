"""Variables that are fitted together, by as many processes as there are, when all that they learn from is known.

What a variable learns from are real rows, never what another one draws; so variables of one table wait for each other only
to be fitted at the same time. Each has a random stream of its own: who fits it does not matter. What they are does not belong here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from synth_pipeline.synthesis.parallel import Workers, in_order
from synth_pipeline.synthesis.relational.candidates import fit_variable
from synth_pipeline.synthesis.relational.encode import bin_edges, digitize
from synth_pipeline.synthesis.relational.random import stream
from synth_pipeline.synthesis.relational.trees import Feature
from synth_pipeline.synthesis.relational.variable import Privacy, Variable
from synth_pipeline.synthesis.relational.zeros import find_zeros

_WORTH_IT = 20_000_000
"""Rows times features from which on other processes are quicker than this one alone."""


@dataclass
class Growth:
    """All that a variable is fitted from (see `fit_variable`); `names` are those of its stream.

    `lag` is a feature with its values that is used where it explains at least `margin` more.
    """

    x: np.ndarray
    rows: np.ndarray
    features: Sequence[Feature]
    columns: Mapping[str, np.ndarray]
    entities: np.ndarray
    privacy: Privacy
    seed: int
    names: tuple[object, ...]
    codes: int = 0
    smooth: bool = False
    shares: bool = False
    lag: tuple[Feature, np.ndarray] | None = None
    margin: float = 0.0

    @property
    def size(self) -> int:
        return len(self.rows) * (len(self.features) + 1)

    def fit(self) -> Variable:
        """The variable."""
        extra = self.lag[0] if self.lag is not None else None
        columns = {**self.columns, self.lag[0].name: self.lag[1]} if self.lag is not None else self.columns
        variable = fit_variable(
            self.x, self.rows, self.features, columns, self.entities, self.privacy, stream(self.seed, "fit", *self.names),
            codes=self.codes, smooth=self.smooth, extra=extra, margin=self.margin,
        )  # fmt: skip
        variable.shares = self.shares
        place, codes, cells = self.x, self.codes, None
        if not codes:
            cells = bin_edges(self.x[self.rows])
            place, codes = np.where(np.isnan(self.x), np.nan, digitize(self.x, cells) - 1.0), len(cells) + 1
        # What never follows the sibling before is heeded where what often does is known.
        features = [*self.features, *([extra] if extra is not None and extra.name in variable.features else [])]
        variable.zeros = find_zeros(place, self.rows, features, columns, self.entities, codes)
        variable.cells = cells if variable.zeros else None
        return variable


class Later:
    """Variables that wait to be fitted."""

    def __init__(self, workers: Workers) -> None:
        # Learning stays on this machine: the rows are here.
        self._workers = Workers(workers.count)
        self._waiting: list[tuple[Variable, Growth]] = []

    def variable(self, growth: Growth) -> Variable:
        """A variable that is empty until `finish`."""
        out = Variable([])
        self._waiting.append((out, growth))
        return out

    def finish(self) -> None:
        """Fits all that wait."""
        growths = [growth for _, growth in self._waiting]
        workers = self._workers if sum(g.size for g in growths) >= _WORTH_IT else Workers()
        for (empty, _), fitted in zip(self._waiting, in_order(_fit, None, growths, workers), strict=True):
            vars(empty).update(vars(fitted))
        self._waiting = []


def _fit(_: None, growth: Growth) -> Variable:
    return growth.fit()
