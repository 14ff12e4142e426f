"""`gaussian_copula` and `ctgan`: one single-table SDV model per table inside the relational engine.

Keys, counts, links, rules, personal columns and text are the relational engine's, and so is every constraint; SDV draws
the remaining columns of a table together, in place of the engine's own variables. So these adapters take any schema. What
SDV sees are the engine's encoded columns: numbers and dates as numbers, categories as opaque codes.

A column whose distance from its parent or its previous sibling is modelled stays with the engine, as an SDV model of one
table knows neither; so does a number that determines another column.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from synth_pipeline import __version__
from synth_pipeline.artifacts import BundleWriter, read_json, write_json
from synth_pipeline.errors import ArtifactError
from synth_pipeline.progress import Progress
from synth_pipeline.synthesis.base import SampleRequest, TrainingData
from synth_pipeline.synthesis.parallel import Workers
from synth_pipeline.synthesis.relational import store
from synth_pipeline.synthesis.relational.encode import CategoryCodec, NumberCodec
from synth_pipeline.synthesis.relational.engine import FittedRelational
from synth_pipeline.synthesis.relational.fit import fit_normal
from synth_pipeline.synthesis.relational.frame import Frame
from synth_pipeline.synthesis.relational.model import DatabaseModel, TableModel
from synth_pipeline.synthesis.relational.normal.normalise import normalised
from synth_pipeline.synthesis.relational.random import stream
from synth_pipeline.synthesis.relational.training import Training
from synth_pipeline.synthesis.relational.variable import PRIVACY, Variable
from synth_pipeline.synthesis.sdv.params import CopulaParams, CTGANParams, checked
from synth_pipeline.synthesis.sdv.runtime import controlled, sdv_module

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

FORMAT = 1
_CLASSES: dict[str, tuple[str, type[CopulaParams] | type[CTGANParams]]] = {
    "gaussian_copula": ("GaussianCopulaSynthesizer", CopulaParams),
    "ctgan": ("CTGANSynthesizer", CTGANParams),
}
_FEWEST_ROWS = 10
_DOCUMENT, _RELATIONAL = "sdv.json", "relational"


@dataclass
class _Part:
    """A fitted SDV model; `columns` are those of the table that it draws, under the names `c0`, `c1` … that it knows."""

    synthesizer: Any
    columns: list[str]


class TableSynthesizer:
    """One SDV model per table; `name` says which: `gaussian_copula` or `ctgan`.

    Parameters are those of SDV's class (see `params`).
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def fit(self, data: TrainingData, params: Mapping[str, Any], *, privacy: str, seed: int, workers: Workers, progress: Progress) -> FittedTables:
        class_name, options = _CLASSES[self.name]
        kwargs = checked(options, params, self.name).model_dump()
        normal = normalised(data, PRIVACY[privacy].min_entities)
        model = fit_normal(normal, PRIVACY[privacy], seed, progress, workers)
        frames = Training.read(normal.data).frames
        kept: dict[str, list[str]] = {}
        parts: dict[str, _Part] = {}
        with progress.step(f"fit {self.name}", total=len(model.tables)) as step:
            for table, part in model.tables.items():
                least = PRIVACY[privacy].min_category
                made = None if part.reference is not None else self._table(frames[table], part, class_name, kwargs, least, seed)
                if isinstance(made, _Part):
                    parts[table] = made
                elif made is not None:
                    kept.setdefault(made, []).append(table)
                step.advance(note=table)
        warnings = [f"{self.name}: {', '.join(tables)} drawn by the relational engine ({why})" for why, tables in kept.items()]
        model.info |= {
            "synthesizer": self.name, "params": kwargs, "privacy": privacy, "package_version": __version__, "sdv_version": version("sdv"),
            "sdv_columns": {t: p.columns for t, p in parts.items()}, "warnings": [*model.info["warnings"], *warnings],
        }  # fmt: skip
        return FittedTables(self.name, model, parts)

    def _table(self, frame: Frame, model: TableModel, class_name: str, kwargs: dict[str, Any], least: int, seed: int) -> _Part | str:
        """The SDV model of a table, or why there is none."""
        table = model.plan.table
        encoded = _encoded(frame, model, least)
        if not encoded:
            return "no column is left for SDV"
        if len(next(iter(encoded.values()))) < _FEWEST_ROWS:
            return f"fewer than {_FEWEST_ROWS} rows to learn from"
        shown = _frame(encoded, model)
        sdtypes = {f"c{i}": {"sdtype": "categorical" if _is_category(model, c) else "numerical"} for i, c in enumerate(encoded)}
        try:
            sdv = sdv_module("single_table")
            with controlled(_number(seed, table, "fit")):
                metadata = sdv_module("metadata").Metadata.load_from_dict({"METADATA_SPEC_VERSION": "V2", "tables": {"t": {"columns": sdtypes}}})
                synthesizer = getattr(sdv, class_name)(metadata, **kwargs)
                synthesizer.fit({"t": shown})
                synthesizer.sample(1)
        except Exception as e:  # whatever SDV raises on odd data; its messages repeat values
            logger.info("SDV could not fit %s: %s", table, type(e).__name__)
            return f"SDV failed with {type(e).__name__}"
        return _Part(synthesizer, list(encoded))

    def load(self, directory: Path) -> FittedTables:
        """Reads what `save` wrote. Unpickles code: only load what you trust."""
        document = read_json(directory / _DOCUMENT, "fitted synthesizer")
        if document.get("format") != FORMAT or document.get("name") != self.name:
            raise ArtifactError(f"The fitted synthesizer in {directory} is no {self.name!r} of this version.", "Fit it again.")
        model = store.load(directory / _RELATIONAL)
        load, parts = sdv_module("utils").load_synthesizer, {}
        for entry in document["tables"]:
            try:
                with controlled(0):
                    parts[entry["table"]] = _Part(load(str(directory / entry["file"])), entry["columns"])
            except Exception as e:
                raise ArtifactError(f"The fitted synthesizer in {directory} is damaged: {entry['file']}.", "Fit it again.") from e
        return FittedTables(self.name, model, parts)


