"""Near-duplicate photos: the same picture again after resizing, re-encoding, cropping or lighting.

Enters: the pixels of the image cache. Leaves: pairs of rows, and the groups that they connect.

A search in two steps. Perceptual hashes name candidates: a discrete cosine transform of a small
grey picture, one bit for each of its 64 lowest frequencies (`imagehash.phash`). Each candidate is
then confirmed on thumbnails: one is laid over the other (shift and scale by Gauss-Newton steps
from coarse to fine, after Lucas and Kanade, "An iterative image registration technique", IJCAI
1981), brightness and contrast are taken out, and what is left must be small everywhere: a pet that
moved on the same sofa leaves little on average, but much where it sits. Mirrored and turned copies
are not found.

The thresholds were measured on tests/planted_duplicates.py and on edited tiles of real photos.
"""

from collections.abc import Iterator

import numpy as np

SIDE = 32  # pixels of a thumbnail
MARGIN = 2  # pixels of its border that are not compared: crops and resizing disturb them
# A crop of up to 5 % a side leaves 0.90..1 of a photo; its middle 0.95 is close to both ends.
CENTRAL = 0.95
HASH_BITS = 64
MAX_HASH_DISTANCE = 14  # bits; planted duplicates differ by up to 10, unlike photos by 32
FLAT = 2.0  # SD in grey levels, 0..255; below it hash and correlation see noise alone
MIN_ROUGH = 0.6  # blurred and before they are aligned; planted duplicates have 0.85 or more
MIN_CORRELATION = 0.92  # planted duplicates have 0.98 or more, copies of real photos 0.94
# Of each of 7 x 7 blocks, in units of the picture's variance: planted duplicates leave up to 0.28,
# copies of real photos 0.44, a look-alike 0.64 or more where something moved.
MAX_RESIDUAL = 0.5
BLOCKS = 7
COARSE, FINE = 2.0, 0.7  # SD of the blur, pixels; fine evens out how differently copies are sampled
COARSE_STEPS, FINE_STEPS = 6, 4
MAX_SHIFT = 0.06 * SIDE  # pixels
MAX_SCALE = 1 / 0.88  # a little more than a crop of 5 % a side
ROWS_AT_ONCE = 1024  # hashes; products with 10,000 others are 40 MB
PAIRS_AT_ONCE = 512

_INNER = np.arange(MARGIN, SIDE - MARGIN, dtype=np.float32) - (SIDE - 1) / 2  # from the middle


def duplicate_pairs(pixels: np.ndarray, usable: np.ndarray | None = None) -> np.ndarray:
    """Pairs (k, 2) int64 of rows i < j that show the same picture, sorted.

    Time grows with the square of n, by a matrix product: 10,000 photos take seconds. Photos without
    contrast (plain white ones) pair only where all pixels are equal.

    Args:
        pixels: (n, size, size, 3) uint8 RGB; a memory map is read row by row.
        usable: (n,) bool, rows that may pair; None is all. Unreadable photos must not.
    """
    rows = np.arange(len(pixels)) if usable is None else np.flatnonzero(usable)
    equal = _equal(pixels, rows)
    thumbnails = _thumbnails(pixels, [same[0] for same in equal])
    textured = np.flatnonzero(_grey(thumbnails).std(axis=(1, 2)) >= FLAT)
    found = [same[np.stack(np.triu_indices(len(same), 1), 1)] for same in equal if len(same) > 1]
    for pairs in _near(thumbnails[textured]):
        crossed = (np.meshgrid(equal[i], equal[j]) for i, j in textured[pairs])
        found += [np.stack(rows_of_both, axis=-1).reshape(-1, 2) for rows_of_both in crossed]
    every = np.sort(np.concatenate([np.empty((0, 2), np.int64), *found]), axis=1)
    return every[np.lexsort((every[:, 1], every[:, 0]))]


def duplicate_groups(n: int, pairs: np.ndarray) -> np.ndarray:
    """Group number (n,) int64 of each row: duplicates of duplicates share one.

    Groups are numbered in the order of their first rows; the order of the pairs does not matter.

    Args:
        pairs: (k, 2) int, rows 0..n-1.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    component = connected_components(links, directed=False)[1]
    _, first, group = np.unique(component, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[group].astype(np.int64)


def between(pairs: np.ndarray, n_labelled: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pairs (k, 2) among labelled rows, across, and among test rows, where labelled come first.

    Test rows are counted from 0; a pair across is (labelled row, test row).
    """
    of_test = (pairs >= n_labelled).sum(axis=1)
    labelled, across, test = (pairs[of_test == count] for count in range(3))
    return labelled, across - [0, n_labelled], test - n_labelled


