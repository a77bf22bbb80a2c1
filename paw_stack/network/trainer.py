"""The parts of one fold's training, and the state that they make up after an epoch."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from paw_stack.config import BackboneSection, FinetuneSection, LossSection, RegressorSection
from paw_stack.data.images.augment import AugmentedPhotos, make_augment
from paw_stack.data.types import Checkpoint
from paw_stack.errors import ArtifactError, ConfigError, offenders
from paw_stack.metrics import taken
from paw_stack.network.backbone import build_backbone
from paw_stack.network.checkpoint import (
    load_optimizer,
    load_scaler,
    optimizer_tensors,
    scaler_tensors,
    snapshot,
)
from paw_stack.network.dataloader import FoldRows, batches_per_epoch, extra_per_epoch
from paw_stack.network.device import Device, make_fabric, placed
from paw_stack.network.frozen.activations import KeptActivations, Source, keep_activations
from paw_stack.network.frozen.split import split, upper_part
from paw_stack.network.optim import freeze, frozen_parts, make_optimizer, mean_weights
from paw_stack.network.predict import predict, predict_batch
from paw_stack.network.regressor import Regressor, span_of


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
    views_seed: int = 0  # of finetune.views, which all folds share


class Training:
    """Model, optimizer and where they stand; `after` an epoch they are a `Checkpoint`.

    Args:
        kept: folder of what frozen stages make of these photos; None: it is computed every time.

    Raises:
        ConfigError: more processes than a batch has photos; a backbone without stages one after
            another where `kept`.
    """

    def __init__(
        self,
        recipe: Recipe,
        rows: FoldRows,
        pixels: Path,
        start: dict[str, torch.Tensor] | None,
        kept: Path | None = None,
    ):
        self.recipe, self.rows, self.pixels = recipe, rows, pixels
        self.metadata = rows.standardised()
        self.parts = batches_per_epoch(rows, recipe.finetune)
        self.n_rows = len(rows.fit) + extra_per_epoch(rows)  # of an epoch
        self.steps = math.ceil(self.parts / recipe.finetune.accumulate)
        self.fabric = make_fabric(recipe.device)
        _require_a_photo_each(self.fabric.world_size, len(rows.fit) // self.parts)
        self.model = make_model(recipe, rows, start)
        backbone, stages = self.model.backbone, recipe.finetune.freeze
        freeze(backbone, stages)
        self.frozen = frozen_parts(backbone) if stages else []
        self.split = split(backbone) if kept and recipe.finetune.views else None
        self.learner = self._upper(self.model)
        self.folder = kept
        self.source: AugmentedPhotos | KeptActivations = self._augmented()
        # Fabric cannot clip by a loss scale that a fused step takes off itself.
        fused = recipe.device.name == "cuda" and recipe.device.precision != "fp16"
        self.optimizer = make_optimizer(self.model, recipe.finetune, fused or None)
        self.mean = mean_weights(self.model, recipe.finetune.ema)
        self.forward, self.stepper = self._set_up()
        self.state = Checkpoint(0, {})

    def _set_up(self) -> tuple[Any, Any]:
        """Model and optimizer as Fabric wraps them: for the forward pass and for the step."""
        compiled: Any = self.learner
        if self.recipe.finetune.compile:
            # An epoch has batches of two sizes at most, a program each.
            compiled = torch.compile(self.learner, dynamic=False)
        forward, stepper = self.fabric.setup(compiled, self.optimizer)
        return forward, stepper

    def _upper(self, model: Regressor) -> Regressor:
        """The network that gets what `source` gives."""
        return upper_part(model, self.split) if self.split else model

    def _augmented(self) -> AugmentedPhotos:
        section, recipe = self.recipe.finetune, self.recipe
        seed = recipe.views_seed if section.views else recipe.seed
        return AugmentedPhotos(self.pixels, make_augment(section, self.model.backbone.size), seed)

    def open_activations(self) -> None:
        """Let what the frozen stages make of photos stand for photos, where it is to be kept.

        Behind `resume`, as it follows from the weights.
        """
        if self.split and self.folder:
            recipe = self.recipe
            how = (recipe.device, recipe.workers, recipe.views_seed)
            source = Source(self.folder, self.pixels, *how)
            backbone, section = self.model.backbone, recipe.finetune
            self.source = keep_activations(backbone, self.split, section, self.rows, source)

    @property
    def predictor(self) -> Regressor:
        """The network that predicts: the mean of weights where there is one."""
        return self.mean.module if self.mean else self.model

    @property
    def own(self) -> slice:
        """Part of this process in rows that all processes share."""
        return slice(self.fabric.global_rank, None, self.fabric.world_size)

    @property
    def scaler(self) -> Any | None:
        """The factor on the loss that keeps float16 gradients from vanishing."""
        return getattr(self.fabric.strategy.precision, "scaler", None)

    def resume(self, state: Checkpoint) -> None:
        """Go on from a state.

        Raises:
            ArtifactError: it is of another network or optimizer.
        """
        try:
            self._load(state)
        except (RuntimeError, KeyError, ValueError, TypeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ArtifactError(
                f"the state of an interrupted fold does not fit ({reason}); use --force finetune"
            ) from None

    def _load(self, state: Checkpoint) -> None:
        self.model.load_state_dict(state.part("model"))
        load_optimizer(self.optimizer, state.part("optimizer"))
        load_scaler(self.scaler, state.part("scaler"))
        if self.mean:
            self.mean.module.load_state_dict(state.part("mean"))
        self.state = _best_alone(state)

    def after(self, line: dict[str, float]) -> Checkpoint:
        """The state after one more epoch; the best weights are kept beside the present ones."""
        history = [*self.state.history, line]
        best = self._best(history)
        parts = {
            "model": self.model.state_dict(),
            "optimizer": optimizer_tensors(self.optimizer),
            "scaler": scaler_tensors(self.scaler),
            "mean": self.mean.module.state_dict() if self.mean else {},
        }
        if self.recipe.finetune.keep != "last" and best == len(history):
            parts["best"] = self.predictor.state_dict()
        tensors = {**self.state.tensors, **snapshot(parts)}
        self.state = _best_alone(Checkpoint(len(history), tensors, history, best))
        return replace(self.state, tensors=tensors)

    def _best(self, history: list[dict[str, float]]) -> int:
        """The epoch whose weights are taken, as far as is known."""
        column = {"best_inner": "inner_rmse", "best_held_out": "held_out_rmse"}
        if self.recipe.finetune.keep == "last":
            return len(history)
        scores = [line[column[self.recipe.finetune.keep]] for line in history]
        return int(np.argmin(scores)) + 1

    def is_over(self) -> bool:
        section, state = self.recipe.finetune, self.state
        waited = state.epoch - state.best_epoch
        return state.epoch == section.epochs or waited >= (section.patience or math.inf)

    def predict(self, rows: np.ndarray, tta: bool = False) -> np.ndarray:
        """Predictions (n_rows,) float64 in points; each process makes its share of them."""
        section, device = self.recipe.finetune.tta if tta else None, self.recipe.device
        model, photos = self.predictor, self.pixels
        # Of other views than the photo itself nothing is kept.
        if isinstance(self.source, KeptActivations) and not (section and section.is_more):
            model, photos, section = self._upper(model), self.source.plain, None
        n = predict_batch(device, self.model.backbone.size)
        found = np.zeros(len(rows))
        found[self.own] = predict(model, photos, rows[self.own], self.metadata, device, section, n)
        return self.summed(torch.from_numpy(found)).numpy()

    def summed(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over all processes, on the CPU."""
        total: torch.Tensor = self.fabric.all_reduce(values.to(self.fabric.device), reduce_op="sum")
        return total.cpu()


