"""Writing a folder of files: built beside it, checked as a SQLite database would be, and swapped in as a whole.

The rows of an export go to a temporary SQLite database, which enforces the constraints of the source, and to the files at the
same time. A source that is a folder itself gives its own formats and file names; any other gives Parquet, or what
`?format=` says. On Linux the swap is one exchange of names; elsewhere two renames, between which the folder is missing.
"""

from __future__ import annotations

import ctypes
import glob
import os
import shutil
import socket
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from synth_pipeline.connectors import local
from synth_pipeline.connectors.base import Load, Violation
from synth_pipeline.connectors.dialects import SQLITE
from synth_pipeline.connectors.files.connector import DELIMITER, FILE, folder_identity
from synth_pipeline.connectors.files.formats import SUFFIXES, TableFile, TableWriter, file_type
from synth_pipeline.connectors.sqlite import ddl
from synth_pipeline.connectors.sqlite.spelling import SPELLING
from synth_pipeline.connectors.sqlite.target import SQLiteTarget
from synth_pipeline.errors import ExportError

if TYPE_CHECKING:
    import pyarrow as pa

    from synth_pipeline.catalog.schema import DatabaseSchema, Table

_SUFFIX = {"csv": ".csv", "parquet": ".parquet"}
_EXCHANGE, _HERE = 2, -100  # RENAME_EXCHANGE and AT_FDCWD of renameat2(2)


class FilesTarget:
    """A folder of files to be made or replaced; rows cannot be added to files that exist."""

    dialect = SQLITE
    spelling = SPELLING
    renamed_kinds = ("index",)
    shared_kinds: tuple[str, ...] = ()

    def __init__(self, folder: Path, label: str = "", format_: str | None = None) -> None:
        self.folder, self.label, self._format = Path(os.path.realpath(folder)), label or f"files://{folder}", format_

    def is_same(self, source_identity: str) -> bool:
        return folder_identity(self.folder) == source_identity

    def exists(self) -> bool:
        """True where the folder holds files.

        Raises:
            ExportError: it holds something that is no table, which is never removed.
        """
        if not self.folder.exists():
            return False
        if not self.folder.is_dir():
            raise ExportError(f"{self.folder} is a file.", "Give the path of a folder.")
        entries = sorted(self.folder.iterdir())
        for path in entries:
            if not path.is_file() or path.is_symlink() or path.suffix.lower() not in SUFFIXES:
                raise ExportError(f"The folder {self.folder} is not replaced: it holds {path.name}, which is no table.", "Choose another folder.")
        return bool(entries)

    def reflect(self) -> DatabaseSchema:
        raise ExportError(
            f"Rows cannot be added to the files in {self.folder}.", "Use mode: replace without a prefix, or choose a folder that does not exist."
        )

    def rename(self, sql: str, new_name: Callable[[str], str | None]) -> str:
        return ddl.rename(sql, new_name)

    def require_writable(self) -> None:
        local.make_folder(self.folder)

    @contextmanager
    def load(self, schema: DatabaseSchema, *, in_place: bool) -> Iterator[Load]:
        if in_place:
            self.reflect()
        local.make_folder(self.folder)
        self._sweep()
        staging = local.staging_path(self.folder)
        try:
            staging.mkdir()
            with tempfile.TemporaryDirectory(prefix="synth-files-") as scratch:
                with SQLiteTarget(Path(scratch) / "check.db").load(schema, in_place=False) as checked:
                    yield _Load(checked, _planned(schema, staging, self._format), lambda: self._swap(staging))
        except OSError as e:
            raise ExportError(f"{self.folder} cannot be written: {e.strerror or e}.", "Nothing was changed. Choose another folder.") from e
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def _sweep(self) -> None:
        """Removes the folders that killed processes of this machine left beside the target."""
        prefix = f".synth-{self.folder.name}-{socket.gethostname()}-"
        for left in self.folder.parent.glob(f"{glob.escape(prefix)}*.tmp*"):
            pid = left.name.removeprefix(prefix).split("-")[0]
            if left.is_dir() and pid.isdigit() and not Path(f"/proc/{pid}").exists() and Path("/proc").exists():
                shutil.rmtree(left, ignore_errors=True)

    def _swap(self, staging: Path) -> None:
        if self.exists():
            shutil.copymode(self.folder, staging)
            if not _exchange(staging, self.folder):
                old = staging.with_name(f"{staging.name}.old")
                self.folder.rename(old)
                try:
                    staging.rename(self.folder)
                except OSError:
                    old.rename(self.folder)
                    raise
                shutil.rmtree(old, ignore_errors=True)
        else:
            with suppress(FileNotFoundError):
                self.folder.rmdir()
            staging.rename(self.folder)
        local.sync(self.folder.parent)


