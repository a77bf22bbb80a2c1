"""Folds: stratified on the binned target, groups of rows kept together, deterministic; or given.

scikit-learn's StratifiedGroupKFold lets fold sizes drift apart and StratifiedKFold warns on bins with
fewer rows than folds. Dealing groups like cards, each to the fold with the fewest rows, does neither.
"""  # noqa: E501

import heapq
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from paw_stack.data.groups import straddling
from paw_stack.data.tables import as_known, id_problems, read_table
from paw_stack.data.target import DIGITS, TargetScale
from paw_stack.errors import DataError, offenders
from paw_stack.metrics import finer

# Fold means farther from the mean of all targets than this many standard errors are remarked on.
MEAN_TOLERANCE = 3.0
LARGE = 2.0  # even folds: a group that is larger is remarked on
FEWEST_PICTURES = 2  # that a fold learns from


@dataclass(frozen=True)
class Folds:
    """Fold that holds each row out, and group of the rows that must stay together."""

    fold_of: np.ndarray  # (n,) int64, 0..n_folds-1
    group_of: np.ndarray  # (n,) int64

    @property
    def n(self) -> int:
        return int(self.fold_of.max()) + 1

    @property
    def grouped(self) -> bool:
        """Whether some rows must stay together."""
        return len(np.unique(self.group_of)) < len(self.group_of)

    def training_rows(self, fold: int) -> np.ndarray:
        """Rows (n_fit,) that fold `fold` may learn from."""
        return np.flatnonzero(self.fold_of != fold)

    def held_out_rows(self, fold: int) -> np.ndarray:
        """Rows (n_held_out,) that fold `fold` never sees."""
        return np.flatnonzero(self.fold_of == fold)


def make_folds(
    target: np.ndarray, group_of: np.ndarray, n: int, bins: int | None, seed: int
) -> Folds:
    """Deal groups of rows into `n` folds with alike targets.

    Fold sizes, in rows, differ by no more than the largest group. A group's target is its mean.

    Args:
        target: (n_rows,) float, points.
        group_of: (n_rows,) int; rows with the same number share a fold.
        bins: target bins; None takes Sturges' rule, 1 + log2(groups).

    Raises:
        DataError: fewer groups than folds.
    """
    groups, row_group = np.unique(group_of, return_inverse=True)
    if len(groups) < n:
        raise DataError(
            f"folds.n: {n} folds need at least {n} groups of rows (near-duplicates, and photos of"
            f" one data.group, are one), found {len(groups)} in {len(group_of)} rows; lower folds.n"
        )
    size = np.bincount(row_group)
    mean = np.bincount(row_group, target) / size
    wanted = bins or 1 + math.ceil(math.log2(len(groups)))
    order = np.random.default_rng(seed).permutation(len(groups))
    fold_of_group = _deal(_line(_bin(mean, wanted), size, order, n), size, n)
    return Folds(fold_of_group[row_group], np.asarray(group_of, dtype=np.int64))


def read_folds(
    path: Path, ids: np.ndarray, group_of: np.ndarray, label: np.ndarray | None = None
) -> Folds:
    """Folds of a CSV with columns Id and fold (0, 1, ...), such as a run's `folds.csv`.

    Args:
        group_of: (n,) int, rows that must share a fold.
        label: (n,) str of `data.group`, which is why some of them must; '' joins none.

    Raises:
        DataError: ids that are missing, double or unknown, folds that are no whole numbers from 0
            or leave one empty, a group in two folds. All of them at once.
    """
    problems: list[str] = []
    table = read_table(path, ["Id", "fold"], problems, "see folds.file")
    if problems:
        raise DataError(problems)
    table["Id"] = as_known(table["Id"], ids)
    problems = id_problems(table["Id"], ids, "fold")
    number = pd.to_numeric(table["fold"], errors="coerce")
    used = set(number.dropna())
    if number.isna().any() or len(used) < 2 or used != set(range(len(used))):
        found = offenders(table["fold"].drop_duplicates())
        problems.append(f"folds are {found}; expected whole numbers 0, 1, ... without a gap")
    if problems:
        raise DataError([f"{path}: {problem}" for problem in problems])
    fold_of = number.set_axis(table["Id"]).reindex(ids).to_numpy(dtype=np.int64)
    _require_whole_groups(path, ids, fold_of, group_of, label)
    return Folds(fold_of, np.asarray(group_of, dtype=np.int64))


def require_pictures(folds: Folds) -> None:
    """See that every fold learns from two pictures or more: its rows' blend is nested once more.

    Raises:
        DataError: the training rows of a fold are one group, or one row.
    """
    if few := lone_pictures(folds):
        raise DataError(
            f"folds: {len(folds.fold_of)} labelled rows in {folds.n} folds leave a single picture"
            f" to learn from in folds {offenders(few)}; every fold needs {FEWEST_PICTURES} that are"
            " neither duplicates of each other nor of one data.group: label more photos, or raise"
            " folds.n to 3 where there are as many pictures"
        )


