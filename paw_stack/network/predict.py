"""Predictions of a network, averaged over the views of test-time augmentation."""

import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from paw_stack.config import EmbedSection, TtaSection
from paw_stack.network.dataloader import as_computed, filled
from paw_stack.network.device import Device
from paw_stack.network.gpu.feed import on_device, prefetched, sent
from paw_stack.network.gpu.memory import pass_size, told
from paw_stack.network.regressor import Regressor


def predict_batch(device: Device, size: int) -> int:
    """Photos of `size` pixels a side in a forward pass where nobody says how many."""
    return _pass_on_a_cpu(size) if device.name == "cpu" else pass_size(device, size)


def _pass_on_a_cpu(size: int) -> int:
    """A power of two, 8 of 224 pixels: larger passes gain nothing there and take memory.

    Of small photos a pass is mostly calls: 64 of 64 pixels go three times as fast as 8.
    """
    fitting = 2 ** int(math.log2(8 * (224 / size) ** 2))
    return min(64, max(8, fitting))


def predict(
    model: Regressor,
    pixels: Path,
    rows: np.ndarray,
    metadata: np.ndarray,
    device: Device,
    tta: TtaSection | None = None,
    batch_size: int | None = None,
) -> np.ndarray:
    """Predictions (n_rows,) float64 in points, photos as they are in the cache.

    Args:
        rows: (n_rows,) int, of the cache.
        metadata: (n_cache, n_metadata) float32, standardised.
        tta: views to average; None is the photo alone.
        batch_size: photos a forward pass; every pass is filled up to it. None: as many as the
            device takes well.

    Raises:
        ConfigError: the device's memory is too small for a pass.
    """
    photos = np.load(pixels, mmap_mode="r")  # or activations, of a network from these on
    batch_size = batch_size or predict_batch(device, photos.shape[1])
    parts = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    batches = on_device(prefetched(photos[part] for part in parts), device)
    model.eval()
    found = [torch.empty(0, dtype=torch.float64, device=device.name)]
    for part, batch in zip(parts, batches, strict=True):
        with told(lambda: _advice(batch_size)), torch.inference_mode(), device.autocast():
            columns = filled(sent(torch.from_numpy(metadata[part]), device.name), batch_size)
            batch = filled(as_computed(batch), batch_size)
            seen = [model.points(model(view, columns)) for view in views(batch, tta)]
            found.append(torch.stack(seen).double().mean(0)[: len(part)])
    return torch.cat(found).cpu().numpy()  # what comes back waits for the device once


def _advice(batch_size: int) -> str:
    return (
        f"out of memory in predicting {batch_size} photos at once; end what else uses the device,"
        " predict fewer at once (predict --batch-size), or lower the backbone's image_size"
    )


def views(photos: torch.Tensor, tta: TtaSection | EmbedSection | None) -> list[torch.Tensor]:
    """The photos (b, size, size, 3) uint8 and, as asked, corner crops at full size and mirrors."""
    if tta is None:
        return [photos]
    found = [photos, *_corners(photos, tta)]
    return [*found, *(view.flip(2) for view in found)] if tta.flip else found


def _corners(photos: torch.Tensor, tta: TtaSection | EmbedSection) -> list[torch.Tensor]:
    size = photos.shape[1]
    side = round(size * tta.crop_share)
    low, high = slice(0, side), slice(size - side, size)
    places = [(low, low), (low, high), (high, low), (high, high)][: tta.crops - 1]
    return [_resized(photos[:, down, across], size) for down, across in places]


def _resized(photos: torch.Tensor, size: int) -> torch.Tensor:
    """(b, h, w, 3) uint8 -> (b, size, size, 3) float32, levels 0..255."""
    resized = F.interpolate(
        photos.permute(0, 3, 1, 2).float(), (size, size), mode="bilinear", antialias=True
    )
    return resized.permute(0, 2, 3, 1)
