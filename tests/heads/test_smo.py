"""The solver: optimality conditions on random problems, and scikit-learn's SVR."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.svm import SVR

from paw_stack.errors import DataError
from paw_stack.heads.kernels.smo.rounds import solve

TOL = 1e-4


def kernel(X: np.ndarray, gamma: float) -> np.ndarray:
    square = ((X[:, None] - X[None]) ** 2).sum(2)
    return np.exp(-gamma * square).astype(np.float32)


@pytest.fixture(scope="module")
def case():
    """300 rows of which a third of the target's variance can be learned."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 6))
    y = 40 + 10 * X[:, 0] + 15 * rng.normal(size=300)
    return kernel(X, 0.1), y


@st.composite
def problems(draw):
    """Kernel, target, C with zeros and per-row values, epsilon; duplicates and ties are likely."""
    n = draw(st.integers(2, 25))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    X = rng.normal(size=(n, draw(st.integers(1, 4))))
    X = X[rng.integers(n, size=n)] if draw(st.booleans()) else X
    y = rng.normal(0, draw(st.sampled_from([0.0, 1.0, 20.0])), n)
    y = y.round() if draw(st.booleans()) else y
    C = rng.exponential(draw(st.sampled_from([0.1, 1.0, 30.0])), n)
    C = np.where(rng.random(n) < draw(st.sampled_from([0.0, 0.3, 0.9])), 0.0, C)
    C[rng.integers(n)] = 1.0
    epsilon = draw(st.sampled_from([0.0, 0.1, 2.0, 100.0]))
    return kernel(X, draw(st.sampled_from([0.01, 0.3, 5.0]))), y, C, epsilon


def assert_optimal(K, y, C, epsilon, solution):
    """The conditions of Karush, Kuhn and Tucker, written with the bias."""
    beta, bias = solution.beta, solution.bias
    f = K.astype(np.float64) @ beta
    np.testing.assert_allclose(solution.f, f, atol=1e-8 * (1 + np.abs(beta).sum()))
    assert abs(beta.sum()) <= 1e-9 * C.sum()
    assert (np.abs(beta) <= C).all()
    error = y - f - bias  # above the tube where positive
    slack = 1.01 * TOL + 1e-7 * np.abs(beta).sum()
    can_grow, can_shrink = beta < C, beta > -C
    tube = np.where(beta >= 0, epsilon, -epsilon)
    assert (error - tube)[can_grow].max(initial=-np.inf) <= slack
    tube = np.where(beta > 0, epsilon, -epsilon)
    assert (error - tube)[can_shrink].min(initial=np.inf) >= -slack


@settings(max_examples=200, deadline=None)
@given(problems(), st.sampled_from([2, 5, 2048]))
def test_solutions_are_optimal(problem, size):
    K, y, C, epsilon = problem
    solution = solve(K, y, C, epsilon, TOL, size=size)
    assert solution.converged
    assert solution.gap <= TOL
    assert_optimal(K, y, C, epsilon, solution)


@settings(max_examples=60, deadline=None)
@given(problems(), st.integers(0, 2**32 - 1))
def test_any_start_leads_to_the_same_predictions(problem, seed):
    K, y, C, epsilon = problem
    start = np.random.default_rng(seed).normal(0, 5, len(y))
    solution = solve(K, y, C, epsilon, TOL, start=start)
    assert_optimal(K, y, C, epsilon, solution)


@pytest.mark.parametrize("C", [0.5, 10, 300])
@pytest.mark.parametrize("epsilon", [0, 0.1, 8])
def test_predictions_are_those_of_scikit_learn(case, C, epsilon):
    K, y = case
    ours = solve(K, y, np.full(300, C), epsilon, 1e-5)
    theirs = SVR(kernel="precomputed", C=C, epsilon=epsilon, tol=1e-5).fit(K, y)
    np.testing.assert_allclose(ours.f + ours.bias, theirs.predict(K), atol=0.01)


