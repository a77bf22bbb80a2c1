"""The solver on a GPU, interpreted on a processor: its solutions are those of the processor's."""

import numpy as np
import pytest
from helpers.interpreted import interpreted, needs_triton

from paw_stack.config import GridSection, SvrSection
from paw_stack.data.folds import Folds
from paw_stack.heads.cross_fit import Problem
from paw_stack.heads.kernels.distances import rbf, squared_distances
from paw_stack.heads.kernels.smo.rounds import solve
from paw_stack.heads.registry import fit_head
from paw_stack.heads.svr import resolve_engine

pytestmark = needs_triton
N, TOL, GAMMA = 24, 5e-5, 0.1
FEW = 9  # pairs between two exact residuals, so that there are many such rounds
GRID = SvrSection(clip=(20, 60), grid=GridSection(C=[3.0, 30.0], gamma=[0.05, 0.5]))


def drawn(n, seed=0):
    """Vectors (n, 5) float32, standardised scores (n,) and weights (n,) of mean 1."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 5)).astype(np.float32)
    y = X[:, 0] + 0.5 * np.sin(3 * X[:, 1]) + 0.5 * rng.normal(size=n)
    weight = rng.uniform(0.3, 2, n)
    return X, (y - y.mean()) / y.std(), weight / weight.mean()


def duals():
    """Targets, costs of rows and epsilons of eight problems; each leaves rows out."""
    _, y, weight = drawn(N)
    fold = np.arange(N) % 3
    problems = [(k, C, e) for k in (0, 1) for C in (0.4, 2.5) for e in (0.005, 0.4)]
    costs = [np.where(fold == k, 0, C * weight) for k, C, _ in problems]
    targets = [np.where(cost > 0, y, np.nan) for cost in costs]  # held-out ones are never read
    return targets, costs, [epsilon for *_, epsilon in problems]


def solved_together():
    from paw_stack.heads.kernels.gpu import smo_triton

    smo_triton.PAIRS = FEW
    K = smo_triton.kernel_matrix(smo_triton.placed(squared_distances(drawn(N)[0])), GAMMA)
    first = smo_triton.solve_together(K, *duals(), TOL, max_iter=400)
    assert all(solution.converged for solution in first)
    again = smo_triton.solve_together(K, *duals(), TOL, [solution.beta for solution in first])
    return first, again


def problem(shared, n=18):
    X, y, weight = drawn(n + 4, seed=1)
    spaces = [X, X] if shared else [X, X[:, ::-1] ** 3]
    folds = Folds(np.arange(n) % 3, np.arange(n))
    features = {k: (space[:n], space[n:]) for k, space in zip(range(3), [*spaces, X], strict=True)}
    only = range(3) if shared else [0, 1]
    return Problem(features.get, 45 + 9 * y[:n], folds, only, shared, weight=weight[:n])


def heads_on_triton():
    """Cross-fits by engine triton, and the engines that `auto` takes beside it."""
    plain = fit_head(SvrSection(C=20), "triton", problem(False))
    grid = fit_head(GRID, "triton", problem(True))
    engines = [resolve_engine(GRID), resolve_engine(SvrSection(engine="triton"))]
    return plain, grid, engines


def both():
    return solved_together(), heads_on_triton()


@pytest.fixture(scope="module")
def found():
    return interpreted(both)


@pytest.fixture
def solutions(found):
    return found[0]


@pytest.fixture
def fitted(found):
    return found[1]


def test_solutions_are_those_of_the_processor(solutions):
    """To 5e-4 spreads: 0.01 points where scores have a spread of 20."""
    K = rbf(squared_distances(drawn(N)[0]), GAMMA)
    for found, target, cost, epsilon in zip(solutions[0], *duals(), strict=True):
        plain = solve(K, target, cost, epsilon, TOL)
        np.testing.assert_allclose(found.f + found.bias, plain.f + plain.bias, atol=5e-4)


def test_solutions_are_optimal_by_a_residual_in_float64(solutions):
    """Bounds, their sum, and the largest violation, written down plainly."""
    K = rbf(squared_distances(drawn(N)[0]), GAMMA).astype(np.float64)
    for found, target, cost, epsilon in zip(solutions[0], *duals(), strict=True):
        beta = found.beta
        assert (np.abs(beta) <= cost).all()
        assert abs(beta.sum()) < 1e-9
        np.testing.assert_allclose(found.f, K @ beta, atol=2e-6)  # exp of two libraries
        slope = found.f - target
        up = (slope + np.where(beta >= 0, epsilon, -epsilon))[beta < cost]
        down = (slope + np.where(beta > 0, epsilon, -epsilon))[beta > -cost]
        assert np.nanmax(down) - np.nanmin(up) <= TOL
    assert max(found.iterations for found in solutions[0]) > 3 * FEW


def test_a_solution_that_is_a_start_is_kept(solutions):
    for first, again in zip(*solutions, strict=True):
        assert again.iterations == 0
        np.testing.assert_allclose(again.f, first.f, atol=TOL)


def test_folds_that_do_not_share_vectors_are_fitted_one_by_one(fitted):
    plain = fit_head(SvrSection(C=20), "gram", problem(False))
    np.testing.assert_allclose(fitted[0].oof, plain.oof, atol=0.01)
    np.testing.assert_allclose(fitted[0].test, plain.test, atol=0.01)
    assert fitted[0].heads.keys() == plain.heads.keys()


def test_a_nested_grid_chooses_and_predicts_the_same(fitted):
    """Settings of cost and width, by pairs of folds, with weights of rows."""
    plain = fit_head(GRID, "gram", problem(True))
    assert fitted[1].facts["chosen"] == plain.facts["chosen"]
    assert len({tuple(point.items()) for point in plain.facts["chosen"]}) > 1
    np.testing.assert_allclose(fitted[1].oof, plain.oof, atol=0.01)
    np.testing.assert_allclose(fitted[1].search["rmse"], plain.search["rmse"], atol=0.02)


def test_the_interpreter_counts_as_a_device(fitted):
    assert fitted[2] == ["triton", "triton"]


@pytest.mark.parametrize("capability", [70, pytest.param(90, marks=pytest.mark.slow)])
def test_the_kernel_compiles_for_gpus(capability, tmp_path, monkeypatch):
    """Without one: to a cubin of that compute capability, by the compiler that Triton brings.

    Warps wait for each other between reading and writing what all of them read and one writes.
    """
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from paw_stack.heads.kernels.gpu.smo_triton import _smo

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    pointers = {"K": "*fp32", "RESIDUAL": "*fp32", "STATE": "*i8", "BETA": "*fp64", "C": "*fp64"}
    pointers |= {"EPSILON": "*fp32", "PAIRS": "*i32"}
    others = {"tol": "fp32", "width": "i32", "most_pairs": "i32", "BLOCK": "constexpr"}
    old = tuple(map(int, triton.__version__.split(".")[:2])) < (3, 3)
    block = "BLOCK" if old else (_smo.arg_names.index("BLOCK"),)
    source = ASTSource(_smo, pointers | others, {block: 2048})
    made = triton.compile(source, target=GPUTarget("cuda", capability, 32))
    assert len(made.asm["cubin"]) > 1000
    code = made.asm["ptx"]  # coefficients alone are of 64 bits
    first, last = code.index("st.global.b64"), code.rindex("st.global.b64")
    since = max(code.rfind(mark, 0, first) for mark in ("ld.global.b64", "$L__BB"))
    assert "bar.sync" in code[since:first]
    assert "bar.sync" in code[last : code.index("$L__BB", last)]
