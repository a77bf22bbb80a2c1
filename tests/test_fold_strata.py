"""What folds are dealt by: bins of the target, a group's mean, large groups first."""

import numpy as np
import pytest

from paw_stack.data.folds import make_folds


def counts(bin_of: np.ndarray, fold_of: np.ndarray) -> np.ndarray:
    """(n_bins, n_folds): rows of a bin in a fold."""
    found = np.zeros((bin_of.max() + 1, fold_of.max() + 1), dtype=int)
    np.add.at(found, (bin_of, fold_of), 1)
    return found


@pytest.mark.parametrize("bins", [1, 2, 4, 10])
def test_every_bin_is_spread_over_all_folds(bins):
    """40 rows a bin in 4 folds: ten each, whatever the order of rows."""
    rng = np.random.default_rng(bins)
    bin_of = rng.permutation(np.repeat(np.arange(bins), 40))
    target = bin_of * 10 + rng.uniform(0, 5, len(bin_of))
    folds = make_folds(target, np.arange(len(target)), 4, bins, 0)
    found = counts(bin_of, folds.fold_of)
    assert (found == 10).all()
    finer = make_folds(target, np.arange(len(target)), 4, 1, 0).fold_of
    assert bins == 1 or (counts(bin_of, finer) != 10).any()


def test_a_groups_bin_is_that_of_its_mean():
    """Pairs from low to high: their sums would put them among the highest rows."""
    target = np.repeat(np.arange(40.0), 2)
    fold_of = make_folds(target, np.repeat(np.arange(40), 2), 2, 4, 0).fold_of
    assert (counts(np.repeat(np.arange(40) // 10, 2), fold_of) == 10).all()
    triples = np.repeat([0.0, 30.0], [60, 20])  # 20 groups of three low rows, 10 pairs of high ones
    group_of = np.r_[np.repeat(np.arange(20), 3), np.repeat(np.arange(20, 30), 2)]
    fold_of = make_folds(triples, group_of, 2, 2, 0).fold_of
    assert (counts((triples > 0).astype(int), fold_of) == [[30, 30], [10, 10]]).all()


def test_large_groups_leave_sizes_that_single_rows_make_even():
    """Dealt from the largest down, groups of 6, 5, 4, 3 and six single rows make three eights."""
    group_of = np.r_[np.repeat([0, 1, 2, 3], [3, 4, 5, 6]), np.arange(10, 16)]
    for seed in range(5):
        fold_of = make_folds(np.arange(24.0), group_of, 3, None, seed).fold_of
        assert np.bincount(fold_of).tolist() == [8, 8, 8]


def test_large_groups_leave_the_bins_spread():
    """One of 20 rows, and 100 single ones: its fold gets two of each bin, by chance."""
    target = np.r_[np.full(20, 50.0), np.repeat(np.arange(5.0), 20) * 20]
    group_of = np.r_[np.zeros(20, int), np.arange(1, 101)]
    beside = []
    for seed in range(20):
        fold_of = make_folds(target, group_of, 4, 5, seed).fold_of
        assert np.bincount(fold_of).tolist() == [30] * 4
        beside.append(counts(np.repeat(np.arange(5), 20), fold_of[20:])[:, fold_of[0]])
    assert np.mean(beside, axis=0) == pytest.approx(np.full(5, 2), abs=1)
