"""Which of Pillow's classes opens a kind of photo, by its first bytes; what to install where none does.

They are made directly, not by Image.open: that would try dozens of formats, and warn above 89
megapixels.
"""  # noqa: E501

import io
import re
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from PIL import Image, features
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from paw_stack.data.images.photo_kinds import unread_jpeg, unread_kind
from paw_stack.errors import DataError

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


class UnreadablePhoto(DataError):
    """A photo that cannot be used; the message is the reason alone."""


class Optional(NamedTuple):
    """A kind whose reader may be missing."""

    name: str
    start: bytes
    load: Callable[[], Any]  # Pillow's class; an ImportError where there is none
    cure: str


def _avif() -> Any:
    from PIL.AvifImagePlugin import SUPPORTED, AvifImageFile

    if not SUPPORTED:
        raise ImportError
    return AvifImageFile


def _heif() -> Any:
    import _pi_heif  # noqa: F401 pi_heif itself is imported without it too
    from pi_heif import HeifImageFile

    return HeifImageFile


def _jxl() -> Any:
    from pillow_jxl.JpegXLImagePlugin import JXLImageFile

    return JXLImageFile


def _jpeg2000() -> Any:
    if not features.check("jpg_2000"):
        raise ImportError
    return Jpeg2KImageFile


# Brands that HEIC and AVIF share come before the one that tells.
AVIF = rb".{4}ftyp(avi[fs]|(mif1|msf1|miaf).{4}(.{4}){0,6}?avi[fs])"
OPTIONAL = (
    Optional("an AVIF photo", AVIF, _avif, "pip install 'Pillow>=11.3'"),
    Optional("a HEIC photo", rb".{4}ftyp(hei|hev|mif1|msf1|miaf)", _heif, "pip install pi-heif"),
    Optional(
        "a JPEG XL photo",
        rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n",
        _jxl,
        "pip install 'paw-stack[jxl]'",
    ),
    Optional(
        "a JPEG 2000 photo",
        rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  \r\n\x87\n",
        _jpeg2000,
        "pip install a Pillow that was built with OpenJPEG",
    ),
)
MISSING: dict[re.Pattern[bytes], str] = {}  # what is to be said of such a photo
for kind in OPTIONAL:
    start = re.compile(kind.start, re.DOTALL)
    try:
        OPENERS[start] = kind.load()
    except ImportError:
        MISSING[start] = f"{kind.name}, whose reader is not installed: {kind.cure}"


def use_one_thread() -> None:
    """In a worker, of which there is one a core, and which may run few others."""
    Image.preinit()  # a JPEG XL may hold a JPEG, and there is no import later
    for module, option, threads in (
        ("PIL.AvifImagePlugin", "DEFAULT_MAX_THREADS", 1),
        ("pi_heif.options", "DECODE_THREADS", 0),
        ("pillow_jxl.JpegXLImagePlugin", "DECODE_THREADS", 0),
    ):
        if module in sys.modules:
            setattr(sys.modules[module], option, threads)


def opener_of(data: bytes) -> Any:
    """Pillow's class for this kind of file.

    Raises:
        UnreadablePhoto: there is none.
    """
    if not data:
        raise UnreadablePhoto("empty file (0 bytes)")
    for start, sentence in MISSING.items():
        if start.match(data):
            raise UnreadablePhoto(sentence)
    if name := unread_kind(data):
        raise UnreadablePhoto(f"{name}, which is not read; save it as JPEG")
    if name := unread_jpeg(data):  # before Pillow, whose versions differ in what they open
        raise UnreadablePhoto(f"{name}, which is not read; save it as baseline JPEG")
    for start, opener in OPENERS.items():
        if start.match(data):
            return opener
    raise UnreadablePhoto(
        "not an image (JPEG, PNG, WebP, HEIC, AVIF, JPEG XL, JPEG 2000, TIFF, GIF and BMP are read)"
    )


def header(opener: Any, data: bytes) -> Any:
    """A Pillow image whose header alone is read; a JPEG XL is decoded already."""
    try:
        return opener(io.BytesIO(data))
    except MemoryError:
        raise
    except Exception as error:  # on damaged bytes the decoders raise nearly anything
        if "unknown pixel mode" in str(error):
            raise UnreadablePhoto(
                f"a {opener.format} of values that are not read, such as floats; save it with 8 or"
                " 16 bits"
            ) from None
        raise UnreadablePhoto(
            f"damaged {opener.format}: its header is cut short or wrong"
        ) from None
