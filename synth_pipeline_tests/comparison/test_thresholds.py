"""Thresholds of a configuration and the exit code of the command line, for whole runs and for the report alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from synth_pipeline_tests.comparison.clients import build, called


def synth_pipeline(folder: Path, *arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "synth_pipeline", *arguments, "--quiet"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=os.environ)
    return done.returncode, done.stdout + done.stderr


def test_missed_thresholds_are_exit_code_1_where_their_severity_is_error(tmp_path: Path) -> None:
    """Preserved clients repeat their own addresses, which a threshold of privacy does not let through."""
    url = build(tmp_path / "crm.db", 1, clients=60)
    (tmp_path / "configs").mkdir()
    file = tmp_path / "configs" / "crm.yaml"
    source = f'source: {{url: "{url}"}}\nexport: {{url: "sqlite:///out.db"}}\ntables: {{preserve: [client]}}\n'
    file.write_text(source + "checks: {privacy_max_nearer: 1.0, severity: error}\n")
    code, said = synth_pipeline(tmp_path, "run", "crm")
    assert code == 1 and "repeat a personal value of the source" in said and not (tmp_path / "out.db").exists()
    for checks, expected in (
        ("{quality_min: 1.0, severity: error}", 1), ("{quality_min: 1.0, severity: warn}", 0), ("{quality_min: 0.01, severity: error}", 0),
    ):  # fmt: skip
        file.write_text(f"{source}checks: {checks}\n")
        code, said = called(tmp_path, "report", "crm")
        assert code == expected, said
        assert ("is below quality_min 1" in said) is ("1.0" in checks)


@pytest.mark.parametrize("value", ["1.5", "x", "-0.1"])
def test_thresholds_on_the_command_line_are_shares(tmp_path: Path, value: str) -> None:
    code, said = called(tmp_path, "report", "--quality-min", value)
    assert code == 2 and "is no number from 0 to 1" in said
