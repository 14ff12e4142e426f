"""What all learning shares: the training data, what is known of every table so far, and variables fitted on it."""

from __future__ import annotations

import numpy as np

from synth_pipeline.synthesis.base import TrainingData
from synth_pipeline.synthesis.parallel import Workers
from synth_pipeline.synthesis.relational.carry import carried_rows
from synth_pipeline.synthesis.relational.frame import Frame
from synth_pipeline.synthesis.relational.later import Growth, Later
from synth_pipeline.synthesis.relational.model import Context, TableModel
from synth_pipeline.synthesis.relational.random import stream
from synth_pipeline.synthesis.relational.training import Training
from synth_pipeline.synthesis.relational.trees import Feature
from synth_pipeline.synthesis.relational.variable import Privacy, Variable

_LAGGED_ROWS = 100
_LONGEST = 400
_WORTH = 0.03
"""The share of variance that the sibling before must explain in addition, to be looked at."""


class Learner:
    """The state of learning.

    Attributes:
        models: by table, as far as they are.
        contexts: what is known of a table's rows when something of them is drawn.
        own, above: the parts of it that children see: the table's own, and what it saw of its owner.
        later: the variables that wait to be fitted.
    """

    def __init__(self, data: TrainingData, privacy: Privacy, seed: int, workers: Workers) -> None:
        self.data, self.schema, self.privacy, self.seed = data, data.schema, privacy, seed
        self.training = Training.of(data, seed, privacy.min_category)
        self.frames, self.roles, self.plans = self.training.frames, self.training.roles, self.training.plans
        self.models: dict[str, TableModel] = {}
        self.own: dict[str, Context] = {}
        self.above: dict[str, Context] = {}
        self.contexts: dict[str, Context] = {}
        self.warnings: list[str] = []
        self.later = Later(workers)

    def _offer(self, frame: Frame, context: Context, name: str, values: np.ndarray) -> None:
        context.add([Feature(name)], {name: values})
        self.own[frame.table.id].add([Feature(name)], {name: values})

    def _repeating(
        self,
        model: TableModel,
        frame: Frame,
        context: Context,
        x: np.ndarray,
        key: str,
        name: tuple[object, ...],
        lag: tuple[Feature, np.ndarray] | None,
        *,
        codes: int = 0,
        smooth: bool = False,
    ) -> Variable:
        """The variable of what is new with a row, where siblings repeat each other; else one that may look at the sibling before."""
        train = np.flatnonzero(frame.train)
        carried = None
        if lag is not None and frame.group is not None:
            carried = carried_rows(frame.group, x, train, stream(self.seed, "fit", frame.table.id, *name, "carried"))
        if carried is None or frame.group is None:
            return self._lagged(frame, context, x, name, lag, codes=codes, smooth=smooth, shares=True)
        later = train[frame.group.position[train] > 0]
        model.carried[key] = self._variable(frame, context, carried.astype(float), (*name, "carried"), rows=later)
        # All rows, not the fresh ones: a draw stands for as many rows as carry it on, and values are as frequent as they are.
        variable = self._variable(frame, context, x, name, codes=codes, smooth=smooth, shares=True)
        context.add([Feature(f"r.{key}")], {f"r.{key}": carried.astype(np.uint8)})
        return variable

    def _lagged(
        self,
        frame: Frame,
        context: Context,
        x: np.ndarray,
        name: tuple[object, ...],
        lag: tuple[Feature, np.ndarray] | None,
        *,
        codes: int = 0,
        rows: np.ndarray | None = None,
        smooth: bool = False,
        shares: bool = False,
    ) -> Variable:
        """A variable that looks at the sibling before, where that explains what nothing else does."""
        group = frame.group
        if lag is None or group is None or (group.position > 0).sum() < _LAGGED_ROWS or group.size.max() > _LONGEST:
            return self._variable(frame, context, x, name, codes=codes, rows=rows, smooth=smooth, shares=shares)
        margin = _WORTH * float((group.position > 0).mean())
        return self._variable(frame, context, x, name, codes=codes, rows=rows, smooth=smooth, shares=shares, lag=lag, margin=margin)

    def _variable(
        self,
        frame: Frame,
        context: Context,
        x: np.ndarray,
        name: tuple[object, ...],
        *,
        codes: int = 0,
        rows: np.ndarray | None = None,
        smooth: bool = False,
        shares: bool = False,
        lag: tuple[Feature, np.ndarray] | None = None,
        margin: float = 0.0,
    ) -> Variable:
        """A variable, which is empty until all of the table are fitted."""
        rows, names = np.flatnonzero(frame.train) if rows is None else rows, (frame.table.id, *name)
        known, columns = list(context.features), dict(context.columns)
        return self.later.variable(
            Growth(x, rows, known, columns, frame.entities, self.privacy, self.seed, names, codes, smooth, shares, lag, margin)
        )
