"""Generated schemas and the real databases: whatever the shape, no reference dangles and the budget holds."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synth_pipeline_tests.subset.helpers import build, draw


@pytest.mark.parametrize("name", ["chinook", "northwind", "sakila", "oracle_hr", "oracle_hr_oe", "pubs", "employees_small", "ensembl_core"])
@pytest.mark.parametrize("max_rows", [200, 2_000, 500_000])
def test_real_databases(shared_data: Path, tmp_path: Path, name: str, max_rows: int) -> None:
    subset, schema = draw(shared_data / f"{name}.db", tmp_path / "s", max_rows=max_rows, holdout=0.1)
    assert subset.report["core"] <= max_rows
    assert set(subset.report["tables"]) == set(schema.table_ids)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10**6), tables=st.integers(1, 6), max_rows=st.integers(5, 400), policy=st.sampled_from(["null", "drop"]))
def test_generated_schemas(seed: int, tables: int, max_rows: int, policy: str) -> None:
    """Random keys (none, one, two columns), references (cycles, self, several, unique targets), NULLs and dirt."""
    rng = random.Random(seed)
    ddl, rows = [], {}
    sizes = [rng.choice([0, 1, 8, 60, 150]) for _ in range(tables)]
    for t in range(tables):
        references = [(r, rng.randrange(tables), rng.random() < 0.7) for r in range(rng.randrange(4))]
        key = rng.choice(["", ", PRIMARY KEY (id)", ", PRIMARY KEY (id, part)"])
        columns = ["id INTEGER NOT NULL", "part TEXT NOT NULL", "code TEXT UNIQUE"]
        columns += [f"r{r} TEXT {'' if nullable else 'NOT NULL'} REFERENCES t{to}(code)" for r, to, nullable in references]
        ddl.append(f"CREATE TABLE t{t} ({', '.join(columns)}{key});")

        def value(to: int, nullable: bool) -> str | None:
            if nullable and rng.random() < 0.2:
                return None
            return "dirt" if rng.random() < 0.05 or not sizes[to] else f"c{rng.randrange(sizes[to])}"

        rows[f"t{t}"] = [(i, f"p{i % 3}", f"c{i}", *(value(to, nullable) for _, to, nullable in references)) for i in range(sizes[t])]
    with tempfile.TemporaryDirectory() as folder:
        path = build(Path(folder) / "g.db", "\n".join(ddl), **rows)
        first, _ = draw(path, Path(folder) / "a", max_rows=max_rows, dangling=policy, seed=seed, holdout=0.2)
        again, _ = draw(path, Path(folder) / "b", max_rows=max_rows, dangling=policy, seed=seed, holdout=0.2, batch=3)
        assert first.report["core"] <= max_rows
        assert first.bundle.content_hash == again.bundle.content_hash