def test_rows_without_cost_are_held_out(case):
    """Same predictions as a refit on the other rows, weights included."""
    K, y = case
    weight = np.random.default_rng(1).exponential(size=300)
    weight[::4] = 0
    fit = np.flatnonzero(weight)
    ours = solve(K, y, 5 * weight, 1.0, 1e-5)
    theirs = SVR(kernel="precomputed", C=5, epsilon=1.0, tol=1e-5)
    theirs.fit(K[np.ix_(fit, fit)], y[fit], sample_weight=weight[fit])
    np.testing.assert_allclose(ours.f + ours.bias, theirs.predict(K[:, fit]), atol=0.01)


def test_a_held_out_target_is_never_read(case):
    K, y = case
    C = np.where(np.arange(300) < 60, 0.0, 3.0)
    spoiled = np.where(C > 0, y, np.nan)
    before, after = solve(K, y, C, 0.1), solve(K, spoiled, C, 0.1)
    assert (before.f == after.f).all()
    assert before.bias == after.bias


def test_rounds_on_few_rows_end_at_the_same_predictions(case):
    K, y = case
    whole, parts = (solve(K, y, np.full(300, 20.0), 0.5, 1e-5, size=s) for s in (300, 20))
    assert parts.iterations > whole.iterations
    np.testing.assert_allclose(whole.f + whole.bias, parts.f + parts.bias, atol=1e-3)


def test_a_solution_is_a_start_that_costs_next_to_nothing(case):
    K, y = case
    C = np.full(300, 20.0)
    cold = solve(K, y, C, 0.5)
    assert solve(K, y, C, 0.5, start=cold.beta).iterations < cold.iterations / 10


def test_a_wide_tube_predicts_the_middle_of_the_target(case):
    K, y = case
    solution = solve(K, y, np.ones(300), np.ptp(y))
    assert not solution.beta.any()
    assert solution.bias == pytest.approx((y.min() + y.max()) / 2)


def test_a_constant_target_is_predicted(case):
    solution = solve(case[0], np.full(300, 7.0), np.ones(300), 0.1)
    np.testing.assert_allclose(solution.f + solution.bias, 7, atol=0.1)


def test_two_rows_by_hand():
    """beta = +-b: b^2 (1 - k) - b (y1 - y2) + 2 epsilon b is least at b = 1."""
    K = np.array([[1, 0.5], [0.5, 1]], dtype=np.float32)
    solution = solve(K, np.array([3.0, 1.0]), np.full(2, 10.0), 0.5)
    np.testing.assert_allclose(solution.beta, [1, -1])
    assert solution.bias == pytest.approx(2)


def test_a_kernel_that_is_not_quite_semidefinite_is_solved(case):
    """Rank one with float32 noise: eigenvalues below zero, curvatures of about zero."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1e-6, (300, 300)).astype(np.float32)
    K = np.ones((300, 300), dtype=np.float32) + noise + noise.T
    assert np.linalg.eigvalsh(K)[0] < 0
    assert solve(K, case[1], np.ones(300), 0.1).converged


def test_giving_up_is_told(case):
    K, y = case
    solution = solve(K, y, np.full(300, 20.0), 0.1, 1e-8, max_iter=30)
    assert not solution.converged
    assert solution.iterations == 30
    assert solution.gap > 1e-8


def test_solves_side_by_side_do_not_disturb_each_other(case):
    K, y = case
    costs = [np.where(np.arange(300) % 8 == k, 0.0, 9.0) for k in range(8)]
    alone = [solve(K, y, C, 0.1, size=50) for C in costs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda C: solve(K, y, C, 0.1, size=50), costs))
    assert all(
        (a.f == b.f).all() and a.bias == b.bias for a, b in zip(alone, together, strict=True)
    )


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda K, y, C: (K[:, :4], y, C), r"expected \(n, n\) float32"),
        (lambda K, y, C: (K.astype(np.float64), y, C), "float64"),
        (lambda K, y, C: (K, y, -C), "never negative"),
        (lambda K, y, C: (K, y, 0 * C), "above 0 for at least one row"),
        (lambda K, y, C: (K, y * np.nan, C), "target of a row with C > 0"),
    ],
)
def test_input_that_cannot_be_fitted_is_named(spoil, message):
    with pytest.raises(DataError, match=message):
        solve(*spoil(np.eye(5, dtype=np.float32), np.arange(5.0), np.ones(5)), epsilon=0.1)
