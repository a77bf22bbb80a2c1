"""Which column of a table names photos, and in which folder they lie."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from paw_stack.data.images.reading import find_photos, is_photo_id, list_photos
from paw_stack.errors import DataError, offenders
from paw_stack.guess.scale import names_of

SAMPLE = 500  # values of a column that are looked for
BELOW, ABOVE = 20, 3  # folders that are tried besides the one that was given
SHOWN = 3


@dataclass(frozen=True)
class Ids:
    """A column of ids and the folder of their photos."""

    column: str
    folder: Path
    n: int  # distinct ids
    n_found: int  # of them with a photo
    extension: str | None  # None: found per photo
    others: tuple[str, ...]  # columns that name photos too


def find_ids(table: pd.DataFrame, photos: Path, name: str) -> Ids:
    """The column whose values name most photos.

    Args:
        photos: the folder that was given; those around it and below it are tried too.
        name: of the table, for messages.

    Raises:
        DataError: no value of any column names a photo, or only those of one folder of several do;
            there is no header.
    """
    there = list_photos(photos).photos
    if not there:
        raise DataError(f"{photos}: holds no photos; give the folder of the photos")
    hits = {
        (column, folder): _n_found(folder, _some(_distinct(table[column])))
        for folder in _folders(photos, there)
        for column in names_of(table)
    }
    best = max(hits, key=lambda place: hits[place], default=None)
    if best is None or not hits[best]:
        raise DataError(_nothing_found(table, photos, there, name))
    column, folder = best
    found = ids_of(table, column, folder, _also(hits, best))
    _require_header(column, folder, name)
    if found.n_found < found.n:
        _require_here(table, found, there, name)
    return found


def ids_of(table: pd.DataFrame, column: str, folder: Path, others: Sequence[str] = ()) -> Ids:
    """The ids of a known column in a known folder."""
    ids = _distinct(table[column])
    n_found = _n_found(folder, ids)
    return Ids(column, folder, len(ids), n_found, _extension(folder, ids), tuple(others))


def _also(hits: dict[tuple[str, Path], int], best: tuple[str, Path]) -> list[str]:
    return [
        column
        for (column, folder), n in hits.items()
        if folder == best[1] and column != best[0] and 2 * n > hits[best]
    ]


def _folders(photos: Path, there: Sequence[Path]) -> list[Path]:
    """Where ids may start: here, in a folder below, or above (`shelter/photos/cat.jpg`)."""
    below = [folder for folder, _ in Counter(path.parent for path in there).most_common(BELOW)]
    return [*dict.fromkeys([photos, *below]), *photos.absolute().parents[:ABOVE]]


def _require_header(column: str, folder: Path, name: str) -> None:
    if is_photo_id(column) and _n_found(folder, [column]):
        raise DataError(
            f"{name}: its first line names a photo, {column}; put a line of column names above it"
        )


def _require_here(table: pd.DataFrame, found: Ids, there: Sequence[Path], name: str) -> None:
    """Ids without a photo must not be those of photos in other folders: rows would be lost."""
    ids = _distinct(table[found.column])
    lacking = {path.name for path in find_photos(found.folder, ids, found.extension).missing}
    elsewhere = [path for path in there if path.parent != found.folder]
    named = [path for path in elsewhere if {path.name, path.stem} & lacking]
    if named:
        raise DataError(
            f"{name}: {found.column} names photos of several folders, {offenders(named)} besides"
            f" those in {found.folder}; let ids begin with the folder, such as"
            f" {named[0].parent.name}/{named[0].name}, or put the photos into one"
        )


def _distinct(cells: pd.Series) -> list[str]:
    return [value for value in dict.fromkeys(cells) if is_photo_id(value)]


def _some(values: list[str]) -> list[str]:
    rows = np.linspace(0, len(values) - 1, min(len(values), SAMPLE)).astype(int)
    return [values[row] for row in rows]


def _n_found(folder: Path, ids: list[str]) -> int:
    return len(ids) - len(find_photos(folder, ids, None).missing)


def _extension(folder: Path, ids: list[str]) -> str | None:
    """The one that finds a photo for each id, where a name alone fits several."""
    found = find_photos(folder, ids, None)
    if not found.problems:
        return None
    endings = dict.fromkeys(path.suffix for path in list_photos(folder).photos)
    alone = [e for e in endings if not find_photos(folder, ids, e).missing]
    return alone[0] if alone else None


def _nothing_found(table: pd.DataFrame, photos: Path, there: Sequence[Path], name: str) -> str:
    called = [path.relative_to(photos) for path in there[:SHOWN]]
    row = [f"{column}: {table[column].iloc[0]}" for column in names_of(table)]
    return (
        f"{name}: no column names photos of {photos}: its first row is {offenders(row)}, photos"
        f" are called {offenders(called)}; give a table with a column of their names, or another"
        " folder"
    )
