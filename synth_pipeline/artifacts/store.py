"""The store that publishes a stage's directory in one step, verifies what it opens, and remembers the generations.

The command line and Dagster share it. Some versions of each stage are kept, so that whoever reads one can finish and an
earlier generation can be exported again; how versions are laid out belongs to `folder` and `objects`.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from synth_pipeline.artifacts.files import file_sha256, read_json, write_json
from synth_pipeline.artifacts.folder import MANIFEST, VersionFolder, VersionPlace
from synth_pipeline.artifacts.objects import ObjectStore, is_object_store
from synth_pipeline.errors import ArtifactError, UsageError
from synth_pipeline.locking import source_lock

STAGES = (
    "reflected_schema", "inferred_metadata", "rfs_subset", "fitted_synthesizer",
    "synthetic_tables", "quality_report", "exported_database",
)  # fmt: skip
CLI_STAGES = dict(zip(STAGES, ("reflect", "infer", "subset", "fit", "sample", "report", "export"), strict=True))
"""The verb of the command line that makes each stage's artifact."""
KEEP = 2
ARTIFACT_FORMAT = 1
_GENERATED = "synthetic_tables"


@dataclass(frozen=True)
class Generation:
    """One synthetic database that was made, as the log remembers it.

    Attributes:
        identifier: the name it was given, or one made of source, subset and seed.
        made_at: when (ISO, UTC).
        seed: of the sample.
        scale: rows as a multiple of the source's.
        rows: of all tables.
        content_hash: of all tables; equal hashes are equal rows.
        subset: content hash of the subset that it was learned from.
        synthesizer: the name of the synthesizer.
        version: the version of `synthetic_tables` that holds it.
        kept: whether that version is still there.
    """

    identifier: str
    made_at: str
    seed: int
    scale: float
    rows: int
    content_hash: str
    subset: str
    synthesizer: str
    version: str
    kept: bool


