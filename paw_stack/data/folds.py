"""Folds: stratified on the binned target, duplicate groups kept together, deterministic."""

import math
from dataclasses import dataclass

import numpy as np

from paw_stack.errors import DataError


@dataclass(frozen=True)
class Folds:
    """Which fold holds a row out, and which rows must stay together."""

    fold_of: np.ndarray  # (n,) int64, 0..n_folds-1
    group_of: np.ndarray  # (n,) int64

    @property
    def n(self) -> int:
        return int(self.fold_of.max()) + 1

    def fit_rows(self, fold: int) -> np.ndarray:
        """Rows (n_fit,) that fold `fold` may learn from."""
        return np.flatnonzero(self.fold_of != fold)

    def held_out_rows(self, fold: int) -> np.ndarray:
        """Rows (n_held_out,) that fold `fold` never sees."""
        return np.flatnonzero(self.fold_of == fold)


def make_folds(
    target: np.ndarray, group_of: np.ndarray, n: int, bins: int | None, seed: int
) -> Folds:
    """Deal groups of rows into `n` folds with alike targets.

    A group counts as one row with its mean target, so that folds differ by at most one group.

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
            f"folds.n: {n} folds need at least {n} rows that are no duplicates of each other,"
            f" found {len(groups)}; lower folds.n"
        )
    mean = np.bincount(row_group, target) / np.bincount(row_group)
    wanted = bins or 1 + math.ceil(math.log2(len(groups)))
    order = np.random.default_rng(seed).permutation(len(groups))
    fold_of_group = _deal(_bin(mean, wanted), order, n)
    return Folds(fold_of_group[row_group].astype(np.int64), np.asarray(group_of, dtype=np.int64))


def _bin(values: np.ndarray, bins: int) -> np.ndarray:
    """Bin number (n,) of each value between equally spaced quantiles."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1]))
    return np.searchsorted(edges, values, side="right")


def _deal(bin_of: np.ndarray, order: np.ndarray, n: int) -> np.ndarray:
    """Shuffle inside each bin, line the bins up and deal the line out like cards.

    scikit-learn's StratifiedKFold warns on bins smaller than `n` and lets fold sizes differ by more
    than one; one continuous deal does neither.
    """
    line = order[np.argsort(bin_of[order], kind="stable")]
    fold_of = np.empty(len(line), dtype=np.int64)
    fold_of[line] = np.arange(len(line)) % n
    return fold_of
