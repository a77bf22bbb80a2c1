"""CSV tables from anybody's hand; all cells are text, so that an id such as `007` stays.

Cells that a spreadsheet would run as a formula, such as an id `=1+1`, are written with a quote in
front: in every table of a run but `submission.csv`, whose ids must be the ones that were given.
"""

import csv
from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from paw_stack.errors import offenders
from paw_stack.regular import require_regular

LARGEST = 4_000_000_000  # bytes of a table; 100 million rows of an id and a score take half of it
BLOCK = 1 << 20  # bytes that are looked at at once


def read_cells(path: Path) -> pd.DataFrame:
    """The table with every cell as text.

    Raises:
        OSError: there is no such file, or none that may be read: a pipe, a device, one too large.
        ValueError: it is no CSV table in UTF-8, or holds a NUL; a row has more fields than the
            header. (pandas would take the first column for an index where the first row has, and
            move all others.)
    """
    require_regular(path, LARGEST)
    _require_text(path)
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except pd.errors.ParserError as error:
        raise ValueError(_too_long(path) or str(error)) from None
    if not isinstance(table.index, pd.RangeIndex):
        raise ValueError(_too_long(path))
    return table


def _require_text(path: Path) -> None:
    """A NUL is in no text; of a file of holes pandas would take six times its size of memory."""
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            if b"\0" in block:
                raise ValueError("it holds NUL bytes, which are in no text")


def read_table(
    path: Path, columns: Collection[str], problems: list[str], cure: str = "give a CSV table"
) -> pd.DataFrame:
    """The table with every cell as text; no columns, and problems more, where it lacks `columns`.

    Args:
        cure: what to do where the file cannot be read.
    """
    try:
        table = read_cells(path)
        header = pd.read_csv(path, dtype=str, header=None, nrows=1, encoding="utf-8-sig").iloc[0]
    except OSError as error:
        problems.append(f"{path}: cannot be read ({error.strerror}); {cure}")
        return pd.DataFrame()
    except ValueError as error:
        problems.append(f"{path}: is no CSV table in UTF-8: {' '.join(str(error).split())}")
        return pd.DataFrame()
    double = [column for column in columns if (header == column).sum() > 1]  # pandas renames one
    missing = [column for column in columns if column not in table.columns]
    if double:
        problems.append(f"{path}: columns more than once: {offenders(double)}; keep one of each")
    if missing:
        known = offenders(table.columns)
        problems.append(f"{path}: no column {offenders(missing)}; it has {known}")
    return pd.DataFrame() if double or missing else table


def double_ids(ids: pd.Series) -> list[str]:
    return sorted(set(ids[ids.duplicated()]))


def id_problems(found: pd.Series, ids: np.ndarray, lacking: str) -> list[str]:
    """What is wrong with ids that should be `ids`, each once, in any order.

    Args:
        lacking: what an id that is not there has none of.
    """
    kinds = {
        "double ids": double_ids(found),
        f"no {lacking} for ids": sorted(set(ids) - set(found)),
        "unknown ids": sorted(set(found) - set(ids)),
    }
    return [f"{what} {offenders(items)}" for what, items in kinds.items() if items]


def _too_long(path: Path) -> str:
    """A sentence on the first row with more fields than the header has; '' where there is none."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file)
            names = next((row for row in rows if row), [])
            for row in rows:
                if len(row) > len(names):
                    return (
                        f"line {rows.line_num} has {len(row)} fields, the header {len(names)}"
                        f" ({', '.join(names)[:100]}); put a text that holds a comma in quotes,"
                        " and leave out a comma at the end of a row"
                    )
    except csv.Error:  # such as a field of megabytes
        pass
    return ""


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
