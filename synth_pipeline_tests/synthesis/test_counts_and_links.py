"""Counts keep the population's histogram; links keep the parents' degrees."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_pipeline.synthesis.relational.balance import balance, find_margins
from synth_pipeline.synthesis.relational.counts import CountModel, apportion, impose_total
from synth_pipeline.synthesis.relational.hierarchy import levels
from synth_pipeline.synthesis.relational.matching import match
from synth_pipeline.synthesis.relational.random import stream
from synth_pipeline.synthesis.relational.trees import Feature
from synth_pipeline.synthesis.relational.variable import Variable


def test_calibrated_counts_have_the_populations_histogram_in_the_drawn_order() -> None:
    model = CountModel(Variable([]), np.array([0, 1, 5]), np.array([50, 30, 20]))
    raw = np.random.default_rng(0).permutation(200).astype(float)
    counts = model.calibrate(raw, stream(0, "c"))
    assert [int((counts == d).sum()) for d in (0, 1, 5)] == [100, 60, 40]
    assert (np.diff(counts[np.argsort(raw)]) >= 0).all()


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.integers(0, 400))
def test_a_total_is_met_exactly(counts: list[int], total: int) -> None:
    out = impose_total(np.array(counts), total, stream(0, "t"))
    assert out.sum() == total
    assert (out >= 0).all()


@given(st.lists(st.integers(0, 1), min_size=1, max_size=40), st.integers(0, 60))
def test_a_total_respects_a_limit_per_parent(counts: list[int], total: int) -> None:
    out = impose_total(np.array(counts), total, stream(0, "t"), most=1)
    assert out.sum() == min(total, len(counts))
    assert out.max() <= 1


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), min_size=1, max_size=40), st.integers(0, 200))
def test_a_total_respects_the_limit_of_each_parent(parents: list[tuple[int, int]], total: int) -> None:
    counts, most = np.array(parents).T
    out = impose_total(counts, total, stream(0, "t"), most=most)
    assert out.sum() == min(total, most.sum())
    assert (out <= most).all() and (out >= 0).all()


def test_few_parents_share_their_children_as_the_real_ones_do() -> None:
    country, born = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1]), np.arange(1, 10)
    count = np.array([40, 30, 60, 20, 130, 150, 120, 160, 120])  # country 0: 18 % of the children
    features, columns = [Feature("country", 2), Feature("born")], {"country": country, "born": born}
    margins = find_margins(features, columns, np.arange(9), count)
    assert margins["country"].shares == pytest.approx([150 / 830, 680 / 830])
    assert set(margins["born"].groups) == {0, 1, 2}  # never fewer than three of nine
    dealt = np.sort(count)[::-1]  # the largest counts to country 0
    out = balance(dealt, margins, columns, stream(0, "balance"))
    assert sorted(out) == sorted(count)
    assert out[country == 0].sum() == pytest.approx(150, abs=30)


def test_a_group_of_two_says_nothing() -> None:
    feature, columns = [Feature("title", 3)], {"title": np.array([0, 0, 0, 0, 1, 1, 2])}
    margins = find_margins(feature, columns, np.arange(7), np.array([5, 5, 5, 5, 1, 1, 90]))
    assert [m.groups.tolist() for m in margins.values()] == [[0, 1, 1]]  # the two and the one are told together
    assert find_margins(feature, {"title": np.array([0, 0, 0, 0, 0, 1, 2])}, np.arange(7), np.arange(7)) == {}
    assert find_margins([Feature("x")], {"x": np.arange(400)}, np.arange(400), np.arange(400)) == {}  # a tree can tell


@given(st.lists(st.floats(0, 100), min_size=1, max_size=30), st.integers(0, 200))
def test_apportioned_numbers_add_up_and_stay_near_their_share(weights: list[float], total: int) -> None:
    w = np.array(weights)
    out = apportion(w, total, stream(0, "a"))
    assert out.sum() == total
    if w.sum() > 0:
        assert np.abs(out - w / w.sum() * total).max() < 2


def test_matching_uses_every_parent_as_often_as_its_degree_and_prefers_the_wanted_block() -> None:
    rng = np.random.default_rng(1)
    degrees = rng.integers(0, 6, 100)
    blocks = np.arange(100) % 4
    wanted = np.repeat(np.arange(4), [int(degrees[blocks == b].sum()) for b in range(4)])
    index = match(wanted, blocks, degrees, stream(0, "m"))
    assert np.array_equal(np.bincount(index, minlength=100), degrees)
    assert (blocks[index] == wanted).all()


def test_rows_that_find_no_room_in_their_block_take_what_is_left() -> None:
    index = match(np.zeros(10, dtype=np.int64), np.array([0, 1]), np.array([4, 6]), stream(0, "m"))
    assert np.bincount(index).tolist() == [4, 6]


def test_a_unique_key_uses_no_parent_twice() -> None:
    index = match(np.zeros(50, dtype=np.int64), np.zeros(60, dtype=np.int64), np.ones(60, dtype=np.int64), stream(0, "m"), most=1)
    assert len(set(index.tolist())) == 50


@pytest.mark.parametrize("length", [1, 7, 100_000])
def test_levels_of_a_chain(length: int) -> None:
    assert np.array_equal(levels(np.arange(length) - 1), np.arange(length))


def test_rows_that_point_to_themselves_have_no_level_and_loops_end() -> None:
    found = levels(np.array([0, 0, 3, 2, -1]))
    assert np.isnan(found[0])
    assert found[1] == 1
    assert found[4] == 0
    assert np.isfinite(found[2:4]).all()
