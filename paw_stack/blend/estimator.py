"""The blend as an estimator of scikit-learn's kind, on arrays and without any run."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import validation
from sklearn.utils.validation import (
    _check_sample_weight,
    check_consistent_length,
    check_is_fitted,
    check_non_negative,
    column_or_1d,
)

from paw_stack.blend.calibration import KINDS
from paw_stack.blend.methods import METHODS
from paw_stack.blend.nested import Recipe, fit_blend, nested_blend, predict_blend
from paw_stack.data.folds import Folds, lone_pictures, make_folds
from paw_stack.data.groups import straddling
from paw_stack.metrics import is_constant, rmse

# Before scikit-learn 1.6 it is a method.
validate_data = getattr(validation, "validate_data", None) or BaseEstimator._validate_data

FEWEST_ROWS = 3  # each fold learns from two others at least


class NestedBlend(RegressorMixin, BaseEstimator):
    """Blend of candidates' out-of-fold predictions, and its own nested ones.

    X has a column a candidate, in the unit of y. Row i's nested prediction comes from weights,
    calibration and method that were found without the rows of i's fold. `score` is R^2 of
    `predict`, optimistic on the rows of `fit`; `nested_rmse_` is the honest figure.

    Args:
        method: 'auto', an average over methods by their cross-fitted errors, or mean, median,
            ridge, greedy, simplex, nnls, nelder_mead.
        calibration: 'auto', the simplest that earns its keep, or a kind of blend/calibration.py.
        bounds: lowest and highest score, to which predictions are clipped; None: those of y.
        n_folds: folds to make where `fit` is given none; as many as there are groups, if fewer.

    Attributes:
        nested_: (n,) float64; NaN where the weight is 0.
        nested_rmse_: their RMSE, by weight.
        weights_: (n_candidates,) float64, of the model of all rows, before its calibration.
        intercept_: float, likewise.
        fold_of_: (n,) int64, folds from 0; -1 where the weight is 0.
        model_: what `predict_blend` takes; plain lists and numbers.
        n_features_in_: candidates.
    """

    def __init__(
        self,
        method: str = "auto",
        calibration: str = "auto",
        bounds: tuple[float, float] | None = None,
        n_folds: int = 5,
    ) -> None:
        self.method = method
        self.calibration = calibration
        self.bounds = bounds
        self.n_folds = n_folds

    def fit(
        self,
        X: np.ndarray,
        y: np.ndarray,
        folds: np.ndarray | None = None,
        groups: np.ndarray | None = None,
        sample_weight: np.ndarray | None = None,
    ) -> "NestedBlend":
        """Fit the model and the nested predictions.

        Args:
            X: (n, n_candidates), out-of-fold predictions.
            y: (n,), scores.
            folds: (n,) labels of the folds that the predictions were made in; None: made here.
            groups: (n,) labels of rows that belong together and share a fold; None: each alone.
            sample_weight: (n,), brought to mean 1, as chance draws rows and never copies; 0 leaves
                a row out.

        Raises:
            ValueError: a method or calibration that is not known, bounds that do not hold y, a
                group in several folds, too few rows.
        """
        X, y = validate_data(
            self, X, y, dtype=np.float64, y_numeric=True, ensure_min_samples=FEWEST_ROWS
        )
        y = np.asarray(y, dtype=np.float64)
        weight = np.asarray(_check_sample_weight(sample_weight, X))
        check_non_negative(weight, "sample_weight")
        used = np.flatnonzero(weight)
        given = [None if one is None else _labels(one, y)[used] for one in (folds, groups)]
        P, y, weight = X[used], y[used], weight[used]
        if len(used) < FEWEST_ROWS:
            raise ValueError(f"{len(used)} rows have a weight above 0; give {FEWEST_ROWS} or more")
        own, recipe = self._folds(y, *given), self._recipe(y)
        counted = None if is_constant(weight) else weight / weight.mean()
        nested = nested_blend(P, y, own, recipe, counted).predictions
        self.nested_, self.fold_of_ = np.full(len(X), np.nan), np.full(len(X), -1)
        self.nested_[used], self.fold_of_[used] = nested, own.fold_of
        self.nested_rmse_ = rmse(y, nested, counted)
        self.model_ = fit_blend(P, y, own, recipe, counted)
        self.weights_ = np.array(self.model_["weights"])
        self.intercept_ = float(self.model_["intercept"])
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Predictions (m,) float64 for candidates' predictions X (m, n_candidates)."""
        check_is_fitted(self)
        return predict_blend(self.model_, validate_data(self, X, dtype=np.float64, reset=False))

    def __sklearn_tags__(self) -> Any:
        """Columns of anything but predictions are blended badly: no weight is negative."""
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True
        return tags

    def _recipe(self, y: np.ndarray) -> Recipe:
        for name, value, known in (
            ("method", self.method, METHODS),
            ("calibration", self.calibration, KINDS),
        ):
            if value not in ("auto", *known):
                raise ValueError(f"{name}={value!r}: is none of auto, {', '.join(known)}")
        low, high = (y.min(), y.max()) if self.bounds is None else self.bounds
        if not low <= y.min() <= y.max() <= high:
            raise ValueError(
                f"bounds={self.bounds}: y runs from {y.min():g} to {y.max():g}; give bounds that"
                " hold it"
            )
        return Recipe(self.method, self.calibration, (float(low), float(high)))

    def _folds(self, y: np.ndarray, folds: np.ndarray | None, groups: np.ndarray | None) -> Folds:
        group_of = np.arange(len(y)) if groups is None else groups
        if folds is None:
            n = min(self.n_folds, len(np.unique(group_of)))
            own = make_folds(y, group_of, n, None, seed=0)
        else:
            own = Folds(np.unique(folds, return_inverse=True)[1], group_of)
        if (torn := straddling(own.fold_of, group_of)).any():
            raise ValueError(f"groups: {torn.sum()} rows have their group in several folds")
        if own.n < 2 or lone_pictures(own):
            raise ValueError(
                f"folds: {len(np.unique(group_of))} groups of rows in {own.n} folds; every fold"
                " needs two or more groups outside it: give more rows, or other folds"
            )
        return own


def _labels(labels: Any, y: np.ndarray) -> np.ndarray:
    """Whole numbers (n,) from 0 for labels of any kind."""
    check_consistent_length(labels, y)
    return np.asarray(np.unique(column_or_1d(labels), return_inverse=True)[1])
