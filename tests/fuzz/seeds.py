"""A small photo of every kind that can be made by code: what mutations start from."""

import struct
import zlib

import numpy as np
import PIL
import simplejpeg
from helpers.photos import NAMED, chunk, encoded, jpeg, lossless_jpeg, modern_pictures, segment
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

WIDTH, HEIGHT = 83, 61  # pixels; no multiples of a JPEG's blocks
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))
ADAM7 = (*PASSES, (0, 1, 1, 2))  # column, row, step of columns, step of rows


def seeds() -> dict[str, bytes]:
    """Name of the kind -> file."""
    return {**jpegs(), **pngs(), **tiffs(), **bmps(), **others()}


def photo(mode: str = "RGB") -> Image.Image:
    """Stripes and noise: all modes have something to show."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 60, (HEIGHT, WIDTH, 4), dtype=np.uint8)
    pixels[:, ::7] += np.array([150, 90, 30, 190], dtype=np.uint8)
    image = Image.fromarray(pixels)
    return image if mode == "RGBA" else image.convert("RGB").convert(mode)


def deep() -> Image.Image:
    """Grey of 16 bits."""
    return Image.fromarray(np.asarray(photo("L"), np.uint16) * 257)


def exif_with_thumbnail() -> bytes:
    """Orientation 6, and a JPEG in the second directory."""
    small = encoded(photo().resize((16, 12)), "JPEG")
    entry = struct.Struct("<HHII").pack
    first = struct.pack("<H", 1) + entry(0x0112, 3, 1, 6) + struct.pack("<I", 26)
    second = struct.pack("<H", 2) + entry(513, 4, 1, 56) + entry(514, 4, 1, len(small))
    return b"Exif\0\0II*\0\x08\0\0\0" + first + second + bytes(4) + small


def jpegs() -> dict[str, bytes]:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    srgb = srgb[:24] + bytes(12) + srgb[36:]  # without the time of its making
    rgb, cmyk = photo(), encoded(photo("CMYK"), "JPEG")
    baseline = encoded(rgb, "JPEG", quality=60)
    progressive = encoded(rgb, "JPEG", progressive=True)
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>" + b"<a/>" * 30 + b"</x:xmpmeta>"
    found = {
        "baseline": baseline,
        "extended": baseline.replace(b"\xff\xc0", b"\xff\xc1", 1),
        "progressive": progressive,
        "arithmetic": baseline.replace(b"\xff\xc0", b"\xff\xc9", 1),
        "progressive arithmetic": progressive.replace(b"\xff\xc2", b"\xff\xca", 1),
        "lossless": lossless_jpeg(40),
        "lossless after a remark": lossless_jpeg(40, segment(0xFE, b"x" * 30)),
        "grey": encoded(photo("L"), "JPEG"),
        "CMYK": cmyk,
        "YCCK": cmyk.replace(b"Adobe\0\x64\0\0\0\0\0", b"Adobe\0\x64\0\0\0\0\x02", 1),
        "restarts": encoded(rgb, "JPEG", restart_marker_blocks=3),
        "ICC": encoded(rgb, "JPEG", icc_profile=srgb),
        "EXIF": encoded(rgb, "JPEG", exif=exif_with_thumbnail()),
        "XMP": encoded(rgb, "JPEG", xmp=xmp),
        "MPO": encoded(rgb, "MPO", save_all=True, append_images=[photo().rotate(90)]),
        "12 bits": jpeg(0xC1, 12),
        "16 bits": jpeg(0xC3, 16),
        **{f"frame {marker:#x}": jpeg(marker) for marker in (0xC5, 0xC6, 0xC7, 0xCD, 0xCF, 0xF7)},
    }
    for kind in ("444", "422", "420", "440", "411"):
        found[kind] = simplejpeg.encode_jpeg(np.asarray(rgb), colorsubsampling=kind)
    return {f"JPEG {name}": data for name, data in found.items()}


def png(bits: int, colour: int, interlaced: bool, extra: bytes = b"") -> bytes:
    """Noise of any depth; `extra` chunks stand before the pixels."""
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    rng, rows = np.random.default_rng(bits), b""
    for x, y, dx, dy in ADAM7 if interlaced else ((0, 0, 1, 1),):
        width, height = -(-(WIDTH - x) // dx), -(-(HEIGHT - y) // dy)
        row_bytes = -(-width * bits * samples // 8)
        for number in range(height):  # all five filters
            rows += bytes([number % 5]) + rng.bytes(row_bytes)
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, bits, colour, 0, 0, interlaced)
    palette = chunk(b"PLTE", rng.bytes(3 * 2**bits)) if colour == 3 else b""
    parts = chunk(b"IHDR", header) + palette + extra + chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + parts + chunk(b"IEND", b"")


def pngs() -> dict[str, bytes]:
    depths = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
    found = {
        f"{bits} bits, colour {colour}{', interlaced' if interlaced else ''}": png(
            bits, colour, interlaced
        )
        for colour, all_bits in depths.items()
        for bits in all_bits
        for interlaced in (False, True)
    }
    notes = PngInfo()
    notes.add_text("zTXt", "remark " * 60, zip=True)
    notes.add_itxt("iTXt", "remark " * 60, zip=True)
    frames = [photo().rotate(angle) for angle in (90, 180)]
    small = b"".join(chunk(b"tEXt", b"a\0" + bytes([n])) for n in range(200))
    found |= {
        "texts": encoded(photo(), "PNG", pnginfo=notes, exif=exif_with_thumbnail()),
        "many chunks": png(8, 2, False, small),
        "clear colours": png(4, 3, False, chunk(b"tRNS", bytes(range(0, 160, 10)))),
        "animated": encoded(photo(), "PNG", save_all=True, append_images=frames),
    }
    return {f"PNG {name}": data for name, data in found.items()}


def tiled_tiff(order: str) -> bytes:
    """RGB in tiles of 32 x 32, uncompressed; `order` is '<' or '>'."""
    n_tiles = -(-WIDTH // 32) * -(-HEIGHT // 32)
    size, tags, start = 32 * 32 * 3, [], 8 + 2 + 10 * 12 + 4
    offsets = struct.pack(f"{order}{n_tiles}I", *(start + 48 + size * n for n in range(n_tiles)))
    counts = struct.pack(f"{order}{n_tiles}I", *[size] * n_tiles)
    for tag, kind, count, value in (
        (256, 4, 1, WIDTH),
        (257, 4, 1, HEIGHT),
        (258, 4, 1, 8),
        (259, 4, 1, 1),
        (262, 4, 1, 2),
        (277, 4, 1, 3),
        (322, 4, 1, 32),
        (323, 4, 1, 32),
        (324, 4, n_tiles, start),
        (325, 4, n_tiles, start + 24),
    ):
        tags.append(struct.pack(f"{order}HHII", tag, kind, count, value))
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}IH", 8, len(tags))
    tiles = np.random.default_rng(1).bytes(size * n_tiles)
    return head + b"".join(tags) + bytes(4) + offsets + counts + tiles


def tiffs() -> dict[str, bytes]:
    rgb = photo()
    hows = ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "lzma")
    found = {how: encoded(rgb, "TIFF", compression=how) for how in hows}
    if int(PIL.__version__.split(".")[0]) >= 12:  # before, a try that fails spoils the memory
        found["zstd"] = encoded(rgb, "TIFF", compression="zstd")
    found |= {how: encoded(photo("1"), "TIFF", compression=how) for how in ("group3", "group4")}
    found |= {mode: encoded(photo(mode), "TIFF") for mode in ("L", "P", "CMYK", "YCbCr", "RGBA")}
    found |= {
        "strips": encoded(rgb, "TIFF", compression="tiff_lzw", strip_size=600),
        "tiles": tiled_tiff("<"),
        "tiles, big endian": tiled_tiff(">"),
        "BigTIFF": encoded(rgb, "TIFF", big_tiff=True),
        "floats": encoded(photo("F"), "TIFF"),
        "16 bits": encoded(deep(), "TIFF"),
        "pages": encoded(rgb, "TIFF", save_all=True, append_images=[rgb] * 5),
        "turned": encoded(rgb, "TIFF", exif=exif_with_thumbnail()),
    }
    return {f"TIFF {name}": data for name, data in found.items()}


def bmp(bits: int, compression: int, pixels: bytes, height: int = HEIGHT) -> bytes:
    palette = bytes(range(256)) * 4 if bits <= 8 else b"\0\x7c\0\0\xe0\x03\0\0\x1f\0\0\0"
    start = 54 + len(palette)
    head = struct.pack("<2sIII", b"BM", start + len(pixels), 0, start)
    about = (40, WIDTH, height, 1, bits, compression, len(pixels), 0, 0, 0, 0)
    return head + struct.pack("<IiiHHIIiiII", *about) + palette + pixels


def bmps() -> dict[str, bytes]:
    rng = np.random.default_rng(2)
    run = bytes([WIDTH, 9, 0, 0]) * HEIGHT + b"\0\x01"
    found = {mode: encoded(photo(mode), "BMP") for mode in ("1", "L", "P", "RGB", "RGBA")}
    found |= {
        "top down": bmp(24, 0, rng.bytes(-(-WIDTH * 3 // 4) * 4 * HEIGHT), -HEIGHT),
        "fields": bmp(16, 3, rng.bytes(-(-WIDTH * 2 // 4) * 4 * HEIGHT)),
        "runs of 8 bits": bmp(8, 1, run),
        "runs of 4 bits": bmp(4, 2, run),
    }
    return {f"BMP {name}": data for name, data in found.items()}


def others() -> dict[str, bytes]:
    frames = [photo().rotate(angle) for angle in (90, 180)]
    many = {"save_all": True, "append_images": frames}
    return {
        "WebP lossy": encoded(photo(), "WEBP"),
        "WebP lossless": encoded(photo(), "WEBP", lossless=True),
        "WebP alpha": encoded(photo("RGBA"), "WEBP", exif=exif_with_thumbnail()),
        "WebP animated": encoded(photo(), "WEBP", **many),
        "GIF": encoded(photo("P"), "GIF", interlace=0),
        "GIF interlaced": encoded(photo("P"), "GIF", interlace=1),
        "GIF animated": encoded(photo(), "GIF", **many),
        **{name: data for name, data in NAMED.items() if "JPEG " not in name},
        **modern_pictures(),
    }
