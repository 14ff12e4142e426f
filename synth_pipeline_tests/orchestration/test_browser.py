"""A person's path through the UI, in Chromium over what `make ui` starts: from the graph to the report of a finished run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from synth_pipeline_tests.orchestration.conftest import Place
from synth_pipeline_tests.waiting import free_port, until

ROOT = Path(__file__).parents[2]
PATIENCE = 240_000
"""Milliseconds: a run on a busy machine."""


@pytest.fixture
def address(place: Place) -> Iterator[str]:
    """The UI of a deployment with two sources, started by the command of the Makefile in a folder of its own."""
    place.add("shop", rows=60)
    place.add("crm", rows=30)
    (place.root / "workspace.yaml").write_text((ROOT / "workspace.yaml").read_text())
    (command,) = re.findall(r"^\t\$\(BIN\)/python (-m synth_pipeline\.orchestration\.ui) \$\(ARGS\)$", (ROOT / "Makefile").read_text(), re.M)
    port = free_port()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("SYNTH_PIPELINE_", "DAGSTER_"))}
    environment |= {"SYNTH_PIPELINE_EXECUTOR": "in_process", "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    with (place.root / "ui.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, *command.split(), "--port", str(port)], env=environment, cwd=place.root, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            until(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=5), 120, "the UI")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(60)


def test_from_the_graph_to_the_report(address: str, browser: Any, place: Place) -> None:
    page = browser.new_context(viewport={"width": 1500, "height": 1200}).new_page()
    page.set_default_timeout(60_000)
    page.goto(f"{address}/asset-groups", timeout=PATIENCE)
    page.get_by_role("button", name="Materialize all (7)").click(timeout=PATIENCE)
    page.get_by_text("Select a partition or create one").click()
    page.get_by_text("shop", exact=True).first.click()
    page.get_by_role("button", name="Launch 1 run").click()
    page.get_by_text("Launching").wait_for(state="detached", timeout=PATIENCE)

    page.goto(f"{address}/runs")
    page.get_by_text("partition: shop").first.wait_for(timeout=PATIENCE)
    page.get_by_role("link", name="View", exact=True).first.click()
    page.get_by_text("RUN_SUCCESS").or_(page.get_by_text("RUN_FAILURE")).first.wait_for(timeout=PATIENCE)
    assert page.get_by_text("RUN_FAILURE").count() == 0, (place.root / "ui.log").read_text()[-2000:]

    page.goto(f"{address}/assets/synthetic_tables?view=partitions&partition=shop")
    page.get_by_text("content_hash", exact=True).wait_for()
    for told in ("identifier", "seed", "scale", "generations", "rows_by_table", "dagster/uri"):
        assert page.get_by_text(told, exact=True).count(), told
    assert page.locator("img[src^='data:image/svg']").count(), "the chart is drawn"

    page.goto(f"{address}/assets/quality_report?view=partitions&partition=shop")
    page.get_by_text("quality_grade", exact=True).wait_for()
    with page.expect_popup() as opened:
        page.locator("a[href$='/shop']").first.click()
    report = opened.value
    report.wait_for_load_state()
    assert "shop" in report.title() and report.locator("#diagram .box").count() == 2
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"{report.url.rsplit('/', 1)[0]}/crm", timeout=60)
