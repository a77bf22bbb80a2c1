"""Settings of heads reach what fits them, to the limits at which they begin to count."""

import re
from functools import partial

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import SVR

from paw_stack.config import GbmSection, GridSection, HeadSection, KnnSection, SvrSection
from paw_stack.data.folds import Folds
from paw_stack.data.target import TargetScale
from paw_stack.data.types import StoredHead
from paw_stack.heads import GramSVR
from paw_stack.heads.cross_fit import CrossFitted, Problem
from paw_stack.heads.gbm_text import sound_trees
from paw_stack.heads.kernels import estimators, solvers
from paw_stack.heads.kernels.costs import TOL, costs
from paw_stack.heads.kernels.distances import rbf, squared_distances
from paw_stack.heads.kernels.smo.rounds import solve
from paw_stack.heads.kernels.solvers import Dual, solve_each
from paw_stack.heads.registry import fit_head
from paw_stack.heads.stored import ROWS, predict_heads, predict_stored

N, M, D = 60, 5, 6


def fitted(section: HeadSection, engine: str, n: int = N, **changes) -> CrossFitted:
    rng = np.random.default_rng(0)
    X, X_test = rng.normal(size=(n, D)).astype(np.float32), rng.normal(size=(M, D))
    folds = Folds(np.arange(n) % 3, np.arange(n))
    target = 50 + 10 * X[:, 0].astype(np.float64)
    about = {"target": target, "folds": folds, "only": [0, 1, 2], "shared": True, **changes}
    return fit_head(section, engine, Problem(lambda fold: (X, X_test.astype(np.float32)), **about))


def test_lightgbm_gets_every_setting():
    """As its own text says which it grew the trees by."""
    wanted = {"learning_rate": 0.07, "leaves": 5, "min_rows": 7, "feature_fraction": 0.6}
    section = GbmSection(trees=4, max_bin=31, **wanted)
    found = fitted(section, "gbm")
    said = dict(re.findall(r"^\[(\w+): (.*)\]$", found.heads["fold0"].text, re.MULTILINE))
    names = {"leaves": "num_leaves", "min_rows": "min_data_in_leaf"}
    for name, value in {**wanted, "max_bin": 31}.items():
        assert float(said[names.get(name, name)]) == value, name
    assert said["objective"] == "regression"
    assert found.facts["trees"] == [4, 4, 4]


@pytest.mark.parametrize(("min_rows", "splits"), [(10, True), (11, False)])
def test_a_tree_splits_from_twice_the_rows_of_a_leaf_on(min_rows, splits):
    found = fitted(GbmSection(trees=3, min_rows=min_rows, feature_fraction=1), "gbm", n=30)
    assert bool(np.ptp(found.test)) == splits
    assert bool(found.remarks) != splits


def test_a_text_without_trees_is_none():
    text = fitted(GbmSection(trees=1), "gbm").heads["fold0"].text
    assert sound_trees(text, D)
    with pytest.raises(ValueError, match=f"holds no trees on {D} columns"):
        sound_trees(text.partition("\nTree=")[0], D)


def test_more_neighbours_than_there_are_rows_are_all_rows():
    folds = Folds(np.array([0] * 10 + [1] * 20 + [2] * 30), np.arange(N))
    found = [fitted(KnnSection(k=k), "knn", folds=folds) for k in (29, 30, 500)]
    np.testing.assert_array_equal(found[1].oof, found[2].oof)  # fold 2 learns from 30
    assert (found[0].oof != found[1].oof).any()
    assert {int(head.arrays["k"][0]) for head in found[2].heads.values()} == {30}


def test_a_nested_score_is_told_where_all_folds_were_run():
    section = SvrSection(grid=GridSection(C=[1, 10]))
    assert "nested RMSE" in fitted(section, "gram").remarks[0]
    assert "optimistic" in fitted(section, "gram").remarks[0]
    assert fitted(section, "gram", only=[0, 2]).remarks == []
    assert fitted(SvrSection(), "gram").remarks == []


def test_defaults_are_what_is_documented():
    """C = 40, epsilon = 0.1 and a gap of 0.001 at a spread of 20 points; else scikit-learn's."""
    scale = TargetScale.of(np.array([30.0, 70.0]))
    assert costs(None, None, scale) == pytest.approx(costs(40, 0.1, scale))
    assert costs(40, 0.1, scale) == pytest.approx((2, 0.005))
    assert TOL * scale.spread == pytest.approx(0.001)
    ours, theirs = GramSVR().get_params(), SVR().get_params()
    assert ours == {**{name: theirs[name] for name in ours if name in theirs}, "clip": None}


@pytest.mark.parametrize("n", [ROWS - 1, ROWS, ROWS + 1, 2 * ROWS + 3])
def test_blocks_of_rows_are_predicted_as_all_at_once(n):
    rng = np.random.default_rng(n)
    arrays = {"mean": rng.normal(size=D), "scale": np.full(D, 2.0)}
    arrays |= {"coefficients": rng.normal(size=D), "intercept": np.array([7.0])}
    X = rng.normal(size=(n, D)).astype(np.float32)
    found = predict_stored(StoredHead("linear", arrays), X)
    naive = (X - arrays["mean"]) / 2 @ arrays["coefficients"] + 7
    np.testing.assert_allclose(found, naive, atol=1e-5)


def test_each_part_predicts_from_the_vectors_of_its_fold():
    heads, asked = {}, []
    for number, part in enumerate(("fold0", "fold1-gamma0", "fold12-set1")):
        arrays = {"mean": np.zeros(1), "scale": np.ones(1), "coefficients": np.ones(1)}
        heads[part] = StoredHead("linear", {**arrays, "intercept": np.array([10.0 * number])})

    def features(fold: int) -> np.ndarray:
        asked.append(fold)
        return np.full((2, 1), fold, dtype=np.float32)

    found = predict_heads(heads, features)
    assert asked == [0, 1, 12]
    np.testing.assert_allclose(found, np.mean([0 + 0, 1 + 10, 12 + 20]))


@pytest.mark.parametrize("n_fits", [1, 2])
def test_a_solver_that_gives_up_is_told(n_fits, monkeypatch):
    """By the number of its steps, and its gap in spreads; one that ends says nothing."""
    rng = np.random.default_rng(0)
    K = rbf(squared_distances(rng.normal(size=(40, 3)).astype(np.float32)), 0.3)
    duals = [Dual(rng.normal(size=40), np.full(40, 10.0), 0.1) for _ in range(n_fits)]
    assert all(solution.converged for solution in solve_each(K, duals, 1e-3, threads=2))
    monkeypatch.setattr(solvers, "solve", partial(solve, max_iter=3))
    with pytest.warns(ConvergenceWarning, match="an SVR stopped after 3 steps with a gap of "):
        found = solve_each(K, duals, 1e-3, threads=2)
    assert not any(solution.converged for solution in found)
    with pytest.warns(ConvergenceWarning):
        monkeypatch.setattr(estimators, "solve", partial(solve, max_iter=1))
        GramSVR(C=10).fit(rng.normal(size=(30, 3)), rng.normal(size=30))


@pytest.mark.parametrize("shared", [True, False])
def test_a_grid_tells_its_best_point_once_a_matrix(shared):
    found = fitted(SvrSection(grid=GridSection(C=[1, 10])), "gram", shared=shared)
    best = found.facts["best_plain_rmse"]
    assert len(found.facts["chosen"]) == 3
    assert all({"C", "gamma", "epsilon", "clip"} == set(point) for point in found.facts["chosen"])
    if shared:
        assert best == found.search["rmse"].min()
    else:
        assert len(best) == 3
        assert found.search is None
