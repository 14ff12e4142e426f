"""`gaussian_copula` and `ctgan`: any schema, with SDV's columns inside the relational engine's tables."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest

from synth_pipeline import pipeline, stored
from synth_pipeline.artifacts import BundleWriter, TableBundle
from synth_pipeline.config import SourceConfig
from synth_pipeline.errors import ArtifactError, SynthesisError
from synth_pipeline.progress import Silent
from synth_pipeline.synthesis.base import SampleRequest
from synth_pipeline.synthesis.parallel import Workers
from synth_pipeline.synthesis.registry import synthesizer
from synth_pipeline.synthesis.sdv import tables as sdv_tables
from synth_pipeline_tests.generated import build_database
from synth_pipeline_tests.test_any_schema import synthesize

pytest.importorskip("sdv", reason="SDV is not installed")

FAST = {"ctgan": {"epochs": 1, "generator_dim": [16], "discriminator_dim": [16], "embedding_dim": 8}, "gaussian_copula": {}}


@pytest.mark.parametrize(("name", "database"), [("gaussian_copula", "oracle_hr"), ("gaussian_copula", "pubs"), ("ctgan", "pubs")])
def test_a_real_database_keeps_every_rule(shared_data: Path, tmp_path: Path, name: str, database: str) -> None:
    working, bundle, report = synthesize(shared_data / f"{database}.db", tmp_path, synthesizer={"name": name, "params": FAST[name]})
    assert [r.rule.text for r in report.results if r.violations] == []
    made = bundle.info["synthesizer"]
    assert made["synthesizer"] == name and made["sdv_version"]
    modelled = made["sdv_columns"]
    assert modelled and all(c in working.table(t).column_names for t, columns in modelled.items() for c in columns)
    keys = {(t.id, c) for t in working.tables for k in t.keys if len(k) == 1 for c in k}
    keys |= {(f.table, c) for f in working.foreign_keys for c in f.columns}
    assert not keys & {(t, c) for t, columns in modelled.items() for c in columns}


def test_sdv_draws_the_columns_that_it_is_said_to_draw(shared_data: Path, tmp_path: Path) -> None:
    """The same seeds through the relational engine alone give other values exactly there."""
    for name in ("relational", "gaussian_copula"):
        (tmp_path / name).mkdir()
    _, plain, _ = synthesize(shared_data / "pubs.db", tmp_path / "relational")
    _, mixed, _ = synthesize(shared_data / "pubs.db", tmp_path / "gaussian_copula", synthesizer={"name": "gaussian_copula"})
    modelled = mixed.info["synthesizer"]["sdv_columns"]["titles"]
    assert {"price", "advance"} <= set(modelled)
    a, b = plain.read("titles"), mixed.read("titles")
    assert all(not a.column(c).equals(b.column(c)) for c in ("price", "advance"))
    assert a.column("title_id").equals(b.column("title_id"))


def test_generated_schemas_come_out_without_a_violation() -> None:
    for seed in range(3):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            build_database(random.Random(seed), folder / "source.db")
            _, _, report = synthesize(folder / "source.db", folder, synthesizer={"name": "gaussian_copula"})
            assert [(r.rule.text, r.violations) for r in report.results if r.violations] == []


@pytest.mark.parametrize("name", ["gaussian_copula", "ctgan"])
def test_a_loaded_model_gives_the_same_rows_and_another_seed_others(shared_data: Path, tmp_path: Path, name: str) -> None:
    config = SourceConfig.model_validate(
        {"name": "hr", "source": {"url": f"sqlite:///{shared_data / 'oracle_hr.db'}"}, "synthesizer": {"name": name, "params": FAST[name]}}
    )
    reflected = pipeline.reflect(config)
    metadata = pipeline.infer(config, reflected)
    working = pipeline.working_schema(config, reflected, metadata)
    for stage in ("subset", "fit", "again"):
        (tmp_path / stage).mkdir()
    subset = pipeline.subset(config, working, metadata, tmp_path / "subset")
    fitted = pipeline.fit(config, working, metadata, subset, tmp_path / "fit")
    again = pipeline.fit(config, working, metadata, subset, tmp_path / "again")

    def content(model: object, seed: int, folder: str) -> str:
        with BundleWriter(tmp_path / folder, working) as writer:
            model.sample(SampleRequest(1.0, {}, seed), writer, Silent())  # type: ignore[attr-defined]
        return TableBundle.open(tmp_path / folder).content_hash

    first = content(fitted, 4, "a")
    loaded = stored.load_fitted(tmp_path / "fit")
    assert content(loaded, 4, "b") == first
    assert content(again, 4, "c") == first
    assert content(loaded, 5, "d") != first
    assert loaded.info["sdv_columns"] == fitted.info["sdv_columns"]
    next((tmp_path / "fit" / "model").glob("*.pkl")).write_bytes(b"broken")
    with pytest.raises(ArtifactError, match="damaged"):
        stored.load_fitted(tmp_path / "fit")


def test_a_table_that_sdv_cannot_fit_or_sample_is_drawn_by_the_engine(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SDV's messages repeat values of the source: only the kind of failure is told."""
    from sdv.single_table import GaussianCopulaSynthesizer

    sample = GaussianCopulaSynthesizer.sample

    def fails(self: object, num_rows: int) -> object:
        if num_rows > 1:
            raise ValueError("secret value 4711")
        return sample(self, num_rows)

    monkeypatch.setattr(GaussianCopulaSynthesizer, "sample", fails)
    (tmp_path / "sampling").mkdir()
    _, bundle, report = synthesize(shared_data / "oracle_hr.db", tmp_path / "sampling", synthesizer={"name": "gaussian_copula"})
    assert not any(r.violations for r in report.results)
    assert any("SDV failed to sample" in w for w in bundle.info["warnings"])

    monkeypatch.setattr(sdv_tables, "_FEWEST_ROWS", 10**9)
    _, bundle, _ = synthesize(shared_data / "oracle_hr.db", tmp_path, synthesizer={"name": "gaussian_copula"})
    told = bundle.info["synthesizer"]["warnings"]
    assert any("employees" in w and "rows to learn from" in w for w in told) and "4711" not in str(bundle.info)


@pytest.mark.parametrize(
    ("name", "params", "said"),
    [
        ("ctgan", {"epoch": 3}, "epochs"), ("ctgan", {"epochs": 0}, "epochs"), ("ctgan", {"epochs": "3"}, "epochs"),
        ("ctgan", {"batch_size": 25}, "batch_size"), ("ctgan", {"generator_dim": [1, -1]}, "generator_dim"),
        ("gaussian_copula", {"default_distribution": "normal"}, "default_distribution"),
        ("gaussian_copula", {"enforce_rounding": 1}, "enforce_rounding"), ("hma", {"default_distribution": "gaussian_kde"}, "default_distribution"),
    ],
)  # fmt: skip
def test_a_wrong_parameter_is_one_clear_error_before_any_work(name: str, params: dict[str, object], said: str) -> None:
    with pytest.raises(SynthesisError, match=said):
        synthesizer(name).fit(None, params, privacy="standard", seed=0, workers=Workers(), progress=Silent())  # type: ignore[arg-type]
