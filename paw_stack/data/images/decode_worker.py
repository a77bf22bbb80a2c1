"""A process that unpacks photos for another one, and can do little else: see `decode_pool`.

Once its modules are loaded it opens no file, socket or process any more, writes no file and takes
no more memory than it was given. A request is `REQUEST`, with the photo in the shared memory; an
answer is JSON, with the pixels there. The end of the connection ends it.
"""

import contextlib
import ctypes
import errno
import json
import mmap
import os
import platform
import signal
import socket
import struct
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ImageCms, ImageColor, ImagePalette, MpoImagePlugin, TiffTags  # noqa: F401 no later

from paw_stack.data.images.openers import use_one_thread
from paw_stack.data.images.profiles import recoloured
from paw_stack.data.images.unpack import PhotoFacts, Unpacked, unpack

REQUEST = struct.Struct("QIB")  # bytes that lie there; size, pixels; which of these is asked
ASKED = ("squash", "crop", "recolour")  # the photo that lies there, or pixels of the last one
READY, RECOLOURED = b"ready", b"recoloured"
LONGEST_ANSWER = 4096  # bytes
MOST_CPU_S = 20  # of one photo
NOBODY = 65534  # as user and group
# Linux's words for a filter of system calls: see seccomp(2) and linux/bpf_common.h.
LOAD, EQUAL, ANY_BIT, AT_LEAST, RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
ALLOWED, REFUSED = 0x7FFF0000, 0x00050000  # the latter plus the number of an error
CLONE_THREAD, OTHER_TABLE = 0x10000, 0x40000000
# AUDIT_ARCH; clone; what makes processes or runs programs; clone3, whose flags no filter can see.
CALLS = {
    "x86_64": (0xC000003E, 56, (57, 58, 59, 322), 435),
    "aarch64": (0xC00000B7, 220, (221, 281), 435),
}


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
    use_one_thread()
    _give_up_rights(memory_bytes)
    photo = Unpacked(PhotoFacts())
    while len(request := connection.recv(REQUEST.size, socket.MSG_WAITALL)) == REQUEST.size:
        n_bytes, size, asked = REQUEST.unpack(request)
        # Also ends the work for a process that is gone.
        signal.setitimer(signal.ITIMER_PROF, MOST_CPU_S)
        if ASKED[asked] == "recolour":
            answer = _recolour(room, size, photo.transform)
        else:
            photo, short = _unpacked(room, n_bytes, size, asked)
            answer = json.dumps(_told(photo, short)).encode()
        signal.setitimer(signal.ITIMER_PROF, 0)
        connection.sendall(answer)


def _unpacked(room: memoryview, n_bytes: int, size: int, asked: int) -> tuple[Unpacked, bool]:
    """The photo, and whether there was too little memory."""
    try:
        data = bytes(room[:n_bytes])  # the pixels will lie in its place
        return unpack(data, size, "crop" if ASKED[asked] == "crop" else "squash", room), False
    except MemoryError:
        return Unpacked(PhotoFacts()), True


def _recolour(room: memoryview, size: int, transform: Any) -> bytes:
    pixels = np.frombuffer(room, np.uint8, size * size * 3).reshape(size, size, 3)
    pixels[:] = recoloured(pixels, transform)
    return RECOLOURED


def _told(found: Unpacked, short: bool) -> dict[str, object]:
    shape = None if found.pixels is None else found.pixels.shape[:2]
    return {
        "facts": vars(found.facts),
        "orientation": found.orientation,
        "shape": shape,
        "recolour": found.transform is not None,
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
    limits = {"CORE": 0, "FSIZE": 0, "NOFILE": 0}
    if not _forbid_processes():
        limits["NPROC"] = 0  # which Linux takes for threads as well
    if taken := _address_space():
        limits["AS"] = taken + memory_bytes
    for name, limit in limits.items():
        with contextlib.suppress(AttributeError, OSError, ValueError):  # of some systems
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (limit, limit))


def _forbid_processes() -> bool:
    """Refuse new processes and programs, but not the one thread that libde265 wants for a HEIC.

    Returns:
        whether the system keeps to that (Linux, on x86-64 and ARM64).
    """
    if platform.machine() not in CALLS or struct.calcsize("P") != 8:
        return False
    program = _filter(*CALLS[platform.machine()])
    code = ctypes.create_string_buffer(program)
    about = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    control = getattr(ctypes.CDLL(None), "prctl", None)
    no_new_rights, set_filter = 38, 22
    return (
        control is not None
        and control(no_new_rights, *map(ctypes.c_ulong, (1, 0, 0, 0))) == 0
        and control(set_filter, ctypes.c_ulong(2), about, *map(ctypes.c_ulong, (0, 0))) == 0
    )


def _filter(machine: int, clone: int, refused: tuple[int, ...], clone3: int) -> bytes:
    """Steps of 8 bytes: code, how many to skip if true and if false, a number."""
    n = len(refused)
    steps = [
        (LOAD, 0, 0, 4),  # the table of calls
        (EQUAL, 0, n + 5, machine),
        (LOAD, 0, 0, 0),  # the call
        (AT_LEAST, n + 3, 0, OTHER_TABLE),
        *((EQUAL, n + 2 - at, 0, call) for at, call in enumerate(refused)),
        (EQUAL, 3, 0, clone3),
        (EQUAL, 3, 0, clone),
        (RETURN, 0, 0, ALLOWED),
        (RETURN, 0, 0, REFUSED | errno.EPERM),
        (RETURN, 0, 0, REFUSED | errno.ENOSYS),  # who gets this takes clone
        (LOAD, 0, 0, 16),  # the flags
        (ANY_BIT, 0, 1, CLONE_THREAD),
        (RETURN, 0, 0, ALLOWED),
        (RETURN, 0, 0, REFUSED | errno.EPERM),
    ]
    return b"".join(struct.pack("HBBI", *step) for step in steps)


def _address_space() -> int:
    """Bytes that this process has mapped; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * mmap.PAGESIZE
    except OSError:
        return 0
