"""A small generative adversarial network that learns to draw photos from those of one fold.

Enters: the fold's training rows, which alone it sees. Leaves: drawn photos (n, size, size, 3)
    uint8.

The two networks are DCGAN's (Radford et al., 2016, arXiv:1511.06434), but that the generator
enlarges before it convolves, since transposed convolutions leave a chequered pattern, and that the
discriminator has no norms. The loss is the hinge; the discriminator's gradient on real photos is
held small every few steps (Mescheder et al., 2018, arXiv:1801.04406; Karras et al., 2020,
arXiv:1912.04958): discriminators with spectral norms told nothing apart in the steps that two cores
can do. A few hundred photos are few: real and drawn ones are shifted and brightened alike before
they are judged, so that the discriminator cannot learn the photos by heart (Zhao et al., 2020,
arXiv:2006.10738). A mean of the generator's weights draws.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paw_stack.config import GanSection
from paw_stack.data.types import Checkpoint
from paw_stack.network.device import Device
from paw_stack.network.gpu.feed import sent
from paw_stack.semi_supervised.train_loop import (
    Learner,
    learner,
    run_epochs,
    shuffled_batches,
    to_levels,
)

START = 4  # side of the first map, pixels
SHIFT = 0.125  # of the side, the farthest that a photo is moved before it is judged
BRIGHTNESS = 0.25  # of the range of levels, most that is added or taken away
MEAN_DECAY, MEAN_SHARE = 0.998, 10  # weights: mean of 500 steps, or the last tenth of fewer
PENALTY, PENALTY_EVERY = (
    0.3,
    8,
)  # on the discriminator's squared gradient; steps from one to the next
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
        side = START
        while side < section.size:
            fewer = max(n // 2, section.width)
            layers += [nn.Upsample(scale_factor=2), nn.Conv2d(n, fewer, 3, padding=1)]
            layers += [nn.BatchNorm2d(fewer), nn.ReLU()]
            n, side = fewer, 2 * side
        self.layers = nn.Sequential(*layers, nn.Conv2d(n, 3, 3, padding=1), nn.Tanh())

    def forward(self, numbers: Tensor) -> Tensor:
        return self.layers(numbers)


class Discriminator(nn.Module):
    """Pictures (b, 3, size, size), -1..1 -> how real they are, (b,), no bounds."""

    def __init__(self, section: GanSection):
        super().__init__()
        n, side = section.width, section.size // 2
        layers: list[nn.Module] = [nn.Conv2d(3, n, 4, 2, 1), nn.LeakyReLU(0.2)]
        while side > START:
            layers += [nn.Conv2d(n, 2 * n, 4, 2, 1), nn.LeakyReLU(0.2)]
            n, side = 2 * n, side // 2
        self.layers = nn.Sequential(
            *layers, nn.Flatten(), nn.Linear(n * START**2, 1), nn.Flatten(0)
        )

    def forward(self, pictures: Tensor) -> Tensor:
        return self.layers(pictures)


@dataclass(frozen=True)
class Drawn:
    """Photos of a trained generator and the history of its training."""

    photos: np.ndarray  # (n, size, size, 3) uint8
    history: list[dict[str, float]]


def train_gan(
    pixels: Path,
    rows: np.ndarray,
    section: GanSection,
    device: Device,
    seed: int,
    resumed: Checkpoint | None = None,
    after_epoch: Callable[[Checkpoint], None] = lambda state: None,
) -> Drawn:
    """Learn from `rows` (k,) of the image cache, then draw `section.images` photos."""
    from timm.utils import ModelEmaV3

    photos = np.load(pixels, mmap_mode="r")
    torch.manual_seed(seed)
    place: dict[str, Any] = {"device": device.name, "memory_format": torch.channels_last}
    generator, discriminator = Generator(section).to(**place), Discriminator(section).to(**place)
    draws, judges = (
        learner(
            network,
            torch.optim.Adam(network.parameters(), section.learning_rate, betas=(0.5, 0.999)),
            device,
        )
        for network in (generator, discriminator)
    )
    mean = ModelEmaV3(
        generator, MEAN_DECAY, use_warmup=True, warmup_gamma=MEAN_SHARE, warmup_power=1
    )
    per_epoch = max(1, len(rows) // section.batch_size)

    def epoch(number: int) -> dict[str, float]:
        losses = []
        batches = shuffled_batches(photos, rows, section.batch_size, seed, number)
        for step, batch in enumerate(batches):
            real = sent(batch, device.name).permute(0, 3, 1, 2).float() / 127.5 - 1
            real.requires_grad_(step % PENALTY_EVERY == 0)
            losses.append(_step(draws, judges, real, section.latent, device))
            mean.update(generator, number * per_epoch + step)
        generated, judged = np.mean(torch.stack(losses).tolist(), axis=0).tolist()
        return {"loss_generator": generated, "loss_discriminator": judged}

    learners = {"generator": draws, "discriminator": judges, "mean": Learner(mean.module)}
    history = run_epochs("gan", learners, section.epochs, seed, epoch, resumed, after_epoch)
    return Drawn(draw(mean.module, section, seed, device), history)


def _step(draws: Learner, judges: Learner, real: Tensor, latent: int, device: Device) -> Tensor:
    """One step of the discriminator, then one of the generator; the losses (2,) of the latter and
    of the former.

    The discriminator's gradient on `real` is held small where that asks for one.
    """
    discriminator = judges.module
    numbers = sent(torch.randn(len(real), latent), device.name)
    with device.autocast():
        drawn = draws.module(numbers).float()
        real_score, drawn_score = (
            discriminator(disturbed(real)),
            discriminator(disturbed(drawn.detach())),
        )
    judged = F.relu(1 - real_score.float()).mean() + F.relu(1 + drawn_score.float()).mean()
    penalty = steepness(real_score, real, _scale(judges)) if real.requires_grad else 0.0
    judges.descend(judged + PENALTY_EVERY * PENALTY / 2 * penalty)
    with device.autocast():
        fooled = -discriminator(disturbed(drawn)).float().mean()
    draws.descend(fooled)
    return torch.stack([fooled.detach(), judged.detach()])


def _scale(learns: Learner) -> float:
    """The factor on a loss, 1 but for float16."""
    return learns.scaler.get_scale() if learns.scaler else 1.0


def steepness(score: Tensor, photos: Tensor, scale: float = 1.0) -> Tensor:
    """Mean squared norm of the gradient of the scores (b,) on the photos (b, 3, size, size).

    Args:
        scale: factor on the scores meanwhile, that keeps a float16 gradient from vanishing.
    """
    (gradient,) = torch.autograd.grad(score.float().sum() * scale, photos, create_graph=True)
    return (gradient / scale).square().sum(dim=(1, 2, 3)).mean()


def disturbed(pictures: Tensor) -> Tensor:
    """Shift and brighten each picture (b, 3, size, size) by chance, with a gradient."""
    b, size = len(pictures), pictures.shape[-1]
    far = round(SHIFT * size)
    padded = F.pad(pictures, (far, far, far, far), mode="reflect")
    down, across = torch.randint(0, 2 * far + 1, (2, b)).tolist()
    cut = [
        picture[:, y : y + size, x : x + size]
        for picture, y, x in zip(padded, down, across, strict=True)
    ]
    light = sent(torch.rand(b, 1, 1, 1) * 2 - 1, pictures.device.type) * 2 * BRIGHTNESS
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
