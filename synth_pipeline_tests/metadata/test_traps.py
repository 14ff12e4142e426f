"""One trap per test: columns whose name or values lead a naive detection astray."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from synth_pipeline.metadata.model import ColumnMetadata
from synth_pipeline_tests.metadata.databases import build, infer_file

_DICE = random.Random(7)
_STREETS = ("Main St.", "Oak Avenue", "Rue de Lyon", "Hauptstraße", "Calle Mayor", "Elm Rd", "Park Blvd")
_WORDS = "river stone under quiet market silver morning bread window garden paper train music winter letter bridge".split()


def _sentence(words: int) -> str:
    return " ".join(_DICE.choice(_WORDS) for _ in range(words)).capitalize() + "."


def _many(make: Any, count: int = 60) -> list[Any]:
    return [make(i) for i in range(count)]


def _infer(tmp_path: Path, column: str, kind: str, values: Sequence[Any], table: str = "thing", more: str = "") -> ColumnMetadata:
    ddl = f'CREATE TABLE "{table}" (row_key INTEGER PRIMARY KEY, "{column}" {kind}{more})'
    rows = [(i, v) for i, v in enumerate(values)]
    return infer_file(build(tmp_path / "trap.db", ddl, {table: rows})).column(table, column)


_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_TRAPS: list[tuple[str, str, list[Any], str, set[str], bool]] = [
    # column, type, values, table, accepted sdtypes, personal
    ("ship_address", "VARCHAR(60)", _many(lambda i: f"{i + 3} {_STREETS[i % 7]}"), "orders", {"street_address", "address"}, True),
    ("state", "VARCHAR(10)", _many(lambda i: ("open", "closed", "pending")[i % 3]), "ticket", {"categorical"}, False),
    ("state", "VARCHAR(20)", _many(lambda i: ("CA", "NY", "TX", "WA", "OR")[i % 5]), "branch", {"state_abbr", "administrative_unit"}, False),
    ("city_id", "INTEGER", _many(lambda i: i % 9), "branch", {"id"}, False),
    ("company_name", "VARCHAR(60)", _many(lambda i: f"{_WORDS[i % 16].title()} {_WORDS[i * 7 % 13].title()}"), "thing", {"company", "name"}, False),
    ("discount_code", "VARCHAR(12)", _many(lambda i: f"SAVE{i * 37 % 91:02d}X"), "thing", {"categorical", "id"}, False),
    ("zip", "VARCHAR(80)", _many(lambda i: f"backup_2021_{i}.zip"), "upload", {"file_name", "text", "id"}, False),
    ("phone", "INTEGER", _many(lambda i: 4155550000 + i * 7), "contact", {"phone_number"}, True),
    ("created", "INTEGER", _many(lambda i: 1_600_000_000 + i * 86_413), "event", {"datetime"}, False),
    ("updated_at", "INTEGER", _many(lambda i: 1_600_000_000_000 + i * 86_413_000), "event", {"datetime"}, False),
    ("order_date", "INTEGER", _many(lambda i: 20200101 + i % 28), "orders", {"datetime"}, False),
    ("amount", "INTEGER", _many(lambda i: 20200101 + i % 28), "orders", {"numerical"}, False),
    ("is_gift", "INTEGER", _many(lambda i: i % 2), "orders", {"boolean"}, False),
    ("quantity", "INTEGER", _many(lambda i: i % 2), "orders", {"numerical"}, False),
    ("subscribed", "CHAR(1)", _many(lambda i: "YN"[i % 2]), "orders", {"boolean"}, False),
    ("payload", "TEXT", _many(lambda i: json.dumps({"n": i, "tags": [_WORDS[i % 16]]})), "event", {"unknown"}, False),
    ("ref", "CHAR(26)", _many(lambda i: "01" + "".join(_DICE.choice(_CROCKFORD) for _ in range(24))), "event", {"id"}, False),
    ("file_hash", "CHAR(64)", _many(lambda i: hashlib.sha256(str(i).encode()).hexdigest()), "upload", {"id", "sha256"}, False),
    ("password", "CHAR(64)", _many(lambda i: hashlib.sha256(str(i).encode()).hexdigest()), "account", {"password"}, True),
    ("latitude", "TEXT", _many(lambda i: f"{40 + i / 50:.5f}"), "station", {"latitude"}, False),
    ("version", "VARCHAR(20)", _many(lambda i: f"{i % 4}.{i % 7}.{i % 3}"), "release", {"categorical", "text", "id"}, False),
    ("vin", "CHAR(17)", _many(lambda i: "1HGCM82633A" + f"{i:06d}"), "car", {"vin"}, True),
    ("license", "TEXT", _many(lambda i: _sentence(40)), "software", {"text"}, False),
    ("email_count", "INTEGER", _many(lambda i: i % 30), "customer", {"numerical"}, False),
    ("email_verified", "INTEGER", _many(lambda i: i % 2), "customer", {"boolean"}, False),
    ("phone_type", "VARCHAR(8)", _many(lambda i: ("home", "work", "cell")[i % 3]), "customer", {"categorical"}, False),
    ("correo_electronico", "VARCHAR(60)", _many(lambda i: f"persona{i}@correo.es"), "clientes", {"email"}, True),
    ("Vorname", "VARCHAR(30)", _many(lambda i: ("Jürgen", "Anna", "Uwe", "Sabine", "Karl")[i % 5]), "Kunden", {"first_name"}, True),
    ("name", "VARCHAR(60)", _many(lambda i: f"{_WORDS[i % 16]} {_WORDS[i * 5 % 13]} {i}"), "product", {"text", "categorical"}, False),
    ("name", "VARCHAR(60)", _many(lambda i: f"{('Maria', 'John', 'Anna', 'Peter')[i % 4]} {_WORDS[i % 16].title()}"), "customer", {"name"}, True),
    ("contact", "VARCHAR(60)", _many(lambda i: f"user{i}@example.com"), "thing", {"email"}, True),
    ("val", "VARCHAR(60)", _many(lambda i: f"10.0.{i % 200}.{i + 1}"), "log", {"ipv4_address"}, True),
    ("account", "VARCHAR(34)", ["GB82WEST12345698765432", "DE89370400440532013000", "FR1420041010050500013M02606", "NL91ABNA0417164300"] * 3,
    "payee", {"iban"}, True),
    ("size", "VARCHAR(8)", _many(lambda i: ("S", "M", "L", "XL")[i % 4]), "shirt", {"ordinal", "categorical"}, False),
    ("priority", "INTEGER", _many(lambda i: 1 + i % 5), "ticket", {"ordinal", "categorical"}, False),
    ("capacity", "INTEGER", _many(lambda i: 10 + i % 40), "room", {"numerical"}, False),
    ("price", "VARCHAR(10)", _many(lambda i: f"{i * 1.25:.2f}"), "product", {"numerical"}, False),
    ("note", "TEXT", _many(lambda i: _sentence(12)), "patient", {"text"}, True),
    ("ssn", "CHAR(11)", _many(lambda i: f"{123 + i}-45-{6000 + i}"), "employee", {"ssn"}, True),
    ("birth_date", "VARCHAR(10)", _many(lambda i: f"19{50 + i % 40}-0{1 + i % 9}-1{i % 9}"), "employee", {"datetime"}, False),
    ("signup", "VARCHAR(10)", _many(lambda i: f"{1 + i % 28:02d}.0{1 + i % 9}.2020"), "employee", {"datetime"}, False),
]  # fmt: skip


@pytest.mark.parametrize(("column", "kind", "values", "table", "accepted", "personal"), _TRAPS, ids=[f"{t[3]}.{t[0]}-{t[1]}" for t in _TRAPS])
def test_trap(tmp_path: Path, column: str, kind: str, values: list[Any], table: str, accepted: set[str], personal: bool) -> None:
    found = _infer(tmp_path, column, kind, values, table)
    assert found.sdtype in accepted, (found.sdtype, found.evidence)
    assert found.pii is personal
    assert found.reason


def test_epochs_and_compact_dates_tell_their_format(tmp_path: Path) -> None:
    ddl = "CREATE TABLE event (k INTEGER PRIMARY KEY, created_ts INTEGER, sent_ts INTEGER, event_date INTEGER, day VARCHAR(10))"
    rows = [(i, 1_600_000_000 + i, 1_600_000_000_000 + i, 20210101 + i % 27, f"{13 + i % 15}/01/2021") for i in range(40)]
    columns = infer_file(build(tmp_path / "t.db", ddl, {"event": rows})).tables["event"].columns
    assert [columns[c].datetime_format for c in ("created_ts", "sent_ts", "event_date", "day")] == ["epoch_s", "epoch_ms", "%Y%m%d", "%d/%m/%Y"]


def test_a_date_that_reads_both_ways_goes_on_the_review_list(tmp_path: Path) -> None:
    ddl = "CREATE TABLE event (k INTEGER PRIMARY KEY, day VARCHAR(10))"
    metadata = infer_file(build(tmp_path / "t.db", ddl, {"event": [(i, f"0{1 + i % 9}/0{1 + i % 7}/2021") for i in range(40)]}))
    assert metadata.column("event", "day").sdtype == "datetime"
    assert any(r.column == "day" for r in metadata.review)


def test_two_languages_in_one_table(tmp_path: Path) -> None:
    ddl = """CREATE TABLE "Kunden" ("KundenNr" INTEGER PRIMARY KEY, "Nachname" TEXT, "Straße" TEXT, "PLZ" TEXT, "Ort" TEXT, telefono TEXT,
             fecha_nacimiento TEXT)"""
    rows = [
        (
            i,
            ("Müller", "Schmidt", "Weber")[i % 3],
            f"Bahnhofstraße {i}",
            f"{10115 + i}",
            ("Berlin", "Köln")[i % 2],
            f"+49 30 12345{i:02d}",
            "1980-01-02",
        )
        for i in range(40)
    ]
    columns = infer_file(build(tmp_path / "t.db", ddl, {"Kunden": rows})).tables["Kunden"].columns
    assert {c: m.sdtype for c, m in columns.items()} == {
        "KundenNr": "id", "Nachname": "last_name", "Straße": "street_address", "PLZ": "postcode", "Ort": "city", "telefono": "phone_number",
        "fecha_nacimiento": "datetime",
    }  # fmt: skip


def test_columns_without_values_are_decided_by_name_and_put_up_for_review(tmp_path: Path) -> None:
    ddl = "CREATE TABLE person (k INTEGER PRIMARY KEY, email TEXT, mystery TEXT)"
    metadata = infer_file(build(tmp_path / "t.db", ddl, {"person": [(i, None, None) for i in range(9)]}))
    assert metadata.column("person", "email").sdtype == "email"
    assert metadata.column("person", "mystery").sdtype == "unknown"
    assert {r.column for r in metadata.review} >= {"mystery", "email"}


def test_a_table_of_one_row(tmp_path: Path) -> None:
    ddl = "CREATE TABLE setting (id INTEGER PRIMARY KEY, site_name TEXT, admin_email TEXT, debug BOOLEAN, ratio REAL)"
    metadata = infer_file(build(tmp_path / "t.db", ddl, {"setting": [(1, "Shop", "root@example.org", 0, 0.5)]}))
    found = {c: m.sdtype for c, m in metadata.tables["setting"].columns.items()}
    assert (found["id"], found["admin_email"], found["debug"], found["ratio"]) == ("id", "email", "boolean", "numerical")


def test_pictures_are_personal_only_where_they_show_persons(tmp_path: Path) -> None:
    ddl = """CREATE TABLE employee (id INTEGER PRIMARY KEY, last_name TEXT, photo BLOB);
             CREATE TABLE category (id INTEGER PRIMARY KEY, picture BLOB)"""
    metadata = infer_file(build(tmp_path / "t.db", ddl, {"employee": [(1, "X", b"\x89PNG")], "category": [(1, b"GIF89")]}))
    assert metadata.column("employee", "photo").pii
    assert not metadata.column("category", "picture").pii


def test_checks_give_values_and_bounds(tmp_path: Path) -> None:
    ddl = """CREATE TABLE t (id INTEGER PRIMARY KEY, grade TEXT CHECK (grade IN ('low','medium','high')),
             level INTEGER CHECK (level BETWEEN 1 AND 9), price REAL CHECK (price >= 0 AND price < 1e4))"""
    columns = infer_file(build(tmp_path / "t.db", ddl, {"t": [(1, "low", 3, 1.25)]})).tables["t"].columns
    assert columns["grade"].values == ("low", "medium", "high")
    assert columns["grade"].sdtype == "ordinal"
    assert (columns["level"].minimum, columns["level"].maximum) == (1, 9)
    assert (columns["price"].minimum, columns["price"].maximum) == (0, 1e4)


def test_groups_keep_billing_and_shipping_apart(tmp_path: Path) -> None:
    ddl = """CREATE TABLE orders (id INTEGER PRIMARY KEY, billing_street TEXT, billing_city TEXT, billing_zip TEXT, shipping_street TEXT,
             shipping_city TEXT,
             shipping_zip TEXT, lat REAL, lng REAL)"""
    row = ("1 Main St", "Oslo", "0150", "2 Oak Ave", "Bergen", "5003", 59.9, 10.7)
    groups = infer_file(build(tmp_path / "t.db", ddl, {"orders": [(i, *row) for i in range(9)]})).tables["orders"].groups
    assert [(g.kind, g.columns) for g in groups] == [
        ("address", ("billing_street", "billing_city", "billing_zip")), ("address", ("shipping_street", "shipping_city", "shipping_zip")), ("gps",
        ("lat", "lng")),
    ]  # fmt: skip


def test_a_personal_key_is_personal_in_every_table_and_its_shape_spells_nothing_out(tmp_path: Path) -> None:
    """A prefix that all values share is a literal; the shape of a personal id must not hold it."""
    ddl = """CREATE TABLE author (au_id CHAR(11) PRIMARY KEY, last_name TEXT);
             CREATE TABLE book (book_id INTEGER PRIMARY KEY, au_id CHAR(11) REFERENCES author (au_id))"""
    ssns = [f"123-45-{6000 + i}" for i in range(30)]
    metadata = infer_file(build(tmp_path / "t.db", ddl, {"author": [(s, "X") for s in ssns], "book": [(i, s) for i, s in enumerate(ssns)]}))
    for table in ("author", "book"):
        column = metadata.column(table, "au_id")
        assert (column.sdtype, column.pii, column.regex_format) == ("id", True, r"[0-9]{3}\-[0-9]{2}\-[0-9]{4}")


def test_a_key_that_another_table_refers_to_does_not_refer_back(tmp_path: Path) -> None:
    """Both tables have a badge, and those of the nodes happen to be among those of the items."""
    ddl = """CREATE TABLE node (id INTEGER PRIMARY KEY, badge VARCHAR(8) NOT NULL UNIQUE);
        CREATE TABLE item (id INTEGER PRIMARY KEY, badge VARCHAR(8) NOT NULL UNIQUE, node_badge VARCHAR(8) NOT NULL REFERENCES node (badge))"""
    rows = {"node": [(i, f"B-{i:03d}") for i in range(8)], "item": [(i, f"B-{i:03d}", f"B-{i % 8:03d}") for i in range(40)]}
    relationships = infer_file(build(tmp_path / "trap.db", ddl, rows)).relationships
    assert [(r.child_table_name, r.parent_table_name) for r in relationships] == [("item", "node")]
