"""The bytes of one photo -> square RGB pixels (size, size, 3) uint8, for training and prediction alike.

Each kind of file is treated in one way:

| kind | becomes |
|---|---|
| JPEG, grey or colour | decoded by libjpeg-turbo at 1/2, 1/4 or 1/8 scale where that still leaves the wanted size, then resized |
| JPEG with a harmless oddity | decoded by Pillow at that scale: see `PILLOW_READS` |
| lossless JPEG, and any that may be one | decoded at full scale, see `may_be_lossless` |
| JPEG of 12 bits, hierarchical, JPEG-LS | refused by that name |
| JPEG in CMYK or YCCK | RGB by Pillow, Adobe's inverted values included |
| several pictures in one JPEG (MPO of phones) | the first |
| PNG, WebP, BMP, GIF, TIFF, BigTIFF, AVIF, JPEG 2000 | decoded by Pillow |
| HEIC | decoded by libheif (`pi-heif`); the primary picture |
| JPEG XL | decoded by libjxl (`pillow-jxl-plugin`, in the extra `jxl`) |
| 10 or 12 bits of HEIC, AVIF, JPEG 2000 | 8 bits by the decoder |
| grey, black and white | repeated to RGB |
| palette | the palette's colours |
| alpha, transparent colour | composited on white: what a web page shows; black would be a dark photo |
| 16-bit grey | divided by 257 (65535 is 255), never clipped; 12 bits of a TIFF likewise |
| 16-bit RGB | the high byte of each value: at most one level from a division by 257 |
| 32-bit grey, float, in TIFF or BigTIFF | refused: nothing says which value is white |
| EXIF or TIFF orientation | turned upright; a damaged EXIF block is ignored |
| XMP orientation | turned, where EXIF tells none |
| orientation of a HEIC, AVIF or JPEG XL | as the container tells; EXIF and XMP are ignored |
| colour profile: RGB, or grey of a grey photo | to sRGB by littleCMS (perceptual), after the resize; sRGB itself is left alone |
| colour profile of a CMYK | to sRGB before the resize |
| colour profile that is broken or of another kind of photo | ignored, and told by `paw-stack check` |
| no profile; colours told by `gAMA`, `cHRM`, `nclx` or EXIF alone; any of a JPEG 2000 | taken for sRGB |
| animated, several pages | the first frame |
| raw, PSD, PDF, video; a kind whose reader is not installed | refused by that name, with what to do |
| truncated, corrupt, empty, no image, above 200 megapixels | refused: `UnreadablePhoto` with the reason |
| one that crashes its decoder, or takes over 2 GB of memory or 20 s | refused by `decode_pool`, which runs go through |

`crop` takes the centred square of the shorter side and resizes that, which keeps the aspect;
`squash` resizes both sides. The resize is bilinear and antialiased: without that, the same photo
at another size is another picture to the network. What a reduced JPEG costs: 0.5 levels of 255 on
average for 720 x 960 at 224, against a full decode.
"""  # noqa: E501

from collections.abc import Callable
from functools import partial

import numpy as np

from paw_stack.data.images.openers import UnreadablePhoto
from paw_stack.data.images.profiles import recoloured
from paw_stack.data.images.unpack import PhotoFacts, Resize, Unpacked, centred_square, unpack

DECODER_VERSION = 4  # raise it with every change that moves a pixel: caches are then built anew
# Seen clockwise: how often to turn by 90 degrees, after mirroring left to right.
UPRIGHT = {1: (0, False), 2: (0, True), 3: (2, False), 4: (2, True)}
UPRIGHT |= {5: (3, True), 6: (1, False), 7: (1, True), 8: (3, False)}


def decode(data: bytes, size: int, resize: Resize) -> np.ndarray:
    """One photo as (size, size, 3) uint8 RGB, decoded in this process: see `decode_pool`.

    Raises:
        UnreadablePhoto: see the table above.
    """
    facts, pixels = decode_with_facts(data, size, resize)
    if pixels is None:
        raise UnreadablePhoto(facts.reason)
    return pixels


def decode_with_facts(
    data: bytes, size: int, resize: Resize
) -> tuple[PhotoFacts, np.ndarray | None]:
    """The facts of one photo, and its pixels (size, size, 3) uint8 or None where unreadable."""
    photo = unpack(data, size, resize)
    return finished(photo, size, resize, partial(recoloured, transform=photo.transform))


def finished(
    photo: Unpacked, size: int, resize: Resize, recolour: Callable[[np.ndarray], np.ndarray]
) -> tuple[PhotoFacts, np.ndarray | None]:
    """As `decode_with_facts`, from what `unpack` made of the file.

    Args:
        recolour: turns pixels to sRGB where the photo has a transform; when they are few.
    """
    if photo.pixels is None:
        return photo.facts, None
    pixels = _resized(photo.pixels, size, resize)
    if photo.transform:
        pixels = recolour(pixels)
    return photo.facts, _upright(pixels, photo.orientation)


def _resized(pixels: np.ndarray, size: int, resize: Resize) -> np.ndarray:
    """(h, w, 3) -> (size, size, 3) uint8, bilinear and antialiased."""
    import torch

    height, width = pixels.shape[:2]
    if resize == "crop":
        left, top, right, bottom = centred_square(width, height)
        pixels = pixels[top:bottom, left:right]
    # Channels last as a view: torch's fast uint8 code for RGB, on one thread, without a copy.
    batch = torch.from_numpy(np.require(pixels, requirements="W"))[None].permute(0, 3, 1, 2)
    resized = torch.nn.functional.interpolate(batch, (size, size), mode="bilinear", antialias=True)
    return resized[0].permute(1, 2, 0).numpy()


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turned after the resize, when it is small: a centred square stays centred."""
    turns, mirrored = UPRIGHT[orientation]
    if mirrored:
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(np.rot90(pixels, -turns))
