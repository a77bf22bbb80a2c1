"""Folds: groups stay together, sizes and targets are balanced, equal input gives equal folds."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paw_stack.data.folds import Folds, imbalance, make_folds, read_folds
from paw_stack.errors import DataError


@settings(max_examples=200, deadline=None)
@given(data=st.data(), n=st.integers(2, 6), seed=st.integers(0, 5))
def test_a_group_never_straddles_folds_and_sizes_differ_by_one_group(data, n, seed):
    rows = data.draw(st.integers(n, 60))
    groups = np.array(data.draw(st.lists(st.integers(0, rows), min_size=rows, max_size=rows)))
    target = np.array(data.draw(st.lists(st.floats(1, 100), min_size=rows, max_size=rows)))
    if len(np.unique(groups)) < n:
        with pytest.raises(DataError, match=r"lower folds\.n"):
            make_folds(target, groups, n, None, seed)
        return
    folds = make_folds(target, groups, n, None, seed)
    folds_of_group = [set(folds.fold_of[groups == g]) for g in np.unique(groups)]
    assert all(len(found) == 1 for found in folds_of_group)
    sizes = np.bincount(folds.fold_of, minlength=n)
    assert sizes.max() - sizes.min() <= np.unique(groups, return_counts=True)[1].max()
    assert folds.n == n
    assert not [line for line in imbalance(folds, target) if "sizes" in line]


def test_fit_and_held_out_rows_part_the_rows():
    folds = make_folds(np.arange(50.0), np.arange(50), 5, None, 0)
    for fold in range(5):
        both = np.concatenate([folds.training_rows(fold), folds.held_out_rows(fold)])
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


def test_target_means_stay_within_the_tolerance_with_and_without_groups():
    rng = np.random.default_rng(2)
    for _ in range(50):
        rows = int(rng.integers(60, 400))
        target = rng.gamma(2, 10, size=rows)
        groups = rng.integers(0, rows, rows) if rng.random() < 0.5 else np.arange(rows)
        folds = make_folds(target, groups, int(rng.integers(2, 11)), None, 0)
        assert imbalance(folds, target) == []


def test_uneven_folds_are_remarked_on():
    fold_of = np.repeat([0, 1], [80, 20])
    target = np.where(fold_of == 1, 90.0, np.linspace(10, 30, 100))
    remarks = imbalance(Folds(fold_of, np.arange(100)), target)
    assert remarks[0] == "fold sizes run from 20 to 80 rows"
    assert remarks[1].startswith("fold 0 has a mean target of")


IDS = np.array(["a", "b", "c", "d"])


def read(tmp_path, text, group_of=(0, 1, 2, 3)):
    (tmp_path / "folds.csv").write_text(text)
    return read_folds(tmp_path / "folds.csv", IDS, np.array(group_of))


def test_folds_can_be_handed_back(tmp_path):
    folds = make_folds(np.arange(4.0), np.arange(4), 2, None, 0)
    shuffled = pd.DataFrame({"Id": IDS, "fold": folds.fold_of}).sample(frac=1, random_state=0)
    again = read(tmp_path, shuffled.to_csv(index=False))
    assert again.fold_of.tolist() == folds.fold_of.tolist()
    assert again.n == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Id,fold\na,0\nb,1\nc,0\n", "no fold for ids 'd'"),
        ("Id,fold\na,0\nb,1\nc,0\nd,1\ne,1\n", "unknown ids 'e'"),
        ("Id,fold\na,0\na,1\nb,1\nc,0\nd,1\n", "double ids 'a'"),
        ("Id,fold\na,0\nb,2\nc,0\nd,2\n", "expected whole numbers 0, 1, ... without a gap"),
        ("Id,fold\na,0\nb,x\nc,0\nd,1\n", "expected whole numbers"),
        ("Id,fold\na,0\nb,0.5\nc,0\nd,1\n", "expected whole numbers"),
        ("Id,fold\na,0\nb,0\nc,0\nd,0\n", "expected whole numbers"),
        ("Id,group\na,0\n", "no column 'fold'"),
        ("", "is no CSV table"),
    ],
)
def test_folds_that_do_not_fit_are_told(tmp_path, text, message):
    with pytest.raises(DataError) as caught:
        read(tmp_path, text)
    assert message in "\n".join(caught.value.problems)


def test_given_folds_may_not_split_a_group(tmp_path):
    with pytest.raises(DataError, match=r"different folds: 'a', 'b' .*duplicates: keep"):
        read(tmp_path, "Id,fold\na,0\nb,1\nc,0\nd,1\n", group_of=(0, 0, 1, 2))
