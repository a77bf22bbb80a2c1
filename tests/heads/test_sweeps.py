"""Problems that advance together: each optimal, and the same whichever others are beside it."""

import numpy as np
import pytest

from paw_stack.errors import DataError
from paw_stack.heads.kernels import solvers
from paw_stack.heads.kernels.distances import rbf, squared_distances
from paw_stack.heads.kernels.grid_search import grid_points, grid_search
from paw_stack.heads.kernels.smo import sweeps
from paw_stack.heads.kernels.smo.rounds import solve
from paw_stack.heads.kernels.svr import cross_fit_gram

N, TOL = 700, 1e-4  # three blocks of rows


@pytest.fixture(scope="module")
def drawn():
    """Squared distances (n, n) and scores (n,) in ascending order, so that neighbours are alike."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 6)).astype(np.float32)
    X[:30] = X[30:60]
    y = X[:, 0] + 0.5 * np.sin(3 * X[:, 1]) + 0.8 * rng.normal(size=N)
    order = np.argsort(y)
    return squared_distances(X[order]), y[order]


@pytest.fixture(scope="module")
def problems(drawn):
    """Kernel, targets, costs and epsilons of five problems, which leave rows out."""
    D, y = drawn
    weight = np.random.default_rng(1).uniform(0.3, 2, N)
    settings = [(0.4, 0.0), (3.0, 0.1), (3.0, 1.0), (40.0, 0.02), (3.0, 0.1)]
    costs = [np.where(np.arange(N) % 5 == k, 0, C * weight) for k, (C, _) in enumerate(settings)]
    targets = [np.where(cost > 0, y, np.nan) for cost in costs]  # held-out ones are never read
    return rbf(D, 0.1), targets, costs, [epsilon for _, epsilon in settings]


def together(problems, which=range(5), starts=None):
    K, *parts = problems
    chosen = [[part[k] for k in which] for part in parts]
    return sweeps.solve_together(K, *chosen, TOL, starts or [None] * len(which))


@pytest.fixture(scope="module")
def solved(problems):
    return together(problems)


def gap_of(K, y, C, epsilon, beta):
    """The largest violation of the optimality conditions, written down plainly."""
    slope = K.astype(np.float64) @ beta - y
    up = (slope + np.where(beta >= 0, epsilon, -epsilon))[beta < C]
    down = (slope + np.where(beta > 0, epsilon, -epsilon))[beta > -C]
    return np.nanmax(down) - np.nanmin(up)


def test_each_solution_is_optimal(problems, solved):
    K, *parts = problems
    for solution, y, C, epsilon in zip(solved, *parts, strict=True):
        beta = solution.beta
        assert solution.converged
        assert (np.abs(beta) <= C).all()
        assert abs(beta.sum()) <= 1e-9 * C.sum()
        np.testing.assert_allclose(solution.f, K.astype(np.float64) @ beta, atol=1e-8)
        assert gap_of(K, y, C, epsilon, beta) <= 1.01 * TOL


def test_predictions_are_those_of_rounds(problems, solved):
    K, *parts = problems
    for solution, y, C, epsilon in zip(solved, *parts, strict=True):
        alone = solve(K, y, C, epsilon, TOL)
        np.testing.assert_allclose(solution.f + solution.bias, alone.f + alone.bias, atol=1e-3)


@pytest.mark.parametrize("which", [[1], [4, 1], [1, 2, 3]])
def test_a_solution_does_not_depend_on_what_is_beside_it(problems, solved, which):
    for k, solution in zip(which, together(problems, which), strict=True):
        assert (solution.beta == solved[k].beta).all()
        assert (solution.f == solved[k].f).all()
        assert solution.bias == solved[k].bias
        assert solution.iterations == solved[k].iterations


def test_sweeps_do_most_of_the_work(drawn, problems, monkeypatch):
    """Also where neighbours are alike, and blocks of them may begin with all rows at a bound."""
    left = []

    def watched(*arguments):
        left.append(by_rounds(*arguments))
        return left[-1]

    by_rounds = sweeps.by_rounds
    monkeypatch.setattr(sweeps, "by_rounds", watched)
    found = together((rbf(drawn[0], 0.5), *problems[1:]), [0, 1, 2, 4])
    assert sum(pairs for pairs, _ in left) < sum(each.iterations for each in found) / 3


def test_what_sweeps_leave_is_done_by_rounds():
    """Blocks of every third row and of neighbours, each of one score: only rounds join the two."""
    kind = np.arange(6) % 2
    K = np.eye(6, dtype=np.float32)
    K[kind[:, None] == kind] = 1
    y = np.where(kind, 3.0, -3.0)
    found = sweeps.solve_together(K, [y], [np.full(6, 5.0)], [0.1], TOL, [None])[0]
    assert found.converged
    np.testing.assert_allclose(found.f + found.bias, np.where(kind, 2.9, -2.9), atol=1e-3)


def test_a_solution_is_a_start_that_costs_nothing(problems, solved):
    again = together(problems, starts=[solution.beta for solution in solved])
    for first, second in zip(solved, again, strict=True):
        assert second.iterations < first.iterations / 20
        np.testing.assert_allclose(second.f, first.f, atol=1e-3)


def test_a_problem_that_cannot_be_fitted_is_named(problems):
    K, targets, costs, epsilons = problems
    with pytest.raises(DataError, match="above 0 for at least one row"):
        sweeps.solve_together(K, targets, [0 * C for C in costs], epsilons, TOL, [None] * 5)


@pytest.fixture
def many(monkeypatch):
    """Sweeps where there would be rounds, as there are few rows."""
    monkeypatch.setattr(solvers, "MANY", N - 1)


def cross_fit(drawn, **options):
    D, y = drawn
    return cross_fit_gram(D, D[:9], y, np.arange(N) % 5, 4.0, 0.1, 0.1, **options)


@pytest.mark.parametrize("options", [{"threads": 1}, {"threads": 4}, {"only": [1, 3]}])
def test_threads_and_folds_beside_it_change_no_fold(drawn, many, options):
    whole, other = cross_fit(drawn, threads=2), cross_fit(drawn, **options)
    fitted = np.isin(np.arange(N) % 5, other.folds)
    assert (other.oof[fitted] == whole.oof[fitted]).all()
    assert (other.beta == whole.beta[list(other.folds)]).all()


def test_folds_are_those_of_rounds(drawn, request):
    rounds = cross_fit(drawn)
    request.getfixturevalue("many")
    swept = cross_fit(drawn)
    assert (swept.oof != rounds.oof).any()
    np.testing.assert_allclose(swept.oof, rounds.oof, atol=1e-3)


def searched(drawn, y):
    points = grid_points([0.5, 4.0], [0.02, 0.3], [0.1, 0.5])
    return grid_search(drawn[0], drawn[0][:9], y, np.arange(N) % 4, points)


def test_a_grid_chooses_as_by_rounds_and_without_the_fold(drawn, request):
    y = drawn[1]
    rounds = searched(drawn, y)
    request.getfixturevalue("many")
    swept = searched(drawn, y)
    assert swept.chosen == rounds.chosen
    np.testing.assert_allclose(swept.oof, rounds.oof, atol=1e-3)
    own = np.arange(N) % 4 == 1
    spoiled = searched(drawn, np.where(own, 3 * y[::-1], y))
    assert spoiled.chosen[1] == swept.chosen[1]
    assert (spoiled.oof[own] == swept.oof[own]).all()
