"""Kernel ridge and Nystroem features: all folds from sums, against refits of each."""

import numpy as np
import pytest

from paw_stack.config import KernelRidgeSection, NystroemSection
from paw_stack.data.folds import Folds
from paw_stack.data.types import Concatenated
from paw_stack.heads import nystroem
from paw_stack.heads.cross_fit import Problem
from paw_stack.heads.kernels.distances import rbf, squared_distances, standardise
from paw_stack.heads.kernels.kernel_ridge import RbfRidge, cross_fit_kernel_ridge
from paw_stack.heads.registry import fit_head
from paw_stack.metrics import rmse

N, M, D, F = 180, 30, 6, 5
ALPHAS = [0.01, 0.3, 30.0]


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N + M, D)).astype(np.float32)
    X[:, 2] = 3.0
    y = 45 + 8 * np.sin(X[:N, 0]) + 3 * X[:N, 1] + 4 * rng.normal(size=N)
    return X[:N], X[N:], y, Folds(np.arange(N) % F, np.arange(N))


def solved(K, y, alpha):
    """Coefficients and intercept of one bordered system."""
    n = len(y)
    bordered = np.block([[K + alpha * np.eye(n), np.ones((n, 1))], [np.ones((1, n)), 0]])
    solution = np.linalg.solve(bordered, np.append(y, 0))
    return solution[:n], solution[n]


def loo_error(K, y, alpha):
    """By n refits."""
    errors = []
    for row in range(len(y)):
        kept = np.arange(len(y)) != row
        a, b = solved(K[np.ix_(kept, kept)], y[kept], alpha)
        errors.append(y[row] - K[row, kept] @ a - b)
    return np.mean(np.square(errors))


def test_folds_and_penalties_are_those_of_refits(case):
    X, X_test, y, folds = case
    labelled, _, _ = standardise(X, X_test)
    K = rbf(squared_distances(labelled), 1 / (D - 1)).astype(np.float64)
    K, y, fold_of = K[:40, :40], y[:40], folds.fold_of[:40]
    oof, coefficients, intercepts, chosen = cross_fit_kernel_ridge(K, y, fold_of, ALPHAS, range(F))
    for k in range(F):
        fit = np.flatnonzero(fold_of != k)
        own = K[np.ix_(fit, fit)]
        alpha = min(ALPHAS, key=lambda a: loo_error(own, y[fit], a))
        assert chosen[k] == alpha
        a, b = solved(own, y[fit], alpha)
        np.testing.assert_allclose(coefficients[k, fit], a, atol=1e-8)
        assert intercepts[k] == pytest.approx(b)
        np.testing.assert_allclose(oof[fold_of == k], K[fold_of == k][:, fit] @ a + b)


@pytest.mark.parametrize("n", [3, 511, 512, 513, 1100])
def test_the_inverse_is_whole_at_every_size(n):
    from paw_stack.heads.kernels.kernel_ridge import _inverted

    K = rbf(squared_distances(np.random.default_rng(0).normal(size=(n, 3))), 0.3)
    inverse = _inverted(K, np.full(n, 0.5))
    assert (inverse == inverse.T).all()
    middle = np.eye(n) - 1 / n
    centred = middle @ K.astype(np.float64) @ middle
    np.testing.assert_allclose(inverse @ (centred + 0.5 * np.eye(n)), np.eye(n), atol=1e-6)


def test_the_estimator_is_the_bordered_system(case):
    X, X_test, y, _ = case
    head = RbfRidge(alphas=ALPHAS, gamma=0.2).fit(X[:50], y[:50])
    K = rbf(squared_distances(X[:50]), 0.2).astype(np.float64)
    a, b = solved(K, y[:50], head.alpha_)
    K_test = rbf(squared_distances(X_test, X[:50]), 0.2)
    np.testing.assert_allclose(head.predict(X_test), K_test @ a + b, rtol=1e-6)


def cross_fitted(section, features, case, shared=True):
    _, _, y, folds = case
    problem = Problem(lambda k: features, y, folds, range(F), shared)
    return fit_head(section, "", problem)


def test_all_rows_as_landmarks_are_kernel_ridge_itself(case):
    X, X_test, y, _ = case
    for alpha in ALPHAS[1:]:
        exact = cross_fitted(KernelRidgeSection(alphas=[alpha], gamma=0.2), (X, X_test), case)
        section = NystroemSection(landmarks=N, alphas=[alpha], gamma=0.2)
        found = cross_fitted(section, (X, X_test), case)
        np.testing.assert_allclose(found.oof, exact.oof, atol=0.02)
        np.testing.assert_allclose(found.test, exact.test, atol=0.02)
    fewer = cross_fitted(NystroemSection(landmarks=60, alphas=ALPHAS), (X, X_test), case)
    exact = cross_fitted(KernelRidgeSection(alphas=ALPHAS), (X, X_test), case)
    assert rmse(y, fewer.oof) < 1.1 * rmse(y, exact.oof) < 0.9 * np.std(y)


def test_blocks_and_files_change_nothing(case, tmp_path, monkeypatch):
    X, X_test, _, _ = case
    section = NystroemSection(landmarks=40)
    whole = cross_fitted(section, (X, X_test), case)
    np.save(tmp_path / "left.npy", X[:, :2])
    np.save(tmp_path / "right.npy", X[:, 2:])
    parts = [np.load(tmp_path / f"{side}.npy", mmap_mode="r") for side in ("left", "right")]
    monkeypatch.setattr(nystroem, "BLOCK", 37)
    blocked = cross_fitted(section, (Concatenated(parts), Concatenated([X_test])), case)
    np.testing.assert_allclose(blocked.oof, whole.oof, atol=1e-3)
    np.testing.assert_allclose(blocked.test, whole.test, atol=1e-3)
    assert blocked.facts == whole.facts


def test_the_penalty_of_two_folds_is_the_best_by_generalised_cross_validation(case):
    """df and residuals from the hat matrix itself."""
    X, X_test, y, several = case
    folds = Folds(several.fold_of % 2, several.group_of)
    section = NystroemSection(landmarks=30, alphas=ALPHAS)
    found = fit_head(section, "", Problem(lambda k: (X, X_test), y, folds, range(2), True))
    marks = nystroem._landmarks(section, X, X_test, 0)
    features = (marks.kernel(X) @ marks.whitening).astype(np.float64)
    for k in range(2):
        fit = folds.training_rows(k)
        centred = features[fit] - features[fit].mean(0)

        def gcv(alpha, centred=centred, fit=fit):
            inner = centred.T @ centred + alpha * np.eye(centred.shape[1])
            hat = centred @ np.linalg.solve(inner, centred.T) + 1 / len(fit)
            residual = y[fit] - hat @ y[fit]
            return residual @ residual / (len(fit) - np.trace(hat)) ** 2

        assert found.facts["alphas"][k] == min(ALPHAS, key=gcv)
