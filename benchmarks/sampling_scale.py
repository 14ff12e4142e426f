"""Sampling many times the demo's size: rows per second and peak memory, by scale and by number of processes.

python -m benchmarks.sampling_scale [--scales 1 4 10 40] [--workers 1 2] [--folder DIR]

Every line is a process of its own. Memory is the peak of the process plus the peak of its largest worker times the number of
workers; seconds are from a loaded synthesizer to a finished bundle on disk; CPU seconds are those of all processes together.
"""

from __future__ import annotations

import argparse
import os
import pickle
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

UNIT = 1024 if sys.platform == "linux" else 2**20


def prepare(folder: Path) -> None:
    """Learns the demo, once."""
    from synth_pipeline import demo, pipeline
    from synth_pipeline.config import SourceConfig

    if (folder / "schema.pkl").exists():
        return
    demo.build(folder / "telecom.db")
    config = SourceConfig.model_validate({"name": "telecom", "source": {"url": f"sqlite:///{folder}/telecom.db"}})
    reflected = pipeline.reflect(config)
    metadata = pipeline.infer(config, reflected)
    working = pipeline.working_schema(config, reflected, metadata)
    (folder / "subset").mkdir()
    (folder / "fit").mkdir()
    subset = pipeline.subset(config, working, metadata, folder / "subset")
    start = time.perf_counter()
    pipeline.fit(config, working, metadata, subset, folder / "fit")
    print(f"fitted in {time.perf_counter() - start:.1f} s", flush=True)
    (folder / "schema.pkl").write_bytes(pickle.dumps(working))


def sample(folder: Path, scale: float, workers: int) -> None:
    """One line of the table."""
    from synth_pipeline.artifacts import BundleWriter, TableBundle
    from synth_pipeline.progress import Silent
    from synth_pipeline.stored import load_fitted
    from synth_pipeline.synthesis.base import SampleRequest
    from synth_pipeline.synthesis.parallel import Workers

    schema = pickle.loads((folder / "schema.pkl").read_bytes())
    fitted = load_fitted(folder / "fit")
    with tempfile.TemporaryDirectory(dir=folder) as out:
        start = time.perf_counter()
        with BundleWriter(out, schema) as writer:
            fitted.sample(SampleRequest(scale=scale, seed=1, workers=Workers(workers)), writer, Silent())
        seconds = time.perf_counter() - start
        bundle = TableBundle.open(out)
    if workers > 1:
        from joblib.externals.loky import get_reusable_executor

        get_reusable_executor().shutdown(wait=True)
    own, others = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    memory = (own.ru_maxrss + (workers * others.ru_maxrss if workers > 1 else 0)) / UNIT
    cpu = own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime
    rows = bundle.total_rows
    speed = rows / seconds
    print(f"{scale:>6g}{workers:>9}{rows:>12,}{seconds:>9.1f}{speed:>11,.0f}{cpu:>9.1f}{memory:>7.0f}  {bundle.content_hash[:12]}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scales", nargs="+", type=float, default=[1, 4, 10, 40])
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--folder", type=Path, help="keeps the fitted synthesizer there, or finds it")
    parser.add_argument("--one", nargs=2, metavar=("SCALE", "WORKERS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if options.one:
        sample(options.folder, float(options.one[0]), int(options.one[1]))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(exist_ok=True)
        prepare(folder)
        print(f"{'scale':>6}{'workers':>9}{'rows':>12}{'seconds':>9}{'rows/s':>11}{'CPU s':>9}{'MiB':>7}  content")
        for workers in options.workers:
            for scale in options.scales:
                command = [sys.executable, "-m", "benchmarks.sampling_scale", "--folder", str(folder), "--one", str(scale), str(workers)]
                subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
