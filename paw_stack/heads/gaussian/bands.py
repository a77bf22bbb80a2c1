"""Principal components of vectors, in bands of falling variance.

Layers of several networks agree in their leading components, and what follows is more and more the
noise of one network. How much a component tells of a score is not its variance, but components of
like variance tell about as much: so those of a band share one weight, and a few weights, learned
from a few hundred scores, stand for all of them.

Enter: raw vectors of training rows. Leaves: what takes raw rows to coordinates, so scaled that the
squared distance of two training rows in a band is 1 on average. Held-out and test rows have no part
in it: components that knew them would tell their scores better than those of any later photo
(oasis: an RMSE of 0.792 where later photos would have 0.800). Rows are shorter along components of
other rows, the more the later the band, and are lengthened accordingly (0.790).
Memory: 8 min(rows, columns)^2 bytes.
"""

from typing import NamedTuple

import numpy as np

from paw_stack.heads.kernels.distances import Scaling, standardise

ENDS = (4, 8, 16, 32, 64, 128)  # components up to which a band goes; the rest is left out
PARTS = 5  # of training rows, each left out once to see how much shorter such rows are
SHORTEST = 0.05  # least ratio of squares that is believed
LEAST = 1e-6  # share of the largest variance below which float32 vectors hold noise


class Bands(NamedTuple):
    """The way to principal components."""

    scaling: Scaling  # of raw columns (d,)
    projection: np.ndarray  # (d, k) float32, of standardised rows
    band_of: np.ndarray  # (k,) int, ascending

    def of(self, X: np.ndarray) -> np.ndarray:
        """Coordinates (m, k) float32 of raw rows (m, d)."""
        standardised = (X - self.scaling.mean_) / self.scaling.scale_
        return np.asarray(standardised.astype(np.float32) @ self.projection)


def principal_bands(X: np.ndarray, weight: np.ndarray) -> Bands:
    """Components of rows (n, d) that count by their weights (n,).

    Raises:
        DataError: values that are not finite.
    """
    X, _, scaling = standardise(X, X[:0], weight)
    axes, variance = _axes(np.sqrt(weight)[:, None] * X.astype(np.float64))
    variance /= weight.sum()
    band_of = np.searchsorted(ENDS, np.arange(len(variance)), side="right")
    in_band = np.maximum(np.bincount(band_of, weights=variance), LEAST)  # 0 where all are alike
    projection = (axes / np.sqrt(2 * in_band[band_of])).astype(np.float32)
    return Bands(scaling, projection, band_of)


def shrinkage(X: np.ndarray, weight: np.ndarray, bands: Bands) -> np.ndarray:
    """How much shorter other rows' coordinates are than those of rows (n, d), by components (k,).

    Components follow the noise of the rows that they were made of, where columns are many (Lee, Zou
    and Wright, 2010, "Convergence and prediction of principal component scores in high-dimensional
    settings"). Here it is seen on parts of the rows that are left out, alike by the first
    component; a band that these do not have is taken to be like the one before.
    """
    part_of = np.empty(len(X), int)
    parts = min(PARTS, len(X))
    part_of[np.argsort(bands.of(X)[:, 0], kind="stable")] = np.arange(len(X)) % parts
    squares = np.zeros((2, len(ENDS)))
    for part in range(parts):
        out = part_of == part
        inner = principal_bands(X[~out], weight[~out])
        for which, rows in enumerate((out, ~out)):
            of_components = np.average(inner.of(X[rows]) ** 2, axis=0, weights=weight[rows])
            squares[which] += np.bincount(inner.band_of, of_components, minlength=len(ENDS))
    last = max(0, int(np.count_nonzero(squares[1])) - 1)
    ratio = np.divide(squares[0], squares[1], out=np.ones(len(ENDS)), where=squares[1] > 0)
    ratio = np.clip(ratio, SHORTEST, 1)[np.minimum(bands.band_of, last)]
    return np.asarray(np.sqrt(ratio))


def _axes(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Leading axes (d, k) of centred rows (n, d) and their sums of squares (k,), falling."""
    from scipy.linalg import eigh

    wide = X.shape[1] > len(X)
    products = X @ X.T if wide else X.T @ X
    first = max(0, len(products) - ENDS[-1])
    squares, axes = eigh(products, subset_by_index=(first, len(products) - 1))
    kept = squares > LEAST * squares[-1]
    kept[-1] = True  # vectors that are all alike have one component, of no length
    squares, axes = squares[kept][::-1], axes[:, kept][:, ::-1]
    squares = np.maximum(squares, np.finfo(float).tiny)
    return (X.T @ axes / np.sqrt(squares) if wide else axes), squares
