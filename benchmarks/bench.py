"""Speed and quality of the whole pipeline: `make bench` runs the demo, `ARGS="file.db …"` other SQLite databases.

One line per database: rows, seconds per stage, peak memory, quality, integrity, and the largest share of a table that
lies nearer to training rows than to rows held out (0.5 is none the wiser).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from synth_pipeline import demo
from synth_pipeline.artifacts import CLI_STAGES

STAGES = tuple(CLI_STAGES.values())


def measured(database: Path, folder: Path) -> tuple[dict[str, object], float]:
    """The summary of one run in a process of its own, and its peak memory in MiB."""
    config = folder / f"{database.stem}.yaml"
    config.write_text(json.dumps({"source": {"url": f"sqlite:///{database.resolve()}"}, "export": {"url": f"sqlite:///{folder}/out.db"}}))
    command = [sys.executable, "-m", "synth_pipeline", "run", str(config), "--artifacts", str(folder / "artifacts"), "--json", "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return json.loads(output), usage.ru_maxrss / (1024 if sys.platform == "linux" else 2**20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("databases", nargs="*", type=Path, help="SQLite files; the demo where none is named")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        databases = options.databases
        if not databases:
            demo.build(folder / "telecom.db")
            databases = [folder / "telecom.db"]
        print(f"{'database':<18}{'rows':>9}" + "".join(f"{s:>9}" for s in STAGES) + f"{'total':>9}{'MiB':>7}{'quality':>9}{'rules':>11}{'nearer':>8}")
        for database in databases:
            summary, memory = measured(database, folder)
            if "error" in summary:
                print(f"{database.stem:<18}{summary['error']}")
                continue
            seconds = {s["stage"]: s["seconds"] for s in summary["stages"]}
            rules, privacy = summary["integrity"], summary["privacy"] or {}
            nearer = privacy.get("nearer_max")
            print(
                f"{database.stem[:17]:<18}{sum(t['synthetic'] for t in summary['tables']):>9,}"
                + "".join(f"{seconds.get(s, 0):>9.1f}" for s in STAGES)
                + f"{summary['seconds']:>9.1f}{memory:>7.0f}{summary['quality'] or 0:>9.3f}"
                + f"{rules['rules'] - rules['broken']:>6}/{rules['rules']:<4}{'–' if nearer is None else format(nearer, '.3f'):>8}",
                flush=True,
            )


if __name__ == "__main__":
    main()
