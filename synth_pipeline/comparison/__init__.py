"""Any pair of databases scored against each other, whoever made the synthetic one; `compare` is the whole interface."""

from synth_pipeline.comparison.compare import compare

__all__ = ["compare"]
