"""The relational synthesizer as a whole, on real databases."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pyarrow.compute as pc
import pytest

from synth_pipeline import pipeline
from synth_pipeline.artifacts import BundleWriter, TableBundle
from synth_pipeline.catalog.schema import DatabaseSchema
from synth_pipeline.config import SourceConfig
from synth_pipeline.errors import ArtifactError, ConfigError, UsageError
from synth_pipeline.progress import Silent
from synth_pipeline.synthesis.base import FittedSynthesizer, SampleRequest
from synth_pipeline.synthesis.parallel import Workers
from synth_pipeline.synthesis.registry import synthesizer
from synth_pipeline.synthesis.relational.engine import RelationalSynthesizer
from synth_pipeline_tests.test_any_schema import synthesize

NAMES = ("chinook", "employees_small", "ensembl_core", "northwind", "oracle_hr", "oracle_hr_oe", "pubs", "sakila")


@pytest.fixture(scope="module")
def chinook(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[DatabaseSchema, FittedSynthesizer]:
    folder = tmp_path_factory.mktemp("chinook")
    config = SourceConfig.model_validate({"name": "chinook", "source": {"url": f"sqlite:///{shared_data / 'chinook.db'}"}})
    reflected = pipeline.reflect(config)
    metadata = pipeline.infer(config, reflected)
    working = pipeline.working_schema(config, reflected, metadata)
    (folder / "subset").mkdir()
    (folder / "fit").mkdir()
    subset = pipeline.subset(config, working, metadata, folder / "subset")
    return working, pipeline.fit(config, working, metadata, subset, folder / "fit")


def sampled(schema: DatabaseSchema, fitted: FittedSynthesizer, folder: Path, **request: object) -> TableBundle:
    writer = BundleWriter(folder, schema)
    with writer:
        fitted.sample(SampleRequest(**request), writer, Silent())  # type: ignore[arg-type]
    return TableBundle.open(folder)


@pytest.mark.parametrize("name", NAMES)
def test_every_real_database_comes_out_whole(name: str, shared_data: Path, tmp_path: Path) -> None:
    _, bundle, report = synthesize(shared_data / f"{name}.db", tmp_path)
    assert [(r.rule.text, r.violations) for r in report.results if r.violations] == []
    connection = sqlite3.connect(f"file:{shared_data / name}.db?mode=ro", uri=True)
    for table in bundle.tables:
        real = connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0]
        assert bundle.rows(table) == pytest.approx(real, rel=0.02, abs=1)
    connection.close()


@pytest.mark.parametrize("level", ["none", "strict"])
def test_other_levels_of_privacy_keep_every_rule_too(level: str, shared_data: Path, tmp_path: Path) -> None:
    for name in ("northwind", "oracle_hr_oe"):
        (tmp_path / name).mkdir()
        _, _, report = synthesize(shared_data / f"{name}.db", tmp_path / name, privacy={"level": level, "holdout": 0.0})
        assert report.passed, name


def test_a_seed_gives_the_same_content_and_another_does_not(chinook: tuple[DatabaseSchema, FittedSynthesizer], tmp_path: Path) -> None:
    schema, fitted = chinook
    first, again, other = (sampled(schema, fitted, tmp_path / str(i), seed=s) for i, s in enumerate((5, 5, 6)))
    assert first.content_hash == again.content_hash != other.content_hash


def test_what_was_saved_samples_the_same(chinook: tuple[DatabaseSchema, FittedSynthesizer], tmp_path: Path) -> None:
    schema, fitted = chinook
    (tmp_path / "model").mkdir()
    fitted.save(tmp_path / "model")
    loaded = RelationalSynthesizer().load(tmp_path / "model")
    assert loaded.info["rules"] == fitted.info["rules"]
    assert sampled(schema, loaded, tmp_path / "a", seed=1).content_hash == sampled(schema, fitted, tmp_path / "b", seed=1).content_hash


def test_a_damaged_model_is_refused(chinook: tuple[DatabaseSchema, FittedSynthesizer], tmp_path: Path) -> None:
    chinook[1].save(tmp_path)
    (tmp_path / "arrays.npz").write_bytes(b"no arrays")
    with pytest.raises(ArtifactError, match="damaged"):
        RelationalSynthesizer().load(tmp_path)


@pytest.mark.parametrize("scale", [0.1, 3.0])
def test_rows_follow_the_scale(scale: float, chinook: tuple[DatabaseSchema, FittedSynthesizer], tmp_path: Path) -> None:
    schema, fitted = chinook
    bundle = sampled(schema, fitted, tmp_path, scale=scale)
    for table, real in (("Track", 3503), ("InvoiceLine", 2240), ("PlaylistTrack", 8715), ("Customer", 59)):
        assert bundle.rows(table) == pytest.approx(real * scale, rel=0.02, abs=1)


def test_rows_may_be_asked_for_by_table(chinook: tuple[DatabaseSchema, FittedSynthesizer], tmp_path: Path) -> None:
    schema, fitted = chinook
    assert sampled(schema, fitted, tmp_path, rows={"Customer": 200}).rows("Customer") == 200
    with pytest.raises(UsageError, match="Clients"):
        sampled(schema, fitted, tmp_path / "x", rows={"Clients": 1})
    with pytest.raises(UsageError, match="positive"):
        sampled(schema, fitted, tmp_path / "y", scale=0.0)


def test_rules_of_chinook_are_found(chinook: tuple[DatabaseSchema, FittedSynthesizer]) -> None:
    rules = chinook[1].info["rules"]
    for part in ("Address", "City", "State", "Country", "PostalCode"):
        assert f"Invoice.Billing{part} = {part} of its Customer" in rules
    assert "InvoiceLine.UnitPrice = UnitPrice of its Track" in rules
    assert any(r.startswith("Invoice.Total = sum of") for r in rules)


def test_no_personal_value_of_the_source_comes_out(chinook: tuple[DatabaseSchema, FittedSynthesizer], shared_data: Path, tmp_path: Path) -> None:
    schema, fitted = chinook
    bundle = sampled(schema, fitted, tmp_path)
    connection = sqlite3.connect(f"file:{shared_data / 'chinook.db'}?mode=ro", uri=True)
    for table, columns in (("Customer", ("FirstName", "LastName", "Address", "Phone", "Email")), ("Employee", ("LastName", "Email", "Phone"))):
        for column in columns:
            real = {v for (v,) in connection.execute(f'SELECT "{column}" FROM "{table}" WHERE "{column}" IS NOT NULL')}
            assert not real & set(pc.drop_null(bundle.read(table).column(column)).to_pylist()), column
    connection.close()


def test_unknown_names_and_parameters_are_refused(chinook: tuple[DatabaseSchema, FittedSynthesizer]) -> None:
    with pytest.raises(ConfigError, match="relatonal"):
        synthesizer("relatonal")
    with pytest.raises(ConfigError, match="min_row"):
        RelationalSynthesizer().fit(None, {"min_row": 5}, privacy="standard", seed=0, workers=Workers(), progress=Silent())  # type: ignore[arg-type]
