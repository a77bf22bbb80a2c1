"""What weights are fitted on: sums and products of the candidates and the target, cell by cell.

Enters: candidates' out-of-fold predictions and the target. Leaves: one small matrix a cell (a fold
or sub-fold), from which every linear method finds its weights; leaving a cell out costs nothing.

Matrices are added, never subtracted, over the rows that a fit may see, and columns are shifted by
the candidates' mean: no bit of a held-out target can come in through rounding.
"""

from dataclasses import dataclass

import numpy as np

from paw_stack.metrics import mean, taken

# Of 1 + the mean variance: keeps matrices of alike candidates positive definite. Fits standardise
# the target (nested.py), so that 1 is its variance.
JITTER = 1e-9
SAME = 1e-12  # of the target's mean square: less variance is rounding
COPY = 0.9999  # correlation of candidates; above it they are one
SMALLEST_SD = 1 / 3  # of the mean error: no row counts for more than nine average ones


@dataclass(frozen=True)
class Moments:
    """Products of the columns [1, candidates, target], each less `shift`, of every cell."""

    plain: np.ndarray  # (n_cells, c + 2, c + 2); rows count by their own weights, if any
    weighted: np.ndarray  # the same with rows weighted by their precision too, on average 1
    shift: float  # points

    @property
    def n_candidates(self) -> int:
        return self.plain.shape[1] - 2

    def without(self, cell: int) -> "Moments":
        return Moments(
            np.delete(self.plain, cell, axis=0), np.delete(self.weighted, cell, axis=0), self.shift
        )

    def take(self, candidates: np.ndarray) -> "Moments":
        """Only these candidates (k,)."""
        kept = np.concatenate([[0], 1 + np.asarray(candidates), [self.n_candidates + 1]])
        block = np.ix_(np.arange(len(self.plain)), kept, kept)
        return Moments(self.plain[block], self.weighted[block], self.shift)

    def distinct(self) -> np.ndarray:
        """Candidates (k,) that repeat none before them, be it stretched or shifted."""
        covariance, _ = centred(self.plain.sum(0))
        spread = np.sqrt(np.diag(covariance)[:-1].clip(JITTER))
        alike = covariance[:-1, :-1] / np.outer(spread, spread) > COPY
        return np.flatnonzero(~np.triu(alike, 1).any(axis=0))

    def level(self) -> float | None:
        """The target's value, shifted, where all rows have the same; else None."""
        gram = self.plain.sum(0)
        covariance, mean = centred(gram)
        alike = covariance[-1, -1] <= SAME * gram[-1, -1] / gram[0, 0]
        return float(mean[-1]) if alike else None

    def lines(self) -> tuple[np.ndarray, np.ndarray]:
        """Intercept and slope (c,) each of the target on a candidate alone, in shifted columns."""
        covariance, mean = centred(self.plain.sum(0))
        variance = np.diag(covariance)[:-1]
        constant = variance <= JITTER
        slope = np.where(constant, 0.0, covariance[:-1, -1] / np.where(constant, 1.0, variance))
        return mean[-1] - slope * mean[:-1], slope

    def straightened(self, intercept: np.ndarray, slope: np.ndarray) -> "Moments":
        """Of candidates that went through `intercept + slope * candidate` (c,) each."""
        change = np.diag([1.0, *slope, 1.0])
        change[0, 1:-1] = intercept
        return Moments(
            change.T @ self.plain @ change, change.T @ self.weighted @ change, self.shift
        )


def moments_of(
    columns: np.ndarray, target: np.ndarray, cell_of: np.ndarray, weight: np.ndarray | None = None
) -> Moments:
    """Of candidates (n, c) and target (n,) in points, in cells (n,) int, in order of their number.

    Errors grow with the prediction where a score is bounded below: a row's precision is one over
    the square of its expected error, a straight line on the prediction (Glejser, 1969).

    Args:
        weight: (n,) of the rows in every sum; None: 1 each.
    """
    shift = float(columns.mean())
    rows = np.column_stack([np.ones(len(target)), columns - shift, target - shift])
    cells = [cell_of == cell for cell in np.unique(cell_of)]
    plain = np.stack([_products(rows[cell], taken(weight, cell)) for cell in cells])
    weights, intercept = least_squares(plain.sum(0))
    precision = _precision(intercept + rows[:, 1:-1] @ weights, rows[:, -1], weight)
    counted = precision if weight is None else weight * precision
    weighted = np.stack([_products(rows[cell], counted[cell]) for cell in cells])
    return Moments(plain, weighted, shift)


def _products(rows: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    """Sums (k, k) of products of the columns of rows (n, k)."""
    weighted = rows if weight is None else weight[:, None] * rows
    return np.asarray(weighted.T @ rows)


def centred(gram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Covariance (..., c + 1, c + 1) and mean (..., c + 1) of candidates and target."""
    n = gram[..., :1, 0]
    mean = gram[..., 0, 1:] / n
    return gram[..., 1:, 1:] / n[..., None] - mean[..., :, None] * mean[..., None, :], mean


def least_squares(
    gram: np.ndarray, penalty: np.ndarray | float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Non-negative weights (..., c) and a free intercept (...) each, in shifted columns.

    Args:
        gram: (..., c + 2, c + 2), of one set of rows or of many.
        penalty: (..., c, c); weights' quadratic form that is added to the mean squared error.
    """
    from scipy.optimize import nnls

    covariance, mean = centred(gram)
    matrix = covariance[..., :-1, :-1] + penalty
    wanted = np.broadcast_to(covariance[..., :-1, -1], matrix.shape[:-1])
    factor = square_root(matrix)
    weights = np.linalg.solve(factor @ np.swapaxes(factor, -1, -2), wanted[..., None])[..., 0]
    negative = (weights < 0).any(axis=-1)  # without one it is solved
    rows, values = factor[negative], wanted[negative]
    sides = np.linalg.solve(rows, values[..., None])[..., 0]
    weights[negative] = np.reshape(
        [nnls(row.T, side)[0] for row, side in zip(rows, sides, strict=True)], values.shape
    )
    return weights, mean[..., -1] - (weights * mean[..., :-1]).sum(axis=-1)


def square_root(matrix: np.ndarray) -> np.ndarray:
    """Lower triangles L (..., c, c) with L L' = matrix, and a little on the diagonal."""
    c = matrix.shape[-1]
    size = 1 + np.trace(matrix, axis1=-2, axis2=-1) / c
    return np.linalg.cholesky(matrix + JITTER * size[..., None, None] * np.eye(c))


def _precision(predicted: np.ndarray, target: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    """Of each row (n,), on average 1."""
    error = np.abs(target - predicted)
    if np.ptp(predicted) <= JITTER or not error.any():
        return np.ones(len(target))
    roots = None if weight is None else np.sqrt(weight)  # numpy squares them
    slope, intercept = np.polyfit(predicted, error, 1, w=roots)
    expected = np.maximum(intercept + slope * predicted, SMALLEST_SD * mean(error, weight))
    precision: np.ndarray = expected**-2 / mean(expected**-2, weight)
    return precision
