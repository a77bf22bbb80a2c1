"""Is it the same photo? Two pictures are laid over each other and compared place by place.

What differs is told in units of what is there. A picture's slopes say how much a displacement of
one pixel would change it, so that what is left of a pair, over its slopes, is a squared
displacement: a copy leaves a fraction of a pixel everywhere, whatever its contrast, and a shape, a
word or a subject that is another one leaves a pixel or more where it stands. Blank paper has no
slopes; there the noise of a JPEG is the unit.

A copy may be cropped and lit, which fits six numbers to the pair. That many numbers lay any small
disc over any other, one soft gradient over the next. So pictures in which few places hold a corner
or a texture must agree without: same place, same light, and then they are likely the same, never
surely. Those with next to nothing in them are the same only where all pixels are equal.

The thresholds were measured on tests/tools/planted_duplicates.py, tests/tools/planted_sparse.py and
edited copies of real photos and silhouettes.
"""

from dataclasses import dataclass

import numpy as np

from paw_stack.data.alignment import FINE, aligned, blurred, inner, laid_over, refined

SIDE = 64  # pixels; letters of a page and digits of a label are still told apart
ALIGNED_AT = 32  # pixels
BLOCKS = 8
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
NOISE = 3.0  # grey levels that a JPEG may change anywhere
SLOPE = 1.5  # grey levels a pixel, above the slopes of noise and soft shade
CORNER = 0.02  # share of a block's slopes across their main direction; a straight edge has none
# Squared pixels, of the worst block. Below CLEAN it is a copy, whatever the other blocks leave.
# Planted copies leave up to 0.3 in 95 of 100, up to 1.1; real photos the same, one of a hundred 1.
# Labels with another digit leave 0.26 and more, forms with other words 0.4, most others 1 to 50.
CLEAN, SURE, LIKELY = 0.15, 0.3, 0.9
HOPELESS = 2.0  # whichever of the two comes first
# Times the upper quartile of the blocks: a bad copy is bad all over, one spot is a difference.
SPOT, FAINT_SPOT, NO_SPOT = 7.0, 14.0, 2.5
RICH, SOME, WELL = 0.17, 0.06, 0.4  # share of blocks with corners; photos have 0.3 to 1, a disc 0.1
# Grey levels a pixel, and the share of a picture below: photos have 0.05, nine of ten below 0.16,
# printed matter 0.14 to 0.8. Bad copies of a form look like those of another.
EVEN, BLANK = 1.0, 0.135
MAX_GAIN, MAX_LIFT, MAX_TINT = 0.45, 64.0, 12.0  # log; levels of mid-grey; levels between channels
STILL, SAME_GAIN, SAME_LIFT = 0.01, 0.02, 2.0  # of the side; log; levels
WHITE, BLACK = 250, 5  # beyond it brighter and darker are no longer seen
FITS = 4
SHADE = 0.2  # what a block's mean counts
PAIRS_AT_ONCE = 64  # 40 MB


@dataclass(frozen=True)
class _Fit:
    """How the first pictures (k) turn into the second, and what is left."""

    left: np.ndarray  # (k, 64) squared pixels
    gain: np.ndarray  # (k,) log
    lift: np.ndarray  # (k,) grey levels by which mid-grey changes, in the channel that changes most
    tint: np.ndarray  # (k,) grey levels between the channels' changes
    moved: np.ndarray  # (k,) shift or half the change of scale, the largest, shares of the side
    content: np.ndarray  # (k, 64) squared slopes, of the picture that has less
    corners: np.ndarray  # (k,) share of blocks
    blank: np.ndarray  # (k,) share of pixels without a slope, of the picture that has more

    @property
    def worst(self) -> np.ndarray:
        return self.left.max(axis=1)

    def take(self, pairs: np.ndarray) -> "_Fit":
        return _Fit(*(x[pairs] for x in vars(self).values()))

    def better(self, other: "_Fit") -> "_Fit":
        """Pair by pair, that which leaves less."""
        first = self.worst <= other.worst
        both = zip(vars(self).values(), vars(other).values(), strict=True)
        return _Fit(*(np.where(first.reshape(-1, *[1] * (x.ndim - 1)), x, y) for x, y in both))


