"""What assets, sensors and schedules ask for: the configuration of a source, and the store of artifacts.

Thin factories of core objects. They hold paths and never a secret, for the UI shows the fields of a resource.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from synth_pipeline import stored
from synth_pipeline.artifacts import KEEP, ArtifactStore

if TYPE_CHECKING:
    from synth_pipeline.config import SourceConfig


class Sources(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The configuration files, one per source."""

    folder: str = Field(description="The folder of the configuration files.")

    def load(self, source: str) -> SourceConfig:
        """Reads and validates the file of a source, as it is now.

        Raises:
            ConfigError: it is missing or wrong; every problem is named.
        """
        from synth_pipeline.config_files import load_config

        return load_config(source, Path(self.folder))


class Artifacts(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The artifacts of all sources; the command line's `--artifacts` folder."""

    root: str = Field(description="The root, a folder or the URI of one in an object store: ROOT/<source>/<stage>.")
    keep: int = Field(default=KEEP, description="Versions of each stage that are kept.")
    reports_url: str | None = Field(default=None, description="Where the HTML reports are served, if they are.")

    def store(self) -> ArtifactStore:
        return ArtifactStore(self.root, self.keep)

    def report_url(self, source: str) -> str | None:
        """Where a browser finds the newest report of a source; None where reports are not served."""
        return f"{self.reports_url}/{source}" if self.reports_url else None

    def read(self, source: str, stage: str) -> Any:
        """What a stage made for a source, its files compared with their recorded hashes.

        Raises:
            ArtifactError: there is none, or it is damaged.
        """
        return LOADERS[stage](self.store().open(source, stage))


LOADERS = {
    "reflected_schema": stored.load_schema,
    "inferred_metadata": stored.load_metadata,
    "rfs_subset": stored.load_subset,
    "fitted_synthesizer": stored.load_fitted,
    "synthetic_tables": stored.load_tables,
    "quality_report": stored.load_report,
    "exported_database": stored.load_export,
}
