"""What is chosen for a fold: settings, penalties and layers, against refits of every candidate.

The data are such that the fold's own rows would change the choice.
"""

import numpy as np
import pytest
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from paw_stack.config import RidgeSection, SelectionSection, SvrSection
from paw_stack.data.folds import Folds
from paw_stack.heads.cross_fit import Problem
from paw_stack.heads.kernels.distances import distance_blocks, predict_rows, rbf, squared_distances
from paw_stack.heads.kernels.estimators import GramSVR
from paw_stack.heads.kernels.forward_selection import forward_selection
from paw_stack.heads.kernels.grid_search import grid_points, grid_search
from paw_stack.heads.kernels.kernel_ridge import RbfRidge, cross_fit_kernel_ridge
from paw_stack.heads.registry import fit_head
from paw_stack.heads.selection_head import select_layers
from paw_stack.heads.stored import predict_heads, predict_stored
from paw_stack.metrics import rmse

N, M = 120, 9
FOLD_OF = np.arange(N) % 4
FOLDS = Folds(FOLD_OF, np.arange(N))


def test_a_grids_table_and_weights_are_those_of_each_point(case):
    """Rows without a weight are in no fit. With a small C the bias is free by a little."""
    X, X_test, y = case
    D, D_test = squared_distances(X), squared_distances(X_test, X)
    weight = np.where(np.arange(N) % 5 == 0, 0.0, 1.0)
    # With a far smaller C all coefficients are at their bounds: the intercept is not unique then.
    points = grid_points([1.0, 5.0, 60.0], [0.05], [0.1])
    found = grid_search(D, D_test, y, FOLD_OF, points, sample_weight=weight, tol=1e-6)
    for at, point in enumerate(points):
        oof = np.empty(N)
        for k in range(4):
            fit, own = (k != FOLD_OF) & (weight > 0), k == FOLD_OF
            svr = SVR(C=point.C, gamma=0.05, epsilon=0.1, tol=1e-6).fit(X[fit], y[fit])
            oof[own] = svr.predict(X[own])
        assert found.table["rmse"].iloc[at] == pytest.approx(rmse(y, oof, weight), abs=0.02)
        assert found.table["chosen_by"].iloc[at] == found.chosen.count(point)
    assert found.table["chosen_by"].iloc[0] == 0


@pytest.fixture(scope="module")
def layers():
    """`sharp` is the best layer but for fold 0's rows, on which it is noise; `blurred` never is."""
    rng = np.random.default_rng(1)
    signal = rng.normal(size=(N + M, 1))
    fold_of = np.append(FOLD_OF, np.full(M, 1))
    found = {
        "blurred": signal + rng.normal(0, 0.6, (N + M, 1)),
        "sharp": signal + rng.normal(0, np.where(fold_of == 0, 3, 0.2)[:, None]),
        "noise": rng.normal(size=(N + M, 2)),
    }
    y = 50 + 10 * signal[:N, 0] + rng.normal(0, 2, N)
    return {k: (v[:N].astype(np.float32), v[N:].astype(np.float32)) for k, v in found.items()}, y


def test_the_point_that_a_grid_chose_is_carried_on(case):
    """Settings are told apart by coarse solves; what predicts is as exact as a solve of its own."""
    X, X_test, y = case
    D, D_test = squared_distances(X), squared_distances(X_test, X)
    found = grid_search(D, D_test, y, FOLD_OF, grid_points([30], [0.05, 0.2], [0.1]))
    for fold, point in enumerate(found.chosen):
        fit, held_out = FOLDS.training_rows(fold), FOLDS.held_out_rows(fold)
        svr = SVR(C=point.C, gamma=point.gamma, epsilon=0.1, tol=1e-7).fit(X[fit], y[fit])
        np.testing.assert_allclose(found.oof[held_out], svr.predict(X[held_out]), atol=0.005)
        own = predict_rows(rbf(D, point.gamma), found.beta[[fold]], found.bias[[fold]])[:, 0]
        np.testing.assert_allclose(own[held_out], found.oof[held_out], atol=1e-9)


