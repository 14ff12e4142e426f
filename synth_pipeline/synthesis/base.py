"""What every synthesizer is to the rest of the program: fit on a subset, sample whole databases, save and load.

Which synthesizers exist is the registry's business; how one works is its own module's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from synth_pipeline.synthesis.parallel import Workers

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import pyarrow as pa

    from synth_pipeline.artifacts import BundleWriter
    from synth_pipeline.catalog.population import PopulationStats
    from synth_pipeline.catalog.schema import DatabaseSchema
    from synth_pipeline.metadata.model import SynthesisMetadata
    from synth_pipeline.progress import Progress


SHARD_ROWS = 250_000


class Tables(Protocol):
    """Rows of tables and what is noted of each, as a bundle has them."""

    def read(self, table: str) -> pa.Table:
        """All rows of a table, with its stored columns."""
        ...

    def annotations(self, table: str) -> pa.Table | None:
        """What is noted of the rows, in the same order; None where nothing is."""
        ...


def flagged(notes: pa.Table | None, name: str, rows: int, *, default: bool) -> np.ndarray:
    """A note of each row, bool (rows,); `default` where there is none."""
    import numpy as np

    if notes is None or name not in notes.column_names:
        return np.full(rows, default)
    return np.asarray(notes.column(name).to_numpy(), dtype=bool)


def chosen(rows: pa.Table, wanted: np.ndarray) -> pa.Table:
    """The rows that are wanted, bool (rows,); no copy where all are."""
    import pyarrow as pa

    return rows if wanted.all() else rows.filter(pa.array(wanted))


@dataclass(frozen=True)
class TrainingData:
    """All that a synthesizer learns from.

    Attributes:
        schema: the working schema: selected tables, virtual and inferred foreign keys included.
        metadata: what the columns mean.
        bundle: rows, with annotations `core`, `weight`, `entity`, `holdout` where the subset made them.
        population: counts of the whole source.
        preserve: tables whose real rows are copied as they are.
    """

    schema: DatabaseSchema
    metadata: SynthesisMetadata
    bundle: Tables
    population: PopulationStats
    preserve: frozenset[str] = frozenset()


@dataclass(frozen=True)
class SampleRequest:
    """What to sample.

    Attributes:
        scale: rows per table as a multiple of the population's (Gretel calls it record_size_ratio); > 0.
        rows: absolute row counts of some tables, which win over `scale`.
        seed: the same seed and fitted synthesizer give the same bytes, whatever `workers` is.
        workers: who draws.
        shard_rows: rows that are drawn at once, about; bounds the memory of a process. Other shards are another database.
    """

    scale: float = 1.0
    rows: Mapping[str, int] = field(default_factory=dict)
    seed: int = 0
    workers: Workers = Workers()
    shard_rows: int = SHARD_ROWS


class FittedSynthesizer(Protocol):
    """A fitted synthesizer; a directory on disk."""

    info: dict[str, Any]
    """Versions, seconds, `rows` learnt from, `population`, parameters, `rules` found (readable lines), `warnings`; JSON values only."""
    schema_fingerprint: str

    def sample(self, request: SampleRequest, writer: BundleWriter, progress: Progress) -> None:
        """Writes a whole synthetic database.

        Raises:
            UsageError: `scale` is not positive, or `rows` names an unknown table or a negative count.
        """
        ...

    def save(self, directory: Path) -> None:
        """Writes itself into an empty directory: arrays and JSON, no pickled code (SDV adapters excepted)."""
        ...


class Synthesizer(Protocol):
    """A way to learn a database."""

    name: str

    def fit(
        self, data: TrainingData, params: Mapping[str, Any], *, privacy: str, seed: int, workers: Workers, progress: Progress
    ) -> FittedSynthesizer:
        """Learns from the training data.

        Raises:
            SynthesisError: the synthesizer cannot take this schema or these parameters.
        """
        ...

    def load(self, directory: Path) -> FittedSynthesizer:
        """Reads what `save` wrote.

        Raises:
            ArtifactError: it is damaged or of a format that this version cannot read.
        """
        ...
