"""An autoencoder around a timm backbone: a photo -> its embedding -> the photo again.

Enters: photos that have no label, so that no held-out row is among them. Leaves: an encoder, whose
embedding heads can use like any frozen backbone's, and reconstructions. The photo must pass through
the pooled embedding, not through a feature map: what the heads get is what the decoder needed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paw_stack.config import AutoencoderSection, BackboneSection
from paw_stack.data.types import Checkpoint
from paw_stack.errors import ArtifactError
from paw_stack.network.backbone import Backbone, build_backbone
from paw_stack.network.device import Device, placed
from paw_stack.network.gpu.feed import sent
from paw_stack.semi_supervised.train_loop import (
    Learner,
    learner,
    run_epochs,
    shuffled_batches,
    to_levels,
)

START = 4  # side of the decoder's first map, pixels
WIDEST = 8  # times `width`, the channels of the first map
WEIGHT_DECAY = 0.01
PREDICT_BATCH = 64


class Decoder(nn.Module):
    """Embeddings (b, width) -> pictures (b, 3, size, size), 0..1.

    Maps double their side until they reach `size`, by nearest neighbours and a convolution: a
    transposed convolution leaves a chequered pattern.
    """

    def __init__(self, width: int, channels: int, size: int):
        super().__init__()
        self.size, n = size, WIDEST * channels
        layers: list[nn.Module] = [nn.Linear(width, n * START**2), nn.Unflatten(1, (n, START, -1))]
        side = START
        while side < size:
            side, smaller = 2 * side, max(channels, n // 2)
            layers += [nn.Upsample(scale_factor=2), nn.Conv2d(n, smaller, 3, padding=1)]
            layers += [nn.BatchNorm2d(smaller), nn.GELU()]
            n = smaller
        self.layers = nn.Sequential(*layers, nn.Conv2d(n, 3, 3, padding=1), nn.Sigmoid())

    def forward(self, embeddings: Tensor) -> Tensor:
        pictures = self.layers(embeddings).float()
        if pictures.shape[-1] == self.size:
            return pictures
        return F.interpolate(pictures, (self.size, self.size), mode="bilinear", antialias=True)


class Autoencoder(nn.Module):
    """uint8 photos (b, size, size, 3) -> pictures (b, 3, size, size), 0..1."""

    def __init__(self, backbone: Backbone, channels: int):
        super().__init__()
        self.backbone = backbone
        self.decoder = Decoder(backbone.width, channels, backbone.size)

    def forward(self, photos: Tensor) -> Tensor:
        return self.decoder(self.backbone(photos))


@dataclass(frozen=True)
class Trained:
    """A trained autoencoder and the history of its training."""

    model: Autoencoder
    history: list[dict[str, float]]


def train_autoencoder(
    pixels: Path,
    rows: np.ndarray,
    encoder: BackboneSection,
    section: AutoencoderSection,
    device: Device,
    seed: int,
    resumed: Checkpoint | None = None,
    after_epoch: Callable[[Checkpoint], None] = lambda state: None,
) -> Trained:
    """Learn to reconstruct `rows` (k,) of the image cache by the mean square over pixels."""
    photos = np.load(pixels, mmap_mode="r")
    model = placed(Autoencoder(build_backbone(encoder, seed), section.width), device)
    optimizer = torch.optim.AdamW(
        model.parameters(), section.learning_rate, weight_decay=WEIGHT_DECAY
    )
    learns = learner(model, optimizer, device)

    def epoch(number: int) -> dict[str, float]:
        phase = np.cos(np.pi * number / section.epochs)
        optimizer.param_groups[0]["lr"] = section.learning_rate * (1 + phase) / 2
        model.train()
        feed = shuffled_batches(photos, rows, section.batch_size, seed, number)
        squares = [_step(model, learns, sent(batch, device.name), device) for batch in feed]
        return {"loss": float(np.mean(torch.stack(squares).tolist()))}

    done = run_epochs(
        "autoencoder", {"model": learns}, section.epochs, seed, epoch, resumed, after_epoch
    )
    return Trained(model, done)


def load_autoencoder(
    encoder: BackboneSection, section: AutoencoderSection, weights: dict[str, Tensor]
) -> Autoencoder:
    """The one that was trained.

    Raises:
        ArtifactError: the weights are another network's.
    """
    model = Autoencoder(build_backbone(encoder, seed=0, load=False), section.width)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise ArtifactError(f"backbone {encoder.name}: weights do not fit: {reason}") from error
    return model


def _step(model: Autoencoder, learns: Learner, photos: Tensor, device: Device) -> Tensor:
    with device.autocast():
        pictures = model(photos)
    loss = F.mse_loss(pictures, photos.permute(0, 3, 1, 2).float() / 255)
    learns.descend(loss)
    return loss.detach()


def reconstruct(model: Autoencoder, photos: np.ndarray, device: Device) -> np.ndarray:
    """(n, size, size, 3) uint8 -> the same shape and type."""
    model.eval()
    parts = []
    for start in range(0, len(photos), PREDICT_BATCH):
        batch = torch.from_numpy(np.array(photos[start : start + PREDICT_BATCH])).to(device.name)
        with torch.inference_mode(), device.autocast():
            parts.append(to_levels(model(batch)))
    return np.concatenate(parts)


def pixel_rmse(pictures: np.ndarray, photos: np.ndarray) -> float:
    """Pooled over photos and pixels, levels 0..255; `pictures` may be one for all."""
    squares = [
        np.mean((picture.astype(np.float64) - photo) ** 2)
        for picture, photo in zip(np.broadcast_to(pictures, photos.shape), photos, strict=True)
    ]
    return float(np.sqrt(np.mean(squares)))
