"""Penalties that are chosen by groups left out: against fits without them, and what it spares."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from paw_stack.config import KernelRidgeSection, NystroemSection, RidgeSection
from paw_stack.data.folds import Folds, make_folds
from paw_stack.heads.cross_fit import Problem
from paw_stack.heads.kernels.distances import rbf, squared_distances
from paw_stack.heads.kernels.grouped_ridge import GroupedRidge, group_errors
from paw_stack.heads.kernels.kernel_ridge import cross_fit_kernel_ridge
from paw_stack.heads.nystroem import _landmarks
from paw_stack.heads.registry import HEADS, fit_head
from paw_stack.metrics import rmse

N, ALPHAS = 40, [0.3, 5.0, 100.0]
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 60))
Y = 50 + X[:, 0] + RNG.normal(size=N)
W = RNG.uniform(0.2, 3, N)
GROUPS = RNG.integers(0, 12, N)


@pytest.mark.parametrize("columns", [5, 60])
@pytest.mark.parametrize("weight", [np.ones(N), W])
def test_errors_of_groups_are_those_of_fits_without_them(columns, weight):
    rows, root = X[:, :columns], np.sqrt(weight)
    centred, y = (each - np.average(each, axis=0, weights=weight) for each in (rows, Y))
    parts = np.linalg.svd(root[:, None] * centred, full_matrices=False)
    errors = group_errors(parts, root * y, root, GROUPS, ALPHAS)
    for alpha, found in zip(ALPHAS, errors, strict=True):
        squares = np.empty(N)
        for group in np.unique(GROUPS):
            own = group == GROUPS
            fitted = Ridge(alpha).fit(rows[~own], Y[~own], weight[~own])
            squares[own] = (Y[own] - fitted.predict(rows[own])) ** 2
        assert found == pytest.approx(np.average(squares, weights=weight), rel=1e-9)


def test_a_penalty_is_the_same_for_weights_and_copies():
    """A row of weight 3 is left out whole, as three copies of one group are."""
    times = RNG.integers(1, 4, N)
    copies = np.repeat(np.arange(N), times)
    one = GroupedRidge(ALPHAS).fit(X, Y, times.astype(float), group_of=np.arange(N))
    other = GroupedRidge(ALPHAS).fit(X[copies], Y[copies], group_of=copies)
    assert one.alpha_ == other.alpha_
    np.testing.assert_allclose(one.coef_, other.coef_, rtol=1e-6)


def test_the_fit_is_scikit_learns_with_that_penalty():
    """Rows in float32, fewer than their columns: its own solver warns of a small penalty."""
    for weight in (None, W):
        ours = GroupedRidge([1e-3]).fit(X.astype(np.float32), Y, weight, group_of=GROUPS)
        theirs = Ridge(1e-3).fit(X, Y, weight)
        np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(ours.predict(X), theirs.predict(X), atol=1e-4)


def bordered(K, y, rows, alpha, weight):
    """Coefficients and intercept of kernel ridge on some rows."""
    n = len(rows)
    system = np.block(
        [
            [K[np.ix_(rows, rows)] + np.diag(alpha / weight[rows]), np.ones((n, 1))],
            [np.ones((1, n)), np.zeros((1, 1))],
        ]
    )
    solved = np.linalg.solve(system, np.r_[y[rows], 0])
    return solved[:-1], solved[-1]


@pytest.mark.parametrize("weight", [np.ones(N), W])
def test_kernel_ridge_chooses_by_groups_of_its_training_rows(weight):
    K = rbf(squared_distances(X.astype(np.float32)), 0.02).astype(np.float64)
    fold_of = GROUPS % 3
    for shift in range(4):  # scores of which penalties differ
        y = Y + shift * np.sin(GROUPS)
        chosen = cross_fit_kernel_ridge(K, y, fold_of, ALPHAS, range(3), weight, GROUPS)[3]
        for fold in range(3):
            fit = np.flatnonzero(fold_of != fold)
            errors = []
            for alpha in ALPHAS:
                total = 0.0
                for group in np.unique(GROUPS[fit]):
                    rest, own = fit[GROUPS[fit] != group], fit[GROUPS[fit] == group]
                    beta, bias = bordered(K, y, rest, alpha, weight)
                    missed = y[own] - K[np.ix_(own, rest)] @ beta - bias
                    total += (weight[own] * missed**2).sum()
                errors.append(total)
            assert chosen[fold] == ALPHAS[int(np.argmin(errors))]


@pytest.mark.parametrize("weight", [None, W])
@pytest.mark.parametrize("seed", range(3))
def test_landmarks_choose_by_the_other_folds_each_left_out(seed, weight):
    rng = np.random.default_rng(seed)
    folds = make_folds(Y, GROUPS, 4, None, seed)
    target = 1000 + X[:, 0] + 2 * rng.normal(size=12)[GROUPS]
    section = NystroemSection(landmarks=25, alphas=[0.01, 0.3, 3.0])
    rows = X.astype(np.float32), np.empty((0, 60), np.float32)
    problem = Problem(lambda fold: rows, target, folds, range(4), True, weight=weight)
    found = fit_head(section, "", problem).facts["alphas"]
    marks = _landmarks(section, *rows, 0, weight)
    features = (marks.kernel(rows[0]) @ marks.whitening).astype(np.float64)
    counted = np.ones(N) if weight is None else weight
    for fold in range(4):
        errors = []
        for alpha in section.alphas:
            squares = np.zeros(N)
            for left_out in set(range(4)) - {fold}:
                own = folds.fold_of == left_out
                fit = ~own & (folds.fold_of != fold)
                fitted = Ridge(alpha).fit(features[fit], target[fit], counted[fit])
                squares[own] = (target[own] - fitted.predict(features[own])) ** 2
            errors.append(counted @ squares)
        assert found[fold] == section.alphas[int(np.argmin(errors))]


def pets(seed: int):
    """160 rows of 32 pets: vectors and scores are a pet's own, and nothing is shared by pets."""
    rng = np.random.default_rng(seed)
    group_of = np.repeat(np.arange(32), 5)
    vectors = rng.normal(size=(32, 80))[group_of] + 0.3 * rng.normal(size=(160, 80))
    target = 50 + 10 * rng.normal(size=32)[group_of] + rng.normal(size=160)
    return vectors.astype(np.float32), target, make_folds(target, group_of, 4, None, 0)


