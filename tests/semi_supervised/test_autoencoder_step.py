"""What a step of the autoencoder descends: the picture as it stands, in 0..1."""

import numpy as np
import pytest
import torch
from torch import nn

from paw_stack.network.device import Device
from paw_stack.semi_supervised.autoencoder import _step


class Canvas(nn.Module):
    """The same picture (3, 8, 8) whatever the photo: it can only learn their mean."""

    def __init__(self) -> None:
        super().__init__()
        self.picture = nn.Parameter(torch.full((3, 8, 8), 0.5))

    def forward(self, photos: torch.Tensor) -> torch.Tensor:
        return self.picture.expand(len(photos), -1, -1, -1)


def test_a_picture_becomes_the_mean_of_the_photos_upright_and_in_their_colours():
    photos = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    model, device = Canvas(), Device("cpu", "fp32")
    optimizer = torch.optim.SGD(model.parameters(), 3 * 8 * 8 / 2)  # to the bottom in one step
    mean = photos.mean(axis=0) / 255
    before, after = (_step(model, optimizer, torch.from_numpy(photos), device) for _ in range(2))
    np.testing.assert_allclose(model.picture.detach().permute(1, 2, 0), mean, atol=1e-6)
    assert before == pytest.approx(np.mean((photos / 255 - 0.5) ** 2), rel=1e-5)
    assert after == pytest.approx(np.mean((photos / 255 - mean) ** 2), rel=1e-5)
