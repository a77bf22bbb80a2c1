"""Heads on one matrix of distances: our own SVR and kernel ridge, kept as stored heads.

Where folds share their vectors there is one matrix for all of them; else one a fold, in which the
other folds' rows stand as its backbone sees them.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from paw_stack.config import KernelRidgeSection, SvrSection
from paw_stack.data.types import StoredHead
from paw_stack.heads.cross_fit import CrossFitted, Problem
from paw_stack.heads.kernels.distances import (
    Scaling,
    predict_rows,
    rbf,
    scale_gamma,
    squared_distances,
    standardise,
)
from paw_stack.heads.kernels.grid_search import Point, grid_points, grid_search
from paw_stack.heads.kernels.kernel_ridge import cross_fit_kernel_ridge
from paw_stack.heads.kernels.svr import cross_fit_gram
from paw_stack.heads.stored import kernel_head
from paw_stack.metrics import rmse
from paw_stack.progress import track


class Matrix(NamedTuple):
    """Vectors that some folds share, and their distances."""

    folds: list[int]
    scaling: Scaling
    vectors: np.ndarray  # (n, d) float32, standardised
    labelled: np.ndarray  # (n, n) float32, squared distances
    test: np.ndarray  # (m, n) float32
    weight: np.ndarray | None  # (n,) of labelled rows


class Fits(NamedTuple):
    """What the folds of one matrix leave."""

    oof: np.ndarray  # (n,) float64, points; NaN for other folds
    test: np.ndarray  # (m,) float64, points, mean over these folds
    gammas: list[float]  # by fold
    beta: np.ndarray  # (folds, n) float64
    bias: np.ndarray  # (folds,) float64, points
    facts: dict[str, Any]
    search: pd.DataFrame | None = None


def svr_on_gram(section: SvrSection, problem: Problem, solver: str = "smo") -> CrossFitted:
    """The SVR on one matrix, with a grid where the section has one; `solver` as cross_fit_gram."""

    def fit(matrix: Matrix) -> Fits:
        if section.grid:
            return _grid(section, matrix, problem, solver)
        return _plain(section, matrix, problem, solver)

    fitted = _each_matrix(fit, problem)
    if section.grid is None or len(problem.only) < problem.folds.n:
        return fitted
    nested = rmse(problem.target, fitted.oof, problem.weight)
    plain = fitted.facts["best_plain_rmse"]
    remark = f"grid chosen inside the training rows: nested RMSE {nested:.3f}"
    if problem.shared:
        remark += f"; chosen and scored on the same rows {plain:.3f}, optimistic"
    fitted.remarks.append(remark)
    return fitted


def kernel_ridge_on_gram(section: KernelRidgeSection, problem: Problem) -> CrossFitted:
    """Kernel ridge; the penalty of a fold is chosen by its training rows."""

    def fit(matrix: Matrix) -> Fits:
        gamma = _gamma(section.gamma, matrix)
        K = rbf(matrix.labelled, gamma, out=matrix.labelled)
        oof, beta, bias, alphas = cross_fit_kernel_ridge(
            K,
            problem.target,
            problem.folds.fold_of,
            section.alphas,
            matrix.folds,
            matrix.weight,
            problem.folds.group_of,
            problem.device,
        )
        test = predict_rows(rbf(matrix.test, gamma), beta, bias).mean(1)
        return Fits(oof, test, [gamma] * len(bias), beta, bias, {"alphas": alphas})

    return _each_matrix(fit, problem)


def _each_matrix(fit: Callable[[Matrix], Fits], problem: Problem) -> CrossFitted:
    """Fit the folds matrix by matrix; one is in memory at a time."""
    parts = problem.parts
    size = len(problem.only) // len(parts)  # folds a part
    oof, tests = np.full(len(problem.target), np.nan), []
    heads: dict[str, StoredHead] = {}
    facts: dict[str, list[Any]] = {}
    for name, group in track(parts.items(), problem.what, len(problem.only), "folds", size=size):
        matrix = _matrix(problem, group)
        fits = fit(matrix)
        done = np.isfinite(fits.oof)
        oof[done] = fits.oof[done]
        tests.append(fits.test)
        heads |= dict(_stored(matrix, fits, name))
        for key, values in fits.facts.items():
            facts.setdefault(key, []).extend(values if isinstance(values, list) else [values])
    search = fits.search if problem.shared else None
    return CrossFitted(oof, np.mean(tests, axis=0), heads, _flat(facts), search=search)


def _flat(facts: dict[str, list[Any]]) -> dict[str, Any]:
    return {k: v[0] if len(v) == 1 and k == "best_plain_rmse" else v for k, v in facts.items()}


def _matrix(problem: Problem, group: list[int]) -> Matrix:
    labelled, test, scaling = standardise(*problem.features(group[0]), problem.weight)
    between = squared_distances(labelled, device=problem.device)
    across = squared_distances(test, labelled, problem.device)
    return Matrix(group, scaling, labelled, between, across, problem.weight)


def _plain(section: SvrSection, matrix: Matrix, problem: Problem, solver: str) -> Fits:
    gamma = _gamma(section.gamma, matrix)
    found = cross_fit_gram(
        matrix.labelled,
        matrix.test,
        problem.target,
        problem.folds.fold_of,
        section.C,
        gamma,
        section.epsilon,
        section.clip,
        matrix.weight,
        only=matrix.folds,
        solver=solver,
    )
    return Fits(found.oof, found.test, [gamma] * len(found.bias), found.beta, found.bias, {})


def _grid(section: SvrSection, matrix: Matrix, problem: Problem, solver: str) -> Fits:
    points = _points(section, matrix)
    found = grid_search(
        matrix.labelled,
        matrix.test,
        problem.target,
        problem.folds.fold_of,
        points,
        sample_weight=matrix.weight,
        only=matrix.folds,
        solver=solver,
    )
    facts = {
        "chosen": [vars(point) for point in found.chosen],
        "best_plain_rmse": found.optimistic_rmse,
    }
    gammas = [point.gamma for point in found.chosen]
    return Fits(found.oof, found.test, gammas, found.beta, found.bias, facts, found.table)


def _points(section: SvrSection, matrix: Matrix) -> list[Point]:
    grid = section.grid
    assert grid is not None
    return grid_points(
        grid.C or [section.C],
        [_gamma(gamma, matrix) for gamma in grid.gamma or [section.gamma]],
        grid.epsilon or [section.epsilon],
        grid.clip or [section.clip],
    )


def _gamma(gamma: float | str, matrix: Matrix) -> float:
    return scale_gamma(matrix.vectors, matrix.weight) if gamma == "scale" else float(gamma)


def _stored(matrix: Matrix, fits: Fits, name: str) -> Iterator[tuple[str, StoredHead]]:
    """One head a gamma, whose mean is the mean over folds."""
    distinct = list(dict.fromkeys(fits.gammas))
    for number, gamma in enumerate(distinct):
        own = [k for k, other in enumerate(fits.gammas) if other == gamma]
        share = len(distinct) / len(fits.gammas)
        beta, bias = fits.beta[own].sum(0) * share, float(fits.bias[own].sum() * share)
        used = np.flatnonzero(beta)
        head = kernel_head(matrix.scaling, matrix.vectors[used], beta[used], bias, gamma)
        yield (name if len(distinct) == 1 else f"{name}-gamma{number}"), head
