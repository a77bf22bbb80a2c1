"""Which column of a table names photos, and in which folder they lie."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from paw_stack.data.images.reading import find_photos, is_hidden, is_photo_id, list_photos
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
        photos: the folder that was given; the one around it and those in it are tried too.
        name: of the table, for messages.

    Raises:
        DataError: no value of any column names a photo.
    """
    if not photos.is_dir():
        raise DataError(
            f"{photos}: no such folder; give the folder of the photos first, then the table"
        )
    hits = {
        (column, folder): _n_found(folder, _some(_distinct(table[column])))
        for folder in _folders(photos)
        for column in names_of(table)
    }
    best = max(hits, key=lambda place: hits[place], default=None)
    if best is None or not hits[best]:
        raise DataError(_nothing_found(table, photos, name))
    column, folder = best
    return ids_of(table, column, folder, _also(hits, best))


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


def _folders(photos: Path) -> list[Path]:
    """Where ids may start: here, in a folder below, or above (`shelter/photos/cat.jpg`)."""
    below = sorted(p for p in photos.iterdir() if p.is_dir() and not is_hidden(p.name))
    return [photos, *below[:BELOW], *photos.absolute().parents[:ABOVE]]


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


def _nothing_found(table: pd.DataFrame, photos: Path, name: str) -> str:
    there = [path.relative_to(photos) for path in list_photos(photos).photos]
    if not there:
        return f"{photos}: holds no photos; give the folder of the photos"
    first = (
        [f"{column}: {table[column].iloc[0]}" for column in names_of(table)] if len(table) else []
    )
    return (
        f"{name}: no column names photos of {photos}: its first row is {offenders(first)}, photos"
        f" are called {offenders(there[:SHOWN])}; give a table with a column of their names, or"
        " another folder"
    )
