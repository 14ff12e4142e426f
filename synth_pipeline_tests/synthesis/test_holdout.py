"""Held-out rows are really held out: whole entities, and nothing of the fitted synthesizer depends on their values."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from synth_pipeline import pipeline
from synth_pipeline.artifacts import BundleWriter, TableBundle
from synth_pipeline.catalog.schema import DatabaseSchema
from synth_pipeline.config import Connection, PrivacyConfig, SourceConfig, SynthesizerConfig
from synth_pipeline.progress import Silent
from synth_pipeline.subset import Subset
from synth_pipeline.synthesis.base import TrainingData
from synth_pipeline.synthesis.parallel import Workers
from synth_pipeline.synthesis.relational import store
from synth_pipeline.synthesis.relational.fit import fit_database
from synth_pipeline.synthesis.relational.model import DatabaseModel, TableModel
from synth_pipeline.synthesis.relational.personal import PersonalModel, value_hash
from synth_pipeline.synthesis.relational.rules import Piece, Rank
from synth_pipeline.synthesis.relational.training import Training
from synth_pipeline.synthesis.relational.variable import PRIVACY
from synth_pipeline_tests.comparison.clients import build
from synth_pipeline_tests.conftest import SHARED
from synth_pipeline_tests.synthesis.test_composed import build as build_composed
from synth_pipeline_tests.synthesis.test_shards import build_shop


def other_values(schema: DatabaseSchema, bundle: TableBundle, directory: Path) -> TableBundle:
    """The bundle with every value of its held-out rows replaced, all but keys."""
    with BundleWriter(directory, schema) as writer:
        for table in schema.tables:
            rows, notes = bundle.read(table.id), bundle.annotations(table.id)
            assert notes is not None
            referred = {c for fk in schema.foreign_keys if fk.parent == table.id for c in fk.parent_columns}
            keys = {*table.primary_key, *(c for fk in table.foreign_keys for c in fk.columns), *referred}
            held = pa.array(notes.column("holdout").to_numpy())
            for at, name in enumerate(rows.column_names):
                kind = rows.column(name).type
                if name not in keys:
                    replaced = pc.if_else(held, _poison(kind), rows.column(name))
                    rows = rows.set_column(at, rows.schema.field(at), replaced)
            writer.write(table.id, rows, notes)
    return TableBundle.open(directory)


def training_rows(config: SourceConfig, folder: Path) -> tuple[TrainingData, Subset]:
    """What `fit` gets from a source."""
    reflected = pipeline.reflect(config)
    metadata = pipeline.infer(config, reflected)
    working = pipeline.working_schema(config, reflected, metadata)
    taken = pipeline.subset(config, working, metadata, _new(folder / "subset"))
    return TrainingData(working, metadata, taken.bundle, taken.population), taken


def _poison(kind: pa.DataType) -> pa.Scalar:
    if pa.types.is_string(kind):
        return pa.scalar("Zwischenwasser")
    if pa.types.is_decimal(kind):
        return pa.scalar(Decimal(7_777 if kind.precision - kind.scale > 4 else 77), kind)
    if pa.types.is_binary(kind):
        return pa.scalar(b"Zwischenwasser", kind)
    return pa.scalar(19_876, pa.int32()).cast(kind) if pa.types.is_date(kind) else pa.scalar(7_777).cast(kind)


@pytest.mark.parametrize("name", ["relational", "gaussian_copula"])
def test_no_value_of_held_out_rows_is_ever_drawn(tmp_path: Path, name: str) -> None:
    """Three in ten rows get a value that no other row has: a model that had seen them would draw it."""
    if name != "relational":
        pytest.importorskip("sdv")
    source, privacy = Connection(url=build(tmp_path / "shop.db", 1, same_case=True)), PrivacyConfig(holdout=0.3)
    config = SourceConfig(name="shop", source=source, privacy=privacy, synthesizer=SynthesizerConfig(name=name))
    data, taken = training_rows(config, tmp_path)
    working, metadata = data.schema, data.metadata
    notes = {t: taken.bundle.annotations(t) for t in working.table_ids}
    held = {t: np.asarray(n.column("holdout").to_numpy(), dtype=bool) for t, n in notes.items() if n is not None}
    assert held["client"].sum() == 90 and 200 < held["visit"].sum() < 500
    whose = notes["visit"].column("entity").to_numpy()
    assert set(whose[held["visit"]]).isdisjoint(whose[~held["visit"]]), "an entity is held out with all that belongs to it"

    poisoned = Subset(other_values(working, taken.bundle, tmp_path / "poisoned"), taken.population, taken.report)
    fitted = pipeline.fit(config, working, metadata, poisoned, _new(tmp_path / "fit"))
    made = pipeline.sample(config, working, poisoned, fitted, _new(tmp_path / "sample"))
    for table in ("client", "visit"):
        rows, learned = made.read(table), poisoned.bundle.read(table)
        keys = {*working.table(table).primary_key, *(c for fk in working.table(table).foreign_keys for c in fk.columns)}
        for column in set(rows.column_names) - keys:
            poison = _poison(rows.column(column).type)
            assert poison.as_py() in learned.column(column).to_pylist()
            assert poison.as_py() not in rows.column(column).to_pylist(), (table, column)


SOURCES: dict[str, Callable[[Path], object]] = {
    "clients": lambda path: build(path, 1, same_case=True),
    "composed": build_composed,  # texts hold what their parents, and the parents of these, hold
    "shop": build_shop,  # lines of kept orders name held-out products; totals, places and running numbers span the gaps
}


@pytest.fixture(params=["clients", "composed", "shop", "sakila"])
def training_data(request: pytest.FixtureRequest, tmp_path: Path) -> TrainingData:
    """The subset of a source with a fifth of its entities held out; in sakila rentals of kept customers are of held-out films."""
    name, path = request.param, tmp_path / f"{request.param}.db"
    if name in SOURCES:
        SOURCES[name](path)
    elif not (path := SHARED / "data" / f"{name}.db").exists():
        pytest.skip(f"the shared database {name} is not here")
    config = SourceConfig(name=name, source=Connection(url=f"sqlite:///{path}"), privacy=PrivacyConfig(holdout=0.2))
    return training_rows(config, tmp_path)[0]


def test_nothing_that_is_learnt_depends_on_held_out_rows(training_data: TrainingData, tmp_path: Path) -> None:
    """Every value of theirs is replaced, which breaks every rule in them: the stored model is the same to the last byte."""
    data, stored = training_data, []
    other = dataclasses.replace(data, bundle=other_values(data.schema, data.bundle, tmp_path / "other"))
    for number, seen in enumerate((data, other)):
        model = fit_database(seen, PRIVACY["standard"], 0, Silent(), Workers())
        store.save(_unhashed(model), folder := _new(tmp_path / f"model{number}"))
        stored.append({f.relative_to(folder): f.read_bytes() for f in folder.rglob("*") if f.is_file()})
    assert stored[0].keys() == stored[1].keys() and len(stored[0]) > 3
    assert [str(name) for name in stored[0] if stored[0][name] != stored[1][name]] == []


def _unhashed(model: DatabaseModel) -> DatabaseModel:
    """The model without the time it took and without the hashes of personal values, which are of all rows on purpose."""

    def plain(table: TableModel) -> TableModel:
        drawn = {c: dataclasses.replace(d, avoid=None) for c, d in table.drawn.items()}
        made = {
            c: dataclasses.replace(m, maker=dataclasses.replace(m.maker, avoid=frozenset())) if isinstance(m.maker, PersonalModel) else m
            for c, m in table.made.items()
        }
        return dataclasses.replace(table, drawn=drawn, made=made)

    return DatabaseModel(model.source, model.schema, model.pivots, {t: plain(m) for t, m in model.tables.items()}, {**model.info, "seconds": 0})


def test_rows_that_refer_to_held_out_ones_stay_among_their_siblings(tmp_path: Path) -> None:
    """An order keeps all of its lines; only what a line of a held-out product says is not learnt."""
    build_shop(tmp_path / "shop.db")
    config = SourceConfig(name="shop", source=Connection(url=f"sqlite:///{tmp_path}/shop.db"), privacy=PrivacyConfig(holdout=0.2))
    data, taken = training_rows(config, tmp_path)
    frames = Training.read(data).frames
    held = {t: np.asarray(taken.bundle.annotations(t).column("holdout").to_numpy(), dtype=bool) for t in data.schema.table_ids}  # type: ignore[union-attr]
    assert held["product"].sum() == 60 and held["customer"].sum() == 80
    line, key = frames["line"], "line.fk_code"
    codes = set(taken.bundle.read("product").filter(pa.array(held["product"])).column("code").to_pylist())
    assert line.lost.tolist() == [c in codes for c in line.data.column("code").to_pylist()] and 0.1 < line.lost.mean() < 0.3
    assert (line.parents[key] >= 0).tolist() == (~line.lost).tolist() and not line.train[line.lost].any()
    lines = taken.bundle.read("line").group_by("order_id").aggregate([("position", "count")]).to_pydict()
    whole = dict(zip(lines["order_id"], lines["position_count"], strict=True))
    mine = np.unique(line.data.column("order_id").to_numpy(), return_counts=True)
    assert all(whole[order] == count for order, count in zip(*(a.tolist() for a in mine), strict=True))
    fitted = fit_database(data, PRIVACY["standard"], 0, Silent(), Workers())
    orders, lines_model = fitted.tables["orders"], fitted.tables["line"]
    assert orders.rules.totals["total"].factors and orders.rules.composed["number"].pieces == (Piece("literal", "R-"), Piece("07", "id"))
    assert lines_model.rules.ranks == {"position": Rank(1.0)} and lines_model.rules.copied["price"].column == "price"


def test_personal_values_of_held_out_rows_are_kept_from_coming_out(tmp_path: Path) -> None:
    """Their hashes are kept like those of all others."""
    build(tmp_path / "shop.db", 1, same_case=True)
    data, taken = training_rows(SourceConfig(name="shop", source=Connection(url=f"sqlite:///{tmp_path}/shop.db")), tmp_path)
    model = fit_database(data, PRIVACY["standard"], 0, Silent(), Workers())
    maker = model.tables["client"].made["email"].maker
    assert model.info["rows"]["client"] == 270
    assert isinstance(maker, PersonalModel) and maker.avoid == {value_hash(e) for e in taken.bundle.read("client").column("email").to_pylist()}


def test_a_table_that_is_held_out_as_a_whole_is_learnt_all_the_same(tmp_path: Path) -> None:
    """Otherwise there would be nothing to make its rows of."""
    build(tmp_path / "shop.db", 1, same_case=True)
    config = SourceConfig(name="shop", source=Connection(url=f"sqlite:///{tmp_path}/shop.db"))
    data, taken = training_rows(config, tmp_path)
    with BundleWriter(tmp_path / "all", data.schema) as writer:
        for table in data.schema.table_ids:
            notes = taken.bundle.annotations(table)
            assert notes is not None
            if table == "visit":
                at = notes.column_names.index("holdout")
                notes = notes.set_column(at, "holdout", pa.array(np.ones(notes.num_rows, dtype=bool)))
            writer.write(table, taken.bundle.read(table), notes)
    subset = Subset(TableBundle.open(tmp_path / "all"), taken.population, taken.report)
    fitted = pipeline.fit(config, data.schema, data.metadata, subset, _new(tmp_path / "fit"))
    made = pipeline.sample(config, data.schema, subset, fitted, _new(tmp_path / "sample")).read("visit")
    assert made.num_rows == taken.bundle.rows("visit") and made.column("client_id").null_count == 0
    assert set(made.column("place").to_pylist()) == {"shop", "web", "phone"}


def _new(path: Path) -> Path:
    path.mkdir()
    return path


def test_rows_are_held_out_by_default() -> None:
    assert SourceConfig(name="x", source=Connection(url="sqlite:///x.db")).privacy.holdout == 0.1
