"""The errors that a user can cause and mend; everything else is a bug and keeps its traceback."""

from collections.abc import Iterable

SHOWN_OFFENDERS = 10


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
    shown = ", ".join(repr(str(item)) for item in found[:SHOWN_OFFENDERS])
    more = ", ..." if len(found) > SHOWN_OFFENDERS else ""
    return f"{shown}{more} ({len(found)} in all)"
