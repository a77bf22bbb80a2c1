"""A process that unpacks photos for another one, and can do little else: see `decode_pool`.

Once its modules are loaded it opens no file, socket or process any more, writes no file and takes
no more memory than it was given. A request is `REQUEST`, with the photo in the shared memory; an
answer is JSON, with the pixels there. The end of the connection ends it.
"""

import contextlib
import json
import mmap
import os
import signal
import socket
import struct
from pathlib import Path

from PIL import ImageCms, ImageColor, ImagePalette, MpoImagePlugin, TiffTags  # noqa: F401 no later

from paw_stack.data.images.unpack import PhotoFacts, Unpacked, unpack

REQUEST = struct.Struct("QI?")  # bytes of the photo; size, pixels; crop, or squash
READY = b"ready"
LONGEST_ANSWER = 4096  # bytes
MOST_CPU_S = 20  # of one photo
NOBODY = 65534  # as user and group


def serve(connection_fd: int, memory_fd: int, memory_bytes: int) -> None:
    """Unpack photos until the connection ends.

    Args:
        connection_fd: of a stream socket.
        memory_fd: of the file that both processes map.
        memory_bytes: of this process, besides what its modules and that file take.
    """
    connection = socket.socket(fileno=connection_fd)
    room = memoryview(mmap.mmap(memory_fd, 0))
    os.close(memory_fd)
    connection.sendall(READY)
    _give_up_rights(memory_bytes)
    while len(request := connection.recv(REQUEST.size, socket.MSG_WAITALL)) == REQUEST.size:
        n_bytes, size, crop = REQUEST.unpack(request)
        # Also ends the work for a process that is gone.
        signal.setitimer(signal.ITIMER_PROF, MOST_CPU_S)
        answer = _answer(room, n_bytes, size, crop)
        signal.setitimer(signal.ITIMER_PROF, 0)
        connection.sendall(json.dumps(answer).encode())


def _answer(room: memoryview, n_bytes: int, size: int, crop: bool) -> dict[str, object]:
    try:
        data = bytes(room[:n_bytes])  # the pixels will lie in its place
        found, short = unpack(data, size, "crop" if crop else "squash", room), False
    except MemoryError:
        found, short = Unpacked(PhotoFacts()), True
    shape = None if found.pixels is None else found.pixels.shape[:2]
    return {
        "facts": vars(found.facts),
        "orientation": found.orientation,
        "shape": shape,
        "short_of_memory": short,
    }


def _give_up_rights(memory_bytes: int) -> None:
    with contextlib.suppress(OSError):  # the first to go where the machine runs out of memory
        Path("/proc/self/oom_score_adj").write_text("1000")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)  # what went wrong in loading was to be seen, what decoders say is not
    os.close(nowhere)
    try:
        import resource
    except ImportError:
        return
    if os.geteuid() == 0:  # whom limits do not bind
        with contextlib.suppress(OSError):
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
    limits = {"CORE": 0, "FSIZE": 0, "NPROC": 0, "NOFILE": 0}
    if taken := _address_space():
        limits["AS"] = taken + memory_bytes
    for name, limit in limits.items():
        with contextlib.suppress(AttributeError, OSError, ValueError):  # of some systems
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (limit, limit))


def _address_space() -> int:
    """Bytes that this process has mapped; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * mmap.PAGESIZE
    except OSError:
        return 0
