"""Regressors of scikit-learn's kind that it lacks: our SVR, and neighbours whose rows have weights.

`GramSVR` is the solver of `cross_fit_gram` for one fit on features of its own, several times faster
than libsvm on a few thousand rows. After `fit` it holds arrays alone, named as those of
`sklearn.svm.SVR`.
"""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.neighbors import KNeighborsRegressor
from sklearn.utils import validation
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, check_non_negative

from paw_stack.heads.kernels.distances import rbf, scale_gamma, squared_distances
from paw_stack.heads.kernels.gpu.products import nearest
from paw_stack.heads.kernels.smo.rounds import solve
from paw_stack.heads.kernels.solvers import checked
from paw_stack.heads.stored import distances_float64

# Before scikit-learn 1.6 it is a method.
validate_data = getattr(validation, "validate_data", None) or BaseEstimator._validate_data


class GramSVR(RegressorMixin, BaseEstimator):
    """Epsilon-SVR with a Gaussian kernel; C and epsilon are in the target's unit.

    Args:
        C: cost of a row's error beyond epsilon.
        epsilon: half the width of the tube without a loss.
        gamma: 'scale' is 1 / (d * variance of X), as in scikit-learn.
        tol: largest violation of the optimality conditions.
        clip: bounds for the target while fitting; predictions are not clipped.

    Attributes:
        support_: (n_support,) int64, rows with a coefficient.
        support_vectors_: (n_support, d), float32.
        dual_coef_: (1, n_support), float64.
        intercept_: (1,), float64.
        n_iter_: pairs that the solver optimised.
    """

    def __init__(
        self,
        C: float = 1.0,
        epsilon: float = 0.1,
        gamma: float | str = "scale",
        tol: float = 1e-3,
        clip: tuple[float, float] | None = None,
    ) -> None:
        self.C = C
        self.epsilon = epsilon
        self.gamma = gamma
        self.tol = tol
        self.clip = clip

    def fit(
        self, X: np.ndarray, y: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> "GramSVR":
        """Fit X (n, d), y (n,), with sample_weight (n,) as a factor on C; 0 leaves a row out."""
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        weight = np.asarray(_check_sample_weight(sample_weight, X))
        check_non_negative(weight, "sample_weight")
        used = np.flatnonzero(weight)
        if len(used) == 0:
            raise ValueError("all sample weights are 0; at least one row must count")
        X, target = X[used], y if self.clip is None else np.clip(y, *self.clip)
        self.gamma_ = scale_gamma(X) if self.gamma == "scale" else float(self.gamma)
        self.center_ = X.mean(0)
        centred = (X - self.center_).astype(np.float32)
        K = rbf(squared_distances(centred), self.gamma_)
        solution = checked(solve(K, target[used], self.C * weight[used], self.epsilon, self.tol))
        support = np.flatnonzero(solution.beta)
        self.support_, self.support_vectors_ = used[support], centred[support]
        self.dual_coef_ = solution.beta[None, support]
        self.intercept_ = np.array([solution.bias])
        self.n_iter_ = max(1, solution.iterations)
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Predictions (m,) float64 for X (m, d)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        centred = (X - self.center_).astype(np.float32)
        K = np.exp(-self.gamma_ * distances_float64(centred, self.support_vectors_))
        return np.asarray(K @ self.dual_coef_[0] + self.intercept_[0])


class Neighbours(KNeighborsRegressor):
    """scikit-learn's, found on a torch device where `device` names one."""

    device: str | None = None

    def kneighbors(
        self,
        X: np.ndarray | None = None,
        n_neighbors: int | None = None,
        return_distance: bool = True,
    ) -> Any:
        """Distances (m, k) to the nearest rows, and these (m, k)."""
        if self.device is None or X is None:
            return super().kneighbors(X, n_neighbors, return_distance)
        found = nearest(X, self._fit_X, n_neighbors or self.n_neighbors, self.device)
        return found if return_distance else found[1]


class WeightedNeighbours(Neighbours):
    """Neighbours that count by a weight of their own too: the ratio of two means over them."""

    def fit(self, X: np.ndarray, y: np.ndarray, sample_weight: np.ndarray) -> "WeightedNeighbours":
        """X (n, d), y (n,), sample_weight (n,) above 0."""
        super().fit(X, np.column_stack([sample_weight * y, sample_weight]))
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Predictions (m,) float64 for X (m, d)."""
        scores, weights = super().predict(X).T
        return np.asarray(scores / weights)
