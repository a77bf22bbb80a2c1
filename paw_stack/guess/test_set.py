"""Photos to be scored that lie beside the labelled ones: their table, their folder, an order."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from paw_stack.data.tables import read_table
from paw_stack.errors import DataError
from paw_stack.guess.photos import Ids, ids_of
from paw_stack.guess.scale import names_of

NONE = "there is no table of photos without a score beside"
ENDINGS = (".csv", ".tsv", ".txt", ".xlsx", ".parquet", ".json", ".jsonl")


@dataclass(frozen=True)
class TestSet:
    """Rows without a score; `None` for what is not there."""

    __test__ = False  # pytest takes the name for its own

    table: Path | None = None
    images: Path | None = None
    submission: Path | None = None  # a sample of it
    columns: tuple[str, ...] = ()  # of the table
    submitted: tuple[str, ...] = ()  # columns of the submission
    why: str = NONE


def find_test(
    table: Path, photos: Path, id_column: str, images: Path | None, test: Path | None
) -> TestSet:
    """What the user names, or what is called `test` beside the labelled table and photos.

    Args:
        table: the labelled one.
        photos: the folder of its ids.
        images: folder of the test photos, if given.
        test: their table, if given.

    Raises:
        DataError: what was given is not there or does not fit together.
    """
    path = test or _beside(table)
    if path is None:
        return TestSet(why=f"no table of {images}, which is scored by name" if images else NONE)
    problems: list[str] = []
    rows = read_table(path, [id_column], problems)
    ids = None if problems else _ids(rows, id_column, _folders(photos, path, images))
    if ids is None or ids.n_found < ids.n:
        lacking = problems[0] if ids is None else _lacking(path, ids)
        if test or images:
            raise DataError(problems or lacking)
        return TestSet(why=f"left alone, {lacking}")
    submission, submitted = _sample(path.parent, id_column, set(rows[id_column]))
    why = "as you said" if test else f"lies beside, and {ids.n} photos of it are there"
    return TestSet(path, ids.folder, submission, tuple(names_of(rows)), submitted, why)


def _beside(table: Path) -> Path | None:
    stems = dict.fromkeys([table.stem.replace("train", "test"), "test"])
    found = [
        path
        for stem in stems
        for ending in dict.fromkeys([table.suffix, *ENDINGS])
        if (path := table.with_name(f"{stem}{ending}")).is_file()
    ]
    return next((path for path in found if path != table), None)


def _folders(photos: Path, table: Path, images: Path | None) -> list[Path]:
    if images:
        return [images]
    named = [photos.with_name(photos.name.replace("train", "test")), photos.with_name("test")]
    return [*dict.fromkeys([*named, table.with_name("test"), photos])]


def _ids(rows: pd.DataFrame, column: str, folders: list[Path]) -> Ids:
    """In the folder that has most of them; none of them is given twice."""
    return max((ids_of(rows, column, folder) for folder in folders), key=lambda ids: ids.n_found)


def _lacking(path: Path, ids: Ids) -> str:
    return f"{path}: {ids.n - ids.n_found} of {ids.n} ids have no photo in {ids.folder}"


def _sample(folder: Path, id_column: str, ids: set[str]) -> tuple[Path | None, tuple[str, ...]]:
    """A sample submission of just these ids, and its columns."""
    path = folder / "sample_submission.csv"
    if not path.is_file():
        return None, ()
    table = read_table(path, [id_column], [])
    if id_column not in table or set(table[id_column]) != ids:
        return None, ()
    return path, tuple(names_of(table))
