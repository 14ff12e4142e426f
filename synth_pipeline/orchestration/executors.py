"""Where the steps of a run execute: one name, set by SYNTH_PIPELINE_EXECUTOR, from one laptop to a cluster.

All executors but the first two come from packages of their own, imported only when chosen. How they are configured in
detail belongs to the run configuration (Launchpad) and to the files in docker/.
"""

from __future__ import annotations

import importlib
from typing import Any, cast

import dagster as dg

from synth_pipeline.errors import ConfigError, MissingExtraError, closest

EXECUTORS: dict[str, tuple[str, str]] = {
    "in_process": ("dagster", "in_process_executor"),
    "multiprocess": ("dagster", "multiprocess_executor"),
    "dask": ("dagster_dask", "dask_executor"),
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


def executor(name: str) -> dg.ExecutorDefinition:
    """The executor of that name.

    Raises:
        ConfigError: there is none of that name.
        MissingExtraError: its package is not installed.
    """
    if name not in EXECUTORS:
        raise ConfigError(f"There is no executor {name!r}.", closest(name, EXECUTORS))
    module, attribute = EXECUTORS[name]
    try:
        found = cast("dg.ExecutorDefinition", getattr(importlib.import_module(module), attribute))
    except ImportError as e:
        raise MissingExtraError(module.replace("_", "-"), name.replace("_", "-"), f"The executor {name!r}") from e
    if name != "multiprocess":
        return found
    limit = {"max_concurrent": dg.Field(dg.Noneable(int), default_value=None, description="Steps at once; the number of cores by default.")}
    return found.configured(_preloaded, name="multiprocess", config_schema=limit)


def _preloaded(config: dict[str, Any]) -> dict[str, Any]:
    return {**config, "start_method": {"forkserver": {"preload_modules": list(PRELOAD)}}}
