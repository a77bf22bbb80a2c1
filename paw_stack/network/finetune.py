"""Fine-tuning one backbone on the fit rows of one fold.

Enters: the image cache, targets in points, which rows to learn from. Leaves: weights, predictions
for held-out and test rows in points, and a history with one line an epoch. Held-out targets are
looked at for the history alone, unless `finetune.keep` is best_held_out.

Every random number follows from (seed, epoch, row), so that training which goes on from the state
after an epoch ends, on CPU, with the same bytes as training that was never interrupted.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from paw_stack.config import BackboneSection, FinetuneSection, LossSection, RegressorSection
from paw_stack.data.nouns import State
from paw_stack.errors import ConfigError, DataError, offenders
from paw_stack.metrics import rmse
from paw_stack.network.backbone import build_backbone
from paw_stack.network.batches import FoldRows, batches, batches_per_epoch, mixup
from paw_stack.network.device import Device, peak_megabytes
from paw_stack.network.optimise import (
    freeze,
    make_optimizer,
    mean_weights,
    set_rates,
    train_mode,
)
from paw_stack.network.predict import predict
from paw_stack.network.regressor import Regressor
from paw_stack.network.state import load_optimizer, named, optimizer_tensors
from paw_stack.progress import track

MIXUP_STREAM = 2**31  # beyond every epoch number, which seed the order of rows


@dataclass(frozen=True)
class Recipe:
    """The sections that decide how a fold is trained, and what the run adds to them."""

    backbone: BackboneSection
    regressor: RegressorSection
    loss: LossSection
    finetune: FinetuneSection
    bounds: tuple[float, float]  # points
    device: Device
    seed: int  # of weights, row order and augmentation
    workers: int


@dataclass(frozen=True)
class FinetunedFold:
    """What one fold's training leaves."""

    weights: dict[str, torch.Tensor]
    held_out: np.ndarray  # (n_held_out,) float64, points
    test: np.ndarray  # (m,) float64, points
    history: list[dict[str, float]]


class _Training:
    """The parts of one fold's training; `after` an epoch they are a `State`."""

    def __init__(
        self, recipe: Recipe, rows: FoldRows, pixels: Path, start: dict[str, torch.Tensor] | None
    ):
        self.recipe, self.rows, self.pixels = recipe, rows, pixels
        self.metadata = rows.standardised()
        self.model = _make_model(recipe, rows, start)
        freeze(self.model, recipe.finetune.freeze)
        self.optimizer = make_optimizer(self.model, recipe.finetune)
        self.mean = mean_weights(self.model, recipe.finetune.ema)
        self.parts = batches_per_epoch(len(rows.fit), recipe.finetune)
        self.steps = math.ceil(self.parts / recipe.finetune.accumulate)
        self.forward: Any = torch.compile(self.model) if recipe.finetune.compile else self.model
        self.state = State(0, {})

    @property
    def predictor(self) -> Regressor:
        """The network that predicts: the mean of weights where there is one."""
        return self.mean.module if self.mean else self.model

    def resume(self, state: State) -> None:
        self.model.load_state_dict(state.part("model"))
        load_optimizer(self.optimizer, state.part("optimizer"))
        if self.mean:
            self.mean.module.load_state_dict(state.part("mean"))
        self.state = state

    def after(self, line: dict[str, float]) -> State:
        """The state after one more epoch; the best weights are kept beside the present ones."""
        history = [*self.state.history, line]
        best, kept = self._best(history)
        tensors = {
            **named("model", self.model.state_dict()),
            **named("optimizer", optimizer_tensors(self.optimizer)),
            **(named("mean", self.mean.module.state_dict()) if self.mean else {}),
            **kept,
        }
        self.state = State(len(history), tensors, history, best)
        return self.state

    def _best(self, history: list[dict[str, float]]) -> tuple[int, dict[str, torch.Tensor]]:
        column = {"best_inner": "inner_rmse", "best_held_out": "held_out_rmse"}
        if self.recipe.finetune.keep == "last":
            return len(history), {}
        scores = [line[column[self.recipe.finetune.keep]] for line in history]
        best = int(np.argmin(scores)) + 1
        if best == len(history):
            return best, named("best", self.predictor.state_dict())
        return best, {f"best/{key}": value for key, value in self.state.part("best").items()}

    def is_over(self) -> bool:
        section, state = self.recipe.finetune, self.state
        waited = state.epoch - state.best_epoch
        return state.epoch == section.epochs or waited >= (section.patience or math.inf)

    def predict(self, rows: np.ndarray, tta: bool = False) -> np.ndarray:
        section = self.recipe.finetune.tta if tta else None
        return predict(
            self.predictor, self.pixels, rows, self.metadata, self.recipe.device, section
        )


