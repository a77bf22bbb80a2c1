"""Folds: groups stay together, sizes and targets are balanced, equal input gives equal folds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paw_stack.data.folds import make_folds
from paw_stack.errors import DataError


@settings(max_examples=200, deadline=None)
@given(data=st.data(), n=st.integers(2, 6), seed=st.integers(0, 5))
def test_a_group_never_straddles_folds_and_sizes_differ_by_one_group(data, n, seed):
    rows = data.draw(st.integers(n, 60))
    groups = np.array(data.draw(st.lists(st.integers(0, rows), min_size=rows, max_size=rows)))
    target = np.array(data.draw(st.lists(st.floats(1, 100), min_size=rows, max_size=rows)))
    if len(np.unique(groups)) < n:
        with pytest.raises(DataError, match="lower folds.n"):
            make_folds(target, groups, n, None, seed)
        return
    folds = make_folds(target, groups, n, None, seed)
    folds_of_group = [set(folds.fold_of[groups == g]) for g in np.unique(groups)]
    assert all(len(found) == 1 for found in folds_of_group)
    sizes = np.bincount([found.pop() for found in folds_of_group], minlength=n)
    assert sizes.max() - sizes.min() <= 1
    assert folds.n == n


def test_fit_and_held_out_rows_part_the_rows():
    folds = make_folds(np.arange(50.0), np.arange(50), 5, None, 0)
    for fold in range(5):
        both = np.concatenate([folds.fit_rows(fold), folds.held_out_rows(fold)])
        assert sorted(both) == list(range(50))


def test_target_means_are_closer_than_without_strata():
    rng = np.random.default_rng(1)
    target = rng.gamma(2, 10, size=1000)
    stratified = make_folds(target, np.arange(1000), 10, None, 0).fold_of
    plain = rng.permutation(1000) % 10

    def spread(fold_of):
        return np.std([target[fold_of == k].mean() for k in range(10)])

    assert spread(stratified) < 0.5 * spread(plain)


def test_the_seed_decides():
    target = np.random.default_rng(0).normal(size=200)
    one, same, other = (make_folds(target, np.arange(200), 5, None, s).fold_of for s in (1, 1, 2))
    assert (one == same).all()
    assert (one != other).any()


def test_constant_targets_and_given_bins_work():
    assert make_folds(np.ones(20), np.arange(20), 4, None, 0).n == 4
    assert make_folds(np.arange(20.0), np.arange(20), 4, 3, 0).n == 4
