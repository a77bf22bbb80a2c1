"""SVR heads of all folds on one kernel matrix: distances once, a kernel a gamma, a solve a fold.

In: embeddings that all folds share, standardised by `standardise`. Out: out-of-fold and test
predictions in points. Held-out rows have C = 0 in their fold's solve (kernels/smo/), so that no
fold copies the matrix.

One matrix for all folds asks for a scaling that no fold changes: columns are centred and scaled
over labelled and test rows together. It never sees the target; it does see the features of
held-out rows, as a scaler that is fitted on all photos at hand. Use `cross_fit` with a scaler in
its pipeline where that is not wanted.

Memory: 4 n^2 bytes for the distances and again for a kernel (0.4 GB each at n = 10,000), and 9 MB
a thread.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from paw_stack.heads.kernels.costs import TOL
from paw_stack.heads.kernels.distances import predict_rows, rbf
from paw_stack.heads.kernels.smo.rounds import Solution
from paw_stack.heads.kernels.solvers import kernel, placed, solve_all


@dataclass(frozen=True)
class CrossFit:
    """Predictions of the folds that were run, and the dual coefficients behind them.

    A new row with kernel values k (n,) is predicted as the mean over folds of `beta @ k + bias`.
    """

    oof: np.ndarray  # (n,) float64, points; NaN where a row's fold was not run
    test: np.ndarray  # (m,) float64, points, mean over the folds that were run
    folds: tuple[int, ...]  # the folds that were run
    beta: np.ndarray  # (folds, n) float64
    bias: np.ndarray  # (folds,) float64, points


def cross_fit_gram(
    D: np.ndarray,
    D_test: np.ndarray,
    y: np.ndarray,
    fold_of: np.ndarray,
    C: float | None,
    gamma: float,
    epsilon: float | None,
    clip: tuple[float, float] | None = None,
    sample_weight: np.ndarray | None = None,
    only: Iterable[int] | None = None,
    tol: float = TOL,
    threads: int | None = None,
    solver: str = "smo",
) -> CrossFit:
    """Fold k's SVR learns from the rows outside fold k; all folds on one kernel matrix.

    The result is the same for any number of threads.

    Args:
        D: (n, n) float32, squared distances between labelled rows.
        D_test: (m, n) float32, from test rows to labelled rows.
        y: (n,) points.
        fold_of: (n,) the fold that holds a row out; below 0 a row that is never held out.
        C, epsilon: points; None: shares of the spread of each fold's training rows
            (kernels/costs.py).
        clip: bounds for the target of training rows, points; None leaves it alone.
        sample_weight: (n,) factor on C; 0 leaves a row out of every fit.
        only: folds to run; default all.
        tol: largest violation of the optimality conditions, share of the training rows' spread.
        threads: folds solved at the same time; default the cores at hand.
        solver: as heads/kernels/solvers.py has them.

    Warns:
        ConvergenceWarning: a fold's solver gave up; its fold and gap are named.
    """
    K, K_test = kernel(placed(D, solver), gamma), rbf(D_test, gamma)
    weight = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=float)
    target = y if clip is None else np.clip(y, *clip)
    folds = tuple(np.unique(fold_of[fold_of >= 0]).tolist() if only is None else only)
    weights = [np.where(fold_of == k, 0.0, weight) for k in folds]
    solved = solve_all(K, target, weights, C, epsilon, tol, threads, solver)
    return _cross_fit(solved, folds, fold_of, K_test)


def _cross_fit(
    solved: list[Solution], folds: tuple[int, ...], fold_of: np.ndarray, K_test: np.ndarray
) -> CrossFit:
    oof = np.full(len(fold_of), np.nan)
    for k, solution in zip(folds, solved, strict=True):
        held_out = fold_of == k
        oof[held_out] = solution.f[held_out] + solution.bias
    beta = np.array([solution.beta for solution in solved])
    bias = np.array([solution.bias for solution in solved])
    return CrossFit(oof, predict_rows(K_test, beta, bias).mean(1), folds, beta, bias)
