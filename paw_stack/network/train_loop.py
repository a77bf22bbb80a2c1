"""Fine-tuning one backbone on the training rows of one fold.

Enters: the image cache, targets in points, which rows to learn from. Leaves: weights, predictions
for held-out and test rows in points, and a history with one line an epoch. Held-out targets are
looked at for the history alone, unless `finetune.keep` is best_held_out.

Every random number follows from (seed, epoch, row), so that training which goes on from the state
after an epoch ends, on CPU, with the same bytes as training that was never interrupted.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from paw_stack.data.types import Checkpoint
from paw_stack.errors import DataError, offenders
from paw_stack.metrics import rmse, taken, total
from paw_stack.network.dataloader import Batch, FoldRows, batches, mixup
from paw_stack.network.device import peak_megabytes
from paw_stack.network.gpu.feed import sent
from paw_stack.network.gpu.memory import told, training_advice
from paw_stack.network.optim import set_rates, train_mode
from paw_stack.network.trainer import Recipe, Training
from paw_stack.processes import in_background
from paw_stack.progress import track

LOOK_EVERY = {"cpu": 1, "cuda": 64}  # batches between two looks at whether losses are finite
MIXUP_STREAM = 2**31  # beyond every epoch number, which seed the order of rows


@dataclass(frozen=True)
class FinetunedFold:
    """Result of one fold's training."""

    weights: dict[str, torch.Tensor]
    held_out: np.ndarray  # (n_held_out,) float64, points
    test: np.ndarray  # (m,) float64, points
    history: list[dict[str, float]]


def finetune_fold(
    pixels: Path,
    rows: FoldRows,
    recipe: Recipe,
    what: str,
    start: dict[str, torch.Tensor] | None = None,
    resumed: Checkpoint | None = None,
    after_epoch: Callable[[Checkpoint], None] = lambda state: None,
    kept: Path | None = None,
) -> FinetunedFold:
    """Train on the training rows and predict the held-out and test rows.

    Args:
        pixels: `.npy` of the image cache, (n + m, size, size, 3) uint8.
        what: shown beside the progress bar.
        start: weights of a fine-tuned regressor to begin from, in place of the pretrained ones.
        resumed: the state that an interrupted call handed to `after_epoch` last.
        after_epoch: gets the state after every epoch, in a thread, while the next one runs.
        kept: folder for what frozen stages make of the photos of this image cache, where
            finetune.views says that it is kept; None: it is computed every time.

    Raises:
        DataError: the loss or a weight is not finite.
        ConfigError: the device's memory is too small for the batch.
    """
    with advised(recipe, what):
        training = Training(recipe, rows, pixels, start, kept)
        if resumed:
            training.resume(resumed)
        training.open_activations()
    _run_epochs(training, what, after_epoch)
    if recipe.finetune.keep != "last":
        training.predictor.load_state_dict(training.state.part("best"))
    weights = {name: tensor.cpu() for name, tensor in training.predictor.state_dict().items()}
    if bad := [name for name, tensor in weights.items() if not torch.isfinite(tensor).all()]:
        raise DataError(
            f"{what}: weights are not finite: {offenders(bad)}; lower finetune.learning_rate"
        )
    held_out, test = (training.predict(part, tta=True) for part in (rows.held_out, rows.test))
    return FinetunedFold(weights, held_out, test, training.state.history)


def _run_epochs(training: Training, what: str, after_epoch: Callable[[Checkpoint], None]) -> None:
    recipe, rows = training.recipe, training.rows
    section, size = recipe.finetune, training.model.backbone.size
    feed = batches(
        training.pixels,
        rows,
        section,
        size,
        recipe.seed,
        recipe.workers,
        training.state.epoch,
        training.own,
        recipe.device.name == "cuda",
        training.source,
    )
    left = (section.epochs - training.state.epoch) * training.parts * section.batch_size
    bar = track(feed, what, total=left, size=section.batch_size)
    # The bar's last item may never be asked for. A state is written while the next epoch runs.
    with closing(bar), in_background(after_epoch) as keep:
        while not training.is_over():
            line = _epoch(training, islice(bar, training.parts), what)
            keep(partial(training.after, line))


def _epoch(training: Training, feed: Iterator[Batch], what: str) -> dict[str, float]:
    """Learn from every training row once; returns the epoch's line of the history."""
    recipe, epoch = training.recipe, training.state.epoch
    section, process = recipe.finetune, training.fabric.global_rank
    entropy = np.random.SeedSequence([recipe.seed, epoch, process])
    torch.manual_seed(entropy.generate_state(1)[0].item())
    mixing = np.random.default_rng([recipe.seed, MIXUP_STREAM, epoch, process])
    sums = Sums(training, f"{what}, epoch {epoch + 1}")
    start, waited = time.perf_counter(), 0.0
    for step in range(training.steps):
        lr = set_rates(training.optimizer, section, epoch * training.steps + step, training.steps)
        asked = time.perf_counter()
        group = list(
            islice(feed, min(section.accumulate, training.parts - step * section.accumulate))
        )
        waited += time.perf_counter() - asked
        with advised(recipe, sums.what):
            _step(training, group, mixing, sums)
    found = sums.read()
    seconds = time.perf_counter() - start
    return {
        "epoch": epoch + 1,
        **_scores(training, found),
        "learning_rate": lr,
        "photos_per_second": round(training.n_rows / seconds, 1),
        "data_wait_share": round(waited / seconds, 4),
        "seconds": round(seconds, 2),
        "peak_megabytes": peak_megabytes(recipe.device),
    }