def merge_rows(group_of: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One photo a group: its first row (g,) int64, ascending, and its mean target (g,) float64.

    Args:
        group_of: (n,) int.
        target: (n,) float, points.
    """
    _, first, group = np.unique(group_of, return_index=True, return_inverse=True)
    order = np.argsort(first)
    mean = np.bincount(group, target) / np.bincount(group)
    return first[order].astype(np.int64), mean[order]


def _equal(pixels: np.ndarray, rows: np.ndarray) -> list[np.ndarray]:
    """Rows with the same pixels, ascending: only the first of them is searched."""
    import hashlib

    alike: dict[bytes, list[int]] = {}
    for row in rows.tolist():
        alike.setdefault(hashlib.blake2b(pixels[row].tobytes()).digest(), []).append(row)
    return [np.array(same) for same in alike.values()]


def _thumbnails(pixels: np.ndarray, rows: list[int]) -> np.ndarray:
    """(n, 3, SIDE, SIDE) uint8."""
    from PIL import Image

    thumbnails = np.empty((len(rows), 3, SIDE, SIDE), np.uint8)
    for number, row in enumerate(rows):
        small = Image.fromarray(pixels[row]).resize((SIDE, SIDE), Image.Resampling.BOX)
        thumbnails[number] = np.asarray(small).transpose(2, 0, 1)
    return thumbnails


def _grey(thumbnails: np.ndarray) -> np.ndarray:
    """(n, 3, SIDE, SIDE) uint8 -> (n, SIDE, SIDE) float32, by the luma weights of JPEG."""
    return np.einsum("nchw,c->nhw", thumbnails, np.array([0.299, 0.587, 0.114], np.float32))


def _near(thumbnails: np.ndarray) -> Iterator[np.ndarray]:
    """Confirmed pairs (k, 2) of thumbnails (n, 3, SIDE, SIDE), a part at a time."""
    grey = _grey(thumbnails)
    for candidates in _candidates(grey):
        for start in range(0, len(candidates), PAIRS_AT_ONCE):
            pairs = candidates[start : start + PAIRS_AT_ONCE]
            pairs = pairs[_roughly_alike(grey[pairs])]
            warp = _aligned(grey[pairs])
            yield pairs[_same_picture(thumbnails[pairs].astype(np.float32), warp)]


def _candidates(grey: np.ndarray) -> Iterator[np.ndarray]:
    """Pairs (k, 2), i < j, whose hashes are close, for the whole or for one's middle."""
    whole, middle = (_hashes(grey, share) for share in (1, CENTRAL))
    for start in range(0, len(grey), ROWS_AT_ONCE):
        block = slice(start, start + ROWS_AT_ONCE)
        # Of +1 and -1, so that a product is the bits less twice the distance.
        product = np.maximum(whole[block] @ middle.T, middle[block] @ whole.T)
        np.maximum(product, whole[block] @ whole.T, out=product)
        i, j = np.nonzero(product >= HASH_BITS - 2 * MAX_HASH_DISTANCE)
        yield np.stack([i + start, j], axis=1)[i + start < j]


def _hashes(grey: np.ndarray, share: float) -> np.ndarray:
    """Perceptual hash (n, HASH_BITS) float32, +1 or -1, of the middle `share` of each side."""
    import imagehash
    from PIL import Image

    cut = (1 - share) / 2 * SIDE
    box = (cut, cut, SIDE - cut, SIDE - cut)
    bits = np.empty((len(grey), HASH_BITS), bool)
    for row, picture in enumerate(grey.round().astype(np.uint8)):
        view = Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BILINEAR, box)
        bits[row] = imagehash.phash(view).hash.ravel()
    return np.where(bits, np.float32(1), np.float32(-1))


def _roughly_alike(grey: np.ndarray) -> np.ndarray:
    """Which (k,) pairs (k, 2, SIDE, SIDE) are worth aligning."""
    first, second = _standardised(_blurred(grey, COARSE)).swapaxes(0, 1)
    return (first * second).mean(axis=(1, 2)) >= MIN_ROUGH


def _blurred(pictures: np.ndarray, sd: float) -> np.ndarray:
    distance = np.subtract.outer(np.arange(SIDE), np.arange(SIDE))
    weight = np.exp(-0.5 * (distance / sd) ** 2).astype(np.float32)
    weight /= weight.sum(axis=1, keepdims=True)
    return weight @ pictures @ weight.T


