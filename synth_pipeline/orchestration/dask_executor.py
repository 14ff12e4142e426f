"""Steps of a run as tasks on a Dask cluster: one that is there, or one of local processes for the time of the run.

A worker that dies loses no run: Dask gives its step to another one, and what the dead one was writing was not published.
(The package dagster-dask hands Dagster's own objects to `Client.submit`, which Dask takes apart since 2024, and retries
nothing.) Workers need the code, the configurations, the artifacts and Dagster's records; give each one thread, because what
a step prints is captured for its process.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg
import distributed  # here, so that its absence is told when the executor is chosen
from dagster._core.definitions.executor_definition import multiple_process_executor_requirements
from dagster._core.events import DagsterEvent, EngineEventData
from dagster._core.execution.retries import RetryMode, get_retries_config
from dagster._core.execution.stats import StepEventStatus
from dagster._core.execution.tags import get_tag_concurrency_limits_config
from dagster._core.executor.step_delegating import CheckStepHealthResult, StepDelegatingExecutor, StepHandler, StepHandlerContext
from dagster._grpc.types import ExecuteStepArgs
from dagster._serdes import deserialize_value, serialize_value

if TYPE_CHECKING:
    from dagster._core.executor.base import Executor
    from dagster._core.executor.init import InitExecutorContext

HEALTH_CHECK_SECONDS = 5


@dg.executor(
    name="dask",
    config_schema={
        "address": dg.Field(dg.Noneable(dg.StringSource), default_value=None, description="The scheduler; without it, local processes are started."),
        "workers": dg.Field(int, default_value=2, description="Local processes, where there is no address."),
        "max_concurrent": dg.Field(dg.Noneable(int), default_value=None, description="Steps of a run at once."),
        "retries": get_retries_config(),  # type: ignore[no-untyped-call]
        "tag_concurrency_limits": get_tag_concurrency_limits_config(),  # type: ignore[no-untyped-call]
    },
    requirements=multiple_process_executor_requirements(),
)
def dask_executor(context: InitExecutorContext) -> Executor:
    """The executor that `executors.EXECUTORS` names."""
    config: Any = context.executor_config
    return StepDelegatingExecutor(
        DaskStepHandler(config["address"], config["workers"]),
        retries=RetryMode.from_config(config["retries"]) or RetryMode.ENABLED,
        max_concurrent=config["max_concurrent"],
        tag_concurrency_limits=config.get("tag_concurrency_limits"),
        check_step_health_interval_seconds=HEALTH_CHECK_SECONDS,
        should_verify_step=False,  # a step whose worker died is started a second time
    )


class DaskStepHandler(StepHandler):
    """Submits steps, and tells what has become of them."""

    def __init__(self, address: str | None, workers: int) -> None:
        super().__init__()
        self._address, self._workers = address, workers
        self._client: Any = None  # the functions of `distributed` have no types
        self._futures: dict[str, Any] = {}
        self._outcomes: dict[str, str] = {}

    @property
    def name(self) -> str:
        return "DaskStepHandler"

    def launch_step(self, step_handler_context: StepHandlerContext) -> Iterator[DagsterEvent]:
        args, step = step_handler_context.execute_step_args, _step(step_handler_context)
        yield DagsterEvent.step_worker_starting(step_handler_context.get_step_context(step), message=f"Giving {step} to Dask.", metadata={})
        future = self._connected().submit(_execute, serialize_value(args), key=_key(args, step), pure=False)
        self._futures[step], self._outcomes[step] = future, ""
        future.add_done_callback(lambda done: self._ended(step, done))

    def check_step_health(self, step_handler_context: StepHandlerContext) -> CheckStepHealthResult:
        problem = self._outcomes.get(_step(step_handler_context), "Dask knows nothing of the step.")
        return CheckStepHealthResult.unhealthy(problem) if problem else CheckStepHealthResult.healthy()

    def terminate_step(self, step_handler_context: StepHandlerContext) -> Iterator[DagsterEvent]:
        """A thread cannot be stopped, so the worker that runs the step is restarted."""
        step, client = _step(step_handler_context), self._connected()
        future = self._futures.pop(step, None)
        if future is None:
            return
        yield DagsterEvent.engine_event(step_handler_context.get_step_context(step), f"Stopping {step}.", EngineEventData())
        at = [worker for worker, keys in client.processing().items() if future.key in keys]
        future.cancel()
        client.restart_workers(at, raise_for_error=False)

    def _ended(self, step: str, future: Any) -> None:
        """Lets the future go: Dask does again what a worker had done that dies, as long as somebody holds the result."""
        self._futures.pop(step, None)
        if future.status == "error":
            # Its message may quote data; what the step could tell is in the event log.
            self._outcomes[step] = f"The step failed on its worker: {type(future.exception()).__name__}."
        elif future.status != "finished":
            self._outcomes[step] = f"Dask has {future.status} the step."

    def _connected(self) -> Any:
        if self._client is None:
            local = {"n_workers": self._workers, "threads_per_worker": 1, "dashboard_address": None}
            self._client = distributed.Client(self._address) if self._address else distributed.Client(**local)  # type: ignore[no-untyped-call]
        return self._client


def _execute(packed: str) -> None:
    """Executes a step on a worker; its events go into the log that the run reads."""
    from dagster._cli.api import _execute_step_command_body

    args = deserialize_value(packed, ExecuteStepArgs)
    with dg.DagsterInstance.from_ref(args.instance_ref) if args.instance_ref else dg.DagsterInstance.get() as instance:
        run = instance.get_run_by_id(args.run_id)
        assert run is not None, "the run is in the log before its steps are"
        stats = instance.get_run_step_stats(args.run_id, args.step_keys_to_execute)
        if any(s.status is StepEventStatus.SUCCESS for s in stats):
            return  # its worker died between the end of the step and telling so
        for _ in _execute_step_command_body(args, instance, run):
            pass


def _step(context: StepHandlerContext) -> str:
    (step,) = context.execute_step_args.step_keys_to_execute or ()
    return step


def _key(args: ExecuteStepArgs, step: str) -> str:
    attempt = args.known_state.get_retry_state().get_attempt_count(step) if args.known_state else 0
    return f"{args.run_id}-{step}-{attempt}"
