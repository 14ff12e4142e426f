"""Values drawn within what they belong to: a postal code within a region that is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from synth_pipeline.synthesis.relational.random import stratified


@dataclass
class Within:
    """The values that go with each code of another column; drawn like a variable.

    Attributes:
        name: the feature that holds the code, -1 where it is missing.
        start, size: the range of each code in `donors`, the missing one last; int (codes + 1,).
        donors: values of rows, float (n,).
    """

    name: str
    start: np.ndarray
    size: np.ndarray
    donors: np.ndarray

    @classmethod
    def fit(cls, name: str, codes: int, code: np.ndarray, x: np.ndarray) -> Within:
        """Learns from values `x` (n,) and their `code`, int (n,), -1 for a missing one."""
        code = np.where(code < 0, codes, code)
        size = np.bincount(code, minlength=codes + 1)
        return cls(name, np.cumsum(size) - size, size, x[np.lexsort((x, code))])

    @property
    def features(self) -> set[str]:
        """Names of the features that it looks at."""
        return {self.name}

    def draw(self, columns: Mapping[str, np.ndarray], rows: int, rng: np.random.Generator) -> np.ndarray:
        """A value per row; of any code where the row's own was never seen; float (rows,)."""
        code = np.where(columns[self.name] < 0, len(self.size) - 1, columns[self.name]).astype(np.int64)
        known = self.size[code] > 0
        start, size = np.where(known, self.start[code], 0), np.where(known, self.size[code], len(self.donors))
        if not len(self.donors):
            return np.full(rows, np.nan)
        return np.asarray(self.donors[start + (stratified(rng, code) * size).astype(np.int64)])
