"""A blend that was fitted on standardised scores, made to predict points.

Enters: the model of candidates and a target in standard deviations from the training rows' mean.
    Leaves:
the same model for points. So no constant of a method knows in which unit scores are.
"""

from typing import Any

from paw_stack.data.target import TargetScale

ONE = 1e-9  # what a sum of weights may differ from 1 by rounding


def model_in_points(model: dict[str, Any], scale: TargetScale) -> dict[str, Any]:
    """Of `fit_blend`'s model; weights and slopes have no unit."""
    lines, weights = model["lines"], model["weights"]
    pairs = zip(lines["intercept"], lines["slope"], strict=True)
    moved = [_intercept(intercept, slope, scale) for intercept, slope in pairs]
    return {
        **model,
        "lines": {"intercept": moved, "slope": lines["slope"]},
        "intercept": _intercept(model["intercept"], sum(weights), scale),
        "calibration": _calibration(model["calibration"], scale),
    }


def _intercept(intercept: float, slope: float, scale: TargetScale) -> float:
    """Of a line from standardised scores to standardised scores."""
    left = 0.0 if abs(1 - slope) < ONE else 1 - slope
    return scale.spread * intercept + scale.mean * left


def _calibration(calibration: dict[str, Any], scale: TargetScale) -> dict[str, Any]:
    if "x" in calibration:
        table = {axis: scale.points(calibration[axis]).tolist() for axis in "xy"}
        return {**calibration, **table}
    if "slope" in calibration:
        intercept = _intercept(calibration["intercept"], calibration["slope"], scale)
        return {**calibration, "intercept": intercept}
    return calibration
