"""The process that decodes photos, with a decoder that does what the photo says."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.photos import encoded
from paw_stack.data.images import decode_pool, decode_process
from paw_stack.data.images.decode import decode
from paw_stack.data.images.decode_pool import decode_isolated

NEEDS_WALL = [
    pytest.mark.skipif(os.name != "posix", reason="there is no wall"),
    pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="watches processes in /proc"),
]

SIZE = 48
PHOTO = encoded(Image.radial_gradient("L").convert("RGB"), "PNG")
# In place of a decoder with a fault: what it does is the photo itself, as Python.
OBEYS = decode_process.START.replace(
    "serve(*arguments)",
    """
import paw_stack.data.images.decode_worker as worker
from paw_stack.data.images.unpack import PhotoFacts, Unpacked
whole = worker.unpack
def unpack(data, *others):
    if not data.startswith(b"DO "):
        return whole(data, *others)
    told = {"room": others[-1]}
    exec(data[3:], told)
    return Unpacked(PhotoFacts(reason=told["said"]))
worker.unpack = unpack
serve(*arguments)
""",
)


def reason(photo: bytes) -> str:
    facts, pixels = decode_isolated(photo, SIZE, "crop")
    assert pixels is None
    return facts.reason


def process_of(pool: decode_pool._Pool) -> int:
    """The one worker, started."""
    assert decode_isolated(PHOTO, SIZE, "crop")[1] is not None
    (worker,) = pool.workers
    return worker.process.pid


def is_read(photo: bytes = PHOTO) -> bool:
    pixels = decode_isolated(photo, SIZE, "crop")[1]
    return pixels is not None and np.array_equal(pixels, decode(photo, SIZE, "crop"))