def compare(pixels: np.ndarray, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Tell which pairs (k, 2) of rows show the same photo: likely (k,), surely (k,) bool.

    Likely is enough to keep a pair in one fold. Surely is what scores may be compared and merged
    by: every place agrees within half a pixel, or within the noise of a JPEG.

    Args:
        pixels: (n, size, size, 3) uint8 RGB; a memory map is read row by row.
    """
    likely, surely = np.empty((2, len(pairs)), bool)
    for start in range(0, len(pairs), PAIRS_AT_ONCE):
        part = slice(start, start + PAIRS_AT_ONCE)
        shown = np.stack([_shown(pixels[row]) for row in pairs[part].ravel()])
        likely[part], surely[part] = _compared(shown.reshape(-1, 2, 3, SIDE, SIDE))
    return likely, surely


def surely_same(pixels: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Tell which pairs (k, 2) of rows are surely the same photo, (k,) bool; see `compare`.

    Photos with the same pixels are compared once.
    """
    rows = np.unique(pairs)
    first = np.arange(len(pixels))
    for same in equal_rows(pixels, rows):
        first[same] = same[0]
    alone, place = np.unique(first[pairs], axis=0, return_inverse=True)
    return compare(pixels, alone)[1][place.ravel()]


def equal_rows(pixels: np.ndarray, rows: np.ndarray) -> list[np.ndarray]:
    """The rows in groups with the same pixels, ascending."""
    import hashlib

    alike: dict[bytes, list[int]] = {}
    for row in rows.tolist():
        alike.setdefault(hashlib.blake2b(pixels[row].tobytes()).digest(), []).append(row)
    return [np.array(same) for same in alike.values()]


def _shown(pixels: np.ndarray) -> np.ndarray:
    """(size, size, 3) -> (3, SIDE, SIDE) uint8."""
    from PIL import Image

    picture = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(picture).transpose(2, 0, 1)


def _compared(pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Likely and surely (k,) of pairs (k, 2, 3, SIDE, SIDE) uint8, whichever comes first."""
    pixels = pairs.astype(np.float32)
    fit = _laid(pixels)
    likely, surely = _verdict(fit)
    again = np.flatnonzero(~surely & (fit.worst <= HOPELESS))
    if len(again):
        turned = _laid(pixels[again, ::-1])
        likely[again], surely[again] = _verdict(fit.take(again).better(turned))
    return likely, surely


def _laid(pixels: np.ndarray) -> _Fit:
    """The first of pairs (k, 2, 3, SIDE, SIDE) is laid over the second; either may be the lit one.

    In a copy that was lit, bright lights are cut off at white; so it can be told from the original
    alone.
    """
    warp = _warp(pixels)
    smooth = blurred(pixels, FINE)
    first, second = laid_over(smooth[:, 0], warp), inner(smooth[:, 1])
    slopes = [_slopes(first), _slopes(second)]
    content, corners = (np.minimum(*both) for both in zip(*slopes, strict=True))
    moved = np.maximum(np.abs(warp[:, :2]) / SIDE, np.abs(np.log(warp[:, 2:])) / 2).max(axis=1)
    rest = (moved, content, corners.mean(axis=1), _blank(smooth))
    there = _Fit(*_lit(first, second, slopes[1][0]), *rest)
    return there.better(_Fit(*_lit(second, first, slopes[0][0]), *rest))


def _warp(pixels: np.ndarray) -> np.ndarray:
    """Warp (k, 4) in pixels of SIDE, found on thumbnails half as large first."""
    grey = np.einsum("kpchw,c->kphw", pixels, LUMA)
    ratio = SIDE // ALIGNED_AT
    small = grey.reshape(len(grey), 2, ALIGNED_AT, ratio, ALIGNED_AT, ratio).mean(axis=(3, 5))
    warp = aligned(small) * np.array([ratio, ratio, 1, 1], np.float32)
    return refined(grey, warp, 1.0, FITS)


def _verdict(fit: _Fit) -> tuple[np.ndarray, np.ndarray]:
    """Likely and surely (k,), from what is left and the freedom that was used to get there."""
    usual = np.quantile(np.where(fit.content > 3 * SLOPE**2, fit.left, 0), 0.75, axis=1)
    lit = (np.abs(fit.gain) <= MAX_GAIN) & (fit.lift <= MAX_LIFT) & (fit.tint <= MAX_TINT)
    still = (fit.moved <= STILL) & (np.abs(fit.gain) <= SAME_GAIN) & (fit.lift <= SAME_LIFT)
    still &= (fit.tint <= SAME_LIFT) & (fit.worst <= CLEAN)
    rich, photo = fit.corners >= RICH, fit.blank <= BLANK
    enough = lit & (rich | (still & (fit.corners >= SOME)))
    close = enough & (fit.worst <= SURE)
    surely = close & rich & (fit.worst <= np.maximum(CLEAN, SPOT * usual))
    faint = close & (photo | (fit.worst <= FAINT_SPOT * usual))
    bad_photo = photo & (fit.worst <= np.minimum(LIKELY + usual, SPOT * usual))
    bad_print = (fit.corners >= WELL) & (fit.worst <= np.minimum(2 * SURE, NO_SPOT * usual))
    return surely | faint | (lit & rich & (bad_photo | bad_print)), surely


def _lit(
    first: np.ndarray, second: np.ndarray, slopes: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Light `first` (k, 3, h, w) as `second`: one gain, a lift for each channel, ends cut off."""
    x, y = first.reshape(len(first), 3, -1), second.reshape(len(first), 3, -1)
    weight = np.ones_like(x)
    for _ in range(FITS):
        total = np.maximum(weight.sum(axis=2, keepdims=True), 1e-3)
        x_mean = (weight * x).sum(axis=2, keepdims=True) / total
        y_mean = (weight * y).sum(axis=2, keepdims=True) / total
        apart = weight * (x - x_mean)
        gain = (apart * (y - y_mean)).sum(axis=(1, 2)) / np.maximum(
            (apart * (x - x_mean)).sum(axis=(1, 2)), 1e-3
        )
        gain = gain.clip(0.3, 3)[:, None, None]
        lit = gain * (x - x_mean) + y_mean
        cut_off = ((y >= WHITE) & (lit >= y)) | ((y <= BLACK) & (lit <= y))
        weight = (~cut_off).astype(np.float32)
    picture = lit.clip(0, 255).reshape(first.shape)
    change = (y_mean + gain * (128 - x_mean) - 128)[..., 0]
    unit = (_slopes(picture)[0] + slopes) / 2 + 3 * NOISE**2
    left = _left(picture, second)
    left = left / unit
    return left, np.log(gain[:, 0, 0]), np.abs(change).max(axis=1), np.ptp(change, axis=1)


def _left(lit: np.ndarray, second: np.ndarray) -> np.ndarray:
    """What each block (k, 64) of two pictures (k, 3, h, w) differs by, squared levels.

    Its mean counts by SHADE alone: lights that are cut off inside of a pixel change it slowly.
    """
    apart = lit - second
    means = [_block_means(apart[:, channel]) ** 2 for channel in range(3)]
    return _block_means((apart**2).sum(axis=1)) - (1 - SHADE) * np.sum(means, axis=0)


def _slopes(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squared slopes (k, 64) of pictures (k, 3, h, w), and which blocks have them both ways.

    The second are the blocks whose structure tensor has two eigenvalues: a corner or a texture.
    """
    down, across = np.gradient(pictures, axis=(-2, -1))
    tensor = [_block_means((u * v).sum(axis=1)) for u, v in
              ((down, down), (across, across), (down, across))]  # fmt: skip
    total = tensor[0] + tensor[1]
    smaller = total / 2 - np.hypot((tensor[0] - tensor[1]) / 2, tensor[2])
    return total, smaller > np.maximum(3 * SLOPE**2, CORNER * total)


def _blank(smooth: np.ndarray) -> np.ndarray:
    """Share (k,) of pixels of pairs (k, 2, 3, h, w) that a photo would not leave so even."""
    down, across = np.gradient(np.einsum("kpchw,c->kphw", smooth, LUMA), axis=(-2, -1))
    return (np.hypot(down, across) < EVEN).mean(axis=(2, 3)).max(axis=1)


def _block_means(values: np.ndarray) -> np.ndarray:
    """(k, h, w) -> (k, BLOCKS ** 2)."""
    side = values.shape[-1] // BLOCKS
    return (
        values.reshape(len(values), BLOCKS, side, BLOCKS, side)
        .mean(axis=(2, 4))
        .reshape(len(values), BLOCKS**2)
    )
