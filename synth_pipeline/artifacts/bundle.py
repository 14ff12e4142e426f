"""Bundles of tables: a directory with one Parquet file per table and a manifest, written as a stream and read whole or in batches.

Where bundles lie, and which is the newest, belongs to the store.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_pipeline.artifacts.files import file_sha256, read_json, write_json
from synth_pipeline.errors import ArtifactError, SchemaMismatchError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from synth_pipeline.catalog.schema import DatabaseSchema

BUNDLE_FORMAT = 1
ROW_GROUP = 65_536
_BUNDLE_MANIFEST = "bundle.json"


@dataclass(frozen=True)
class BundleTable:
    """One table of a bundle: its file, its rows, and, for a subset, the file of its row annotations."""

    file: str
    rows: int
    sha256: str
    annotations: str | None = None


class TableBundle:
    """Tables on disk, read whole or in batches; made by `BundleWriter`, opened by `TableBundle.open`.

    Row annotations are columns *about* the rows that are not part of the table, one Parquet row per table row. A subset
    carries `core` (bool: drawn, rather than pulled in by a reference), `weight` (float64: inverse inclusion probability,
    relative to a core row), `entity` (int64: number of the root entity that the row belongs to, -1 if none) and
    `holdout` (bool: kept from the synthesizer, for the privacy figures). Where rows of two databases were joined, `part`
    (int64) tells which, and keys are compared within a part.

    How to use the weights of a subset: a mean, share or quantile of a column over *all* rows takes each row `weight` times
    (sum(w * x) / sum(w)); over the `core` rows alone each counts once, but for children of hubs, of which a part was taken.
    Children per parent are counted of core parents along a tree key, each counting once, since only their children are
    complete; along any other key the true numbers are in the population statistics. Sums need the number of rows of the
    source as well: N * sum(w * x) / sum(w).
    """

    def __init__(self, directory: Path, manifest: Mapping[str, Any]) -> None:
        self.directory = directory
        self.schema_fingerprint: str = manifest["schema_fingerprint"]
        self.seed: int | None = manifest["seed"]
        self.info: dict[str, Any] = manifest["info"]
        self.content_hash: str = manifest["content_hash"]
        self.tables: dict[str, BundleTable] = {k: BundleTable(**v) for k, v in manifest["tables"].items()}

    @classmethod
    def open(cls, directory: Path | str) -> TableBundle:
        """Opens a bundle.

        Raises:
            ArtifactError: there is no bundle, or its manifest cannot be read.
        """
        path = Path(directory)
        manifest = read_json(path / _BUNDLE_MANIFEST, "table bundle")
        if manifest.get("format") != BUNDLE_FORMAT:
            raise ArtifactError(f"The bundle in {path} has format {manifest.get('format')!r}, this version reads {BUNDLE_FORMAT}.", "Make it again.")
        return cls(path, manifest)

    def require(self, schema: DatabaseSchema, stage: str) -> TableBundle:
        """Itself, if it was made from `schema`; `stage` is what to run again otherwise.

        Raises:
            SchemaMismatchError: it was made from another schema.
        """
        if self.schema_fingerprint != schema.fingerprint():
            raise SchemaMismatchError(f"The bundle in {self.directory.name}", self.schema_fingerprint, schema.fingerprint(), stage)
        return self

    def rows(self, table: str) -> int:
        return self._entry(table).rows

    @property
    def total_rows(self) -> int:
        return sum(t.rows for t in self.tables.values())

    def read(self, table: str, columns: Sequence[str] | None = None) -> pa.Table:
        """The whole table, or some of its columns."""
        import pyarrow.parquet as pq

        with _damaged(self.directory / self._entry(table).file) as path:
            return pq.read_table(path, columns=None if columns is None else list(columns), partitioning=None)

    def arrow_schema(self, table: str) -> pa.Schema:
        """The columns of the table as they are stored."""
        import pyarrow.parquet as pq

        with _damaged(self.directory / self._entry(table).file) as path:
            return pq.read_schema(path)

    def batches(self, table: str, rows: int = ROW_GROUP) -> Iterator[pa.RecordBatch]:
        """The table in order, at most `rows` rows at a time, with memory bounded by a row group."""
        import pyarrow.parquet as pq

        with _damaged(self.directory / self._entry(table).file) as path, pq.ParquetFile(path) as file:
            yield from file.iter_batches(batch_size=rows)

    def annotations(self, table: str) -> pa.Table | None:
        """The annotations of the table's rows, in the same order; None where the bundle has none."""
        import pyarrow.parquet as pq

        name = self._entry(table).annotations
        if name is None:
            return None
        with _damaged(self.directory / name) as path:
            return pq.read_table(path, partitioning=None)

    def _entry(self, table: str) -> BundleTable:
        try:
            return self.tables[table]
        except KeyError:
            raise ArtifactError(f"The bundle in {self.directory} has no table {table!r}.", "Run the stage that makes it again.") from None


