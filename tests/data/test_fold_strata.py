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
    """Twenty pairs of fives between ten fours and ten nines: the edge of two bins is a five.

    By the pairs' sums it would be above the nines, and these in one bin with the fours.
    """
    target = np.r_[np.repeat([4.0, 9.0], 10), np.full(40, 5.0)]
    group_of = np.r_[np.arange(20), np.repeat(np.arange(20, 40), 2)]
    for seed in range(3):
        fold_of = make_folds(target, group_of, 5, 2, seed).fold_of
        assert (counts(np.repeat([0, 1], 10), fold_of[:20]) == 2).all()


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
