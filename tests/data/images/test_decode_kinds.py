"""Kinds of files that decoders choke on or do not know: read safely, or refused by their name."""

import io
import subprocess
import sys

import numpy as np
import pytest
from helpers.photos import LOSSLESS, NAMED, encoded
from PIL import Image

from paw_stack.data.images.decode import UnreadablePhoto, decode

DECODE = """
import sys
from pathlib import Path
from paw_stack.data.images.decode import decode
for path in sorted(Path(sys.argv[1]).iterdir()):
    means = [int(decode(path.read_bytes(), size, "crop").mean()) for size in (8, 16, 32, 64, 128)]
    print(path.stem, *means, sep=",", flush=True)
"""


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


@pytest.mark.parametrize("name", NAMED)
def test_a_kind_that_is_not_read_is_called_by_its_name(name):
    with pytest.raises(UnreadablePhoto) as caught:
        decode(NAMED[name], 32, "crop")
    assert str(caught.value).startswith(f"{name}, which is not read; save it as")


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
