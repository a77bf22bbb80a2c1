"""Folds, groups and label noise against loops, and where a remark begins."""

import numpy as np
import pandas as pd
import pytest

from paw_stack.data.duplicates import between, duplicate_groups, merge_rows, tight_groups
from paw_stack.data.folds import Folds, imbalance, large_group, make_folds, read_folds
from paw_stack.data.groups import flattery_sentence, groups_sentence, hint, shared_sentence
from paw_stack.data.label_noise import error_of_mean, label_noise, rating_noise
from paw_stack.data.types import Concatenated, Predictions
from paw_stack.errors import DataError


def naive_deal(bins: np.ndarray, seed: int, n: int) -> np.ndarray:
    """Rows of a group each, dealt bin by bin in a drawn order, each to the one that waited."""
    order = np.random.default_rng(seed).permutation(len(bins))
    line = [row for value in np.unique(bins) for row in order if bins[row] == value]
    fold_of = np.empty(len(bins), int)
    for turn, row in enumerate(line):
        fold_of[row] = turn % n
    return fold_of


@pytest.mark.parametrize(("n_rows", "bins", "wanted"), [(64, None, 7), (65, None, 8), (90, 3, 3)])
def test_rows_are_dealt_bin_by_bin_as_many_as_sturges_has(n_rows, bins, wanted):
    target = np.random.default_rng(1).normal(size=n_rows)
    edges = np.quantile(target, np.linspace(0, 1, wanted + 1)[1:-1])
    expected = naive_deal(np.searchsorted(edges, target, side="right"), 3, 5)
    found = make_folds(target, np.arange(n_rows), 5, bins, 3)
    assert found.fold_of.tolist() == expected.tolist()


def test_a_score_on_the_edge_of_a_bin_is_of_the_one_above():
    target = np.tile([1.0, 2, 3, 4], 10)  # the edge of two bins is 2.5, of three 2 and 3
    expected = naive_deal(np.select([target < 2, target < 3], [0, 1], 2), 0, 4)
    assert make_folds(target, np.arange(40), 4, 3, 0).fold_of.tolist() == expected.tolist()


