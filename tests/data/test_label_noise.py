"""Label noise: the pooled SD, its interval's coverage, groups of any size, no groups at all."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paw_stack.data.label_noise import label_noise


def naive(target, group_of):
    """SD and mean difference by loops, or None."""
    squares, freedom, differences = 0.0, 0, []
    for group in set(group_of):
        values = [t for t, g in zip(target, group_of, strict=True) if g == group]
        squares += sum((value - np.mean(values)) ** 2 for value in values)
        freedom += len(values) - 1
        differences += [abs(a - b) for a, b in itertools.combinations(values, 2)]
    return ((squares / freedom) ** 0.5, np.mean(differences)) if freedom else None


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(1, 100)), min_size=1, max_size=40))
def test_it_equals_the_loops(drawn):
    group_of, target = zip(*drawn, strict=True)
    found, wanted = label_noise(np.array(target), np.array(group_of), 0), naive(target, group_of)
    if wanted is None:
        assert found is None
        return
    sd, difference = wanted
    assert found.sd == pytest.approx(sd, abs=1e-9)
    assert found.mean_difference == pytest.approx(difference, abs=1e-9)
    assert found.low <= found.sd + 1e-9
    assert found.high >= found.sd - 1e-9
    sizes = [size for size in np.bincount(group_of) if size > 1]
    assert (found.n_groups, found.n_rows) == (len(sizes), sum(sizes))


def test_pairs_tell_the_root_of_half_the_mean_square_difference():
    rng = np.random.default_rng(3)
    pairs = rng.normal(50, 12.3, (40, 2))
    found = label_noise(pairs.ravel(), np.repeat(np.arange(40), 2), 0)
    assert found.sd == pytest.approx(np.sqrt(np.mean((pairs[:, 0] - pairs[:, 1]) ** 2) / 2))
    assert found.mean_difference == pytest.approx(np.abs(pairs[:, 0] - pairs[:, 1]).mean())


@pytest.mark.parametrize("size", [2, 3])
def test_the_interval_holds_the_truth_in_about_95_percent(size):
    rng = np.random.default_rng(size)
    group_of, held = np.repeat(np.arange(22), size), []
    for repeat in range(400):
        target = rng.normal(0, 12.3, 22 * size) + rng.normal(50, 20, 22)[group_of]
        found = label_noise(target, group_of, repeat)
        held.append(found.low <= 12.3 <= found.high)
    assert 0.91 <= np.mean(held) <= 0.98


def test_the_order_of_rows_and_the_numbers_of_groups_do_not_matter():
    rng = np.random.default_rng(0)
    target, group_of = rng.normal(size=60), rng.integers(0, 25, 60)
    order = rng.permutation(60)
    one = label_noise(target, group_of, 0)
    other = label_noise(target[order], 7 * group_of[order], 0)
    assert vars(one) == pytest.approx(vars(other))


def test_the_seed_decides():
    rng = np.random.default_rng(0)
    target, group_of = rng.normal(size=60), np.repeat(np.arange(30), 2)
    assert label_noise(target, group_of, 1) == label_noise(target, group_of, 1)
    assert label_noise(target, group_of, 1).low != label_noise(target, group_of, 2).low


def test_few_groups_and_equal_targets_say_little():
    few = label_noise(np.array([1.0, 3, 5, 9]), np.array([0, 0, 1, 1]), 0)
    assert (few.low, few.high) == (0, np.inf)
    same = label_noise(np.repeat(np.arange(10.0), 2), np.repeat(np.arange(10), 2), 0)
    assert (same.sd, same.low, same.high) == (0, 0, np.inf)


def test_groups_that_differ_alike_have_no_spread():
    found = label_noise(np.tile([40.0, 44], 8), np.repeat(np.arange(8), 2), 0)
    assert (found.low, found.high) == pytest.approx((found.sd, found.sd))
