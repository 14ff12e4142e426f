"""The relational synthesizer as the rest of the program sees it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synth_pipeline import __version__
from synth_pipeline.artifacts import BundleWriter
from synth_pipeline.errors import ConfigError, closest
from synth_pipeline.progress import Progress
from synth_pipeline.synthesis.base import SampleRequest, TrainingData
from synth_pipeline.synthesis.parallel import Workers
from synth_pipeline.synthesis.relational import store
from synth_pipeline.synthesis.relational.database import draw_database
from synth_pipeline.synthesis.relational.fit import fit_database
from synth_pipeline.synthesis.relational.model import DatabaseModel
from synth_pipeline.synthesis.relational.variable import PRIVACY

_PARAMS = ("min_rows", "min_entities")


class RelationalSynthesizer:
    """Sequential honest trees with leaf donors over any schema.

    Parameters: `min_rows` and `min_entities`, the fewest donors of a leaf and the fewest root entities among them, in place
    of those of the privacy level.
    """

    name = "relational"

    def fit(
        self, data: TrainingData, params: Mapping[str, Any], *, privacy: str, seed: int, workers: Workers, progress: Progress
    ) -> FittedRelational:
        from dataclasses import replace

        from threadpoolctl import threadpool_limits

        for key, value in params.items():
            if key not in _PARAMS:
                raise ConfigError(f"The relational synthesizer has no parameter {key!r}.", closest(key, _PARAMS))
            if not isinstance(value, int) or value < 1:
                raise ConfigError(f"The parameter {key!r} must be a whole number of at least 1, not {value!r}.")
        level = replace(PRIVACY[privacy], **params)
        with threadpool_limits(1, user_api="blas"):  # many small products: threads would wait longer than they work
            model = fit_database(data, level, seed, progress, workers)
        model.info |= {"package_version": __version__, "params": dict(params), "privacy": privacy}
        return FittedRelational(model)

    def load(self, directory: Path) -> FittedRelational:
        return FittedRelational(store.load(directory))


class FittedRelational:
    """A fitted database, ready to be sampled any number of times; `whole`: always in one piece, in this process."""

    def __init__(self, model: DatabaseModel, *, whole: bool = False) -> None:
        self._model, self._whole = model, whole
        self.info = model.info
        self.schema_fingerprint = model.source.fingerprint()

    def sample(self, request: SampleRequest, writer: BundleWriter, progress: Progress) -> None:
        warnings = draw_database(self._model, request, writer, progress, whole=self._whole)
        if warnings:
            writer.info["warnings"] = warnings

    def save(self, directory: Path) -> None:
        store.save(self._model, directory)
