"""More photos than are compared at once: pairs are found wherever their rows lie."""

import numpy as np

from paw_stack.data.duplicates import ROWS_AT_ONCE, duplicate_pairs
from paw_stack.data.same_photo import PAIRS_AT_ONCE, compare

N = ROWS_AT_ONCE + 60
LIT = {(3, ROWS_AT_ONCE + 40): 12, (ROWS_AT_ONCE + 5, ROWS_AT_ONCE + 50): -9, (100, 700): 7}
EQUAL = (ROWS_AT_ONCE - 1, ROWS_AT_ONCE)


def test_pairs_beyond_the_first_block_are_found():
    """Smooth noise, each another; three photos come again brighter or darker, one as it is."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(40, 210, (N, 16, 16, 3), dtype=np.uint8)
    pixels = coarse.repeat(2, axis=1).repeat(2, axis=2)
    for (first, second), levels in LIT.items():
        pixels[second] = pixels[first].astype(int) + levels
    pixels[EQUAL[1]] = pixels[EQUAL[0]]
    expected = sorted([*LIT, EQUAL])
    assert duplicate_pairs(pixels).tolist() == [list(pair) for pair in expected]
    usable = np.ones(N, dtype=bool)
    usable[3] = False
    assert duplicate_pairs(pixels, usable).tolist() == [list(pair) for pair in expected[1:]]


def test_each_pair_of_many_is_judged_by_itself():
    rng = np.random.default_rng(1)
    coarse = rng.integers(40, 210, (12, 16, 16, 3), dtype=np.uint8)
    pixels = np.concatenate([coarse, coarse[:6] + np.uint8(5)]).repeat(4, axis=1).repeat(4, axis=2)
    pairs = rng.integers(0, len(pixels), (PAIRS_AT_ONCE + 20, 2))
    likely, surely = compare(pixels, pairs)
    same = pairs[:, 0] % 12 == pairs[:, 1] % 12
    assert 3 < same[PAIRS_AT_ONCE:].sum() + same[:PAIRS_AT_ONCE].sum() < len(pairs) / 2
    assert likely.tolist() == same.tolist()
    assert surely.tolist() == same.tolist()