class FittedTables:
    """A fitted relational model, and the SDV models that stand in for some of its columns."""

    def __init__(self, name: str, model: DatabaseModel, parts: Mapping[str, _Part]) -> None:
        self.name, self._model, self._parts = name, model, parts
        self.info = model.info
        self.schema_fingerprint = model.source.fingerprint()

    def sample(self, request: SampleRequest, writer: BundleWriter, progress: Progress) -> None:
        failed: list[str] = []
        while True:
            try:
                FittedRelational(self._model_for(request.seed, failed), whole=True).sample(request, writer, progress)
                break
            except _SamplingError as e:
                failed.append(e.table)
        if failed:
            warning = f"{self.name}: {', '.join(failed)} drawn by the relational engine (SDV failed to sample)"
            writer.info["warnings"] = [*writer.info.get("warnings", ()), warning]

    def _model_for(self, seed: int, failed: Sequence[str]) -> DatabaseModel:
        """The relational model with SDV in the place of its variables, except for tables that SDV cannot sample."""
        tables = dict(self._model.tables)
        for table, part in self._parts.items():
            if table not in failed:
                draw, drawn = _Draw(table, part.synthesizer, _number(seed, table, "sample")), dict(tables[table].drawn)
                drawn |= {c: dataclasses.replace(drawn[c], variable=_Drawn(draw, f"c{i}")) for i, c in enumerate(part.columns)}
                carried = {k: v for k, v in tables[table].carried.items() if k not in part.columns}
                tables[table] = dataclasses.replace(tables[table], drawn=drawn, carried=carried)
        return dataclasses.replace(self._model, tables=tables)

    def save(self, directory: Path) -> None:
        """Writes the relational model as plain data and every SDV model by SDV's own `save`, which is a pickle."""
        (directory / _RELATIONAL).mkdir()
        store.save(self._model, directory / _RELATIONAL)
        tables = []
        for number, (table, part) in enumerate(self._parts.items()):
            file = f"{number}.pkl"
            part.synthesizer.save(str(directory / file))
            tables.append({"table": table, "file": file, "columns": part.columns})
        write_json(directory / _DOCUMENT, {"format": FORMAT, "name": self.name, "tables": tables})


