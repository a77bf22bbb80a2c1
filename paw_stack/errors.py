"""The errors that a user can cause and mend; everything else is a bug and keeps its traceback."""

import errno
from collections.abc import Iterable

from paw_stack.regular import shown

SHOWN_OFFENDERS = 10
FULL_DISK = {errno.ENOSPC, errno.EDQUOT}


class PawStackError(Exception):
    """One or more problems, each a sentence: what was found, what was expected, what to do."""

    def __init__(self, problems: str | Iterable[str]):
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class ConfigError(PawStackError):
    """The config file or an override is wrong."""


class DataError(PawStackError):
    """Tables or images do not fit the config or each other."""


class ArtifactError(PawStackError):
    """A file of a run is missing, stale or damaged."""


def offenders(items: Iterable[object]) -> str:
    """The first ten items and how many there are in all: `'a', 'b' (2 in all)`."""
    found = list(items)
    first = ", ".join(f"'{shown(item)}'" for item in found[:SHOWN_OFFENDERS])
    more = ", ..." if len(found) > SHOWN_OFFENDERS else ""
    return f"{first}{more} ({len(found)} in all)"


def is_full_disk(error: BaseException) -> bool:
    """Whether an error tells of a full disk; those of numpy and safetensors have no number."""
    numbered = isinstance(error, OSError) and error.errno in FULL_DISK
    return numbered or any(word in str(error) for word in ("No space left", "requested and"))


def full_disk_sentence(path: object) -> str:
    return (
        f"{path}: the disk is full; what was finished before is kept: free some space, or set"
        " run.root to a folder on another disk, and run the same command again"
    )
