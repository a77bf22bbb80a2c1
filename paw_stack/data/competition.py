"""Tables and image paths of a competition, checked: Kaggle's layout or any CSV of photos.

Enters: the `data` section. Leaves: a `Competition` whose every id, number and path is known to be
sound; or one `DataError` with all problems of both tables.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from paw_stack.config import DataSection
from paw_stack.data.images.reading import find_photos, is_photo_id
from paw_stack.data.tables import double_ids, read_table
from paw_stack.errors import DataError, offenders


@dataclass(frozen=True)
class Rows:
    """Photos in table order."""

    ids: np.ndarray  # (n,) str
    paths: tuple[Path, ...]  # n files
    metadata: np.ndarray  # (n, n_metadata) float64

    def take(self, rows: np.ndarray) -> "Rows":
        """Only these rows (k,), in this order."""
        return Rows(self.ids[rows], tuple(self.paths[r] for r in rows), self.metadata[rows])


@dataclass(frozen=True)
class Competition:
    """Labelled rows with their target in points, and test rows without one."""

    labelled: Rows
    test: Rows
    target: np.ndarray  # (n,) float64, points
    bounds: tuple[float, float]  # points, infinite where there is none
    submission_ids: np.ndarray  # (m,) str, the order that the submission must have
    classes: np.ndarray | None = None  # (n,) str, of the auxiliary column; '' is unknown

    def take(self, labelled: np.ndarray, test: np.ndarray) -> "Competition":
        """Only these labelled and these test rows; the submission keeps all of its own."""
        return replace(
            self,
            labelled=self.labelled.take(labelled),
            test=self.test.take(test),
            target=self.target[labelled],
            classes=None if self.classes is None else self.classes[labelled],
        )


def load_competition(data: DataSection, auxiliary: str | None = None) -> Competition:
    """Read and check both tables; `auxiliary` names a further column of the labelled one.

    Raises:
        DataError: missing files, columns or (unless `data.unreadable` is drop) photos; ids that are
            double or no file names; targets that are no numbers, missing or outside the bounds. All
            of them at once.
    """
    if not data.root.is_dir():
        raise DataError(f"data.root: no folder {data.root}; set data.root to the competition's")
    problems: list[str] = []
    wanted = [data.id, data.target, *data.metadata, *([auxiliary] if auxiliary else [])]
    labelled = read_rows(data, data.labelled, wanted, problems)
    test = read_rows(data, data.test, [data.id, *data.metadata], problems)
    if problems:
        raise DataError(problems)
    competition = Competition(
        labelled=_rows(data, data.labelled, labelled, data.labelled_images, problems),
        test=_rows(data, data.test or "", test, data.test_images, problems),
        target=_target(data, labelled, problems),
        bounds=data.limits,
        submission_ids=_submission_ids(data, test[data.id], problems),
        classes=labelled[auxiliary].to_numpy(dtype=str) if auxiliary else None,
    )
    if problems:
        raise DataError(problems)
    return competition


def read_rows(
    data: DataSection, name: str | None, columns: list[str], problems: list[str]
) -> pd.DataFrame:
    """A table of `data`, with at least one row; an empty one where there is none."""
    if name is None:
        return pd.DataFrame({column: [] for column in columns}, dtype=str)
    path, before = data.root / name, len(problems)
    table = read_table(path, columns, problems, "see the data section")
    if len(problems) == before and not len(table):
        problems.append(f"{path}: holds no rows")
    return table


def _rows(
    data: DataSection, name: str, table: pd.DataFrame, folder: str, problems: list[str]
) -> Rows:
    ids = table[data.id].to_numpy(dtype=str)
    if bad := [i for i in ids if not is_photo_id(i)]:
        problems.append(f"{name}: ids that cannot be file names: {offenders(bad)}")
        return Rows(ids, (), np.empty((0, 0)))
    if double := double_ids(table[data.id]):
        problems.append(f"{name}: ids that occur more than once: {offenders(double)}")
    found = find_photos(data.root / folder, ids.tolist(), data.extension)
    problems += [f"{name}: {problem}" for problem in found.problems]
    missing = found.missing
    if missing and (data.unreadable == "error" or len(missing) == len(ids)):
        problems.append(
            f"{name}: photos that do not exist: {offenders(missing)};"
            " see data.labelled_images, data.test_images and data.extension"
        )
    numbers = [_numbers(name, table, data.id, column, problems) for column in data.metadata]
    return Rows(ids, found.paths, np.column_stack(numbers) if numbers else np.empty((len(ids), 0)))


def _numbers(
    name: str, table: pd.DataFrame, id_column: str, column: str, problems: list[str]
) -> np.ndarray:
    numbers = pd.to_numeric(table[column], errors="coerce").to_numpy(dtype=np.float64)
    bad = ~np.isfinite(numbers)
    if bad.any():
        problems.append(
            f"{name}: column {column} holds no finite number for ids"
            f" {offenders(table[id_column][bad])}; first found {table[column][bad].iloc[0]!r}"
        )
    return numbers


def _target(data: DataSection, table: pd.DataFrame, problems: list[str]) -> np.ndarray:
    target = _numbers(data.labelled, table, data.id, data.target, problems)
    low, high = data.limits
    outside = (target < low) | (target > high)
    if outside.any():
        problems.append(
            f"{data.labelled}: {data.target} outside data.bounds [{low:g}, {high:g}] for ids"
            f" {offenders(table[data.id][outside])}; first found {target[outside][0]:g}"
        )
    if len(target) > 1 and np.isfinite(target).all() and np.ptp(target) == 0:
        problems.append(
            f"{data.labelled}: {data.target} is {target[0]:g} for all rows: nothing can be learned"
        )
    return target


def _submission_ids(data: DataSection, test_ids: pd.Series, problems: list[str]) -> np.ndarray:
    if data.test is None or data.sample_submission is None:
        return test_ids.to_numpy(dtype=str)
    before = len(problems)
    sample = read_rows(data, data.sample_submission, [data.id, data.target], problems)
    if len(problems) > before:
        return np.empty(0, dtype=str)
    lacking = sorted(set(test_ids) - set(sample[data.id]))
    extra = sorted(set(sample[data.id]) - set(test_ids))
    for what, ids in (("lacks", lacking), ("has unknown", extra)):
        if ids:
            problems.append(f"{data.sample_submission}: {what} test ids {offenders(ids)}")
    if double := double_ids(sample[data.id]):
        problems.append(f"{data.sample_submission}: ids more than once: {offenders(double)}")
    return sample[data.id].to_numpy(dtype=str)
