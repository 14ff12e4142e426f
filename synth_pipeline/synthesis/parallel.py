"""Independent pieces of work in other processes, through joblib: of this machine (loky), of a dask or of a ray cluster.

Results come in the order of the pieces, whoever was quicker; pieces of a process that died are worked on again. What the
pieces are does not belong here. A function that is called in this way must give the same result wherever and whenever it runs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from synth_pipeline.errors import MissingExtraError, SynthesisError, UnreachableError

logger = logging.getLogger(__name__)

Backend = Literal["loky", "dask", "ray"]
Given = TypeVar("Given")
Piece = TypeVar("Piece")
Result = TypeVar("Result")
_AHEAD = 4
"""Pieces under way per process: bounds the finished ones that wait for a slow one before them."""
_DEATHS = 5
"""So many deaths of processes without any result in between are no accident."""


@dataclass(frozen=True)
class Workers:
    """Who does the work.

    Attributes:
        count: processes; a cluster that is named has as many as it has.
        backend: joblib's name of where they run.
        address: of the scheduler of a dask, or of the head of a ray cluster; None starts one on this machine.
    """

    count: int = 1
    backend: Backend = "loky"
    address: str | None = None


def in_order(function: Callable[[Given, Piece], Result], given: Given, pieces: Sequence[Piece], workers: Workers) -> Iterator[Result]:
    """`function(given, piece)` for every piece, in order; `given` travels once to each process where the backend can do that.

    Raises:
        MissingExtraError: the backend's package is not installed.
        UnreachableError: there is no cluster at the address.
        SynthesisError: processes die again and again.
    """
    if workers.backend == "loky" and (workers.count == 1 or len(pieces) < 2):
        yield from (function(given, piece) for piece in pieces)
        return
    with _backend(workers, given) as processes:
        done = deaths = 0
        while done < len(pieces):
            try:
                for result in _window(function, given, pieces[done : done + _AHEAD * processes], processes, workers.backend):
                    deaths = 0
                    done += 1
                    yield result
            except _deadly(workers) as e:
                deaths += 1
                logger.warning("a worker process died (%s); its work is done again", type(e).__name__)
                if deaths == _DEATHS:
                    raise SynthesisError(
                        "Worker processes die again and again.", "They may lack memory: use fewer workers, or smaller shards (sample.shard_rows)."
                    ) from None


def _window(
    function: Callable[[Given, Piece], Result], given: Given, pieces: Sequence[Piece], processes: int, backend: Backend
) -> Iterator[Result]:
    from joblib import Parallel, delayed

    kind = "list" if backend == "ray" else "generator"  # ray's joblib backend has no generators
    yield from Parallel(n_jobs=processes, return_as=kind, batch_size=1, pre_dispatch="all")(delayed(function)(given, p) for p in pieces)


@contextmanager
def _backend(workers: Workers, given: object) -> Iterator[int]:
    """Makes joblib use the backend; yields the number of its processes."""
    from joblib import parallel_config

    with ExitStack() as stack:
        if workers.backend == "dask":
            client = stack.enter_context(_dask(workers))
            stack.enter_context(parallel_config(backend="dask", client=client, scatter=[given], wait_for_workers_timeout=60))
            yield max(1, sum(client.ncores().values()))
        elif workers.backend == "ray":
            _ray(workers)
            stack.enter_context(parallel_config(backend="ray", n_jobs=workers.count))
            yield workers.count
        else:
            # Processes of their own: none of them starts threads for linear algebra.
            stack.enter_context(parallel_config(backend="loky", n_jobs=workers.count, inner_max_num_threads=1))
            yield workers.count


@contextmanager
def _dask(workers: Workers) -> Iterator[Any]:
    try:
        import distributed
    except ImportError:
        raise MissingExtraError("distributed", "dask", "a dask cluster") from None
    dask: Any = distributed  # its signatures are not typed
    with ExitStack() as stack:
        if workers.address is None:
            try:
                yield dask.get_client()  # the caller's own
                return
            except ValueError:
                cluster = dask.LocalCluster(n_workers=workers.count, threads_per_worker=1, processes=True, dashboard_address=None)
                stack.enter_context(cluster)
                yield stack.enter_context(dask.Client(cluster, set_as_default=False))
                return
        try:
            client = dask.Client(workers.address, set_as_default=False, timeout=10)
        except (OSError, ValueError) as e:
            raise UnreachableError(f"There is no dask scheduler at {workers.address}: {type(e).__name__}.", "Check `synthesizer.address`.") from None
        yield stack.enter_context(client)


def _ray(workers: Workers) -> None:
    try:
        import ray
        from ray.util import joblib as ray_joblib
    except ImportError:
        raise MissingExtraError("ray", "ray", "a ray cluster") from None
    register: Any = ray_joblib.register_ray
    if not ray.is_initialized():
        try:
            own: dict[str, Any] = {"num_cpus": workers.count, "include_dashboard": False} if workers.address is None else {}
            ray.init(address=workers.address, log_to_driver=False, **own)
        except (ConnectionError, ValueError) as e:
            raise UnreachableError(f"There is no ray cluster at {workers.address}: {type(e).__name__}.", "Check `synthesizer.address`.") from None
    register()


def _deadly(workers: Workers) -> tuple[type[BaseException], ...]:
    """What is raised here when a process died there."""
    from concurrent.futures import CancelledError
    from concurrent.futures.process import BrokenProcessPool

    from joblib.externals.loky.process_executor import TerminatedWorkerError

    found: list[type[BaseException]] = [TerminatedWorkerError, BrokenProcessPool, CancelledError]
    if workers.backend == "dask":
        import asyncio

        import distributed

        found += [distributed.KilledWorker, asyncio.CancelledError]
    elif workers.backend == "ray":
        import ray

        found.append(ray.exceptions.WorkerCrashedError)
    return tuple(found)