def _scores(training: Training, sums: dict[str, float]) -> dict[str, float]:
    """Loss terms and fit RMSE were taken while learning, on augmented photos: no scores."""
    rows = training.rows
    totals = training.summed(torch.tensor(list(sums.values()), dtype=torch.float64)).tolist()
    sums = dict(zip(sums, totals, strict=True))
    scores = {
        f"loss_{name}": value / training.n_rows for name, value in sums.items() if name != "squares"
    }
    counted = total(rows.fit, taken(rows.sample_weight, rows.fit))
    scores["fit_rmse"] = math.sqrt(sums["squares"] / counted)
    for name, part in (("inner", rows.inner), ("held_out", rows.held_out)):
        if len(part):
            predicted, weight = training.predict(part), taken(rows.sample_weight, part)
            scores[f"{name}_rmse"] = rmse(rows.target[part], predicted, weight)
    return scores


class Sums:
    """Loss terms and squared errors of an epoch, added up where they are computed.

    To read a number of a GPU is to wait for all that it has been asked for, so nothing is read but
    at the end, and at times whether a loss was finite.
    """

    def __init__(self, training: Training, what: str):
        self.what, self.ids, device = what, training.rows.ids, training.recipe.device.name
        self.names: list[str] = []
        self.total = torch.zeros((), dtype=torch.float64, device=device)  # (k,) after a batch
        self.bad = torch.tensor([-1.0, 0.0], dtype=torch.float64, device=device)
        self.seen: list[np.ndarray] = []  # rows of each batch
        self.look_every = LOOK_EVERY[device]

    def add(self, batch: Batch, terms: dict[str, Tensor], squares: Tensor) -> None:
        """Take a batch's mean terms and its sum of squares.

        Raises:
            DataError: a loss is not finite; of a GPU that is seen some batches later.
        """
        self.names = [*terms, "squares"]
        means = torch.stack([term.detach() for term in terms.values()]).double()
        self.total = self.total + torch.cat([means * len(batch.rows), squares.double()[None]])
        loss = means.sum()
        now = torch.stack([torch.full_like(loss, len(self.seen)), loss])
        self.bad = torch.where((self.bad[0] < 0) & ~loss.isfinite(), now, self.bad)
        self.seen.append(batch.rows)
        if len(self.seen) % self.look_every == 0:
            self._look()

    def read(self) -> dict[str, float]:
        """The sums by name."""
        self._look()
        return dict(zip(self.names, self.total.tolist(), strict=True))

    def _look(self) -> None:
        number, loss = self.bad.tolist()
        if number >= 0:
            raise DataError(
                f"{self.what}: the loss is {loss}, with the photos"
                f" {offenders(self.ids[self.seen[int(number)]])}; lower finetune.learning_rate"
            )


def _step(training: Training, group: list[Batch], mixing: np.random.Generator, sums: Sums) -> None:
    """One step from the gradient of all rows of the group."""
    n_rows = sum(batch.n_all for batch in group)
    training.optimizer.zero_grad(set_to_none=True)
    for number, batch in enumerate(group, start=1):
        # Processes exchange gradients once a step, with its last batch.
        with training.fabric.no_backward_sync(training.forward, enabled=number < len(group)):
            terms, squares = _backward(training, batch, n_rows, mixing)
        sums.add(batch, terms, squares)
    if clip := training.recipe.finetune.clip:
        training.fabric.clip_gradients(
            training.forward, training.stepper, max_norm=clip, error_if_nonfinite=False
        )
    training.stepper.step()
    if training.mean:
        training.mean.update(training.model)


def _backward(
    training: Training, batch: Batch, n_rows: int, mixing: np.random.Generator
) -> tuple[dict[str, Tensor], Tensor]:
    """Add a batch's share of the gradient of a step over `n_rows` rows.

    Returns:
        The terms of the loss, and the sum of squared errors over the training rows of the batch.
    """
    recipe, fabric, n = training.recipe, training.fabric, len(batch.rows)
    # BatchNorm knows no variance of a single row.
    frozen_batchnorm = recipe.finetune.freeze_batchnorm or n == 1
    train_mode(training.learner, frozen_batchnorm, training.frozen)
    photos, target, metadata, label, weight = _on_device(training, batch)
    if recipe.finetune.mixup:
        known = [target, metadata] if weight is None else [target, metadata, weight]
        photos, (target, metadata, *weights) = mixup(photos, known, recipe.finetune.mixup, mixing)
        weight = weights[0] if weights else None
    outputs = training.forward(photos, metadata)
    terms = training.model.losses(outputs, target, label, weight)
    descended = torch.stack(list(terms.values())).sum()
    # The processes' gradients are averaged: each counts by its rows, whatever their number.
    fabric.backward(descended * (n * fabric.world_size / n_rows))
    # Extra rows stand last in a batch; what they are told is no target.
    squares = ((training.model.points(outputs).detach() - target) ** 2)[: batch.n_fit]
    if training.rows.sample_weight is not None and weight is not None:
        squares = weight[: batch.n_fit] * squares
    return terms, squares.sum()


def _on_device(
    training: Training, batch: Batch
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
    """Photos uint8, targets in points, metadata, auxiliary classes and weights of a batch."""
    rows, name = training.rows, training.recipe.device.name
    label, weight = (
        None if column is None else sent(torch.from_numpy(column[batch.rows]), name)
        for column in (rows.label, rows.weight)
    )
    return (
        sent(batch.photos, name),
        sent(torch.from_numpy(rows.target[batch.rows]).float(), name),
        sent(torch.from_numpy(training.metadata[batch.rows]), name),
        label,
        weight,
    )


def advised(recipe: Recipe, what: str) -> AbstractContextManager[None]:
    """Say which batch would fit where the memory of the device does not suffice."""
    return told(partial(_advice, recipe, what))


def _advice(recipe: Recipe, what: str) -> str:
    return training_advice(recipe.backbone, recipe.finetune, recipe.device, what)
