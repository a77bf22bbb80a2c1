"""Near-duplicate photos: the same picture again after resizing, re-encoding, cropping or lighting.

Enters: the pixels of the image cache. Leaves: pairs of rows, and the groups that they connect.

A search in three steps. Perceptual hashes name candidates: a discrete cosine transform of a small
grey picture, one bit for each of its 64 lowest frequencies (`imagehash.phash`). Each candidate is
laid over its partner on small thumbnails (`data/alignment.py`), and what is left must be small
everywhere: a pet that moved on the same sofa leaves little on average, but much where it sits. What
still agrees is compared closely (`data/same_photo.py`), as pages, drawings and silhouettes are
alike from afar. Mirrored and turned copies are not found.

The thresholds were measured on tests/tools/planted_duplicates.py and on edited tiles of real
photos.
"""

from collections.abc import Iterator

import numpy as np

from paw_stack.data.alignment import COARSE, FINE, aligned, blurred, inner, laid_over, standardised
from paw_stack.data.same_photo import compare, equal_rows

SIDE = 32  # pixels of a thumbnail
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
ROWS_AT_ONCE = 1024  # hashes; products with 10,000 others are 40 MB
PAIRS_AT_ONCE = 512
LARGE = 30  # photos of a group, from where on it may be a chain


def duplicate_pairs(pixels: np.ndarray, usable: np.ndarray | None = None) -> np.ndarray:
    """Pairs (k, 2) int64 of rows i < j that show the same picture, sorted.

    Time grows with the square of n, by a matrix product: 10,000 photos take seconds. Photos without
    contrast (plain white ones) pair only where all pixels are equal.

    Args:
        pixels: (n, size, size, 3) uint8 RGB; a memory map is read row by row.
        usable: (n,) bool, rows that may pair; None is all. Unreadable photos must not.
    """
    rows = np.arange(len(pixels)) if usable is None else np.flatnonzero(usable)
    equal = equal_rows(pixels, rows)
    firsts = np.array([same[0] for same in equal], np.int64)
    thumbnails = _thumbnails(pixels, firsts.tolist())
    textured = np.flatnonzero(_grey(thumbnails).std(axis=(1, 2)) >= FLAT)
    found = [same[np.stack(np.triu_indices(len(same), 1), 1)] for same in equal if len(same) > 1]
    for pairs in _near(thumbnails[textured]):
        likely, _ = compare(pixels, firsts[textured[pairs]])
        crossed = (np.meshgrid(equal[i], equal[j]) for i, j in textured[pairs[likely]])
        found += [np.stack(rows_of_both, axis=-1).reshape(-1, 2) for rows_of_both in crossed]
    every = np.sort(np.concatenate([np.empty((0, 2), np.int64), *found]), axis=1)
    return every[np.lexsort((every[:, 1], every[:, 0]))]


def duplicate_groups(n: int, pairs: np.ndarray) -> np.ndarray:
    """Group number (n,) int64 of each row: duplicates of duplicates share one.

    Groups are numbered in the order of their first rows; the order of the pairs does not matter.

    Args:
        pairs: (k, 2) int, rows 0..n-1.
    """
    group, before = np.arange(n), None
    while before is None or not np.array_equal(group, before):  # each takes its least neighbour's
        before, least = group, group[pairs].min(1)
        group = group.copy()
        np.minimum.at(group, pairs, least[:, None])
        group = group[group]
    return np.unique(group, return_inverse=True)[1].astype(np.int64)


def tight_groups(n: int, pairs: np.ndarray) -> np.ndarray:
    """Group as `duplicate_groups`, but cut a long chain, such as the frames of a film, to pieces.

    Copies of one photo pair with each other. Where more than 30 hang together and fewer than half
    of them pair directly, each piece is a photo, those with most partners first, and its partners.

    Args:
        pairs: (k, 2) int, rows 0..n-1, each pair once.
    """
    group = duplicate_groups(n, pairs)
    size, links = np.bincount(group, minlength=n), np.bincount(group[pairs[:, 0]], minlength=n)
    chained = (size > LARGE) & (links < size * (size - 1) / 4)
    of_chain = chained[group[pairs[:, 0]]]
    pieces = [pairs[~of_chain], *_stars(pairs[of_chain])]
    return duplicate_groups(n, np.concatenate(pieces))


def _stars(pairs: np.ndarray) -> Iterator[np.ndarray]:
    """Pairs (k, 2) of each photo with its partners that no other star holds."""
    partners: dict[int, list[int]] = {}
    for i, j in pairs.tolist():
        partners.setdefault(i, []).append(j)
        partners.setdefault(j, []).append(i)
    taken: set[int] = set()
    for row in sorted(partners, key=lambda row: (-len(partners[row]), row)):
        if row not in taken:
            free = [mate for mate in partners[row] if mate not in taken]
            taken.update(free, [row])
            yield np.array([[row, mate] for mate in free], np.int64).reshape(-1, 2)


def between(pairs: np.ndarray, n_labelled: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pairs (k, 2) among labelled rows, across, and among test rows, where labelled come first.

    Test rows are counted from 0; a pair across is (labelled row, test row).
    """
    of_test = (pairs >= n_labelled).sum(axis=1)
    labelled, across, test = (pairs[of_test == count] for count in range(3))
    return labelled, across - [0, n_labelled], test - n_labelled


def merge_rows(
    group_of: np.ndarray, target: np.ndarray, weight: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """One photo a group: its first row (g,) int64, ascending, and its mean target (g,) float64.

    Args:
        group_of: (n,) int.
        target: (n,) float, points.
        weight: (n,) float, of the rows in the mean; None: 1 each.
    """
    _, first, group = np.unique(group_of, return_index=True, return_inverse=True)
    order = np.argsort(first)
    if weight is None:
        mean = np.bincount(group, target) / np.bincount(group)
    else:
        mean = np.bincount(group, weight * target) / np.bincount(group, weight)
    return first[order].astype(np.int64), mean[order]


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
            warp = aligned(grey[pairs])
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
    first, second = standardised(blurred(grey, COARSE)).swapaxes(0, 1)
    return (first * second).mean(axis=(1, 2)) >= MIN_ROUGH


def _same_picture(thumbnails: np.ndarray, warp: np.ndarray) -> np.ndarray:
    """Which (k,) pairs (k, 2, 3, SIDE, SIDE) agree in colours, as a whole and in each block."""
    correlation, residual = _agreement(thumbnails, warp)
    return (correlation >= MIN_CORRELATION) & (residual.max(axis=1) <= MAX_RESIDUAL)


def _agreement(thumbnails: np.ndarray, warp: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Correlation (k,), and what each block (k, 49) has left in units of the picture's variance.

    Each channel may be brighter; all may have more contrast.
    """
    pictures = blurred(thumbnails, FINE)
    first = standardised(laid_over(pictures[:, 0], warp), (1, 2, 3))
    second = standardised(inner(pictures[:, 1]), (1, 2, 3))
    correlation = (first * second).mean(axis=(1, 2, 3))
    left = (second - correlation[:, None, None, None] * first) ** 2
    side = left.shape[-1] // BLOCKS
    blocks = left.reshape(len(left), 3, BLOCKS, side, BLOCKS, side).mean(axis=(1, 3, 5))
    return correlation, blocks.reshape(len(left), BLOCKS**2)
