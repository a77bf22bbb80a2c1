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
| PNG, WebP, BMP, GIF, TIFF | decoded by Pillow |
| grey, black and white | repeated to RGB |
| palette | the palette's colours |
| alpha, transparent colour | composited on white: what a web page shows; black would be a dark photo |
| 16-bit grey | divided by 257 (65535 is 255), never clipped; 12 bits of a TIFF likewise |
| 16-bit RGB | the high byte of each value: at most one level from a division by 257 |
| 32-bit grey, float, in TIFF or BigTIFF | refused: nothing says which value is white |
| EXIF or TIFF orientation | turned upright; a damaged EXIF block is ignored |
| colour profile | ignored |
| animated, several pages | the first frame |
| HEIC, AVIF, JPEG XL, JPEG 2000, raw, PSD, PDF, video | refused by that name |
| truncated, corrupt, empty, no image, above 200 megapixels | refused: `UnreadablePhoto` with the reason |

`crop` takes the centred square of the shorter side and resizes that, which keeps the aspect;
`squash` resizes both sides. The resize is bilinear and antialiased: without that, the same photo
at another size is another picture to the network. What a reduced JPEG costs: 0.5 levels of 255 on
average for 720 x 960 at 224, against a full decode.
"""  # noqa: E501

import contextlib
import io
import re
import sys
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import simplejpeg
import torch
from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from paw_stack.data.photo_kinds import may_be_lossless, unread_jpeg, unread_kind
from paw_stack.errors import DataError

Resize = Literal["crop", "squash"]

DECODER_VERSION = 3  # raise it with every change that moves a pixel: caches are then built anew
MAX_PIXELS = 200_000_000  # checked in the header: a small file can unpack to any size
ORIENTATION, BITS, PHOTOMETRIC = 0x0112, 258, 262  # tags of EXIF and TIFF
WHITE_IS_ZERO = 0
# Photos are whole although libjpeg-turbo complains or does not know their kind; Pillow reads them,
# and still refuses them where they are cut short.
PILLOW_READS = re.compile(
    # Padding between segments or before the end, by some cameras; before a restart it is damage.
    "extraneous bytes before marker 0x(?!d[0-7])"
    "|Invalid SOS parameters for sequential JPEG"  # some phones
    "|unknown JFIF revision"
    "|Unknown Adobe color transform code"
    "|Could not determine subsampling level"
    "|bad ICC marker"
)
# Made directly, not by Image.open: that would try dozens of formats, and warn above 89 megapixels.
OPENERS: dict[re.Pattern[bytes], Any] = {
    re.compile(start, re.DOTALL): opener
    for start, opener in {
        rb"\xff\xd8\xff": JpegImageFile,
        rb"\x89PNG\r\n\x1a\n": PngImageFile,
        rb"RIFF.{4}WEBP": WebPImageFile,  # RIFF alone may be sound or video
        rb"BM.{13}\0\0\0": BmpImageFile,  # BM alone may be a text
        rb"GIF8[79]a": GifImageFile,
        rb"II[*+]\0|MM\0[*+]": TiffImageFile,
    }.items()
}
# Seen clockwise: how often to turn by 90 degrees, after mirroring left to right.
UPRIGHT = {1: (0, False), 2: (0, True), 3: (2, False), 4: (2, True)}
UPRIGHT |= {5: (3, True), 6: (1, False), 7: (1, True), 8: (3, False)}


_entering = threading.Lock()
_inside = 0  # threads that decode just now
_filters = contextlib.ExitStack()  # what they share


class UnreadablePhoto(DataError):
    """A photo that cannot be used; the message is the reason alone."""


@dataclass(frozen=True)
class PhotoFacts:
    """What the header of a photo says, and why the photo is of no use if it is."""

    format: str = ""  # 'JPEG', 'PNG', ...; '' where it is no image
    mode: str = ""  # Pillow's name: 'RGB', 'L', 'CMYK', 'P', ...
    width: int = 0  # pixels, upright where the photo is readable
    height: int = 0  # pixels, upright where the photo is readable
    animated: bool = False  # more than one frame or page
    reason: str = ""  # '' where the photo is readable


def decode(data: bytes, size: int, resize: Resize) -> np.ndarray:
    """One photo as (size, size, 3) uint8 RGB.

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
    facts = PhotoFacts()
    try:
        opener = _opener(data)
        facts = PhotoFacts(opener.format)
        with _quiet():
            image = _header(opener, data)
            facts = _facts(image, 1)
            _refuse_huge(image)  # before the orientation: a PNG is unpacked to find it
            plain = image.format == "JPEG" and image.mode in ("RGB", "L")
            pixels = _jpeg(data, size) if plain else _rgb(image)
            orientation = _orientation(image)
            facts = _facts(image, orientation)
        return facts, _upright(_resized(pixels, size, resize), orientation)
    except UnreadablePhoto as error:
        return replace(facts, reason=str(error)), None
    except MemoryError:
        raise
    except Exception as error:  # on damaged bytes the decoders raise nearly anything
        return replace(facts, reason=_reason(error, facts)), None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Drop Pillow's warnings: the reason tells better, and `-W error` must not refuse a photo.

    The filters belong to the process, and `catch_warnings` puts back what it found, whoever has
    changed it since. So the first thread that comes sets them, and the last that leaves resets.
    """
    global _inside
    if getattr(sys.flags, "context_aware_warnings", False):  # filters belong to the thread
        with _ignoring():
            yield
        return
    with _entering:
        if _inside == 0:
            _filters.enter_context(_ignoring())
        _inside += 1
    try:
        yield
    finally:
        with _entering:
            _inside -= 1
            if _inside == 0:
                _filters.close()


@contextlib.contextmanager
def _ignoring() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\b")
        yield


def _opener(data: bytes) -> Any:
    """Pillow's class for this kind of file, by its first bytes."""
    if not data:
        raise UnreadablePhoto("empty file (0 bytes)")
    if name := unread_kind(data):
        raise UnreadablePhoto(f"{name}, which is not read; save it as JPEG")
    if name := unread_jpeg(data):  # before Pillow, whose versions differ in what they open
        raise UnreadablePhoto(f"{name}, which is not read; save it as baseline JPEG")
    for start, opener in OPENERS.items():
        if start.match(data):
            return opener
    raise UnreadablePhoto("not an image (JPEG, PNG, WebP, BMP, GIF and TIFF are read)")


