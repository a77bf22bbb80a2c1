"""Errors and calibration of predictions in points; RMSE is always pooled over rows.

Rows may have weights: a row of weight 2 counts as two rows that are alike. Where there are none
(None) each counts once.
"""

import math
from collections.abc import Sequence

import numpy as np

ALIKE = 1e-12  # of the largest value: what differs by less differs by rounding
NOVEL = 0.05  # p-value up to which a photo is called unlike all labelled ones
DRAWS, CELLS = 1000, 2**16  # of a bootstrap; numbers that it draws at a time


Weight = np.ndarray | None  # (n,) float64, of rows


def taken(weight: Weight, rows: np.ndarray | slice) -> Weight:
    """The weights of some rows."""
    return None if weight is None else weight[rows]


def total(values: np.ndarray, weight: Weight) -> float:
    """How many rows these are, by their weight."""
    return float(len(values) if weight is None else weight.sum())


def mean(values: np.ndarray, weight: Weight = None) -> float:
    return float(np.average(values, weights=weight))


def sd(values: np.ndarray, weight: Weight = None) -> float:
    """Standard deviation, not that of a sample."""
    if weight is None:
        return float(np.std(values))
    return float(np.sqrt(mean((values - mean(values, weight)) ** 2, weight)))


def quantile(values: np.ndarray, share: float | np.ndarray, weight: Weight = None) -> np.ndarray:
    """The values (...) below which these shares of the rows lie; with weights, one of the rows'."""
    if weight is None:
        return np.asarray(np.quantile(values, share))
    order = np.argsort(values, kind="stable")
    order = order[weight[order] > 0]
    below = np.cumsum(weight[order])  # numpy's method inverted_cdf, which has weights from 2.0 on
    place = np.searchsorted(below / below[-1], share)
    return np.asarray(values[order][np.minimum(place, len(order) - 1)])


def ranks(values: np.ndarray, weight: Weight = None) -> np.ndarray:
    """Ranks (n,) up to a constant, with weights the rows that lie below; ties share theirs."""
    if weight is None:
        from scipy.stats import rankdata

        return np.asarray(rankdata(values))
    _, place = np.unique(values, return_inverse=True)
    tied = np.bincount(place, weight)
    ranked: np.ndarray = (np.cumsum(tied) - tied / 2)[place]
    return ranked


def standard_error(
    values: np.ndarray, weight: Weight = None, group_of: np.ndarray | None = None
) -> float:
    """Of the mean of values (n,): chance drew the rows, and not their weights.

    Args:
        group_of: (n,) int, rows that chance drew together, whose errors may be alike (Liang and
            Zeger, 1986); None: each by itself.
    """
    if weight is None and group_of is None:
        return float(np.std(values) / np.sqrt(len(values)))
    each = np.ones(len(values)) if weight is None else weight
    apart = summed(each * (values - mean(values, weight)), group_of)
    return float(np.sqrt((apart**2).sum()) / each.sum())


def n_effective(
    values: np.ndarray, weight: Weight = None, group_of: np.ndarray | None = None
) -> float:
    """How many rows of one weight tell a mean as well (Kish, Survey Sampling, 1965).

    Args:
        group_of: (n,) int, rows that tell as much as one: those of a group; None: each by itself.
    """
    if weight is None and group_of is None:
        return len(values)
    each = summed(np.ones(len(values)) if weight is None else weight, group_of)
    return float(each.sum() ** 2 / (each**2).sum())


def summed(values: np.ndarray, group_of: np.ndarray | None) -> np.ndarray:
    """The sums (g,) of values (n,) over the groups; None: each row is one."""
    if group_of is None:
        return values
    return np.bincount(np.unique(group_of, return_inverse=True)[1], values)


def rmse(y_true: np.ndarray, y_pred: np.ndarray, weight: Weight = None) -> float:
    """Root mean squared error over all rows, points."""
    squares = (np.asarray(y_true, float) - np.asarray(y_pred, float)) ** 2
    return float(np.sqrt(mean(squares, weight)))


def fold_rmse(
    y_true: np.ndarray, y_pred: np.ndarray, fold_of: np.ndarray, weight: Weight = None
) -> list[float]:
    """RMSE of each fold that has a prediction, in order of the folds, points."""
    rows = [fold_of == k for k in np.unique(fold_of[np.isfinite(y_pred)])]
    return [rmse(y_true[own], y_pred[own], taken(weight, own)) for own in rows]


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


def correlation(y_true: np.ndarray, y_pred: np.ndarray, weight: Weight = None) -> float:
    """Pearson's r; 0 where either side is constant."""
    if is_constant(y_true) or is_constant(y_pred):
        return 0.0
    if weight is None:
        return float(np.corrcoef(y_true, y_pred)[0, 1])
    covariance = np.cov(y_true, y_pred, aweights=weight)
    r = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
    return float(np.clip(r, -1, 1))  # rounding goes beyond, and 1 - r^2 below 0


def calibration_line(
    y_true: np.ndarray, y_pred: np.ndarray, weight: Weight = None
) -> tuple[float, float]:
    """Intercept a (points) and slope b of y = a + b p by least squares.

    b = 1 is calibrated, above 1 squashed, below 1 too wide; NaN where predictions are constant.
    """
    given, told = mean(y_true, weight), mean(y_pred, weight)
    if is_constant(y_pred):
        return given, float("nan")
    spread = mean((y_pred - told) ** 2, weight)
    slope = mean((y_pred - told) * (y_true - given), weight) / spread
    return given - slope * told, slope


def std_ratio(y_true: np.ndarray, y_pred: np.ndarray, weight: Weight = None) -> float:
    """SD of the predictions over SD of the target; equal to r for a calibrated predictor."""
    spread = sd(y_true, weight)
    return sd(y_pred, weight) / spread if spread > 0 else float("nan")


def paired_bootstrap(
    y_true: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    draws: int = DRAWS,
    seed: int = 0,
    group_of: np.ndarray | None = None,
    weight: Weight = None,
) -> tuple[float, float]:
    """95 % interval of RMSE(second) - RMSE(first), points, over the draws of `drawn_rmse`."""
    drawn = drawn_rmse(y_true, [first, second], draws, seed, group_of, weight)
    return middle_95(np.diff(drawn, axis=0))


def drawn_rmse(
    y_true: np.ndarray,
    predicted: Sequence[np.ndarray],
    draws: int = DRAWS,
    seed: int = 0,
    group_of: np.ndarray | None = None,
    weight: Weight = None,
) -> np.ndarray:
    """RMSE (k, draws) of each of k predictions (n,) over rows drawn with replacement, points.

    Each draw takes the same rows for all of them, so that what makes a row hard for all cancels.
    Every group is as likely as any other, and counts by the weight of its rows where it is drawn.

    Args:
        group_of: (n,) int, rows that are drawn together; None: each by itself.
    """
    given = np.arange(len(y_true)) if group_of is None else group_of
    _, group, size = np.unique(given, return_inverse=True, return_counts=True)
    squares = [(each - y_true) ** 2 for each in predicted]
    if weight is not None:
        size, squares = np.bincount(group, weight), [weight * each for each in squares]
    sums = [size, *(np.bincount(group, each) for each in squares)]
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