def errors_of(section, head: str, seed: int) -> list[float]:
    """RMSE in standard deviations, with penalties by pet and by row; both with folds by pet."""
    vectors, target, folds = pets(seed)
    found = []
    for known in (folds, Folds(folds.fold_of, np.arange(len(target)))):
        features = vectors, np.empty((0, 80), np.float32)
        problem = Problem(lambda fold, both=features: both, target, known, range(4), True)
        found.append(rmse(target, fit_head(section, head, problem).oof) / target.std())
    return found


@pytest.mark.parametrize(
    ("head", "section"), [("ridge", RidgeSection()), ("kernel_ridge", KernelRidgeSection())]
)
def test_what_only_tells_pets_apart_is_shrunk_away(head, section):
    """Rows left out singly let the others of their pet tell their scores: penalties are too small
    for pets that nobody has seen."""
    assert HEADS[head].uses_groups
    found = [errors_of(section, head, seed) for seed in range(3)]
    grouped, single = np.mean(found, axis=0)
    assert grouped < 1.06
    assert single > grouped + 0.01


def test_single_rows_are_left_out_as_scikit_learn_does():
    from sklearn.linear_model import RidgeCV

    scaled = StandardScaler().fit_transform(X)
    ours = GroupedRidge(ALPHAS).fit(scaled, Y, group_of=np.arange(N))
    theirs = RidgeCV(ALPHAS).fit(scaled, Y)
    assert ours.alpha_ == theirs.alpha_
    np.testing.assert_allclose(ours.predict(scaled), theirs.predict(scaled), rtol=1e-9)
