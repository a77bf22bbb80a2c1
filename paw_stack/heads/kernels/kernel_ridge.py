"""Kernel ridge regression with an intercept: all folds exactly from one inverse a penalty.

The fit solves the bordered system [[K + D, 1], [1', 0]] [a; b] = [y; 0] with D = alpha / weight on
the diagonal. Let P be the upper left block of its inverse. The coefficients of a model that never
saw the rows B are P y less P_B' P_BB^-1 (P y)_B, and its leave-one-out residuals are these divided
by the diagonal of P less P_B' P_BB^-1 P_B (Cawley, 2006, "Leave-one-out cross-validation based
model selection criteria for weighted LS-SVMs", IJCNN; block form from the inverse of a partitioned
matrix). The penalty of fold k is chosen by the leave-one-out error of its training rows (of whole
groups, where rows belong together), so that held-out targets take no part. Rows' weights w divide
their alpha, which weighs their squared errors; who is left out takes its whole weight along.

P is computed in float32 where there are many rows and the penalty is not tiny. Coefficients are
then refined with residuals in float64 until they are exact; of the diagonal, which leave-one-out
errors alone are divided by, four digits are.

In: embeddings. Out: predictions in points. Memory: 8 n^2 bytes and as much as a fold's rows take of
them (0.9 GB at n = 10,000), in float64 half as much more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, check_non_negative

from paw_stack.heads.kernels.distances import ROWS, rbf, scale_gamma, squared_distances
from paw_stack.heads.kernels.estimators import validate_data
from paw_stack.heads.kernels.gpu.products import inverse
from paw_stack.heads.stored import distances_float64

MANY = 2048  # rows, above which P is computed in float32
TINY = 0.01  # penalty of a row, below which it is not
REFINEMENTS = 20  # each leaves a hundredth of the error, as a rule
EXACT = 1e-12  # of the largest target: a residual that is rounding


@dataclass(frozen=True)
class _Fit:
    """The model without some rows: coefficients, 0 for those rows; LOO error of the others."""

    coefficients: np.ndarray  # (n,) float64
    intercept: float
    held_out: np.ndarray  # predictions of the rows left out
    loo_mse: float


class _Inverse:
    """The bordered system of one penalty, for models that each leave out some rows."""

    def __init__(
        self,
        K: np.ndarray,
        penalty: np.ndarray,
        left_out: Sequence[np.ndarray],
        device: str | None,
    ):
        from scipy.linalg import cholesky

        self.P, self.left_out = _inverted(K, penalty, device), left_out
        row = self.P.sum(1, dtype=np.float64)
        for begin in range(0, len(row), ROWS):
            rows = slice(begin, begin + ROWS)
            self.P[rows] -= np.outer(row[rows], row / row.sum())
        self.factors = [
            cholesky(self.P[np.ix_(B, B)], lower=True) if len(B) else None for B in left_out
        ]

    def solved(self, Y: np.ndarray) -> np.ndarray:
        """Coefficients (n, models) float64, of targets (n, models) that are 0 where left out."""
        from scipy.linalg import cho_solve

        found = (self.P @ Y.astype(self.P.dtype)).astype(np.float64)
        for k, (B, factor) in enumerate(zip(self.left_out, self.factors, strict=True)):
            if factor is not None:
                across = cho_solve((factor, True), found[B, k].astype(self.P.dtype))
                found[:, k] -= across @ self.P[B]
                found[B, k] = 0
        return found

    def errors(self, coefficients: np.ndarray, group_of: np.ndarray) -> np.ndarray:
        """Leave-one-out errors (n, models) float64, of whole groups; 0 where rows are left out."""
        from scipy.linalg import solve_triangular

        found = np.zeros(coefficients.shape)
        for k, (B, factor) in enumerate(zip(self.left_out, self.factors, strict=True)):
            half = np.zeros((0, len(self.P)), self.P.dtype)
            if factor is not None:
                half = solve_triangular(factor, self.P[B], lower=True, check_finite=False)
            diagonal = np.diag(self.P).astype(np.float64) - np.einsum("ij,ij->j", half, half)
            kept = np.setdiff1d(np.arange(len(self.P)), B)
            found[kept, k] = coefficients[kept, k] / diagonal[kept]
            for rows in (kept[own] for own in several(group_of[kept])):
                own = self.P[np.ix_(rows, rows)] - half[:, rows].T @ half[:, rows]
                found[rows, k] = np.linalg.solve(own.astype(np.float64), coefficients[rows, k])
        return found


def several(group_of: np.ndarray) -> list[np.ndarray]:
    """The rows (k,) of each group that has more than one."""
    order = np.argsort(group_of, kind="stable")
    counts = np.unique(group_of, return_counts=True)[1]
    return [rows for rows in np.split(order, np.cumsum(counts)[:-1]) if len(rows) > 1]


def _inverted(K: np.ndarray, penalty: np.ndarray, device: str | None = None) -> np.ndarray:
    """(C + diag(penalty))^-1 (n, n), exactly symmetric, in the memory of one matrix.

    C is K with rows and columns centred, which changes no coefficient: the bordered system looks at
    nothing that is constant along rows or columns. It takes the largest eigenvalue away, and so
    digits that float32 lacks.
    """
    exact = len(K) <= MANY or np.min(penalty) < TINY
    G: Any = K.astype(np.float64 if exact else np.float32, order="F")
    mean = K.mean(1, dtype=np.float64)
    for begin in range(0, len(G), ROWS):
        columns = slice(begin, begin + ROWS)
        G[:, columns] -= (mean[:, None] + mean[columns] - mean.mean()).astype(G.dtype)
    G[np.diag_indices_from(G)] += penalty.astype(G.dtype)
    if device and (found := inverse(G, device)) is not None:
        return found
    return _inverted_here(G)


def _inverted_here(G: Any) -> np.ndarray:
    """G^-1 by LAPACK, in G's memory; columns of G lie together."""
    from scipy.linalg import cho_factor, get_lapack_funcs

    factor = cho_factor(G, lower=True, overwrite_a=True, check_finite=False)[0]
    lower = get_lapack_funcs("potri", (factor,))(factor, lower=True, overwrite_c=True)[0]
    for begin in range(0, len(G), ROWS):
        block, below = slice(begin, begin + ROWS), slice(begin + ROWS, None)
        lower[block, below] = lower[below, block].T
        corner = np.tril(lower[block, block])
        lower[block, block] = corner + np.tril(corner, -1).T
    return np.asarray(lower.T)  # whose rows lie together, as folds take them


