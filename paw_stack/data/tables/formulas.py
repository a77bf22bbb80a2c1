"""Cells that a spreadsheet would run as a formula, such as an id `=1+1`.

They are written with a quote in front: in every table of a run but `submission.csv`, whose ids must
be the ones that were given.
"""

from collections.abc import Iterable

START_OF_FORMULA = tuple("=+-@\t\r")
QUOTE = "'"  # a cell that begins with one gets another, so that `plain` can undo it


def guarded(text: str) -> str:
    return QUOTE + text if text.startswith((*START_OF_FORMULA, QUOTE)) else text


def plain(text: str) -> str:
    """What was guarded, or any text that could not have been."""
    return text[1:] if text[:1] == QUOTE and guarded(text[1:]) == text else text


def as_known(texts: Iterable[str], known: Iterable[str]) -> list[str]:
    """Texts of a table that may be a run's own: where only the plain one is known, that."""
    names = set(known)
    return [text if text in names else plain(text) for text in texts]
