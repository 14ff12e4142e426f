"""Held-out rows are really held out: whole entities, and no value that only they have is ever drawn."""

from __future__ import annotations

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
from synth_pipeline.subset import Subset
from synth_pipeline_tests.comparison.clients import build


def other_values(schema: DatabaseSchema, bundle: TableBundle, directory: Path) -> TableBundle:
    """The bundle with every value of its held-out rows replaced, all but keys."""
    with BundleWriter(directory, schema) as writer:
        for table in schema.tables:
            rows, notes = bundle.read(table.id), bundle.annotations(table.id)
            assert notes is not None
            keys = {*table.primary_key, *(c for fk in table.foreign_keys for c in fk.columns)}
            held = pa.array(notes.column("holdout").to_numpy())
            for at, name in enumerate(rows.column_names):
                kind = rows.column(name).type
                if name not in keys:
                    replaced = pc.if_else(held, _poison(kind), rows.column(name))
                    rows = rows.set_column(at, rows.schema.field(at), replaced)
            writer.write(table.id, rows, notes)
    return TableBundle.open(directory)


def _poison(kind: pa.DataType) -> pa.Scalar:
    if pa.types.is_string(kind):
        return pa.scalar("Zwischenwasser")
    if pa.types.is_decimal(kind):
        return pa.scalar(Decimal(7_777), kind)
    return pa.scalar(19_876, pa.int32()).cast(kind) if pa.types.is_date(kind) else pa.scalar(7_777).cast(kind)


@pytest.mark.parametrize("name", ["relational", "gaussian_copula"])
def test_no_value_of_held_out_rows_is_ever_drawn(tmp_path: Path, name: str) -> None:
    """Three in ten rows get a value that no other row has: a model that had seen them would draw it."""
    if name != "relational":
        pytest.importorskip("sdv")
    source, privacy = Connection(url=build(tmp_path / "shop.db", 1, same_case=True)), PrivacyConfig(holdout=0.3)
    config = SourceConfig(name="shop", source=source, privacy=privacy, synthesizer=SynthesizerConfig(name=name))
    reflected = pipeline.reflect(config)
    metadata = pipeline.infer(config, reflected)
    working = pipeline.working_schema(config, reflected, metadata)
    taken = pipeline.subset(config, working, metadata, _new(tmp_path / "subset"))
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


def _new(path: Path) -> Path:
    path.mkdir()
    return path


def test_rows_are_held_out_by_default() -> None:
    assert SourceConfig(name="x", source=Connection(url="sqlite:///x.db")).privacy.holdout == 0.1
