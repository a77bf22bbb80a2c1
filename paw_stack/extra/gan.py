"""A small generative adversarial network that learns to draw photos from those of one fold.

Enters: the fold's fit rows, which alone it sees. Leaves: drawn photos (n, size, size, 3) uint8.

The two networks are DCGAN's (Radford et al., 2016, arXiv:1511.06434), with spectral norms in the
one that judges (Miyato et al., 2018, arXiv:1802.05957) and the hinge loss. A few hundred photos are
few: real and drawn ones are shifted and brightened alike before they are judged, so that the judge
cannot learn the photos by heart (Zhao et al., 2020, arXiv:2006.10738). A mean of the generator's
weights draws.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from paw_stack.config import GanSection
from paw_stack.data.nouns import State
from paw_stack.extra.loop import Learner, run_epochs, shuffled_batches, to_levels
from paw_stack.network.device import Device
from paw_stack.network.optimise import mean_weights

START = 4  # side of the first map, pixels
SHIFT = 0.125  # of the side, the farthest that a photo is moved before it is judged
BRIGHTNESS = 0.25  # of the range of levels, most that is added or taken away
MEAN_DECAY = 0.99  # of the generator's mean weights, a step
DRAWN_AT_ONCE = 64


class Generator(nn.Module):
    """Numbers (b, latent) ~ N(0, 1) -> pictures (b, 3, size, size), -1..1."""

    def __init__(self, section: GanSection):
        super().__init__()
        n = section.width * section.size // (2 * START)
        layers: list[nn.Module] = [
            nn.Linear(section.latent, n * START**2),
            nn.Unflatten(1, (n, START, START)),
            nn.BatchNorm2d(n),
            nn.ReLU(),
        ]
        while n > section.width:
            layers += [nn.ConvTranspose2d(n, n // 2, 4, 2, 1), nn.BatchNorm2d(n // 2), nn.ReLU()]
            n //= 2
        self.layers = nn.Sequential(*layers, nn.ConvTranspose2d(n, 3, 4, 2, 1), nn.Tanh())

    def forward(self, numbers: Tensor) -> Tensor:
        return self.layers(numbers)


class Judge(nn.Module):
    """Pictures (b, 3, size, size), -1..1 -> how real they are, (b,), no bounds."""

    def __init__(self, section: GanSection):
        super().__init__()
        n, side = section.width, section.size // 2
        layers: list[nn.Module] = [spectral_norm(nn.Conv2d(3, n, 4, 2, 1)), nn.LeakyReLU(0.2)]
        while side > START:
            layers += [spectral_norm(nn.Conv2d(n, 2 * n, 4, 2, 1)), nn.LeakyReLU(0.2)]
            n, side = 2 * n, side // 2
        self.layers = nn.Sequential(
            *layers, nn.Flatten(), spectral_norm(nn.Linear(n * START**2, 1)), nn.Flatten(0)
        )

    def forward(self, pictures: Tensor) -> Tensor:
        return self.layers(pictures)


@dataclass(frozen=True)
class Drawn:
    """What training leaves."""

    photos: np.ndarray  # (n, size, size, 3) uint8
    history: list[dict[str, float]]


def train_gan(
    pixels: Path,
    rows: np.ndarray,
    section: GanSection,
    device: Device,
    seed: int,
    resumed: State | None = None,
    after_epoch: Callable[[State], None] = lambda state: None,
) -> Drawn:
    """Learn from `rows` (k,) of the image cache, then draw `section.images` photos."""
    photos = np.load(pixels, mmap_mode="r")
    torch.manual_seed(seed)
    generator, judge = Generator(section).to(device.name), Judge(section).to(device.name)
    steppers: list[torch.optim.Optimizer] = [
        torch.optim.Adam(network.parameters(), section.learning_rate, betas=(0.5, 0.999))
        for network in (generator, judge)
    ]
    mean = mean_weights(generator, MEAN_DECAY)
    assert mean is not None

    def epoch(number: int) -> dict[str, float]:
        losses = []
        for batch in shuffled_batches(photos, rows, section.batch_size, seed, number):
            real = batch.to(device.name).permute(0, 3, 1, 2).float() / 127.5 - 1
            losses.append(_step(generator, judge, steppers, real, section.latent, device))
            mean.update(generator)
        generated, judged = np.mean(losses, axis=0).tolist()
        return {"loss_generator": generated, "loss_judge": judged}

    learners = {
        "generator": Learner(generator, steppers[0]),
        "judge": Learner(judge, steppers[1]),
        "mean": Learner(mean.module, None),
    }
    history = run_epochs(learners, section.epochs, seed, epoch, resumed, after_epoch)
    return Drawn(draw(mean.module, section, seed, device), history)


def _step(
    generator: Generator,
    judge: Judge,
    steppers: list[torch.optim.Optimizer],
    real: Tensor,
    latent: int,
    device: Device,
) -> tuple[float, float]:
    """One step of the judge, then one of the generator; their losses."""
    numbers = torch.randn(2, len(real), latent).to(device.name)
    with device.autocast(), torch.no_grad():
        drawn = generator(numbers[0]).float()
    with device.autocast():
        real_score, drawn_score = judge(disturbed(real)), judge(disturbed(drawn))
    judged = F.relu(1 - real_score.float()).mean() + F.relu(1 + drawn_score.float()).mean()
    _descend(judged, steppers[1])
    with device.autocast():
        fooled = -judge(disturbed(generator(numbers[1]).float())).float().mean()
    _descend(fooled, steppers[0])
    return fooled.item(), judged.item()


def _descend(loss: Tensor, stepper: torch.optim.Optimizer) -> None:
    stepper.zero_grad(set_to_none=True)
    loss.backward()
    stepper.step()


def disturbed(pictures: Tensor) -> Tensor:
    """Each picture (b, 3, size, size) shifted and brightened by chance, with a gradient."""
    b, size = len(pictures), pictures.shape[-1]
    far = round(SHIFT * size)
    padded = F.pad(pictures, (far, far, far, far), mode="reflect")
    down, across = torch.randint(0, 2 * far + 1, (2, b)).tolist()
    cut = [
        picture[:, y : y + size, x : x + size]
        for picture, y, x in zip(padded, down, across, strict=True)
    ]
    light = (torch.rand(b, 1, 1, 1) * 2 - 1).to(pictures.device) * 2 * BRIGHTNESS
    return torch.stack(cut) + light


def draw(generator: nn.Module, section: GanSection, seed: int, device: Device) -> np.ndarray:
    """Photos (section.images, size, size, 3) uint8."""
    generator.eval()
    numbers = torch.randn(
        section.images, section.latent, generator=torch.Generator().manual_seed(seed)
    )
    parts = []
    for part in numbers.split(DRAWN_AT_ONCE):
        with torch.inference_mode(), device.autocast():
            parts.append(to_levels((generator(part.to(device.name)) + 1) / 2))
    return np.concatenate(parts)
