"""Reading stages back: what lies in the directory of each stage's artifact, under which file names.

The stage functions of `pipeline` write it; layout and publishing of the directories belong to `artifacts`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_pipeline.artifacts import TableBundle, read_json, write_json
from synth_pipeline.catalog.schema import DatabaseSchema
from synth_pipeline.errors import ArtifactError

if TYPE_CHECKING:
    from synth_pipeline.metadata.model import SynthesisMetadata
    from synth_pipeline.quality.model import QualityReport
    from synth_pipeline.subset import Subset
    from synth_pipeline.synthesis.base import FittedSynthesizer

_SCHEMA, _METADATA, _SYNTHESIZER, _MODEL, _EXPORT = "schema.json", "metadata.json", "synthesizer.json", "model", "export.json"


def save_schema(schema: DatabaseSchema, directory: Path) -> None:
    """Writes what `load_schema` reads."""
    write_json(directory / _SCHEMA, schema.to_dict())


def load_schema(directory: Path) -> DatabaseSchema:
    """Reads the artifact of `reflect`; ArtifactError where it is missing or damaged."""
    payload = read_json(directory / _SCHEMA, "reflected schema")
    try:
        return DatabaseSchema.from_dict(payload)
    except (KeyError, TypeError, AttributeError) as e:
        raise ArtifactError(f"The reflected schema in {directory} cannot be read.", "Run the stage 'reflect' again.") from e


def save_metadata(metadata: SynthesisMetadata, directory: Path) -> None:
    """Writes what `load_metadata` reads."""
    write_json(directory / _METADATA, metadata.to_dict())


def load_metadata(directory: Path) -> SynthesisMetadata:
    """Reads the artifact of `infer`; ArtifactError where it is missing or damaged."""
    from pydantic import ValidationError

    from synth_pipeline.metadata.model import SynthesisMetadata

    try:
        return SynthesisMetadata.from_dict(read_json(directory / _METADATA, "metadata"))
    except ValidationError as e:
        raise ArtifactError(f"The metadata in {directory} cannot be read.", "Run the stage 'infer' again.") from e


def load_subset(directory: Path) -> Subset:
    """Reads the artifact of `subset`."""
    from synth_pipeline.subset import Subset

    return Subset.load(directory)


def save_fitted(fitted: FittedSynthesizer, name: str, directory: Path) -> None:
    """Writes what `load_fitted` reads; `name` is the synthesizer's in the registry."""
    (directory / _MODEL).mkdir()
    fitted.save(directory / _MODEL)
    write_json(directory / _SYNTHESIZER, {"name": name, "schema_fingerprint": fitted.schema_fingerprint, "info": fitted.info})


def load_fitted(directory: Path) -> FittedSynthesizer:
    """Reads the artifact of `fit` with the synthesizer that made it, whatever the configuration names now."""
    from synth_pipeline.synthesis.registry import synthesizer

    return synthesizer(read_json(directory / _SYNTHESIZER, "fitted synthesizer")["name"]).load(directory / _MODEL)


def load_tables(directory: Path) -> TableBundle:
    """Reads the artifact of `sample`."""
    return TableBundle.open(directory)


def load_report(directory: Path) -> QualityReport:
    """Reads the artifact of `report`."""
    from synth_pipeline.quality.model import QualityReport

    return QualityReport.load(directory)


def save_export(result: dict[str, Any], directory: Path) -> None:
    """Writes what `load_export` reads."""
    write_json(directory / _EXPORT, result)


def load_export(directory: Path) -> dict[str, Any]:
    """Reads the artifact of `export`: the fields of its `ExportResult`."""
    payload: dict[str, Any] = read_json(directory / _EXPORT, "export record")
    return payload
