"""Synthetic databases in the schema of real ones.

What a notebook needs is here and imported when it is used; see `notebook` for the chain of objects that `open` starts.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synth_pipeline.artifacts import ArtifactStore as ArtifactStore
    from synth_pipeline.artifacts import TableBundle as TableBundle
    from synth_pipeline.config import SourceConfig as SourceConfig
    from synth_pipeline.config_files import load_config as load_config
    from synth_pipeline.errors import SynthPipelineError as SynthPipelineError
    from synth_pipeline.notebook import compare as compare
    from synth_pipeline.notebook import open as open
    from synth_pipeline.pipeline import run as run

__version__ = "0.1.0"

_HOMES = {
    "ArtifactStore": "artifacts", "SourceConfig": "config", "SynthPipelineError": "errors", "TableBundle": "artifacts",
    "compare": "notebook", "load_config": "config_files", "open": "notebook", "run": "pipeline",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