def _header(opener: Any, data: bytes) -> Any:
    """A Pillow image whose header alone is read."""
    try:
        return opener(io.BytesIO(data))
    except Exception as error:  # on damaged bytes the decoders raise nearly anything
        if "unknown pixel mode" in str(error):
            raise UnreadablePhoto(
                f"a {opener.format} of values that are not read, such as floats; save it with 8 or"
                " 16 bits"
            ) from None
        raise UnreadablePhoto(
            f"damaged {opener.format}: its header is cut short or wrong"
        ) from None


def _orientation(image: Any) -> int:
    """EXIF orientation 1..8; 1 where there is none, and for a TIFF: Pillow has turned that."""
    try:
        found = image.getexif().get(ORIENTATION, 1)
        return int(found) if found in UPRIGHT else 1
    except Exception:  # a photo is no worse for damaged notes about it
        return 1


def _facts(image: Any, orientation: int) -> PhotoFacts:
    width, height = image.size if orientation < 5 else image.size[::-1]
    animated = bool(getattr(image, "is_animated", False))
    return PhotoFacts(image.format, image.mode, width, height, animated)


def _refuse_huge(image: Any) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise UnreadablePhoto(
            f"{image.width} x {image.height} pixels, above the limit of"
            f" {MAX_PIXELS // 1_000_000} megapixels; save it smaller"
        )


def _jpeg(data: bytes, size: int) -> np.ndarray:
    """(h, w, 3) uint8, both sides at least `size` where the photo has that many pixels."""
    try:
        return _turbo_jpeg(data, size)
    except KeyError:  # a subsampling that libjpeg-turbo knows and simplejpeg does not
        pass
    except ValueError as error:
        if not PILLOW_READS.search(str(error)):
            raise
    image = JpegImageFile(io.BytesIO(data))
    if not may_be_lossless(data):
        image.draft(None, (size, size))
    return _rgb(image)


def _turbo_jpeg(data: bytes, size: int) -> np.ndarray:
    """As `_jpeg`, but any warning is an error.

    Only scales that are powers of two: libjpeg-turbo has no faster code for those between, and
    what they leave is closer to a full decode.
    """
    height, width, _, _ = simplejpeg.decode_jpeg_header(data)
    scales = (1,) if may_be_lossless(data) else (1, 2, 4, 8)
    scale = max((s for s in scales if min(height, width) >= s * size), default=1)
    sides = {"min_height": -(-height // scale), "min_width": -(-width // scale)}
    return simplejpeg.decode_jpeg(data, "RGB", min_factor=1, **sides)


def _rgb(image: Any) -> np.ndarray:
    """First frame of an image as (h, w, 3) uint8."""
    image.load()  # the mode is final only now, and a TIFF is turned
    if image.mode.startswith("I;16"):
        return np.repeat(_grey(image)[..., None], 3, axis=2)
    if image.mode in ("I", "F"):
        raise UnreadablePhoto("grey values of 32 bits or with a sign; save it with 8 or 16 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))


def _grey(image: Any) -> np.ndarray:
    """16-bit grey as (h, w) uint8, with what Pillow leaves to its caller: bits, sense, alpha."""
    values = np.asarray(image, np.uint32)  # (h, w)
    tags = getattr(image, "tag_v2", {})  # of a TIFF
    white = 2 ** tags.get(BITS, (16,))[0] - 1
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        values = white - values
    if "transparency" in image.info:  # of a PNG: one value that is clear
        values = np.where(values == image.info["transparency"], white, values)
    return ((values * 255 + white // 2) // white).astype(np.uint8)


def _resized(pixels: np.ndarray, size: int, resize: Resize) -> np.ndarray:
    """(h, w, 3) -> (size, size, 3) uint8, bilinear and antialiased."""
    height, width = pixels.shape[:2]
    if resize == "crop":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        pixels = pixels[top : top + side, left : left + side]
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


def _reason(error: Exception, facts: PhotoFacts) -> str:
    said = "".join(c for c in " ".join(str(error).split()) if c.isprintable())
    return f"damaged {facts.format or 'image'}: {said or type(error).__name__}"
