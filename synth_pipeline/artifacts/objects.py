"""Versions of artifacts in an object store: S3, Google Cloud Storage, Azure, HDFS, and by `fsspec+…` whatever fsspec knows.

An object store knows neither links nor renames. The files of a version are sent first, its manifest after them, and last
one small object that names the newest version: a single write, so that a reader sees the old or the new. Readers get a
local copy, kept in a cache folder, for all stages work on local files. What a version means belongs to the store.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from synth_pipeline.artifacts.folder import MANIFEST, NOTES, VERSIONS, VersionFolder, versions_of
from synth_pipeline.errors import UsageError

if TYPE_CHECKING:
    import pyarrow.fs as pafs

_ABANDONED = timedelta(days=1)
_FLAT = ("s3", "gcs", "abfs")


def is_object_store(root: str) -> bool:
    """Whether a root of artifacts is a URI rather than a local folder."""
    return re.match(r"[A-Za-z][\w+.-]*://", root) is not None


class ObjectStore:
    """A `VersionPlace` in an object store; what is read and written on this machine is cached in SYNTH_PIPELINE_CACHE.

    Raises:
        UsageError: the URI holds credentials, or no file system is known for it.
    """

    def __init__(self, uri: str) -> None:
        parts = urlsplit(uri)
        if "@" in parts.netloc or re.search(r"(secret|token|password|access_key)", parts.query, re.IGNORECASE):
            raise UsageError("The address of the artifacts holds credentials.", "Give them by the environment (AWS_ACCESS_KEY_ID …).")
        self.name = f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "synth-pipeline"
        self.folder = Path(os.environ.get("SYNTH_PIPELINE_CACHE") or caches) / hashlib.sha256(uri.encode()).hexdigest()[:16]
        self._local = VersionFolder(self.folder)
        self._files = _file_system(uri, self.name)

    def locate(self, source: str, stage: str) -> str:
        version = self.current(source, stage)
        return f"{self.name}/{source}/{VERSIONS}/{version}" if version else f"{self.name}/{source}/{stage}"

    def sources(self) -> list[str]:
        return sorted(n for n in self._names("") if not n.startswith("."))

    def current(self, source: str, stage: str) -> str | None:
        return self._read(f"{source}/{stage}.current")

    def versions(self, source: str, stage: str) -> list[str]:
        return versions_of([v for v in self._names(f"{source}/{VERSIONS}") if self._exists(f"{source}/{VERSIONS}/{v}/{MANIFEST}")], stage)

    def fetch(self, source: str, version: str) -> Path:
        import pyarrow.fs as pafs

        place = self._local.fetch(source, version)
        if not (place / MANIFEST).is_file():
            staging = self._local.stage(source, version.split("-")[0])
            try:
                pafs.copy_files(f"{source}/{VERSIONS}/{version}", str(staging), self._files, pafs.LocalFileSystem())
                if not place.exists():
                    staging.rename(place)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
        return place

    def stage(self, source: str, stage: str) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)  # subsets are real rows
        return self._local.stage(source, stage)

    def put(self, source: str, stage: str, version: str, staging: Path) -> None:
        place = f"{source}/{VERSIONS}/{version}"
        for file in sorted((p for p in staging.rglob("*") if p.is_file()), key=lambda p: p == staging / MANIFEST):
            self._send(file, f"{place}/{file.relative_to(staging).as_posix()}")
        staging.rename(self._local.fetch(source, version))
        self._write(f"{source}/{stage}.current", version)
        self._clear(source, stage)

    def remove(self, source: str, version: str) -> None:
        self._local.remove(source, version)
        place = f"{source}/{VERSIONS}/{version}"
        if self._exists(f"{place}/{MANIFEST}"):
            self._files.delete_file(f"{place}/{MANIFEST}")  # first, so that what is half removed is no version any more
        self._files.delete_dir(place)

    def note(self, source: str, name: str, text: str) -> None:
        self._write(f"{source}/{NOTES}/{name}.json", text)

    def notes(self, source: str, limit: int) -> list[str]:
        names = sorted(self._names(f"{source}/{NOTES}"), reverse=True)[:limit]
        return [text for n in names if (text := self._read(f"{source}/{NOTES}/{n}")) is not None]

    def _clear(self, source: str, stage: str) -> None:
        """Removes uploads that were broken off a day ago or earlier, and cached versions older than all that the store has."""
        there = versions_of(self._names(f"{source}/{VERSIONS}"), stage)
        limit = (datetime.now(UTC) - _ABANDONED).strftime("%Y%m%dT%H%M%S")
        for version in there:
            if version.split("-")[1] < limit and not self._exists(f"{source}/{VERSIONS}/{version}/{MANIFEST}"):
                self._files.delete_dir(f"{source}/{VERSIONS}/{version}")
        for version in self._local.versions(source, stage):
            if version < there[0]:
                self._local.remove(source, version)

    def _names(self, folder: str) -> list[str]:
        import pyarrow.fs as pafs

        found = self._files.get_file_info(pafs.FileSelector(folder, allow_not_found=True))
        return [f.base_name for f in found if f.base_name]

    def _exists(self, path: str) -> bool:
        import pyarrow.fs as pafs

        return bool(self._files.get_file_info(path).type == pafs.FileType.File)

    def _read(self, path: str) -> str | None:
        try:
            with self._files.open_input_stream(path) as stream:
                return bytes(stream.read()).decode()
        except FileNotFoundError:
            return None

    def _write(self, path: str, text: str) -> None:
        self._sent(path, lambda stream: stream.write(text.encode()))

    def _send(self, file: Path, path: str) -> None:
        with file.open("rb") as content:
            self._sent(path, lambda stream: shutil.copyfileobj(content, stream, 1 << 20))

    def _sent(self, path: str, write: Callable[[Any], object]) -> None:
        if not self._files.base_fs.type_name.startswith(_FLAT):
            self._files.create_dir(path.rpartition("/")[0], recursive=True)
        with self._files.open_output_stream(path) as stream:
            write(stream)


def _file_system(uri: str, name: str) -> pafs.SubTreeFileSystem:
    import pyarrow as pa
    import pyarrow.fs as pafs

    try:
        files, path = pafs.FileSystem.from_uri(uri)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ImportError, ValueError) as e:
        raise UsageError(
            f"The artifacts cannot be kept in {name}: {str(e).splitlines()[0]}.",
            "Give a folder, s3://bucket/folder, gs://…, abfs://…, or fsspec+PROTOCOL://… with the package of that protocol installed.",
        ) from e
    return pafs.SubTreeFileSystem(path, files)
