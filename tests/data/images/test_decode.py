"""Every kind of file: the pixels of those that are usable, what a user reads of the others."""

import io
import struct
import time
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers.photos import chunk, distance, encoded, expected, picture
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from paw_stack.data.images.decode import UPRIGHT, UnreadablePhoto, decode, decode_with_facts

PHOTO = picture()
JPEG = encoded(PHOTO, "JPEG", quality=95)
PROGRESSIVE = encoded(PHOTO, "JPEG", quality=95, progressive=True)
PNG = encoded(PHOTO, "PNG")
WHOLE = decode(JPEG, 32, "crop")


def png(bits: int, colour: int, row: bytes, clear: bytes = b"") -> bytes:
    """A PNG of 8 x 8 with equal rows, for kinds that Pillow does not write."""
    header = struct.pack(">IIBBBBB", 8, 8, bits, colour, 0, 0, 0)
    pixels = zlib.compress((b"\0" + row) * 8)
    transparent = chunk(b"tRNS", clear) if clear else b""
    chunks = chunk(b"IHDR", header) + transparent + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def claims(jpeg: bytes, width: int, height: int) -> bytes:
    start = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:start] + struct.pack(">HH", height, width) + jpeg[start + 4 :]


def colour(data: bytes, size: int = 8) -> list[int]:
    """Of a photo of one colour."""
    pixels = decode(data, size, "squash")
    assert pixels.shape == (size, size, 3)
    assert pixels.dtype == np.uint8
    assert np.ptp(pixels.reshape(-1, 3), axis=0).max() <= 1
    return pixels[0, 0].tolist()


@pytest.mark.parametrize("resize", ["crop", "squash"])
@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
@pytest.mark.parametrize("size", [24, 200])
def test_lossless_kinds_are_as_pillow_resizes_them(kind, resize, size):
    data = encoded(PHOTO, kind, **({"lossless": True} if kind == "WEBP" else {}))
    facts, pixels = decode_with_facts(data, size, resize)
    assert (facts.format, facts.width, facts.height, facts.reason) == (kind, 64, 96, "")
    difference = np.abs(pixels.astype(int) - expected(PHOTO, size, resize))
    assert difference.max() <= 2
    assert difference.mean() < 0.5


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_a_jpeg_at_reduced_scale_is_close_to_a_full_decode(mode, options):
    image = picture(720, 960, cells=12).convert(mode)
    data = encoded(image, "JPEG", quality=90, **options)
    whole = Image.open(io.BytesIO(data))
    for size in (64, 100, 224):  # at 1/8, 1/4 and 1/2 scale
        assert distance(decode(data, size, "crop"), expected(whole, size, "crop")) < 1


def test_crop_is_the_centred_square_and_squash_keeps_everything():
    red, blue = Image.new("RGB", (20, 60), "red"), Image.new("RGB", (20, 20), "blue")
    red.paste(blue, (0, 20))
    data = encoded(red, "PNG")
    assert (decode(data, 20, "crop") == np.asarray(blue)).all()
    squashed = decode(data, 30, "squash")
    assert squashed[0, 0].tolist() == squashed[-1, 0].tolist() == [255, 0, 0]
    assert squashed[15, 15].tolist() == [0, 0, 255]


@pytest.mark.parametrize("resize", ["crop", "squash"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_every_orientation_is_turned_upright(orientation, kind, resize):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"PNG": {}, "JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}
    tagged = {"tiffinfo": exif} if kind == "TIFF" else {"exif": exif, **options[kind]}
    data = encoded(PHOTO, kind, **tagged)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    facts, pixels = decode_with_facts(data, 32, resize)
    assert (facts.width, facts.height) == upright.size
    assert (facts.width > facts.height) == (orientation > 4)
    assert distance(pixels, expected(upright, 32, resize)) < 1


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0junk"])
def test_a_damaged_exif_block_is_ignored(exif):
    assert (decode(encoded(PHOTO, "JPEG", quality=95, exif=exif), 32, "crop") == WHOLE).all()


def test_grey_is_repeated_to_three_channels():
    assert colour(encoded(Image.new("L", (9, 7), 77), "PNG")) == [77] * 3
    assert colour(encoded(Image.new("L", (9, 7), 77), "JPEG")) == [77] * 3
    assert colour(encoded(Image.new("1", (9, 7), 1), "PNG")) == [255] * 3


def test_alpha_is_composited_on_white():
    assert colour(encoded(Image.new("RGBA", (9, 7), (0, 0, 0, 0)), "PNG")) == [255] * 3
    assert colour(encoded(Image.new("RGBA", (9, 7), (0, 100, 0, 128)), "PNG")) == [127, 177, 127]
    assert colour(encoded(Image.new("LA", (9, 7), (0, 0)), "PNG")) == [255] * 3
    assert colour(encoded(Image.new("LA", (9, 7), (50, 255)), "PNG")) == [50] * 3
    clear = Image.new("RGBA", (9, 7), (0, 0, 0, 0))
    assert colour(encoded(clear, "WEBP", lossless=True)) == [255] * 3


def test_one_transparent_colour_becomes_white():
    three = Image.new("RGB", (8, 8), (1, 2, 3))
    assert colour(encoded(three, "PNG", transparency=(1, 2, 3))) == [255] * 3
    assert colour(encoded(Image.new("L", (8, 8), 7), "PNG", transparency=7)) == [255] * 3
    assert colour(png(16, 0, b"\0\5" * 8, clear=b"\0\5")) == [255] * 3
    assert colour(png(16, 0, b"\0\5" * 8, clear=b"\0\6")) == [0] * 3


def test_a_palette_gives_its_colours_and_its_clear_ones_are_white():
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, 10, 200, 30])
    assert colour(encoded(palette, "PNG")) == [10, 200, 30]
    assert colour(encoded(palette, "GIF")) == [10, 200, 30]
    assert colour(encoded(palette, "PNG", transparency=1)) == [255] * 3
    assert colour(encoded(palette, "PNG", transparency=b"\xff\x80")) == [132, 227, 142]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_divided_not_clipped(kind):
    ramp = np.linspace(0, 65535, 64).astype(np.uint16)
    pixels = decode(encoded(Image.fromarray(np.tile(ramp, (64, 1))), kind), 64, "squash")
    assert (pixels[3, :, 0] == np.rint(ramp / 257)).all()
    assert (pixels[..., 0] == pixels[..., 2]).all()


