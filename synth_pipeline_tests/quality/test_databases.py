"""The report takes any schema: every real database against itself and against a damaged copy, whole and cut to a few rows."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from synth_pipeline.artifacts import BundleWriter, TableBundle
from synth_pipeline.catalog.population import PopulationStats
from synth_pipeline.catalog.schema import DatabaseSchema
from synth_pipeline.config import ChecksConfig
from synth_pipeline.connectors import connect
from synth_pipeline.integrity import derive_rules, evaluate
from synth_pipeline.metadata.infer import infer
from synth_pipeline.metadata.model import SynthesisMetadata
from synth_pipeline.quality.diagram import lay_out
from synth_pipeline.quality.model import QualityReport
from synth_pipeline.quality.report import build_report
from synth_pipeline_tests.helpers import bundle_of

DATABASES = ("chinook", "northwind", "sakila", "oracle_hr", "oracle_hr_oe", "pubs", "employees_small", "ensembl_core")


@pytest.fixture(scope="module")
def opened(shared_data: Path, tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    @functools.cache
    def load(name: str) -> tuple[DatabaseSchema, SynthesisMetadata, TableBundle]:
        path = shared_data / f"{name}.db"
        schema, bundle = bundle_of(path, tmp_path_factory.mktemp(name))
        connector = connect(f"sqlite:///{path}")
        metadata = infer(schema, [connector.profile(t) for t in schema.tables])
        connector.close()
        return schema, metadata, bundle

    return load


def build(schema: DatabaseSchema, metadata: SynthesisMetadata, real: TableBundle, synthetic: TableBundle) -> QualityReport:
    integrity = evaluate(synthetic, derive_rules(schema, metadata), schema)
    return build_report(
        schema, metadata, real, synthetic, PopulationStats(rows={}), integrity=integrity, facts={"source": "x"}, checks=ChecksConfig()
    )


def cut(schema: DatabaseSchema, bundle: TableBundle, directory: Path, rows: int, *, shuffled: bool = False) -> TableBundle:
    """The first rows of every table, references broken or not; `shuffled` mixes every column by itself."""
    rng = np.random.default_rng(0)
    with BundleWriter(directory, schema) as writer:
        for table in schema.table_ids:
            data = bundle.read(table).slice(0, rows)
            if shuffled:
                data = pa.table([data.column(c).take(pa.array(rng.permutation(data.num_rows))) for c in data.column_names], schema=data.schema)
            writer.write(table, data)
    return TableBundle.open(directory)


@pytest.mark.parametrize("name", DATABASES)
def test_rules_hold_for_every_real_database(opened, name: str) -> None:  # type: ignore[no-untyped-def]
    schema, metadata, real = opened(name)
    report = evaluate(real, derive_rules(schema, metadata), schema)
    assert report.passed, [r.rule.text for r in report.results if r.violations]
    assert not [r.rule.text for r in report.results if r.skipped]


@pytest.mark.parametrize("name", ["northwind", "oracle_hr"])
def test_a_database_against_itself_and_a_damaged_copy(opened, tmp_path: Path, name: str) -> None:  # type: ignore[no-untyped-def]
    schema, metadata, real = opened(name)
    same = build(schema, metadata, real, real)
    damaged = build(schema, metadata, real, cut(schema, real, tmp_path, 10**9, shuffled=True))
    assert same.quality is not None and damaged.quality is not None and same.quality > 0.98 > damaged.quality + 0.05
    for key in ("shape", "pairs", "cardinality"):
        assert same.figures["properties"][key]["score"] > 0.999
    assert len(same.html) < 5_000_000 and len(same.summary) < 40_000


@pytest.mark.parametrize("name", ["northwind", "oracle_hr_oe", "employees_small"])
@pytest.mark.parametrize("rows", [0, 1, 8])
def test_tables_of_few_rows(opened, tmp_path: Path, name: str, rows: int) -> None:  # type: ignore[no-untyped-def]
    """Also few against many, and none against some."""
    schema, metadata, real = opened(name)
    few = cut(schema, real, tmp_path / "few", rows)
    report = build(schema, metadata, few, cut(schema, real, tmp_path / "other", 8, shuffled=True))
    report.save(tmp_path / "out")
    assert QualityReport.load(tmp_path / "out").quality == report.quality
    assert build(schema, metadata, real if rows == 0 else few, few).html


@pytest.mark.parametrize("name", DATABASES)
def test_no_part_of_the_diagram_overlaps(shared_data: Path, name: str) -> None:
    connector = connect(f"sqlite:///{shared_data / name}.db")
    schema = connector.reflect()
    connector.close()
    picture = lay_out(schema)
    boxes = picture.boxes
    assert {b.table for b in boxes} == set(schema.table_ids) and len(picture.links) == len(schema.foreign_keys)
    for i, a in enumerate(boxes):
        assert 0 <= a.x and a.x + a.width <= picture.width and a.y + a.height <= picture.height
        assert all(a.y < k.y < a.y + a.height for k in a.keys)
        for b in boxes[:i]:
            assert a.x + a.width <= b.x or b.x + b.width <= a.x or a.y + a.height <= b.y or b.y + b.height <= a.y, (a.table, b.table)
