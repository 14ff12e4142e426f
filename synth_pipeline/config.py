"""The models of configs/*.yaml: frozen, and unknown keys are refused; secrets are given by the name of an environment variable only.

What a file says about tables and columns is compared with the database by the stages, not here.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from synth_pipeline.relationships import AnyRelationship, PolymorphicConfig, RelationshipConfig

_PASSWORD = re.compile(r"^[^/]*://[^/@]*:[^/]*@|[?&;](password|passwd|pwd|token|secret|private_key|credentials\w*)=", re.IGNORECASE)


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Connection(_Model):
    """Where a database is: `url` (which must hold no password) or `url_env`, the variable that holds the URL."""

    url: str | None = None
    url_env: str | None = None
    schemas: tuple[str, ...] = ()


class TablesConfig(_Model):
    """Which tables take part: all of the source, less `exclude`; the real rows of `preserve` are copied."""

    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    preserve: tuple[str, ...] = ()


class ColumnConfig(_Model):
    """Overrides of what inference says of one column, under `columns: {table.column: …}`.

    `sensitive`: nobody should be able to guess its value from the rest of a person's row; the report measures that.
    """

    sdtype: str | None = None
    pii: bool | None = None
    datetime_format: str | None = None
    regex_format: str | None = None
    locale: str | None = None
    sensitive: bool | None = None


class SubsetConfig(_Model):
    """How much of the source to learn from: all of it up to `max_rows`, or `fraction`, or `rows` of `main_table`."""

    max_rows: int = Field(default=500_000, ge=1)
    table_max_rows: dict[str, int] = {}
    fraction: float | None = Field(default=None, gt=0, le=1)
    main_table: str | None = None
    rows: int | None = Field(default=None, ge=1)
    where: dict[str, str] = {}
    tree_keys: dict[str, str] = {}
    dangling: Literal["null", "drop", "error"] = "null"
    population: Literal["exact", "estimate"] = "exact"
    threads: int = Field(default=1, ge=1, le=64)
    seed: int = 0


class SynthesizerConfig(_Model):
    """Which synthesizer, its own parameters, and who works: processes here, or the dask or ray cluster at `address`."""

    name: str = "relational"
    params: dict[str, Any] = {}
    seed: int = 0
    workers: int | None = Field(default=None, ge=1)
    backend: Literal["loky", "dask", "ray"] = "loky"
    address: str | None = None


class SampleConfig(_Model):
    """How much to sample, and how much at once; `identifier` names the generation in reports and logs."""

    scale: float = Field(default=1.0, gt=0, le=1000)
    rows: dict[str, int] = {}
    seed: int = 0
    shard_rows: int = Field(default=250_000, ge=1)
    identifier: str | None = None


class PrivacyConfig(_Model):
    """How careful the synthesizer is, and the share of root entities kept from it to measure privacy."""

    level: Literal["none", "standard", "strict"] = "standard"
    holdout: float = Field(default=0.1, ge=0, le=0.5)


class ChecksConfig(_Model):
    """Thresholds that turn a report into passed or failed checks; None does not check."""

    quality_min: float | None = Field(default=None, ge=0, le=1)
    privacy_max_nearer: float | None = Field(default=None, ge=0.5, le=1)
    severity: Literal["warn", "error"] = "warn"


class ExportConfig(_Model):
    """Where the synthetic database goes: `create` refuses an existing one, `replace` swaps it atomically, `append` adds.

    `schemas`: the source's schema to that of the target; a name alone is for a source with one schema.
    """

    url: str | None = None
    url_env: str | None = None
    mode: Literal["create", "append", "replace"] = "replace"
    prefix: str = ""
    schemas: dict[str, str] = {}

    @field_validator("schemas", mode="before")
    @classmethod
    def _one_schema(cls, given: object) -> object:
        return {"": given} if isinstance(given, str) else given


class RefreshConfig(_Model):
    """When to run by itself: at `cron` times, and when the sensor sees another schema."""

    cron: str | None = None
    timezone: str = "UTC"
    on_schema_change: bool = True


class SourceConfig(_Model):
    """One source database; the file's name is the source's name and its partition key."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    description: str = ""
    source: Connection
    tables: TablesConfig = TablesConfig()
    relationships: tuple[AnyRelationship, ...] = ()
    columns: dict[str, ColumnConfig] = {}
    subset: SubsetConfig = SubsetConfig()
    synthesizer: SynthesizerConfig = SynthesizerConfig()
    sample: SampleConfig = SampleConfig()
    privacy: PrivacyConfig = PrivacyConfig()
    checks: ChecksConfig = ChecksConfig()
    export: ExportConfig | None = None
    refresh: RefreshConfig = RefreshConfig()

    @property
    def foreign_keys(self) -> tuple[RelationshipConfig, ...]:
        """The relationships that are foreign keys."""
        return tuple(r for r in self.relationships if isinstance(r, RelationshipConfig))

    @property
    def polymorphic_keys(self) -> tuple[PolymorphicConfig, ...]:
        """The relationships that are polymorphic."""
        return tuple(r for r in self.relationships if isinstance(r, PolymorphicConfig))


def overridden(config: SourceConfig, *, seed: int | None = None, scale: float | None = None, identifier: str | None = None) -> SourceConfig:
    """The configuration with the seed of subset, fit and sample, the scale, or the generation's name, given on a command line."""
    parts: dict[str, Any] = {}
    if seed is not None:
        parts = {name: getattr(config, name).model_copy(update={"seed": seed}) for name in ("subset", "synthesizer", "sample")}
    sample = {name: value for name, value in (("scale", scale), ("identifier", identifier)) if value is not None}
    if sample:
        parts["sample"] = parts.get("sample", config.sample).model_copy(update=sample)
    return config.model_copy(update=parts) if parts else config


def holds_password(text: str) -> bool:
    """Whether a URL, or a text with one in it, shows a password or another secret."""
    return _PASSWORD.search(text) is not None
