"""How a stage's result travels to the next step: by the artifact store, never by a pickle.

A body streams into the directory that `ArtifactStore.publish` yields, because most results are larger than memory; so
what is left to do here is to say where the artifact lies, and to open it, verified, for the next step, which may run in
another process or on another machine.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from synth_pipeline.errors import ArtifactError
from synth_pipeline.orchestration.failures import reported
from synth_pipeline.orchestration.resources import Artifacts


class ArtifactIOManager(dg.ConfigurableIOManager):
    """Passes artifacts on by the name of their stage, which is the asset's name, and of their source, the partition."""

    artifacts: dg.ResourceDependency[Artifacts]

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Records where the artifact of this output lies, and its size.

        Raises:
            ArtifactError: the body returned a value without publishing its artifact.
        """
        source, stage = context.partition_key, context.asset_key.path[-1]
        store = self.artifacts.store()
        if not store.exists(source, stage):
            raise ArtifactError(f"The stage {stage} of {source} published nothing.", "This is a defect of the asset's body.")
        files: Mapping[str, Mapping[str, int]] = store.manifest(source, stage)["files"]
        context.add_output_metadata(
            {
                "dagster/uri": at if "://" in (at := store.locate(source, stage)) else Path(at).as_uri(),
                "megabytes": round(sum(f["bytes"] for f in files.values()) / 1e6, 3),
            }
        )

    def load_input(self, context: dg.InputContext) -> Any:
        """Opens the newest artifact of the input's asset for this run's partition."""
        stage = context.asset_key.path[-1]
        with reported(context.log, f"reading {stage} of {context.partition_key}"):
            return self.artifacts.read(context.partition_key, stage)
