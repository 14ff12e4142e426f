"""The pipeline as a chain of objects for notebooks: open → metadata → subset → fit → sample → report, export.

Each object holds one result and makes the next; none is changed afterwards, so a step can be repeated with other
parameters. The work is done by the stage functions of `pipeline`. Published artifacts and files of configuration belong
to the command line; here tables lie in a temporary folder that goes with the objects.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from synth_pipeline import pipeline
from synth_pipeline.config import (
    ColumnConfig,
    Connection,
    ExportConfig,
    PrivacyConfig,
    SampleConfig,
    SourceConfig,
    SubsetConfig,
    SynthesizerConfig,
    TablesConfig,
)
from synth_pipeline.errors import UsageError, closest
from synth_pipeline.progress import Bars, Progress, Silent
from synth_pipeline.relationships import AnyRelationship

if TYPE_CHECKING:
    import pandas as pd

    from synth_pipeline.artifacts import TableBundle
    from synth_pipeline.catalog.schema import DatabaseSchema
    from synth_pipeline.export import ExportResult
    from synth_pipeline.metadata.model import SynthesisMetadata
    from synth_pipeline.quality.model import QualityReport
    from synth_pipeline.subset import Subset
    from synth_pipeline.synthesis.base import FittedSynthesizer

__all__ = ["Described", "Fitted", "Source", "Synthetic", "Taken", "compare", "open"]


def open(url: str, *, schemas: Sequence[str] = (), name: str = "source", progress: bool = False) -> Source:
    """Opens a database by its URL and reads its structure.

    Args:
        url: such as sqlite:///my.db or postgresql://user:password@host/name; it is kept in memory only.
        schemas: which schemas of the database; empty for its default.
        name: what reports call it.
        progress: show bars.

    Raises:
        UnreachableError: the database does not answer.
        ConfigError: the URL cannot be understood.
    """
    config = SourceConfig(name=name, source=Connection(url=url, schemas=tuple(schemas)))
    return Source(config, pipeline.reflect(config), Bars() if progress else Silent())


def compare(
    real: str, synthetic: str, directory: Path | str, *, holdout: str | None = None, columns: Mapping[str, Mapping[str, Any]] | None = None,
    relationships: Sequence[Mapping[str, Any]] = (), name: str = "database", progress: bool = False,
) -> QualityReport:  # fmt: skip
    """Scores any pair of databases, whoever made the synthetic one; report.html, report.json and summary.md go into `directory`.

    Args:
        real: URL of the real database.
        synthetic: URL of what is judged; it may be of another kind.
        directory: where the report goes.
        holdout: URL of a database with real rows that the synthesizer never saw; ceilings and privacy are measured by them.
        columns: what you know better than the inference, as in `Source.metadata`.
        relationships: keys that the real one does not declare, as there.
        name: what the report calls them.
        progress: show bars.

    Raises:
        UnreachableError: a database does not answer.
    """
    from synth_pipeline.comparison import compare as compared

    config = SourceConfig(
        name=name, source=Connection(url=real), columns={key: ColumnConfig(**value) for key, value in (columns or {}).items()},
        relationships=_relationships(relationships),
    )  # fmt: skip
    held = None if holdout is None else Connection(url=holdout)
    return compared(config, Connection(url=synthetic), directory, holdout=held, progress=Bars() if progress else Silent())


def _relationships(given: Sequence[Mapping[str, Any]]) -> tuple[AnyRelationship, ...]:
    from pydantic import TypeAdapter

    return tuple(TypeAdapter(tuple[AnyRelationship, ...]).validate_python(tuple(dict(r) for r in given)))


@dataclass(frozen=True, repr=False)
class _Step:
    config: SourceConfig
    reflected: DatabaseSchema
    progress: Progress

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.config.name}>"


@dataclass(frozen=True, repr=False)
class Source(_Step):
    """An opened database and its structure."""

    @property
    def tables(self) -> tuple[str, ...]:
        """The names of its tables."""
        return self.reflected.table_ids

    def metadata(
        self, tables: Sequence[str] | None = None, *, exclude: Sequence[str] = (), preserve: Sequence[str] = (),
        columns: Mapping[str, Mapping[str, Any]] | None = None, relationships: Sequence[Mapping[str, Any]] = (),
    ) -> Described:  # fmt: skip
        """Infers what the columns mean.

        Args:
            tables: the tables that take part; all of them where none are named.
            exclude: tables that do not.
            preserve: tables whose real rows are copied, such as lists of countries.
            columns: what you know better, as {"table.column": {"sdtype": …, "pii": …}}.
            relationships: keys that are not declared: {"child", "columns", "parent", "parent_columns"}, or, where a column says the
                table, {"child", "type_column", "column", "parents": {type: table}}.
        """
        config = self.config.model_copy(
            update={
                "tables": TablesConfig(include=None if tables is None else tuple(tables), exclude=tuple(exclude), preserve=tuple(preserve)),
                "columns": {key: ColumnConfig(**value) for key, value in (columns or {}).items()},
                "relationships": _relationships(relationships),
            }
        )
        found = pipeline.infer(config, self.reflected, self.progress)
        return Described(config, self.reflected, self.progress, found, pipeline.working_schema(config, self.reflected, found))


@dataclass(frozen=True, repr=False)
class Described(_Step):
    """The metadata of the chosen tables; shown as a table."""

    found: SynthesisMetadata
    working: DatabaseSchema

    def __repr__(self) -> str:
        from synth_pipeline.metadata.table import render

        return render(self.found)

    def subset(self, *, holdout: float = 0.1, **options: Any) -> Taken:
        """Takes the training subset.

        Args:
            holdout: the share of root entities kept from the synthesizer, to measure privacy.
            options: as `subset` of a configuration: max_rows, fraction, main_table and rows, where, seed …
        """
        privacy = self.config.privacy.model_copy(update={"holdout": holdout})
        config = self.config.model_copy(update={"subset": SubsetConfig(**options), "privacy": PrivacyConfig(**privacy.model_dump())})
        folder = _folder()
        made = pipeline.subset(config, self.working, self.found, folder.path, self.progress)
        return Taken(config, self.reflected, self.progress, self, made, folder)


@dataclass(frozen=True, repr=False)
class Taken(_Step):
    """The training subset."""

    described: Described
    made: Subset
    folder: _Folder

    def __getitem__(self, table: str) -> pd.DataFrame:
        return _frame(self.made.bundle, table)

    def fit(
        self, name: str = "relational", *, seed: int = 0, privacy: Literal["none", "standard", "strict"] = "standard", workers: int | None = None,
        **params: Any,
    ) -> Fitted:  # fmt: skip
        """Fits a synthesizer, by its name and its own parameters."""
        config = self.config.model_copy(
            update={
                "synthesizer": SynthesizerConfig(name=name, params=params, seed=seed, workers=workers),
                "privacy": PrivacyConfig(level=privacy, holdout=self.config.privacy.holdout),
            }
        )
        folder = _folder()
        made = pipeline.fit(config, self.described.working, self.described.found, self.made, folder.path, self.progress)
        return Fitted(config, self.reflected, self.progress, self, made, folder)


@dataclass(frozen=True, repr=False)
class Fitted(_Step):
    """A fitted synthesizer."""

    taken: Taken
    made: FittedSynthesizer
    folder: _Folder

    @property
    def info(self) -> dict[str, Any]:
        """Parameters, seconds, and the rules that it found."""
        return self.made.info

    def sample(self, scale: float = 1.0, *, rows: Mapping[str, int] | None = None, seed: int = 0) -> Synthetic:
        """Samples a whole database: `scale` times the rows of the source, or as many as `rows` says per table."""
        config = self.config.model_copy(update={"sample": SampleConfig(scale=scale, rows=dict(rows or {}), seed=seed)})
        folder = _folder()
        made = pipeline.sample(config, self.taken.described.working, self.taken.made, self.made, folder.path, self.progress)
        return Synthetic(config, self.reflected, self.progress, self, made, folder)


@dataclass(frozen=True, repr=False)
class Synthetic(_Step):
    """Synthetic tables; `synthetic["table"]` is a pandas DataFrame."""

    fitted: Fitted
    made: TableBundle
    folder: _Folder

    @property
    def rows(self) -> dict[str, int]:
        """Rows per table."""
        return {name: table.rows for name, table in self.made.tables.items()}

    def __getitem__(self, table: str) -> pd.DataFrame:
        return _frame(self.made, table)

    def report(self, directory: Path | str) -> QualityReport:
        """Measures quality, integrity and privacy; report.html, report.json and summary.md go into `directory`."""
        path = Path(directory)
        path.mkdir(parents=True, exist_ok=True)
        described = self.fitted.taken.described
        return pipeline.report(self.config, described.working, described.found, self.fitted.taken.made, self.made, path, self.progress)

    def export(self, url: str, *, mode: Literal["create", "append", "replace"] = "replace", prefix: str = "") -> ExportResult:
        """Writes a database with the schema of the source.

        Raises:
            CheckFailedError: the tables break a rule of the schema.
            ExportError: the target cannot be written; it holds what it held before.
        """
        config = self.config.model_copy(update={"export": ExportConfig(url=url, mode=mode, prefix=prefix)})
        described = self.fitted.taken.described
        with tempfile.TemporaryDirectory() as record:
            return pipeline.export(config, self.reflected, described.working, self.made, Path(record), self.progress, metadata=described.found)


@dataclass(frozen=True)
class _Folder:
    """A temporary folder that is removed with the last object that uses it."""

    path: Path
    owner: tempfile.TemporaryDirectory[str]


def _folder() -> _Folder:
    owner = tempfile.TemporaryDirectory(prefix="synth-pipeline-", ignore_cleanup_errors=True)
    return _Folder(Path(owner.name), owner)


def _frame(bundle: TableBundle, table: str) -> pd.DataFrame:
    if table not in bundle.tables:
        raise UsageError(f"There is no table {table!r}.", closest(table, bundle.tables))
    frame: pd.DataFrame = bundle.read(table).to_pandas()
    return frame


