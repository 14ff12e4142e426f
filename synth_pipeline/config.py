"""The models of configs/*.yaml: frozen, unknown keys refused, secrets by the name of an environment variable only.

What a file says about tables and columns is compared with the database by the stages, not here; nothing here opens a
connection.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


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


class RelationshipConfig(_Model):
    """A foreign key that the database does not declare."""

    child: str
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]


class ColumnConfig(_Model):
    """Overrides of what inference says of one column, under `columns: {table.column: …}`."""

    sdtype: str | None = None
    pii: bool | None = None
    datetime_format: str | None = None
    regex_format: str | None = None
    locale: str | None = None


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
    seed: int = 0


class SynthesizerConfig(_Model):
    """Which synthesizer, and its own parameters."""

    name: str = "relational"
    params: dict[str, Any] = {}
    seed: int = 0
    workers: int | None = Field(default=None, ge=1)


class SampleConfig(_Model):
    """How much to sample; `identifier` names the generation in reports and logs."""

    scale: float = Field(default=1.0, gt=0, le=1000)
    rows: dict[str, int] = {}
    seed: int = 0
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
    """Where the synthetic database goes: `create` refuses an existing one, `replace` swaps it atomically, `append` adds."""

    url: str | None = None
    url_env: str | None = None
    mode: Literal["create", "append", "replace"] = "replace"
    prefix: str = ""


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
    relationships: tuple[RelationshipConfig, ...] = ()
    columns: dict[str, ColumnConfig] = {}
    subset: SubsetConfig = SubsetConfig()
    synthesizer: SynthesizerConfig = SynthesizerConfig()
    sample: SampleConfig = SampleConfig()
    privacy: PrivacyConfig = PrivacyConfig()
    checks: ChecksConfig = ChecksConfig()
    export: ExportConfig | None = None
    refresh: RefreshConfig = RefreshConfig()
