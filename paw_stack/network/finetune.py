"""Fine-tuning one backbone on the fit rows of one fold.

Enters: the image cache, targets in points, which rows to learn from. Leaves: weights after the last
epoch, predictions for held-out and test rows in points, and a history with one line an epoch.
Held-out rows are never seen before the last step, so nothing about the training depends on them.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from paw_stack.config import BackboneSection, FinetuneSection
from paw_stack.data.augment import AugmentedPhotos, make_augment
from paw_stack.errors import DataError, offenders
from paw_stack.network.backbone import build_backbone
from paw_stack.network.device import Device
from paw_stack.network.regressor import Regressor
from paw_stack.progress import track

PREDICT_BATCH = 64


@dataclass(frozen=True)
class FinetunedFold:
    """What one fold's training leaves."""

    weights: dict[str, torch.Tensor]
    held_out: np.ndarray  # (n_held_out,) float64, points
    test: np.ndarray  # (m,) float64, points
    history: list[dict[str, float]]


@dataclass(frozen=True)
class FoldRows:
    """Row numbers in the image cache, and the targets of the rows to learn from."""

    fit: np.ndarray  # (n_fit,) int64
    target: np.ndarray  # (n_fit,) float64, points
    held_out: np.ndarray  # (n_held_out,) int64
    test: np.ndarray  # (m,) int64


def finetune_fold(
    pixels: Path,
    rows: FoldRows,
    backbone: BackboneSection,
    section: FinetuneSection,
    bounds: tuple[float, float],
    device: Device,
    seed: int,
    workers: int,
    what: str,
) -> FinetunedFold:
    """Train on the fit rows and predict the held-out and test rows.

    Args:
        pixels: `.npy` of the image cache, (n_rows, size, size, 3) uint8.
        seed: of weights, row order and augmentation; the same seed gives the same weights on CPU.
        what: shown beside the progress bar.

    Raises:
        DataError: the loss is not finite.
    """
    model = Regressor(build_backbone(backbone, seed), section.loss, bounds).to(device.name)
    if section.bias_init:
        model.init_bias(float(rows.target.mean()))
    history = _train(model, pixels, rows, section, device, seed, workers, what)
    weights = {name: tensor.cpu() for name, tensor in model.state_dict().items()}
    held_out = predict(model, pixels, rows.held_out, device)
    return FinetunedFold(weights, held_out, predict(model, pixels, rows.test, device), history)


def predict(model: Regressor, pixels: Path, rows: np.ndarray, device: Device) -> np.ndarray:
    """Predictions (n_rows,) float64 in points, photos as they are in the cache."""
    photos = np.load(pixels, mmap_mode="r")
    model.eval()
    parts = [np.empty(0)]
    for start in range(0, len(rows), PREDICT_BATCH):
        batch = torch.from_numpy(photos[rows[start : start + PREDICT_BATCH]]).to(device.name)
        with torch.inference_mode(), device.autocast():
            parts.append(model.points(model(batch)).double().cpu().numpy())
    return np.concatenate(parts)


def _train(
    model: Regressor,
    pixels: Path,
    rows: FoldRows,
    section: FinetuneSection,
    device: Device,
    seed: int,
    workers: int,
    what: str,
) -> list[dict[str, float]]:
    batches_per_epoch = math.ceil(len(rows.fit) / section.batch_size)
    steps = batches_per_epoch * section.epochs
    optimizer = torch.optim.AdamW(_groups(model, section.weight_decay), lr=section.learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _warmup_cosine(steps, section.warmup))
    history = []
    feed = _batches(pixels, rows, section, model.backbone.size, seed, workers)
    bar = track(feed, what, total=steps * section.batch_size, size=section.batch_size)
    model.train()
    squares, start = 0.0, time.perf_counter()
    for step, (photos, batch_rows) in enumerate(bar, start=1):
        target = torch.from_numpy(rows.target[batch_rows]).float().to(device.name)
        with device.autocast():
            output = model(photos.to(device.name, non_blocking=True))
        loss = model.loss(output, target)
        if not torch.isfinite(loss):
            raise DataError(
                f"{what}: the loss is {loss.item()} at step {step}, with cache rows"
                f" {offenders(rows.fit[batch_rows])}; lower finetune.learning_rate"
            )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        squares += float(((model.points(output.detach()) - target) ** 2).sum())
        if step % batches_per_epoch == 0:
            fit_rmse = math.sqrt(squares / len(rows.fit))
            seconds = time.perf_counter() - start
            history.append(_line(step // batches_per_epoch, fit_rmse, seconds, len(rows.fit)))
            squares, start = 0.0, time.perf_counter()
    return history


def _line(epoch: int, fit_rmse: float, seconds: float, n_rows: int) -> dict[str, float]:
    """`fit_rmse` is taken while learning, over augmented photos: an upper guide, no score."""
    return {
        "epoch": epoch,
        "fit_rmse": round(fit_rmse, 4),
        "seconds": round(seconds, 2),
        "photos_per_second": round(n_rows / seconds, 1),
    }


def _groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Weight decay on matrices only: norms, biases and position tables are left alone."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


def _warmup_cosine(steps: int, warmup: float) -> Callable[[int], float]:
    rising = max(1, round(steps * warmup))

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))

    return factor


def _batches(
    pixels: Path,
    rows: FoldRows,
    section: FinetuneSection,
    size: int,
    seed: int,
    workers: int,
) -> Iterator[tuple[torch.Tensor, np.ndarray]]:
    """Photos (b, size, size, 3) uint8 and their positions (b,) in the fit rows, epoch by epoch.

    Batches of an epoch are equal within one, so that no small last batch is lost or overrated.
    """
    parts = math.ceil(len(rows.fit) / section.batch_size)
    augment = make_augment(section.augment, size, section.crop_scale)
    for epoch in range(section.epochs):
        order = np.random.default_rng([seed, epoch]).permutation(len(rows.fit))
        batches = np.array_split(order, parts)
        dataset = AugmentedPhotos(pixels, rows.fit, augment, seed=(seed, epoch))
        # spawn: a forked worker may inherit a held OpenMP lock and hang.
        context = "spawn" if workers else None
        loader: Any = DataLoader(
            dataset,  # type: ignore[arg-type]
            batch_sampler=[batch.tolist() for batch in batches],
            num_workers=workers,
            multiprocessing_context=context,
        )
        yield from zip(loader, batches, strict=True)
