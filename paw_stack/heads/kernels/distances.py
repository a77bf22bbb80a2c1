"""Standardised columns, squared distances and Gaussian kernels; blocks of many embeddings.

Squared distances of concatenated features add up: the kernel of any set of embeddings, each
standardised by itself, comes from the sum of their blocks.

Memory: 4 n (n + m) bytes a block, on disk where all of them exceed the given bytes.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numba import njit

from paw_stack.errors import DataError
from paw_stack.heads.kernels.gpu.products import product
from paw_stack.metrics import mean, total
from paw_stack.processes import usable_cores

ROWS = 512  # rows of a block; blocks are shared out to threads
TILE = 64  # a tile of the matrix and its mirror fit the first-level cache together


class Scaling(NamedTuple):
    """Standardised = (raw - mean_) / scale_, named as StandardScaler has them."""

    mean_: np.ndarray  # (d,) float64
    scale_: np.ndarray  # (d,) float64, inf for columns that are constant


def standardise(
    labelled: np.ndarray, test: np.ndarray, weight: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, Scaling]:
    """Columns of mean 0 and variance 1 over labelled (n, d) and test (m, d) rows; float32.

    A column that is constant up to rounding becomes 0. No target is looked at.

    Args:
        weight: (n,) of labelled rows, beside test rows of weight 1; None: 1 each.

    Raises:
        DataError: widths that differ, or values that are not finite.
    """
    if labelled.ndim != 2 or test.ndim != 2 or labelled.shape[1] != test.shape[1]:
        raise DataError(
            f"embeddings of labelled rows {labelled.shape} and test rows {test.shape}; expected"
            " (n, d) and (m, d)"
        )
    blocks = [labelled.astype(np.float32), test.astype(np.float32)]
    weights = weight, None
    n = total(labelled, weight) + len(test)
    middle = np.sum([*map(_summed, blocks, weights)], axis=0) / n
    blocks = [block - middle.astype(np.float32) for block in blocks]
    # What is left of the mean after rounding it to float32 is taken out of the variance.
    left = np.sum([*map(_summed, blocks, weights)], axis=0) / n
    square = np.sum([*map(_summed, map(np.square, blocks), weights)], axis=0) / n
    deviation = np.sqrt(np.maximum(square - left**2, 0))
    if not np.isfinite(deviation).all():
        raise DataError("embeddings hold values that are not finite; make them again")
    constant = deviation <= 1e-6 * np.abs(middle)
    scale = np.where(constant, 0, 1 / np.where(constant, 1, deviation)).astype(np.float32)
    scaling = Scaling(middle, np.where(constant, np.inf, deviation))
    return blocks[0] * scale, blocks[1] * scale, scaling


def _summed(block: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    """Columns' sums (d,) float64 of rows (n, d)."""
    if weight is None:
        return np.asarray(block.sum(0, dtype=np.float64))
    return weight @ block.astype(np.float64)


def scale_gamma(X: np.ndarray, weight: np.ndarray | None = None) -> float:
    """scikit-learn's gamma='scale' of features (n, d): 1 / (d * variance of all values)."""
    if weight is None:
        variance = float(np.var(X, dtype=np.float64))
    else:
        each = X.mean(1, dtype=np.float64), np.square(X, dtype=np.float64).mean(1)
        middle, square = (mean(of_rows, weight) for of_rows in each)
        variance = square - middle**2
    return 1.0 / (X.shape[1] * variance) if variance > 0 else 1.0


def squared_distances(
    A: np.ndarray, B: np.ndarray | None = None, device: str | None = None
) -> np.ndarray:
    """Squared Euclidean distances (n, m) float32 between rows of A (n, d) and B (m, d), float32.

    Without B: those of A to itself, exactly symmetric, with an exactly zero diagonal and half the
    work. Never negative. From |a|^2 + |b|^2 - 2ab, so that a distance is exact to about 1e-7 of the
    norms; centre the columns first.

    Args:
        device: of torch, where products are computed; None is numpy on the processor.
    """
    A = np.ascontiguousarray(A, dtype=np.float32)
    other = A if B is None else np.ascontiguousarray(B, dtype=np.float32)
    norms, other_norms = _norms(A), _norms(other)
    out = np.empty((len(A), len(other)), dtype=np.float32)
    for begin in range(0, len(A), 2 * ROWS):
        rows = slice(begin, begin + 2 * ROWS)
        columns = slice(begin if B is None else 0, None)
        product(A[rows], other[columns].T, device, out[rows, columns])
    blocks = [(begin, min(begin + ROWS, len(A))) for begin in range(0, len(A), ROWS)]
    finish = _mirrored_distances if B is None else _distances
    with ThreadPoolExecutor(usable_cores()) as pool:
        list(pool.map(lambda block: finish(out, norms, other_norms, *block), blocks))
    return out


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


