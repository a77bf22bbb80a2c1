"""Are predictions squashed, too wide or shifted, what does that cost, and what would a stretch cost?

A calibrated predictor of a noisy target is narrower than the target: its std ratio equals its
correlation r, and the slope of the target on it is 1. Only a slope that is not 1 is a fault; a std
ratio below 1 is none.
"""  # noqa: E501

from typing import Any

import numpy as np

from paw_stack.metrics import (
    Weight,
    calibration_line,
    correlation,
    finer,
    mean,
    n_effective,
    rmse,
    sd,
    std_ratio,
    taken,
)

DECILES = 10
EXTREMES = 0.1  # share of rows at each end of the target
STRETCHES = 11  # points of the cost curve
CERTAIN = 2.0  # standard errors from which a fault is one


def dispersion_report(
    target: np.ndarray,
    predicted: np.ndarray,
    weight: Weight = None,
    group_of: np.ndarray | None = None,
) -> dict[str, Any]:
    """Of predictions (n,) for a target (n,), both in points.

    Tenths and bands hold as many rows each; within them rows count by their weights.

    Args:
        group_of: (n,) int, rows that err alike; None: each by itself.
    """
    intercept, slope = calibration_line(target, predicted, weight)
    edges = np.quantile(target, [1 / 3, 2 / 3])
    bands = np.searchsorted(edges, target, side="right")
    names = ("lower", "middle", "upper")
    return {
        "std_ratio": std_ratio(target, predicted, weight),
        "correlation": correlation(target, predicted, weight),
        "slope": slope,
        "intercept": intercept,
        "shift": mean(predicted, weight) - mean(target, weight),
        "deciles": _deciles(target, predicted, weight),
        "band_edges": edges.tolist(),
        "band_rmse": {
            name: _rmse_of(bands == band, target, predicted, weight)
            for band, name in enumerate(names)
        },
        "extreme_error_share": _extreme_share(target, predicted, weight),
        "stretching": stretching(target, predicted, weight),
        "gain_of_a_line": _gain_of_a_line(target, predicted, weight),
        "sentence": fault(target, predicted, weight, group_of) or "calibrated",
    }


def _rmse_of(
    rows: np.ndarray, target: np.ndarray, predicted: np.ndarray, weight: Weight
) -> float | None:
    return rmse(target[rows], predicted[rows], taken(weight, rows)) if rows.any() else None


def fault(
    target: np.ndarray,
    predicted: np.ndarray,
    weight: Weight = None,
    group_of: np.ndarray | None = None,
) -> str:
    """What is wrong in words, '' where nothing is beyond chance, which draws groups of rows."""
    left = sd(target, weight) * np.sqrt(1 - correlation(target, predicted, weight) ** 2)
    # Of the mean; of the slope once divided by the SD.
    error = left / np.sqrt(n_effective(target, weight, group_of))
    _, slope = calibration_line(target, predicted, weight)
    spread, shift = sd(predicted, weight), mean(predicted, weight) - mean(target, weight)
    found = []
    if not abs(slope) * spread > CERTAIN * error:  # NaN where predictions are all alike
        found.append("says nothing of the target")
    elif slope < 0:
        found.append("runs against the target")
    elif slope - 1 > CERTAIN * error / spread:
        found.append(f"squashed by {100 * (1 - 1 / slope):.0f} %")
    elif 1 - slope > CERTAIN * error / spread:
        found.append(f"too wide by {100 * (1 / slope - 1):.0f} %")
    if abs(shift) > CERTAIN * error:
        found.append(f"shifted by {shift:+.{1 + finer(sd(target, weight))}f} points")
    return ", ".join(found)


def blend_sentence(
    target: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    weight: Weight = None,
    group_of: np.ndarray | None = None,
) -> str:
    """Of the candidates' plain mean and of the blend made of them, each (n,) in points."""
    was, left = (fault(target, each, weight, group_of) for each in (before, after))
    gained = rmse(target, before, weight) - rmse(target, after, weight)
    few = 3 + finer(sd(target, weight))
    gain = f"gain {gained:.{few}f}" if gained >= 0 else f"at a cost of {-gained:.{few}f}"
    if not was and not left:
        return "calibrated"
    if not was:
        return f"the candidates' mean is calibrated, the blend {left}"
    return f"{was}, undone, {gain}" if not left else f"{was}, left: {left}, {gain}"


def stretching(target: np.ndarray, predicted: np.ndarray, weight: Weight = None) -> dict[str, Any]:
    """RMSE after stretching about the mean by 1.0 to what gives the target's own spread.

    `best` is the factor in between with the lowest RMSE, exactly.
    """
    ratio = std_ratio(target, predicted, weight)
    if not 0 < ratio < np.inf:
        return {"factor": [1.0], "rmse": [rmse(target, predicted, weight)], "best": 1.0}
    widest = max(1.0, 1 / ratio)
    factors = np.linspace(1.0, widest, STRETCHES)
    middle = mean(predicted, weight)
    _, slope = calibration_line(target, predicted, weight)
    best = float(np.clip(slope, 1.0, widest))
    return {
        "factor": factors.tolist(),
        "rmse": [rmse(target, middle + f * (predicted - middle), weight) for f in factors],
        "best": best,
        "best_rmse": rmse(target, middle + best * (predicted - middle), weight),
    }


def _deciles(target: np.ndarray, predicted: np.ndarray, weight: Weight) -> list[dict[str, float]]:
    """Mean prediction and mean target of a tenth of the rows each, by rising prediction."""
    parts = np.array_split(np.argsort(predicted, kind="stable"), DECILES)
    return [
        {
            "predicted": mean(predicted[rows], taken(weight, rows)),
            "target": mean(target[rows], taken(weight, rows)),
        }
        for rows in parts
        if len(rows)
    ]


def _extreme_share(target: np.ndarray, predicted: np.ndarray, weight: Weight) -> dict[str, float]:
    """Share of the squared error that comes from the tenth of rows at either end of the target."""
    order = np.argsort(target, kind="stable")
    squares = (target - predicted)[order] ** 2
    squares = squares if weight is None else weight[order] * squares
    n, total = max(1, round(EXTREMES * len(target))), squares.sum()
    if total == 0:
        return {"lowest": 0.0, "highest": 0.0}
    return {
        "lowest": float(squares[:n].sum() / total),
        "highest": float(squares[-n:].sum() / total),
    }


def _gain_of_a_line(target: np.ndarray, predicted: np.ndarray, weight: Weight) -> float:
    """What intercept and slope would lower the RMSE by, in sample, points."""
    best = sd(target, weight) * np.sqrt(1 - correlation(target, predicted, weight) ** 2)
    return float(rmse(target, predicted, weight) - best)
