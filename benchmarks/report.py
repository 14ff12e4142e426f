"""The report on the telecom demo against itself: seconds, peak memory, size of the page; SDMetrics' QualityReport as a peer.

Each runs in a process of its own, and the times hold what it imports. `ARGS="file.db …"` measures other SQLite databases.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from synth_pipeline import demo

PEER = """
import sys
from pathlib import Path
from synth_pipeline.connectors import connect
from synth_pipeline.metadata.infer import infer
from synth_pipeline.metadata.sdv import to_sdv
connector = connect(sys.argv[1])
schema = connector.reflect()
metadata, _ = to_sdv(infer(schema, [connector.profile(t) for t in schema.tables]))
with connector.snapshot() as snapshot:
    import pyarrow as pa
    tables = {t.id: pa.Table.from_batches(list(snapshot.rows(t))).to_pandas() for t in schema.tables}
from sdmetrics.reports.multi_table import QualityReport
report = QualityReport()
report.generate(tables, tables, metadata, verbose=False)
"""


def measured(*command: str) -> tuple[float, float]:
    """Seconds and peak memory in MiB of a process."""
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return time.perf_counter() - start, usage.ru_maxrss / (1024 if sys.platform == "linux" else 2**20)


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
        print(f"{'database':<18}{'what':<24}{'seconds':>9}{'MiB':>7}{'page kB':>9}")
        for database in databases:
            url, out = f"sqlite:///{database.resolve()}", folder / "report"
            command = (sys.executable, "-m", "synth_pipeline", "report", "--real", url, "--synthetic", url, "--out", str(out), "--quiet")
            seconds, memory = measured(*command)
            page = (out / "report.html").stat().st_size / 1e3
            print(f"{database.stem[:17]:<18}{'reading and report':<24}{seconds:>9.1f}{memory:>7.0f}{page:>9.0f}", flush=True)
            seconds, memory = measured(sys.executable, "-c", PEER, url)
            print(f"{'':<18}{'SDMetrics QualityReport':<24}{seconds:>9.1f}{memory:>7.0f}{'–':>9}", flush=True)


if __name__ == "__main__":
    main()
