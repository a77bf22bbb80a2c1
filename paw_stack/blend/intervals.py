"""An interval for each prediction, from the nested residuals (split and cross-conformal).

Errors grow with the prediction where a score is bounded below, so residuals are divided by a
straight line of the expected error on the prediction before their quantiles are taken (Papadopoulos
and others, 2002; Barber and others, 2021, for the cross-fitted form). Rows of a group err alike, so
what the quantiles may rest on is the number of groups (Dunn and others, 2023). Beyond the
predictions that it was fitted on the line stays level: nothing is known there. Bounds clip the ends
and no more.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from paw_stack.metrics import (
    calibration_line,
    clipped,
    mean,
    n_effective,
    quantile,
    taken,
    total,
)

LEVEL = 0.9
SMALLEST_ERROR = 0.25  # of the mean one: the line never gives less


def fit_interval(
    target: np.ndarray,
    nested: np.ndarray,
    fold_of: np.ndarray,
    bounds: tuple[float, float],
    weight: np.ndarray | None = None,
    group_of: np.ndarray | None = None,
) -> dict[str, Any]:
    """What `predict_interval` needs, and its coverage on rows of folds that it was not fitted on.

    Args:
        nested: (n,) float64, points, nested predictions before they are clipped.
        weight: (n,) of the rows, by which coverage and mean width count too; None: 1 each.
        group_of: (n,) int, rows that err alike and share a fold; None: each by itself.
    """
    covered, width = np.empty(len(target)), np.empty(len(target))
    for fold in np.unique(fold_of):
        rows = fold_of == fold
        known = taken(weight, ~rows), taken(group_of, ~rows)
        others = _fit(target[~rows], nested[~rows], bounds, *known)
        ends = _ends(others, nested[rows])
        covered[rows] = (ends[:, 0] <= target[rows]) & (target[rows] <= ends[:, 1])
        width[rows] = np.ptp(ends, axis=1)
    return {
        **_fit(target, nested, bounds, weight, group_of),
        "level": LEVEL,
        "coverage": mean(covered, weight),
        "mean_width": mean(width, weight),
    }


def predict_interval(record: dict[str, Any], predictions: np.ndarray) -> np.ndarray:
    """Lower and upper ends (m, 2) in points for a blend's predictions (m,).

    Args:
        record: the blend's full record, as `blend.json` holds it.
    """
    return _ends(record["interval"], np.asarray(predictions, dtype=np.float64))


def _fit(
    target: np.ndarray,
    nested: np.ndarray,
    bounds: Sequence[float],
    weight: np.ndarray | None,
    group_of: np.ndarray | None,
) -> dict[str, Any]:
    residual = target - nested
    error = np.abs(residual)
    intercept, slope = calibration_line(error, nested, weight)
    facts = {
        "error_intercept": intercept,
        "error_slope": 0.0 if np.isnan(slope) else slope,  # of predictions that are all alike
        "smallest_error": float(SMALLEST_ERROR * mean(error, weight)),
        "predicted": [float(nested.min()), float(nested.max())],
        "bounds": list(bounds),
    }
    expected = _expected(facts, nested)
    scaled = residual / np.where(expected > 0, expected, 1.0)  # 0 where nothing is ever missed
    counted = total(target, weight) / _alike(target, weight, group_of)
    upper = (1 + LEVEL) / 2 * (1 + 1 / counted)  # conformal: for one row, or one group, more
    facts["low"], facts["high"] = _quantiles(scaled, min(1.0, upper), weight)
    return facts


def _alike(target: np.ndarray, weight: np.ndarray | None, group_of: np.ndarray | None) -> float:
    """How many rows tell as much as one, for being of one group."""
    return n_effective(target, weight) / n_effective(target, weight, group_of)


def _quantiles(scaled: np.ndarray, upper: float, weight: np.ndarray | None) -> tuple[float, float]:
    """The residuals below and above which a share `1 - upper` lies at most."""
    if weight is None:
        low = np.quantile(scaled, 1 - upper, method="lower")
        return float(low), float(np.quantile(scaled, upper, method="higher"))
    return -float(quantile(-scaled, upper, weight)), float(quantile(scaled, upper, weight))


def _expected(facts: dict[str, Any], predictions: np.ndarray) -> np.ndarray:
    seen = np.clip(predictions, *facts["predicted"])
    line = facts["error_intercept"] + facts["error_slope"] * seen
    return np.maximum(line, facts["smallest_error"])


def _ends(facts: dict[str, Any], predictions: np.ndarray) -> np.ndarray:
    expected = _expected(facts, predictions)
    ends = predictions[:, None] + expected[:, None] * np.array([facts["low"], facts["high"]])
    return clipped(ends, facts["bounds"])
