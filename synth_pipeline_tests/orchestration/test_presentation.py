"""What the UI shows stays small, whatever the schema, and is well-formed."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from urllib.parse import unquote

import dagster as dg
from dagster._serdes import serialize_value
from hypothesis import given
from hypothesis import strategies as st

from synth_pipeline.catalog.schema import Column, DatabaseSchema, ForeignKey, Table
from synth_pipeline.catalog.types import LogicalType
from synth_pipeline.integrity import Rule, RuleResult
from synth_pipeline.metadata.model import ColumnMetadata, Relationship, ReviewItem, SynthesisMetadata, TableMetadata
from synth_pipeline.orchestration import presentation
from synth_pipeline.orchestration.charts import bars

LIMIT = 50_000
LONG = "a_rather_long_name_as_some_generators_make_them_" * 2


def _schema(tables: int) -> DatabaseSchema:
    made = []
    for i in range(tables):
        columns = tuple(Column(f"{LONG}{c}", LogicalType("integer")) for c in range(4))
        key = ForeignKey(f"t{i}.fk", f"{LONG}{i}", (columns[1].name,), f"{LONG}{(i + 1) % tables}", (columns[0].name,))
        made.append(Table(f"{LONG}{i}", f"{LONG}{i}", columns, primary_key=(columns[0].name,), foreign_keys=(key,)))
    return DatabaseSchema("sqlite", tuple(made))


def _bytes(metadata: dict[str, object]) -> int:
    event = dg.AssetMaterialization("a", metadata={k: v for k, v in metadata.items() if v is not None})
    return len(serialize_value(event).encode())


def test_a_schema_of_three_hundred_tables_stays_below_the_limit() -> None:
    schema = _schema(300)
    before = _schema(150)
    shown = presentation.of_schema(schema, before)
    assert shown["tables"] == 300 and shown["cycles"] == 1 and shown["schema_changes"] > 100
    assert _bytes(shown) < LIMIT


def test_metadata_of_many_columns_stays_below_the_limit() -> None:
    columns = {f"{LONG}{i}": ColumnMetadata(sdtype=f"kind{i % 40}", pii=True, reason=LONG * 3) for i in range(50)}
    tables = {f"{LONG}{t}": TableMetadata(columns=columns) for t in range(60)}
    links = tuple(
        Relationship(
            id=str(i),
            parent_table_name=LONG,
            parent_primary_key=(LONG,),
            child_table_name=LONG,
            child_foreign_key=(LONG,),
            source="inferred",
            reason=LONG,
        )
        for i in range(200)
    )
    review = tuple(ReviewItem(table=LONG, column=LONG, question=LONG * 3, confidence=0.5) for _ in range(500))
    shown = presentation.of_metadata(SynthesisMetadata(schema_fingerprint="x", tables=tables, relationships=links, review=review))
    assert shown["personal_columns"] == 3000 and shown["to_review"] == 500 and shown["relationships_inferred"] == 200
    assert _bytes(shown) < LIMIT


def test_broken_rules_are_counted_and_named() -> None:
    rule = Rule("not_null", "customer", ("email",), "email is NOT NULL")
    shown = presentation.of_rules([RuleResult(rule, 100, 3), RuleResult(rule, 100, 0), RuleResult(rule, 0, 0, "no rows")])
    assert (shown["rules"], shown["rows_checked"], shown["violations"], shown["not_checked"]) == (3, 200, 3, 1)
    assert shown["broken"].records[0].data == {"table": "customer", "rule": "email is NOT NULL", "checked": 100, "violations": 3}


def test_a_long_table_says_how_much_was_cut() -> None:
    shown = presentation.table({"name": f"t{i}", "rows": i} for i in range(200))
    assert len(shown.records) == presentation.TABLE_ROWS + 1
    assert shown.records[-1].data["name"] == "… and 140 more"
    wide = presentation.table({"name": LONG * 2, "rows": i} for i in range(200))
    assert len(wide.records) < presentation.TABLE_ROWS and wide.records[-1].data["name"] == f"… and {200 - len(wide.records) + 1} more"


def test_no_rows_are_said_to_be_none() -> None:
    assert presentation.table([]) == dg.MetadataValue.text("none")
    assert presentation.listed([]).md_str == "none"


@given(
    st.lists(st.tuples(st.text(max_size=60), st.tuples(st.floats(0, 1e12), st.floats(0, 1e12))), max_size=60),
    st.sampled_from([("one", "two"), ("a&b<c>", 'x"y')]),
)
def test_charts_are_well_formed_and_short_whatever_the_names(rows: list[tuple[str, tuple[float, float]]], series: tuple[str, str]) -> None:
    """From 1,000 characters on the UI hides Markdown behind a click."""
    drawn = bars(rows, series)
    if not rows:
        assert drawn == ""
        return
    match = re.fullmatch(r"!\[chart\]\(<data:image/svg\+xml,([^<>\n]+)>\)", drawn)
    assert match and len(drawn) < 1_000
    root = ET.fromstring(unquote(match.group(1)))
    assert root.tag.endswith("svg")


def test_a_chart_of_usual_names_shows_ten_tables() -> None:
    drawn = unquote(bars([(f"table_name{i}", (1000.0 + i, 900.0)) for i in range(10)], ("source", "synthetic")))
    assert "table_name9" in drawn and "more" not in drawn
    assert "+ " in unquote(bars([(f"table_name{i}", (1000.0, 900.0)) for i in range(40)], ("source", "synthetic")))
