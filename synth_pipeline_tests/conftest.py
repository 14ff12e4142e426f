"""Fixtures that several rooms share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("SYNTH_SHARED", Path(__file__).resolve().parents[2] / "shared"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real databases beside the checkout."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip(f"the real databases are not here: {folder} (set SYNTH_SHARED to a folder that has data/)")
    return folder


@pytest.fixture(scope="session")
def shared_tools() -> Path:
    """The folder of independent scoring scripts beside the checkout."""
    folder = SHARED / "tools"
    if not folder.is_dir():
        pytest.skip(f"the scoring scripts are not here: {folder} (set SYNTH_SHARED to a folder that has tools/)")
    return folder
