"""Two runs of one source do not interleave, and a killed run leaves no lock."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from synth_pipeline.errors import ArtifactError, UsageError
from synth_pipeline.locking import source_lock

HOLD = """
import sys, time
from pathlib import Path
from synth_pipeline.locking import source_lock
with source_lock(Path(sys.argv[1]), "shop"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_run_is_refused_with_the_process_that_holds_the_lock(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None and other.stdout.readline() == "held\n"
    with pytest.raises(UsageError, match=rf"Another run of shop is under way in .* \(process {other.pid}\)"), source_lock(tmp_path, "shop"):
        pass
    with source_lock(tmp_path, "another"):  # other sources are free
        pass
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    other.stdout.close()
    with source_lock(tmp_path, "shop"):
        pass


def test_the_lock_is_free_again_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), source_lock(tmp_path, "shop"):
        raise RuntimeError
    with source_lock(tmp_path, "shop"):
        pass


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtifactError, match="cannot be written"), source_lock(tmp_path / "file", "shop"):
        pass
