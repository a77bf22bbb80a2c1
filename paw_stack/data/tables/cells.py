"""Tables -> cells, all of them text, so that an id such as `007` stays: a run's own, and those that
a user gives in any format.
"""

import codecs
import csv
import difflib
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd

from paw_stack.data.tables.documents import JSON_NAMES, read_documents, read_parquet
from paw_stack.data.tables.form import BLOCK, PLAIN, UTF_8, Form, normal, recognise
from paw_stack.data.tables.workbook import read_workbook
from paw_stack.errors import offenders
from paw_stack.regular import require_regular, shown

LARGEST = 4_000_000_000  # bytes of a table; 100 million rows of an id and a score take half of it
FORM = "form"  # of a table's `attrs`: how it was written, '' for a CSV table in UTF-8 with commas
NOT_TEXT = {".xlsx", ".xlsm", ".parquet", *JSON_NAMES}
OLD_OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def read_cells(path: Path, form: Form = PLAIN) -> pd.DataFrame:
    """A text table with every cell as text.

    Args:
        form: how it is written; as a run writes its own, unless told.

    Raises:
        OSError: there is no such file, or none that may be read: a pipe, a device, one too large.
        ValueError: it is no such table, or holds a NUL; a row has more fields than the header.
            (pandas would take the first column for an index where the first row has, and move all
            others.)
    """
    require_regular(path, LARGEST)
    _require_text(path, form.encoding)
    try:
        table = _parsed(path, form)
    except pd.errors.ParserError as error:
        raise ValueError(_too_long(path, form) or str(error)) from None
    if not isinstance(table.index, pd.RangeIndex):
        raise ValueError(_too_long(path, form))
    return table


def _parsed(path: Path, form: Form, header_alone: bool = False) -> pd.DataFrame:
    """The table with every cell as text; or its header as the one row, as it was given."""
    return pd.read_csv(
        path,
        dtype=str,
        header=None if header_alone else 0,
        nrows=1 if header_alone else None,
        keep_default_na=False,
        encoding=form.encoding,
        sep=form.separator,
        skiprows=form.skipped,
        skipinitialspace=form.spaced,
        compression=None,
    )


def _require_text(path: Path, encoding: str) -> None:
    """A NUL is in no text; of a file of holes pandas would take six times its size of memory."""
    wide = None if encoding == UTF_8 else codecs.getincrementaldecoder(encoding)()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            if b"\0" in block if wide is None else "\0" in wide.decode(block):
                raise ValueError("it holds NUL bytes, which are in no text; save it as UTF-8")


def read_given(path: Path, columns: Collection[str]) -> tuple[pd.DataFrame, Form]:
    """A user's table with every cell as text, and how it is written.

    The content tells the format: an Excel workbook that is called `.csv` is one all the same. Rows
    without any text, which spreadsheets leave behind, are left out.

    Args:
        columns: that it should have, as normal names; they choose separator and sheet.

    Raises:
        OSError, ValueError: as `read_cells`; no table in any known format.
    """
    require_regular(path, LARGEST)
    with path.open("rb") as file:
        start = file.read(len(OLD_OFFICE))
    if start.startswith(b"PK\3\4"):
        table, sheet = read_workbook(path, columns)
        return table, Form("Excel workbook", sheet=sheet)
    if start.startswith(b"PAR1"):
        return read_parquet(path), Form("Parquet")
    if start == OLD_OFFICE:
        raise ValueError("it is an old or an encrypted Excel file; save it as .xlsx")
    if path.suffix.lower() in JSON_NAMES:
        return read_documents(path), Form("JSON")
    form = recognise(path, columns)
    table = read_cells(path, form)
    table.columns = _header(path, form)  # pandas has renamed those that are double
    return _without_blank_rows(table), form


def _header(path: Path, form: Form) -> list[str]:
    first = _parsed(path, form, header_alone=True)
    return [str(name) for name in first.iloc[0]]


def _without_blank_rows(table: pd.DataFrame) -> pd.DataFrame:
    if not len(table.columns) or not (maybe := (table.iloc[:, 0] == "").to_numpy()).any():
        return table
    blank = np.zeros(len(table), bool)
    blank[maybe] = (table[maybe] == "").all(axis=1)
    return table[~blank].reset_index(drop=True) if len(table.columns) > 1 else table


def read_table(
    path: Path, columns: Collection[str], problems: list[str], cure: str = "give a CSV table"
) -> pd.DataFrame:
    """The table with every cell as text; no columns, and problems more, where it lacks `columns`.

    Names count without spaces around them. `attrs["form"]` says how the table was written.

    Args:
        cure: what to do where the file cannot be read.
    """
    try:
        table, form = read_given(path, [normal(column) for column in columns])
    except OSError as error:
        problems.append(f"{path}: cannot be read ({error.strerror}); {cure}")
        return pd.DataFrame()
    except ValueError as error:
        kind = "table" if path.suffix.lower() in NOT_TEXT else "CSV table"
        problems.append(f"{path}: is no {kind}: {shown(' '.join(str(error).split()))}")
        return pd.DataFrame()
    header = list(table.columns)
    at = {column: _places(header, column) for column in columns}
    double = [column for column in columns if len(at[column]) > 1]
    missing = [column for column in columns if not at[column]]
    if double:
        problems.append(f"{path}: columns more than once: {offenders(double)}; keep one of each")
    if missing:
        problems.append(f"{path}: no column {offenders(missing)}; it has {_known(header, missing)}")
    if double or missing:
        return pd.DataFrame()
    table.columns = _names(header, {at[column][0]: column for column in columns})
    table.attrs[FORM] = str(form)
    return table


def _places(header: list[str], column: str) -> list[int]:
    """Where a column is: by its exact name, else by the normal one."""
    exact = [place for place, name in enumerate(header) if name == column]
    return exact or [i for i, name in enumerate(header) if normal(name) == normal(column)]


def _known(header: list[str], missing: list[str]) -> str:
    """The columns that are there, and which of them could be meant."""
    folded = {normal(name).casefold(): name for name in header}
    wanted = [normal(name).casefold() for name in missing]
    meant = [difflib.get_close_matches(name, folded, n=1) for name in wanted]
    near = [folded[name] for (name,) in filter(None, meant)]
    return offenders(header) + (f"; did you mean {', '.join(map(repr, near))}?" if near else "")


def _names(header: list[str], wanted: dict[int, str]) -> list[str]:
    """Each name once: those that are wanted, at their places, and the others."""
    names: list[str] = []
    for place, given in enumerate(header):
        name = wanted.get(place) or normal(given) or f"column {place + 1}"
        repeated = place not in wanted and (name in names or name in wanted.values())
        names.append(f"{name}.{place}" if repeated else name)
    return names


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


def _too_long(path: Path, form: Form) -> str:
    """A sentence on the first row with more fields than the header has; '' where there is none."""
    try:
        with path.open(newline="", encoding=form.encoding) as file:
            for _ in range(form.skipped):
                file.readline()
            rows = csv.reader(file, delimiter=form.separator)
            names = next((row for row in rows if row), [])
            for row in rows:
                if len(row) > len(names):
                    return (
                        f"line {rows.line_num + form.skipped} has {len(row)} fields, the header"
                        f" {len(names)} ({', '.join(names)[:100]}); put a text that holds a"
                        f" {form.separator_name} in quotes, and leave out a {form.separator_name}"
                        " at the end of a row"
                    )
    except csv.Error:  # such as a field of megabytes
        pass
    return ""
