"""SVR heads of all folds on one kernel matrix: distances once, a kernel a gamma, a solve a fold.

In: embeddings that all folds share, standardised by `standardise`. Out: out-of-fold and test
predictions in points. Held-out rows have C = 0 in their fold's solve (kernels/smo.py), so that no
fold copies the matrix.

One matrix for all folds asks for a scaling that no fold changes: columns are centred and scaled
over labelled and test rows together. It never sees the target; it does see the features of
held-out rows, as a scaler that is fitted on all photos at hand. Use `cross_fit` with a scaler in
its pipeline where that is not wanted.

Memory: 4 n^2 bytes for the distances and again for a kernel (0.4 GB each at n = 10,000), and 9 MB
a thread.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit

from paw_stack.errors import DataError
from paw_stack.heads.kernels.costs import TOL
from paw_stack.heads.kernels.gpu.products import product
from paw_stack.heads.kernels.rbf import ROWS, predict_rows, rbf
from paw_stack.heads.kernels.smo import Solution
from paw_stack.heads.kernels.solvers import kernel, placed, solve_all
from paw_stack.metrics import mean, total
from paw_stack.processes import usable_cores

TILE = 64  # a tile of the matrix and its mirror fit the first-level cache together


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


class Scaling(NamedTuple):
    """Standardised = (raw - mean_) / scale_, named as StandardScaler has them."""

    mean_: np.ndarray  # (d,) float64
    scale_: np.ndarray  # (d,) float64, inf for columns that are constant


def standardise(
    labelled: np.ndarray, test: np.ndarray, weight: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, Scaling]:
    """Columns of mean 0 and variance 1 over labelled (n, d) and test (m, d) rows; float32.

    A column that is constant up to rounding becomes 0. No target is looked at.

    Args:
        weight: (n,) of labelled rows, beside test rows of weight 1; None: 1 each.

    Raises:
        DataError: widths that differ, or values that are not finite.
    """
    if labelled.ndim != 2 or test.ndim != 2 or labelled.shape[1] != test.shape[1]:
        raise DataError(
            f"embeddings of labelled rows {labelled.shape} and test rows {test.shape}; expected"
            " (n, d) and (m, d)"
        )
    blocks = [labelled.astype(np.float32), test.astype(np.float32)]
    weights = weight, None
    n = total(labelled, weight) + len(test)
    middle = np.sum([*map(_summed, blocks, weights)], axis=0) / n
    blocks = [block - middle.astype(np.float32) for block in blocks]
    # What is left of the mean after rounding it to float32 is taken out of the variance.
    left = np.sum([*map(_summed, blocks, weights)], axis=0) / n
    square = np.sum([*map(_summed, map(np.square, blocks), weights)], axis=0) / n
    deviation = np.sqrt(np.maximum(square - left**2, 0))
    if not np.isfinite(deviation).all():
        raise DataError("embeddings hold values that are not finite; make them again")
    constant = deviation <= 1e-6 * np.abs(middle)
    scale = np.where(constant, 0, 1 / np.where(constant, 1, deviation)).astype(np.float32)
    scaling = Scaling(middle, np.where(constant, np.inf, deviation))
    return blocks[0] * scale, blocks[1] * scale, scaling


def _summed(block: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    """Columns' sums (d,) float64 of rows (n, d)."""
    if weight is None:
        return np.asarray(block.sum(0, dtype=np.float64))
    return weight @ block.astype(np.float64)


def scale_gamma(X: np.ndarray, weight: np.ndarray | None = None) -> float:
    """scikit-learn's gamma='scale' of features (n, d): 1 / (d * variance of all values)."""
    if weight is None:
        variance = float(np.var(X, dtype=np.float64))
    else:
        each = X.mean(1, dtype=np.float64), np.square(X, dtype=np.float64).mean(1)
        middle, square = (mean(of_rows, weight) for of_rows in each)
        variance = square - middle**2
    return 1.0 / (X.shape[1] * variance) if variance > 0 else 1.0


def squared_distances(
    A: np.ndarray, B: np.ndarray | None = None, device: str | None = None
) -> np.ndarray:
    """Squared Euclidean distances (n, m) float32 between rows of A (n, d) and B (m, d), float32.

    Without B: those of A to itself, exactly symmetric, with an exactly zero diagonal and half the
    work. Never negative. From |a|^2 + |b|^2 - 2ab, so that a distance is exact to about 1e-7 of the
    norms; centre the columns first.

    Args:
        device: of torch, where products are computed; None is numpy on the processor.
    """
    A = np.ascontiguousarray(A, dtype=np.float32)
    other = A if B is None else np.ascontiguousarray(B, dtype=np.float32)
    norms, other_norms = _norms(A), _norms(other)
    out = np.empty((len(A), len(other)), dtype=np.float32)
    for begin in range(0, len(A), 4 * ROWS):
        rows = slice(begin, begin + 4 * ROWS)
        columns = slice(begin if B is None else 0, None)
        out[rows, columns] = product(A[rows], other[columns].T, device)
    blocks = [(begin, min(begin + ROWS, len(A))) for begin in range(0, len(A), ROWS)]
    finish = _mirrored_distances if B is None else _distances
    with ThreadPoolExecutor(usable_cores()) as pool:
        list(pool.map(lambda block: finish(out, norms, other_norms, *block), blocks))
    return out


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


def _norms(A: np.ndarray) -> np.ndarray:
    return np.einsum("ij,ij->i", A, A, dtype=np.float64)


@njit(cache=True, nogil=True)
def _distances(G, norms, other_norms, begin, end):  # type: ignore[no-untyped-def]
    """Rows `begin` to `end` of products turned into squared distances."""
    for i in range(begin, end):
        for j in range(G.shape[1]):
            G[i, j] = max(np.float32(norms[i] + other_norms[j] - 2 * G[i, j]), np.float32(0))


@njit(cache=True, nogil=True)
def _mirrored_distances(G, norms, _, begin, end):  # type: ignore[no-untyped-def]
    """The same for the upper triangle, and its mirror below the diagonal."""
    for top in range(begin, end, TILE):
        for left in range(top, len(G), TILE):
            for i in range(top, min(top + TILE, end)):
                for j in range(max(left, i + 1), min(left + TILE, len(G))):
                    distance = max(np.float32(norms[i] + norms[j] - 2 * G[i, j]), np.float32(0))
                    G[i, j] = distance
                    G[j, i] = distance
            if left == top:
                for i in range(top, min(top + TILE, end)):
                    G[i, i] = 0
