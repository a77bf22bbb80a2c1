"""What a row's weight means: the same in any company."""

import pytest
import torch

from paw_stack.config import LossSection
from paw_stack.network.losses import LOSSES, main_loss, n_outputs


@pytest.mark.parametrize("kind", LOSSES)
def test_a_row_of_twice_the_weight_pulls_twice_whatever_stands_beside_it(kind):
    section = LossSection(kind=kind)
    torch.manual_seed(0)
    output, share = torch.randn(6, n_outputs(section)).double(), torch.rand(6).double()
    weight = torch.tensor([0.0, 0.5, 1.0, 2.0, 4.0, 0.1]).double()
    power = 2 if LOSSES[kind].is_root else 1  # of a root the mean is under it
    alone = [
        main_loss(o[None], s[None], section) ** power for o, s in zip(output, share, strict=True)
    ]
    by_hand = sum(w * loss for w, loss in zip(weight, alone, strict=True)) / 6
    together = main_loss(output, share, section, weight) ** power
    torch.testing.assert_close(together, by_hand, rtol=1e-6, atol=1e-9)
