"""Tables and image paths of a competition, checked: Kaggle's layout or any table of photos.

Enters: the `data` section. Leaves: a `Competition` whose every id, number and path is known to be
sound; or one `DataError` with all problems of both tables.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from paw_stack.config import DataSection
from paw_stack.data.label_noise import RatingNoise, rating_noise
from paw_stack.data.tables import double_ids, read_table
from paw_stack.data.tables.scores import form_remarks, numeric_column, scored
from paw_stack.errors import DataError, offenders

LONGEST_ID = 200  # bytes; file systems take 255 with the extension


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
    score_variance: np.ndarray | None = None  # (n,) float64, points^2, of a row's mean score
    variance_error: float = math.inf  # standard error of the log of its mean
    remarks: tuple[str, ...] = ()  # how tables were read, rows that were left out or averaged

    @property
    def rating_noise(self) -> RatingNoise | None:
        """The noise of the labels, where raters tell it."""
        return rating_noise(self.score_variance, self.variance_error)

    def take(self, labelled: np.ndarray, test: np.ndarray) -> "Competition":
        """Only these labelled and these test rows; the submission keeps all of its own."""
        variance = self.score_variance
        return replace(
            self,
            labelled=self.labelled.take(labelled),
            test=self.test.take(test),
            target=self.target[labelled],
            classes=None if self.classes is None else self.classes[labelled],
            score_variance=None if variance is None else variance[labelled],
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
    spread = [column for column in (data.score_sd, data.score_n) if column]
    wanted = [data.id, data.target, *data.metadata, *([auxiliary] if auxiliary else [])]
    labelled = read_rows(data, data.labelled, [*wanted, *spread], problems)
    test = read_rows(data, data.test, [data.id, *data.metadata], problems)
    if problems:
        raise DataError(problems)
    known = scored(data, labelled, wanted, problems)
    labelled = known.table
    remarks = list(known.remarks)
    competition = Competition(
        labelled=_rows(data, data.labelled, labelled, data.labelled_images, problems),
        test=_rows(data, data.test or "", test, data.test_images, problems),
        target=known.target,
        bounds=data.limits,
        submission_ids=_submission_ids(data, test[data.id], problems, remarks),
        classes=labelled[auxiliary].to_numpy(dtype=str) if auxiliary else None,
        score_variance=known.variance,
        variance_error=known.variance_error,
    )
    remarks += [*form_remarks(data.labelled, labelled), *form_remarks(data.test or "", test)]
    if problems:
        guessed = [remark for remark in remarks if "(a guess)" in remark]
        raise DataError([*problems, *guessed])
    return replace(competition, remarks=tuple(remarks))


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
    bad = [i for i in ids if not is_file_name(i)]
    if bad:
        problems.append(f"{name}: ids that cannot be file names: {offenders(bad)}")
        return Rows(ids, (), np.empty((0, 0)))
    if double := double_ids(table[data.id]):
        cure = "; where rows are raters, set data.raters: average" if name == data.labelled else ""
        problems.append(f"{name}: ids that occur more than once: {offenders(double)}{cure}")
    paths = tuple(data.root / folder / f"{i}{data.extension}" for i in ids)
    missing = [path for path in paths if not path.is_file()]
    if missing and (data.unreadable == "error" or len(missing) == len(paths)):
        problems.append(
            f"{name}: photos that do not exist: {offenders(missing)};"
            " see data.labelled_images, data.test_images and data.extension"
        )
    numbers = [numeric_column(name, table, data.id, column, problems) for column in data.metadata]
    return Rows(ids, paths, np.column_stack(numbers) if numbers else np.empty((len(ids), 0)))


def is_file_name(text: str) -> bool:
    plain = text.isprintable() and not set(text) & set('/\\:*?"<>|')
    return plain and 0 < len(text.encode()) <= LONGEST_ID and text.strip(" .") != ""


def _submission_ids(
    data: DataSection, test_ids: pd.Series, problems: list[str], remarks: list[str]
) -> np.ndarray:
    if data.test is None or data.sample_submission is None:
        return test_ids.to_numpy(dtype=str)
    before = len(problems)
    sample = read_rows(data, data.sample_submission, [data.id, data.target], problems)
    if len(problems) > before:
        return np.empty(0, dtype=str)
    remarks += form_remarks(data.sample_submission, sample)
    lacking = sorted(set(test_ids) - set(sample[data.id]))
    extra = sorted(set(sample[data.id]) - set(test_ids))
    for what, ids in (("lacks", lacking), ("has unknown", extra)):
        if ids:
            problems.append(f"{data.sample_submission}: {what} test ids {offenders(ids)}")
    if double := double_ids(sample[data.id]):
        problems.append(f"{data.sample_submission}: ids more than once: {offenders(double)}")
    return sample[data.id].to_numpy(dtype=str)
