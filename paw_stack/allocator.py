"""Memory that networks free and take again for every layer stays with the process, under glibc.

By default it goes back to the system and is taken anew, page by page: half of the processor time of
a convolutional network. Raising both thresholds (mallopt(3)) ends that; between stages what is free
is given back at once. Elsewhere (macOS, Windows, musl) nothing is done.
"""

import ctypes
import platform
from functools import cache
from typing import Any

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # M_* of malloc.h
LARGEST_BLOCK = 1 << 30  # bytes; larger ones are given back as before
LARGEST_INT = (1 << 31) - 1


@cache  # once a process
def keep_freed_memory() -> bool:
    """Let the process keep what it frees; returns whether this system can."""
    libc = _glibc()
    if libc is None:
        return False
    kept = libc.mallopt(MMAP_THRESHOLD, LARGEST_BLOCK)
    return bool(kept and libc.mallopt(TRIM_THRESHOLD, LARGEST_INT))


def give_back_memory() -> None:
    """Return to the system what a stage has left free."""
    if libc := _glibc():
        libc.malloc_trim(0)


@cache
def _glibc() -> Any:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
