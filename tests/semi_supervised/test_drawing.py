"""Drawing photos: by what the generator has learned, one by one, and leaving it as it is."""

import numpy as np
import torch

from paw_stack.config import GanSection
from paw_stack.network.device import Device
from paw_stack.semi_supervised.gan import Generator, draw
from paw_stack.semi_supervised.train_loop import to_levels


def test_a_drawn_photo_depends_on_its_own_numbers_alone():
    torch.manual_seed(0)
    section = GanSection(size=32, width=4, latent=6, images=9)
    generator = Generator(section).train()
    with torch.no_grad():
        for _ in range(3):
            generator(2 * torch.randn(16, 6) + 1)
    before = {name: part.clone() for name, part in generator.state_dict().items()}
    photos = draw(generator.train(), section, 5, Device("cpu", "fp32"))
    assert photos.shape == (9, 32, 32, 3)
    for name, part in generator.state_dict().items():
        torch.testing.assert_close(part, before[name], rtol=0, atol=0)
    numbers = torch.randn(9, 6, generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        alone = [to_levels((generator.eval()(one[None]) + 1) / 2)[0] for one in numbers]
    assert np.abs(photos.astype(int) - np.stack(alone).astype(int)).max() <= 1
    assert (draw(generator, section, 6, Device("cpu", "fp32")) != photos).any()
