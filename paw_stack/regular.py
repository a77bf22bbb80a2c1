"""Files that anybody may have made: regular ones alone are opened, up to a limit; names as text.

A folder of a stranger may hold pipes that never end, links to devices, and names that are not text.
What is no regular file is never opened, and a name is bytes until somebody has to read it.
"""

import hashlib
import json
import os
import stat
import unicodedata
from pathlib import Path
from typing import Any

TEXT_BYTES = 100_000_000  # of a config or a record; those of large runs take a hundredth of that
KINDS = {
    stat.S_ISDIR: "a folder",
    stat.S_ISFIFO: "a pipe",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}
# Control characters, marks that turn the direction of writing, halves of pairs, ends of lines.
UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
# Join letters or emoji, or keep them apart: parts of words and of flags.
JOINERS = {"\u200c", "\u200d", "\u2060", *map(chr, range(0xE0020, 0xE0080))}


class UnreadableFile(OSError):
    """A file that is not read; the message is the reason alone."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.strerror = reason  # as every other OSError tells it


def read_regular(path: Path, limit: int, what: str = "file") -> bytes:
    """Read the whole of a regular file, or of one that a link leads to.

    Args:
        limit: bytes.
        what: it should be, for the message.

    Raises:
        FileNotFoundError: there is none.
        UnreadableFile: a pipe, a device, a folder; more than `limit`; not permitted.
    """
    try:
        _require(path.stat(), limit, what)  # before opening: that alone can wait for ever
        # Another file may have come in its place since: not waited for, and looked at once more.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(path, flags), "rb") as file:
            _require(os.fstat(file.fileno()), limit, what)
            data = file.read(limit + 1)
    except (FileNotFoundError, UnreadableFile):
        raise
    except (OSError, ValueError) as error:  # a NUL in a name is a ValueError
        raise UnreadableFile(f"cannot be opened: {getattr(error, 'strerror', error)}") from None
    if len(data) > limit:  # it grew, or is one of those that tell no size
        raise UnreadableFile(too_large(len(data), limit))
    return data


def read_text(path: Path) -> str:
    """Read a regular file as UTF-8; other bytes are a ValueError."""
    return read_regular(path, TEXT_BYTES).decode()


def read_json(path: Path) -> dict[str, Any]:
    """The object that a JSON file holds.

    Raises:
        OSError: as `read_regular`.
        ValueError: it is no JSON, nested too deep, or no object.
    """
    return parsed_json(read_regular(path, TEXT_BYTES))


def json_or_nothing(path: Path) -> dict[str, Any]:
    """The object that a JSON file holds; empty where there is no such file, or a damaged one."""
    try:
        return read_json(path)
    except (OSError, ValueError):
        return {}


def parsed_json(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(found, dict):
        raise ValueError(f"holds {type(found).__name__}, expected an object")
    return found


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_regular(path: Path, limit: int | None = None) -> None:
    """See that a library may open `path`: a regular file of at most `limit` bytes.

    Raises:
        FileNotFoundError, UnreadableFile: as `read_regular`.
    """
    try:
        _require(path.stat(), limit, "file")
    except (FileNotFoundError, UnreadableFile):
        raise
    except (OSError, ValueError) as error:
        raise UnreadableFile(f"cannot be opened: {getattr(error, 'strerror', error)}") from None


def kind_of(mode: int) -> str:
    """'a pipe', 'a device', ...; '' for a regular file."""
    if stat.S_ISREG(mode):
        return ""
    return next((name for is_kind, name in KINDS.items() if is_kind(mode)), "a special file")


def shown(name: object) -> str:
    r"""Make a text that can be printed in one line: bytes that are not UTF-8 become `\xe9`.

    So do control characters and marks that would have the rest read backwards.
    """
    text = str(name)
    return text if text.isprintable() else "".join(map(_seen, text))


def _seen(character: str) -> str:
    if 0xDC80 <= ord(character) <= 0xDCFF:  # how Python keeps such a byte of a name
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode() if is_unseen(character) else character


def is_unseen(character: str) -> bool:
    """Whether a character shows nothing itself, or changes how others are shown."""
    return unicodedata.category(character) in UNSEEN and character not in JOINERS


def _require(about: os.stat_result, limit: int | None, what: str) -> None:
    if kind := kind_of(about.st_mode):
        raise UnreadableFile(f"{kind}, not a {what}")
    if limit is not None and about.st_size > limit:
        raise UnreadableFile(too_large(about.st_size, limit))


def too_large(n_bytes: int, limit: int) -> str:
    return f"{n_bytes // 1_000_000:,} MB, above the limit of {limit // 1_000_000:,} MB"
