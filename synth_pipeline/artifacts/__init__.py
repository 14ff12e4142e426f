"""What stages leave on disk: bundles of tables (`bundle`), and the store that publishes a stage's directory in one step (`store`).

The versions lie in a local folder (`folder`) or in an object store (`objects`). What a stage computes does not belong here.
"""

from synth_pipeline.artifacts.bundle import ROW_GROUP, BundleTable, BundleWriter, TableBundle, arrow_schema
from synth_pipeline.artifacts.files import file_sha256, read_json, write_json
from synth_pipeline.artifacts.store import CLI_STAGES, KEEP, STAGES, ArtifactStore, Generation

__all__ = [
    "CLI_STAGES", "KEEP", "ROW_GROUP", "STAGES", "ArtifactStore", "BundleTable", "BundleWriter", "Generation", "TableBundle", "arrow_schema",
    "file_sha256", "read_json", "write_json",
]  # fmt: skip
