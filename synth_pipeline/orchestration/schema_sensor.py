"""The sensor that asks for a refresh when a source's schema is no longer the one that it was refreshed from.

One sensor sweeps all sources, reading catalogues only, within a time budget and from where the last sweep stopped. What
was seen first is recorded and asks for nothing. A database that does not answer has not changed; where all were asked and
none answers, the sensor fails, for then the fault is likely here. A failed refresh is asked for again, `ATTEMPTS` times in all.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import dagster as dg

from synth_pipeline import pipeline
from synth_pipeline.errors import SynthPipelineError, UnreachableError
from synth_pipeline.orchestration.history import last_refresh, observed
from synth_pipeline.orchestration.resources import Sources
from synth_pipeline.orchestration.sweep import Sweeper

ATTEMPTS = 2
BUDGET = 40.0
REQUEST_TAG = "synth_pipeline/schema_request"

_UNDER_WAY = (
    dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.MANAGED,
)  # fmt: skip


@dataclass(frozen=True)
class SourceState:
    """What the cursor holds of one source.

    Attributes:
        baseline: the fingerprint at first sight, compared with until there is a complete refresh.
        asked: the fingerprint that the last request was for.
        sequence: number of changes asked for so far. Dagster remembers a run key for ever, so that a schema which
            returns to an earlier state needs a new one.
        attempt: requests made for `asked`.
    """

    baseline: str | None = None
    asked: str | None = None
    sequence: int = 0
    attempt: int = 0


@dataclass
class Cursor:
    """What the sensor remembers between sweeps: the source to begin with, and the state of each."""

    start: str | None = None
    sources: dict[str, SourceState] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str | None) -> Cursor:
        payload = json.loads(text) if text else {}
        return cls(payload.get("start"), {name: SourceState(**state) for name, state in payload.get("sources", {}).items()})

    def dump(self) -> str:
        return json.dumps(dataclasses.asdict(self), sort_keys=True)


RequestStatus = Literal["none", "under way", "ended"]


def decide(
    state: SourceState, seen: str, refreshed_from: str | None, request: Callable[[SourceState], RequestStatus]
) -> tuple[SourceState, Literal["ask", "wait", "same", "first sight", "given up"]]:
    """What to do about a source, and its next state.

    Args:
        state: what the cursor holds.
        seen: the fingerprint of its schema now.
        refreshed_from: the fingerprint of its last complete refresh; None where there was none.
        request: what became of the run that the state's last request asked for.
    """
    known = refreshed_from or state.baseline
    if known is None:
        return dataclasses.replace(state, baseline=seen), "first sight"
    if seen == known:
        return dataclasses.replace(state, baseline=state.baseline or seen, asked=None, attempt=0), "same"
    if seen != state.asked:
        return dataclasses.replace(state, asked=seen, sequence=state.sequence + 1, attempt=1), "ask"
    status = request(state)
    if status == "none":
        return state, "ask"  # the request was lost before its run existed; the same run key keeps it single
    if status == "under way":
        return state, "wait"
    if state.attempt >= ATTEMPTS:
        return state, "given up"
    return dataclasses.replace(state, attempt=state.attempt + 1), "ask"


def run_key(source: str, state: SourceState) -> str:
    """The run key of a state's last request."""
    return f"{source}:{state.sequence}:{state.attempt}"


def rotated(names: Sequence[str], start: str | None) -> list[str]:
    """The names from `start` on, around."""
    at = names.index(start) if start in names else 0
    return [*names[at:], *names[:at]]


def build_schema_sensor(
    names: list[str], job: Any, status: dg.DefaultSensorStatus, *, interval: int = 300, budget: float = BUDGET
) -> dg.SensorDefinition:
    """The sensor over the given sources; `interval` is the least time between two sweeps, in seconds, `budget` that of one sweep."""
    sweeper: dict[str, Sweeper[tuple[Any, str | None]]] = {}

    @dg.sensor(
        name="schema_changes", job=job, minimum_interval_seconds=interval, default_status=status,
        description="Reads the catalogue of every source and refreshes those whose schema is no longer the one they were refreshed from.",
    )  # fmt: skip
    def schema_changes(context: dg.SensorEvaluationContext, sources: Sources) -> dg.SensorResult:
        def look(name: str) -> tuple[Any, str | None]:
            config = sources.load(name)
            return config, pipeline.declared(config) if config.refresh.on_schema_change else None

        def request(state: SourceState, name: str) -> RequestStatus:
            found = context.instance.get_run_records(dg.RunsFilter(tags={REQUEST_TAG: run_key(name, state)}), limit=1)
            if not found:
                return "none"
            return "under way" if found[0].dagster_run.status in _UNDER_WAY else "ended"

        cursor = Cursor.parse(context.cursor)
        # One sweeper for the life of the code server: it remembers who hangs.
        swept = sweeper.setdefault("only", Sweeper(look)).sweep(rotated(names, cursor.start), budget)
        failed = {name: _problem(e) for name, e in swept.errors.items()} | dict.fromkeys(swept.silent, f"no answer within {budget:g} s")
        # A failed sensor keeps its cursor, so it must not fail where others are left: they would never be asked.
        if failed and not swept.answers and not swept.left:
            raise dg.Failure(description=f"None of the sources answers: {_listed(failed)}", allow_retries=False)
        requests: list[dg.RunRequest] = []
        events: list[dg.AssetObservation] = []
        said: dict[str, list[str]] = {}
        for name, (config, seen) in sorted(swept.answers.items()):
            if seen is None:
                continue
            refresh = last_refresh(context.instance, config)
            state = cursor.sources.get(name, SourceState())
            refreshed_from = (refresh.fingerprint or None) if refresh else None
            state, verdict = decide(state, seen, refreshed_from, lambda s, name=name: request(s, name))  # type: ignore[misc]
            cursor.sources[name] = state
            said.setdefault(verdict, []).append(name)
            events.append(observed(name, seen))
            if verdict == "ask":
                key = run_key(name, state)
                requests.append(dg.RunRequest(run_key=key, partition_key=name, tags={REQUEST_TAG: key}))
        cursor.sources = {n: s for n, s in cursor.sources.items() if n in names}
        cursor.start = swept.left[0] if swept.left else None
        summary = "; ".join(f"{verdict}: {', '.join(found)}" for verdict, found in sorted(said.items()))
        summary = summary or ("nothing to watch" if swept.answers else "none answered")
        if failed:
            summary += f"; not read: {_listed(failed)}"
            context.log.warning("Not read: %s", _listed(failed))
        if swept.left:
            summary += f"; {len(swept.left)} left for the next sweep"
        return dg.SensorResult(run_requests=requests, skip_reason=None if requests else summary, cursor=cursor.dump(), asset_events=events)

    return schema_changes


def _problem(error: Exception) -> str:
    """One line; the message of a driver, which may quote data, is left out."""
    if isinstance(error, UnreachableError):
        return f"unreachable ({error.problem})"
    return str(error) if isinstance(error, SynthPipelineError) else type(error).__name__


def _listed(failed: dict[str, str]) -> str:
    lines = [f"{name}: {problem}" for name, problem in sorted(failed.items())]
    return "; ".join(lines[:20]) + (f"; … and {len(lines) - 20} more" if len(lines) > 20 else "")
