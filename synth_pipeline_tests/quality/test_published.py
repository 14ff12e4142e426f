"""Figures that others can compute too: SDMetrics' own report on plain tables, and the independent yardstick on real databases."""

from __future__ import annotations

import importlib.util
import shutil
import sqlite3
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from synth_pipeline.catalog.population import PopulationStats
from synth_pipeline.connectors import connect
from synth_pipeline.metadata.infer import infer
from synth_pipeline.quality import detection, scores
from synth_pipeline.quality.frames import build_frame
from synth_pipeline.quality.published import PROPERTIES, published_scores
from synth_pipeline_tests.helpers import bundle_of
from synth_pipeline_tests.quality import shop


@pytest.mark.parametrize("exact", [True, False])
def test_sdmetrics_on_plain_tables_gives_the_same_property_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exact: bool) -> None:
    """Its reports on ordinary data frames with ordinary keys; the way for large tables agrees where nothing needs sampling."""
    import pandas as pd
    from sdmetrics.reports.multi_table import DiagnosticReport, QualityReport

    real, made = shop.make(1), shop.make(2)
    made.orders["tax"] = np.random.default_rng(0).permutation(made.orders["tax"])
    made.orders["amount"][5:15] = -1.0  # below every real amount
    made.orders["customer_id"] = np.r_[np.full(20, 999_999), made.orders["customer_id"][20:]]
    made.customer["id"] = np.r_[made.customer["id"][:-3], [1, 1, 2]]
    frame = build_frame(shop.SCHEMA, shop.METADATA, shop.write(real, tmp_path / "a"), shop.write(made, tmp_path / "b"))
    metadata: dict[str, Any] = {
        "tables": {
            "customer": {
                "columns": {
                    "id": {"sdtype": "id"}, "email": {"sdtype": "email", "pii": True}, "region": {"sdtype": "categorical"},
                    "town": {"sdtype": "categorical"},
                    "age": {"sdtype": "numerical"}, "since": {"sdtype": "datetime"},
                },
                "primary_key": "id",
            },
            "orders": {
                "columns": {
                    "id": {"sdtype": "id"}, "customer_id": {"sdtype": "id"}, "placed": {"sdtype": "datetime"}, "channel": {"sdtype": "categorical"},
                    "amount": {"sdtype": "numerical"}, "tax": {"sdtype": "numerical"}, "rating": {"sdtype": "categorical"},
                },
                "primary_key": "id",
            },
        },
        "relationships": [
            {"parent_table_name": "customer", "parent_primary_key": "id", "child_table_name": "orders", "child_foreign_key": "customer_id"}
        ],
    }  # fmt: skip
    tables = [{t: pd.DataFrame(s.arrow(t).to_pandas()) for t in ("customer", "orders")} for s in (real, made)]
    theirs = QualityReport()
    theirs.generate(*tables, metadata, verbose=False)
    expected = {r["Property"]: r["Score"] for _, r in theirs.get_properties().iterrows()}
    if not exact:
        monkeypatch.setattr("synth_pipeline.quality.published._fits", lambda tables: False)
    ours = published_scores(frame)
    assert ours.exact is exact and not ours.failed
    diagnostic = DiagnosticReport()
    diagnostic.generate(*tables, metadata, verbose=False)
    checked = {r["Property"]: r["Score"] for _, r in diagnostic.get_properties().iterrows()}
    assert ours.diagnostic == pytest.approx(checked, abs=1e-6) and checked["Relationship Validity"] < 1 > checked["Data Validity"]
    free = QualityReport()
    free.real_correlation_threshold = free.real_association_threshold = 0
    free.generate(*tables, metadata, verbose=False)
    every = {r["Property"]: r["Score"] for _, r in free.get_properties().iterrows()}
    assert ours.all_pairs == pytest.approx({name: every[name] for name in ours.all_pairs}, abs=1e-6)
    assert set(expected) == set(PROPERTIES)
    for name in PROPERTIES:
        assert ours.properties[name] == pytest.approx(expected[name], abs=1e-6), name
    assert ours.overall == pytest.approx(theirs.get_score(), abs=1e-6)


