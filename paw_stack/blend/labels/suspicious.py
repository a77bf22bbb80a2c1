"""Which scores to look at again: how far each is from its nested prediction, in expected errors.

A large error alone says little where errors are large anyway. So a row's expected error is told by
rows of other folds: by how high its prediction is and by how far the candidates are apart (their
spread tells the difficulty of a photo, as a query by committee does: Seung and others, 1992), and
by how unsure the raters were of its score, where that is known. What is far beyond it is a typing
error, a wrong row, a photo unlike its score, or a model's mistake.
"""

import numpy as np

from paw_stack.metrics import ALIKE, mean, taken

NORMAL = np.sqrt(2 / np.pi)  # mean absolute error of a normal one, in standard deviations
SMALLEST_SHARE = 0.25  # of the mean error, and of the mean square: no estimate is below
PENALTY = 20.0  # rows' worth of the belief that all photos are equally hard


def surprise(
    columns: np.ndarray,
    nested: np.ndarray,
    target: np.ndarray,
    fold_of: np.ndarray,
    score_variance: np.ndarray | None = None,
    weight: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """How many expected errors a score is off, and the expected error; of all rows (n,) float64.

    Args:
        columns: (n, c) the candidates' out-of-fold predictions, points.
        nested: (n,) the blend's nested predictions, points.
        target: (n,) points.
        fold_of: (n,) int; fold k's expected errors are told by the other folds' rows.
        score_variance: (n,) points^2, of each score as raters tell it; None: not known.
        weight: (n,) above 0, of the rows; None: 1 each.

    Returns:
        times (n,), 0 where nothing is ever missed; expected error (n,), a standard deviation in
        points.
    """
    noise = np.zeros(len(target)) if score_variance is None else score_variance
    features = np.column_stack([nested, nested**2, columns.std(axis=1)])
    error, expected = np.abs(target - nested), np.empty(len(target))
    for fold in np.unique(fold_of):
        rows = fold_of == fold
        known = error[~rows], features[~rows], noise[~rows], taken(weight, ~rows)
        expected[rows] = _expected(*known, features[rows], noise[rows])
    return error / np.where(expected > 0, expected, np.inf), expected


def _expected(
    error: np.ndarray,
    features: np.ndarray,
    noise: np.ndarray,
    weight: np.ndarray | None,
    new: np.ndarray,
    new_noise: np.ndarray,
) -> np.ndarray:
    """Expected errors of new rows: the model's part by their features, and the raters'.

    The model's mean square is what the raters' leaves of the whole; every error is brought down by
    its share before the line is fitted.
    """
    square, theirs = mean(error**2, weight), mean(noise, weight)
    ours = max(square - theirs, SMALLEST_SHARE * square)
    if ours == 0:
        return np.sqrt(new_noise)
    own = error * np.sqrt(ours / (ours + noise))
    local = np.maximum(_line(features, own, weight, new), SMALLEST_SHARE * mean(own, weight))
    expected: np.ndarray = np.sqrt((local / NORMAL) ** 2 + new_noise)
    return expected


def _line(
    features: np.ndarray, own: np.ndarray, weight: np.ndarray | None, new: np.ndarray
) -> np.ndarray:
    """Ridge regression of absolute errors; new rows are kept inside what it was fitted on.

    By hand, as scikit-learn would be the one heavy import of a command that finds all of it done.
    """
    each = np.ones(len(own)) if weight is None else weight
    middle, level = np.average(features, axis=0, weights=each), mean(own, each)
    spread = np.sqrt(np.average((features - middle) ** 2, axis=0, weights=each))
    spread = np.where(spread > ALIKE * np.abs(middle), spread, np.inf)
    Z = (features - middle) / spread
    products = Z.T @ (each[:, None] * Z) + PENALTY * np.eye(Z.shape[1])
    slopes = np.linalg.solve(products, Z.T @ (each * (own - level)))
    inside = np.clip(new, features.min(axis=0), features.max(axis=0))
    found: np.ndarray = level + (inside - middle) / spread @ slopes
    return found