def _best_alone(state: Checkpoint) -> Checkpoint:
    """Without what the network and its optimizer hold themselves."""
    best = {key: one for key, one in state.tensors.items() if key.startswith("best/")}
    return replace(state, tensors=best)


def make_model(recipe: Recipe, rows: FoldRows, start: dict[str, torch.Tensor] | None) -> Regressor:
    """Build a fold's network, from `start` or with the mean target as its first prediction.

    Args:
        start: weights of a regressor, or of a backbone alone (`backbone.` names).

    Raises:
        ArtifactError: they are another model's.
    """
    n_metadata = rows.metadata.shape[1] if recipe.regressor.metadata != "none" else 0
    planes = n_metadata if recipe.regressor.metadata == "early" else 0
    backbone = build_backbone(recipe.backbone, recipe.seed, planes)
    model = Regressor(
        backbone,
        recipe.regressor,
        recipe.loss,
        recipe.bounds,
        n_metadata,
        rows.n_classes,
        span_of(recipe.loss, recipe.bounds, rows.target[rows.fit]),
    )
    if start and _load(model, start, recipe.backbone.name):
        return placed(model, recipe.device)
    if recipe.regressor.bias_init:
        weight = taken(rows.sample_weight, rows.fit)
        model.init_bias(
            torch.from_numpy(rows.target[rows.fit]),
            None if weight is None else torch.from_numpy(weight),
        )
    return placed(model, recipe.device)


def _load(model: Regressor, start: dict[str, torch.Tensor], name: str) -> bool:
    """Take over what there is; whether that is more than the backbone."""
    try:
        found = model.load_state_dict(start, strict=False)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise ArtifactError(f"backbone {name}: the start's weights do not fit: {reason}") from None
    begun = {"backbone", *(key.partition(".")[0] for key in start)}  # a part is whole or absent
    lacking = [key for key in found.missing_keys if key.partition(".")[0] in begun]
    if unfit := [*found.unexpected_keys, *lacking]:
        raise ArtifactError(
            f"backbone {name}: the start's weights are another model's: {offenders(unfit)}"
        )
    return any(key.startswith("head.") for key in start)


def _require_a_photo_each(n_processes: int, smallest: int) -> None:
    if smallest < n_processes:
        raise ConfigError(
            f"finetune.batch_size: {n_processes} processes share batches of {smallest} photos;"
            " take a larger batch or fewer processes"
        )
