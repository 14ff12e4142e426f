"""The subset of one seed is the same whichever database the rows lie in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from synth_pipeline.artifacts import BundleWriter
from synth_pipeline.config import SubsetConfig
from synth_pipeline.connectors import connect
from synth_pipeline.subset import take_subset
from synth_pipeline_tests.connectors.postgresql import copy_sqlite


@pytest.mark.parametrize(("name", "options"), [
    ("chinook", {"max_rows": 3_000}), ("chinook", {"fraction": 0.2, "seed": 5}), ("chinook", {}),
    ("northwind", {"main_table": "orders", "rows": 100}), ("oracle_hr", {"fraction": 0.5}), ("employees_small", {"max_rows": 2_000}),
])  # fmt: skip
def test_same_content_as_sqlite(
    shared_data: Path, tmp_path: Path, new_database: Callable[..., str], name: str, options: dict[str, object]
) -> None:
    url = new_database(name)
    copy_sqlite(shared_data / f"{name}.db", url)
    hashes = []
    for place, source in enumerate((f"sqlite:///{shared_data / f'{name}.db'}", url, url)):
        connector = connect(source)
        schema = connector.reflect()
        writer, several = BundleWriter(tmp_path / str(place), schema), place == 2
        config = SubsetConfig(**options, threads=2 if several else 1)
        taken = take_subset(connector, schema, config, writer, batch=50_000 if several else 1_000)
        hashes.append((taken.bundle.content_hash, {t: taken.bundle.rows(t) for t in schema.table_ids}))
        connector.close()
    assert hashes[0] == hashes[1] == hashes[2]
    assert sum(hashes[0][1].values()) > 0
