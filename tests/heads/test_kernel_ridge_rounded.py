"""Kernel ridge by an inverse in float32, as of many rows, is what it is by one in float64."""

import numpy as np
import pytest

from paw_stack.heads.kernels import kernel_ridge
from paw_stack.heads.kernels.distances import rbf, squared_distances
from paw_stack.heads.kernels.kernel_ridge import cross_fit_kernel_ridge

N, FOLDS = 300, 4
ALPHAS = [0.02, 0.3, 3.0, 30.0]


@pytest.fixture
def case(request):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 12)).astype(np.float32)
    y = 45 + 8 * np.sin(X[:, 0]) + 3 * X[:, 1] + 5 * rng.normal(size=N)
    weight = rng.gamma(3, 1 / 3, N) if request.param else None
    return rbf(squared_distances(X), 0.04), y, rng.integers(0, FOLDS, N), weight


def fitted(K, y, fold_of, weight):
    return cross_fit_kernel_ridge(K, y, fold_of, ALPHAS, range(FOLDS), weight)


@pytest.mark.parametrize("case", [False, True], indirect=True, ids=["alike", "weighted"])
def test_coefficients_are_exact_and_penalties_the_same(case, monkeypatch):
    exact = fitted(*case)
    monkeypatch.setattr(kernel_ridge, "MANY", 10)
    assert kernel_ridge._inverted(case[0], np.full(N, 0.02)).dtype == np.float32
    found = fitted(*case)
    for ours, theirs in zip(found[:3], exact[:3], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-8)
    assert found[3] == exact[3]


@pytest.mark.parametrize("case", [True], indirect=True)
def test_leave_one_out_errors_have_four_digits(case, monkeypatch):
    K, y, fold_of, weight = case
    left_out = [np.flatnonzero(fold_of == k) for k in range(FOLDS)]

    def errors():
        of_each = [kernel_ridge._fits(K, y, alpha, weight, left_out) for alpha in ALPHAS]
        return [[fit.loo_mse for fit in fits] for fits in of_each]

    exact = errors()
    monkeypatch.setattr(kernel_ridge, "MANY", 10)
    np.testing.assert_allclose(errors(), exact, rtol=1e-4)


@pytest.mark.parametrize("case", [False], indirect=True)
def test_a_tiny_penalty_is_solved_in_float64(case, monkeypatch):
    K, y, _, _ = case
    system = K, y, 1e-5, np.ones(N), [np.arange(9)]
    exact = kernel_ridge._fits(*system)[0].loo_mse
    monkeypatch.setattr(kernel_ridge, "MANY", 10)
    found = kernel_ridge._fits(*system)[0].loo_mse
    assert found == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("case", [True], indirect=True)
def test_targets_that_are_held_out_are_never_read(case, monkeypatch):
    K, y, fold_of, weight = case
    monkeypatch.setattr(kernel_ridge, "MANY", 10)
    held_out = fold_of == 2
    before = fitted(K, y, fold_of, weight)
    after = fitted(K, np.where(held_out, 1e9, y), fold_of, weight)
    np.testing.assert_array_equal(before[0][held_out], after[0][held_out])
    assert before[3][2] == after[3][2]
