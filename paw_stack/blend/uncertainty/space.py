"""A space in which photos are compared, fitted on the reference photos of a fold.

Enters: embeddings of one photo, a block a network. Leaves: squared distances to the nearest
reference photos. Embeddings are sparse and have heavy tails, so that plain distances say how much
there is to see in a photo. Their logarithms say which channels answer. The distance along the
principal directions is taken as it is; all other directions are noise between two photos, so what a
photo has there counts by its length alone (as in Moghaddam and Pentland, 1997).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

DIRECTIONS = 32
CONTRAST = 100  # means of a block, times a channel's value, before its logarithm is taken
ROWS = 1024  # compared at a time
SMALLEST = 1e-6  # standard deviation of a channel; what varies less never does

Blocks = Sequence[np.ndarray]  # (n, d_b) float, embeddings of the same photos, one a network


@dataclass(frozen=True)
class Space:
    """Reference photos as points; channels of all blocks stand side by side."""

    level: np.ndarray  # (b,) float32, mean absolute value of each block
    mean: np.ndarray  # (d,) float32, of the logarithms
    scale: np.ndarray  # (d,) float32; infinite where a channel is constant
    directions: np.ndarray  # (d, k) float16, orthonormal
    points: np.ndarray  # (r, k) float16


def fit_space(blocks: Blocks) -> Space:
    """The space of reference photos (r, d_b), nothing else seen."""
    from sklearn.utils.extmath import randomized_svd

    level = np.array([np.abs(block).mean(dtype=np.float64) for block in blocks], dtype=np.float32)
    level = np.maximum(level, np.finfo(np.float32).tiny)
    logs = _logs(blocks, level)
    mean, spread = logs.mean(axis=0), logs.std(axis=0)
    widths = np.concatenate([np.full(block.shape[1], block.shape[1]) for block in blocks])
    scale = np.where(spread > SMALLEST, spread * np.sqrt(widths), np.inf).astype(np.float32)
    rows = (logs - mean) / scale
    k = min(DIRECTIONS, *rows.shape)
    directions = randomized_svd(rows, k, random_state=0)[2].T.astype(np.float16)
    return Space(level, mean, scale, directions, (rows @ directions).astype(np.float16))


def nearest(space: Space, blocks: Blocks, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest reference photos of each of m photos, the nearest first.

    Returns:
        Squared distances (m, k) float32 and numbers (m, k) int64 of reference photos; fewer columns
        where there are fewer of these.
    """
    points = space.points.astype(np.float32)
    k = min(k, len(points))
    found = []
    for start in range(0, len(blocks[0]), ROWS):
        rows = [np.asarray(block[start : start + ROWS], dtype=np.float32) for block in blocks]
        standard = (_logs(rows, space.level) - space.mean) / space.scale
        own = standard @ space.directions.astype(np.float32)
        beside = np.maximum((standard**2).sum(axis=1) - (own**2).sum(axis=1), 0)
        apart = (own**2).sum(axis=1)[:, None] + (points**2).sum(axis=1) - 2 * own @ points.T
        order = np.argsort(apart, axis=1, kind="stable")[:, :k]
        squares = np.maximum(np.take_along_axis(apart, order, axis=1), 0)
        found.append((squares + beside[:, None], order))
    squared, numbers = zip(*found, strict=True)
    return np.vstack(squared), np.vstack(numbers)


def _logs(blocks: Blocks, level: np.ndarray) -> np.ndarray:
    """(n, d) float32, signs kept; a unit of the blocks changes nothing."""
    parts = [
        np.sign(block) * np.log1p(CONTRAST / one * np.abs(block, dtype=np.float32))
        for block, one in zip(blocks, level, strict=True)
    ]
    return np.hstack(parts, dtype=np.float32)