def finetune_fold(
    pixels: Path,
    rows: FoldRows,
    recipe: Recipe,
    what: str,
    start: dict[str, torch.Tensor] | None = None,
    resumed: State | None = None,
    after_epoch: Callable[[State], None] = lambda state: None,
) -> FinetunedFold:
    """Train on the fit rows and predict the held-out and test rows.

    Args:
        pixels: `.npy` of the image cache, (n + m, size, size, 3) uint8.
        what: shown beside the progress bar.
        start: weights of a fine-tuned regressor to begin from, in place of the pretrained ones.
        resumed: the state that an interrupted call handed to `after_epoch` last.
        after_epoch: gets the state after every epoch.

    Raises:
        DataError: the loss is not finite.
        ConfigError: the device's memory is too small for the batch.
    """
    training = _Training(recipe, rows, pixels, start)
    if resumed:
        training.resume(resumed)
    _run_epochs(training, what, after_epoch)
    if recipe.finetune.keep != "last":
        training.predictor.load_state_dict(training.state.part("best"))
    weights = {name: tensor.cpu() for name, tensor in training.predictor.state_dict().items()}
    held_out, test = (training.predict(part, tta=True) for part in (rows.held_out, rows.test))
    return FinetunedFold(weights, held_out, test, training.state.history)


def _make_model(recipe: Recipe, rows: FoldRows, start: dict[str, torch.Tensor] | None) -> Regressor:
    n_metadata = rows.metadata.shape[1] if recipe.regressor.metadata != "none" else 0
    planes = n_metadata if recipe.regressor.metadata == "early" else 0
    backbone = build_backbone(recipe.backbone, recipe.seed, planes)
    model = Regressor(
        backbone, recipe.regressor, recipe.loss, recipe.bounds, n_metadata, rows.n_classes
    )
    if start is not None:
        model.load_state_dict(start)
    elif recipe.regressor.bias_init:
        model.init_bias(torch.from_numpy(rows.target[rows.fit]))
    return model.to(recipe.device.name)


def _run_epochs(training: _Training, what: str, after_epoch: Callable[[State], None]) -> None:
    recipe, rows = training.recipe, training.rows
    section, size = recipe.finetune, training.model.backbone.size
    feed = batches(
        training.pixels, rows.fit, section, size, recipe.seed, recipe.workers, training.state.epoch
    )
    left = (section.epochs - training.state.epoch) * training.parts * section.batch_size
    bar = track(feed, what, total=left, size=section.batch_size)
    with closing(bar):  # its last item may never be asked for
        while not training.is_over():
            after_epoch(training.after(_epoch(training, islice(bar, training.parts), what)))


def _epoch(
    training: _Training, feed: Iterator[tuple[torch.Tensor, np.ndarray]], what: str
) -> dict[str, float]:
    """Learn from every fit row once; returns the epoch's line of the history."""
    recipe, rows, epoch = training.recipe, training.rows, training.state.epoch
    section = recipe.finetune
    torch.manual_seed(np.random.SeedSequence([recipe.seed, epoch]).generate_state(1)[0].item())
    mixing = np.random.default_rng([recipe.seed, MIXUP_STREAM, epoch])
    sums: dict[str, float] = {}
    start, waited = time.perf_counter(), 0.0
    for step in range(training.steps):
        lr = set_rates(training.optimizer, section, epoch * training.steps + step, training.steps)
        asked = time.perf_counter()
        group = list(
            islice(feed, min(section.accumulate, training.parts - step * section.accumulate))
        )
        waited += time.perf_counter() - asked
        for name, value in _step(training, group, mixing, f"{what}, epoch {epoch + 1}").items():
            sums[name] = sums.get(name, 0.0) + value
    seconds = time.perf_counter() - start
    return {
        "epoch": epoch + 1,
        **_scores(training, sums),
        "learning_rate": lr,
        "photos_per_second": round(len(rows.fit) / seconds, 1),
        "data_wait_share": round(waited / seconds, 4),
        "seconds": round(seconds, 2),
        "peak_megabytes": peak_megabytes(recipe.device),
    }


