"""Honest trees and what is drawn from them."""

from __future__ import annotations

import numpy as np
import pytest

from synth_pipeline.synthesis.relational.candidates import fit_variable
from synth_pipeline.synthesis.relational.encode import bin_edges, digitize
from synth_pipeline.synthesis.relational.random import stratified, stream
from synth_pipeline.synthesis.relational.trees import Feature, grow
from synth_pipeline.synthesis.relational.variable import PRIVACY, evened


def test_streams_depend_on_the_seed_and_the_names_only() -> None:
    a, b = stream(1, "t", "c").random(5), stream(1, "t", "c").random(5)
    assert np.array_equal(a, b)
    assert not np.array_equal(a, stream(2, "t", "c").random(5))
    assert not np.array_equal(a, stream(1, "t", "d").random(5))


def test_stratified_numbers_fill_every_stratum_of_their_group_once() -> None:
    groups = np.repeat([3, 1, 7], [10, 1, 25])
    u = stratified(stream(0, "x"), groups)
    for group, size in ((3, 10), (1, 1), (7, 25)):
        assert sorted((u[groups == group] * size).astype(int)) == list(range(size))


@pytest.fixture
def data() -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    n = 6000
    columns = {
        "a": rng.integers(1, 60, n).astype(np.uint8),
        "noise": rng.integers(1, 60, n).astype(np.uint8),
        "k": rng.integers(0, 30, n).astype(np.int32),
    }
    y = (columns["a"] > 30) * 10.0 + (columns["k"] % 3) + rng.normal(size=n) * 0.1
    return columns, y, np.arange(n) // 4


def test_leaves_hold_enough_rows_and_entities_and_only_the_donors_half(data: tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]) -> None:
    columns, y, entities = data
    half = entities % 2 == 0
    features = [Feature("a"), Feature("noise"), Feature("k", 30)]
    donors = np.flatnonzero(~half)
    tree = grow(
        features, columns, y[:, None], np.flatnonzero(half), donors[np.argsort(y[donors])],
        entities=entities, min_rows=30, min_entities=10, rng=stream(0, "t"),
    )  # fmt: skip
    assert {"a", "k"} <= set(tree.names)
    for leaf in np.flatnonzero(tree.feature < 0):
        donors = tree.donors[tree.start[leaf] : tree.start[leaf] + tree.size[leaf]]
        assert len(donors) >= 30
        assert len(np.unique(entities[donors])) >= 10
        assert not half[donors].any()
        assert (np.diff(y[donors]) >= 0).all()
    assert sorted(tree.donors) == np.flatnonzero(~half).tolist()


def test_a_variable_draws_the_conditional_distribution_and_keeps_the_marginal(data: tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]) -> None:
    columns, y, entities = data
    features = [Feature("a"), Feature("noise"), Feature("k", 30)]
    variable = fit_variable(y, np.arange(len(y)), features, columns, entities, PRIVACY["standard"], stream(0, "v"), smooth=True)
    assert len(variable.trees) == 2
    drawn = variable.draw(columns, len(y), stream(1, "d"))
    assert abs(drawn.mean() - y.mean()) < 0.1
    assert abs(drawn[columns["a"] > 31].mean() - y[columns["a"] > 31].mean()) < 0.3
    assert np.isin(drawn, y).mean() < 0.05  # between donors, not the donors themselves


def test_nulls_are_drawn_as_often_as_they_occur() -> None:
    x = np.where(np.arange(1000) % 4 == 0, np.nan, 1.0)
    variable = fit_variable(x, np.arange(1000), [], {}, np.arange(1000), PRIVACY["standard"], stream(0, "v"))
    assert abs(np.isnan(variable.draw({}, 400, stream(1, "d"))).mean() - 0.25) < 0.02


@pytest.mark.parametrize("rows", [0, 1, 8])
def test_tiny_tables_draw_what_there_is(rows: int) -> None:
    x = np.arange(rows, dtype=float)
    variable = fit_variable(x, np.arange(rows), [], {}, np.arange(rows), PRIVACY["standard"], stream(0, "v"), smooth=True)
    drawn = variable.draw({}, 5, stream(1, "d"))
    assert len(drawn) == 5
    assert np.isnan(drawn).all() if rows == 0 else np.isin(drawn, x).all()


