"""Kinds of files that decoders choke on or do not know: read safely, or refused by their name."""

import io
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from paw_stack.data.decode import UnreadablePhoto, decode

CASES = Path(__file__).parents[2] / "shared" / "cases" / "photos"
DECODE = """
import sys
from pathlib import Path
from paw_stack.data.decode import decode
for path in sorted(Path(sys.argv[1]).iterdir()):
    means = [int(decode(path.read_bytes(), size, "crop").mean()) for size in (8, 16, 32, 64, 128)]
    print(path.stem, *means, sep=",", flush=True)
"""


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


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


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


LOSSLESS = {
    "plain": lossless_jpeg(128),
    "after a remark": lossless_jpeg(256, segment(0xFE, b"x" * 300)),
    "after fill bytes": lossless_jpeg(250, b"\xff" * 9),
    "after padding": lossless_jpeg(250, segment(0xFE, b"x") + b"\0" * 9),
    **{path.stem: path.read_bytes() for path in sorted(CASES.glob("lossless_*.jpg"))},
}


def test_a_lossless_jpeg_is_read_at_any_size_and_harms_no_memory(tmp_path):
    """In a process of its own, with a heap that is checked: at worst that one ends."""
    for name, data in LOSSLESS.items():
        (tmp_path / f"{name}.jpg").write_bytes(data)
    command = [sys.executable, "-c", DECODE, str(tmp_path)]
    environment = {"MALLOC_CHECK_": "3", "MALLOC_PERTURB_": "165", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    told = {line.split(",")[0]: line.split(",")[1:] for line in done.stdout.splitlines()}
    assert sorted(told) == sorted(LOSSLESS)
    for name, means in told.items():
        whole = np.asarray(Image.open(io.BytesIO(LOSSLESS[name])).convert("RGB"))
        assert all(abs(int(mean) - whole.mean()) < 3 for mean in means), name


CR2 = b"II*\0\x10\0\0\0CR\x02\0" + bytes(40)
NAMED = {
    "an AVIF photo": b"\0\0\0\x1cftypavif" + bytes(30),
    "a HEIC photo": b"\0\0\0\x18ftypmif1" + bytes(30),
    "a JPEG XL photo": b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(30),
    "a JPEG 2000 photo": encoded(Image.new("RGB", (16, 16)), "JPEG2000"),
    "a camera's raw photo": CR2,
    "a Photoshop document": b"8BPS\0\x01" + bytes(30),
    "a PDF document": b"%PDF-1.7\n",
    "an SVG, HTML or XML text": b'<?xml version="1.0"?><svg/>',
    "a video": b"\0\0\0\x18ftypisom" + bytes(30),
    "a JPEG-LS photo": jpeg(0xF7),
    "a hierarchical JPEG": jpeg(0xC5),
    "a JPEG of 12 bits a value": jpeg(0xC1, 12),
    "a JPEG of 16 bits a value": jpeg(0xC3, 16),
}


@pytest.mark.parametrize("name", NAMED)
def test_a_kind_that_is_not_read_is_called_by_its_name(name):
    with pytest.raises(UnreadablePhoto) as caught:
        decode(NAMED[name], 32, "crop")
    assert str(caught.value).startswith(f"{name}, which is not read; save it as")


@pytest.mark.parametrize("kind", ["avif", "heic", "jxl"])
def test_real_files_of_those_kinds_are_named(kind):
    path = CASES / f"{kind}.{kind}"
    if not path.exists():
        pytest.skip("needs the cases beside the project")
    with pytest.raises(UnreadablePhoto, match="which is not read; save it as JPEG"):
        decode(path.read_bytes(), 32, "crop")


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "RGBA", "I;16"])
def test_a_big_tiff_is_read_as_a_small_one(mode):
    photo = Image.radial_gradient("L").convert("RGB").convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        photo = Image.fromarray(np.asarray(photo, np.uint16) * 257)
    one, other = (encoded(photo, "TIFF", big_tiff=big) for big in (False, True))
    assert one[:4] != other[:4]
    np.testing.assert_array_equal(decode(other, 32, "crop"), decode(one, 32, "crop"))


@pytest.mark.parametrize("big", [False, True])
def test_floats_in_a_tiff_are_refused_with_what_to_do(big):
    data = encoded(Image.new("F", (8, 8)), "TIFF", big_tiff=big)
    with pytest.raises(UnreadablePhoto, match="save it with 8 or 16 bits"):
        decode(data, 8, "crop")
