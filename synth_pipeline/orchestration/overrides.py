"""What a person may change for one run in the Launchpad, without touching the file of the source.

Every field is empty by default, which means: as the file says. Lasting choices belong into the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import dagster as dg
from pydantic import Field, ValidationError

from synth_pipeline.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from synth_pipeline.config import SourceConfig

_Section = TypeVar("_Section", bound="BaseModel")


class SubsetOverrides(dg.Config):
    """How much of the source to learn from, in this run."""

    max_rows: int | None = Field(default=None, description="Rows of the subset at most.")
    seed: int | None = Field(default=None, description="Another seed takes another subset.")

    def applied(self, config: SourceConfig) -> SourceConfig:
        return config.model_copy(update={"subset": _changed(config.subset, self, "subset")})


class FitOverrides(dg.Config):
    """How to fit, in this run."""

    seed: int | None = Field(default=None, description="Seed of the synthesizer.")
    workers: int | None = Field(default=None, description="Processes at most; the result does not depend on it.")

    def applied(self, config: SourceConfig) -> SourceConfig:
        return config.model_copy(update={"synthesizer": _changed(config.synthesizer, self, "synthesizer")})


class SampleOverrides(dg.Config):
    """How much to sample, in this run."""

    scale: float | None = Field(default=None, description="Rows per table as a multiple of the source's: 0.1 is a tenth, 2 is twice as many.")
    rows: dict[str, int] | None = Field(default=None, description="Absolute row counts of some tables, which win over the scale.")
    seed: int | None = Field(default=None, description="Another seed gives other rows of the same likeness.")
    identifier: str | None = Field(default=None, description="A name for this generation, shown in the report.")

    def applied(self, config: SourceConfig) -> SourceConfig:
        return config.model_copy(update={"sample": _changed(config.sample, self, "sample")})


def _changed(section: _Section, overrides: dg.Config, name: str) -> _Section:
    """The section with the given fields, validated as if they stood in the file."""
    given = {k: v for k, v in overrides.model_dump().items() if v is not None}
    try:
        return type(section).model_validate({**section.model_dump(), **given})
    except ValidationError as e:
        problems = "; ".join(f"{name}.{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in e.errors(include_url=False, include_input=False))
        raise ConfigError(f"The launchpad's configuration is wrong: {problems}.", "Correct it and launch again.") from None
