"""The labelled table -> a score a photo: missing ones, several raters', and how noisy they are."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from paw_stack.config import DataSection
from paw_stack.data.groups import group_labels, joined
from paw_stack.data.label_noise import error_of_mean, variance_within
from paw_stack.data.tables.cells import FORM
from paw_stack.data.tables.numbers import (
    NO_BOUNDS,
    Numbers,
    is_missing,
    read_numbers,
    scores_key,
)
from paw_stack.errors import offenders

COMMAS = "commas"  # of a table's `attrs`: its columns with decimal commas


@dataclass(frozen=True)
class Scored:
    """Labelled photos, a row each."""

    table: pd.DataFrame
    target: np.ndarray  # (n,) float64, points
    remarks: tuple[str, ...] = ()
    variance: np.ndarray | None = None  # (n,) float64, points^2, of the target
    variance_error: float = math.inf  # standard error of the log of its mean


def scored(
    data: DataSection, table: pd.DataFrame, columns: list[str], problems: list[str]
) -> Scored:
    """Each photo once, with its score; what is wrong goes to `problems`.

    Args:
        table: of text cells, with at least one row.
        columns: that a photo's rows must agree in, but for the score.
    """
    table, remarks = _with_scores(data, table, problems)
    ratings = _ratings(data, table, problems)
    if data.raters == "average":
        known = _averaged(data, table, ratings, columns, problems)
    else:
        known = _published(data, table, ratings, problems)
    target = known.target
    if len(target) > 1 and np.isfinite(target).all() and np.ptp(target) == 0:
        problems.append(
            f"{data.labelled}: {data.target} is {target[0]:g} for all rows: nothing can be learned"
        )
    return Scored(
        known.table, target, (*remarks, *known.remarks), known.variance, known.variance_error
    )


def _with_scores(
    data: DataSection, table: pd.DataFrame, problems: list[str]
) -> tuple[pd.DataFrame, list[str]]:
    if data.missing_scores == "error" or not (missing := is_missing(table[data.target])).any():
        return table, []
    if missing.all():
        problems.append(f"{data.labelled}: {data.target} is missing for all rows")
    remark = f"{data.labelled}: {missing.sum()} of {len(table)} rows have no score and are left out"
    return table[~missing].reset_index(drop=True), [remark]


def _ratings(data: DataSection, table: pd.DataFrame, problems: list[str]) -> np.ndarray:
    """Scores (n,) as they stand in the table, within the bounds."""
    column = table[data.target]
    found = read_numbers(column, data.scores, data.limits)
    ratings, (low, high) = found.array, data.limits
    if (bad := ~np.isfinite(ratings)).any():
        key = scores_key(column[bad]) if data.scores == "number" else ""
        if is_missing(column[bad]).all():
            key = "set data.missing_scores: drop to leave such rows out"
        found = Numbers(ratings, found.commas, found.hint or key)
    _tell(data.labelled, table, data.id, data.target, found, problems)
    outside = (ratings < low) | (ratings > high)
    if outside.any():
        problems.append(
            f"{data.labelled}: {data.target} outside data.bounds [{low:g}, {high:g}] for ids"
            f" {offenders(table[data.id][outside])}; first found {ratings[outside][0]:g}"
        )
    return ratings


def _averaged(
    data: DataSection,
    table: pd.DataFrame,
    ratings: np.ndarray,
    columns: list[str],
    problems: list[str],
) -> Scored:
    """The mean of a photo's ratings; its variance is that of a rating, over how many there are."""
    photo_of, _ = pd.factorize(table[data.id])
    first = np.flatnonzero(~table[data.id].duplicated())
    for column in dict.fromkeys(columns):
        cells = table[column].to_numpy()
        if column != data.target and (differs := cells != cells[first][photo_of]).any():
            ids = table[data.id][differs].drop_duplicates()
            problems.append(
                f"{data.labelled}: rows of a photo differ in {column}: {offenders(ids)}"
            )
    photos = table.iloc[first].reset_index(drop=True)
    if len(first) == len(table) or not np.isfinite(ratings).all():
        return Scored(photos, ratings[first])
    count = np.bincount(photo_of)
    mean = np.bincount(photo_of, ratings) / count
    within = variance_within(ratings, photo_of, _drawn_with(data, photos))
    assert within is not None  # some photo has two rows
    remark = (
        f"{data.labelled}: {len(ratings):,} scores of {len(first):,} photos, from {count.min()} to"
        f" {count.max()} each, are averaged"
    )
    return Scored(photos, mean, (remark,), within[0] / count, within[1])


def _published(
    data: DataSection, table: pd.DataFrame, ratings: np.ndarray, problems: list[str]
) -> Scored:
    """Scores that are means already, with their SD and number of ratings where columns tell."""
    if not data.score_sd or not data.score_n:
        return Scored(table, ratings)
    spread, count = (
        numeric_column(data.labelled, table, data.id, column, problems)
        for column in (data.score_sd, data.score_n)
    )
    for column, values, lowest in ((data.score_sd, spread, 0), (data.score_n, count, 1)):
        if (low := values < lowest).any():
            problems.append(
                f"{data.labelled}: {column} below {lowest} for ids"
                f" {offenders(table[data.id][low])}; first found {values[low][0]:g}"
            )
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = spread**2 / count
    if not len(variance) or not np.isfinite(variance).all():
        return Scored(table, ratings)
    error = error_of_mean(variance, _drawn_with(data, table))
    return Scored(table, ratings, (), variance, error)


def _drawn_with(data: DataSection, table: pd.DataFrame) -> np.ndarray | None:
    """(n,) int, photos that chance draws together: those of one `data.group`."""
    if data.group is None:
        return None
    return joined(np.arange(len(table)), group_labels(table[data.group]))


def numeric_column(
    name: str, table: pd.DataFrame, id_column: str, column: str, problems: list[str]
) -> np.ndarray:
    """A column (n,) float64; NaN, and a problem, for what is no finite number."""
    found = read_numbers(table[column], "number", NO_BOUNDS)
    _tell(name, table, id_column, column, found, problems)
    return found.array


def _tell(
    name: str,
    table: pd.DataFrame,
    id_column: str,
    column: str,
    found: Numbers,
    problems: list[str],
) -> None:
    if found.commas:
        table.attrs[COMMAS] = [*table.attrs.get(COMMAS, []), column]
    bad = ~np.isfinite(found.array)
    if bad.any():
        cure = f"; {found.hint}" if found.hint else ""
        problems.append(
            f"{name}: column {column} holds no finite number for ids"
            f" {offenders(table[id_column][bad])}; first found {table[column][bad].iloc[0]!r}{cure}"
        )


def form_remarks(name: str, table: pd.DataFrame) -> list[str]:
    """One sentence on how a table was written, or none where it is plain."""
    form, commas = table.attrs.get(FORM, ""), table.attrs.get(COMMAS, [])
    if not form and not commas:
        return []
    decimals = f", decimal commas in {', '.join(dict.fromkeys(commas))}" if commas else ""
    return [f"{name}: read as {form or 'CSV'}{decimals}"]
