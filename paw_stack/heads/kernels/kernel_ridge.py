"""Kernel ridge regression with an intercept: all folds exactly from one inverse a penalty.

The fit solves the bordered system [[K + alpha I, 1], [1', 0]] [a; b] = [y; 0]. Let P be the upper
left block of its inverse. What the model that never saw the rows B predicts for them differs from
y_B by P_BB^-1 a_B, and its own coefficients and leave-one-out residuals follow from the same blocks
(Cawley, 2006, "Leave-one-out cross-validation based model selection criteria for weighted LS-SVMs",
IJCNN; block form from the inverse of a partitioned matrix). The penalty of fold k is chosen by the
leave-one-out error of its training rows (of whole groups, where rows belong together), so that
held-out targets take no part. Rows' weights w
divide their alpha, which weighs their squared errors; who is left out takes its whole weight along.

In: embeddings. Out: predictions in points. Memory: 12 n^2 bytes (1.2 GB at n = 10,000).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from paw_stack.heads.kernels.svr import ROWS, rbf, scale_gamma, squared_distances
from paw_stack.heads.stored import distances_float64


@dataclass(frozen=True)
class _Fit:
    """The model without some rows: coefficients, 0 for those rows; LOO error of the others."""

    coefficients: np.ndarray  # (n,) float64
    intercept: float
    held_out: np.ndarray  # predictions of the rows left out
    loo_mse: float


class _Inverse:
    """The bordered system of one penalty, solved once."""

    def __init__(
        self,
        K: np.ndarray,
        y: np.ndarray,
        alpha: float,
        weight: np.ndarray,
        group_of: np.ndarray | None = None,
    ):
        P = _inverted(K, alpha / weight)
        total, self.row = P.sum(), P.sum(1)
        for begin in range(0, len(P), ROWS):
            rows = slice(begin, begin + ROWS)
            P[rows] -= np.outer(self.row[rows], self.row / total)
        self.P, self.y, self.row, self.weight = P, y, self.row / total, weight
        self.group_of = np.arange(len(y)) if group_of is None else group_of

    def without(self, left_out: np.ndarray) -> _Fit:
        """The exact fit on all rows but `left_out` (k,) int, which may be empty.

        Their targets would cancel up to rounding; they are set to 0, so that none is ever read.
        """
        kept = np.setdiff1d(np.arange(len(self.y)), left_out)
        mean = self.y[kept].mean()  # scores far from 0 would cost digits
        y = np.zeros(len(self.y))
        y[kept] = self.y[kept] - mean
        a = self.P @ y
        block = self.P[np.ix_(left_out, left_out)]
        across = self.P[np.ix_(left_out, kept)]
        solved = np.linalg.solve(block, np.column_stack([a[left_out], across]))
        residual, transfer = solved[:, 0], solved[:, 1:]
        coefficients = np.zeros(len(self.y))
        coefficients[kept] = a[kept] - across.T @ residual
        diagonal = np.diag(self.P)[kept] - np.einsum("ij,ij->j", across, transfer)
        loo = coefficients[kept] / diagonal
        for rows in several(self.group_of[kept]):
            own = self.P[np.ix_(kept[rows], kept[rows])] - across[:, rows].T @ transfer[:, rows]
            loo[rows] = np.linalg.solve(own, coefficients[kept[rows]])
        return _Fit(
            coefficients,
            float(mean + self.row @ y - self.row[left_out] @ residual),
            mean - residual,
            float(np.average(loo**2, weights=self.weight[kept])),
        )


def several(group_of: np.ndarray) -> list[np.ndarray]:
    """The rows (k,) of each group that has more than one."""
    order = np.argsort(group_of, kind="stable")
    counts = np.unique(group_of, return_counts=True)[1]
    return [rows for rows in np.split(order, np.cumsum(counts)[:-1]) if len(rows) > 1]


def _inverted(K: np.ndarray, penalty: np.ndarray) -> np.ndarray:
    """(K + diag(penalty))^-1 (n, n) float64, exactly symmetric, in the memory of one matrix."""
    from scipy.linalg import cho_factor
    from scipy.linalg.lapack import dpotri

    G = K.astype(np.float64, order="F")
    G[np.diag_indices_from(G)] += penalty
    factor = cho_factor(G, lower=True, overwrite_a=True, check_finite=False)[0]
    lower = dpotri(factor, lower=True, overwrite_c=True)[0]
    for begin in range(0, len(G), ROWS):
        block, below = slice(begin, begin + ROWS), slice(begin + ROWS, None)
        lower[block, below] = lower[below, block].T
        corner = np.tril(lower[block, block])
        lower[block, block] = corner + np.tril(corner, -1).T
    return lower


def cross_fit_kernel_ridge(
    K: np.ndarray,
    y: np.ndarray,
    fold_of: np.ndarray,
    alphas: Sequence[float],
    only: Sequence[int],
    sample_weight: np.ndarray | None = None,
    group_of: np.ndarray | None = None,
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

    Returns:
        oof (n,) float64, NaN where a fold was not run; coefficients (folds, n); intercepts
        (folds,); the chosen penalties.
    """
    weight = np.ones(len(y)) if sample_weight is None else sample_weight
    chosen = list(only)
    left_out = [np.flatnonzero(fold_of == k) for k in chosen]
    best: list[tuple[_Fit, float]] = []
    for alpha in alphas:  # one inverse in memory at a time
        inverse = _Inverse(K, y, alpha, weight, group_of)
        fits = [(inverse.without(rows), alpha) for rows in left_out]
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

    Args:
        alphas: penalties, of which the one with the least leave-one-out error is taken.
        gamma: of the kernel; "scale" is 1 / (d * variance), as scikit-learn's SVR has it.
    """

    def __init__(self, alphas: Sequence[float] = (0.1, 1.0, 10.0), gamma: float | str = "scale"):
        self.alphas = alphas
        self.gamma = gamma

    def fit(self, X: Any, y: Any) -> "RbfRidge":
        """X (n, d) float, y (n,) float."""
        X, y = validate_data(self, X, y, y_numeric=True, dtype=np.float32, ensure_min_samples=2)
        self.gamma_ = scale_gamma(X) if self.gamma == "scale" else float(self.gamma)
        K = rbf(squared_distances(X), self.gamma_)
        y = np.asarray(y, dtype=np.float64)
        nobody, ones = np.arange(0), np.ones(len(y))
        fits = [(_Inverse(K, y, alpha, ones).without(nobody), alpha) for alpha in self.alphas]
        fit, self.alpha_ = min(fits, key=lambda pair: pair[0].loo_mse)
        self.X_fit_, self.dual_coef_, self.intercept_ = X, fit.coefficients, fit.intercept
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Predictions (n,) float64."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float32)
        K = np.exp(-self.gamma_ * distances_float64(X, self.X_fit_))
        return np.asarray(K @ self.dual_coef_ + self.intercept_)
