"""A stranger's bytes -> pixels as the file holds them: all that decoders of foreign code do.

Runs in a process of its own where the bytes are not trusted: see `decode_pool`. So it imports no
more than the decoders, to start at once. What becomes of each kind of file stands in `decode`.
"""

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
from PIL import Image, ImageCms
from PIL.JpegImagePlugin import JpegImageFile

from paw_stack.data.images.openers import UnreadablePhoto, header, opener_of
from paw_stack.data.images.photo_kinds import may_be_lossless
from paw_stack.data.images.profiles import Outcome, profile_of

Resize = Literal["crop", "squash"]

MAX_PIXELS = 200_000_000  # checked in the header: a small file can unpack to any size
BAND_PIXELS = 1_000_000  # that are converted at once
LONGEST_REASON = 200  # characters of a decoder's own words
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
_entering = threading.Lock()
_inside = 0  # threads that decode just now
_filters = contextlib.ExitStack()  # what they share


@dataclass(frozen=True)
class PhotoFacts:
    """What the header of a photo says, and why the photo is of no use if it is."""

    format: str = ""  # 'JPEG', 'PNG', ...; '' where it is no image
    mode: str = ""  # Pillow's name: 'RGB', 'L', 'CMYK', 'P', ...
    width: int = 0  # pixels, upright where the photo is readable
    height: int = 0  # pixels, upright where the photo is readable
    animated: bool = False  # more than one frame or page
    reason: str = ""  # '' where the photo is readable
    profile: Outcome = ""  # of colours


@dataclass(frozen=True)
class Unpacked:
    """A photo as its file holds it, perhaps at a reduced scale; neither resized nor turned."""

    facts: PhotoFacts
    orientation: int = 1  # of EXIF, 1..8
    pixels: np.ndarray | None = None  # (h, w, 3) uint8 RGB; None where unreadable
    transform: Any = None  # of littleCMS, if the pixels are yet to be turned to sRGB


def unpack(data: bytes, size: int, resize: Resize, room: memoryview | None = None) -> Unpacked:
    """What a stranger's bytes hold; nothing but this touches them.

    Args:
        data: of the file.
        size: of the photo to make of it, pixels; smaller sides than this only where the file's are.
        resize: crop or squash; for some kinds of files only what a crop keeps is returned.
        room: bytes from whose start on the pixels are to lie; new memory if None.

    Raises:
        MemoryError: there is too little, or too little room.
    """
    facts = PhotoFacts()
    try:
        opener = opener_of(data)
        facts = PhotoFacts(opener.format)
        with _quiet():
            image = header(opener, data)
            facts = _facts(image, 1)
            _refuse_huge(image)  # before the orientation: a PNG is unpacked to find it
            profile, transform = profile_of(image)
            plain = image.format == "JPEG" and image.mode in ("RGB", "L")
            if plain:
                pixels = _jpeg(data, size, resize, room)
            else:
                pixels = _rgb(image, resize, room, transform)
            orientation = _orientation(image)
            facts = replace(_facts(image, orientation), profile=profile)
        is_cmyk = image.mode == "CMYK"  # turned already, as there are no such pixels later
        return Unpacked(facts, orientation, pixels, None if is_cmyk else transform)
    except UnreadablePhoto as error:
        return Unpacked(replace(facts, reason=str(error)))
    except MemoryError:
        raise
    except Exception as error:  # on damaged bytes the decoders raise nearly anything
        return Unpacked(replace(facts, reason=_reason(error, facts)))


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
        warnings.filterwarnings("ignore", module=r"(PIL|pi_heif|pillow_jxl)\b")
        yield


def _orientation(image: Any) -> int:
    """Orientation 1..8 by EXIF, or by XMP where EXIF has none; 1 where the decoder has turned."""
    # Pillow turns a TIFF, libheif a HEIC, libjxl a JPEG XL but not a JPEG that one holds. Their own
    # way of telling counts alone, and an AVIF's, which Pillow gives as EXIF.
    if image.format == "HEIF" or (image.format == "JXL" and not image.jpeg):
        return 1
    if image.format == "AVIF":
        image.info.pop("xmp", None)
    try:
        found = image.getexif().get(ORIENTATION, 1)
        return int(found) if found in range(1, 9) else 1
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


