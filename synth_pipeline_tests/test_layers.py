"""The architecture as tests: imports point down, heavy libraries stay unloaded, only orchestration knows Dagster."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "sdv", "sdmetrics", "great_expectations", "sklearn")


def loaded_by(statement: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded after a statement."""
    code = f"import sys; {statement}; print(' '.join(sorted({{m.split('.')[0] for m in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split("\n")[-2].split())


def test_imports_point_down_and_only_orchestration_knows_dagster() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()", "--no-cache"],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize("module", ["synth_pipeline.cli", "synth_pipeline.definitions", "synth_pipeline.pipeline", "synth_pipeline"])
def test_importing_it_loads_no_heavy_library(module: str) -> None:
    assert not loaded_by(f"import {module}") & set(HEAVY)


def test_help_needs_nothing_but_the_standard_library() -> None:
    loaded = loaded_by("import synth_pipeline.cli as c\ntry: c.main(['--help'])\nexcept SystemExit: pass\nNone")
    assert not loaded & {*HEAVY, "pydantic", "yaml", "rich", "numpy", "pandas", "pyarrow", "sqlalchemy", "dagster"}


def test_modules_below_orchestration_do_not_load_dagster() -> None:
    assert "dagster" not in loaded_by("import synth_pipeline.pipeline, synth_pipeline.cli, synth_pipeline.notebook")


def test_every_module_says_what_it_is_for() -> None:
    for path in sorted((ROOT / "synth_pipeline").rglob("*.py")):
        assert path.read_text(encoding="utf-8").startswith(('"""', 'r"""')), f"{path} has no docstring on top"
