"""A notebook's photos, wherever they lie, and their scores -> a competition's folder, uncopied; a
table of metadata columns -> rows in the order of the photos.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from paw_stack.data.images.reading import is_file_name, nfc
from paw_stack.data.tables import double_ids, read_numbers, read_table
from paw_stack.data.tables.form import normal
from paw_stack.errors import DataError, offenders

WEIGHT, GROUPS = "sample_weight", "groups"  # columns of the table, as `fit` calls them


def write_listing(
    folder: Path,
    photos: Sequence[Path],
    scores: Sequence[float] | np.ndarray,
    metadata: pd.DataFrame | None = None,
    sample_weight: Sequence[float] | np.ndarray | None = None,
    groups: Sequence[Any] | np.ndarray | None = None,
) -> dict[str, Any]:
    """Write `train.csv` and links to the photos; returns what the `data` section says of them.

    An id is the photo's place in the list and its name: names may be double.

    Raises:
        DataError: no photos, or not as many of anything else as photos; no numbers; metadata whose
            names are taken.
    """
    columns = pd.DataFrame() if metadata is None else metadata.reset_index(drop=True)
    own = {"score": one_column(scores)}
    if sample_weight is not None:
        own[WEIGHT] = one_column(sample_weight, WEIGHT)
    if groups is not None:
        own[GROUPS] = pd.Series(list(groups), dtype=object).to_numpy()
    _require_fitting(len(photos), own, columns if metadata is not None else None)
    (folder / "train").mkdir(parents=True, exist_ok=True)
    for old in (folder / "train").iterdir():
        old.unlink()
    ids = [_id(number, photo) for number, photo in enumerate(photos)]
    for name, photo in zip(ids, photos, strict=True):
        _link(Path(os.path.realpath(photo)), folder / "train" / name)
    table = pd.concat([pd.DataFrame({"Id": ids, **own}), columns], axis=1)
    table.to_csv(folder / "train.csv", index=False)
    return {
        "root": str(folder),
        "test": None,
        "extension": "",
        "id": "Id",
        "target": "score",
        "metadata": [str(name) for name in columns],
        "weight": WEIGHT if WEIGHT in own else None,
        "group": GROUPS if GROUPS in own else None,
    }


def _require_fitting(n: int, own: Mapping[str, np.ndarray], metadata: pd.DataFrame | None) -> None:
    """See that all has a row a photo, and that no column would be there twice."""
    counts = {"photos": n, "scores": len(own["score"])}
    counts |= {what: len(column) for what, column in own.items() if what != "score"}
    if metadata is not None:
        counts["metadata rows"] = len(metadata)
    problems = []
    if len(set(counts.values())) > 1 or not n:
        found = ", ".join(f"{count} {what}" for what, count in counts.items())
        problems.append(f"expected as many scores as photos, and at least one; found {found}")
    names = [] if metadata is None else [normal(str(name)) for name in metadata]
    if taken := [name for name in names if name in {"Id", *own}]:
        problems.append(f"metadata: columns whose names are taken: {offenders(taken)}; rename them")
    if problems:
        raise DataError(problems)


def one_column(values: Sequence[float] | np.ndarray, what: str = "scores") -> np.ndarray:
    """Scores, or what they are called, as (n,) float64.

    Raises:
        DataError: they are no numbers, or a table of them.
    """
    try:
        found = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what}: {error}; give numbers") from None
    if found.ndim != 1:
        raise DataError(f"{what}: found an array of shape {found.shape}, expected one number each")
    return found


def _id(number: int, photo: Path) -> str:
    name = f"{number:06}-{photo.name}"
    return name if is_file_name(name) else f"{number:06}{photo.suffix}"


def _link(photo: Path, place: Path) -> None:
    try:
        place.symlink_to(photo)
    except OSError:  # Windows without the right to make links
        os.link(photo, place)


def photo_columns(
    source: Path,
    id_column: str,
    columns: Sequence[str],
    photos: Sequence[Path],
    extension: str | None = None,
) -> np.ndarray:
    """(n, n_columns) float64, one row a photo; NaN for what is no number, and where there is no row.

    An id is a photo's name, with or without its extension (or the run's own `extension`), alone or
    behind some or all of its folders: `cat`, `cat.jpg`, `shelter/cat.jpg`. The longest one counts,
    whatever its Unicode normalisation.

    Raises:
        DataError: no table, columns that it lacks or has twice, ids that are double; a row that is
            meant for several photos; a column whose commas may mean two things.
    """  # noqa: E501
    table = _read(source, [id_column, *columns])
    row_of = {nfc(name): row for row, name in enumerate(table[id_column])}
    rows = [
        next((row_of[name] for name in _names(photo, extension or "") if name in row_of), -1)
        for photo in photos
    ]
    _require_own_rows(source, table[id_column].tolist(), photos, rows)
    found = [_numbers(source, table, column) for column in columns]
    numbers = np.array(found, dtype=np.float64).reshape(len(columns), len(table)).T
    return np.vstack([numbers, np.full(len(columns), np.nan)])[rows]


def _numbers(source: Path, table: pd.DataFrame, column: str) -> np.ndarray:
    found = read_numbers(table[column])
    if found.hint:
        raise DataError(f"{source}: column {column}: {found.hint}")
    return found.array


def _names(photo: Path, extension: str) -> Iterator[str]:
    """What a table may call the photo, the longest first."""
    yield nfc(str(photo))
    parts = photo.absolute().parts[1:]
    for start in range(len(parts)):
        name = nfc("/".join(parts[start:]))
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
    problems: list[str] = []
    table = read_table(path, columns, problems)
    if not problems and (double := double_ids(table[columns[0]])):
        problems.append(f"{path}: ids that occur more than once: {offenders(double)}")
    if problems:
        raise DataError(problems)
    return table