def test_pairs_are_binned_by_their_mean_and_count_once():
    """Seventeen pairs have six bins of means; of 34 rows there would be seven."""
    target = np.random.default_rng(2).normal(size=34)
    mean = target.reshape(17, 2).mean(axis=1)
    edges = np.quantile(mean, np.linspace(0, 1, 7)[1:-1])
    expected = naive_deal(np.searchsorted(edges, mean, side="right"), 4, 4)
    found = make_folds(target, np.arange(34) // 2, 4, None, 4)
    assert found.fold_of.tolist() == np.repeat(expected, 2).tolist()


def test_a_mean_is_far_from_three_standard_errors_of_its_fold_on():
    target = np.tile([-1.0, 1.0], 200)
    fold_of = np.repeat([0, 1], [100, 300])
    for shift, told in ((0.33, 0), (0.45, 1)):
        moved = target + shift * (fold_of == 0)
        far = np.abs(moved[fold_of == 0].mean() - moved.mean()) / (moved.std() / 10)
        assert (far > 3) == bool(told)
        said = imbalance(Folds(fold_of, np.arange(400)), moved)
        assert sum("fold 0 has a mean target" in one for one in said) == told


def test_sizes_may_differ_by_the_largest_group():
    group_of = np.array([0, 0, 0, 1, 2, 3, 4])
    fold_of = np.array([0, 0, 0, 0, 1, 2, 2])
    said = imbalance(Folds(fold_of, group_of), np.arange(7.0))
    assert not [one for one in said if "fold sizes" in one]
    said = imbalance(Folds(fold_of, np.arange(7)), np.arange(7.0))
    assert "fold sizes run from 1 to 4 rows" in said


@pytest.mark.parametrize(
    ("n", "rows", "told"), [(5, 40, 0), (5, 41, 1), (2, 50, 0), (2, 51, 1), (10, 21, 1)]
)
def test_a_group_is_large_above_two_folds_or_half_of_the_rows(n, rows, told):
    group_of = np.where(np.arange(100) < rows, 0, np.arange(100))
    fold_of = np.arange(100) % n
    assert len(large_group(Folds(fold_of, group_of))) == told


def test_folds_of_a_file_are_of_their_ids_and_two_at_least(tmp_path):
    path, ids = tmp_path / "folds.csv", np.array(list("abcd"))
    pd.DataFrame({"Id": list("dbca"), "fold": [1, 0, 2, 0]}).to_csv(path, index=False)
    assert read_folds(path, ids, np.arange(4)).fold_of.tolist() == [0, 0, 2, 1]
    pd.DataFrame({"Id": list("abcd"), "fold": 0}).to_csv(path, index=False)
    with pytest.raises(DataError, match="expected whole numbers 0, 1"):
        read_folds(path, ids, np.arange(4))


def test_the_largest_group_is_named_and_counted():
    label = np.array(["rex", "rex", "", "tom", "tom", "tom", "", ""])
    group_of = np.array([0, 0, 0, 1, 1, 1, 2, 3])  # a near-duplicate of rex has no label
    said = groups_sentence("pet", np.where(group_of == 0, "rex", label)[:3], group_of[:3])
    assert "3 rows in 1 groups" in said and "that of rex, holds 3 rows (100%)" in said
    said = groups_sentence("pet", label, np.array([0, 0, 1, 2, 2, 2, 3, 4]))
    assert "8 rows in 5 groups" in said and "that of tom, holds 3 rows (38%)" in said
    assert said.endswith("3 rows without a pet join none")


def test_groups_of_both_tables_are_those_that_have_a_name():
    label, test = np.array(["rex", "", "tom"]), np.array(["", "tom", "tom", "ann"])
    said = shared_sentence("pet", label, test)
    assert said.startswith("2 of 4 test photos are of a pet") and "'tom' (1 in all)" in said
    assert shared_sentence("pet", label, np.array(["", "ann"])) == ""


def test_flattery_is_told_of_the_grouped_error_from_half_a_per_cent_on():
    facts = {"grouped_rmse": 10.0, "backbone": "swin"}
    told = {8.0: "flatter by 20%", 9.95: "flatter by 1%", 9.96: "not flatter", 11.0: "not flatter"}
    for ungrouped, words in told.items():
        assert words in flattery_sentence({**facts, "ungrouped_rmse": ungrouped})
    assert flattery_sentence({}) == ""


def test_names_hint_at_groups_from_three_on_that_cover_half_of_the_ids():
    pets = [f"{pet}_{n}.jpg" for pet in ("rex", "tom", "ann") for n in (1, 2)]
    others = [f"{word}.jpg" for word in ("sofa", "house", "tree", "lake", "moon", "star", "sun")]
    assert "6 of 12 ids" in hint([*pets, *others[:6]])
    assert hint([*pets, *others]) == ""
    assert hint(pets[:4]) == ""
    camera = [f"img_{n}.jpg" for n in range(8)]
    assert hint([*pets, *camera]) == ""  # most are of one name: a camera's
    assert "3 groups" in hint([f"a/{pet}/{n}" for pet in ("rex", "tom", "ann") for n in "xy"])


@pytest.mark.parametrize("weighted", [False, True])
def test_noise_of_pairs_and_threes_is_that_of_a_loop(weighted):
    rng = np.random.default_rng(3)
    group_of = np.repeat(np.arange(12), [1, 2, 3] * 4)
    target = 5.0 * group_of + rng.normal(size=len(group_of))
    weight = rng.integers(1, 5, len(target)).astype(float) if weighted else np.ones(len(target))
    squares = freedom = apart = pairs = 0.0
    for group in range(12):
        y, w = target[group_of == group], weight[group_of == group]
        if len(y) < 2:
            continue
        squares += (w * (y - np.average(y, weights=w)) ** 2).sum()
        freedom += w.sum() - (w**2).sum() / w.sum()
        apart += sum(abs(a - b) for i, a in enumerate(y) for b in y[:i])
        pairs += len(y) * (len(y) - 1) / 2
    found = label_noise(target, group_of, 0, weight if weighted else None)
    assert found.sd == pytest.approx((squares / freedom) ** 0.5)
    assert found.mean_difference == pytest.approx(apart / pairs)
    assert found.low < found.sd < found.high
    assert (found.n_groups, found.n_rows) == (8, 20)


def test_five_groups_tell_an_interval_and_scores_that_round_alike_none():
    five = np.repeat(np.arange(5), 2)
    noisy = np.random.default_rng(4).normal(size=10)
    assert np.isfinite(label_noise(noisy, five, 0).high)
    assert np.isinf(label_noise(noisy[:8], five[:8], 0).high)
    far = 1e6 + five + np.tile([0.0, 1e-4], 5)  # of a range of 4, though far from 0
    assert label_noise(far, five, 0).sd == pytest.approx(1e-4 / 2**0.5, rel=1e-3)
    assert label_noise(five + np.tile([0.0, 1e-9], 5), five, 0).sd == 0


def test_the_error_of_a_mean_variance_is_relative_and_counts_groups():
    variance = np.array([1.0, 2, 3, 4, 5, 9])
    expected = variance.std(ddof=1) / 6**0.5 / variance.mean()
    assert error_of_mean(variance) == pytest.approx(expected)
    twins = np.repeat(variance, 2)
    assert error_of_mean(twins, np.repeat(np.arange(6), 2)) == pytest.approx(expected)
    assert error_of_mean(twins) < 0.8 * expected
    weight = np.array([1.0, 1, 1, 1, 1, 5])
    found = rating_noise(variance, expected, weight)
    assert found.sd == pytest.approx(np.average(variance, weights=weight) ** 0.5)
    half = np.exp(1.959964 * expected / 2)  # of the log of a root
    assert (found.low, found.high) == pytest.approx((found.sd / half, found.sd * half))


def test_chains_are_cut_into_stars_from_the_one_with_most_partners_on():
    """Forty photos in a row, each like the next, and a hub that five of them are like."""
    chain = [(row, row + 1) for row in range(39)]
    pairs = np.array(sorted([*chain, *((2, row) for row in (10, 20, 30))]))
    found = tight_groups(40, pairs)
    assert set(np.flatnonzero(found == found[2])) == {1, 2, 3, 10, 20, 30}
    short = np.array(chain[:29])  # thirty hang together and stay
    assert set(tight_groups(30, short)) == {0}
    assert len(set(tight_groups(31, np.array(chain[:30])))) > 1
    dense = np.array([(i, j) for i in range(32) for j in range(i + 1, 32) if (i + j) % 3])
    assert len(dense) > 32 * 31 / 4 and set(tight_groups(32, dense)) == {0}


def test_merged_rows_come_in_the_order_of_their_first_and_pairs_are_counted_by_table():
    group_of, target = np.array([5, 2, 5, 0, 2]), np.array([1.0, 2, 3, 4, 6])
    first, mean = merge_rows(group_of, target)
    assert (first.tolist(), mean.tolist()) == ([0, 1, 3], [2, 4, 4])
    weighted = merge_rows(group_of, target, np.array([1.0, 1, 3, 1, 3]))[1]
    assert weighted.tolist() == [2.5, 5, 4]
    parts = between(np.array([[0, 1], [1, 4], [2, 3], [3, 5]]), 3)
    assert [part.tolist() for part in parts] == [[[0, 1]], [[1, 1], [2, 0]], [[0, 2]]]
    assert duplicate_groups(5, np.array([[0, 3], [3, 4]])).tolist() == [0, 1, 2, 0, 0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_predictions_are_finite_where_a_fold_was_run(bad):
    fold_of, sound = np.array([0, 1]), np.zeros(2)
    Predictions("a", np.array([0.0, np.nan]), sound, (0,), fold_of)
    with pytest.raises(DataError, match="not finite for rows"):
        Predictions("a", np.array([bad, 0.0]), sound, (0,), fold_of)
    with pytest.raises(DataError, match="not finite for test rows"):
        Predictions("a", sound, np.array([0.0, bad]), (0, 1), fold_of)


def test_layers_of_half_precision_are_joined_in_single():
    parts = [np.ones((4, 2), np.float16), np.full((4, 3), 2.0, np.float16)]
    rows = Concatenated(parts)[np.array([3, 0])]
    assert (rows.dtype, rows.tolist()) == (np.float32, [[1, 1, 2, 2, 2]] * 2)