def _scores(training: _Training, sums: dict[str, float]) -> dict[str, float]:
    """Loss terms and fit RMSE were taken while learning, on augmented photos: no scores."""
    rows, n = training.rows, len(training.rows.fit)
    scores = {f"loss_{name}": value / n for name, value in sums.items() if name != "squares"}
    scores["fit_rmse"] = math.sqrt(sums["squares"] / n)
    for name, part in (("inner", rows.inner), ("held_out", rows.held_out)):
        if len(part):
            scores[f"{name}_rmse"] = rmse(rows.target[part], training.predict(part))
    return scores


def _step(
    training: _Training,
    group: list[tuple[torch.Tensor, np.ndarray]],
    mixing: np.random.Generator,
    what: str,
) -> dict[str, float]:
    """One step from the gradient of all rows of the group; returns sums over its rows."""
    n_rows = sum(len(batch_rows) for _, batch_rows in group)
    training.optimizer.zero_grad(set_to_none=True)
    sums: dict[str, float] = {}
    for photos, batch_rows in group:
        for name, value in _backward(training, photos, batch_rows, n_rows, mixing, what).items():
            sums[name] = sums.get(name, 0.0) + value
    if clip := training.recipe.finetune.clip:
        torch.nn.utils.clip_grad_norm_(training.model.parameters(), clip)
    training.optimizer.step()
    if training.mean:
        training.mean.update(training.model)
    return sums


def _backward(
    training: _Training,
    uint8_photos: torch.Tensor,
    batch_rows: np.ndarray,
    n_rows: int,
    mixing: np.random.Generator,
    what: str,
) -> dict[str, float]:
    """Add a batch's share of the gradient of a step over `n_rows` rows."""
    recipe, rows, device = training.recipe, training.rows, training.recipe.device
    # BatchNorm knows no variance of a single row.
    train_mode(training.model, recipe.finetune.freeze_batchnorm or len(batch_rows) == 1)
    photos = uint8_photos.to(device.name, non_blocking=True)
    target = torch.from_numpy(rows.target[batch_rows]).float().to(device.name)
    metadata = torch.from_numpy(training.metadata[batch_rows]).to(device.name)
    label = None if rows.label is None else torch.from_numpy(rows.label[batch_rows])
    if recipe.finetune.mixup:
        photos, (target, metadata) = mixup(
            photos, [target, metadata], recipe.finetune.mixup, mixing
        )
    try:
        with device.autocast():
            outputs = training.forward(photos, metadata)
        terms = training.model.losses(
            outputs, target, None if label is None else label.to(device.name)
        )
        total = torch.stack(list(terms.values())).sum()
        if not torch.isfinite(total):
            raise DataError(
                f"{what}: the loss is {total.item()}, with the photos"
                f" {offenders(rows.ids[batch_rows])}; lower finetune.learning_rate"
            )
        (total * (len(batch_rows) / n_rows)).backward()
    except torch.OutOfMemoryError:
        raise ConfigError(_memory_advice(recipe.finetune, what)) from None
    squares = float(((training.model.points(outputs).detach() - target) ** 2).sum())
    means = {name: term.item() * len(batch_rows) for name, term in terms.items()}
    return {**means, "squares": squares}


def _memory_advice(section: FinetuneSection, what: str) -> str:
    if section.batch_size == 1:
        return f"{what}: out of memory with one photo a batch; lower the backbone's image_size"
    half = max(1, section.batch_size // 2)
    return (
        f"{what}: out of memory at finetune.batch_size {section.batch_size}; try {half} with"
        f" finetune.accumulate {section.accumulate * section.batch_size // half}, or"
        " grad_checkpointing: true for the backbone"
    )
