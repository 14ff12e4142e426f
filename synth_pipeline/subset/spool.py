"""Where fetched rows wait for their keys to be compared: memory while they are few, else Arrow files mapped into memory.

Knows nothing of keys; the rows of a spool are read as one table.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

_BYTES = 32 << 20


class Spool:
    """A folder of uncompressed Arrow files beside the bundle, for rows that wait for their keys to be compared."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._count = 0

    def open(self, schema: pa.Schema) -> Sink:
        self._count += 1
        return Sink(self.directory / f"{self._count}.arrow", schema)

    def remove(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)


class Sink:
    """Collects the batches of one table: in memory while they are few, else in a file that is mapped into memory."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path, self.schema = path, schema
        self._batches: list[pa.RecordBatch] = []
        self._bytes = 0
        self._writer: Any = None

    def add(self, batch: pa.RecordBatch) -> None:
        import pyarrow as pa

        batch = batch.select(self.schema.names).cast(self.schema)
        if self._writer is not None:
            self._writer.write_batch(batch)
            return
        self._batches.append(batch)
        self._bytes += batch.nbytes
        if self._bytes > _BYTES:
            self.path.parent.mkdir(exist_ok=True)
            self._writer = pa.ipc.new_file(str(self.path), self.schema)
            for held in self._batches:
                self._writer.write_batch(held)
            self._batches = []

    def close(self) -> pa.Table:
        import pyarrow as pa

        if self._writer is None:
            return pa.Table.from_batches(self._batches, schema=self.schema)
        self._writer.close()
        return pa.ipc.open_file(pa.memory_map(str(self.path))).read_all()
