"""What a deployment decides, read from environment variables in one place.

Everything about a *source* is in its file in the configs folder and does not belong here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from synth_pipeline.artifacts import KEEP as KEPT
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

_SWITCH = {"on": True, "1": True, "true": True, "off": False, "0": False, "false": False}


@dataclass(frozen=True)
class Settings:
    """One deployment.

    Attributes:
        configs: the folder with one YAML file per source.
        artifacts: the root of all artifacts, which the command line shares: a folder, or a URI as `ArtifactStore` takes it.
        keep: versions of each stage's artifact that are kept.
        executor: where the steps of a run execute; a name of `executors.EXECUTORS`.
        automation: whether schedules and sensors are switched on from the start; they can be switched in the UI.
        reports_url: where `orchestration.reports` serves the HTML reports, or None to show their paths.
        ui_url: the address of the Dagster UI, for links in messages.
        owners: e-mail addresses, or `team:name`, shown with every asset.
    """

    configs: Path
    artifacts: str
    keep: int = KEPT
    executor: str = "multiprocess"
    automation: bool = False
    reports_url: str | None = None
    ui_url: str | None = None
    owners: tuple[str, ...] = ("team:synthetic-data",)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Reads the SYNTH_PIPELINE_… variables; relative folders are taken from the working directory.

        Raises:
            ConfigError: SYNTH_PIPELINE_AUTOMATION is neither on nor off, or SYNTH_PIPELINE_KEEP is no number from 1 on.
        """
        switch = environment.get(AUTOMATION, "off").lower()
        if switch not in _SWITCH:
            raise ConfigError(f"{AUTOMATION} is {switch!r}.", "Set it to `on` or `off`.")
        keep = environment.get(KEEP) or str(KEPT)
        if not keep.isdecimal() or not int(keep):
            raise ConfigError(f"{KEEP} is {keep!r}.", "Set it to the number of versions to keep, at least 1.")
        root = environment.get(ARTIFACTS) or "artifacts"
        owners = tuple(o.strip() for o in environment.get(OWNERS, "").split(",") if o.strip())
        return cls(
            configs=Path(environment.get(CONFIGS) or "configs").absolute(),
            artifacts=root if "://" in root else str(Path(root).absolute()),
            keep=int(keep),
            executor=environment.get(EXECUTOR) or cls.executor,
            automation=_SWITCH[switch],
            reports_url=(environment.get(REPORTS_URL) or "").rstrip("/") or None,
            ui_url=(environment.get(UI_URL) or "").rstrip("/") or None,
            owners=owners or cls.owners,
        )
