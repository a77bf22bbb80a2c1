"""The bytes of a photo's file: of regular files only, up to a limit, under any name."""

from pathlib import Path

from paw_stack.regular import UnreadableFile, read_regular, shown

__all__ = ["MAX_BYTES", "UnreadableFile", "read_photo", "shown"]
MAX_BYTES = 1_000_000_000  # of one photo's file; the largest of cameras take a quarter of that


def read_photo(path: Path) -> bytes:
    """Read the whole of a photo's file.

    Raises:
        FileNotFoundError: there is none.
        UnreadableFile: a pipe, a device, a folder; more than `MAX_BYTES`; not permitted.
    """
    return read_regular(path, MAX_BYTES, "photo")
