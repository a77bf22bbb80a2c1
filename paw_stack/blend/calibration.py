"""The last step of a blend: a monotone map from its predictions to points.

Enters: predictions that never saw the target beside them. Leaves: a few numbers that JSON can hold.
`candidates` also straightens each candidate by its own line before they are weighed: a head with an
epsilon-loss has a location of its own.
"""

from typing import Any

import numpy as np

from paw_stack.metrics import calibration_line, mean, quantile

# The simplest first: where scores are equal within a standard error it is taken. Beside each the
# fewest rows on which `auto` tries it; fewer cannot tell a bend from noise.
ENOUGH_ROWS = {"none": 0, "affine": 100, "candidates": 200, "spline": 500, "isotonic": 1000}
KINDS = tuple(ENOUGH_ROWS)
KNOTS = 5  # of the spline, at quantiles; with less than three of them it is a line
TABLE_POINTS = 101  # the spline is kept as a table, straight between its points


def fit_calibration(
    kind: str, predicted: np.ndarray, target: np.ndarray, weight: np.ndarray | None = None
) -> dict[str, Any]:
    """What `calibrate` needs; both (n,) in points. Never falls as the prediction rises.

    Args:
        weight: (n,) of the rows; None: 1 each.
    """
    if kind == "none":
        return {"kind": "none"}
    if kind == "isotonic":
        return {"kind": kind, **_isotonic(predicted, target, weight)}
    knots = np.unique(quantile(predicted, np.linspace(0, 1, KNOTS), weight))
    if kind == "spline" and len(knots) > 2:
        return {"kind": kind, **_spline(predicted, knots, target, weight)}
    intercept, slope = calibration_line(target, predicted, weight)
    if not slope > 0:  # falling, or NaN of predictions that are all alike
        intercept, slope = mean(target, weight), 0.0
    return {"kind": "affine", "intercept": intercept, "slope": slope}


def calibrate(calibration: dict[str, Any], predicted: np.ndarray) -> np.ndarray:
    """(n,) in points; beyond the predictions that it was fitted on a table stays level."""
    if calibration["kind"] == "none":
        return predicted
    if calibration["kind"] == "affine":
        straight: np.ndarray = calibration["intercept"] + calibration["slope"] * predicted
        return straight
    return np.interp(predicted, calibration["x"], calibration["y"])


def _isotonic(
    predicted: np.ndarray, target: np.ndarray, weight: np.ndarray | None
) -> dict[str, list[float]]:
    from sklearn.isotonic import IsotonicRegression

    model = IsotonicRegression().fit(predicted, target, sample_weight=weight)
    return {"x": model.X_thresholds_.tolist(), "y": model.y_thresholds_.tolist()}


def _spline(
    predicted: np.ndarray, knots: np.ndarray, target: np.ndarray, weight: np.ndarray | None
) -> dict[str, list[float]]:
    """Quadratic B-splines whose coefficients rise: sums of them from the right, none negative."""
    from sklearn.linear_model import LinearRegression
    from sklearn.preprocessing import SplineTransformer

    basis = SplineTransformer(degree=2, knots=knots[:, None]).fit(predicted[:, None])
    x = np.linspace(knots[0], knots[-1], TABLE_POINTS)
    rising, table = (
        np.cumsum(basis.transform(p[:, None])[:, :0:-1], axis=1) for p in (predicted, x)
    )
    model = LinearRegression(positive=True).fit(rising, target, sample_weight=weight)
    return {"x": x.tolist(), "y": model.predict(table).tolist()}