def test_every_split_is_the_best_of_all_cuts_whether_its_node_was_counted_or_has_the_rest() -> None:
    rng, n, least = np.random.default_rng(3), 3000, 20
    columns = {"a": rng.integers(0, 60, n).astype(np.uint8), "b": rng.integers(0, 5, n).astype(np.uint8), "same": np.full(n, 7, np.uint8)}
    y = np.stack([columns["a"] % 20 + 3.0 * columns["b"], (columns["a"] > 41) * columns["b"]], axis=1) + rng.normal(size=(n, 2))
    rows = np.arange(n)
    tree = grow([Feature(f) for f in columns], columns, y, rows, rows, entities=rows, min_rows=least, min_entities=1, rng=stream(0, "t"))
    assert tree.names == ["a", "b"]
    inside = {0: np.ones(n, dtype=bool)}
    for node in np.flatnonzero(tree.feature >= 0)[:9]:
        mine = inside[node]
        gains = {
            (f, cut): sum(len(part) * ((part.mean(axis=0) - y[mine].mean(axis=0)) ** 2).sum() for part in (y[mine & low], y[mine & ~low]))
            for f, name in enumerate(tree.names) for cut in range(60)
            if min((mine & (low := columns[name] <= cut)).sum(), (mine & ~low).sum()) >= least
        }  # fmt: skip
        found = tree.feature[node], tree.threshold[node]
        assert gains[found] == pytest.approx(max(gains.values()), rel=1e-4)
        low = columns[tree.names[found[0]]] <= found[1]
        inside[tree.left[node]], inside[tree.left[node] + 1] = mine & low, mine & ~low


def test_another_feature_is_used_only_where_it_explains_more() -> None:
    rng, n = np.random.default_rng(4), 4000
    columns = {"a": rng.integers(1, 40, n).astype(np.uint8), "before": rng.integers(1, 40, n).astype(np.uint8)}
    rows, entities = np.arange(n), np.arange(n) // 4
    for weight in (0, 1):
        x = columns["a"] + weight * columns["before"] + rng.normal(size=n)
        variable = fit_variable(
            x, rows, [Feature("a")], columns, entities, PRIVACY["standard"], stream(0, "v"), extra=Feature("before"), margin=0.03
        )
        assert ("before" in variable.features) == bool(weight)
        assert "a" in variable.features


def test_numbers_are_no_nearer_to_the_training_rows_than_others_of_their_kind_are() -> None:
    rng = np.random.default_rng(5)
    x, others = np.split(rng.normal(size=4_000), 2)
    side = rng.normal(size=2_000)
    for feature in (side, x + side):  # one that says nothing, so that the donors are drawn from, and one that makes a linear part
        columns = {"a": digitize(feature, bin_edges(feature))}
        variable = fit_variable(x, np.arange(2_000), [Feature("a")], columns, np.arange(2_000), PRIVACY["standard"], stream(1), smooth=True)
        drawn = variable.draw(columns, 2_000, stream(2))
        gap = [np.abs(drawn[:, None] - real).min(axis=1) for real in (x, others)]
        assert 0.45 < (gap[0] < gap[1]).mean() < 0.56  # ln 2 = .69 between neighbours as they are


def test_blocks_of_neighbours_are_made_even_but_not_across_gaps_or_where_many_are_equal() -> None:
    close, equal = np.sort(np.random.default_rng(1).random(401)), np.repeat(np.arange(1.0, 41.0), 10)
    values = np.r_[close, 9.0 + close, equal, np.nan]
    start, size = np.array([0, 802]), np.array([802, 401])
    out = evened(values, 1.0, start, size)
    assert np.isin(out[:401], close).mean() < 0.1 and np.all(np.diff(out[:802]) >= 0)
    assert np.abs(out[:401] - close).max() < 0.02
    assert ((out[:802] > 1) & (out[:802] < 9)).sum() == 0
    assert np.array_equal(out[802:], values[802:], equal_nan=True)
    assert np.array_equal(evened(values, 0.0, start, size), values, equal_nan=True)
    few = np.r_[close[:90], np.full(900, np.nan)]  # too few to be made even, whatever is missing
    assert np.array_equal(evened(few, 1.0, np.array([0]), np.array([990])), few, equal_nan=True)


def test_what_few_owners_are_like_is_no_line_for_others() -> None:
    """What rows on four owners of 50 to 80 children are like does not say where those of an owner with 65 or 100 are."""
    rng = np.random.default_rng(3)
    sizes = np.array([50, 60, 70, 80])
    owner, place = np.repeat(np.arange(4), sizes), np.concatenate([np.arange(n) for n in sizes]).astype(float)
    x = 1e5 * owner + 100 * place + rng.normal(0, 10, len(owner))
    columns = {n: digitize(v, bin_edges(v)) for n, v in (("children", sizes[owner].astype(float)), ("place", place))}
    variable = fit_variable(
        x, np.arange(len(x)), [Feature(n) for n in columns], columns, np.arange(len(x)), PRIVACY["standard"], stream(1, "line"), smooth=True
    )
    assert variable.guide is None or not variable.guide.unit
