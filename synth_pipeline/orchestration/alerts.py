"""Telling people that a run failed: one JSON message to the address in SYNTH_PIPELINE_WEBHOOK.

The message has the field `text` that Slack, Mattermost and Teams workflows show, and fields of its own for programs. It
holds what the event log holds already: no secret and no value of a source.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from typing import Any

import dagster as dg

from synth_pipeline.orchestration.settings import WEBHOOK

TIMEOUT = 10.0
_LONGEST = 500


def message(run: dg.DagsterRun, problem: str, ui_url: str | None) -> dict[str, Any]:
    """What is posted about a failed run."""
    source = run.tags.get("dagster/partition")
    link = f"{ui_url}/runs/{run.run_id}" if ui_url else None
    text = f"Refreshing {source or run.job_name} failed: {problem}" + (f" {link}" if link else "")
    return {"text": text, "source": source, "job": run.job_name, "run_id": run.run_id, "problem": problem, "url": link}


def post(address: str, payload: dict[str, Any]) -> None:
    """Posts JSON.

    Raises:
        RuntimeError: it was not taken; the address, which is a secret, is not named.
    """
    try:
        request = urllib.request.Request(address, json.dumps(payload).encode(), {"Content-Type": "application/json"}, method="POST")
        with urllib.request.urlopen(request, timeout=TIMEOUT):
            pass
    except urllib.error.HTTPError as e:
        raise RuntimeError(f"The webhook of {WEBHOOK} answered {e.code}.") from None
    except (OSError, ValueError) as e:
        raise RuntimeError(f"The webhook of {WEBHOOK} could not be reached ({type(e).__name__}).") from None


def build_failure_sensor(status: dg.DefaultSensorStatus, ui_url: str | None) -> dg.SensorDefinition:
    """The sensor that posts a message for every run of this code location that fails."""

    @dg.run_failure_sensor(
        name="failed_runs", default_status=status, minimum_interval_seconds=30,
        description=f"Posts a message for every failed run to the address in {WEBHOOK}.",
    )  # fmt: skip
    def failed_runs(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
        address = os.environ.get(WEBHOOK)
        if not address:
            return dg.SkipReason(f"{WEBHOOK} is not set.")
        steps = [e.step_failure_data for e in context.get_step_failure_events()]
        problems = [d.user_failure_data.description for d in steps if d.user_failure_data and d.user_failure_data.description]
        problem = (problems or [context.failure_event.message or "no reason is recorded"])[0]
        post(address, message(context.dagster_run, problem[:_LONGEST], ui_url))
        return None

    return failed_runs
