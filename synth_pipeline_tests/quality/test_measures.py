"""The measures against independent definitions, and their limits."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from synth_pipeline.catalog.schema import Column
from synth_pipeline.catalog.types import LogicalType
from synth_pipeline.metadata.model import ColumnMetadata
from synth_pipeline.quality import measures
from synth_pipeline.quality.detection import _aggregates
from synth_pipeline.quality.frames import Feature, Side, _feature

numbers = st.lists(st.integers(-5, 5).map(float), min_size=2, max_size=40).map(np.array)
codes = st.lists(st.integers(0, 3), min_size=1, max_size=40).map(np.array)


@settings(max_examples=50, deadline=None)
@given(numbers, numbers)
def test_ks_is_that_of_scipy(a: np.ndarray, b: np.ndarray) -> None:
    expected = stats.ks_2samp(a, b).statistic
    assert measures.ks_distance(a, b) == pytest.approx(expected)
    x, w = np.unique(a, return_counts=True)
    y, v = np.unique(b, return_counts=True)
    assert measures.weighted_ks(x, w.astype(float), y, v.astype(float)) == pytest.approx(expected)


@settings(max_examples=50, deadline=None)
@given(codes, codes)
def test_distances_between_categories(a: np.ndarray, b: np.ndarray) -> None:
    p, q = (np.bincount(x, minlength=4).astype(float) for x in (a, b))
    assert measures.tv_distance(a, b, 4) == pytest.approx(np.abs(p / p.sum() - q / q.sum()).sum() / 2)
    assert measures.js_distance(p, q) == pytest.approx(jensenshannon(p, q, base=2), abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=4, max_size=40))
def test_association_is_that_of_scipy(rows: list[tuple[int, int]]) -> None:
    x, y = np.array(rows).T
    table = np.zeros((3, 3), dtype=int)
    np.add.at(table, (x, y), 1)
    table = table[table.sum(1) > 0][:, table.sum(0) > 0]
    expected = stats.contingency.association(table, method="cramer") if min(table.shape) > 1 else 0.0
    assert measures.cramers_v(x, y, 3, 3) == pytest.approx(expected)


def test_pairs_of_numbers_compare_spearman_and_know_missing_values() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=500)
    b = a**3 + rng.normal(size=500)
    b[:50] = np.nan
    features = {n: Feature(n, "number") for n in "ab"}
    shuffled = {"a": a, "b": rng.permutation(b)}
    known = ~np.isnan(b)
    rho = stats.spearmanr(a[known], b[known]).statistic
    scored = measures.Pairs(features, {"a": a, "b": b}, shuffled).score("a", "b")
    assert scored is not None and scored[1] == pytest.approx(rho, abs=0.01)
    assert scored[0] == pytest.approx(1 - rho / 2, abs=0.06)
    assert measures.Pairs(features, {"a": a, "b": b}, {"a": a, "b": b}).score("a", "b") == (1.0, pytest.approx(scored[1]))
    assert measures.Pairs(features, {"a": np.ones(9), "b": a[:9]}, {"a": a[:9], "b": a[:9]}).score("a", "b") is None


def test_empty_samples_are_far_from_others_and_equal_to_each_other() -> None:
    none = np.zeros(0)
    assert measures.ks_distance(none, none) == 0 and measures.ks_distance(none, np.ones(3)) == 1
    assert measures.tv_distance(none.astype(int), none.astype(int), 1) == 0
    assert measures.js_distance(np.zeros(2), np.ones(2)) == 1


def test_known_associations() -> None:
    x = np.repeat([0, 1, 2], 20)
    assert measures.theils_u(x, x, 3, 3) == pytest.approx(1) and measures.correlation_ratio(x, x * 2.0, 3) == pytest.approx(1)
    y = np.tile([0, 1], 30)
    assert measures.theils_u(x, y, 3, 2) == pytest.approx(0, abs=1e-9) and measures.correlation_ratio(y, np.repeat([1.0, 2.0, 3.0], 20), 2) < 1e-6


def test_an_id_that_many_rows_share_is_a_category_and_others_are_not_compared() -> None:
    """A category without a table of its own says something of a product; the number of a delivery note does not."""
    column, about = Column("category", LogicalType("integer"), "INTEGER"), ColumnMetadata(sdtype="id")
    shared, single = pa.chunked_array([np.repeat(np.arange(20), 15)]), pa.chunked_array([np.arange(300)])
    feature, real, synthetic = _feature(column, about, shared, shared.slice(0, 150)) or pytest.fail("not compared")
    assert (feature.kind, feature.size) == ("category", 21) and len(np.unique(real)) == 20 and len(np.unique(synthetic)) == 10
    assert _feature(column, about, single, single) is None


def test_the_spread_of_children_that_are_all_alike_is_nothing() -> None:
    """What rounding leaves would tell real rows from synthetic ones: it depends on the mean of all rows."""
    rng = np.random.default_rng(4)
    links = np.sort(rng.integers(0, 50, 2_000))
    values = np.where(links < 40, 1_140_039_053.123457, 1.1e9 + rng.random(len(links)) * 1e7)
    side = Side(len(links), values={"at": values}, parents={"fk": links})
    names: list[str] = []
    columns: list[np.ndarray] = []
    _aggregates(SimpleNamespace(features={"at": Feature("at", "date")}), side, "fk", "child(fk)", 50, names, columns)
    spread = columns[names.index("spread of at in child(fk)")]
    assert (spread[:40] == 0.0).all()
    assert spread[40:] == pytest.approx([values[links == i].std(ddof=1) for i in range(40, 50)], rel=1e-5)
