"""Tensors of a model and its optimizer by name: the state that an interrupted run needs."""

from typing import Any

import torch


def snapshot(parts: dict[str, dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Copy the tensors of each part to the CPU as `<part>/<name>`: training goes on in place.

    They lie by rows, as files hold them, and those of a GPU in pinned memory, at full speed.
    """
    tensors = {f"{part}/{key}": one for part, own in parts.items() for key, one in own.items()}
    found = {
        key: torch.empty(one.shape, dtype=one.dtype, pin_memory=one.is_cuda).copy_(
            one.detach(), non_blocking=True
        )
        for key, one in tensors.items()
    }
    if any(one.is_cuda for one in tensors.values()):
        torch.cuda.synchronize()
    return found


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Momenta by `<parameter number>/<name>`; rates and decay come from the config."""
    return {
        f"{number}/{name}": torch.as_tensor(value)
        for number, entries in optimizer.state_dict()["state"].items()
        for name, value in entries.items()
        if value is not None
    }


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    state: dict[int, dict[str, Any]] = {}
    for key, value in tensors.items():
        number, name = key.split("/")
        state.setdefault(int(number), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def scaler_tensors(scaler: Any | None) -> dict[str, torch.Tensor]:
    """Scale and counter of fp16's loss scaling; empty in other precisions."""
    state = scaler.state_dict() if scaler else {}
    return {name: torch.as_tensor(value, dtype=torch.float64) for name, value in state.items()}


def load_scaler(scaler: Any | None, tensors: dict[str, torch.Tensor]) -> None:
    if not scaler or not tensors:
        return
    whole = ("growth_interval", "_growth_tracker")
    state = {name: value.item() for name, value in tensors.items()}
    scaler.load_state_dict({k: int(v) if k in whole else v for k, v in state.items()})
