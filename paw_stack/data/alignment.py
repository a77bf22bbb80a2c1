"""Thumbnails laid over each other: shift and scale by Gauss-Newton steps from coarse to fine, after
Lucas and Kanade, "An iterative image registration technique", IJCAI 1981.

Brightness and contrast are taken out meanwhile. Mirrored and turned copies do not fit.
"""

import numpy as np

COARSE, FINE = 2.0, 0.7  # SD of the blur, pixels; fine evens out how differently copies are sampled
COARSE_STEPS, FINE_STEPS = 6, 4
MAX_SHIFT = 0.06  # of the side
MAX_SCALE = 1 / 0.88  # a little more than a crop of 5 % a side


def blurred(pictures: np.ndarray, sd: float) -> np.ndarray:
    """Pictures (..., side, side) float32 after a Gaussian blur, the border repeated in weight."""
    side = pictures.shape[-1]
    distance = np.subtract.outer(np.arange(side), np.arange(side))
    weight = np.exp(-0.5 * (distance / sd) ** 2).astype(np.float32)
    weight /= weight.sum(axis=1, keepdims=True)
    return weight @ pictures @ weight.T


def standardised(pictures: np.ndarray, together: tuple[int, ...] = (-2, -1)) -> np.ndarray:
    """Pictures (..., h, w) each with mean 0, and SD 1 over the axes `together`."""
    centred = pictures - pictures.mean(axis=(-2, -1), keepdims=True)
    return centred / np.maximum(centred.std(axis=together, keepdims=True), 1e-6)


def inner(pictures: np.ndarray) -> np.ndarray:
    """Cut off the border, a sixteenth of the side: crops and resizing disturb it."""
    margin = pictures.shape[-1] // 16
    return pictures[..., margin:-margin, margin:-margin]


def aligned(grey: np.ndarray) -> np.ndarray:
    """Warp (k, 4) that lays the first picture over the second, of pairs (k, 2, side, side).

    A warp is the shift down and across in pixels and the scale down and across.
    """
    warp = np.tile(np.array([0, 0, 1, 1], np.float32), (len(grey), 1))
    warp = refined(grey, warp, COARSE, COARSE_STEPS)
    return refined(grey, warp, FINE, FINE_STEPS)


def refined(grey: np.ndarray, warp: np.ndarray, sd: float, steps: int) -> np.ndarray:
    """The warp (k, 4) of pairs (k, 2, side, side) after more steps, at one blur."""
    first, second = standardised(blurred(grey, sd)).swapaxes(0, 1)
    slopes = np.gradient(first, axis=(1, 2))
    for _ in range(steps):
        warp = _step(warp, first, slopes, inner(second))
    return warp


def laid_over(pictures: np.ndarray, warp: np.ndarray) -> np.ndarray:
    """Pictures (k, ..., side, side) at the inner pixels of their partners, bilinear."""
    side = pictures.shape[-1]
    count = len(_places(side))
    shape = (len(warp), *[1] * (pictures.ndim - 3), count, side)
    down, across = (_weights(side, *warp[:, [axis, axis + 2]].T).reshape(shape) for axis in (0, 1))
    return down @ pictures @ across.swapaxes(-2, -1)


def _places(side: int) -> np.ndarray:
    """The inner pixels of a line, counted from its middle."""
    margin = side // 16
    return np.arange(margin, side - margin, dtype=np.float32) - (side - 1) / 2


def _step(
    warp: np.ndarray, first: np.ndarray, slopes: tuple[np.ndarray, ...], second: np.ndarray
) -> np.ndarray:
    """One Gauss-Newton step for warp, gain and offset together."""
    side = first.shape[-1]
    place = _places(side)
    value, down, across = (laid_over(picture, warp) for picture in (first, *slopes))
    columns = [down, across, down * place[:, None], across * place, value, np.ones_like(value)]
    slope = np.stack(columns, axis=1).reshape(len(warp), 6, len(place) ** 2)
    normal = slope @ slope.swapaxes(1, 2) + 1e-3 * np.eye(6)  # stripes leave a direction open
    wanted = slope @ second.reshape(len(warp), len(place) ** 2, 1)
    found = np.linalg.solve(normal, wanted)[..., 0]
    change = found[:, :4] / np.maximum(found[:, 4:5], 0.1)  # no or negative gain: another picture
    warp = warp + change.clip([-1, -1, -0.05, -0.05], [1, 1, 0.05, 0.05])
    low, high = (-MAX_SHIFT * side, 1 / MAX_SCALE), (MAX_SHIFT * side, MAX_SCALE)
    return warp.clip(np.repeat(low, 2), np.repeat(high, 2)).astype(np.float32)


def _weights(side: int, shift: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """What each pixel of a line counts (k, inner, side) at each place; outside is the last one."""
    place = (side - 1) / 2 + shift[:, None] + scale[:, None] * _places(side)
    distance = np.abs(place.clip(0, side - 1)[..., None] - np.arange(side, dtype=np.float32))
    return np.maximum(0, 1 - distance)
