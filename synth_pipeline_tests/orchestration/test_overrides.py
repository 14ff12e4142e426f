"""The Launchpad changes one run: what is given counts, what is not stays as the file says, what is wrong is refused."""

from __future__ import annotations

import pytest

from synth_pipeline.config import SourceConfig
from synth_pipeline.errors import ConfigError
from synth_pipeline.orchestration.overrides import FitOverrides, SampleOverrides, SubsetOverrides

CONFIG = SourceConfig.model_validate(
    {"name": "shop", "source": {"url": "sqlite:///x.db"}, "subset": {"max_rows": 9, "seed": 3}, "sample": {"scale": 2.0, "seed": 5}}
)


def test_nothing_given_changes_nothing() -> None:
    for overrides in (SubsetOverrides(), FitOverrides(), SampleOverrides()):
        assert overrides.applied(CONFIG) == CONFIG


def test_what_is_given_counts() -> None:
    assert SubsetOverrides(max_rows=100).applied(CONFIG).subset.model_dump(include={"max_rows", "seed"}) == {"max_rows": 100, "seed": 3}
    assert FitOverrides(seed=0, workers=1).applied(CONFIG).synthesizer.workers == 1
    changed = SampleOverrides(scale=0.5, rows={"customer": 7}, identifier="for testing").applied(CONFIG).sample
    assert (changed.scale, changed.rows, changed.seed, changed.identifier) == (0.5, {"customer": 7}, 5, "for testing")
    assert SampleOverrides(seed=0).applied(CONFIG).sample.seed == 0, "zero is a seed, not nothing"


def test_what_the_file_would_refuse_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"sample\.scale"):
        SampleOverrides(scale=-1).applied(CONFIG)
    with pytest.raises(ConfigError, match=r"subset\.max_rows"):
        SubsetOverrides(max_rows=0).applied(CONFIG)
