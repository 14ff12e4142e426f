"""Splitting and understanding names."""

from __future__ import annotations

import pytest

from synth_pipeline.catalog.schema import Column, DatabaseSchema, Table
from synth_pipeline.catalog.types import LogicalType
from synth_pipeline.metadata.names import Name, Names, pieces, singular


def _names(**tables: str) -> Names:
    made = (Table(t, t, tuple(Column(c, LogicalType("text")) for c in columns.split())) for t, columns in tables.items())
    return Names(DatabaseSchema("sqlite", tuple(made)))


def _one(column: str, table: str = "thing") -> Name:
    return _names(**{table: column}).column(table, column)


def test_identifiers_are_split_at_case_digits_and_punctuation() -> None:
    assert pieces("ShipAddress2") == ("ship", "address", "2")
    assert pieces("customerURLPath") == ("customer", "url", "path")
    assert pieces("Straße_Nr.") == ("strasse", "nr")
    assert pieces("…") == ()


@pytest.mark.parametrize(
    ("word", "one"), [("cities", "city"), ("addresses", "address"), ("status", "status"), ("people", "person"), ("boxes", "box"), ("bus", "bus")]
)
def test_singular(word: str, one: str) -> None:
    assert singular(word) == one


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("payterms", ("pay", "terms")), ("custaddr", ("customer", "address")), ("orderqty", ("order", "quantity")), ("valid", ("valid",)),
        ("capacity", ("capacity",)),
        ("version", ("version",)), ("candidate", ("candidate",)), ("dob", ("birth", "date")), ("phone_home", ("phone", "home")),
    ],
)  # fmt: skip
def test_run_together_words_and_abbreviations(column: str, words: tuple[str, ...]) -> None:
    assert _one(column).words == words


@pytest.mark.parametrize(
    ("column", "sdtype"),
    [
        ("ship_address", "street_address"), ("address2", "secondary_address"), ("ip_address", "ipv4_address"), ("email_address", "email"),
        ("user_name", "user_name"),
        ("country_code", "country_code"), ("password_hash", "password"), ("phone_1", "phone_number"), ("date_of_birth", "datetime"), ("job_title",
        "job"),
        ("contact_name", "name"), ("company_name", "company"),
    ],
)  # fmt: skip
def test_the_longest_phrase_at_the_end_decides(column: str, sdtype: str) -> None:
    assert _one(column).says(sdtype) > 0


@pytest.mark.parametrize(
    "column", ["email_count", "phone_type", "address_id", "is_email", "name_length", "discount_code", "state_status", "zip_archive_size"]
)
def test_a_head_that_is_something_else_silences_what_stands_before(column: str) -> None:
    personal = {"email", "phone_number", "street_address", "name", "postcode", "administrative_unit"}
    assert not personal & {s for s, _ in _one(column).hints}


def test_the_table_decides_what_a_bare_name_or_title_is() -> None:
    names = _names(customers="name title", suppliers="name", products="name title", cities="name")
    assert names.column("customers", "name").says("name") and names.column("customers", "title").says("job")
    assert names.column("suppliers", "name").says("company")
    assert names.column("cities", "name").says("city")
    assert not names.column("products", "name").says("name") and not names.column("products", "title").says("job")


def test_a_table_lends_its_words_to_the_short_forms_in_its_columns() -> None:
    names = _names(authors="au_id au_lname", publishers="pub_id pubdate", pub_info="pub_id")
    assert names.column("authors", "au_lname").words == ("author", "last", "name")
    assert names.column("publishers", "pubdate").words == ("publisher", "date")
    assert names.column("pub_info", "pub_id").words == ("publisher", "id")
