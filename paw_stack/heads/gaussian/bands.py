"""Principal components of vectors, in bands of falling variance.

Layers of several networks agree in their leading components, and what follows is more and more the
noise of one network. How much a component tells of a score is not its variance, but components of
like variance tell about as much: so those of a band share one weight, and a few weights, learned
from a few hundred scores, stand for all of them.

Enter: raw vectors of labelled and test rows. Leave: coordinates, so scaled that the squared
distance of two rows in a band is 1 on average, and what takes a raw row there. No target is looked
at. Memory: 8 min(rows, columns)^2 bytes.
"""

from typing import NamedTuple

import numpy as np

from paw_stack.heads.kernels.distances import Scaling, standardise

ENDS = (4, 8, 16, 32, 64, 128)  # components up to which a band goes; the rest is left out
LEAST = 1e-6  # share of the largest variance below which float32 vectors hold noise


class Bands(NamedTuple):
    """Rows by their principal components."""

    scaling: Scaling  # of raw columns (d,)
    projection: np.ndarray  # (d, k) float32, of standardised rows
    labelled: np.ndarray  # (n, k) float32
    test: np.ndarray  # (m, k) float32
    band_of: np.ndarray  # (k,) int, ascending


def principal_bands(
    labelled: np.ndarray, test: np.ndarray, weight: np.ndarray | None = None
) -> Bands:
    """Components of labelled (n, d) and test (m, d) rows together; each column has variance 1.

    Args:
        weight: (n,) of labelled rows, beside test rows of weight 1; None: 1 each.

    Raises:
        DataError: widths that differ, or values that are not finite.
    """
    X, X_test, scaling = standardise(labelled, test, weight)
    of_rows = np.ones(len(X)) if weight is None else weight
    root = np.sqrt(np.concatenate([of_rows, np.ones(len(X_test))]))
    axes, variance = _axes(root[:, None] * np.vstack([X, X_test]).astype(np.float64))
    variance /= (root**2).sum()
    band_of = np.searchsorted(ENDS, np.arange(len(variance)), side="right")
    in_band = np.maximum(np.bincount(band_of, weights=variance), LEAST)  # 0 where all are alike
    projection = (axes / np.sqrt(2 * in_band[band_of])).astype(np.float32)
    return Bands(scaling, projection, X @ projection, X_test @ projection, band_of)


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
