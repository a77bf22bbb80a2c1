"""Errors and calibration of predictions in points; RMSE is always pooled over rows."""

import math
from collections.abc import Sequence

import numpy as np

ALIKE = 1e-12  # of the largest value: what differs by less differs by rounding
DRAWS, CELLS = 1000, 2**16  # of a bootstrap; numbers that it draws at a time


def rmse(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """Root mean squared error over all rows, points."""
    return float(np.sqrt(np.mean((np.asarray(y_true, float) - np.asarray(y_pred, float)) ** 2)))


def fold_rmse(y_true: np.ndarray, y_pred: np.ndarray, fold_of: np.ndarray) -> list[float]:
    """RMSE of each fold that has a prediction, in order of the folds, points."""
    return [
        rmse(y_true[fold_of == k], y_pred[fold_of == k])
        for k in np.unique(fold_of[np.isfinite(y_pred)])
    ]


def is_constant(values: np.ndarray) -> bool:
    """Whether values (n,) differ by rounding alone."""
    return bool(np.ptp(values) <= ALIKE * np.abs(values).max())


def clipped(points: np.ndarray, bounds: Sequence[float | None]) -> np.ndarray:
    """Points (n,) inside [lowest, highest]; None, as JSON has it, or infinity: no bound there."""
    low, high = bounds
    return np.clip(points, -np.inf if low is None else low, np.inf if high is None else high)


def shown_range(bounds: Sequence[float | None], scores: np.ndarray) -> tuple[float, float]:
    """Lowest and highest score to speak of: the bounds, or those of the scores (n,) given."""
    low, high = (np.inf if bound is None else bound for bound in bounds)
    return (
        float(low if np.isfinite(low) else scores.min()),
        float(high if np.isfinite(high) else scores.max()),
    )


def decimals(low: float, high: float) -> int:
    """Decimals of an RMSE of scores from `low` to `high`, points."""
    return (2 if high - low > 20 else 3) + finer((high - low) / 4)


def finer(spread: float) -> int:
    """Decimals beyond the usual ones that scores of this standard deviation need, points."""
    return max(0, math.ceil(math.log10(0.5 / spread))) if spread > 0 else 0


def correlation(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """Pearson's r; 0 where either side is constant."""
    if is_constant(y_true) or is_constant(y_pred):
        return 0.0
    return float(np.corrcoef(y_true, y_pred)[0, 1])


def calibration_line(y_true: np.ndarray, y_pred: np.ndarray) -> tuple[float, float]:
    """Intercept a (points) and slope b of y = a + b p by least squares.

    b = 1 is calibrated, above 1 squashed, below 1 too wide; NaN where predictions are constant.
    """
    spread = np.var(y_pred)
    if is_constant(y_pred):
        return float(np.mean(y_true)), float("nan")
    slope = np.mean((y_pred - np.mean(y_pred)) * (y_true - np.mean(y_true))) / spread
    return float(np.mean(y_true) - slope * np.mean(y_pred)), float(slope)


def std_ratio(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """SD of the predictions over SD of the target; equal to r for a calibrated predictor."""
    spread = float(np.std(y_true))
    return float(np.std(y_pred)) / spread if spread > 0 else float("nan")


def paired_bootstrap(
    y_true: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    draws: int = DRAWS,
    seed: int = 0,
    group_of: np.ndarray | None = None,
) -> tuple[float, float]:
    """95 % interval of RMSE(second) - RMSE(first), points, over the draws of `drawn_rmse`."""
    return middle_95(np.diff(drawn_rmse(y_true, [first, second], draws, seed, group_of), axis=0))


def drawn_rmse(
    y_true: np.ndarray,
    predicted: Sequence[np.ndarray],
    draws: int = DRAWS,
    seed: int = 0,
    group_of: np.ndarray | None = None,
) -> np.ndarray:
    """RMSE (k, draws) of each of k predictions (n,) over rows drawn with replacement, points.

    Each draw takes the same rows for all of them, so that what makes a row hard for all cancels.

    Args:
        group_of: (n,) int, rows that are drawn together; None: each by itself.
    """
    given = np.arange(len(y_true)) if group_of is None else group_of
    _, group, size = np.unique(given, return_inverse=True, return_counts=True)
    sums = [size, *(np.bincount(group, (each - y_true) ** 2) for each in predicted)]
    rng, n = np.random.default_rng(seed), len(size)
    totals = np.empty((len(sums), draws))
    step = max(1, CELLS // n)
    for start in range(0, draws, step):
        k = min(step, draws - start)
        drawn = rng.integers(0, n, (k, n), dtype=np.int32) + n * np.arange(k)[:, None]
        times = np.bincount(drawn.ravel(), minlength=k * n).reshape(k, n).astype(np.float64)
        # One by one: so a prediction's errors are the same to the last bit beside any others.
        totals[:, start : start + step] = [times @ each for each in sums]
    return np.sqrt(totals[1:] / totals[0])


def middle_95(drawn: np.ndarray) -> tuple[float, float]:
    """The two values between which 95 % of those drawn (draws,) lie."""
    low, high = np.percentile(drawn, [2.5, 97.5])
    return float(low), float(high)