def _standardised(pictures: np.ndarray, together: tuple[int, ...] = (-2, -1)) -> np.ndarray:
    """Pictures (..., h, w) each with mean 0, and SD 1 over the axes `together`."""
    centred = pictures - pictures.mean(axis=(-2, -1), keepdims=True)
    return centred / np.maximum(centred.std(axis=together, keepdims=True), 1e-6)


def _aligned(grey: np.ndarray) -> np.ndarray:
    """Warp (k, 4) that lays the first picture over the second, of pairs (k, 2, SIDE, SIDE).

    A warp is the shift down and across in pixels and the scale down and across.
    """
    warp = np.tile(np.array([0, 0, 1, 1], np.float32), (len(grey), 1))
    for sd, steps in ((COARSE, COARSE_STEPS), (FINE, FINE_STEPS)):
        first, second = _standardised(_blurred(grey, sd)).swapaxes(0, 1)
        slopes = np.gradient(first, axis=(1, 2))
        for _ in range(steps):
            warp = _step(warp, first, slopes, second[:, MARGIN:-MARGIN, MARGIN:-MARGIN])
    return warp


def _step(
    warp: np.ndarray, first: np.ndarray, slopes: tuple[np.ndarray, ...], second: np.ndarray
) -> np.ndarray:
    """One Gauss-Newton step for warp, gain and offset together."""
    value, down, across = (_laid_over(picture, warp) for picture in (first, *slopes))
    columns = [down, across, down * _INNER[:, None], across * _INNER, value, np.ones_like(value)]
    slope = np.stack(columns, axis=1).reshape(len(warp), 6, len(_INNER) ** 2)
    normal = slope @ slope.swapaxes(1, 2) + 1e-3 * np.eye(6)  # stripes leave a direction open
    wanted = slope @ second.reshape(len(warp), len(_INNER) ** 2, 1)
    found = np.linalg.solve(normal, wanted)[..., 0]
    change = found[:, :4] / np.maximum(found[:, 4:5], 0.1)  # no or negative gain: another picture
    warp = warp + change.clip([-1, -1, -0.05, -0.05], [1, 1, 0.05, 0.05])
    low, high = (-MAX_SHIFT, 1 / MAX_SCALE), (MAX_SHIFT, MAX_SCALE)
    return warp.clip(np.repeat(low, 2), np.repeat(high, 2)).astype(np.float32)


def _laid_over(pictures: np.ndarray, warp: np.ndarray) -> np.ndarray:
    """Pictures (k, ..., SIDE, SIDE) at the inner pixels of their partners, bilinear."""
    shape = (len(warp), *[1] * (pictures.ndim - 3), len(_INNER), SIDE)
    down, across = (_weights(*warp[:, [axis, axis + 2]].T).reshape(shape) for axis in (0, 1))
    return down @ pictures @ across.swapaxes(-2, -1)


def _weights(shift: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """What each pixel of a line counts (k, inner, SIDE) at each place; outside is the last one."""
    place = (SIDE - 1) / 2 + shift[:, None] + scale[:, None] * _INNER
    distance = np.abs(place.clip(0, SIDE - 1)[..., None] - np.arange(SIDE, dtype=np.float32))
    return np.maximum(0, 1 - distance)


def _same_picture(thumbnails: np.ndarray, warp: np.ndarray) -> np.ndarray:
    """Which (k,) pairs (k, 2, 3, SIDE, SIDE) agree in colours, as a whole and in each block."""
    correlation, residual = _agreement(thumbnails, warp)
    return (correlation >= MIN_CORRELATION) & (residual.max(axis=1) <= MAX_RESIDUAL)


def _agreement(thumbnails: np.ndarray, warp: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Correlation (k,), and what each block (k, 49) has left in units of the picture's variance.

    Each channel may be brighter; all may have more contrast.
    """
    pictures = _blurred(thumbnails, FINE)
    first = _standardised(_laid_over(pictures[:, 0], warp), (1, 2, 3))
    second = _standardised(pictures[:, 1, :, MARGIN:-MARGIN, MARGIN:-MARGIN], (1, 2, 3))
    correlation = (first * second).mean(axis=(1, 2, 3))
    left = (second - correlation[:, None, None, None] * first) ** 2
    side = len(_INNER) // BLOCKS
    blocks = left.reshape(len(left), 3, BLOCKS, side, BLOCKS, side).mean(axis=(1, 3, 5))
    return correlation, blocks.reshape(len(left), BLOCKS**2)
