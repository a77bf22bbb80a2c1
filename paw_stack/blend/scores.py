"""Scores of out-of-fold predictions, and whether one is better than another beyond chance."""

from typing import Any

import numpy as np
from scipy.stats import rankdata

from paw_stack.metrics import calibration_line, correlation, fold_rmse, rmse, std_ratio

DRAWS, CHUNK = 1000, 100
TAILS = (0.025, 0.975)  # a 95 % interval


def score(target: np.ndarray, predicted: np.ndarray, fold_of: np.ndarray) -> dict[str, Any]:
    """All pooled over rows; target and predictions (n,) in points, fold_of (n,) int.

    `slope` and `slope_intercept` are those of target = intercept + slope * prediction.
    """
    intercept, slope = calibration_line(target, predicted)
    error, spread = rmse(target, predicted), float(np.std(target))
    return {
        "rmse": error,
        "fold_rmse": fold_rmse(target, predicted, fold_of),
        "mae": float(np.mean(np.abs(target - predicted))),
        "r2": 1 - (error / spread) ** 2 if spread > 0 else None,
        "correlation": correlation(target, predicted),
        "spearman": correlation(rankdata(target), rankdata(predicted)),
        "slope": slope,
        "slope_intercept": intercept,
        "std_ratio": std_ratio(target, predicted),
    }


def compare(
    target: np.ndarray, predicted: np.ndarray, others: dict[str, np.ndarray], seed: int = 0
) -> dict[str, dict[str, float]]:
    """RMSE of the prediction less that of each other one, over the same resampled rows.

    Returns:
        name -> the difference in points (below 0: better), its 95 % interval `low` and `high`, and
        `better`, the share of draws in which the prediction is the better one.
    """
    squares = np.column_stack([(p - target) ** 2 for p in (predicted, *others.values())])
    drawn = np.sqrt(_resampled_means(squares, seed))  # (draws, 1 + n_others)
    error = np.sqrt(squares.mean(axis=0))
    found = {}
    for column, name in enumerate(others, start=1):
        apart = drawn[:, 0] - drawn[:, column]
        low, high = np.quantile(apart, TAILS)
        found[name] = {
            "difference": float(error[0] - error[column]),
            "low": float(low),
            "high": float(high),
            "better": float(np.mean(apart < 0)),
        }
    return found


def _resampled_means(values: np.ndarray, seed: int) -> np.ndarray:
    """Means (draws, k) of the columns of (n, k) over rows drawn with replacement."""
    rng, n = np.random.default_rng(seed), len(values)
    means = []
    for _ in range(DRAWS // CHUNK):
        rows = rng.integers(0, n, (CHUNK, n))
        counts = np.stack([np.bincount(drawn, minlength=n) for drawn in rows])
        means.append(counts @ values / n)
    return np.vstack(means)
