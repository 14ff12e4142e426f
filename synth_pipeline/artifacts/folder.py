"""Versions of artifacts in a local folder, and what any place of versions can do.

`ROOT/<source>/<stage>` is a link to the newest complete version in `ROOT/<source>/.versions/`. A version is written in a
staging directory beside the others and renamed, then the link is replaced, so that a reader sees the old or the new and a
crash leaves the old. What a version means belongs to the store.
"""

from __future__ import annotations

import os
import shutil
import socket
import uuid
from pathlib import Path
from typing import Protocol

from synth_pipeline.locking import process_alive

MANIFEST = "artifact.json"
VERSIONS, NOTES = ".versions", ".generations"


class VersionPlace(Protocol):
    """Where versions lie. Methods raise OSError where the place cannot be read or written.

    Attributes:
        folder: a local folder for locks and staging directories.
        name: the place in a person's words, without credentials.
    """

    folder: Path
    name: str

    def locate(self, source: str, stage: str) -> str:
        """Where a person finds the newest version of a stage."""

    def sources(self) -> list[str]:
        """The sources that have anything here, sorted."""

    def current(self, source: str, stage: str) -> str | None:
        """The name of the newest complete version."""

    def versions(self, source: str, stage: str) -> list[str]:
        """The names of all complete versions, oldest first."""

    def fetch(self, source: str, version: str) -> Path:
        """A local directory with the files of a version."""

    def stage(self, source: str, stage: str) -> Path:
        """A new, empty local directory to write a version into."""

    def put(self, source: str, stage: str, version: str, staging: Path) -> None:
        """Makes the files of a staging directory, its manifest among them, the newest version."""

    def remove(self, source: str, version: str) -> None:
        """Removes a version."""

    def note(self, source: str, name: str, text: str) -> None:
        """Keeps a short text under a name; notes outlive the versions they are about."""

    def notes(self, source: str, limit: int) -> list[str]:
        """The texts of the newest notes (by name), newest first."""


def versions_of(names: list[str], stage: str) -> list[str]:
    """The versions of one stage among the names of versions, oldest first."""
    return sorted(n for n in names if n.rpartition("-")[0].rpartition("-")[0] == stage)


class VersionFolder:
    """A `VersionPlace` on this machine, or on a volume that several machines share."""

    def __init__(self, root: Path) -> None:
        self.folder, self.name = root, str(root)

    def locate(self, source: str, stage: str) -> str:
        return str(self.folder / source / stage)

    def sources(self) -> list[str]:
        return sorted(p.name for p in self.folder.iterdir() if (p / VERSIONS).is_dir()) if self.folder.is_dir() else []

    def current(self, source: str, stage: str) -> str | None:
        link = self.folder / source / stage
        return link.resolve().name if (link / MANIFEST).is_file() else None

    def versions(self, source: str, stage: str) -> list[str]:
        found = (self.folder / source / VERSIONS).glob(f"{stage}-*")
        return versions_of([p.name for p in found if (p / MANIFEST).is_file()], stage)

    def fetch(self, source: str, version: str) -> Path:
        return self.folder / source / VERSIONS / version

    def stage(self, source: str, stage: str) -> Path:
        versions = self.folder / source / VERSIONS
        versions.mkdir(parents=True, exist_ok=True)
        _sweep(versions)
        staging = versions / f".staging-{socket.gethostname()}-{os.getpid()}-{stage}-{uuid.uuid4().hex[:8]}"
        staging.mkdir()
        return staging

    def put(self, source: str, stage: str, version: str, staging: Path) -> None:
        place = self.fetch(source, version)
        staging.rename(place)
        link = place.parent / f".link-{uuid.uuid4().hex}"
        link.symlink_to(os.path.relpath(place, self.folder / source))
        os.replace(link, self.folder / source / stage)

    def remove(self, source: str, version: str) -> None:
        shutil.rmtree(self.fetch(source, version), ignore_errors=True)

    def note(self, source: str, name: str, text: str) -> None:
        folder = self.folder / source / NOTES
        folder.mkdir(parents=True, exist_ok=True)
        new = folder / f".{uuid.uuid4().hex}"
        new.write_text(text, encoding="utf-8")
        os.replace(new, folder / f"{name}.json")

    def notes(self, source: str, limit: int) -> list[str]:
        found = sorted((self.folder / source / NOTES).glob("[!.]*.json"), reverse=True)
        return [p.read_text(encoding="utf-8") for p in found[:limit]]


def _sweep(versions: Path) -> None:
    """Removes staging directories that a killed process of this machine left behind."""
    for left in versions.glob(f".staging-{socket.gethostname()}-*"):
        pid = left.name.removeprefix(f".staging-{socket.gethostname()}-").split("-")[0]
        if pid.isdigit() and not process_alive(int(pid)):
            shutil.rmtree(left, ignore_errors=True)
