"""Photos of every kind that can be made by code, whole and damaged, and their pixels by Pillow."""

import io
import re
import struct
import zlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

from helpers.places import PHOTO_CASES


def encoded(image: Image.Image, format: str, **options) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def segment(marker: int, body: bytes) -> bytes:
    """Of a JPEG."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def chunk(name: bytes, body: bytes) -> bytes:
    """Of a PNG."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def lossless_jpeg(side: int, first: bytes = b"") -> bytes:
    """A grey lossless JPEG (SOF3) in three components, every difference 0; `first` after SOI."""
    frame = b"\x08" + struct.pack(">HH", side, side) + b"\x03R\x11\0G\x11\0B\x11\0"
    one_code = b"\0\x01" + bytes(15) + b"\0"  # of one bit: category 0
    parts = segment(0xEE, b"Adobe\0\x64\0\0\0\0\0") + segment(0xC3, frame)
    parts += segment(0xC4, one_code) + segment(0xDA, b"\x03R\0G\0B\0\x01\0\0")
    return b"\xff\xd8" + first + parts + bytes(-(-side * side * 3 // 8)) + b"\xff\xd9"


def jpeg(marker: int, bits: int = 8) -> bytes:
    """The start of a JPEG with a frame of this kind."""
    frame = bytes([bits]) + struct.pack(">HH", 16, 16) + b"\x01\x01\x11\0"
    return b"\xff\xd8" + segment(0xFE, b"a remark") + segment(marker, frame) + bytes(40)


LOSSLESS = {
    "plain": lossless_jpeg(128),
    "after a remark": lossless_jpeg(256, segment(0xFE, b"x" * 300)),
    "after fill bytes": lossless_jpeg(250, b"\xff" * 9),
    "after padding": lossless_jpeg(250, segment(0xFE, b"x") + b"\0" * 9),
    **{path.stem: path.read_bytes() for path in sorted(PHOTO_CASES.glob("lossless_*.jpg"))},
}


# `picture()` by x265 at quality 50; `turned` says so in EXIF and in the container, `noted` in EXIF
# alone, which counts for nothing; `pair` has a second picture. No free encoder comes in a wheel.
HEIC = {
    f"heic {path.stem}": path.read_bytes()
    for path in sorted((Path(__file__).parent / "heic").glob("*.heic"))
}


NAMED = {
    "a camera's raw photo": b"II*\0\x10\0\0\0CR\x02\0" + bytes(40),
    "a Photoshop document": b"8BPS\0\x01" + bytes(30),
    "a PDF document": b"%PDF-1.7\n",
    "an SVG, HTML or XML text": b'<?xml version="1.0"?><svg/>',
    "a video": b"\0\0\0\x18ftypisom" + bytes(30),
    "a JPEG-LS photo": jpeg(0xF7),
    "a hierarchical JPEG": jpeg(0xC5),
    "a JPEG of 12 bits a value": jpeg(0xC1, 12),
    "a JPEG of 16 bits a value": jpeg(0xC3, 16),
}


def pictures_of_all_kinds() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    rough = Image.fromarray(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8))
    smooth = rough.resize((300, 200))
    options = {
        "jpeg": (smooth, {"format": "JPEG", "quality": 80}),
        "progressive": (smooth, {"format": "JPEG", "progressive": True}),
        "cmyk": (smooth.convert("CMYK"), {"format": "JPEG"}),
        "png": (rough, {"format": "PNG"}),
        "palette": (rough.convert("P"), {"format": "PNG"}),
        "webp": (smooth, {"format": "WEBP"}),
        "lossless": (rough, {"format": "WEBP", "lossless": True}),
        "gif": (rough, {"format": "GIF"}),
        "bmp": (rough, {"format": "BMP"}),
        "tiff": (rough, {"format": "TIFF", "compression": "tiff_lzw"}),
    }
    return {name: encoded(image, **how) for name, (image, how) in options.items()}


def modern_pictures() -> dict[str, bytes]:
    """What phones and archives write: AVIF, HEIC, JPEG XL (where it is written), JPEG 2000."""
    frames = {"append_images": [picture().rotate(180)]}
    found = {
        "avif": encoded(picture(), "AVIF", quality=80),
        "avif with alpha": encoded(with_alpha(picture()), "AVIF", quality=80),
        "avif of frames": timeless(encoded(picture(), "AVIF", save_all=True, **frames)),
        "jpeg 2000": encoded(picture(), "JPEG2000", quality_mode="dB", quality_layers=[40]),
        "jpeg 2000 stream": encoded(picture(), "JPEG2000", no_jp2=True, irreversible=True),
        **HEIC,
    }
    if find_spec("pillow_jxl"):
        import pillow_jxl  # noqa: F401 Pillow can then save it

        found["jpeg xl"] = encoded(picture(), "JXL", quality=90)
        found["jpeg xl with alpha"] = encoded(with_alpha(picture()), "JXL", lossless=True)
    return found


def timeless(avif: bytes) -> bytes:
    """A film without the times of its making, 16 bytes in the heads of it and of its tracks."""
    head = re.compile(rb"(?<=(?:mvhd|tkhd|mdhd)\x01.{3}).{16}", re.DOTALL)
    return head.sub(bytes(16), avif)


def with_alpha(image: Image.Image) -> Image.Image:
    """Clear at the top, opaque at the bottom."""
    return Image.merge("RGBA", [*image.split(), Image.linear_gradient("L").resize(image.size)])


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """A few bits flipped, half of them near the start; sometimes cut short or with bytes inside."""
    spoiled = bytearray(data)
    for _ in range(int(rng.integers(1, 9))):
        within = len(spoiled) if rng.random() < 0.5 else min(len(spoiled), 200)
        spoiled[int(rng.integers(within))] ^= 1 << int(rng.integers(8))
    if rng.random() < 0.2:
        del spoiled[int(rng.integers(1, len(spoiled))) :]
    if rng.random() < 0.1:
        place = int(rng.integers(len(spoiled)))
        spoiled[place:place] = rng.bytes(int(rng.integers(1, 50)))
    return bytes(spoiled)


def all_kinds() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    rough = Image.fromarray(rng.integers(0, 256, (90, 130, 4), dtype=np.uint8))
    found = pictures_of_all_kinds() | modern_pictures() | LOSSLESS | NAMED
    for mode in ("1", "L", "P", "LA", "RGBA", "CMYK", "YCbCr"):
        exif = Image.Exif()
        exif[0x0112] = 6
        image = (rough if mode in ("LA", "RGBA") else rough.convert("RGB")).convert(mode)
        for kind in ("JPEG" if mode in ("CMYK", "YCbCr") else "PNG", "TIFF"):
            found[f"{mode} {kind}"] = encoded(image, kind, exif=exif)
    grey = Image.fromarray(np.asarray(rough)[..., 0].astype(np.uint16) * 251)
    found |= {f"16 bits {kind}": encoded(grey, kind) for kind in ("PNG", "TIFF")}
    lab = ImageCms.createProfile("LAB")
    turn = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), lab, "RGB", "LAB")
    found["LAB"] = encoded(ImageCms.applyTransform(rough.convert("RGB"), turn), "TIFF")
    found["clear colour"] = encoded(rough.convert("P"), "PNG", transparency=3)
    return found | {"empty": b"", "large": encoded(rough.resize((1500, 1100)), "PNG")}


def picture(height: int = 96, width: int = 64, cells: int = 4) -> Image.Image:
    """Soft colours with a light sky and a dark ground: no side is like another."""
    small = np.random.default_rng(0).integers(40, 215, (cells, cells, 3), np.uint8)
    small[0] += 40
    small[-1] //= 2
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def expected(image: Image.Image, size: int, resize: str = "squash") -> np.ndarray:
    """(size, size, 3) by Pillow alone."""
    image = image.convert("RGB")
    box = None
    if resize == "crop":
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        box = (left, top, left + side, top + side)
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, box))


def distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(int) - other).mean())