@pytest.fixture(scope="module")
def yardstick(shared_tools: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("yardstick", shared_tools / "score.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def damaged(source: Path, target: Path, module: ModuleType) -> Path:
    """A copy with half of the columns mixed, and a fifth of the leaf rows gone."""
    shutil.copy(source, target)
    target.chmod(0o644)
    tables, structure = module.load(str(target))
    rng, connection = np.random.default_rng(3), sqlite3.connect(target)
    kinds = module.kinds(tables, structure)
    for name, kind in kinds.items():
        ids = [r[0] for r in connection.execute(f"SELECT rowid FROM {module.q(name)} ORDER BY rowid")]
        unique = {c for u in structure[name]["unique"] for c in u}
        for column in kind:
            if column in unique or rng.random() < 0.5:
                continue
            values = [r[0] for r in connection.execute(f"SELECT {module.q(column)} FROM {module.q(name)} ORDER BY rowid")]
            mixed = [values[i] for i in rng.permutation(len(values))]
            connection.executemany(f"UPDATE {module.q(name)} SET {module.q(column)} = ? WHERE rowid = ?", zip(mixed, ids, strict=True))
    parents = {p for s in structure.values() for p, _, _ in s["fks"]}
    for leaf in set(tables) - parents:
        connection.execute(f"DELETE FROM {module.q(leaf)} WHERE rowid % 5 = 0")
    connection.commit()
    connection.close()
    return target


@pytest.mark.parametrize("name", ["chinook", "sakila"])
def test_scores_and_ceilings_agree_with_the_independent_yardstick(shared_data: Path, yardstick: ModuleType, tmp_path: Path, name: str) -> None:
    source, other = shared_data / f"{name}.db", damaged(shared_data / f"{name}.db", tmp_path / "other.db", yardstick)
    schema, real = bundle_of(source, tmp_path / "real")
    connector = connect(f"sqlite:///{source}")
    metadata = infer(schema, [connector.profile(t) for t in schema.tables])
    connector.close()
    read = connect(f"sqlite:///{other}")
    from synth_pipeline.artifacts import BundleWriter, TableBundle

    with BundleWriter(tmp_path / "other", schema) as writer, read.snapshot() as snapshot:
        for table in schema.tables:
            for batch in snapshot.rows(table):
                writer.write(table.id, batch)
    read.close()
    frame = build_frame(schema, metadata, real, TableBundle.open(tmp_path / "other"))

    y = yardstick
    tables, structure = y.load(str(source))
    made, _ = y.load(str(other))
    kinds = y.kinds(tables, structure)
    plain, other_plain = ({t: y.norm(d[t], kinds[t]) for t in tables} for d in (tables, made))
    theirs: dict[str, float] = {}
    shapes = {(t, c): y.shape(plain[t][c], other_plain[t][c], k) for t in tables for c, k in kinds[t].items()}
    theirs["shape"] = float(np.mean(list(shapes.values())))
    again = {t: plain[t].sample(frac=1, replace=True, random_state=0).reset_index(drop=True) for t in tables}
    theirs["shape ceiling"] = float(np.mean([y.shape(plain[t][c], again[t][c], k) for t in tables if len(plain[t]) for c, k in kinds[t].items()]))
    pairs = [(t, a, b) for t in tables for i, a in enumerate(kinds[t]) for b in list(kinds[t])[:i]]
    scored = [y.pair(plain[t][a], plain[t][b], other_plain[t][a], other_plain[t][b], kinds[t][a], kinds[t][b]) for t, a, b in pairs]
    theirs["pairs"] = float(np.mean([s for s in scored if s is not None]))
    theirs["hop1"] = y.hop_scores(tables, plain, structure, made, other_plain, kinds, 1, cap=60)

    mine = [scores.score_table(frame, t) for t in frame.tables.values()]
    columns = {(t.table, c.column): c for t in mine for c in t.columns if c.score is not None}
    common = [k for k in columns if k in shapes]
    assert len(common) > 0.8 * len(shapes)
    for key in common:
        assert columns[key].score == pytest.approx(shapes[key], abs=0.02), key
    ours = {
        "shape": scores.mean([c.score for c in columns.values()]), "shape ceiling": scores.mean([c.ceiling for c in columns.values()]),
        "pairs": scores.mean([p.score for t in mine for p in t.pairs]), "hop1": scores.mean([t.score for t in scores.score_trends(frame, 1)]),
    }  # fmt: skip
    for key, value in theirs.items():
        assert ours[key] == pytest.approx(value, abs=0.05), (key, ours, theirs)
    cardinality = {}
    for t in tables:
        for p, a, b in structure[t]["fks"]:
            degrees = [y.keystr(d[t], a).value_counts().reindex(y.keystr(d[p], b).values).fillna(0).values.astype(float) for d in (tables, made)]
            cardinality[t, tuple(a)] = 1 - y.ks(*degrees)
    for fk in schema.foreign_keys:
        found = scores.score_cardinality(frame, fk, PopulationStats(rows={}))
        assert found.score == pytest.approx(cardinality[fk.table, fk.columns], abs=1e-9), fk

    largest = max(frame.tables.values(), key=lambda t: t.real.rows)
    found_auc = detection.detect(frame, largest, relatives=True)
    floor = y.agg_floor(tables, plain, structure, kinds, largest.id)
    assert found_auc is not None and found_auc.ceiling == pytest.approx(floor, abs=0.06)
    groups = (y.owner(tables, structure, largest.id), y.owner(made, structure, largest.id))
    features = [y.features(d, n, structure, kinds, largest.id, 1) for d, n in ((tables, plain), (made, other_plain))]
    assert found_auc.auc == pytest.approx(y.auc(*features, *groups), abs=0.08)
