"""What a deployment decides, read from environment variables in one place.

Everything about a *source* is in its file in the configs folder and does not belong here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synth_pipeline.artifacts import KEEP as KEPT
from synth_pipeline.config import holds_password
from synth_pipeline.errors import ConfigError

CONFIGS = "SYNTH_PIPELINE_CONFIGS"
ARTIFACTS = "SYNTH_PIPELINE_ARTIFACTS"
EXECUTOR = "SYNTH_PIPELINE_EXECUTOR"
AUTOMATION = "SYNTH_PIPELINE_AUTOMATION"
WEBHOOK = "SYNTH_PIPELINE_WEBHOOK"
REPORTS_URL = "SYNTH_PIPELINE_REPORTS_URL"
UI_URL = "SYNTH_PIPELINE_UI_URL"
OWNERS = "SYNTH_PIPELINE_OWNERS"
KEEP = "SYNTH_PIPELINE_KEEP"
EXECUTOR_CONFIG = "SYNTH_PIPELINE_EXECUTOR_CONFIG"
WATCH_SECONDS = "SYNTH_PIPELINE_WATCH_SECONDS"

_SWITCH = {"on": True, "1": True, "true": True, "off": False, "0": False, "false": False}


@dataclass(frozen=True)
class Settings:
    """One deployment.

    Attributes:
        configs: the folder with one YAML file per source.
        artifacts: the root of all artifacts, which the command line shares: a folder, or a URI as `ArtifactStore` takes it.
        keep: versions of each stage's artifact that are kept.
        executor: where the steps of a run execute; a name of `executors.EXECUTORS`.
        executor_config: fields of its configuration, set for all runs.
        automation: whether schedules and sensors are switched on from the start; they can be switched in the UI.
        watch_seconds: how long the schema sensor waits between two looks at the catalogues.
        reports_url: where `orchestration.reports` serves the HTML reports, or None to show their paths.
        ui_url: the address of the Dagster UI, for links in messages.
        owners: e-mail addresses, or `team:name`, shown with every asset.
    """

    configs: Path
    artifacts: str
    keep: int = KEPT
    executor: str = "multiprocess"
    executor_config: Mapping[str, Any] = field(default_factory=dict, hash=False)
    automation: bool = False
    watch_seconds: int = 300
    reports_url: str | None = None
    ui_url: str | None = None
    owners: tuple[str, ...] = ("team:synthetic-data",)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Reads the SYNTH_PIPELINE_… variables; relative folders are taken from the working directory.

        Raises:
            ConfigError: one of them has a value that it cannot have.
        """
        switch = environment.get(AUTOMATION, "off").lower()
        if switch not in _SWITCH:
            raise ConfigError(f"{AUTOMATION} is {switch!r}.", "Set it to `on` or `off`.")
        root = environment.get(ARTIFACTS) or "artifacts"
        owners = tuple(o.strip() for o in environment.get(OWNERS, "").split(",") if o.strip())
        return cls(
            configs=Path(environment.get(CONFIGS) or "configs").absolute(),
            artifacts=root if "://" in root else str(Path(root).absolute()),
            keep=_count(environment, KEEP, KEPT),
            executor=environment.get(EXECUTOR) or cls.executor,
            executor_config=_mapping(environment.get(EXECUTOR_CONFIG) or "{}"),
            automation=_SWITCH[switch],
            watch_seconds=_count(environment, WATCH_SECONDS, cls.watch_seconds),
            reports_url=(environment.get(REPORTS_URL) or "").rstrip("/") or None,
            ui_url=(environment.get(UI_URL) or "").rstrip("/") or None,
            owners=owners or cls.owners,
        )


def _count(environment: Mapping[str, str], name: str, default: int) -> int:
    given = environment.get(name) or str(default)
    if not given.isdecimal() or not int(given):
        raise ConfigError(f"{name} is {given!r}.", "Set it to a whole number, at least 1.")
    return int(given)


def _mapping(text: str) -> dict[str, Any]:
    import yaml

    if holds_password(text):
        remedy = "Put the URL into another variable and name that: {broker: {env: BROKER_URL}}."
        raise ConfigError(f"{EXECUTOR_CONFIG} holds a password, and the UI shows it.", remedy)
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        found = None
    if not isinstance(found, dict):
        raise ConfigError(f"{EXECUTOR_CONFIG} does not hold keys and values.", "For instance: {address: 'tcp://scheduler:8786'}.")
    return found
