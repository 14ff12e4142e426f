"""The code location that workspace.yaml, the containers and the `dagster` command load."""

from synth_pipeline.orchestration.build import build_definitions

defs = build_definitions()
