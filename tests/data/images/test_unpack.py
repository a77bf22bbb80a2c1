"""What touches a photo's bytes: little is loaded for it, and large pictures are made in bands."""

import subprocess
import sys

import numpy as np
import pytest
from helpers.photos import all_kinds

from paw_stack.data.images import unpack as module
from paw_stack.data.images.unpack import unpack

HEAVY = ["torch", "pandas", "pydantic", "cv2", "scipy"]


@pytest.fixture(scope="module")
def kinds() -> dict[str, bytes]:
    return {name: data for name, data in all_kinds().items() if name != "large"}


@pytest.mark.parametrize("resize", ["crop", "squash"])
def test_bands_are_not_to_be_seen(resize, kinds, monkeypatch):
    """Of one row, and of some rows with a rest."""
    whole = {name: unpack(data, 48, resize) for name, data in kinds.items()}
    for pixels in (1, 700):
        monkeypatch.setattr(module, "BAND_PIXELS", pixels)
        for name, data in kinds.items():
            found, expected = unpack(data, 48, resize), whole[name]
            assert (found.facts, found.orientation) == (expected.facts, expected.orientation)
            assert (found.pixels is None) == (expected.pixels is None), name
            assert found.pixels is None or np.array_equal(found.pixels, expected.pixels), name


def test_pixels_come_to_lie_in_the_room_that_is_given(kinds):
    room = bytearray(1_000_000)
    for name, data in kinds.items():
        found, expected = unpack(data, 48, "crop", memoryview(room)), unpack(data, 48, "crop")
        assert found.facts == expected.facts
        if expected.pixels is not None:
            assert np.array_equal(found.pixels, expected.pixels), name
            start = np.frombuffer(room, np.uint8, expected.pixels.size)
            assert np.array_equal(start, expected.pixels.ravel()), name


def test_too_little_room_is_no_damage(kinds):
    photo = kinds["jpeg"]
    n = unpack(photo, 48, "crop").pixels.size
    assert unpack(photo, 48, "crop", memoryview(bytearray(n))).pixels is not None
    with pytest.raises(MemoryError):
        unpack(photo, 48, "crop", memoryview(bytearray(n - 1)))


def test_a_worker_loads_nothing_but_decoders():
    code = (
        f"import sys, paw_stack.data.images.decode_worker\nprint(*{HEAVY!r} & sys.modules.keys())"
    )
    code = code.replace(repr(HEAVY), repr(set(HEAVY)))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
