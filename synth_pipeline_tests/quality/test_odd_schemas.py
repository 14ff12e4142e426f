"""Names, types and shapes that no one expects make a report all the same."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from synth_pipeline.artifacts import BundleWriter, TableBundle, arrow_schema
from synth_pipeline.catalog.population import Fanout, PopulationStats
from synth_pipeline.catalog.schema import Column, DatabaseSchema, ForeignKey, Table
from synth_pipeline.catalog.types import Kind, LogicalType
from synth_pipeline.config import ChecksConfig
from synth_pipeline.integrity import derive_rules, evaluate
from synth_pipeline.metadata.model import ColumnMetadata, SynthesisMetadata, TableMetadata
from synth_pipeline.quality.model import QualityReport
from synth_pipeline.quality.report import build_report

ODD = 'a "quoted" <b>täble</b>/{{ x }}'
KINDS: dict[Kind, Any] = {
    "integer": 7, "decimal": Decimal("1.50"), "float": float("inf"), "boolean": True, "text": "<script>alert(1)</script>", "binary": b"\x00\xff",
    "date": dt.date(9999, 12, 31), "time": dt.time(23, 59), "datetime": dt.datetime(1, 1, 1), "timestamp": dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
    "uuid": "5b0b8bb8", "enum": "x", "json": "{}", "array": "[1]", "interval": "P1D", "xml": "<a/>", "geometry": b"\x01", "other": "?",
}  # fmt: skip


def report(folder: Path, schema: DatabaseSchema, rows: dict[str, pa.Table], population: PopulationStats | None = None) -> QualityReport:
    with BundleWriter(folder, schema) as writer:
        for table, content in rows.items():
            writer.write(table, content)
    bundle = TableBundle.open(folder)
    metadata = SynthesisMetadata(
        schema_fingerprint=schema.fingerprint(),
        tables={t.id: TableMetadata(columns={c.name: ColumnMetadata(sdtype="unknown") for c in t.columns}) for t in schema.tables},
    )
    integrity = evaluate(bundle, derive_rules(schema), schema)
    made = build_report(
        schema, metadata, bundle, bundle, population or PopulationStats(rows={}), integrity=integrity, facts={"source": ODD}, checks=ChecksConfig()
    )
    made.save(folder / "out")
    json.loads((folder / "out" / "report.json").read_text(), parse_constant=lambda c: pytest.fail(f"{c} is no JSON"))
    return made


def test_a_database_without_tables(tmp_path: Path) -> None:
    made = report(tmp_path, DatabaseSchema("sqlite", ()), {})
    assert made.quality is None and made.privacy["level"] is None and made.passed


@pytest.mark.parametrize("rows", [1, 40])
def test_every_type_and_names_with_markup(tmp_path: Path, rows: int) -> None:
    """One value everywhere, NULL in every third row, in a table whose name needs escaping in HTML, SQL and a template."""
    details: dict[str, Any] = {"decimal": {"precision": 9, "scale": 2}, "enum": {"values": ("x",)}}
    columns = tuple(Column(f"{k} & co", LogicalType(k, **details.get(k, {})), k.upper()) for k in KINDS)
    schema = DatabaseSchema("sqlite", (Table(ODD, "t", columns),))
    fields = arrow_schema(schema, ODD)
    cells = [pa.array([None if i % 3 == 2 else v for i in range(rows)], f.type) for f, v in zip(fields, KINDS.values(), strict=True)]
    data = pa.table(cells, schema=fields)
    made = report(tmp_path, schema, {ODD: data})
    assert "<script>alert" not in made.html and "<b>täble" not in made.html and "{{ x }}" in made.html


def test_cycles_several_keys_to_one_parent_and_self_references(tmp_path: Path) -> None:
    number = LogicalType("integer")
    a = Table(
        "a", "a", (Column("id", number), Column("b1", number), Column("b2", number), Column("up", number), Column("v", number)), primary_key=("id",),
        foreign_keys=(
            ForeignKey("x1", "a", ("b1",), "b", ("id",)), ForeignKey("x2", "a", ("b2",), "b", ("id",)), ForeignKey("x3", "a", ("up",), "a", ("id",)),
        ),
    )  # fmt: skip
    b = Table(
        "b", "b", (Column("id", number), Column("a", number), Column("w", number)), primary_key=("id",),
        foreign_keys=(ForeignKey("y", "b", ("a",), "a", ("id",)),),
    )  # fmt: skip
    n = 300
    ids = list(range(n))
    rows = {
        "a": pa.table({"id": ids, "b1": [i % 60 for i in ids], "b2": [(i * 7) % 60 for i in ids], "up": [None, *ids[:-1]],
                       "v": [i % 13 for i in ids]}),
        "b": pa.table({"id": ids, "a": [i // 2 for i in ids], "w": [i % 17 for i in ids]}),
    }  # fmt: skip
    counts = PopulationStats(rows={"a": n, "b": n}, fanouts={"x1": Fanout((0, 5), (240, 60))})
    made = report(tmp_path, DatabaseSchema("sqlite", (a, b)), rows, counts)
    assert [c["fk"] for c in made.figures["relationships"]] == ["x1", "x2", "x3", "y"]
    assert [c["score"] for c in made.figures["relationships"]] == pytest.approx([1.0] * 4)
    assert made.figures["relationships"][0]["basis"] == "whole source"
