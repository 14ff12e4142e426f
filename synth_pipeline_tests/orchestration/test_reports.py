"""The report server shows the newest report of each source and nothing else that lies in the artifact folder."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from synth_pipeline.artifacts import ArtifactStore
from synth_pipeline.orchestration.reports import server
from synth_pipeline.orchestration.ui import prepare


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    store = ArtifactStore(tmp_path / "artifacts")
    for text in ("old", "new"):
        with store.publish("shop", "quality_report") as directory:
            (directory / "report.html").write_text(f"<p>{text} report")
    with store.publish("shop", "rfs_subset") as directory:
        (directory / "secret.parquet").write_text("real rows")
    with server(store.root, port=0) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_address[1]}"
        listening.shutdown()


def _get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()


def test_the_newest_report_is_served(address: str) -> None:
    assert _get(f"{address}/shop") == (200, "<p>new report")
    status, index = _get(address)
    assert status == 200 and "href='/shop'" in index


@pytest.mark.parametrize(
    "path", ["/shop/rfs_subset/secret.parquet", "/../../etc/passwd", "/%2e%2e/shop", "/.versions", "/shop/..", "/nobody", "//shop//x"]
)
def test_nothing_else_is(address: str, path: str) -> None:
    status, body = _get(address + path)
    assert status == 404 and "real rows" not in body


def test_names_in_an_address_are_escaped(address: str) -> None:
    assert "<script>" not in _get(f"{address}/%3Cscript%3E")[1]


def test_the_folder_of_records_is_made_once(tmp_path: Path) -> None:
    prepare(tmp_path / "home")
    file = tmp_path / "home" / "dagster.yaml"
    assert "applyLimitPerUniqueValue: true" in file.read_text()
    file.write_text("telemetry: {enabled: false}\n")
    prepare(tmp_path / "home")
    assert file.read_text() == "telemetry: {enabled: false}\n"