class _Load:
    """An export under way: SQLite keeps the rules, the files get the same rows."""

    def __init__(self, checked: Load, planned: dict[str, tuple[TableFile, bool]], publish: Callable[[], None]) -> None:
        self._checked, self._planned, self._publish = checked, planned, publish

    def create(self, schema: DatabaseSchema) -> list[str]:
        for table in schema.tables:
            for _ in self._written(table, ()):
                pass  # without rows the file gets its columns
        lost = [f"The {kind} {name} has no place in a folder of files." for kind, name, _ in schema.other_ddl]
        if any(t.keys or t.foreign_keys or t.checks for t in schema.tables):
            lost.append("Files declare no keys and no CHECKs; their rows keep them.")
        binary = [f"{t.id}.{c.name}" for t in schema.tables if self._planned[t.id][0].format == "csv" for c in t.stored_columns
                  if c.type.kind in ("binary", "geometry")]  # fmt: skip
        lost += [f"CSV has no bytes: {', '.join(binary)} is written in hexadecimal."] if binary else []
        return [*self._checked.create(schema), *lost]

    def drop(self, tables: Sequence[str]) -> None:
        self._checked.drop(tables)

    def insert(self, table: Table, batches: Iterable[pa.RecordBatch]) -> int:
        return self._checked.insert(table, self._written(table, batches))

    def _written(self, table: Table, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Passes batches on when they are in the file."""
        import pyarrow as pa

        file, own = self._planned[table.id]
        schema = pa.schema([pa.field(c.name, file_type(c, own=own), nullable=c.nullable) for c in table.stored_columns])
        writer = TableWriter(file, schema)
        try:
            for batch in batches:
                try:
                    writer.write(_filled(batch, schema))
                except pa.ArrowInvalid as e:
                    raise ExportError(f"A value of {table.id!r} does not fit its column's type in the file.", "Sample again.") from e
                yield batch
        finally:
            writer.close()

    def highest(self, table: str, column: str) -> int | None:
        return self._checked.highest(table, column)

    def taken(self, table: Table, columns: Sequence[str], batches: Iterable[pa.RecordBatch]) -> bool:
        return self._checked.taken(table, columns, batches)

    def complete(self, schema: DatabaseSchema) -> list[str]:
        return self._checked.complete(schema)

    def violations(self, schema: DatabaseSchema) -> list[Violation]:
        return self._checked.violations(schema)

    def count(self, table: str) -> int:
        return self._checked.count(table)

    def reflect(self) -> DatabaseSchema:
        return self._checked.reflect()

    def publish(self) -> None:
        for file, _ in self._planned.values():
            local.sync(file.path)
        self._publish()


def _filled(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch with NULL in the columns that it lacks."""
    import pyarrow as pa

    for field in schema:
        if field.name not in batch.schema.names:
            batch = batch.append_column(field.name, pa.nulls(batch.num_rows, field.type))
    return batch


def _planned(schema: DatabaseSchema, staging: Path, format_: str | None) -> dict[str, tuple[TableFile, bool]]:
    """The file of every table, and whether its types came out of such a file."""
    settings = dict(schema.settings)
    known = {k.removeprefix(FILE): Path(v) for k, v in settings.items() if k.startswith(FILE)}
    common = Counter(SUFFIXES[p.suffix.lower()] for p in known.values()).most_common(1)
    default = format_ or (common[0][0] if common else "parquet")
    planned: dict[str, tuple[TableFile, bool]] = {}
    taken: set[str] = set()
    for table in schema.tables:
        source = known.get(table.id)
        keep = source is not None and format_ in (None, SUFFIXES[source.suffix.lower()])
        name = source.name if source is not None and keep else f"{_file_name(table.id)}{_SUFFIX[default]}"
        while name.lower() in taken:
            name = f"_{name}"
        taken.add(name.lower())
        planned[table.id] = (TableFile(staging / name, settings.get(f"{DELIMITER}{table.id}", ",")), bool(known))
    return planned


def _file_name(table: str) -> str:
    plain = table.replace("/", "_").replace("\0", "_")
    return f"_{plain}" if plain.startswith(".") or not plain else plain


def _exchange(one: Path, other: Path) -> bool:
    """Exchanges two names in one step; False where the system cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    return bool(rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0)
