"""HEIC, AVIF, JPEG XL, JPEG 2000 and MPO: read as they were written; damaged ones named."""

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from helpers.decoders import NEEDS_WALL, is_read
from helpers.photos import (
    HEIC,
    damaged,
    distance,
    encoded,
    expected,
    modern_pictures,
    picture,
    with_alpha,
)
from helpers.places import PHOTO_CASES
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from paw_stack.data.images.cache import cached_photos
from paw_stack.data.images.decode import decode_with_facts
from paw_stack.data.images.decode_pool import decode_isolated

SIZE = 32
NEAR = 3.5  # levels; what the encoders lose, HEIC most
WRITTEN = {"heic grey": picture().convert("L"), "heic turned": picture().rotate(-90, expand=True)}


def written(name: str) -> Image.Image:
    """What the file shows, on white."""
    image = with_alpha(picture()) if "alpha" in name else WRITTEN.get(name, picture())
    if image.mode != "RGBA":
        return image
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)


@pytest.mark.parametrize("resize", ["crop", "squash"])
@pytest.mark.parametrize("name", [name for name in modern_pictures() if name != "heic p3"])
def test_such_a_photo_is_read_as_it_was_written(name, resize):
    facts, found = decode_isolated(modern_pictures()[name], SIZE, resize)
    assert facts.reason == ""
    assert (facts.width, facts.height) == written(name).size
    assert facts.animated == (name in ("heic pair", "avif of frames"))
    assert distance(found, expected(written(name), SIZE, resize)) < NEAR


def with_exif(kind: str, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(picture(), kind, exif=exif.tobytes(), quality=95)


def with_xmp(kind: str, orientation: int) -> bytes:
    text = f'<rdf:Description xmlns:tiff="ns" tiff:Orientation="{orientation}"/>'
    notes, tags = PngInfo(), ImageFileDirectory_v2()
    notes.add_itxt("XML:com.adobe.xmp", text)
    tags[700] = text.encode()
    how = {"PNG": {"pnginfo": notes}, "TIFF": {"tiffinfo": tags}}.get(kind, {"xmp": text.encode()})
    return encoded(picture(), kind, quality=95, **how)


def with_its_own(orientation: int) -> bytes:
    """A JPEG XL whose header says so: that of Pillow's file, all default, written out."""
    data = encoded(picture(), "JXL", quality=95)
    bits = "".join(str(byte >> at & 1) for byte in data[2:12] for at in range(8))
    assert bits[0] == "1" and bits[6:9] == "000" and bits[14:16] == "11"  # a small size, defaults
    turned = "".join(str(orientation - 1 >> at & 1) for at in range(3))
    bits = f"{bits[:14]}01{turned}000000100111001"
    bits += "0" * (-len(bits) % 8)
    packed = bytes(int(bits[at : at + 8][::-1], 2) for at in range(0, len(bits), 8))
    return data[:2] + packed + data[4:]


def is_turned(data: bytes, orientation: int) -> bool:
    """Upright as viewers show it, by one turn of that kind."""
    tagged = picture()
    tagged.getexif()[0x0112] = orientation
    upright = ImageOps.exif_transpose(tagged)
    facts, pixels = decode_isolated(data, SIZE, "squash")
    assert (facts.width, facts.height) == upright.size
    return distance(pixels, expected(upright, SIZE)) < NEAR


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["AVIF", "WEBP", "PNG", "TIFF", "JPEG", "MPO"])
def test_a_photo_is_turned_once_by_what_exif_says(kind, orientation):
    assert is_turned(with_exif(kind, orientation), orientation)


@pytest.mark.parametrize("kind", ["WEBP", "PNG", "TIFF", "JPEG", "MPO"])
def test_where_exif_says_nothing_xmp_does(kind):
    assert is_turned(with_xmp(kind, 6), 6)


def test_notes_turn_no_photo_whose_container_tells():
    assert is_turned(with_xmp("AVIF", 6), 1)
    pytest.importorskip("pillow_jxl")
    assert is_turned(with_exif("JXL", 6), 1)
    assert is_turned(with_its_own(1), 1)
    assert is_turned(with_its_own(6), 6)


