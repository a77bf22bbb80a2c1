"""From where a forward selection grows its sets, on errors that are made up."""

import numpy as np
import pytest

from paw_stack.heads.kernels.forward_selection import Step, greedy


@pytest.mark.parametrize("starts", [1, 2, 5])
@pytest.mark.parametrize("seed", range(4))
def test_sets_grow_from_the_best_single_blocks_in_their_order(starts, seed):
    rng, errors = np.random.default_rng(seed), {}
    steps: list[Step] = []

    def rate(members: tuple[int, ...]) -> float:
        return errors.setdefault(members, float(rng.random()))

    seen = list(greedy(rate, 5, starts, 3, steps))
    singles = sorted(range(5), key=lambda block: errors[(block,)])
    first = [step for step in steps if step.step == 1]
    assert [step.members for step in first] == [(block,) for block in singles[:starts]]
    assert [step.start for step in first] == list(range(starts))
    for step in steps[1:]:
        if step.step > 1:
            tried = [members for members in seen if len(members) == step.step]
            assert step.members in tried
            assert step.added in step.members
    grown = {members for members in seen if len(members) == 2}
    assert all(set(pair) & set(singles[:starts]) for pair in grown)
