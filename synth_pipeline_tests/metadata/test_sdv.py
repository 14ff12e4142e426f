"""The projection to SDV V2: SDV itself must accept it, and everything left out must be said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from synth_pipeline.metadata.model import ColumnGroup, ColumnMetadata, Relationship, SynthesisMetadata, TableMetadata
from synth_pipeline.metadata.sdv import to_sdv
from synth_pipeline_tests.metadata.databases import infer_file, strip_keys


def _accepted(payload: dict[str, Any]) -> Any:
    import warnings

    from sdv.metadata import Metadata

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metadata = Metadata.load_from_dict(payload)
        metadata.validate()
    return metadata


def _table(key: tuple[str, ...] = ("id",), groups: tuple[ColumnGroup, ...] = (), **columns: ColumnMetadata) -> TableMetadata:
    return TableMetadata(columns={"id": ColumnMetadata(sdtype="id"), **columns}, primary_key=key, groups=groups)


def _link(name: str, child: str, column: str, parent: str, key: str = "id") -> Relationship:
    return Relationship(id=name, parent_table_name=parent, parent_primary_key=(key,), child_table_name=child, child_foreign_key=(column,))


_ID = ColumnMetadata(sdtype="id")


@pytest.mark.parametrize("name", ["chinook", "northwind", "sakila", "oracle_hr", "oracle_hr_oe", "pubs", "employees_small", "ensembl_core"])
def test_sdv_accepts_the_projection_of_every_real_database(shared_data: Path, name: str) -> None:
    metadata = infer_file(shared_data / f"{name}.db")
    payload, lost = to_sdv(metadata)
    accepted = _accepted(payload)
    assert set(accepted.tables) == set(metadata.tables)
    dropped = sum(line.startswith("relationship ") for line in lost)
    assert len(payload["relationships"]) + dropped == len(metadata.relationships) + len(metadata.polymorphic)


def test_sdv_accepts_the_projection_of_inferred_keys(shared_data: Path, tmp_path: Path) -> None:
    _accepted(to_sdv(infer_file(strip_keys(shared_data / "sakila.db", tmp_path / "sakila.db")))[0])


def test_self_references_cycles_reused_columns_and_alternate_keys_are_left_out_and_said() -> None:
    tables = {"a": _table(up=_ID, b_id=_ID, code=_ID), "b": _table(a_id=_ID, a_code=_ID), "c": _table(x=_ID)}
    links = (
        _link("self", "a", "up", "a"), _link("ab", "b", "a_id", "a"), _link("ba", "a", "b_id", "b"), _link("alt", "b", "a_code", "a", "code"),
        _link("ca", "c", "x", "a"), _link("cb", "c", "x", "b"),
    )  # fmt: skip
    payload, lost = to_sdv(SynthesisMetadata(schema_fingerprint="x", tables=tables, relationships=links))
    _accepted(payload)
    assert [(r["child_table_name"], r["parent_table_name"]) for r in payload["relationships"]] == [("b", "a"), ("c", "a")]
    assert [line.split(": ")[1] for line in lost] == [
        "a table cannot refer to itself", "it closes a cycle", "it does not point at the primary key", "its columns are a foreign key already",
    ]  # fmt: skip


def test_formats_bounds_and_values_are_carried_over() -> None:
    table = _table(
        when=ColumnMetadata(sdtype="datetime", datetime_format="%d.%m.%Y"), epoch=ColumnMetadata(sdtype="datetime", datetime_format="epoch_s"),
        price=ColumnMetadata(sdtype="numerical", decimals=2, minimum=0, maximum=9), kind=ColumnMetadata(sdtype="categorical", values=("x", "y")),
        code=ColumnMetadata(sdtype="id", regex_format="[A-Z]{2}"), mail=ColumnMetadata(sdtype="email", pii=True), words=ColumnMetadata(sdtype="text"),
    )  # fmt: skip
    payload, lost = to_sdv(SynthesisMetadata(schema_fingerprint="x", tables={"t": table}))
    columns = payload["tables"]["t"]["columns"]
    _accepted(payload)
    assert columns["when"] == {"sdtype": "datetime", "datetime_format": "%d.%m.%Y"}
    assert columns["price"] == {"sdtype": "numerical", "decimal_places": 2, "range_min": 0, "range_max": 9}
    assert columns["kind"]["range_values"] == ["x", "y"]
    assert columns["code"]["regex_format"] == "[A-Z]{2}"
    assert columns["mail"]["pii"] is True and columns["words"]["pii"] is False
    assert columns["epoch"] == {"sdtype": "numerical"} and "epoch_s" in lost[0]


def test_a_key_of_nothing_but_dates_and_a_table_without_columns() -> None:
    tables = {
        "calendar": TableMetadata(columns={"day": ColumnMetadata(sdtype="datetime")}, primary_key=("day",)), "void": TableMetadata(columns={}),
    }  # fmt: skip
    payload, lost = to_sdv(SynthesisMetadata(schema_fingerprint="x", tables=tables))
    _accepted(payload)
    assert "primary_key" not in payload["tables"]["calendar"] and "void" not in payload["tables"]
    assert len(lost) == 2
