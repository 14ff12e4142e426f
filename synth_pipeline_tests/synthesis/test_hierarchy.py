"""Self references: who may be whose parent, how often, and when; and keys that lead to a row's own child."""

from __future__ import annotations

import numpy as np

from synth_pipeline.synthesis.relational.hierarchy import climb, fewer_roots
from synth_pipeline.synthesis.relational.matching import in_time
from synth_pipeline.synthesis.relational.shares import drawn_in_shares


def test_a_parent_is_of_the_level_above_of_the_same_cell_and_not_later() -> None:
    rng = np.random.default_rng(0)
    n = 5_000
    cell, level, time = rng.integers(0, 300, n), rng.integers(0, 4, n), rng.integers(0, 50, n).astype(float)
    index = climb(level, rng.random(n) + 0.1, cell, time, rng.exponential(5, n), rng)
    rows = np.flatnonzero(index >= 0)
    assert len(rows) > n / 2
    assert (cell[index[rows]] == cell[rows]).all()
    assert (time[index[rows]] <= time[rows]).all()
    depth, above = np.zeros(n, dtype=int), index.copy()
    while (above >= 0).any():
        depth[above >= 0] += 1
        above = np.where(above >= 0, index[np.maximum(above, 0)], -1)
    assert (depth <= level).all()
    # Nobody becomes a root who finds somebody above him.
    first = np.full(300, np.inf)
    np.minimum.at(first, cell[level == 0], time[level == 0])
    assert (index[(level == 1) & (time >= first[cell])] >= 0).all()


def test_children_come_as_long_after_their_parents_as_they_should_and_parents_have_their_numbers() -> None:
    rng = np.random.default_rng(1)
    questions = np.sort(rng.uniform(0, 1000, 400))
    degrees = rng.poisson(2, 400)
    gap = rng.exponential(4, degrees.sum())
    answers = np.repeat(questions, degrees) + gap
    level = np.r_[np.zeros(400, dtype=int), np.ones(len(answers), dtype=int)]
    time, weight = np.r_[questions, answers], np.r_[degrees, np.zeros(len(answers))] + 1e-6
    index = climb(level, weight, np.zeros(len(level), dtype=int), time, np.r_[np.full(400, np.nan), rng.permutation(gap)], rng)
    later = time[400:] - time[index[400:]]
    assert later.min() >= 0
    assert np.median(later) < 3 * np.median(gap)
    assert np.corrcoef(np.bincount(index[400:], minlength=400), degrees)[0, 1] > 0.9


def test_a_chain_of_many_levels_without_time_is_kept() -> None:
    n = 3_000
    index = climb(np.arange(n)[::-1].copy(), np.ones(n), np.zeros(n, dtype=int), None, None, np.random.default_rng(2))
    assert np.array_equal(index, np.r_[np.arange(1, n), -1])


def test_there_are_no_more_roots_than_there_should_be_and_those_with_most_children_stay() -> None:
    level, weight = np.array([0.0, 0, 0, 0, 1, np.nan, 2]), np.array([1.0, 9, 3, 2, 0, 0, 0])
    nobody = np.zeros(7, dtype=bool)
    assert np.flatnonzero(fewer_roots(level, 0.9, weight, nobody) == 0).tolist() == [1]
    assert np.flatnonzero(fewer_roots(level, 0.9, weight, np.arange(7) == 3) == 0).tolist() == [3]
    assert np.array_equal(fewer_roots(level, 3, weight, nobody), level, equal_nan=True)  # chance


def test_parents_that_begin_too_late_are_exchanged_and_nobody_loses_a_child() -> None:
    rng = np.random.default_rng(3)
    start, time = rng.uniform(0, 500, 80), rng.uniform(300, 1000, 2_000)
    index = rng.integers(0, 80, 2_000)
    assert (start[index] > time).sum() > 50
    found = in_time(index, time, start, np.full(len(start), np.nan), rng.integers(0, 5, 2_000), rng)
    assert (start[found] <= time).all()
    assert np.array_equal(np.bincount(found, minlength=80), np.bincount(index, minlength=80))


def test_categories_have_their_shares_where_the_context_is_another_one() -> None:
    """Nine rows in ten of the source are in the first leaf, every other drawn row: what is rare there is not drawn less often."""
    rng = np.random.default_rng(4)
    first, second = np.sort(rng.choice([0.0, 1.0], 900, p=[0.9, 0.1])), np.sort(rng.choice([0.0, 1.0, 2.0], 100, p=[0.2, 0.3, 0.5]))
    pool, leaf = np.r_[first, second], np.repeat([0, 1], 5_000)
    drawn = drawn_in_shares(pool, np.array([900, 100]), leaf, rng.random(10_000), None)
    for value in (0.0, 1.0, 2.0):
        assert abs((drawn == value).mean() - (pool == value).mean()) < 0.02
    assert not (drawn[leaf == 0] == 2).any()


def test_runs_count_as_the_rows_that_they_stand_for() -> None:
    rng = np.random.default_rng(5)
    pool = np.r_[np.zeros(80), np.ones(20)]
    weights = rng.integers(1, 30, 2_000).astype(float)
    drawn = drawn_in_shares(pool, np.array([100]), np.zeros(2_000, dtype=int), rng.random(2_000), weights)
    assert abs(np.average(drawn, weights=weights) - 0.2) < 0.03


def test_categories_of_one_row_are_hardly_lost_and_the_others_have_their_rows() -> None:
    """Forty categories, the rarest with a single row each, drawn in runs of up to thirty rows out of three leaves."""
    rng = np.random.default_rng(6)
    counts = np.r_[[1] * 10, rng.integers(5, 400, 30)]
    leaves = [np.sort(part) for part in np.array_split(rng.permutation(np.repeat(np.arange(40.0), counts)), 3)]
    sizes = np.array([len(x) for x in leaves])
    weights = rng.integers(1, 30, 2 * counts.sum() // 30).astype(float)
    drawn = drawn_in_shares(np.concatenate(leaves), sizes, rng.integers(0, 3, len(weights)), rng.random(len(weights)), weights)
    found = np.bincount(drawn.astype(int), weights, minlength=40)
    wanted = counts * weights.sum() / counts.sum()
    assert (found[:10] > 0).sum() >= 7 and np.abs(found - wanted).max() < 15 and np.abs(found - wanted).mean() < 3