def _jpeg(data: bytes, size: int, resize: Resize, room: memoryview | None) -> np.ndarray:
    """(h, w, 3) uint8, both sides at least `size` where the photo has that many pixels."""
    try:
        return _turbo_jpeg(data, size, room)
    except KeyError:  # a subsampling that libjpeg-turbo knows and simplejpeg does not
        pass
    except ValueError as error:
        if not PILLOW_READS.search(str(error)):
            raise
    image = JpegImageFile(io.BytesIO(data))
    if not may_be_lossless(data):
        image.draft(None, (size, size))
    return _rgb(image, resize, room)


def _turbo_jpeg(data: bytes, size: int, room: memoryview | None) -> np.ndarray:
    """As `_jpeg`, but any warning is an error.

    Only scales that are powers of two: libjpeg-turbo has no faster code for those between, and
    what they leave is closer to a full decode.
    """
    height, width, _, _ = simplejpeg.decode_jpeg_header(data)
    scales = (1,) if may_be_lossless(data) else (1, 2, 4, 8)
    scale = max((s for s in scales if min(height, width) >= s * size), default=1)
    height, width = -(-height // scale), -(-width // scale)
    pixels = _space(height, width, room)
    sides = {"min_height": height, "min_width": width}
    return simplejpeg.decode_jpeg(data, "RGB", min_factor=1, buffer=pixels, **sides)


def _rgb(image: Any, resize: Resize, room: memoryview | None, transform: Any = None) -> np.ndarray:
    """First frame of an image as (h, w, 3) uint8; only the centred square for a crop.

    Made in bands of rows: each step of a conversion takes a copy, and of a bomb every copy counts.
    """
    image.load()  # the mode is final only now, and a TIFF is turned
    left, top, right, bottom = (
        centred_square(*image.size) if resize == "crop" else (0, 0, *image.size)
    )
    pixels = _space(bottom - top, right - left, room)
    rows = -(-BAND_PIXELS // (right - left))
    tags = getattr(image, "tag_v2", {})  # of a TIFF; a band has none
    for start in range(top, bottom, rows):
        end = min(start + rows, bottom)
        band = image.crop((left, start, right, end))
        if image.mode == "CMYK" and transform:
            band = ImageCms.applyTransform(band, transform)
        pixels[start - top : end - top] = _band(band, tags)
    return pixels


def centred_square(width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what a crop keeps, pixels."""
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return left, top, left + side, top + side


def _space(height: int, width: int, room: memoryview | None) -> np.ndarray:
    """(height, width, 3) uint8 of any content."""
    if room is None:
        return np.empty((height, width, 3), np.uint8)
    if height * width * 3 > len(room):
        raise MemoryError
    return np.frombuffer(room, np.uint8, height * width * 3).reshape(height, width, 3)


def _band(image: Any, tags: Any) -> np.ndarray:
    """Rows of an image as (h, w, 3) uint8, or as (h, w, 1) where they are grey."""
    if image.mode.startswith("I;16"):
        return _grey(image, tags)[..., None]
    if image.mode in ("I", "F"):
        raise UnreadablePhoto("grey values of 32 bits or with a sign; save it with 8 or 16 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))


def _grey(image: Any, tags: Any) -> np.ndarray:
    """16-bit grey as (h, w) uint8, with what Pillow leaves to its caller: bits, sense, alpha."""
    values = np.asarray(image, np.uint32)  # (h, w)
    white = 2 ** tags.get(BITS, (16,))[0] - 1
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        values = white - values
    if "transparency" in image.info:  # of a PNG: one value that is clear
        values = np.where(values == image.info["transparency"], white, values)
    return ((values * 255 + white // 2) // white).astype(np.uint8)


def _reason(error: Exception, facts: PhotoFacts) -> str:
    said = "".join(c for c in " ".join(str(error).split()) if c.isprintable())
    return f"damaged {facts.format or 'image'}: {said[:LONGEST_REASON] or type(error).__name__}"
