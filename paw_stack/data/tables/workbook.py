"""Excel workbooks -> text cells, as Excel shows them where that tells more than the stored number.

A workbook is a zip of XML from anybody: its sizes are looked at before anything is unpacked, and
neither a sheet's claim of its size nor a row's of its number is believed.
"""

import warnings
from collections.abc import Collection
from datetime import date, datetime, time, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile, ZipFile

import pandas as pd

from paw_stack.data.tables.form import normal

if TYPE_CHECKING:
    from openpyxl import Workbook
    from openpyxl.worksheet._read_only import ReadOnlyWorksheet

UNPACKED = 500_000_000  # bytes; a million rows of ten columns take half of it
PARTS = 10_000  # files in the zip
ROWS = 1 << 20  # of a sheet; Excel itself holds no more
HEADER_ROWS = 100  # among which the header is looked for
CELLS = 20_000_000  # below the header; a row of one far cell costs as much as a full one


def read_workbook(path: Path, columns: Collection[str]) -> tuple[pd.DataFrame, str]:
    """The table of a workbook, and its sheet: the first, or the only one with all `columns`.

    The header is the first row that holds anything; columns without a name are left out, and so are
    rows without any text.

    Raises:
        ValueError: it is no workbook, or one that unpacks to more than 500 MB.
    """
    import openpyxl

    _require_small(path)
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on styles, which nobody looks at here
            book = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
            try:
                sheet = _chosen(book, columns)
                return _table(sheet), str(sheet.title)
            finally:
                book.close()
    except Exception as error:  # on a damaged part openpyxl raises nearly anything
        reason = f"{type(error).__name__}: {error}"[:200]
        raise ValueError(f"it is no Excel workbook that can be read ({reason})") from None


def _require_small(path: Path) -> None:
    try:
        with ZipFile(path) as archive:
            parts = archive.infolist()
    except (BadZipFile, NotImplementedError, ValueError) as error:
        raise ValueError(f"it is a damaged zip or Excel workbook ({error})") from None
    if "xl/workbook.xml" not in {part.filename for part in parts}:
        raise ValueError("it is a zip and no Excel workbook; unpack it, or save a sheet as .xlsx")
    size = sum(part.file_size for part in parts)
    if size > UNPACKED or len(parts) > PARTS:
        raise ValueError(
            f"it unpacks to {size // 1_000_000:,} MB in {len(parts):,} parts, above the limit of"
            f" {UNPACKED // 1_000_000} MB in {PARTS:,}; save the sheet as CSV"
        )


def _chosen(book: "Workbook", columns: Collection[str]) -> "ReadOnlyWorksheet":
    sheets = list(book.worksheets)
    if not sheets:
        raise ValueError("it has no sheet of cells")
    wanted = set(columns)
    having = [sheet for sheet in sheets if wanted <= {normal(c) for c in _header(sheet)[1]}]
    return having[0] if sheets[0] in having or len(having) == 1 else sheets[0]


def _header(sheet: "ReadOnlyWorksheet") -> tuple[int, list[str]]:
    """The first row that holds anything: its number, from 1, and its cells."""
    sheet.reset_dimensions()
    for number, row in enumerate(islice(sheet.iter_rows(), HEADER_ROWS), 1):
        texts = [_text(cell) for cell in row]
        if any(text.strip() for text in texts):
            return number, texts
    return 1, []


def _table(sheet: "ReadOnlyWorksheet") -> pd.DataFrame:
    number, header = _header(sheet)
    named = [place for place, name in enumerate(header) if name.strip()]
    names = [header[place] for place in named]
    if not named:
        return pd.DataFrame()
    width = named[-1] + 1
    kept = []
    rows = sheet.iter_rows(min_row=number + 1, max_col=width)
    for count, row in enumerate(islice(rows, ROWS), 1):
        if count * width > CELLS:
            raise ValueError(f"more than {CELLS:,} cells; save the sheet as CSV")
        texts = [_text(row[place]) for place in named]
        if any(text.strip() for text in texts):
            kept.append(texts)
    return pd.DataFrame(kept, columns=names, dtype="str")


def _text(cell: Any) -> str:
    """A cell as it is shown: `007` of a 7 that has the format 000, `45%` of 0.45."""
    value, shown = cell.value, getattr(cell, "number_format", None) or ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        if shown.endswith("%"):
            return f"{100 * value:.12g}%"
        if set(shown) == {"0"} and float(value).is_integer():
            return str(int(value)).zfill(len(shown))
    return cell_text(value)


def cell_text(value: Any) -> str:
    """A cell's value: '' for none, 1 and 0 for true and false, no `.0` behind whole numbers."""
    if value is None or value != value:  # a NaN
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime) and value.time() == time():
        return value.date().isoformat()
    if isinstance(value, datetime | date | time | timedelta):
        return value.isoformat() if not isinstance(value, timedelta) else str(value)
    return str(value)
