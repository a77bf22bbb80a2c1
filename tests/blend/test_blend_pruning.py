"""What a candidate adds and who can be left out, against blends made anew without them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paw_stack.blend.diversity import diversity
from paw_stack.blend.nested import Recipe, nested_blend
from paw_stack.data.folds import Folds, make_folds
from paw_stack.metrics import rmse
from paw_stack.report import sentences

BOUNDS = (1.0, 10.0)
RECIPE = Recipe(bounds=BOUNDS)


def rated(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, Folds]:
    """Two independent signals (n, 2) that make up a score (n,), and its folds."""
    rng = np.random.default_rng(seed)
    signals = rng.normal(0, 1, (n, 2))
    target = (5.5 + signals.sum(axis=1) + rng.normal(0, 0.7, n)).clip(*BOUNDS)
    return 5.5 + signals, target, make_folds(target, np.arange(n), 5, None, seed)


def told(columns, target, folds, recipe=RECIPE):
    names = [f"c{i}" for i in range(columns.shape[1])]
    whole = nested_blend(columns, target, folds, recipe)
    return diversity(columns, target, folds, names, recipe, whole)


def left(columns, found):
    return [c for c in range(columns.shape[1]) if f"c{c}" not in found["add_nothing"]]


def require_honest(columns, target, folds, found, recipe=RECIPE):
    """Both figures are those of blends by the same recipe, and the cost is within its interval."""
    whole = nested_blend(columns, target, folds, recipe).predictions
    without = nested_blend(columns[:, left(columns, found)], target, folds, recipe).predictions
    assert found["rmse"] == pytest.approx(rmse(target, whole), rel=1e-9)
    assert found["pruned_rmse"] == pytest.approx(rmse(target, without), rel=1e-9)
    apart = found["pruned"]
    assert apart["difference"] == pytest.approx(found["pruned_rmse"] - found["rmse"], abs=1e-9)
    assert apart["low"] <= 0 or apart["difference"] <= 0


def test_of_two_candidates_that_complete_each_other_none_goes():
    signals, target, folds = rated(300)
    found = told(signals, target, folds)
    assert found["add_nothing"] == []
    assert found["pruned_rmse"] == found["rmse"]
    assert min(found["added"].values()) > 0.1
    said = sentences.diversity({"diversity": found, "constant_rmse": 1.5})
    assert said == "Every candidate adds something."


@pytest.mark.parametrize("apart", [0.0, 0.02])
def test_one_of_two_twins_goes_and_not_both(apart):
    signals, target, folds = rated(300)
    twin = signals[:, 0] + np.random.default_rng(1).normal(0, apart, 300)
    columns = np.column_stack([signals[:, 0], twin, signals[:, 1]])
    found = told(columns, target, folds)
    assert len(found["add_nothing"]) == 1
    assert found["add_nothing"][0] in ("c0", "c1")
    assert max(found["added"]["c0"], found["added"]["c1"]) < 0.02  # each alone is redundant
    require_honest(columns, target, folds, found)


def test_what_a_candidate_adds_is_the_score_of_the_same_methods_without_it():
    signals, target, folds = rated(200)
    recipe = Recipe("nnls", "none", BOUNDS)
    columns = np.column_stack([signals, signals.mean(axis=1) + 0.3 * target])
    found = told(columns, target, folds, recipe)
    for c in range(3):
        others = np.delete(columns, c, axis=1)
        without = rmse(target, nested_blend(others, target, folds, recipe).predictions)
        assert found["added"][f"c{c}"] == pytest.approx(without - found["rmse"])
    np.testing.assert_allclose(
        found["error_correlation"], np.corrcoef((columns - target[:, None]).T), atol=6e-4
    )


def test_noise_goes_and_what_adds_stays():
    signals, target, folds = rated(400)
    noise = np.random.default_rng(2).normal(5.5, 1, (400, 4))
    columns = np.column_stack([signals, noise])
    found = told(columns, target, folds)
    assert set(found["add_nothing"]) == {"c2", "c3", "c4", "c5"}
    require_honest(columns, target, folds, found)


@pytest.mark.parametrize("recipe", [RECIPE, Recipe("nnls", "affine", BOUNDS)])
def test_many_that_are_each_redundant_are_not_advised_against_together(recipe):
    """37 candidates in twelve groups: each can go alone, no group can."""
    n = 400
    rng = np.random.default_rng(3)
    signals = rng.normal(0, 1, (n, 12))
    target = 5.5 + 0.35 * signals.sum(axis=1) + rng.normal(0, 0.5, n)
    of_group = np.arange(37) % 12
    columns = 5.5 + signals[:, of_group] + rng.normal(0, 0.4, (n, 37))
    folds = make_folds(target, np.arange(n), 5, None, 0)
    found = told(columns, target.clip(*BOUNDS), folds, recipe)
    assert max(found["added"].values()) < 0.03
    assert set(of_group[left(columns, found)]) == set(range(12))
    require_honest(columns, target.clip(*BOUNDS), folds, found, recipe)


@given(st.integers(0, 10_000), st.integers(2, 5), st.integers(40, 120))
@settings(max_examples=10, deadline=None)
def test_nothing_is_advised_that_costs_more_than_its_interval(seed, c, n):
    signals, target, folds = rated(n, seed)
    rng = np.random.default_rng(seed)
    columns = 5.5 + (signals - 5.5) @ rng.uniform(0, 1, (2, c)) + rng.normal(0, 0.5, (n, c))
    found = told(columns, target, folds)
    assert len(found["add_nothing"]) < c
    require_honest(columns, target, folds, found)


def test_the_words_name_the_cost_beside_its_interval():
    signals, target, folds = rated(300)
    noise = np.random.default_rng(2).normal(5.5, 1, 300)
    found = told(np.column_stack([signals, noise]), target, folds)
    said = sentences.diversity({"diversity": found, "constant_rmse": 1.5})
    assert said.startswith("Can be left out together: c2. A blend without them has RMSE ")
    assert f"{found['pruned_rmse']:.3f} instead of {found['rmse']:.3f}, nested (" in said
