"""Codecs bring every value back, and keep what they draw on the lattice."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from synth_pipeline.synthesis.relational.encode import CategoryCodec, NumberCodec, bin_edges, digitize, hashed_units
from synth_pipeline.synthesis.relational.heaps import Heaps
from synth_pipeline.synthesis.relational.random import stream


def chunked(values: list[object], kind: pa.DataType) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values, type=kind)])


@given(st.lists(st.one_of(st.none(), st.decimals(-(10**9), 10**9, places=2)), max_size=30))
def test_decimals_come_back_exactly(values: list[Decimal | None]) -> None:
    column = chunked(list(values), pa.decimal128(14, 2))
    codec = NumberCodec.fit(column)
    assert codec is not None
    x = codec.encode(column)
    assert codec.exact(x, np.isnan(x)).equals(column.combine_chunks())


@given(st.lists(st.one_of(st.none(), st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1))), max_size=30))
def test_times_come_back_to_the_microsecond(values: list[dt.datetime | None]) -> None:
    column = chunked(list(values), pa.timestamp("us"))
    codec = NumberCodec.fit(column)
    assert codec is not None
    x = codec.encode(column)
    assert codec.exact(x, np.isnan(x)).equals(column.combine_chunks())


@given(st.lists(st.one_of(st.none(), st.text(max_size=5)), max_size=30))
def test_categories_come_back(values: list[str | None]) -> None:
    column = chunked(list(values), pa.string())
    codec = CategoryCodec.fit(column)
    assert codec.decode(codec.encode(column)).equals(column.combine_chunks())


def test_drawn_numbers_lie_on_the_lattice_and_within_the_range() -> None:
    column = chunked([Decimal("0.99") + i for i in range(40)], pa.decimal128(6, 2))
    codec = NumberCodec.fit(column)
    assert codec is not None and codec.step == 100
    assert codec.decode(np.array([0.0, 1234.0, 1e9])).to_pylist() == [Decimal("0.99"), Decimal("11.99"), Decimal("39.99")]


def test_few_dates_still_tell_that_they_are_whole_days() -> None:
    codec = NumberCodec.fit(chunked([dt.datetime(2020, 1, 1), dt.datetime(2020, 5, 3)], pa.timestamp("us")))
    assert codec is not None
    assert codec.decode(np.array([1.58e15])).to_pylist()[0].hour == 0


def test_dates_and_numbers_in_text_keep_their_spelling_or_are_refused() -> None:
    dates = chunked(["03/01/2020", None, "17/12/2021"], pa.string())
    codec = NumberCodec.fit_text(dates, "%d/%m/%Y")
    assert codec is not None
    assert codec.decode(codec.encode(dates)).to_pylist() == ["03/01/2020", None, "17/12/2021"]
    assert NumberCodec.fit_text(chunked(["1.50", "2.25"], pa.string()), "number") is not None
    assert NumberCodec.fit_text(chunked(["007", "8"], pa.string()), "number") is None
    assert NumberCodec.fit_text(chunked(["03/01/2020", "n/a"], pa.string()), "%d/%m/%Y") is None


def test_floats_beyond_the_exact_range_are_no_numbers() -> None:
    assert NumberCodec.fit(chunked([2**60, 1], pa.int64())) is None


def test_bins_separate_few_values_and_bound_many() -> None:
    assert sorted(set(digitize(np.array([1.0, 2, 3, np.nan]), bin_edges(np.array([1.0, 2, 3]))))) == [0, 1, 2, 3]
    many = np.random.default_rng(0).normal(size=5000)
    edges = bin_edges(many)
    assert 60 < digitize(many, edges).max() < 80
    assert (many > edges[-1]).sum() < 5  # who has most is told apart from who has much


def test_hashes_recognise_values_without_holding_them() -> None:
    x = np.arange(1000, dtype=float)
    hashes = hashed_units(x)
    assert len(np.unique(hashes)) == 1000
    assert np.array_equal(hashes, hashed_units(x))
    assert not np.isin(hashes, x.astype(np.uint64)).any()


def test_single_floats_have_the_digits_that_they_were_written_with() -> None:
    codec = NumberCodec.fit(pa.chunked_array([pa.array([14.0, 9.80000019, 34.7999992, 3.5999999, 19.2000008, 7.44999981])]))
    assert codec is not None and codec.digits == 2
    assert codec.decode(codec.encode(pa.array([15.1999998]))).to_pylist() == [15.2]
    rng = np.random.default_rng(0)
    for arbitrary in (rng.random(100) * 100, rng.normal(size=30), rng.random(20).astype(np.float32).astype(float)):
        found = NumberCodec.fit(pa.chunked_array([pa.array(arbitrary)]))
        assert found is not None and found.digits is None
    whole = NumberCodec.fit(pa.chunked_array([pa.array([1e15, 3.0])]))
    assert whole is not None and whole.digits == 0


def test_numbers_are_as_round_as_real_ones_of_their_size() -> None:
    rng = stream(0, "heaps")
    small, large = rng.integers(100, 1000, 300) // 50 * 50, rng.integers(1000, 9000, 300)
    heaps = Heaps.fit(np.r_[small, large].astype(float), 1.0)
    assert heaps is not None
    made = heaps.rounded(np.r_[rng.integers(120, 950, 500), rng.integers(1100, 8900, 500), np.nan, 0].astype(float), 100, 9000, rng)
    assert (made[:500] % 50 == 0).mean() > 0.95 and (made[500:1000] % 50 == 0).mean() < 0.1
    assert np.isnan(made[1000]) and made[1001] == 0 and np.nanmin(made[:1000]) >= 100
    assert Heaps.fit(rng.integers(1, 5000, 400).astype(float), 1.0) is None