def test_the_first_picture_of_an_mpo_is_taken():
    data = encoded(picture(), "MPO", save_all=True, append_images=[picture().rotate(180)])
    assert is_turned(data, 1)


def test_a_jpeg_in_a_jpeg_xl_is_turned_as_that_jpeg(tmp_path):
    pytest.importorskip("pillow_jxl")
    (tmp_path / "a.jpg").write_bytes(with_exif("JPEG", 6))
    with Image.open(tmp_path / "a.jpg") as image:
        image.save(tmp_path / "a.jxl", lossless_jpeg=True)
    assert is_turned((tmp_path / "a.jxl").read_bytes(), 6)


def test_damaged_ones_are_read_or_named():
    rng, told = np.random.default_rng(5), Counter()
    for name, data in modern_pictures().items():
        cut = [data[:at] for at in (10, 40, len(data) // 2, len(data) - 2)]
        for spoiled in [*cut, *(damaged(data, rng) for _ in range(3))]:
            facts, pixels = decode_isolated(spoiled, SIZE, "crop")
            assert (pixels is None) == (facts.reason != ""), name
            assert facts.reason.isprintable()
            told[facts.reason != ""] += 1
    assert told[True] > 50, told
    assert is_read()


@pytest.mark.parametrize("kind", ["avif", "heic", "jxl"])
def test_real_files_of_those_kinds_are_read(kind):
    path = PHOTO_CASES / f"{kind}.{kind}"
    if not path.exists():
        pytest.skip("needs the cases beside the project")
    if kind == "jxl":
        pytest.importorskip("pillow_jxl")
    assert decode_isolated(path.read_bytes(), SIZE, "crop")[0].reason == ""


WITHOUT = """
import sys
sys.modules.update(dict.fromkeys(["_pi_heif", "pillow_jxl", "PIL._avif"]))
from PIL import features
features.check = lambda name: False
from pathlib import Path
from paw_stack.data.images.decode import decode_with_facts
for path in sorted(Path(sys.argv[1]).iterdir()):
    print(path.name, decode_with_facts(path.read_bytes(), 32, "crop")[0].reason, sep=": ")
"""


def test_where_a_reader_is_missing_its_photos_say_what_to_install(tmp_path):
    for name, data in {**modern_pictures(), "png": encoded(picture(), "PNG")}.items():
        (tmp_path / name).write_bytes(data)
    command = [sys.executable, "-c", WITHOUT, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert told.pop("png") == ""
    cures = {"heic": "pi-heif", "avif": "'Pillow>=11.3'", "jpeg x": "'paw-stack[jxl]'"}
    cures["jpeg 2"] = "a Pillow that was built with OpenJPEG"
    for name, reason in told.items():
        (cure,) = [cure for start, cure in cures.items() if name.startswith(start)]
        assert reason.endswith(f"whose reader is not installed: pip install {cure}"), name


def test_a_cache_names_their_extensions_and_a_wrong_one(tmp_path):
    paths = [tmp_path / name for name in ("a.HEIC", "b.avif", "c.jp2", "d.jpg")]
    kinds = ["heic plain", "avif", "jpeg 2000", "heic plain"]
    for path, kind in zip(paths, kinds, strict=True):
        path.write_bytes(modern_pictures()[kind])
    table = cached_photos(paths, SIZE, "crop", tmp_path / "cache").table
    assert table["format"].tolist() == ["HEIF", "AVIF", "JPEG2000", "HEIF"]
    assert table["wrong_extension"].tolist() == [False, False, False, True]


@NEEDS_WALL[0]
@NEEDS_WALL[1]
def test_threads_are_allowed_to_a_decoder_and_processes_are_not(obeys, pool):
    tries = b"""DO import os, threading
threading.Thread(target=lambda: None).start()
said = 'threads'
for make in (os.fork, lambda: os.execv('/bin/true', ['true'])):
    try: make()
    except OSError: continue
    said = 'processes'
"""
    facts, _ = decode_isolated(tries, SIZE, "crop")
    assert facts.reason == "threads"
    assert decode_isolated(HEIC["heic plain"], SIZE, "crop")[0].reason == ""
    assert decode_with_facts(HEIC["heic plain"], SIZE, "crop")[0].reason == ""
