"""Scores of out-of-fold predictions, and whether one is better than another beyond chance."""

from typing import Any

import numpy as np

from paw_stack.metrics import (
    calibration_line,
    correlation,
    drawn_rmse,
    fold_rmse,
    middle_95,
    rmse,
    std_ratio,
)


def score(target: np.ndarray, predicted: np.ndarray, fold_of: np.ndarray) -> dict[str, Any]:
    """All pooled over rows; target and predictions (n,) in points, fold_of (n,) int.

    `slope` and `slope_intercept` are those of target = intercept + slope * prediction.
    """
    from scipy.stats import rankdata

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
    target: np.ndarray,
    predicted: np.ndarray,
    others: dict[str, np.ndarray],
    seed: int = 0,
    group_of: np.ndarray | None = None,
) -> dict[str, dict[str, float]]:
    """RMSE of the prediction less that of each other one, over the draws of `drawn_rmse`.

    Returns:
        name -> the difference in points (below 0: better), its 95 % interval `low` and `high`, and
        `better`, the share of draws in which the prediction is the better one.
    """
    drawn = drawn_rmse(target, [predicted, *others.values()], seed=seed, group_of=group_of)
    found = {}
    for (name, other), errors in zip(others.items(), drawn[1:], strict=True):
        apart = drawn[0] - errors
        low, high = middle_95(apart)
        found[name] = {
            "difference": rmse(target, predicted) - rmse(target, other),
            "low": low,
            "high": high,
            "better": float(np.mean(apart < 0)),
        }
    return found