def test_a_tiff_may_call_zero_white():
    grey = Image.fromarray(np.full((8, 8), 60000, np.uint16))
    assert colour(encoded(grey, "TIFF")) == [233] * 3
    assert colour(encoded(grey, "TIFF", tiffinfo={262: 0})) == [22] * 3


def test_16_bit_colour_is_its_high_byte():
    assert colour(png(16, 2, struct.pack(">HHH", 0x1234, 0x8000, 0xFEDC) * 8)) == [18, 128, 254]
    assert colour(png(16, 6, struct.pack(">HHHH", 0x8000, 0, 0, 0) * 8)) == [255] * 3


def test_cmyk_is_not_negative():
    cmyk = Image.new("RGB", (32, 32), (200, 40, 90)).convert("CMYK")
    data = encoded(cmyk, "JPEG", quality=100)
    assert b"Adobe" in data  # inverted values, as Photoshop writes them
    assert np.abs(np.subtract(colour(data), (200, 40, 90))).max() <= 2
    assert np.abs(np.subtract(colour(encoded(cmyk, "TIFF")), (200, 40, 90))).max() <= 2


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_counts(kind):
    frames = [Image.new("RGB", (8, 8), name) for name in ("red", "lime")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert colour(data) == [255, 0, 0]
    assert decode_with_facts(data, 8, "crop")[0].animated
    assert not decode_with_facts(encoded(frames[0], kind), 8, "crop")[0].animated


def test_of_a_phone_jpeg_with_several_pictures_the_first_counts():
    other = Image.new("RGB", PHOTO.size, "red")
    data = encoded(PHOTO, "MPO", save_all=True, append_images=[other], quality=95)
    facts, pixels = decode_with_facts(data, 32, "crop")
    assert facts.format == "JPEG"
    assert (pixels == WHOLE).all()


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body


def padded(jpeg: bytes, marker: int) -> bytes:
    """Seven bytes of nothing before the first segment of this kind."""
    at = jpeg.index(bytes([0xFF, marker]))
    return jpeg[:at] + bytes(7) + jpeg[at:]


def odd_scan(jpeg: bytes) -> bytes:
    """The parameters of the scan are (0, 0, 0), not (0, 63, 0) as in any sequential JPEG."""
    scan = jpeg.index(b"\xff\xda")
    last = scan + 6 + 2 * jpeg[scan + 4]
    return jpeg[:last] + b"\0" + jpeg[last + 1 :]


HARMLESS: dict[str, Callable[[bytes], bytes]] = {
    "something after the end": lambda jpeg: jpeg + b"junk" * 1000,
    "padding before the end": lambda jpeg: jpeg[:-2] + bytes(10) + jpeg[-2:],
    "odd parameters of the scan": odd_scan,
    "unknown JFIF revision": lambda jpeg: jpeg[:11] + b"\x09" + jpeg[12:],
    "a colour profile that is none": lambda jpeg: (
        jpeg[:2] + segment(0xE2, b"ICC_PROFILE\0\0\0junk") + jpeg[2:]
    ),
    **{
        f"padding before {marker:#x}": lambda jpeg, marker=marker: padded(jpeg, marker)
        for marker in (0xDB, 0xC0, 0xC4, 0xDA)
    },
}


@pytest.mark.parametrize("harm", HARMLESS.values(), ids=HARMLESS)
def test_harmless_oddities_of_a_jpeg_are_harmless(harm):
    assert distance(decode(harm(JPEG), 32, "crop"), WHOLE) < 1
    with pytest.raises(UnreadablePhoto, match="damaged JPEG"):
        decode(harm(JPEG)[: len(JPEG) // 2], 32, "crop")


NO_IMAGE = "not an image (JPEG, PNG, WebP, HEIC, AVIF, JPEG XL, JPEG 2000, TIFF, GIF and BMP are"
BAD_HEADER = "its header is cut short or wrong"
HUGE = "20000 x 20000 pixels, above the limit of 200 megapixels; save it smaller"
REFUSED = {
    "zero bytes": (b"", "empty file (0 bytes)"),
    "text": (b"BMW, GIF87 and JPEG: a text", NO_IMAGE),
    "sound": (b"RIFF\x24\0\0\0WAVEfmt " + bytes(30), NO_IMAGE),
    "HEIC": (b"\0\0\0\x18ftypheic" + bytes(30), f"damaged HEIF: {BAD_HEADER}"),
    "JPEG": (JPEG[:-50], "damaged JPEG: Premature end of JPEG file"),
    "progressive JPEG": (PROGRESSIVE[:-40], "damaged JPEG: Premature end of JPEG file"),
    "JPEG header": (JPEG[:60], f"damaged JPEG: {BAD_HEADER}"),
    "JPEG without pixels": (claims(JPEG, 0, 9), f"damaged JPEG: {BAD_HEADER}"),
    "PNG": (PNG[:-200], "damaged PNG: image file is truncated"),
    "PNG header": (PNG[:20], f"damaged PNG: {BAD_HEADER}"),
    "BMP": (encoded(PHOTO, "BMP")[:-999], "damaged BMP: image file is truncated"),
    "GIF": (encoded(PHOTO, "GIF")[:-99], "damaged GIF: image file is truncated"),
    "WebP": (encoded(PHOTO, "WEBP")[:-20], f"damaged WEBP: {BAD_HEADER}"),
    "float": (encoded(Image.new("F", (8, 8)), "TIFF"), "grey values of 32 bits or with a sign"),
    "huge JPEG": (claims(JPEG, 20_000, 20_000), HUGE),
    "huge PNG": (encoded(Image.new("1", (20_000, 20_000)), "PNG"), HUGE),
}


@pytest.mark.parametrize(("data", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_a_user_reads_of_an_unusable_file(data, reason):
    start = time.perf_counter()
    with pytest.raises(UnreadablePhoto) as caught:
        decode(data, 32, "crop")
    assert time.perf_counter() - start < 1  # nothing of the size that a header claims is unpacked
    assert str(caught.value).startswith(reason)
    facts, pixels = decode_with_facts(data, 32, "crop")
    assert (facts.reason, pixels) == (str(caught.value), None)


KINDS = {
    "JPEG": JPEG,
    "progressive": PROGRESSIVE,
    "CMYK": encoded(PHOTO.convert("CMYK"), "JPEG"),
    "PNG": PNG,
    "palette": encoded(PHOTO.convert("P"), "PNG"),
    "GIF": encoded(PHOTO, "GIF"),
    "WebP": encoded(PHOTO, "WEBP"),
    "BMP": encoded(PHOTO, "BMP"),
    "TIFF": encoded(PHOTO, "TIFF"),
    "packed TIFF": encoded(PHOTO, "TIFF", compression="tiff_lzw"),
}


@pytest.mark.parametrize("data", KINDS.values(), ids=KINDS)
def test_a_file_that_is_cut_short_is_refused_or_whole(data):
    pixels = decode(data, 16, "squash")
    for cut in np.linspace(0, len(data) - 1, 60).astype(int):
        found = decode_with_facts(data[:cut], 16, "squash")[1]
        assert found is None or (found == pixels).all()


def usable_or_refused(data: bytes) -> None:
    try:
        pixels = decode(data, 16, "crop")
    except UnreadablePhoto as error:
        assert str(error)
        assert "\n" not in str(error)
    else:
        assert pixels.shape == (16, 16, 3)
        assert pixels.dtype == np.uint8


@settings(max_examples=300, deadline=None)
@given(start=st.sampled_from([b"", *(data[:16] for data in KINDS.values())]), rest=st.binary())
@example(b"\xff\xd8\xff", b"")
def test_any_bytes_are_usable_or_refused(start, rest):
    usable_or_refused(start + rest)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_damage_to_a_jpeg_leaves_it_usable_or_refused(data):
    damaged = bytearray(data.draw(st.sampled_from([JPEG, PROGRESSIVE, KINDS["CMYK"]])))
    places = st.tuples(st.integers(0, len(damaged) - 1), st.integers(0, 7))
    for place, bit in data.draw(st.lists(places, max_size=4)):
        damaged[place] ^= 1 << bit
    usable_or_refused(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))


def warning_photo() -> bytes:
    """Whole, but Pillow warns of the animation that its PNG announces with no frames."""
    announced = struct.pack(">I", 8) + b"acTL" + bytes(8)
    return PNG[:33] + announced + struct.pack(">I", zlib.crc32(announced[4:])) + PNG[33:]


def test_warnings_of_pillow_do_not_refuse_a_photo_even_from_threads():
    data = warning_photo()
    with pytest.warns(UserWarning, match="Invalid APNG"):
        Image.open(io.BytesIO(data))
    filters = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: decode_with_facts(data, 8, "crop")[0].reason, range(200)))
    assert found == [""] * 200
    assert warnings.filters == filters
