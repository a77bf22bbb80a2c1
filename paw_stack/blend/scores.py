"""Scores of out-of-fold predictions, and whether one is better than another beyond chance."""

from typing import Any

import numpy as np

from paw_stack.metrics import (
    calibration_line,
    correlation,
    drawn_rmse,
    fold_rmse,
    mean,
    middle_95,
    ranks,
    rmse,
    sd,
    std_ratio,
)


def score(
    target: np.ndarray,
    predicted: np.ndarray,
    fold_of: np.ndarray,
    weight: np.ndarray | None = None,
) -> dict[str, Any]:
    """All pooled over rows; target, predictions (n,) in points, weights; fold_of (n,) int.

    `slope` and `slope_intercept` are those of target = intercept + slope * prediction.
    """
    intercept, slope = calibration_line(target, predicted, weight)
    error, spread = rmse(target, predicted, weight), sd(target, weight)
    ranked = ranks(target, weight), ranks(predicted, weight)
    return {
        "rmse": error,
        "fold_rmse": fold_rmse(target, predicted, fold_of, weight),
        "mae": mean(np.abs(target - predicted), weight),
        "r2": 1 - (error / spread) ** 2 if spread > 0 else None,
        "correlation": correlation(target, predicted, weight),
        "spearman": correlation(*ranked, weight),
        "slope": slope,
        "slope_intercept": intercept,
        "std_ratio": std_ratio(target, predicted, weight),
    }


def compare(
    target: np.ndarray,
    predicted: np.ndarray,
    others: dict[str, np.ndarray],
    seed: int = 0,
    group_of: np.ndarray | None = None,
    weight: np.ndarray | None = None,
) -> dict[str, dict[str, float]]:
    """RMSE of the prediction less that of each other one, over the draws of `drawn_rmse`.

    Returns:
        name -> the difference in points (below 0: better), its 95 % interval `low` and `high`, and
        `better`, the share of draws in which the prediction is the better one.
    """
    every = [predicted, *others.values()]
    drawn = drawn_rmse(target, every, seed=seed, group_of=group_of, weight=weight)
    found = {}
    for (name, other), errors in zip(others.items(), drawn[1:], strict=True):
        apart = drawn[0] - errors
        low, high = middle_95(apart)
        found[name] = {
            "difference": rmse(target, predicted, weight) - rmse(target, other, weight),
            "low": low,
            "high": high,
            "better": float(np.mean(apart < 0)),
        }
    return found
