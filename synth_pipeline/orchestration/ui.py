"""Opens the Dagster UI on this machine: `python -m synth_pipeline.orchestration.ui`, which is what `make ui` runs.

It keeps Dagster's own records in .dagster/ of the working directory and serves the reports beside the UI. Deployments use
the files in docker/ instead.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

from synth_pipeline.orchestration.reports import server
from synth_pipeline.orchestration.settings import REPORTS_URL, UI_URL, Settings

INSTANCE = """\
# Dagster on one machine: its records are in this folder.
telemetry:
  enabled: false
nux:
  enabled: false
concurrency:
  runs:
    max_concurrent_runs: 2
    tag_concurrency_limits:
      # A source is refreshed by one run at a time.
      - key: dagster/partition
        value: {applyLimitPerUniqueValue: true}
        limit: 1
run_monitoring:
  enabled: true
  # Without this, a run that was cancelled or killed keeps its slots in the pools.
  free_slots_after_run_end_seconds: 60
retention:
  schedule:
    purge_after_days: {skipped: 1, success: 30, failure: 30}
  sensor:
    purge_after_days: {skipped: 1, success: 30, failure: 30}
"""


def prepare(home: Path) -> None:
    """Makes the folder of Dagster's records with its settings; settings that are there are kept."""
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists():
        (home / "dagster.yaml").write_text(INSTANCE, encoding="utf-8")


def main() -> int:
    """The command line of this module; returns the exit code of `dagster dev`."""
    parser = argparse.ArgumentParser(description="Opens the Dagster UI.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=3000)
    parser.add_argument("--reports-port", type=int, default=0, help="port of the reports (default: a free one)")
    options = parser.parse_args()
    settings = Settings.from_environment()
    home = Path(os.environ.get("DAGSTER_HOME") or ".dagster").absolute()
    prepare(home)
    shown = "localhost" if options.host in ("127.0.0.1", "0.0.0.0") else options.host
    with server(settings.artifacts, options.host, options.reports_port) as reports:
        threading.Thread(target=reports.serve_forever, daemon=True).start()
        environment = {
            **os.environ, "DAGSTER_HOME": str(home), UI_URL: f"http://{shown}:{options.port}",
            REPORTS_URL: os.environ.get(REPORTS_URL) or f"http://{shown}:{reports.server_address[1]}",
        }  # fmt: skip
        print(f"UI: {environment[UI_URL]}/asset-groups   reports: {environment[REPORTS_URL]}   stop with Ctrl-C", flush=True)  # noqa: T201
        dagster = shutil.which("dagster", path=str(Path(sys.executable).parent)) or "dagster"
        command = [dagster, "dev", "-w", "workspace.yaml", "-h", options.host, "-p", str(options.port)]
        # A shell starts what runs in the background with SIGINT ignored, by which `dagster dev` stops its services.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        process = subprocess.Popen(command, env=environment)
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        try:
            return process.wait()
        except KeyboardInterrupt:
            return process.wait()


if __name__ == "__main__":
    sys.exit(main())
