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
from paw_stack.data.groups import group_labels, shared_sentence
from paw_stack.data.images.reading import find_photos, is_photo_id
from paw_stack.data.label_noise import RatingNoise, rating_noise
from paw_stack.data.tables import double_ids, read_numbers, read_table
from paw_stack.data.tables.form import normal
from paw_stack.data.tables.scores import form_remarks, numeric_column, scored
from paw_stack.errors import DataError, offenders
from paw_stack.metrics import taken

MOST_UNLIKE = 1e6  # the largest weight over the smallest


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
    # (n,) float64 above 0, on average 1 over the rows that take part; None: each counts once
    weight: np.ndarray | None = None
    fold_by: np.ndarray | None = None  # (n,) float64 that folds spread evenly; None: the target
    remarks: tuple[str, ...] = ()  # how tables were read, rows that were left out or averaged
    group: np.ndarray | None = None  # (n,) str, whose photos share a fold; '' joins none

    @property
    def rating_noise(self) -> RatingNoise | None:
        """The noise of the labels, where raters tell it."""
        return rating_noise(self.score_variance, self.variance_error, self.weight)

    def take(self, labelled: np.ndarray, test: np.ndarray) -> "Competition":
        """Only these labelled and these test rows; the submission keeps all of its own."""
        return replace(
            self,
            labelled=self.labelled.take(labelled),
            test=self.test.take(test),
            target=self.target[labelled],
            classes=None if self.classes is None else self.classes[labelled],
            score_variance=taken(self.score_variance, labelled),
            weight=taken(self.weight, labelled),
            fold_by=taken(self.fold_by, labelled),
            group=taken(self.group, labelled),
        )


def load_competition(
    data: DataSection, auxiliary: str | None = None, fold_by: str | None = None
) -> Competition:
    """Read and check both tables.

    Args:
        auxiliary: a further column of the labelled table.
        fold_by: a numeric one, that folds spread evenly in place of the target.

    Raises:
        DataError: missing files, columns or (unless `data.unreadable` is drop) photos; ids that are
            double or no file names; targets that are no numbers, missing or outside the bounds;
            weights that are no numbers above 0. All of them at once.
    """
    if not data.root.is_dir():
        raise DataError(f"data.root: no folder {data.root}; set data.root to the competition's")
    problems: list[str] = []
    fold_by = None if fold_by == data.target else fold_by
    own = [column for column in (auxiliary, data.weight, data.group) if column]
    further = [column for column in (data.score_sd, data.score_n, fold_by) if column]
    wanted = [data.id, data.target, *data.metadata, *own]
    labelled = read_rows(data, data.labelled, [*wanted, *further], problems)
    test = read_rows(data, data.test, [data.id, *data.metadata], problems)
    if problems:
        raise DataError(problems)
    known = scored(data, labelled, wanted, problems)
    spread = _fold_by(data, fold_by, labelled, known.table, problems) if fold_by else None
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
        weight=_weight(data, labelled, problems) if data.weight else None,
        fold_by=spread,
        group=group_labels(labelled[data.group]) if data.group else None,
    )
    remarks += _shared_groups(data, competition.group, test)
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
    if bad := [i for i in ids if not is_photo_id(i)]:
        problems.append(f"{name}: ids that cannot be file names: {offenders(bad)}")
        return Rows(ids, (), np.empty((0, 0)))
    if double := double_ids(table[data.id]):
        cure = "; where rows are raters, set data.raters: average" if name == data.labelled else ""
        problems.append(f"{name}: ids that occur more than once: {offenders(double)}{cure}")
    found = find_photos(data.root / folder, ids.tolist(), data.extension)
    problems += [f"{name}: {problem}" for problem in found.problems]
    missing = found.missing
    if missing and (data.unreadable == "error" or len(missing) == len(ids)):
        problems.append(
            f"{name}: photos that do not exist: {offenders(missing)};"
            " see data.labelled_images, data.test_images and data.extension"
        )
    numbers = [numeric_column(name, table, data.id, column, problems) for column in data.metadata]
    return Rows(ids, found.paths, np.column_stack(numbers) if numbers else np.empty((len(ids), 0)))


def _weight(data: DataSection, table: pd.DataFrame, problems: list[str]) -> np.ndarray:
    assert data.weight is not None
    weight = numeric_column(data.labelled, table, data.id, data.weight, problems)
    found = weight_problems(data.weight, table[data.id], weight)
    problems += [f"{data.labelled}: data.weight: {problem}" for problem in found]
    return weight


def weight_problems(column: str, ids: pd.Series, weight: np.ndarray) -> list[str]:
    """Why numbers (n,) of a column can be no weights of the rows `ids`; NaN is told elsewhere."""
    low = weight <= 0
    if low.any():
        return [
            f"{column} is not above 0 for ids {offenders(ids[low])}; first found"
            f" {weight[low][0]:g}; leave out rows that shall not count"
        ]
    if np.isfinite(weight).all() and weight.max() > MOST_UNLIKE * weight.min():
        return [
            f"{column} runs from {weight.min():g} to {weight.max():g}; with a factor above"
            f" {MOST_UNLIKE:g} the light rows count for nothing: leave them out, or take a root or"
            " a logarithm"
        ]
    return []


def _fold_by(
    data: DataSection, column: str, given: pd.DataFrame, kept: pd.DataFrame, problems: list[str]
) -> np.ndarray:
    """The column's mean of each kept photo (n,); a photo without one gets that of all."""
    numbers = pd.Series(read_numbers(given[column]).array, index=given[data.id])
    mean = numbers.groupby(level=0).mean().reindex(kept[data.id])
    if mean.isna().all():
        problems.append(f"{data.labelled}: folds.by: {column} holds no number")
    return mean.fillna(mean.mean()).to_numpy(dtype=np.float64)


def _shared_groups(data: DataSection, group: np.ndarray | None, test: pd.DataFrame) -> list[str]:
    """A sentence where the test table has the column too, and groups of the labelled one."""
    column = normal(data.group or "")
    if data.group is None or group is None or column not in test:
        return []
    sentence = shared_sentence(data.group, group, group_labels(test[column]))
    return [sentence] if sentence else []


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