class _SamplingError(Exception):
    """SDV could not sample a table."""

    def __init__(self, table: str) -> None:
        super().__init__(table)
        self.table = table


class _Draw:
    """The rows of one table as SDV draws them, once for all of its columns."""

    def __init__(self, table: str, synthesizer: Any, seed: int) -> None:
        self._table, self._synthesizer, self._seed = table, synthesizer, seed
        self._rows: pd.DataFrame | None = None

    def column(self, name: str, rows: int) -> np.ndarray:
        """Float (rows,), NaN for NULL."""
        import pandas as pd

        if self._rows is None:
            try:
                with controlled(self._seed):
                    # SDV gives the same rows after every reset; its only door to another seed is this one.
                    self._synthesizer.reset_sampling()
                    self._synthesizer._set_random_state(self._seed)
                    self._rows = self._synthesizer.sample(rows)["t"]
            except Exception as e:
                logger.info("SDV could not sample %s: %s", self._table, type(e).__name__)
                raise _SamplingError(self._table) from None
        if len(self._rows) != rows:
            raise _SamplingError(self._table)
        return np.asarray(pd.to_numeric(self._rows[name], errors="coerce"), dtype=float)


class _Drawn(Variable):
    """A variable whose values SDV drew; it looks at nothing that was drawn before."""

    def __init__(self, draw: _Draw, name: str) -> None:
        super().__init__([])
        self._sdv, self._name = draw, name

    def draw(
        self,
        columns: Mapping[str, np.ndarray],
        rows: int,
        rng: np.random.Generator,
        places: np.ndarray | None = None,
        weights: np.ndarray | None = None,
        *,
        part: bool = False,
    ) -> np.ndarray:
        return self._sdv.column(self._name, rows) if rows else np.empty(0)


def _encoded(frame: Frame, model: TableModel, least: int) -> dict[str, np.ndarray]:
    """The columns that SDV models, as the engine draws them: values, or distances from another column of the row."""
    rules = model.rules
    columns: dict[str, np.ndarray] = {}
    if not model.drawn:
        return columns
    rows = frame.data.filter(pa.array(frame.train))
    for column, drawn in model.drawn.items():
        base = rules.bases.get(column)
        determines = column in rules.determined.values() and isinstance(drawn.codec, NumberCodec)
        tied = column in rules.chains or column in rules.levels or column in rules.goes
        if tied or determines or (base is not None and base.kind != "own"):
            continue
        x = drawn.codec.encode(rows.column(column))
        if base is not None:
            other = model.codec(base.column)
            if isinstance(other, NumberCodec) and isinstance(drawn.codec, NumberCodec):
                x = base.distance(other.encode(rows.column(base.column)) * (other.unit / drawn.codec.unit), x)
        elif isinstance(drawn.codec, CategoryCodec) and least > 1:
            x = _common(x, drawn.variable.trees)
        if len(np.unique(np.where(np.isnan(x), np.inf, x))) > 1:
            columns[column] = x
    return columns


def _common(x: np.ndarray, trees: Sequence[Any]) -> np.ndarray:
    """Categories that the engine does not reproduce, as too few have them, take the place of the commonest one."""
    donors = np.concatenate([t.donors for t in trees])
    donors = donors[np.isfinite(donors)]
    if not len(donors):
        return np.full(len(x), np.nan)
    known, counts = np.unique(donors, return_counts=True)
    return np.where(np.isnan(x) | np.isin(x, known), x, known[counts.argmax()])


def _frame(encoded: Mapping[str, np.ndarray], model: TableModel) -> pd.DataFrame:
    import pandas as pd

    columns: dict[str, Any] = {}
    for i, (column, x) in enumerate(encoded.items()):
        code = _is_category(model, column)
        columns[f"c{i}"] = pd.Series([None if np.isnan(v) else str(int(v)) for v in x], dtype=object) if code else x
    return pd.DataFrame(columns)


def _is_category(model: TableModel, column: str) -> bool:
    return isinstance(model.drawn[column].codec, CategoryCodec)


def _number(seed: int, *names: str) -> int:
    return int(stream(seed, "sdv", *names).integers(2**31))