class ArtifactStore:
    """The artifacts of all sources under one root: a local folder, or the URI of a folder in an object store.

    `keep` (at least 1) versions of each stage are kept.
    """

    def __init__(self, root: Path | str, keep: int = KEEP) -> None:
        if keep < 1:
            raise UsageError(f"{keep} versions of an artifact cannot be kept.", "Keep at least one.")
        self.root, self.keep = str(root), keep

    @cached_property
    def _place(self) -> VersionPlace:
        return ObjectStore(self.root) if is_object_store(self.root) else VersionFolder(Path(self.root))

    def __str__(self) -> str:
        return self._place.name

    def lock(self, source: str) -> AbstractContextManager[None]:
        """Keeps other runs of the source on this machine away; see `locking.source_lock`."""
        return source_lock(self._place.folder, source)

    def locate(self, source: str, stage: str) -> str:
        """Where a person finds the newest artifact of a stage: a path or a URI."""
        with self._readable():
            return self._place.locate(source, _known(stage))

    def sources(self) -> list[str]:
        with self._readable():
            return self._place.sources()

    def exists(self, source: str, stage: str) -> bool:
        with self._readable():
            return self._place.current(source, _known(stage)) is not None

    @contextmanager
    def publish(self, source: str, stage: str, facts: Mapping[str, Any] | None = None) -> Iterator[Path]:
        """Yields an empty directory to write a stage's artifact into, and publishes it when the block succeeds.

        `facts` (JSON values: schema fingerprint, seed …; a mapping that the block may still fill) go into the artifact's
        manifest. When the block raises, the directory is removed and what was published before stays.

        Raises:
            ArtifactError: the root cannot be written.
        """
        try:
            staging = self._place.stage(source, _known(stage))
        except OSError as e:
            raise ArtifactError(f"The artifacts cannot be written to {self}: {e.strerror}.", "Choose another folder with --artifacts.") from e
        try:
            yield staging
            manifest = _manifest(staging, source, stage, facts or {})
            write_json(staging / MANIFEST, manifest)
            version = f"{stage}-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{uuid.uuid4().hex[:8]}"
            if stage == _GENERATED:
                self._log(source, version, manifest)
            self._place.put(source, stage, version, staging)
            others = [v for v in self._place.versions(source, stage) if v != version]
            for old in others[: max(0, len(others) - self.keep + 1)]:
                self._place.remove(source, old)
        except OSError as e:
            raise ArtifactError(
                f"The artifact {stage} of {source} could not be written to {self}: {e.strerror or str(e).splitlines()[0]}.",
                "Free some space or choose another folder with --artifacts.",
            ) from e
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def open(self, source: str, stage: str, version: str | None = None) -> Path:
        """The local directory of a stage's newest artifact, or of a version, after its files were compared with their recorded hashes.

        It is the directory of that version, so that a stage published meanwhile does not change what is read.

        Raises:
            ArtifactError: there is none, or a file is missing or damaged.
        """
        directory, manifest = self._newest(source, stage, version)
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
        return self._newest(source, stage, None)[1]

    def generations(self, source: str, limit: int = 100) -> list[Generation]:
        """The newest generations of a source, newest first; also those whose tables are gone."""
        with self._readable():
            kept = set(self._place.versions(source, _GENERATED))
            noted = [json.loads(text) for text in self._place.notes(source, limit)]
        return [Generation(**n, kept=n["version"] in kept) for n in noted]

    def generation(self, source: str, wanted: str) -> Generation:
        """The newest generation of that identifier, or whose content hash begins so.

        Raises:
            ArtifactError: there is none, or its tables are gone.
        """
        found = [g for g in self.generations(source, 10_000) if g.identifier == wanted or (len(wanted) >= 6 and g.content_hash.startswith(wanted))]
        if not found:
            raise ArtifactError(f"There is no generation {wanted!r} of {source}.", f"See all: synth-pipeline generations {source}.")
        kept = next((g for g in found if g.kept), None)
        if kept is None:
            raise ArtifactError(
                f"The tables of generation {wanted!r} of {source} are no longer kept.",
                f"Draw them again: synth-pipeline sample {source} --seed {found[0].seed} --scale {found[0].scale:g}.",
            )
        return kept

    def _newest(self, source: str, stage: str, version: str | None) -> tuple[Path, dict[str, Any]]:
        with self._readable():
            chosen = version or self._place.current(source, _known(stage))
            if chosen is None:
                raise ArtifactError(
                    f"There is no artifact {stage} of {source} in {self}.", f"Make it first: synth-pipeline run {source} --to {CLI_STAGES[stage]}."
                )
            directory = self._place.fetch(source, chosen)
        manifest: dict[str, Any] = read_json(directory / MANIFEST, f"artifact {stage} of {source}")
        if manifest.get("format") != ARTIFACT_FORMAT:
            raise ArtifactError(
                f"The artifact {stage} of {source} has format {manifest.get('format')!r}, this version reads {ARTIFACT_FORMAT}.",
                "Run the stage again.",
            )
        return directory, manifest

    def _log(self, source: str, version: str, manifest: Mapping[str, Any]) -> None:
        """Notes a generation before it becomes the newest: the log may name one too many after a crash, and never lacks one."""
        told = {f.name: manifest[f.name] for f in fields(Generation) if f.name in manifest}
        self._place.note(source, version, json.dumps({**told, "made_at": manifest["created_at"], "version": version}))

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except OSError as e:
            problem = e.strerror or str(e).splitlines()[0]
            raise ArtifactError(f"The artifacts in {self} cannot be read: {problem}.", "Check the address and your rights there.") from e


def _known(stage: str) -> str:
    if stage not in STAGES:
        raise UsageError(f"There is no stage {stage!r}.", f"Stages: {', '.join(STAGES)}.")
    return stage


def _manifest(directory: Path, source: str, stage: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    from synth_pipeline import __version__

    files = sorted(p for p in directory.rglob("*") if p.is_file())
    return {
        "format": ARTIFACT_FORMAT, "source": source, "stage": stage, "package_version": __version__,
        "created_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", **facts,
        "files": {p.relative_to(directory).as_posix(): {"bytes": p.stat().st_size, "sha256": file_sha256(p)} for p in files},
    }  # fmt: skip