def test_what_a_grid_chooses_by_out_of_fold_errors_leaves_the_own_fold_out():
    """Fold 0 runs against the others: with its errors they take the flat point, it does not."""
    rng = np.random.default_rng(4)
    X = rng.uniform(-3, 3, (N, 1)).astype(np.float32)
    fold_of = np.arange(N) % 4
    y = np.where(fold_of == 0, -1, 1) * 4 * np.sin(5 * X[:, 0]) + rng.normal(0, 0.5, N)
    D = squared_distances(X)
    points = grid_points([0.01, 10], [10.0], [0.1])
    found = grid_search(D, D[:0], y, fold_of, points, choose_by="oof")
    for k in range(4):
        rated = []
        for point in points:
            errors = 0.0
            for j in set(range(4)) - {k}:
                fit, own = fold_of != j, fold_of == j
                svr = SVR(C=point.C, gamma=10.0, epsilon=0.1, tol=1e-6).fit(X[fit], y[fit])
                errors += np.sum((svr.predict(X[own]) - y[own]) ** 2)
            rated.append(errors)
        assert found.chosen[k] == points[int(np.argmin(rated))]
    assert found.chosen == [points[1], *[points[0]] * 3]


def test_a_penalty_is_chosen_by_refits_without_each_fit_row():
    """Leave-one-out of the training rows; with the held-out ones another penalty would win."""
    rng = np.random.default_rng(5)
    X, fold_of = rng.normal(size=(24, 2)), np.arange(24) % 2
    y = np.where(fold_of == 0, 9 * X[:, 0], rng.normal(0, 9, 24))
    K = np.exp(-0.5 * ((X[:, None] - X) ** 2).sum(2))
    alphas = [0.001, 0.1, 10.0, 1000.0]

    def refit(rows, new, alpha):
        """Predictions of the bordered system of some rows for others."""
        n = len(rows)
        bordered = np.ones((n + 1, n + 1))
        bordered[:n, :n] = K[np.ix_(rows, rows)] + alpha * np.eye(n)
        bordered[n, n] = 0
        solution = np.linalg.solve(bordered, np.append(y[rows], 0))
        return K[np.ix_(new, rows)] @ solution[:n] + solution[n]

    def loo(rows, alpha):
        left = [(y[r] - refit(rows[rows != r], [r], alpha)[0]) ** 2 for r in rows]
        return np.mean(left)

    oof, _, _, chosen = cross_fit_kernel_ridge(K, y, fold_of, alphas, [0, 1])
    for fold in (0, 1):
        fit, own = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        best = min(alphas, key=lambda alpha: loo(fit, alpha))
        assert chosen[fold] == best
        np.testing.assert_allclose(oof[own], refit(fit, own, best), atol=1e-6)
    assert len(set(chosen)) == 2


def test_ridges_penalty_is_chosen_inside_the_fit_rows(case):
    X, X_test, y = case
    alphas = [0.1, 10.0, 1000.0]
    problem = Problem(lambda k: (X, X_test), y, FOLDS, range(4))
    found = fit_head(RidgeSection(alphas=alphas), "", problem)
    for fold in range(4):
        fit, own = FOLDS.training_rows(fold), FOLDS.held_out_rows(fold)
        naive = make_pipeline(StandardScaler(), RidgeCV(alphas=alphas)).fit(X[fit], y[fit])
        np.testing.assert_allclose(found.oof[own], naive.predict(X[own]), rtol=1e-4)
        one = predict_stored(found.heads[f"fold{fold}"], X_test)
        np.testing.assert_allclose(one, naive.predict(X_test), rtol=1e-4)


