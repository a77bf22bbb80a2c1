"""Gaussian kernel matrices of squared distances, and predictions by their rows."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from paw_stack.processes import usable_cores

ROWS = 512  # rows of a block; blocks are shared out to threads


def rbf(D: np.ndarray, gamma: float, out: np.ndarray | None = None) -> np.ndarray:
    """exp(-gamma D), float32; `out` may be D itself, and is returned."""
    result = np.empty(D.shape, dtype=np.float32) if out is None else out

    def block(begin: int) -> None:
        rows = slice(begin, begin + ROWS)
        np.multiply(D[rows], np.float32(-gamma), out=result[rows])
        np.exp(result[rows], out=result[rows])

    with ThreadPoolExecutor(usable_cores()) as pool:
        list(pool.map(block, range(0, len(D), ROWS)))
    return result


def predict_rows(K_new: np.ndarray, beta: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Predictions (m, fits) float64, points, for kernel rows (m, n) and beta (fits, n)."""
    out = np.empty((len(K_new), len(beta)))
    for begin in range(0, len(K_new), ROWS):
        out[begin : begin + ROWS] = K_new[begin : begin + ROWS].astype(np.float64) @ beta.T
    return out + bias
