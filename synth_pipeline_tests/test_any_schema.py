"""Whatever the schema, a synthetic database obeys it: generated databases through all stages but report and export."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synth_pipeline import pipeline
from synth_pipeline.artifacts import TableBundle
from synth_pipeline.catalog.schema import DatabaseSchema
from synth_pipeline.config import SourceConfig
from synth_pipeline.integrity import IntegrityReport, derive_rules, evaluate
from synth_pipeline.subset import write
from synth_pipeline_tests.denormalised import build_denormalised
from synth_pipeline_tests.generated import build_database


def synthesize(database: Path, folder: Path, **options: object) -> tuple[DatabaseSchema, TableBundle, IntegrityReport]:
    """Runs reflect, infer, subset, fit and sample over a SQLite file."""
    config = SourceConfig.model_validate({"name": "generated", "source": {"url": f"sqlite:///{database}"}, **options})
    reflected = pipeline.reflect(config)
    metadata = pipeline.infer(config, reflected)
    working = pipeline.working_schema(config, reflected, metadata)
    for stage in ("subset", "fit", "sample"):
        (folder / stage).mkdir()
    subset = pipeline.subset(config, working, metadata, folder / "subset")
    fitted = pipeline.fit(config, working, metadata, subset, folder / "fit")
    bundle = pipeline.sample(config, working, subset, fitted, folder / "sample")
    return working, bundle, evaluate(bundle, derive_rules(working, metadata), working)


def check(
    choose: random.Random, privacy: dict[str, float] | None = None, build: Callable[[random.Random, Path], None] = build_database, **sample: float
) -> None:
    """Fails where a generated database comes out with a broken rule."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build(choose, folder / "source.db")
        _, _, report = synthesize(folder / "source.db", folder, sample=sample, privacy=privacy or {}, synthesizer={"workers": 1})
        broken = [(r.rule.text, r.violations) for r in report.results if r.violations]
        assert not broken, broken


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(st.randoms(use_true_random=False))
def test_a_generated_database_comes_out_without_a_violation(choose: random.Random) -> None:
    check(choose)


@pytest.mark.parametrize("scale", [0.1, 3.0])
def test_other_sizes_keep_every_rule_too(scale: float) -> None:
    for seed in range(4):
        check(random.Random(seed), scale=scale)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(st.randoms(use_true_random=False), st.integers(4, 40), st.sampled_from((1.0, 4.0)))
def test_a_database_in_many_small_shards_keeps_every_rule_too(choose: random.Random, shard_rows: int, scale: float) -> None:
    check(choose, shard_rows=shard_rows, scale=scale)


def test_tables_of_which_half_is_held_out_keep_every_rule_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parents, siblings and whole tables are missing from what is learnt."""
    monkeypatch.setattr(write, "MIN_HOLDOUT_ENTITIES", 2)
    for seed in range(12):
        check(random.Random(seed), privacy={"holdout": 0.5})


@pytest.mark.parametrize("shard_rows", [250_000, 60])
def test_a_database_that_is_not_in_normal_form_keeps_every_rule_too(shard_rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "MIN_HOLDOUT_ENTITIES", 2)
    for seed in range(12):
        check(random.Random(seed), build=build_denormalised, shard_rows=shard_rows, privacy={"holdout": 0.2 * (seed % 2)}, scale=1 + seed % 3)
