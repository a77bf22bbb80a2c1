"""Where many near-duplicates hang together: copies of one photo stay, a chain is cut."""

import itertools

import numpy as np
import pytest

from paw_stack.data.duplicates import LARGE, tight_groups


def pairs_of(n: int, share: float) -> np.ndarray:
    """This share of all pairs of n rows, drawn by chance."""
    every = np.array(list(itertools.combinations(range(n), 2)))
    drawn = np.random.default_rng(0).permutation(len(every))[: round(share * len(every))]
    return every[np.sort(drawn)]


@pytest.mark.parametrize("n", [LARGE + 1, 2 * LARGE])
def test_many_copies_of_one_photo_stay_together_though_some_pairs_were_missed(n):
    for share in (0.6, 0.8, 0.97):
        assert not tight_groups(n, pairs_of(n, share)).any(), share


@pytest.mark.parametrize("n", [LARGE + 1, 2 * LARGE])
def test_what_hangs_together_by_fewer_than_half_of_its_pairs_is_cut(n):
    assert tight_groups(n, pairs_of(n, 0.4)).max() > 0
    assert not tight_groups(LARGE, pairs_of(LARGE, 0.4)).any()  # few enough
