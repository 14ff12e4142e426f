"""Rows compared and picked by their keys: numbers in order of appearance, values at rows, paths through a graph."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from synth_pipeline.catalog.graph import leads
from synth_pipeline.keys import at_rows, by_appearance


def test_codes_are_numbered_in_the_order_of_their_first_rows() -> None:
    codes = np.array([7, -1, 7, 3, -1, 10**15, 3])
    number, first = by_appearance(codes)
    assert number.tolist() == [0, 1, 0, 2, 1, 3, 2]
    assert first.tolist() == [0, 1, 3, 5]
    assert [len(found) for found in by_appearance(codes[:0])] == [0, 0]


@pytest.mark.parametrize("kind", [pa.int64(), pa.string(), pa.binary(), pa.bool_(), pa.decimal128(9, 2), pa.timestamp("us"), pa.null()])
def test_where_there_is_no_row_there_is_no_value(kind: pa.DataType) -> None:
    index = np.array([-1, 2, 0, -1])
    values = pa.array([1, None, 3]).cast(pa.string()).cast(kind) if kind in (pa.int64(), pa.string()) else pa.nulls(3, kind)
    for held in (values, pa.chunked_array([values.slice(0, 1), values.slice(1)])):
        found = at_rows(held, index)
        assert type(found) is type(held) and found.type == kind
        assert found.to_pylist() == [None, values[2].as_py(), values[0].as_py(), None]
    for nothing in (pa.array([], kind), pa.chunked_array([], kind)):
        assert at_rows(nothing, np.array([-1, -1])).to_pylist() == [None, None]
        assert len(at_rows(nothing, np.array([], dtype=np.int64))) == 0


def test_paths_lead_along_circles_and_stop_where_nothing_follows() -> None:
    following = {"a": ["b"], "b": ["c", "a"], "c": ["elsewhere"], "d": ["a"]}
    assert leads("a", "c", following) and leads("b", "a", following) and leads("c", "c", following)
    assert not leads("c", "a", following) and not leads("a", "d", following) and not leads("elsewhere", "a", following)
