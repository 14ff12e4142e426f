"""Where the steps of a run execute: one name, set by SYNTH_PIPELINE_EXECUTOR, from one laptop to a cluster.

All executors but the first two come from packages of their own, imported only when chosen. Where their cluster is, and what
else they need, is said for a deployment by SYNTH_PIPELINE_EXECUTOR_CONFIG, or for one run in the Launchpad.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, cast

import dagster as dg
from dagster._config import process_config  # not public: what a launch does with a run's configuration, done here at once

from synth_pipeline.errors import ConfigError, MissingExtraError, closest

EXECUTORS: dict[str, tuple[str, str]] = {
    "in_process": ("dagster", "in_process_executor"),
    "multiprocess": ("dagster", "multiprocess_executor"),
    "dask": ("synth_pipeline.orchestration.dask_executor", "dask_executor"),
    "celery": ("dagster_celery", "celery_executor"),
    "celery_k8s": ("dagster_celery_k8s", "celery_k8s_job_executor"),
    "celery_docker": ("dagster_celery_docker", "celery_docker_executor"),
    "k8s": ("dagster_k8s", "k8s_job_executor"),
    "docker": ("dagster_docker", "docker_executor"),
    "ray": ("dagster_ray", "ray_executor"),
}
"""Name of an executor: the module and the attribute that hold it."""

PRELOAD = ("dagster", "synth_pipeline.pipeline", "pandas", "pyarrow.parquet", "sqlalchemy")
"""Imported once by the fork server of the multiprocess executor, so that each step starts in a fraction of a second."""


def executor(name: str, config: Mapping[str, Any] | None = None) -> dg.ExecutorDefinition:
    """The executor of that name, with the given fields of its configuration set for all runs.

    Raises:
        ConfigError: there is none of that name, or it does not take the configuration.
        MissingExtraError: its package is not installed.
    """
    if name not in EXECUTORS:
        raise ConfigError(f"There is no executor {name!r}.", closest(name, EXECUTORS))
    module, attribute = EXECUTORS[name]
    try:
        found = cast("dg.ExecutorDefinition", getattr(importlib.import_module(module), attribute))
    except ImportError as e:
        package = "distributed" if name == "dask" else module.replace("_", "-")
        raise MissingExtraError(package, name.replace("_", "-"), f"The executor {name!r}") from e
    if name == "multiprocess":
        limit = {"max_concurrent": dg.Field(dg.Noneable(int), default_value=None, description="Steps at once; the number of cores by default.")}
        found = found.configured(_preloaded, name="multiprocess", config_schema=limit)
    if not config:
        return found
    checked = process_config(found.config_schema.config_type, dict(config))
    if not checked.success:
        # Messages of Dagster repeat values, which may be secret; the paths of the fields do not.
        wrong = sorted({".".join(e.stack.levels) or "it" for e in checked.errors or ()})
        raise ConfigError(
            f"The executor {name!r} does not take its configuration: see {', '.join(wrong)}.", "Correct SYNTH_PIPELINE_EXECUTOR_CONFIG."
        )
    return found.configured(dict(config), name=found.name)


def _preloaded(config: dict[str, Any]) -> dict[str, Any]:
    return {**config, "start_method": {"forkserver": {"preload_modules": list(PRELOAD)}}}
