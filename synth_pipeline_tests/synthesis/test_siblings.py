"""Siblings: values carried over, dates scattered and kept apart; linear terms; strata."""

from __future__ import annotations

import numpy as np
import pytest

from synth_pipeline.synthesis.relational.candidates import explained, fit_variable
from synth_pipeline.synthesis.relational.carry import carried_rows, sources
from synth_pipeline.synthesis.relational.frame import Group
from synth_pipeline.synthesis.relational.guide import Terms, normal_scores
from synth_pipeline.synthesis.relational.random import spread_along, stratified, stream
from synth_pipeline.synthesis.relational.scatter import evenness, in_order, in_turn, kept_apart, scattered_strata
from synth_pipeline.synthesis.relational.trees import Feature
from synth_pipeline.synthesis.relational.variable import PRIVACY


def groups(owners: int, size: int) -> Group:
    index = np.repeat(np.arange(owners), size)
    return Group.of(index, np.arange(len(index)))


def test_values_that_siblings_repeat_are_told_from_chance() -> None:
    rng, group = stream(0, "carry"), groups(200, 6)
    fresh = rng.integers(0, 4, 1200).astype(float)
    kept = (rng.random(1200) < 0.8) & (group.position > 0)
    x = fresh[sources(group, kept)]
    found = carried_rows(group, x, np.arange(1200), rng)
    assert found is not None
    later = group.position > 0
    assert found[later].mean() == pytest.approx(0.8, abs=0.04)  # not .85, the share of equal siblings
    assert (x[found] == group.previous(x)[found]).all()
    assert carried_rows(group, fresh, np.arange(1200), rng) is None


def test_a_source_is_the_last_sibling_that_does_not_carry() -> None:
    group = groups(2, 3)
    assert sources(group, np.array([True, True, False, False, True, True])).tolist() == [0, 0, 2, 3, 3, 3]


def test_evenness_tells_chance_from_order_and_from_periods_of_their_own() -> None:
    rng, group = stream(0, "even"), groups(300, 5)
    by_chance, in_parts = rng.random(1500), (group.position + rng.random(1500)) / 5
    local = group.index + rng.random(1500)
    assert evenness(group, by_chance, located=False) == pytest.approx(0, abs=0.2)
    assert evenness(group, in_parts, located=False) == pytest.approx(1, abs=0.05)
    assert evenness(group, local, located=False) is None
    strata = scattered_strata(group, 1.0, rng)
    assert (np.floor(strata * 5) == group.position).all()
    assert np.isnan(scattered_strata(group, 0.0, rng)).all()


def test_groups_that_begin_earlier_the_larger_they_are_are_even_all_the_same() -> None:
    rng = stream(0, "sizes")
    index = np.repeat(np.arange(600), np.repeat([2, 5], 300))
    group = Group.of(index, np.arange(len(index)))
    x = np.where(group.size == 2, 0.6, 0.0) + (group.position + rng.random(len(index))) / group.size * np.where(group.size == 2, 0.4, 1.0)
    assert evenness(group, x, located=False) == pytest.approx(1, abs=0.05)


def test_long_and_short_steps_that_take_turns_are_no_accident() -> None:
    rng, group = stream(0, "turns"), groups(80, 6)
    turns = np.where((group.position + group.index) % 2 == 0, 40.0, 400.0) + rng.integers(0, 9, 480)
    assert in_turn(group, turns)
    assert not in_turn(group, rng.permutation(turns))
    assert not in_turn(groups(5, 4), turns[:20])


def test_siblings_are_kept_apart_without_changing_the_values() -> None:
    rng, group = stream(0, "apart"), groups(400, 4)
    x = rng.random(1600)
    before = in_order(group, x)
    apart = kept_apart(group, x, 0.05, rng)
    assert sorted(apart) == sorted(x)
    steps = apart - group.previous(apart)
    assert (steps[group.position > 0] >= 0).all()
    assert np.nansum(steps < 0.05) < 0.02 * np.nansum(before - group.previous(before) < 0.05)


def test_a_small_table_keeps_a_trend_that_no_leaf_could_hold() -> None:
    rng = stream(0, "trend")
    columns = {n: rng.integers(1, 40, 80).astype(np.uint8) for n in "abc"}
    truth = sum(v.astype(float) for v in columns.values())
    x = truth + rng.normal(0, 4, 80)
    variable = fit_variable(x, np.arange(80), [Feature(n) for n in "abc"], columns, np.arange(80), PRIVACY["standard"], rng, smooth=True)
    assert variable.guide is not None and explained(variable, 0) > 0.85
    drawn = variable.draw(columns, 80, rng)
    assert np.corrcoef(drawn, truth)[0, 1] > 0.9
    assert np.abs(np.sort(drawn) - np.sort(x)).mean() < 0.1 * x.std()  # the marginal distribution is that of the values
    assert not np.isin(drawn, x).all()


def test_noise_has_no_linear_terms_and_a_category_is_judged_by_others() -> None:
    rng, n = stream(0, "noise"), 400
    columns = {f"f{i}": rng.integers(1, 60, n).astype(np.uint8) for i in range(20)} | {"c": rng.integers(0, 150, n).astype(np.int32)}
    features = [*(Feature(f"f{i}") for i in range(20)), Feature("c", 150)]
    terms = Terms(rng.normal(size=n), np.arange(n), features, columns, np.arange(n), rng)
    assert terms.fit([f.name for f in features]) is None


def test_normal_scores_share_the_middle_of_equal_values() -> None:
    scores = normal_scores(np.array([1.0, 2.0, 2.0, 3.0, np.nan]), np.array([1.0, 2.0, 2.0, 3.0]))
    assert scores[1] == scores[2] == pytest.approx(0)
    assert scores[0] == pytest.approx(-scores[3])
    assert np.isnan(scores[4])


def test_weighted_strata_stand_for_as_many_rows_as_they_weigh() -> None:
    rng = stream(0, "weights")
    weights = rng.integers(1, 20, 300).astype(float)
    u = stratified(rng, np.zeros(300, dtype=np.int64), weights)
    assert weights[u < 0.25].sum() / weights.sum() == pytest.approx(0.25, abs=0.05)
    assert ((u >= 0) & (u < 1)).all()


def test_a_spread_along_is_even_in_both() -> None:
    rng = stream(0, "along")
    along = rng.random(2000)
    u = spread_along(rng, np.zeros(2000, dtype=np.int64), along)
    low = u[along < 0.1]
    assert np.abs(np.sort(u) - (np.arange(2000) + 0.5) / 2000).max() < 0.01
    assert np.abs(np.sort(low) - (np.arange(len(low)) + 0.5) / len(low)).max() < 0.03
