"""What a training step is made of besides the gradient: groups, rates, frozen parts, mean weights.

Learning rates are closed formulas of the step number, equal to torch's CosineAnnealingLR and
CosineAnnealingWarmRestarts, so that a resumed run needs no scheduler's state.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from paw_stack.config import FinetuneSection, ScheduleSection
from paw_stack.errors import ConfigError
from paw_stack.network.backbone import Backbone
from paw_stack.network.regressor import Regressor


def make_optimizer(
    model: Regressor, section: FinetuneSection, fused: bool | None = None
) -> torch.optim.Optimizer:
    """AdamW, Adam or SGD; no weight decay on norms and biases; rates that fall towards the input.

    Layer-wise decay is timm's (from Clark et al., 2020, ELECTRA, arXiv:2003.10555): the head learns
    at the full rate, each block below at `layer_decay` times the rate of the one above it.

    Args:
        fused: step all parameters by one kernel; None: as torch decides.
    """
    groups = [*_backbone_groups(model.backbone.model, section), *_head_groups(model, section)]
    for group in groups:
        group["lr"] = group["peak"] = section.learning_rate * group.pop("lr_scale", 1.0)
    if section.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=0.9, fused=fused)
    kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[section.optimizer]
    return kind(groups, fused=fused)


def _backbone_groups(model: Any, section: FinetuneSection) -> list[dict[str, Any]]:
    from timm.optim import param_groups_layer_decay, param_groups_weight_decay

    # Names that a model keeps from weight decay, such as position tables.
    spared = model.no_weight_decay() if hasattr(model, "no_weight_decay") else ()
    if section.layer_decay == 1:
        return param_groups_weight_decay(model, section.weight_decay, no_weight_decay_list=spared)
    groups = param_groups_layer_decay(
        model, section.weight_decay, no_weight_decay_list=spared, layer_decay=section.layer_decay
    )
    return [{k: v for k, v in group.items() if k != "param_names"} for group in groups]


def _head_groups(model: Regressor, section: FinetuneSection) -> list[dict[str, Any]]:
    parameters = [
        p for n, p in model.named_parameters() if not n.startswith("backbone.") and p.requires_grad
    ]
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": section.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


def set_rates(
    optimizer: torch.optim.Optimizer, section: FinetuneSection, step: int, per_epoch: int
) -> float:
    """Set every group's learning rate for step `step` (0, 1, ...); returns the head's."""
    for group in optimizer.param_groups:
        group["lr"] = rate(group["peak"], section, step, per_epoch)
    return float(optimizer.param_groups[-1]["lr"])


def rate(peak: float, section: FinetuneSection, step: int, per_epoch: int) -> float:
    """Learning rate at a step: a linear warm-up, then the schedule.

    Args:
        per_epoch: steps in an epoch.
    """
    total = section.epochs * per_epoch
    rising = round(total * section.warmup)
    if step < rising:
        return peak * (step + 1) / rising
    schedule = section.schedule
    done, length = step - rising, total - rising
    if schedule.step == "epoch":
        done = (step // per_epoch) * per_epoch - rising
    return _scheduled(peak, schedule, max(0, done), length, per_epoch)


def _scheduled(
    peak: float, schedule: ScheduleSection, done: int, length: int, per_epoch: int
) -> float:
    if schedule.kind == "constant":
        return peak
    if schedule.kind == "cosine":
        return _cosine(peak, schedule.eta_min, done / max(1, length))
    if schedule.kind == "cosine_annealing":
        return _cosine(peak, schedule.eta_min, done / (schedule.t_max * per_epoch))
    return _cosine(peak, schedule.eta_min, done / (schedule.t_0 * per_epoch) % 1)


def _cosine(peak: float, lowest: float, phase: float) -> float:
    """From `peak` at phase 0 to `lowest` at 1 (and back at 2, as torch's does)."""
    return lowest + (peak - lowest) * (1 + math.cos(math.pi * phase)) / 2


def freeze(backbone: Backbone, stages: int) -> None:
    """Stop the gradient of the stem and of the first `stages` stages.

    Raises:
        ConfigError: the model has not so many, or timm does not know its stages.
    """
    if not stages:
        return
    from timm.models import group_parameters

    inner = backbone.model
    if not hasattr(inner, "group_matcher"):
        raise ConfigError(
            f"finetune.freeze: timm does not say what the stages of backbone {backbone.name} are;"
            " set freeze: 0 or take another model"
        )
    groups = group_parameters(inner, inner.group_matcher(coarse=True))
    if stages >= max(groups):
        raise ConfigError(
            f"finetune.freeze: {stages} stages, but the backbone has {max(groups) - 1} below its"
            " last layer"
        )
    named = dict(inner.named_parameters())
    for number in range(stages + 1):
        for name in groups.get(number, []):
            named[name].requires_grad_(False)


def frozen_parts(backbone: Backbone) -> list[nn.Module]:
    """The modules whose parameters all are frozen; none of them lies in another."""
    found: list[nn.Module] = []

    def look(module: nn.Module) -> None:
        learns = [parameter.requires_grad for parameter in module.parameters()]
        if learns and not any(learns):
            found.append(module)
        else:
            for child in module.children():
                look(child)

    look(backbone.model)
    return found


def train_mode(model: nn.Module, frozen_batchnorm: bool, frozen: Sequence[nn.Module] = ()) -> None:
    """Training mode, but of what is frozen; BatchNorm keeps its statistics where asked.

    Dropout, drop-path and BatchNorm of frozen stages do what they do when the network predicts.
    """
    model.train()
    for module in frozen:
        module.eval()
    if frozen_batchnorm:
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def mean_weights(model: nn.Module, decay: float | None) -> Any | None:
    """timm's exponential moving average of the weights, or None."""
    from timm.utils import ModelEmaV3

    return ModelEmaV3(model, decay=decay) if decay else None