class BundleWriter:
    """Writes a bundle stream by stream; as a context manager it writes the manifest when the block succeeds.

    Rows are regrouped to row groups of a fixed size, so that the bytes of a table do not depend on the batches in which
    it arrived. Every table of the schema is part of the bundle, also one to which nothing was written.
    """

    def __init__(self, directory: Path | str, schema: DatabaseSchema, *, seed: int | None = None) -> None:
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self._schema, self._seed = schema, seed
        self._streams: dict[str, tuple[_Stream, _Stream | None]] = {}
        self.info: dict[str, Any] = {}

    def write(self, table: str, rows: pa.Table | pa.RecordBatch, annotations: pa.Table | pa.RecordBatch | None = None) -> None:
        """Appends rows (all stored columns, in any order, of the catalogue's Arrow types) to a table.

        Raises:
            UsageError: a column is missing or of another type, or the annotations differ in length.
        """
        data = _as_table(rows).select([f.name for f in self.arrow_schema(table)])
        try:
            data = data.cast(self.arrow_schema(table))
        except (ValueError, TypeError) as e:
            raise UsageError(f"The rows for table {table!r} do not have its types: {e}.") from e
        if annotations is not None and annotations.num_rows != data.num_rows:
            raise UsageError(f"Table {table!r}: {data.num_rows} rows but {annotations.num_rows} annotations.")
        if table not in self._streams:
            notes = None if annotations is None else _Stream(self._path(table, ".rows"), _as_table(annotations).schema)
            self._streams[table] = (_Stream(self._path(table), self.arrow_schema(table)), notes)
        stream, side = self._streams[table]
        stream.append(data)
        if side is not None and annotations is not None:
            side.append(_as_table(annotations))

    def arrow_schema(self, table: str) -> pa.Schema:
        return arrow_schema(self._schema, table)

    def close(self) -> TableBundle:
        """Finishes all files and the manifest, and returns the bundle."""
        entries: dict[str, dict[str, Any]] = {}
        digest = hashlib.sha256()
        for table in self._schema.table_ids:
            if table not in self._streams:
                self._streams[table] = (_Stream(self._path(table), self.arrow_schema(table)), None)
            stream, side = self._streams[table]
            stream.close()
            sha = file_sha256(stream.path)
            digest.update(f"{table}\0{sha}\0".encode())
            entries[table] = {"file": stream.path.name, "rows": stream.rows, "sha256": sha, "annotations": None}
            if side is not None:
                side.close()
                entries[table]["annotations"] = side.path.name
                digest.update(file_sha256(side.path).encode())
        manifest = {
            "format": BUNDLE_FORMAT, "schema_fingerprint": self._schema.fingerprint(), "seed": self._seed,
            "content_hash": digest.hexdigest(), "info": self.info, "tables": entries,
        }  # fmt: skip
        write_json(self.directory / _BUNDLE_MANIFEST, manifest)
        return TableBundle(self.directory, manifest)

    def _path(self, table: str, suffix: str = "") -> Path:
        # Table names may hold any character; the number keeps names apart that the slug makes alike.
        number = self._schema.table_ids.index(table)
        slug = re.sub(r"[^A-Za-z0-9_.-]+", "_", table)[:60]
        return self.directory / f"{number:04d}-{slug}{suffix}.parquet"

    def __enter__(self) -> BundleWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
            return
        for stream, side in self._streams.values():
            stream.abandon()
            if side is not None:
                side.abandon()


class _Stream:
    """One Parquet file under way: rows are held until a row group is full."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        import pyarrow.parquet as pq

        self.path, self.rows = path, 0
        self._schema = schema
        self._writer: pq.ParquetWriter | None = pq.ParquetWriter(path, schema, compression="zstd")
        self._held: list[pa.Table] = []
        self._held_rows = 0

    def append(self, rows: pa.Table) -> None:
        self._held.append(rows)
        self._held_rows += rows.num_rows
        self.rows += rows.num_rows
        if self._held_rows >= ROW_GROUP:
            self._flush(whole_groups_only=True)

    def _flush(self, *, whole_groups_only: bool) -> None:
        import pyarrow as pa

        data = pa.concat_tables(self._held) if self._held else self._schema.empty_table()
        end = data.num_rows - data.num_rows % ROW_GROUP if whole_groups_only else data.num_rows
        if end and self._writer is not None:
            self._writer.write_table(data.slice(0, end).combine_chunks(), row_group_size=ROW_GROUP)
        self._held, self._held_rows = [data.slice(end)], data.num_rows - end

    def close(self) -> None:
        if self._writer is not None:
            self._flush(whole_groups_only=False)
            self._writer.close()
            self._writer = None

    def abandon(self) -> None:
        self._held = []
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def arrow_schema(schema: DatabaseSchema, table: str) -> pa.Schema:
    """The Arrow schema of a table in a bundle: its stored columns in order, with the catalogue's types."""
    import pyarrow as pa

    from synth_pipeline.catalog.types import arrow_type

    return pa.schema([pa.field(c.name, arrow_type(c.type)) for c in schema.table(table).stored_columns])


def _as_table(rows: pa.Table | pa.RecordBatch) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_batches([rows]) if isinstance(rows, pa.RecordBatch) else rows


@contextmanager
def _damaged(path: Path) -> Iterator[Path]:
    import pyarrow as pa

    try:
        yield path
    except (FileNotFoundError, pa.ArrowInvalid, OSError) as e:
        raise ArtifactError(f"The file {path} is missing or damaged: {str(e).splitlines()[0]}.", "Run the stage that makes it again.") from e
