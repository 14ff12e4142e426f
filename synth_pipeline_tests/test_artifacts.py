"""The store of artifacts, the same in a local folder, in fsspec's memory and on an S3 server: whole versions or none, and a log of generations."""

from __future__ import annotations

import json
import os
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from synth_pipeline import pipeline
from synth_pipeline.artifacts import ArtifactStore
from synth_pipeline.artifacts.folder import MANIFEST
from synth_pipeline.artifacts.objects import ObjectStore
from synth_pipeline.config_files import load_config
from synth_pipeline.errors import ArtifactError, UsageError
from synth_pipeline_tests.orchestration.conftest import Place


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of an S3 server of these tests' own."""
    if not os.environ.get("CI"):
        pytest.importorskip("moto.server", reason="the package moto[server] is not installed")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"{host}:{port}"
    server.stop()


@pytest.fixture(params=["folder", "memory", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A root of artifacts of each kind, empty."""
    monkeypatch.setenv("SYNTH_PIPELINE_CACHE", str(tmp_path / "cache"))
    if request.param == "folder":
        return str(tmp_path / "artifacts")
    if request.param == "memory":
        return f"fsspec+memory://{uuid.uuid4().hex}/artifacts"
    return bucket(request.getfixturevalue("s3"), monkeypatch)


def bucket(address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new bucket, and credentials for it in the environment."""
    import boto3

    for name, value in (("AWS_ACCESS_KEY_ID", "tester"), ("AWS_SECRET_ACCESS_KEY", "s3-secret"), ("AWS_EC2_METADATA_DISABLED", "true")):
        monkeypatch.setenv(name, value)
    name = f"b{uuid.uuid4().hex[:12]}"
    boto3.client("s3", endpoint_url=f"http://{address}", region_name="us-east-1").create_bucket(Bucket=name)
    return f"s3://{name}/synthetic?endpoint_override={address}&scheme=http&region=us-east-1"


def _publish(store: ArtifactStore, text: str, stage: str = "rfs_subset", **facts: Any) -> Path:
    with store.publish("shop", stage, facts) as directory:
        (directory / "model").mkdir()
        (directory / "model" / "part.json").write_text(text)
        (directory / "rows.parquet").write_bytes(os.urandom(1000))
    return store.open("shop", stage)


def _generate(store: ArtifactStore, seed: int, identifier: str) -> None:
    made = {"identifier": identifier, "seed": seed, "scale": 1.0, "rows": 10, "content_hash": f"{seed:064x}"}
    _publish(store, identifier, "synthetic_tables", **made, subset="s", synthesizer="relational")


def _elsewhere(root: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ArtifactStore:
    """The same root as another machine sees it, with a cache of its own."""
    monkeypatch.setenv("SYNTH_PIPELINE_CACHE", str(tmp_path / f"cache-{uuid.uuid4().hex[:4]}"))
    return ArtifactStore(root)


def test_what_is_published_is_read_here_and_elsewhere(root: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store = ArtifactStore(root)
    assert not store.exists("shop", "rfs_subset") and store.sources() == []
    assert (_publish(store, "old", seed=7) / "model" / "part.json").read_text() == "old"
    other = _elsewhere(root, monkeypatch, tmp_path)
    reading = other.open("shop", "rfs_subset")
    _publish(store, "new")
    assert (reading / "model" / "part.json").read_text() == "old", "who reads can finish"
    assert (other.open("shop", "rfs_subset") / "model" / "part.json").read_text() == "new"
    assert other.manifest("shop", "rfs_subset")["files"].keys() == {"model/part.json", "rows.parquet"}
    assert other.exists("shop", "rfs_subset") and other.sources() == ["shop"]
    assert "endpoint_override" not in other.locate("shop", "rfs_subset")


def test_a_block_that_fails_leaves_the_old(root: str) -> None:
    store = ArtifactStore(root)
    before = _publish(store, "old")
    with pytest.raises(RuntimeError), store.publish("shop", "rfs_subset") as directory:
        (directory / "rows.parquet").write_bytes(b"half")
        raise RuntimeError
    assert store.open("shop", "rfs_subset") == before and not directory.exists()


def test_an_upload_that_breaks_off_is_never_read(root: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The network goes after the first file: what was published before stays, here and elsewhere."""
    if "://" not in root:
        pytest.skip("nothing is sent to a local folder")
    store = ArtifactStore(root)
    _publish(store, "old")
    real, sent = ObjectStore._send, []

    def broken(self: ObjectStore, file: Path, path: str) -> None:
        if sent:
            raise OSError("the network is down")
        sent.append(path)
        real(self, file, path)

    with monkeypatch.context() as patch:
        patch.setattr(ObjectStore, "_send", broken)
        with pytest.raises(ArtifactError, match="network is down"):
            _publish(store, "new")
    other = _elsewhere(root, monkeypatch, tmp_path)
    assert (other.open("shop", "rfs_subset") / "model" / "part.json").read_text() == "old"
    assert sent and len(other._place.versions("shop", "rfs_subset")) == 1


def test_so_many_versions_are_kept(root: str) -> None:
    for keep in (1, 3):
        store = ArtifactStore(root, keep)
        for number in range(5):
            newest = _publish(store, str(number))
        assert len(store._place.versions("shop", "rfs_subset")) == keep
        assert store.open("shop", "rfs_subset") == newest
    with pytest.raises(UsageError):
        ArtifactStore(root, 0)


def test_the_log_remembers_generations_whose_tables_are_gone(root: str) -> None:
    store = ArtifactStore(root)
    assert store.generations("shop") == []
    for seed in range(4):
        _generate(store, seed, f"sprint {seed}")
    made = store.generations("shop")
    assert [(g.identifier, g.seed, g.kept) for g in made] == [
        ("sprint 3", 3, True), ("sprint 2", 2, True), ("sprint 1", 1, False), ("sprint 0", 0, False),
    ]  # fmt: skip
    assert len(store.generations("shop", 2)) == 2
    earlier = store.generation("shop", "sprint 2")
    assert (store.open("shop", "synthetic_tables", earlier.version) / "model" / "part.json").read_text() == "sprint 2"
    assert store.generation("shop", f"{3:064x}"[:40]).identifier == "sprint 3"
    with pytest.raises(ArtifactError, match="no longer kept.*--seed 1 "):
        store.generation("shop", "sprint 1")
    with pytest.raises(ArtifactError, match="synth-pipeline generations shop"):
        store.generation("shop", "sprint 9")


def test_a_missing_or_damaged_file_is_refused(root: str) -> None:
    store = ArtifactStore(root)
    with pytest.raises(ArtifactError, match="Make it first: synth-pipeline run shop --to subset"):
        store.open("shop", "rfs_subset")
    place = _publish(store, "old")
    (place / "rows.parquet").write_bytes(b"damaged")
    with pytest.raises(ArtifactError, match="is damaged: rows.parquet"):
        store.open("shop", "rfs_subset")
    (place / MANIFEST).write_text(json.dumps({"format": 99}))
    with pytest.raises(ArtifactError, match="format 99"):
        store.open("shop", "rfs_subset")


def test_many_publish_at_once_and_a_reader_sees_whole_versions_only(root: str) -> None:
    if "memory" in root:
        pytest.skip("a write to fsspec's memory is not one step")
    store = ArtifactStore(root, 50)
    _publish(store, "0")
    failed: list[BaseException] = []

    def write(number: int) -> None:
        try:
            for turn in range(3):
                _publish(ArtifactStore(root, 50), f"{number}.{turn}")
        except BaseException as e:
            failed.append(e)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    while any(t.is_alive() for t in threads):
        store.open("shop", "rfs_subset")
    assert failed == [] and len(store._place.versions("shop", "rfs_subset")) == 10


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("s3://key:secret@bucket/x", "holds credentials"),
        ("s3://bucket/x?secret_key=secret", "holds credentials"),
        ("nothing://bucket/x", "cannot be kept in nothing://bucket/x"),
        ("fsspec+nothing://bucket/x", "cannot be kept"),
    ],
)
def test_an_address_that_cannot_be_taken_is_told_without_its_secrets(uri: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        ArtifactStore(uri).sources()
    assert "secret" not in str(caught.value)


def test_a_bucket_that_is_not_there_is_one_clear_line(s3: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SYNTH_PIPELINE_CACHE", str(tmp_path))
    root = bucket(s3, monkeypatch).replace("s3://b", "s3://nobody-b")
    with pytest.raises(ArtifactError, match="could not be written to s3://nobody") as caught:
        _publish(ArtifactStore(root), "x")
    assert "s3-secret" not in str(caught.value) and "\n" not in caught.value.problem


def test_machines_that_share_nothing_but_a_bucket_go_on_from_each_other(s3: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One learns, another one draws and exports; a folder gives the same bytes."""
    place = Place(tmp_path)
    place.add("shop", rows=60)
    config, root = load_config("shop", place.settings.configs), bucket(s3, monkeypatch)
    pipeline.run(config, _elsewhere(root, monkeypatch, tmp_path), last="fit")
    other = _elsewhere(root, monkeypatch, tmp_path)
    pipeline.run(config, other, first="sample", last="sample")
    third = _elsewhere(root, monkeypatch, tmp_path)
    assert pipeline.run(config, third, first="export").target
    alone = ArtifactStore(tmp_path / "alone")
    pipeline.run(config, alone, last="sample")
    (here,), (there,) = alone.generations("shop"), third.generations("shop")
    assert here.content_hash == there.content_hash
    assert "s3-secret" not in "".join(p.read_text(errors="replace") for p in tmp_path.rglob("*") if p.is_file())
