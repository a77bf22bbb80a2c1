"""Who solves the duals of SVRs on a kernel matrix that they share.

`smo` is ours on a processor, `triton` ours on a GPU, both for many duals together; `cuml` is
RAPIDS' on a GPU, one after another. Each gives the same solutions, up to the tolerance.
"""

import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from paw_stack.data.target import TargetScale
from paw_stack.heads.kernels.costs import costs
from paw_stack.heads.kernels.distances import predict_rows, rbf
from paw_stack.heads.kernels.smo.rounds import Solution, solve
from paw_stack.heads.kernels.smo.sweeps import solve_together
from paw_stack.processes import usable_cores

MANY = 2048  # rows, above which problems share sweeps; a smaller matrix stays in the cache


class Dual(NamedTuple):
    """One fit: the arguments of `rounds.solve` beside the kernel."""

    y: np.ndarray  # (n,) float64
    C: np.ndarray  # (n,) float64, 0 for a held-out row
    epsilon: float
    start: np.ndarray | None = None  # (n,) float64


def placed(D: np.ndarray, solver: str) -> Any:
    """Distances (n, n) where the solver wants its kernels: a tensor on its device for `triton`."""
    if solver != "triton":
        return D
    from paw_stack.heads.kernels.gpu.smo_triton import placed

    return placed(D)


def kernel(D: Any, gamma: float, out: Any = None) -> Any:
    """exp(-gamma D) of `placed` distances, beside them; `out` may be used again."""
    if isinstance(D, np.ndarray):
        return rbf(D, gamma, out)
    from paw_stack.heads.kernels.gpu.smo_triton import kernel_matrix

    return kernel_matrix(D, gamma, out)


def solve_each(
    K: Any, duals: Sequence[Dual], tol: float, solver: str = "smo", threads: int | None = None
) -> list[Solution]:
    """The solution of each dual.

    Args:
        K: as `kernel` gives it for that solver.
        threads: fits of `smo` at the same time; default the cores at hand.

    Warns:
        ConvergenceWarning: a fit stopped before it was done.
    """
    if solver == "triton":
        return list(map(checked, _together(K, duals, tol)))
    if solver == "cuml":
        return [cuml_solution(K, dual, tol) for dual in duals]

    if len(K) > MANY:
        return list(map(checked, _swept(K, duals, tol, threads or usable_cores())))

    def one(dual: Dual) -> Solution:
        return checked(solve(K, dual.y, dual.C, dual.epsilon, tol, dual.start))

    if len(duals) == 1:
        return [one(duals[0])]
    with ThreadPoolExecutor(threads or usable_cores()) as pool:
        return list(pool.map(one, duals))


def _swept(K: np.ndarray, duals: Sequence[Dual], tol: float, threads: int) -> list[Solution]:
    """By sweeps, as many problems a thread as another; each solution is the same anywhere."""
    size = -(-len(duals) // threads)
    parts = [duals[begin : begin + size] for begin in range(0, len(duals), size)]
    with ThreadPoolExecutor(threads) as pool:
        solved = pool.map(lambda part: _part(K, part, tol), parts)
        return [solution for part in solved for solution in part]


def _part(K: np.ndarray, duals: Sequence[Dual], tol: float) -> list[Solution]:
    y, C, epsilon, start = zip(*duals, strict=True)
    return solve_together(K, y, C, epsilon, tol, start)


def _together(K: Any, duals: Sequence[Dual], tol: float) -> Iterator[Solution]:
    """On a GPU, as many at a time as its memory is counted for."""
    from paw_stack.heads.kernels.gpu.smo_triton import TOGETHER, solve_together

    for begin in range(0, len(duals), TOGETHER):
        y, C, epsilon, start = zip(*duals[begin : begin + TOGETHER], strict=True)
        yield from solve_together(K, y, C, epsilon, tol, None if start[0] is None else start)


def solve_all(
    K: Any,
    y: np.ndarray,
    weights: Sequence[np.ndarray],
    C: float | None,
    epsilon: float | None,
    tol: float,
    threads: int | None = None,
    solver: str = "smo",
) -> list[Solution]:
    """The solution in points for each of the row weights (n,).

    A weight is a factor on C. Each is solved on its own rows' standardised target, where `tol`
    counts.
    """
    scales = [TargetScale.of(y[weight > 0], weight[weight > 0]) for weight in weights]
    duals = []
    for weight, scale in zip(weights, scales, strict=True):
        cost, tube = costs(C, epsilon, scale)
        duals.append(Dual(scale.standardised(y), cost * weight, tube))
    solved = solve_each(K, duals, tol, solver, threads)
    return list(map(solution_in_points, solved, scales))


def solution_in_points(solution: Solution, scale: TargetScale) -> Solution:
    """Of a standardised target's solution: `f + bias` are points."""
    return replace(
        solution,
        beta=scale.spread * solution.beta,
        f=scale.spread * solution.f,
        bias=float(scale.points(np.array(solution.bias))),
        gap=scale.spread * solution.gap,
    )


def checked(solution: Solution) -> Solution:
    """The solution; a warning where its solver stopped before it was done."""
    if not solution.converged:
        from sklearn.exceptions import ConvergenceWarning

        warnings.warn(
            f"an SVR stopped after {solution.iterations} steps with a gap of {solution.gap:.2g};"
            " lower C or gamma, or raise tol",
            ConvergenceWarning,
            stacklevel=2,
        )
    return solution


def cuml_solution(K: np.ndarray, dual: Dual, tol: float) -> Solution:
    """Solve the same dual by RAPIDS on a GPU, which takes a copy of the training rows' kernel."""
    from cuml.svm import SVR

    y, C, epsilon, _ = dual
    fit = np.flatnonzero(C)
    model = SVR(kernel="precomputed", C=1.0, epsilon=epsilon, tol=tol, output_type="numpy")
    model.fit(K[np.ix_(fit, fit)], y[fit], sample_weight=C[fit])
    beta = np.zeros(len(y))
    beta[fit[model.support_]] = np.ravel(model.dual_coef_)
    f = predict_rows(K, beta[None], np.zeros(1))[:, 0]
    return Solution(beta, f, float(np.ravel(model.intercept_)[0]), 0, tol, True)