def test_a_folds_errors_choose_none_of_its_layers(layers):
    vectors, y = layers
    found = forward_selection(distance_blocks(vectors), y, FOLD_OF, 10.0, 0.1, most=1)
    oofs = {}
    for name, (X, X_test) in vectors.items():
        scaled = StandardScaler().fit_transform(np.vstack([X, X_test]))[:N]
        oofs[name] = np.empty(N)
        for k in range(4):
            own = k == FOLD_OF
            svr = SVR(C=10, gamma=1 / X.shape[1], epsilon=0.1, tol=1e-6)
            oofs[name][own] = svr.fit(scaled[~own], y[~own]).predict(scaled[own])
    for k in range(4):
        rest = k != FOLD_OF
        best = min(vectors, key=lambda name: rmse(y[rest], oofs[name][rest]))
        assert found.chosen[k] == (best,)
        np.testing.assert_allclose(found.oof[~rest], oofs[best][~rest], atol=0.02)
    assert found.chosen == [("sharp",), *[("blurred",)] * 3]
    assert found.final == ("blurred",)
    assert found.optimistic_rmse == pytest.approx(rmse(y, oofs["blurred"]), abs=0.01)
    assert found.nested_rmse > found.optimistic_rmse


def test_steps_tell_every_start_the_best_first(layers):
    vectors, y = layers
    found = forward_selection(distance_blocks(vectors), y, FOLD_OF, 10.0, 0.1, starts=2, most=2)
    singles = found.steps[found.steps["step"] == 1]
    assert singles["added"].tolist() == singles["set"].tolist() == ["blurred", "sharp"]
    assert singles["rmse"].is_monotonic_increasing
    assert found.steps["rmse"].min() == found.optimistic_rmse


def test_folds_that_chose_different_layers_are_kept_with_their_share(layers, tmp_path):
    """One fold of four took another layer: its head counts a quarter, not a half."""
    vectors, y = layers
    svr = SvrSection(C=10, epsilon=0.1)
    section = SelectionSection(starts=3, most=1)
    found = select_layers(svr, section, vectors, y, FOLD_OF, tmp_path, 1e9)
    assert len(found.heads) == 2
    tests = []
    for k, (name,) in enumerate(found.facts["chosen"]):
        X, X_test = vectors[name]
        scaled = StandardScaler().fit_transform(np.vstack([X, X_test]))
        svr = SVR(C=10, gamma=1, epsilon=0.1, tol=1e-6)
        svr.fit(scaled[:N][k != FOLD_OF], y[k != FOLD_OF])
        tests.append(svr.predict(scaled[N:]))
    np.testing.assert_allclose(found.test, np.mean(tests, axis=0), atol=0.02)
    beside = np.hstack([test for _, test in vectors.values()])
    kept = predict_heads(found.heads, lambda fold: beside)
    np.testing.assert_allclose(kept, found.test, rtol=1e-5)


def test_clipped_targets_are_learned_and_whole_ones_are_scored(layers):
    vectors, y = layers
    one = {"blurred": vectors["blurred"]}
    found = forward_selection(distance_blocks(one), y, FOLD_OF, 10.0, 0.1, clip=(45, 55))
    assert found.oof.max() < 57
    assert found.nested_rmse == pytest.approx(rmse(y, found.oof))


def test_a_column_that_is_constant_widens_no_layer(layers):
    """The kernel's gamma is one over the columns that vary."""
    vectors, y = layers
    labelled, test = vectors["blurred"]
    wider = tuple(np.hstack([X, np.full((len(X), 3), 7, np.float32)]) for X in (labelled, test))
    found = [
        forward_selection(distance_blocks({"a": pair}), y, FOLD_OF, 10.0, 0.1)
        for pair in ((labelled, test), wider)
    ]
    np.testing.assert_allclose(found[0].oof, found[1].oof, atol=1e-3)


def test_the_estimators_choose_and_clip_as_the_heads_do(case):
    X, X_test, y = case
    alphas = [0.001, 0.3, 100.0]
    found = RbfRidge(alphas=alphas, gamma=0.2).fit(X, y)
    K = rbf(squared_distances(X), 0.2).astype(np.float64)
    each_row = cross_fit_kernel_ridge(K, y, np.arange(N), [found.alpha_], range(N))[0]
    errors = [
        rmse(y, cross_fit_kernel_ridge(K, y, np.arange(N), [alpha], range(N))[0])
        for alpha in alphas
    ]
    assert rmse(y, each_row) == min(errors)
    clipped, learned = GramSVR(C=9, clip=(38, 42)).fit(X, y), GramSVR(C=9).fit(X, y.clip(38, 42))
    np.testing.assert_array_equal(clipped.predict(X_test), learned.predict(X_test))
