"""Dates kept as text are read, and written back character by character."""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_pipeline.connectors.temporal import TextFormat, detect

INSTANTS = st.datetimes(min_value=datetime(1000, 1, 1), max_value=datetime(9999, 12, 31))
SPECS = [
    "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S.%fZ", "%Y-%m-%d %H:%M:%S.%3f", "%Y-%m-%d", "%d/%m/%Y %H:%M", "%d.%m.%Y %H:%M:%S.%f", "%Y%m%d",
    "%Y-%m-%d %H:%M:%S[.%f]", "%Y-%m-%d %H:%M:%S.%-f", "%Y/%m/%d %H:%M:%S[.%-f]", "%d-%b-%Y", "%Y-%m-%dT%H:%M:%S+02:00", "%m/%d/%Y %H:%M:%S[.%3f]",
]  # fmt: skip


@pytest.mark.parametrize("spec", SPECS)
@given(instants=st.lists(INSTANTS, min_size=1, max_size=8))
@settings(max_examples=25, deadline=None)
def test_what_is_written_reads_back_to_the_resolution(spec: str, instants: list[datetime]) -> None:
    form = TextFormat(spec)
    texts = form.format(pa.array(instants, pa.timestamp("us")))
    back = form.parse(texts)
    assert back.null_count == 0
    assert form.format(back) == texts
    for instant, read in zip(instants, back.to_pylist(), strict=True):
        assert 0 <= (instant - read).total_seconds() * 1e6 < form.resolution


@given(st.lists(INSTANTS, min_size=1, max_size=20), st.sampled_from([" ", "T"]))
@settings(max_examples=60, deadline=None)
def test_what_python_writes_is_found(instants: list[datetime], separator: str) -> None:
    texts = pa.array([i.isoformat(separator) for i in instants])
    form = detect(texts)
    assert form is not None
    assert form.parse(texts).to_pylist() == instants


@pytest.mark.parametrize(("texts", "spec"), [
    (["2024-01-01 10:00:00"], "%Y-%m-%d %H:%M:%S"), (["1947-09-18 00:00:00", "2024-01-01 00:00:00"], "%Y-%m-%d 00:00:00"),
    (["2004-03-20 17:18:21.86", "2004-03-20 17:18:21.8625"], "%Y-%m-%d %H:%M:%S.%-f"), (["13/02/2024", "01/02/2024"], "%d/%m/%Y"),
    (["02/13/2024"], "%m/%d/%Y"), (["10:00", "23:59"], "%H:%M"), (["2024-01-01T10:00:00.123Z"], "%Y-%m-%dT%H:%M:%S.%3fZ"), (["20240131"], "%Y%m%d"),
])  # fmt: skip
def test_the_format_of_a_column(texts: list[str], spec: str) -> None:
    form = detect(pa.array([*texts, None]))
    assert form is not None and form.spec == spec


@pytest.mark.parametrize("texts", [
    ["2024-02-30"], ["0000-00-00"], ["2024-01-01", ""], ["2024-01-01", "2024-01-01 10:00:00"], ["24:00:01"], ["1/2/2024"], ["soon"], [],
    ["2024-01-01 10:00:00.1234567"], ["2024-01-01 10:00:00Z", "2024-01-01 10:00:00+01:00"],
])  # fmt: skip
def test_what_no_format_writes_back_is_left_alone(texts: list[str]) -> None:
    assert detect(pa.array(texts, pa.string())) is None


def test_a_value_that_does_not_conform_is_null() -> None:
    form = TextFormat("%Y-%m-%d")
    assert form.parse(pa.array(["2024-02-30", "x", None, "2024-02-29"])).is_null().to_pylist() == [True, True, True, False]