@dataclass(frozen=True)
class Block:
    """Squared distances of one embedding."""

    name: str
    width: int  # columns of the embedding that are not constant
    scaling: Scaling
    labelled: np.ndarray  # (n, n) float32, between labelled rows
    test: np.ndarray  # (m, n) float32, from test rows to labelled rows


def distance_blocks(
    embeddings: Mapping[str, tuple[np.ndarray, np.ndarray]],
    folder: Path | None = None,
    memory_bytes: float = 8e9,
    device: str | None = None,
    weight: np.ndarray | None = None,
) -> list[Block]:
    """One block per embedding, standardised over its labelled and test rows.

    Args:
        embeddings: name -> labelled (n, d) and test (m, d) vectors; read one at a time.
        folder: where matrices go when they do not fit; it must exist. The caller removes them.
        memory_bytes: what all blocks and the kernel may take before the folder is used.
        device: as `squared_distances` takes it.
        weight: (n,) of labelled rows, as `standardise` takes it.

    Raises:
        DataError: numbers of rows that differ, or matrices that do not fit and no folder.
    """
    shapes = {(len(labelled), len(test)) for labelled, test in embeddings.values()}
    if len(shapes) != 1:
        raise DataError(f"embeddings of (labelled, test) rows {sorted(shapes)}; expected one size")
    n, m = next(iter(shapes))
    needed = 4 * n * (len(embeddings) * (n + m) + n)
    if needed > memory_bytes and folder is None:
        raise DataError(
            f"{len(embeddings)} distance matrices need {needed / 1e9:.1f} GB, allowed are"
            f" {memory_bytes / 1e9:.1f}; give a folder or fewer embeddings"
        )
    kept = folder if needed > memory_bytes else None
    blocks = []
    for number, (name, (labelled, test)) in enumerate(embeddings.items()):
        X, X_test, scaling = standardise(labelled, test, weight)
        D = _stored(squared_distances(X, device=device), kept, f"{number}_labelled.npy")
        D_test = _stored(squared_distances(X_test, X, device), kept, f"{number}_test.npy")
        width = max(1, int(np.isfinite(scaling.scale_).sum()))
        blocks.append(Block(name, width, scaling, D, D_test))
    return blocks


def summed_rbf(parts: Sequence[np.ndarray], gamma: float, out: np.ndarray) -> np.ndarray:
    """exp(-gamma * sum of the parts) in `out`, each part read once, block by block of rows."""

    def block(begin: int) -> None:
        rows = slice(begin, begin + ROWS // 8)
        np.copyto(out[rows], parts[0][rows])
        for part in parts[1:]:
            out[rows] += part[rows]
        out[rows] *= np.float32(-gamma)
        np.exp(out[rows], out=out[rows])

    with ThreadPoolExecutor(usable_cores()) as pool:
        list(pool.map(block, range(0, len(out), ROWS // 8)))
    return out


def _stored(D: np.ndarray, folder: Path | None, name: str) -> np.ndarray:
    """The matrix itself, or a read-only memory map of it in the folder."""
    if folder is None:
        return D
    np.save(folder / name, D)
    return np.load(folder / name, mmap_mode="r")


def _norms(A: np.ndarray) -> np.ndarray:
    return np.einsum("ij,ij->i", A, A, dtype=np.float64)


@njit(cache=True, nogil=True)
def _distances(G, norms, other_norms, begin, end):  # type: ignore[no-untyped-def]
    """Rows `begin` to `end` of products turned into squared distances."""
    for i in range(begin, end):
        for j in range(G.shape[1]):
            G[i, j] = max(np.float32(norms[i] + other_norms[j] - 2 * G[i, j]), np.float32(0))


@njit(cache=True, nogil=True)
def _mirrored_distances(G, norms, _, begin, end):  # type: ignore[no-untyped-def]
    """The same for the upper triangle, and its mirror below the diagonal."""
    for top in range(begin, end, TILE):
        for left in range(top, len(G), TILE):
            for i in range(top, min(top + TILE, end)):
                for j in range(max(left, i + 1), min(left + TILE, len(G))):
                    distance = max(np.float32(norms[i] + norms[j] - 2 * G[i, j]), np.float32(0))
                    G[i, j] = distance
                    G[j, i] = distance
            if left == top:
                for i in range(top, min(top + TILE, end)):
                    G[i, i] = 0
