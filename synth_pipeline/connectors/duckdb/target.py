"""Where a DuckDB export goes: a new file built beside the old one and put in its place by one rename.

Also rows that are added, and tables with a prefix, go into a copy of the file: whoever reads it sees the old one or the
new one. How rows and definitions get there is the business of `load`.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from synth_pipeline.connectors import local
from synth_pipeline.connectors.dialects import DUCKDB
from synth_pipeline.connectors.duckdb import names, reflect
from synth_pipeline.connectors.duckdb.load import DuckDBLoad
from synth_pipeline.connectors.duckdb.session import SIDECARS, open_file, prepared, refusal
from synth_pipeline.connectors.duckdb.spelling import SPELLING
from synth_pipeline.errors import ExportError, SourceError, UnreachableError

if TYPE_CHECKING:
    from synth_pipeline.catalog.schema import DatabaseSchema

_BUSY_SECONDS = 10.0


class DuckDBTarget:
    """A DuckDB file to be made, replaced or added to. Symbolic links are followed: the file changes, the link stays."""

    dialect = DUCKDB
    spelling = SPELLING
    renamed_kinds = ("index", "sequence")
    shared_kinds = ("schema", "type")

    def __init__(self, path: Path, label: str = "") -> None:
        self.path = Path(os.path.realpath(path))
        self.label = label or f"duckdb:///{path}"

    def is_same(self, source_identity: str) -> bool:
        return local.same_file("duckdb", self.path, source_identity)

    def exists(self) -> bool:
        if self.path.is_dir():
            raise ExportError(f"{self.path} is a folder.", "Give the path of a file.")
        return self.path.exists() and self.path.stat().st_size > 0

    def reflect(self) -> DatabaseSchema:
        with closing(self._present()) as connection:
            return reflect.reflect(connection)

    def rename(self, sql: str, new_name: Callable[[str], str | None]) -> str:
        return names.rename(sql, new_name)

    def require_writable(self) -> None:
        local.make_folder(self.path)

    def _present(self, *, write: bool = False) -> duckdb.DuckDBPyConnection:
        """What lies at the path; a file that is no database, or that somebody writes to, is never written over."""
        deadline = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                return open_file(self.path, write=write)
            except SourceError as e:
                raise ExportError(f"What lies at {self.path} is not written over: {e.problem}", "Remove the file, or choose another path.") from e
            except UnreachableError as e:
                if time.monotonic() > deadline:
                    raise ExportError(f"{self.path} cannot be written: {e.problem}", "Close it, or choose another path for the export.") from e
                time.sleep(0.1)

    @contextmanager
    def load(self, schema: DatabaseSchema, *, in_place: bool) -> Iterator[DuckDBLoad]:
        local.make_folder(self.path)
        staging = local.staging_path(self.path)
        try:
            existed = self.exists()
            if existed:
                self._settle()
            if in_place and existed:
                shutil.copyfile(self.path, staging)
            with closing(prepared(duckdb.connect(str(staging)))) as connection:
                yield DuckDBLoad(connection, schema, lambda: self._publish(connection, staging, existed), aside=not in_place)
        except duckdb.Error as e:
            raise ExportError(f"{self.path} cannot be written: {refusal(e)}.", "Nothing was changed. Check the folder and its space.") from None
        except OSError as e:
            raise ExportError(f"{self.path} cannot be written: {e.strerror or e}.", "Nothing was changed. Check the folder and its space.") from e
        finally:
            local.remove(staging, SIDECARS)

    def _settle(self) -> None:
        """Makes sure that nobody writes to the old file, and that no journal of it is left for the new one to replay."""
        self._present().close()
        if Path(f"{self.path}.wal").exists():
            with closing(self._present(write=True)) as old:
                old.execute("CHECKPOINT")

    def _publish(self, connection: duckdb.DuckDBPyConnection, staging: Path, existed: bool) -> None:
        connection.execute("CHECKPOINT")
        connection.close()
        if not existed:
            if self.path.exists() and not self.path.stat().st_size:
                self.path.unlink()
            local.place_new(staging, self.path)
            return
        local.sync(staging)
        self._settle()
        local.put_in_place(staging, self.path)
        local.sync(self.path.parent)
