"""Written forms: dates, decimals, shapes of ids."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_pipeline.metadata.formats import DATE_FORMATS, date_format, decimals, id_regex


@pytest.mark.parametrize("fmt", DATE_FORMATS)
def test_every_format_of_the_list_is_recognised(fmt: str) -> None:
    from datetime import UTC, datetime

    moments = [datetime(2000 + i, 1 + i % 12, 13 + i % 15, 10 + i % 9, 20 + i, 30 + i, 123456, tzinfo=UTC) for i in range(20)]
    found, share, _ = date_format([m.strftime(fmt) for m in moments])
    assert share == 1.0 and found is not None
    assert all(m.strftime(found) == m.strftime(fmt) for m in moments)


def test_what_is_no_date_has_no_format() -> None:
    assert date_format(["415 555-1234", "1.2.3", "12 Main St"])[0] is None
    assert date_format([]) == (None, 0.0, False)


def test_decimals_are_counted_and_irrational_numbers_have_none() -> None:
    assert decimals(np.array([1.25, 3.0])) == 2
    assert decimals(np.array([1.0, 3.0])) == 0
    assert decimals(np.array([np.pi])) is None


@pytest.mark.parametrize(
    ("values", "regex"),
    [
        (["BU1032", "PC8888", "MC2222"], "[A-Z]{2}[0-9]{4}"), (["a-1", "b-22", "c-333"], r"[a-z]\-[0-9]{1,3}"), (["d001", "d002"], "[a-z][0-9]{3}"),
        (["Senior Engineer", "Staff", "Engineer"], None), (["9f86d081", "60303ae2", "fd61a03a"], "[0-9a-f]{8}"),
    ],
)  # fmt: skip
def test_shapes_of_ids(values: list[str], regex: str | None) -> None:
    assert id_regex(values, literals=False) == regex


def test_a_shared_prefix_is_spelled_out_only_for_many_values_that_are_not_personal() -> None:
    values = [f"INV-{i:05d}" for i in range(40)]
    assert id_regex(values, literals=True) == r"INV\-[0-9]{5}"
    assert id_regex(values, literals=False) == r"[A-Z]{3}\-[0-9]{5}"
    assert id_regex(values[:5], literals=True) == r"[A-Z]{3}\-[0-9]{5}"


@given(st.lists(st.text(alphabet="abcXYZ0189-_. @", min_size=1, max_size=20), min_size=1, max_size=40, unique=True))
def test_a_shape_fits_nearly_all_values_and_holds_no_letter_or_digit_of_them(values: list[str]) -> None:
    regex = id_regex(values, literals=False)
    if regex is None:
        return
    assert sum(re.fullmatch(regex, v) is not None for v in values) >= 0.95 * len(values)
    literal = re.sub(r"\[[^\]]*\]|\{[\d,]*\}|\\.", "", regex)
    assert not re.search(r"[A-Za-z0-9]", literal)