def lone_pictures(folds: Folds) -> list[int]:
    """The folds that learn from a single group of rows."""
    return [
        fold
        for fold in range(folds.n)
        if len(np.unique(folds.group_of[folds.training_rows(fold)])) < FEWEST_PICTURES
    ]


def imbalance(folds: Folds, target: np.ndarray) -> list[str]:
    """Say what is uneven, a sentence each; folds of `make_folds` are so only for rare scores."""
    sizes = np.bincount(folds.fold_of)
    largest = int(np.bincount(np.unique(folds.group_of, return_inverse=True)[1]).max())
    found = large_group(folds)
    if sizes.max() - sizes.min() > largest:
        found.append(f"fold sizes run from {sizes.min()} to {sizes.max()} rows")
    means = np.bincount(folds.fold_of, target) / sizes
    far = np.abs(means - target.mean()) > MEAN_TOLERANCE * target.std() / np.sqrt(sizes)
    few = 2 + finer(float(target.std()))
    found += [
        f"fold {fold} has a mean target of {means[fold]:.{few}f}, all rows {target.mean():.{few}f}"
        for fold in np.flatnonzero(far)
    ]
    return found + [
        f"all rows that fold {fold} learns from have the score {level:g}, so its models predict"
        f" nothing else, and its {sizes[fold]} held-out rows are scored by that"
        for fold in range(folds.n)
        if np.ptp(fit := target[folds.training_rows(fold)]) == 0
        for level in fit[:1]
    ]


def _bin(values: np.ndarray, bins: int) -> np.ndarray:
    """Bin number (n,) of each value between equally spaced quantiles."""
    scaled = TargetScale.of(values).standardised(values)
    quantiles = np.quantile(scaled, np.linspace(0, 1, bins + 1)[1:-1])
    edges = np.unique(np.round(quantiles, DIGITS))  # one that falls on a value is that value
    return np.searchsorted(edges, scaled, side="right")


def _line(bin_of: np.ndarray, size: np.ndarray, order: np.ndarray, n: int) -> np.ndarray:
    """Groups (g,) in the order of dealing.

    Large groups come first, since single rows can still even them out; then as many singles from
    anywhere as that takes; then all others bin by bin, so that each bin spreads over all folds.
    """
    by_bin = order[np.argsort(bin_of[order], kind="stable")]
    large = by_bin[size[by_bin] > 1]
    large = large[np.argsort(-size[large], kind="stable")]
    rows = np.bincount(_deal(large, size, n)[large], size[large], minlength=n)
    needed = int(rows.max() * n - rows.sum())
    fill = order[size[order] == 1][:needed]
    rest = by_bin[(size[by_bin] == 1) & ~np.isin(by_bin, fill)]
    return np.concatenate([large, fill, rest])


def _deal(line: np.ndarray, size: np.ndarray, n: int) -> np.ndarray:
    """Fold (g,) int64 of each group: each in its turn goes to the fold with the fewest rows.

    Among equals, the fold that has waited longest. Groups that are not in `line` get -1.
    """
    fold_of = np.full(len(size), -1, dtype=np.int64)
    waiting = [(0, turn, turn) for turn in range(n)]  # rows, last turn, fold
    for turn, group in enumerate(line.tolist(), start=n):
        rows, _, fold = waiting[0]
        fold_of[group] = fold
        heapq.heapreplace(waiting, (rows + int(size[group]), turn, fold))
    return fold_of


def large_group(folds: Folds) -> list[str]:
    """A sentence where one group is much larger than a fold should be."""
    share = np.unique(folds.group_of, return_counts=True)[1].max() / len(folds.fold_of)
    if share <= min(0.5, LARGE / folds.n):
        return []
    return [
        f"one group holds {share:.0%} of the rows, so the fold that holds it out is as large and"
        f" its models learn from the other {1 - share:.0%}; more groups, or smaller ones, tell more"
    ]


def _require_whole_groups(
    path: Path,
    ids: np.ndarray,
    fold_of: np.ndarray,
    group_of: np.ndarray,
    label: np.ndarray | None,
) -> None:
    problems, named = [], np.zeros(len(ids), bool)
    if label is not None and (named := straddling(fold_of, label) & (label != "")).any():
        problems.append(
            f"{path}: photos of one data.group in different folds:"
            f" {offenders(np.unique(label[named]))}, which are {offenders(ids[named])}; put each"
            " group into one fold, or set data.group: null"
        )
    near = straddling(fold_of, group_of) & ~np.isin(group_of, group_of[named])
    if near.any():
        problems.append(
            f"{path}: near-duplicates in different folds: {offenders(ids[near])}; put each group,"
            " with all photos of its data.group, into one fold, or set data.duplicates: keep"
        )
    if problems:
        raise DataError(problems)