def _fits(
    K: np.ndarray,
    y: np.ndarray,
    alpha: float,
    weight: np.ndarray,
    left_out: Sequence[np.ndarray],
    group_of: np.ndarray | None = None,
    device: str | None = None,
) -> list[_Fit]:
    """The exact fits on all rows but `left_out`, (k,) int each, which may be empty.

    Targets that are left out would cancel up to rounding; they are set to 0, so that none is read.
    """
    kept = np.ones((len(y), len(left_out)), dtype=bool)
    for k, rows in enumerate(left_out):
        kept[rows, k] = False
    means = np.array([y[own].mean() for own in kept.T])  # scores far from 0 would cost digits
    Y = np.where(kept, y[:, None] - means, 0)
    inverse = _Inverse(K, alpha / weight, left_out, device)
    coefficients, intercepts, told = _refined(K, Y, alpha / weight, inverse, kept)
    loo = inverse.errors(coefficients, np.arange(len(y)) if group_of is None else group_of)
    return [
        _Fit(
            coefficients[:, k],
            float(means[k] + intercepts[k]),
            means[k] + intercepts[k] + told[rows, k],
            float(np.average(loo[kept[:, k], k] ** 2, weights=weight[kept[:, k]])),
        )
        for k, rows in enumerate(left_out)
    ]


