"""Metadata columns of new photos: a table of ids -> rows in the order of the photos."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from paw_stack.data.tables import double_columns, read_cells
from paw_stack.errors import DataError, offenders


def photo_columns(
    source: Path,
    id_column: str,
    columns: Sequence[str],
    photos: Sequence[Path],
    extension: str = "",
) -> np.ndarray:
    """(n, n_columns) float64, one row a photo; NaN for what is no number, and where there is no row.

    An id is a photo's name, with or without its extension (or the run's own `extension`), alone or
    behind some or all of its folders: `cat`, `cat.jpg`, `shelter/cat.jpg`. The longest one counts.

    Raises:
        DataError: no table, columns that it lacks or has twice, ids that are double; a row that is
            meant for several photos.
    """  # noqa: E501
    table = _read(source, [id_column, *columns])
    row_of = {name: row for row, name in enumerate(table[id_column])}
    rows = [
        next((row_of[name] for name in _names(photo, extension) if name in row_of), -1)
        for photo in photos
    ]
    _require_own_rows(source, table[id_column].tolist(), photos, rows)
    numbers = table[list(columns)].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    return np.vstack([numbers, np.full(len(columns), np.nan)])[rows]


def _names(photo: Path, extension: str) -> Iterator[str]:
    """What a table may call the photo, the longest first."""
    yield str(photo)
    parts = photo.absolute().parts[1:]
    for start in range(len(parts)):
        name = "/".join(parts[start:])
        yield from (name, name.removesuffix(extension), name.removesuffix(photo.suffix))


def _require_own_rows(
    source: Path, ids: Sequence[str], photos: Sequence[Path], rows: Sequence[int]
) -> None:
    """The same photo may come again; two photos of one name are not the same."""
    meant: dict[int, dict[Path, Path]] = {}
    for photo, row in zip(photos, rows, strict=True):
        meant.setdefault(row, {})[photo.absolute()] = photo
    shared = [
        f"{ids[row]}: {', '.join(map(str, of.values()))}"
        for row, of in meant.items()
        if row >= 0 and len(of) > 1
    ]
    if shared:
        raise DataError(
            f"{source}: one row for several photos, {offenders(shared)}; let ids hold what tells"
            " them apart, the extension or the folder, such as shelter/cat.jpg"
        )


def _read(path: Path, columns: list[str]) -> pd.DataFrame:
    try:
        table = read_cells(path)
        double = double_columns(path, columns)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); give a CSV table") from None
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: is no CSV table in UTF-8: {reason}") from None
    problems = []
    if missing := [c for c in columns if c not in table.columns]:
        problems.append(f"no column {offenders(missing)}; it has {offenders(table.columns)}")
    if double:
        problems.append(f"columns more than once: {offenders(double)}; keep one of each")
    if not missing and table[columns[0]].duplicated().any():
        again = table[columns[0]][table[columns[0]].duplicated()].unique()
        problems.append(f"ids that occur more than once: {offenders(again)}")
    if problems:
        raise DataError([f"{path}: {problem}" for problem in problems])
    return table
