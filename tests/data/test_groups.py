"""Groups of rows: near-duplicates and a column together, whole in folds and in parts of folds."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paw_stack.blend.nested import divisions
from paw_stack.config import GbmSection
from paw_stack.data.duplicates import tight_groups
from paw_stack.data.folds import Folds, imbalance, large_group, make_folds, read_folds
from paw_stack.data.groups import group_labels, groups_sentence, hint, joined, straddling
from paw_stack.errors import DataError
from paw_stack.heads.cross_fit import Problem
from paw_stack.heads.gbm import _split


@st.composite
def mixtures(draw):
    """Rows with pairs of near-duplicates and labels, '' among them."""
    n = draw(st.integers(20, 60))
    row = st.integers(0, n - 1)
    pairs = draw(st.lists(st.tuples(row, row), max_size=n // 2))
    pairs = sorted({(min(p), max(p)) for p in pairs if p[0] != p[1]})
    names = st.sampled_from(["", *(f"pet {i}" for i in range(draw(st.integers(1, 40))))])
    label = np.array(draw(st.lists(names, min_size=n, max_size=n)), dtype=str)
    return np.array(pairs, np.int64).reshape(-1, 2), label


def naive_components(n: int, pairs, label) -> np.ndarray:
    """Relabel until nothing changes."""
    group = np.arange(n)
    links = [tuple(pair) for pair in pairs.tolist()]
    links += [(a, b) for a in range(n) for b in range(a) if label[a] and label[a] == label[b]]
    while any(group[a] != group[b] for a, b in links):
        for a, b in links:
            group[[a, b]] = group[[a, b]].min()
    return group


def same(group_of: np.ndarray) -> np.ndarray:
    return group_of[:, None] == group_of


@given(mixtures())
@settings(max_examples=60, deadline=None)
def test_groups_are_the_components_of_near_duplicates_and_labels(mixture):
    pairs, label = mixture
    found = joined(tight_groups(len(label), pairs), label)
    np.testing.assert_array_equal(same(found), same(naive_components(len(label), pairs, label)))


@given(mixtures(), st.integers(2, 5), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_no_group_straddles_folds_or_parts_of_them(mixture, n_folds, seed):
    """Neither LightGBM's part for stopping, nor the blend's sub-folds, split one."""
    pairs, label = mixture
    group_of = joined(tight_groups(len(label), pairs), label)
    target = np.random.default_rng(seed).normal(size=len(label))
    if len(np.unique(group_of)) < n_folds:
        with pytest.raises(DataError, match="groups of rows"):
            make_folds(target, group_of, n_folds, None, seed)
        return
    folds = make_folds(target, group_of, n_folds, None, seed)
    together = same(group_of)
    assert not straddling(folds.fold_of, group_of).any()
    assert (folds.fold_of[:, None] == folds.fold_of)[together].all()
    for fold in range(n_folds):
        fit = folds.training_rows(fold)
        if len(np.unique(group_of[fit])) < 2:
            continue
        inner = Folds(folds.fold_of[fit], group_of[fit])
        for cells in divisions(target[fit], inner):
            assert not straddling(cells, group_of[fit]).any()
        problem = Problem(lambda k: (None, None), target, folds, [fold])
        grown, stopping = _split(GbmSection(early_stopping=5), fit, problem)
        assert not set(group_of[grown]) & set(group_of[stopping])
        assert sorted([*grown, *stopping]) == fit.tolist()


def test_labels_are_the_same_however_they_are_written():
    cells = ["Zoe\u0308", "  Zo\u00eb ", "Max  II", "Max II", "", "NaN", "n/a", "-", "max ii"]
    labels = group_labels(pd.Series(cells)).tolist()
    assert labels == ["Zoë", "Zoë", "Max II", "Max II", "", "", "", "", "max ii"]


def test_a_file_of_folds_must_hold_groups_together(tmp_path):
    ids = np.array(list("abcdef"))
    label = np.array(["Rex", "Rex", "", "", "Ada", ""])
    path = tmp_path / "folds.csv"
    group_of = joined(np.array([0, 1, 2, 3, 4, 3]), label)  # d and f are near-duplicates

    def told(fold):
        pd.DataFrame({"Id": ids, "fold": fold}).to_csv(path, index=False)
        with pytest.raises(DataError) as caught:
            read_folds(path, ids, group_of, label)
        return caught.value.problems

    (by_column,) = told([0, 1, 0, 1, 0, 1])
    assert "data.group in different folds: 'Rex' (1 in all), which are 'a', 'b'" in by_column
    assert "set data.group: null" in by_column
    (by_photo,) = told([0, 0, 1, 0, 1, 1])
    assert "near-duplicates in different folds: 'd', 'f'" in by_photo
    assert len(told([0, 1, 1, 0, 1, 1])) == 2
    pd.DataFrame({"Id": ids, "fold": [0, 0, 1, 1, 0, 1]}).to_csv(path, index=False)
    assert read_folds(path, ids, group_of, label).fold_of.tolist() == [0, 0, 1, 1, 0, 1]


def test_near_duplicates_that_join_two_labels_are_why_these_must_share_a_fold(tmp_path):
    ids, label = np.array(list("abcd")), np.array(["Rex", "Rex", "Ada", "Ada"])
    group_of = joined(np.array([0, 1, 1, 2]), label)
    assert len(set(group_of)) == 1
    pd.DataFrame({"Id": ids, "fold": [0, 0, 1, 1]}).to_csv(tmp_path / "f.csv", index=False)
    with pytest.raises(DataError, match=r"near-duplicates in different folds: 'a', 'b', 'c', 'd'"):
        read_folds(tmp_path / "f.csv", ids, group_of, label)


def test_one_group_with_most_rows_is_remarked_on():
    group_of = np.r_[np.zeros(60, int), np.arange(1, 41)]
    folds = make_folds(np.arange(100.0), group_of, 5, None, 0)
    (sentence,) = large_group(folds)
    assert "holds 60% of the rows" in sentence
    assert "the other 40%" in sentence
    assert sentence in imbalance(folds, np.arange(100.0))
    assert not large_group(make_folds(np.arange(100.0), np.arange(100) // 5, 5, None, 0))


def test_groups_are_counted_with_what_joins_none():
    label = np.array(["Rex"] * 3 + ["Ada"] * 2 + [""] * 2)
    told = groups_sentence("pet", label, joined(np.arange(7), label))
    assert told == (
        "groups by pet: 7 rows in 4 groups, each of which shares a fold; the largest, that of Rex,"
        " holds 3 rows (43%); 2 rows without a pet join none"
    )


PETS = ["rex", "ada", "tom", "kim", "bo"]


@pytest.mark.parametrize("pattern", ["{}_{}", "{}-{:02d}", "{} ({})", "{}{}.jpg", "{}/{}"])
def test_ids_that_look_like_groups_give_a_hint(pattern):
    ids = [pattern.format(pet, k) for pet in PETS for k in range(1, 4)]
    told = hint(ids)
    assert f"15 of 15 ids look like several photos of each of {len(PETS)} groups" in told
    assert "data.group" in told
    assert hint([*ids, "stray", "other"])  # most are enough


@pytest.mark.parametrize(
    "ids",
    [
        [f"IMG_{k:04d}" for k in range(40)],  # a camera's
        [f"{k}" for k in range(40)],
        [f"{k * 7919:032x}" for k in range(40)],
        [f"{kind}/{k}" for kind in ("cats", "dogs") for k in range(20)],  # classes
        [f"{pet}_1" for pet in PETS],  # one photo each
        [f"p{k}" for k in range(6)],
    ],
)
def test_other_ids_give_none(ids):
    assert hint(ids) == ""
