"""The bytes of a photo's file: of regular files only, up to a limit, and names that can be shown.

A folder of a stranger may hold pipes that never end, links to devices, and names that are not text.
What is no regular file is never opened, and a name is bytes until somebody has to read it.
"""

import os
import stat
from pathlib import Path

MAX_BYTES = 1_000_000_000  # of one photo's file; the largest of cameras take a quarter of that
KINDS = {
    stat.S_ISDIR: "a folder",
    stat.S_ISFIFO: "a pipe",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}


class UnreadableFile(OSError):
    """A file that is not read; the message is the reason alone."""


def read_photo(path: Path) -> bytes:
    """Read the whole of a regular file, or of one that a link leads to.

    Raises:
        FileNotFoundError: there is none.
        UnreadableFile: a pipe, a device, a folder; more than `MAX_BYTES`; not permitted.
    """
    try:
        _require_regular(path.stat())  # before opening: that alone can wait for ever
        # Another file may have come in its place since: not waited for, and looked at once more.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(path, flags), "rb") as file:
            _require_regular(os.fstat(file.fileno()))
            data = file.read(MAX_BYTES + 1)
    except (FileNotFoundError, UnreadableFile):
        raise
    except (OSError, ValueError) as error:  # a NUL in a name is a ValueError
        raise UnreadableFile(f"cannot be opened: {getattr(error, 'strerror', error)}") from None
    if len(data) > MAX_BYTES:  # it grew, or is one of those that tell no size
        raise UnreadableFile(too_large(len(data)))
    return data


def shown(path: object) -> str:
    r"""Make a name that can be printed and written: bytes that are not UTF-8 become `\xe9`."""
    return os.fsencode(str(path)).decode(errors="backslashreplace")


def _require_regular(about: os.stat_result) -> None:
    if not stat.S_ISREG(about.st_mode):
        kinds = [name for is_kind, name in KINDS.items() if is_kind(about.st_mode)]
        raise UnreadableFile(f"{kinds[0] if kinds else 'a special file'}, not a photo")
    if about.st_size > MAX_BYTES:
        raise UnreadableFile(too_large(about.st_size))


def too_large(n_bytes: int) -> str:
    return f"{n_bytes // 1_000_000:,} MB, above the limit of {MAX_BYTES // 1_000_000:,} MB"
