"""Many synthetic databases from one fitted synthesizer: each has a name and a line in the log, and an earlier one can be exported."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from synth_pipeline import pipeline
from synth_pipeline.artifacts import ArtifactStore
from synth_pipeline.config import overridden
from synth_pipeline.config_files import load_config
from synth_pipeline.errors import ArtifactError, UsageError
from synth_pipeline_tests.orchestration.conftest import Place


def _command(place: Place, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "synth_pipeline", *arguments, "--configs", str(place.settings.configs), "--artifacts", place.settings.artifacts]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_from_one_synthesizer(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.add("shop", rows=60)
    config, store = load_config("shop", place.settings.configs), ArtifactStore(place.settings.artifacts, keep=3)
    pipeline.run(config, store, last="fit")
    assert "no synthetic database was made yet" in _command(place, "generations", "shop").stdout

    for seed, name, scale in ((1, "sprint 1", 1.0), (2, "sprint 2", 0.5), (1, "sprint 1 again", 1.0)):
        pipeline.run(overridden(config, seed=seed, scale=scale, identifier=name), store, first="sample", last="sample")
    made = json.loads(_command(place, "generations", "shop", "--json").stdout)
    assert [(g["identifier"], g["seed"], g["scale"], g["rows"], g["kept"]) for g in made] == [
        ("sprint 1 again", 1, 1.0, 80, True), ("sprint 2", 2, 0.5, 40, True), ("sprint 1", 1, 1.0, 80, True),
    ]  # fmt: skip
    again, second, first = (g["content_hash"] for g in made)
    assert again == first != second and len({g["subset"] for g in made}) == 1

    pipeline.run(config, store, first="export", generation="sprint 2")
    with closing(sqlite3.connect(place.target("shop"))) as target:
        assert target.execute("SELECT count(*) FROM purchase").fetchone() == (30,)
    with pytest.raises(ArtifactError, match="no generation 'sprint 9'"):
        pipeline.run(config, store, first="export", generation="sprint 9")
    with pytest.raises(UsageError, match="not made"):
        pipeline.run(config, store, first="sample", generation="sprint 2")

    done = _command(place, "sample", "shop", "--identifier", "by hand", "--keep", "1", "--quiet")
    assert done.returncode == 0, done.stderr
    lines = _command(place, "generations", "shop", "--limit", "2").stdout.splitlines()
    assert len(lines) == 3 and "by hand" in lines[1] and lines[1].endswith("yes") and "sprint 1 again" in lines[2] and lines[2].endswith("no")
    done = _command(place, "export", "shop", "--generation", "sprint 2")
    assert done.returncode == 2 and "no longer kept" in done.stderr and "--seed 2 --scale 0.5" in done.stderr
