"""A whole synthetic database, table by table into a bundle: shared tables here, shards wherever there are processes.

Memory is bounded by the shared tables and by one shard per process, whatever the size of the database. How tables are
drawn is in `sample`, how they are divided in `shards`.
"""

from __future__ import annotations

import pickle
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from synth_pipeline.artifacts import BundleWriter
from synth_pipeline.progress import Progress
from synth_pipeline.synthesis.base import SampleRequest
from synth_pipeline.synthesis.parallel import in_order
from synth_pipeline.synthesis.relational.model import DatabaseModel
from synth_pipeline.synthesis.relational.renewed import carrying
from synth_pipeline.synthesis.relational.renumber import Renumbering, renewed_by
from synth_pipeline.synthesis.relational.sample import Sampler
from synth_pipeline.synthesis.relational.shards import Layout, Shard, divide, lay_out
from synth_pipeline.synthesis.relational.sizes import planned_rows
from synth_pipeline.synthesis.relational.state import State
from synth_pipeline.synthesis.relational.totals import combined, open_totals, total_of


def draw_database(model: DatabaseModel, request: SampleRequest, writer: BundleWriter, progress: Progress, *, whole: bool = False) -> list[str]:
    """Draws a database and returns what had to be given up; `whole`: in one piece, whatever its size."""
    planned, out = planned_rows(model, request), Restored(model, writer)
    everything = frozenset(model.tables)
    layout = Layout(1, everything) if whole else lay_out(model, planned, request.shard_rows)
    with progress.step("sample", total=sum(planned.values())) as step:
        above = Sampler(model, request.seed, planned)
        above.draw(layout.shared, step)
        lost, warnings = Counter(above.lost), list(above.warnings)
        if layout.shared != everything:
            shards = divide(model, layout, planned, {t: above.children(fk) for t, fk in layout.anchors.items()})
            totals: dict[tuple[str, str], np.ndarray] = {}
            given = Given(model, request.seed, planned, above.states)
            with tempfile.TemporaryDirectory(prefix=".waiting-", dir=writer.directory) as folder:
                numbers = Renumbering(model, shards, Path(folder))
                for s, part in enumerate(in_order(draw_shard, given, shards, request.workers)):
                    for table, rows in part.tables.items():
                        if table in numbers.tables:
                            numbers.keep(s, table, rows)
                        else:
                            out.write(table, rows)
                        step.advance(rows.num_rows, note=table)
                    for key, value in part.totals.items():
                        totals[key] = combined(model, *key, totals[key], value) if key in totals else value
                    lost += Counter(part.lost)
                    warnings += part.warnings
                for table, rows in numbers.finished():
                    out.write(table, rows)
            above.settle(totals)
        for table in layout.shared:
            out.write(table, above.finished(table))
    return [*dict.fromkeys(warnings), *(f"{table}: {rows} rows given up, {why}" for (table, why), rows in lost.items())]


class Restored:
    """What is drawn, written as the source has it; tables that it does not have are passed over."""

    def __init__(self, model: DatabaseModel, writer: BundleWriter) -> None:
        self._model, self._writer = model, writer
        self._count = Counter[str]()

    def write(self, table: str, rows: pa.Table) -> None:
        """Appends rows to a table."""
        if table in self._model.source:
            restored = self._model.restored(table, rows, self._count[table])
            self._count[table] += restored.num_rows
            self._writer.write(table, restored)


@dataclass(frozen=True)
class Given:
    """What all shards are drawn from; a process gets and unpacks it once."""

    model: DatabaseModel
    seed: int
    planned: Mapping[str, int]
    shared: Mapping[str, State]

    @cached_property
    def _packed(self) -> bytes:
        content = pickle.dumps((self.model, self.seed, dict(self.planned), dict(self.shared)))
        return bytes(pa.compress(content, codec="zstd", asbytes=True)) + len(content).to_bytes(8, "big")

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpacked, (self._packed,)


@lru_cache(maxsize=1)
def _unpacked(packed: bytes) -> Given:
    size = int.from_bytes(packed[-8:], "big")
    return Given(*pickle.loads(pa.decompress(packed[:-8], decompressed_size=size, codec="zstd", asbytes=True)))


@dataclass
class Drawn:
    """A shard: its tables, its part of the totals of shared tables, and what had to be given up. It travels compressed."""

    tables: dict[str, pa.Table]
    totals: dict[tuple[str, str], np.ndarray]
    lost: dict[tuple[str, str], int]
    warnings: list[str]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "tables": {t: _stream(rows) for t, rows in self.tables.items()}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.tables = {t: pa.ipc.open_stream(rows).read_all() for t, rows in state["tables"].items()}


def _stream(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_table(rows)
    return bytes(sink.getvalue())


def draw_shard(given: Given, shard: Shard) -> Drawn:
    """Draws one shard."""
    tables = [t for t in given.model.tables if t in shard.rows]
    sampler = Sampler(given.model, given.seed, given.planned, shard, given.shared)
    sampler.draw(tables)
    totals = {key: total_of(sampler, *key) for key in open_totals(given.model, tables)}
    what = renewed_by(given.model, shard)
    finished = {t: carrying(sampler, t, sampler.finished(t), what.carries(t)) for t in tables}
    return Drawn(finished, totals, sampler.lost, sampler.warnings)
