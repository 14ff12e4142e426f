"""The subset of one seed is the same whether the rows lie in MariaDB or in SQLite."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from synth_pipeline.artifacts import BundleWriter
from synth_pipeline.config import SubsetConfig
from synth_pipeline.connectors import connect
from synth_pipeline.subset import take_subset
from synth_pipeline_tests.connectors.mysql import copy_sqlite


@pytest.mark.parametrize(("name", "options"), [
    ("chinook", {"max_rows": 3_000}), ("chinook", {"fraction": 0.2, "seed": 5}), ("chinook", {}),
    ("northwind", {"main_table": "orders", "rows": 100}), ("oracle_hr", {"fraction": 0.5}), ("employees_small", {"max_rows": 2_000}),
    ("sakila", {"max_rows": 4_000, "seed": 9}),
])  # fmt: skip
def test_same_content_as_sqlite(
    shared_data: Path, tmp_path: Path, new_mariadb: Callable[..., str], name: str, options: dict[str, object]
) -> None:
    url = new_mariadb(name)
    copy_sqlite(shared_data / f"{name}.db", url)
    found = []
    for place, source in enumerate((f"sqlite:///{shared_data / f'{name}.db'}", url)):
        connector = connect(source)
        schema = connector.reflect()
        taken = take_subset(connector, schema, SubsetConfig(**options), BundleWriter(tmp_path / str(place), schema)).bundle  # type: ignore[arg-type]
        found.append({t: sorted(map(repr, taken.read(t).to_pylist())) for t in sorted(schema.table_ids)})
        connector.close()
    assert found[0] == found[1]
    assert sum(map(len, found[0].values())) > 0