def _refined(
    K: np.ndarray, Y: np.ndarray, penalty: np.ndarray, inverse: _Inverse, kept: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coefficients (n, models), intercepts (models,) and K @ coefficients, all float64."""

    def centred(columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        means = np.where(kept, columns, 0).sum(0) / kept.sum(0)
        return np.where(kept, columns - means, 0), means

    coefficients, residual, error = np.zeros(Y.shape), Y, np.inf
    for _ in range(REFINEMENTS):
        better = centred(coefficients + inverse.solved(residual))[0]  # their sum is 0
        product = _product(K, better)
        left, means = centred(Y - product - penalty[:, None] * better)
        if (now := np.abs(left).max()) >= error / 2:  # rounding is all that is left
            break
        coefficients, intercepts, told, residual, error = better, means, product, left, now
        if error <= EXACT * np.abs(Y).max():
            break
    return coefficients, intercepts, told


def _product(K: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """K @ coefficients (n, models) in float64, by blocks of rows."""
    blocks = (K[begin : begin + ROWS] for begin in range(0, len(K), ROWS))
    return np.vstack([block.astype(np.float64) @ coefficients for block in blocks])


def cross_fit_kernel_ridge(
    K: np.ndarray,
    y: np.ndarray,
    fold_of: np.ndarray,
    alphas: Sequence[float],
    only: Sequence[int],
    sample_weight: np.ndarray | None = None,
    group_of: np.ndarray | None = None,
    device: str | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[float]]:
    """Fold k's model without its rows, with the penalty that its training rows choose.

    Args:
        K: (n, n) kernel matrix of labelled rows.
        y: (n,) points.
        fold_of: (n,) int.
        alphas: penalties, of which the first wins ties.
        only: folds to run.
        sample_weight: (n,) above 0, of the rows' squared errors; None: 1 each.
        group_of: (n,) int, rows that are left out together for the penalty; None: each alone.
        device: of torch, that inverts; None is the processor.

    Returns:
        oof (n,) float64, NaN where a fold was not run; coefficients (folds, n); intercepts
        (folds,); the chosen penalties.
    """
    weight = np.ones(len(y)) if sample_weight is None else sample_weight
    chosen = list(only)
    left_out = [np.flatnonzero(fold_of == k) for k in chosen]
    best: list[tuple[_Fit, float]] = []
    for alpha in alphas:  # one inverse in memory at a time
        fits = [(fit, alpha) for fit in _fits(K, y, alpha, weight, left_out, group_of, device)]
        best = [
            min(pair, key=lambda f: f[0].loo_mse) for pair in zip(best or fits, fits, strict=True)
        ]
    oof = np.full(len(y), np.nan)
    for rows, (fit, _) in zip(left_out, best, strict=True):
        oof[rows] = fit.held_out
    coefficients = np.array([fit.coefficients for fit, _ in best])
    intercepts = np.array([fit.intercept for fit, _ in best])
    return oof, coefficients, intercepts, [alpha for _, alpha in best]


class RbfRidge(RegressorMixin, BaseEstimator):
    """Kernel ridge regression with an rbf kernel, an intercept and a penalty chosen by LOO.

    Rows of X that are alike are left out together: a copy tells the other's score.

    Args:
        alphas: penalties above 0, of which the one with the least leave-one-out error is taken.
        gamma: of the kernel; "scale" is 1 / (d * variance), as scikit-learn's SVR has it, the
            variance by the rows' weights.

    Attributes:
        alpha_: the penalty that was taken.
        gamma_: of the kernel.
        X_fit_: (n, d) float32, the rows that count.
        dual_coef_: (n,) float64.
        intercept_: float.
    """

    def __init__(self, alphas: Sequence[float] = (0.1, 1.0, 10.0), gamma: float | str = "scale"):
        self.alphas = alphas
        self.gamma = gamma

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "RbfRidge":
        """X (n, d) float, y (n,) float; sample_weight (n,) of squared errors, 0 leaves a row out.

        Raises:
            ValueError: no penalties, or one that is not above 0; fewer than two different rows.
        """
        X, y = validate_data(self, X, y, y_numeric=True, dtype=np.float32, ensure_min_samples=2)
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
        check_non_negative(weight, "sample_weight")
        alphas = np.asarray(self.alphas, dtype=np.float64)
        if not len(alphas) or not (alphas > 0).all():
            raise ValueError(f"alphas={self.alphas}: give one or more penalties above 0")
        used = weight > 0
        X, y, weight = X[used], np.asarray(y, dtype=np.float64)[used], weight[used]
        alike = np.unique(X, axis=0, return_inverse=True)[1].ravel()
        if not len(X) or not alike.any():
            raise ValueError(f"{len(X)} rows that count, all alike; give two that differ")
        self.gamma_ = scale_gamma(X, weight) if self.gamma == "scale" else float(self.gamma)
        K, nobody = rbf(squared_distances(X), self.gamma_), np.arange(0)
        fits = [(_fits(K, y, alpha, weight, [nobody], alike)[0], alpha) for alpha in alphas]
        fit, self.alpha_ = min(fits, key=lambda pair: pair[0].loo_mse)
        self.X_fit_, self.dual_coef_, self.intercept_ = X, fit.coefficients, fit.intercept
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Predictions (n,) float64."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float32)
        K = np.exp(-self.gamma_ * distances_float64(X, self.X_fit_))
        return np.asarray(K @ self.dual_coef_ + self.intercept_)
