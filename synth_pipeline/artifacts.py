"""What stages leave on disk: bundles of tables, and the store that publishes a stage's directory in one step.

A `TableBundle` is a directory with one Parquet file per table and a manifest. An `ArtifactStore` keeps
`ROOT/<source>/<stage>` for the command line and Dagster alike: a stage is written into a staging directory and appears
under its name, complete, by one atomic replacement of a link, so that a reader sees the old or the new and a crash
leaves the old. What a stage computes does not belong here.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import socket
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_pipeline.errors import ArtifactError, SchemaMismatchError, UsageError
from synth_pipeline.locking import process_alive

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from synth_pipeline.catalog.schema import DatabaseSchema

logger = logging.getLogger(__name__)

STAGES = (
    "reflected_schema", "inferred_metadata", "rfs_subset", "fitted_synthesizer",
    "synthetic_tables", "quality_report", "exported_database",
)  # fmt: skip
BUNDLE_FORMAT = 1
ARTIFACT_FORMAT = 1
ROW_GROUP = 65_536
_BUNDLE_MANIFEST = "bundle.json"
_ARTIFACT_MANIFEST = "artifact.json"


# --- bundles -----------------------------------------------------------------------------------------------------------


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
    `holdout` (bool: kept from the synthesizer, for the privacy figures).
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


# --- the store ---------------------------------------------------------------------------------------------------------


class ArtifactStore:
    """The artifacts of all sources under one root directory.

    `ROOT/<source>/<stage>` is a link to the newest complete version in `ROOT/<source>/.versions/`; the version before
    it is kept, so that whoever reads it can finish.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    def path(self, source: str, stage: str) -> Path:
        """Where a stage's artifact lies, whether or not it exists."""
        if stage not in STAGES:
            raise UsageError(f"There is no stage {stage!r}.", f"Stages: {', '.join(STAGES)}.")
        return self.root / source / stage

    def exists(self, source: str, stage: str) -> bool:
        return (self.path(source, stage) / _ARTIFACT_MANIFEST).exists()

    @contextmanager
    def publish(self, source: str, stage: str, **facts: Any) -> Iterator[Path]:
        """Yields an empty directory to write a stage's artifact into, and publishes it when the block succeeds.

        `facts` (JSON values: schema fingerprint, seed, seconds …) go into the artifact's manifest. When the block
        raises, the directory is removed and what was published before stays.

        Raises:
            ArtifactError: the root cannot be written.
        """
        final = self.path(source, stage)
        versions = final.parent / ".versions"
        try:
            versions.mkdir(parents=True, exist_ok=True)
            _sweep(versions)
            staging = versions / f".staging-{socket.gethostname()}-{os.getpid()}-{stage}-{uuid.uuid4().hex[:8]}"
            staging.mkdir()
        except OSError as e:
            raise ArtifactError(f"The artifacts cannot be written to {self.root}: {e.strerror}.", "Choose another folder with --artifacts.") from e
        try:
            yield staging
            write_json(staging / _ARTIFACT_MANIFEST, self._manifest(staging, source, stage, facts))
            version = versions / f"{stage}-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:8]}"
            staging.rename(version)
            link = versions / f".link-{uuid.uuid4().hex}"
            link.symlink_to(os.path.relpath(version, final.parent))
            os.replace(link, final)
        except OSError as e:
            raise ArtifactError(
                f"The artifact {stage} of {source} could not be written: {e.strerror or e}.",
                "Free some space or choose another folder with --artifacts.",
            ) from e
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        for old in sorted(versions.glob(f"{stage}-*"))[:-2]:
            if old != version:
                shutil.rmtree(old, ignore_errors=True)

    def open(self, source: str, stage: str) -> Path:
        """The directory of a stage's newest artifact, after its files were compared with their recorded hashes.

        The path returned is that of the version, so that a stage published meanwhile does not change what is read.

        Raises:
            ArtifactError: there is none, or a file is missing or damaged.
        """
        self.manifest(source, stage)
        directory = self.path(source, stage).resolve()
        manifest = read_json(directory / _ARTIFACT_MANIFEST, f"artifact {stage} of {source}")
        for name, entry in manifest["files"].items():
            file = directory / name
            if not file.is_file() or file.stat().st_size != entry["bytes"] or file_sha256(file) != entry["sha256"]:
                raise ArtifactError(
                    f"The artifact {stage} of {source} is damaged: {name}.",
                    f"Run the stage again: synth-pipeline run {source} --from {CLI_STAGES[stage]}.",
                )
        return directory

    def manifest(self, source: str, stage: str) -> dict[str, Any]:
        """What was recorded about a stage's newest artifact.

        Raises:
            ArtifactError: there is none, or it was written by another version of the layout.
        """
        path = self.path(source, stage) / _ARTIFACT_MANIFEST
        if not path.exists():
            raise ArtifactError(
                f"There is no artifact {stage} of {source} in {self.root}.", f"Make it first: synth-pipeline run {source} --to {CLI_STAGES[stage]}."
            )
        manifest: dict[str, Any] = read_json(path, f"artifact {stage} of {source}")
        if manifest.get("format") != ARTIFACT_FORMAT:
            raise ArtifactError(
                f"The artifact {stage} of {source} has format {manifest.get('format')!r}, this version reads {ARTIFACT_FORMAT}.",
                "Run the stage again.",
            )
        return manifest

    @staticmethod
    def _manifest(directory: Path, source: str, stage: str, facts: Mapping[str, Any]) -> dict[str, Any]:
        from synth_pipeline import __version__

        files = sorted(p for p in directory.rglob("*") if p.is_file())
        return {
            "format": ARTIFACT_FORMAT, "source": source, "stage": stage, "package_version": __version__,
            "created_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **facts,
            "files": {p.relative_to(directory).as_posix(): {"bytes": p.stat().st_size, "sha256": file_sha256(p)} for p in files},
        }  # fmt: skip


CLI_STAGES = dict(zip(STAGES, ("reflect", "infer", "subset", "fit", "sample", "report", "export"), strict=True))
"""The verb of the command line that makes each stage's artifact."""


def _sweep(versions: Path) -> None:
    """Removes staging directories that a killed process of this machine left behind."""
    for left in versions.glob(f".staging-{socket.gethostname()}-*"):
        pid = left.name.removeprefix(f".staging-{socket.gethostname()}-").split("-")[0]
        if pid.isdigit() and not process_alive(int(pid)):
            shutil.rmtree(left, ignore_errors=True)


def file_sha256(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, payload: Any) -> None:
    """Writes JSON in a stable form: sorted keys, one final newline."""
    path.write_text(json.dumps(payload, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path, what: str) -> Any:
    """Reads a JSON file of an artifact.

    Raises:
        ArtifactError: it is missing or not JSON; `what` names it in the message.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"There is no {what} in {path.parent}.", "Run the stage that makes it.") from None
    except (ValueError, OSError) as e:
        raise ArtifactError(f"The {what} in {path.parent} is damaged ({path.name}: {e}).", "Run the stage that makes it again.") from e


@contextmanager
def _damaged(path: Path) -> Iterator[Path]:
    import pyarrow as pa

    try:
        yield path
    except (FileNotFoundError, pa.ArrowInvalid, OSError) as e:
        raise ArtifactError(f"The file {path} is missing or damaged: {str(e).splitlines()[0]}.", "Run the stage that makes it again.") from e
