"""Figures that others can compute too: SDMetrics' own report on plain tables, and the independent yardstick on real databases."""

from __future__ import annotations

import importlib.util
import shutil
import sqlite3
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from synth_pipeline.artifacts import BundleWriter, TableBundle
from synth_pipeline.catalog.population import PopulationStats
from synth_pipeline.catalog.schema import DatabaseSchema
from synth_pipeline.connectors import connect
from synth_pipeline.metadata.infer import infer
from synth_pipeline.quality import detection, scores
from synth_pipeline.quality.frames import Frame, build_frame
from synth_pipeline.quality.privacy import measure
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


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"yardstick_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def yardstick(shared_tools: Path) -> ModuleType:
    return loaded(shared_tools / "score.py")


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


def opened(path: Path, like: DatabaseSchema, directory: Path) -> TableBundle:
    """The rows of a database of the same schema."""
    connector = connect(f"sqlite:///{path}")
    with BundleWriter(directory, like) as writer, connector.snapshot() as snapshot:
        for table in like.tables:
            for batch in snapshot.rows(table):
                writer.write(table.id, batch)
    connector.close()
    return TableBundle.open(directory)


def frame_of(source: Path, other: Path, folder: Path) -> Frame:
    schema, real = bundle_of(source, folder / "real")
    connector = connect(f"sqlite:///{source}")
    metadata = infer(schema, [connector.profile(t) for t in schema.tables])
    connector.close()
    return build_frame(schema, metadata, real, opened(other, schema, folder / "other"))


@pytest.mark.parametrize("name", ["chinook", "sakila"])
def test_scores_and_ceilings_agree_with_the_independent_yardstick(shared_data: Path, yardstick: ModuleType, tmp_path: Path, name: str) -> None:
    source, other = shared_data / f"{name}.db", damaged(shared_data / f"{name}.db", tmp_path / "other.db", yardstick)
    frame = frame_of(source, other, tmp_path)
    schema = frame.schema

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
    best = [y.pair(plain[t][a], plain[t][b], again[t][a], again[t][b], kinds[t][a], kinds[t][b]) for t, a, b in pairs if len(plain[t])]
    theirs["pairs ceiling"] = float(np.mean([s for s in best if s is not None]))
    theirs["hop1"] = y.hop_scores(tables, plain, structure, made, other_plain, kinds, 1, cap=60)
    theirs["hop2"] = y.hop_scores(tables, plain, structure, made, other_plain, kinds, 2, cap=60)
    theirs["hop1 ceiling"] = y.hop_scores(tables, plain, structure, tables, plain, kinds, 1, cap=60, boot=True)

    mine = [scores.score_table(frame, t) for t in frame.tables.values()]
    columns = {(t.table, c.column): c for t in mine for c in t.columns if c.score is not None}
    common = [k for k in columns if k in shapes]
    assert len(common) > 0.8 * len(shapes)
    for key in common:
        assert columns[key].score == pytest.approx(shapes[key], abs=0.02), key
    hops = {h: scores.score_trends(frame, h) for h in (1, 2)}
    ours = {
        "shape": scores.mean([c.score for c in columns.values()]), "shape ceiling": scores.mean([c.ceiling for c in columns.values()]),
        "pairs": scores.mean([p.score for t in mine for p in t.pairs]), "pairs ceiling": scores.mean([p.ceiling for t in mine for p in t.pairs]),
        **{f"hop{h}": scores.mean([t.score for t in trends for _ in range(t.pairs)]) for h, trends in hops.items()},
        "hop1 ceiling": scores.mean([t.ceiling for t in hops[1] for _ in range(t.pairs)]),
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

    for table in sorted(frame.tables.values(), key=lambda t: -t.real.rows)[:3]:
        owners = y.owner(tables, structure, table.id), y.owner(made, structure, table.id)
        for relatives in (False, True):
            found_auc = detection.detect(frame, table, relatives=relatives)
            features = [y.features(d, n, structure, kinds, table.id, int(relatives)) for d, n in ((tables, plain), (made, other_plain))]
            grouped = relatives and all(o is not None for o in owners)
            expected = y.auc(*features, *(owners if grouped else (None, None)))
            if found_auc is not None and expected is not None:
                assert found_auc.auc == pytest.approx(expected, abs=0.08), (table.id, relatives)
        floor = y.agg_floor(tables, plain, structure, kinds, table.id)
        if found_auc is not None and floor is not None:
            assert found_auc.ceiling == pytest.approx(floor, abs=0.08), table.id


@pytest.mark.parametrize("name", ["chinook", "sakila"])
def test_distances_and_ceilings_agree_with_the_held_out_yardstick(
    shared_data: Path, shared_tools: Path, yardstick: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Two halves by root entities: the one judged against itself as training rows, with the other one held out."""
    from synth_pipeline.comparison.compare import _joined

    monkeypatch.setitem(sys.modules, "score", yardstick)
    module = loaded(shared_tools / "heldout.py")
    halves = tmp_path / "train.db", tmp_path / "held.db"
    module.split(str(shared_data / f"{name}.db"), *map(str, halves))
    shutil.copy(halves[0], tmp_path / "copy.db")
    theirs, _ = module.nearer(*map(str, halves), str(tmp_path / "copy.db"))
    frame = frame_of(*halves, tmp_path)
    training = TableBundle.open(tmp_path / "real")
    both = _joined(frame.schema, training, TableBundle.open(tmp_path / "other"), tmp_path / "both")
    for synthetic, what in ((training, "copies"), (TableBundle.open(tmp_path / "other"), "held-out rows")):
        joined = build_frame(frame.schema, frame.metadata, both, synthetic)
        found = {p.table: p for p in measure(joined, both, synthetic)}
        # The yardstick's halves share the parents that both need; here these count as seen.
        apart = [t for t, f in joined.tables.items() if f.holdout.sum() > 0.95 * frame.tables[t].synthetic.rows]
        compared = [t for t in theirs if found[t].nearer is not None and t in apart]
        assert len(compared) >= 1
        for table in compared:
            near = found[table].nearer
            assert near is not None
            if what == "copies":
                assert near == pytest.approx(theirs[table], abs=0.1), table
            else:
                assert near < 0.5, table  # its own rows are as near as can be
