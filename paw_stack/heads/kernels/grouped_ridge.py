"""Ridge regression whose penalty is chosen by groups of rows that are left out, exactly."""

from collections.abc import Sequence

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin


class GroupedRidge(RegressorMixin, BaseEstimator):
    """Ridge regression with the penalty that does best on groups that are left out.

    A row's copies, or other photos of its pet, would tell its score and make every penalty look too
    large. What a fit without a group predicts for it follows from the fit on all rows, as for
    single rows (Cook and Weisberg, Residuals and Influence in Regression, 1982).

    Args:
        alphas: penalties, of which the first wins ties.
    """

    def __init__(self, alphas: Sequence[float]):
        self.alphas = alphas

    def fit(
        self,
        X: np.ndarray,
        y: np.ndarray,
        sample_weight: np.ndarray | None = None,
        *,
        group_of: np.ndarray,
    ) -> "GroupedRidge":
        """X (n, d), y (n,), group_of (n,) int of two groups or more."""
        weight = np.ones(len(y)) if sample_weight is None else sample_weight
        level, middle = (np.average(each, axis=0, weights=weight) for each in (y, X))
        root = np.sqrt(weight)
        parts = np.linalg.svd(root[:, None] * (X - middle).astype(np.float64), full_matrices=False)
        along = parts[0].T @ (root * (y - level))
        errors = group_errors(parts, root * (y - level), root, group_of, self.alphas)
        self.alpha_ = self.alphas[int(np.argmin(errors))]
        self.coef_ = (parts[1] / (parts[1] ** 2 + self.alpha_) * along) @ parts[2]
        self.intercept_ = float(level - middle @ self.coef_)
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """(n,) predictions for rows (n, d)."""
        return np.asarray(X @ self.coef_ + self.intercept_)


def group_errors(
    parts: tuple[np.ndarray, np.ndarray, np.ndarray],
    y: np.ndarray,
    root: np.ndarray,
    group_of: np.ndarray,
    alphas: Sequence[float],
) -> list[float]:
    """Mean squared errors of groups by a ridge regression that is fitted without them, by penalty.

    Args:
        parts: singular value decomposition of the rows, less their mean, times `root`.
        y: (n,), less its mean, times `root`.
        root: (n,) roots of the rows' weights in fits and means.
    """
    U, s, _ = parts
    places = np.split(np.argsort(group_of, kind="stable"), _ends(group_of))
    total, found = (root**2).sum(), []
    for alpha in alphas:
        shrunk = U * (s**2 / (s**2 + alpha))
        residual = y - shrunk @ (U.T @ y)
        left_out = [
            np.linalg.solve(
                np.eye(len(rows))
                - shrunk[rows] @ U[rows].T
                - np.outer(root[rows], root[rows]) / total,  # of the intercept
                residual[rows],
            )
            for rows in places
        ]
        found.append(float((np.concatenate(left_out) ** 2).sum() / total))
    return found


def _ends(group_of: np.ndarray) -> np.ndarray:
    """Where each group but the last ends, when rows are sorted by group."""
    return np.cumsum(np.unique(group_of, return_counts=True)[1])[:-1]
