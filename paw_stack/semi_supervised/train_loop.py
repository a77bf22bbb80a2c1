"""Epochs of one or several networks, which can be stopped after any of them and gone on with."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from paw_stack.data.types import Checkpoint
from paw_stack.network.checkpoint import (
    load_optimizer,
    load_scaler,
    optimizer_tensors,
    scaler_tensors,
    snapshot,
)
from paw_stack.network.device import Device
from paw_stack.processes import in_background
from paw_stack.progress import track


@dataclass(frozen=True)
class Learner:
    """A network, and what steps it; None where others move its weights."""

    module: nn.Module
    optimizer: torch.optim.Optimizer | None = None
    scaler: torch.amp.GradScaler | None = None  # keeps float16 gradients from vanishing

    def descend(self, loss: Tensor) -> None:
        """One step down the gradient of `loss`; none where float16 has overflown."""
        assert self.optimizer and self.scaler, "others move these weights"
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()


def learner(module: nn.Module, optimizer: torch.optim.Optimizer, device: Device) -> Learner:
    """A network that learns on a device, with a scale for its loss where that is float16."""
    scaler = torch.amp.GradScaler(device.name, enabled=device.precision == "fp16")
    return Learner(module, optimizer, scaler)


def run_epochs(
    what: str,
    learners: dict[str, Learner],
    n_epochs: int,
    seed: int,
    epoch: Callable[[int], dict[str, float]],
    resumed: Checkpoint | None,
    after_epoch: Callable[[Checkpoint], None],
) -> list[dict[str, float]]:
    """Call `epoch(number)` for those that are left; returns its lines, the history.

    torch's random numbers are set anew for every epoch, so that a resumed run ends with the same
    bytes.
    """
    if resumed:
        _resume(learners, resumed)
    history = list(resumed.history) if resumed else []
    left = range(len(history), n_epochs)
    with in_background(after_epoch) as keep:
        for number in track(left, what, len(left), "epochs"):
            torch.manual_seed(np.random.SeedSequence([seed, number]).generate_state(1)[0].item())
            history.append({"epoch": number + 1, **epoch(number)})
            keep(lambda: Checkpoint(len(history), _tensors(learners), list(history)))
    return history


def _tensors(learners: dict[str, Learner]) -> dict[str, Tensor]:
    parts: dict[str, dict[str, Tensor]] = {}
    for name, one in learners.items():
        parts[name] = one.module.state_dict()
        parts[f"{name} optimizer"] = optimizer_tensors(one.optimizer) if one.optimizer else {}
        parts[f"{name} scaler"] = scaler_tensors(one.scaler)
    return snapshot(parts)


def _resume(learners: dict[str, Learner], state: Checkpoint) -> None:
    for name, learner in learners.items():
        learner.module.load_state_dict(state.part(name))
        if learner.optimizer:
            load_optimizer(learner.optimizer, state.part(f"{name} optimizer"))
        load_scaler(learner.scaler, state.part(f"{name} scaler"))


def shuffled_batches(
    photos: np.ndarray, rows: np.ndarray, batch_size: int, seed: int, epoch: int
) -> Iterator[Tensor]:
    """uint8 photos (b, size, size, 3) of each row once, half of them mirrored; b within one."""
    rng = np.random.default_rng([seed, epoch])
    parts = max(1, round(len(rows) / batch_size))
    for part in np.array_split(rng.permutation(rows), parts):
        batch = np.array(photos[np.sort(part)])
        mirrored = rng.random(len(part)) < 0.5
        batch[mirrored] = batch[mirrored, :, ::-1]
        yield torch.from_numpy(batch)


def to_levels(pictures: Tensor) -> Any:
    """(b, 3, h, w) float 0..1 -> (b, h, w, 3) uint8."""
    levels = (pictures.float().clamp(0, 1) * 255).round().to(torch.uint8)
    return levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()
