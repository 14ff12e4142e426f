"""Reading a folder of files: copied to a temporary SQLite database on first use, and read from there."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from synth_pipeline.catalog.schema import Column, DatabaseSchema, Table
from synth_pipeline.connectors.base import PROFILE_ROWS, Inclusion, Snapshot, TableProfile, When
from synth_pipeline.connectors.dialects import SQLITE
from synth_pipeline.connectors.files.formats import SUFFIXES, TableFile, native_type
from synth_pipeline.connectors.sqlite.connector import SQLiteConnector
from synth_pipeline.connectors.sqlite.probe import declared_type
from synth_pipeline.connectors.sqlite.target import SQLiteTarget
from synth_pipeline.errors import SourceError, UnreachableError

if TYPE_CHECKING:
    import pyarrow as pa

FILE, DELIMITER = "file:", "delimiter:"
"""Settings of the schema: the file of a table, and its delimiter, by the table's id."""


def folder_identity(folder: Path) -> str:
    """What makes two names the same folder."""
    return f"files:{os.path.realpath(folder)}"


class FilesConnector:
    """A folder of CSV and Parquet files.

    Foreign keys and primary keys are not declared anywhere: metadata inference finds them, or the configuration names them
    under `relationships`. Of what is not a table file nothing is read; a warning of the schema says what was left alone.
    """

    dialect = SQLITE

    def __init__(self, folder: Path, label: str = "") -> None:
        self.folder, self.label = folder, label or f"files://{folder}"
        try:
            entries = sorted(folder.iterdir(), key=lambda p: p.name)
        except NotADirectoryError:
            raise UnreachableError(f"{folder} is a file, not a folder.", "Give the folder that holds the files.") from None
        except OSError as e:
            raise UnreachableError(f"The folder {folder} cannot be read: {e.strerror}.", "Check the path in the URL.") from None
        self._files: dict[str, TableFile] = {}
        self._left: list[str] = []
        names: dict[str, str] = {}
        for path in entries:
            if path.name.startswith("."):
                continue
            if not path.is_file() or path.suffix.lower() not in SUFFIXES:
                self._left.append(f"{path.name} is left alone: it is no CSV or Parquet file.")
                continue
            if path.stem.lower() in names:
                raise SourceError(f"The files {names[path.stem.lower()]} and {path.name} are one table by name.", "Rename one of them.")
            names[path.stem.lower()] = path.name
            self._files[path.stem] = TableFile.of(path)

    def identity(self) -> str:
        return folder_identity(self.folder)

    def reflect(self, *, values: bool = True) -> DatabaseSchema:
        found = self._copy.reflect(values=values) if values else self._declared
        return dataclasses.replace(found, settings=self._settings, warnings=(*found.warnings, *self._left))

    def profile(self, table: Table, rows: int = PROFILE_ROWS) -> TableProfile:
        return self._copy.profile(table, rows)

    def inclusion(
        self, child: Table, columns: Sequence[str], parent: Table, parent_columns: Sequence[str], limit: int = 10_000, when: When | None = None
    ) -> Inclusion:  # fmt: skip
        return self._copy.inclusion(child, columns, parent, parent_columns, limit, when)

    def members(self, table: Table, column: str, limit: int) -> list[str] | None:
        return self._copy.members(table, column, limit)

    def is_unique(self, table: Table, columns: Sequence[str]) -> bool:
        return self._copy.is_unique(table, columns)

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        return self._copy.snapshot()

    def close(self) -> None:
        if "_copy" in self.__dict__:
            self._copy.close()
        if "_folder" in self.__dict__:
            self._folder.cleanup()

    @cached_property
    def _settings(self) -> tuple[tuple[str, str], ...]:
        files = [(f"{FILE}{name}", file.path.name) for name, file in self._files.items()]
        return (*files, *((f"{DELIMITER}{name}", file.delimiter) for name, file in self._files.items() if file.format == "csv"))

    @cached_property
    def _declared(self) -> DatabaseSchema:
        """The tables by the types of their files, and the statements that make them."""
        tables = tuple(_table(name, file.schema()) for name, file in self._files.items())
        return DatabaseSchema(SQLITE.name, tables)

    @cached_property
    def _folder(self) -> tempfile.TemporaryDirectory[str]:
        return tempfile.TemporaryDirectory(prefix="synth-files-")

    @cached_property
    def _copy(self) -> SQLiteConnector:
        path = Path(self._folder.name) / "copy.db"
        with SQLiteTarget(path).load(self._declared, in_place=False) as load:
            load.create(self._declared)
            for table in self._declared.tables:
                load.insert(table, self._files[table.id].batches())
            load.publish()
        return SQLiteConnector(path, self.label)


def _table(name: str, schema: pa.Schema) -> Table:
    if not schema.names:
        raise SourceError(f"The file of table {name!r} has no columns.", "Remove it from the folder.")
    columns = []
    for field in schema:
        native = native_type(field.type)
        columns.append(Column(field.name, declared_type(native), native, nullable=field.nullable, storage=_storage(field.type)))
    listed = ", ".join(f"{SQLITE.quote(c.name)} {c.native_type}{'' if c.nullable else ' NOT NULL'}" for c in columns)
    return Table(name, name, tuple(columns), ddl=f"CREATE TABLE {SQLITE.quote(name)} ({listed})")


def _storage(kind: pa.DataType) -> str | None:
    """How dates and times lie in the copy: with fractions of a second where the file's type has them."""
    import pyarrow as pa

    if pa.types.is_timestamp(kind) and kind.unit != "s":
        return "%Y-%m-%d %H:%M:%S.%f"
    return "%H:%M:%S.%f" if pa.types.is_time(kind) and kind.unit != "s" else None
