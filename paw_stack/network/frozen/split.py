"""A network in two parts: its backbone's first stages, which stay, and what learns behind them.

timm's models run their modules one after another, each in its own way. So the place between the
parts is found by running the model: what has run when the first module that learns begins is the
lower part, and the input of that module is what passes between the two. The upper part is the same
model, with the same parameters, which leaves those modules out. That it makes of activations what
the whole model makes of photos is tried, not believed: a model may do more than to run modules.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from paw_stack.config import BackboneSection
from paw_stack.errors import ConfigError
from paw_stack.network.backbone import Backbone, build_backbone
from paw_stack.network.optim import freeze
from paw_stack.network.regressor import Regressor

TOLERANCE = 1e-4  # share of the largest value by which the two ways may differ, in float32


class _ReachedError(Exception):
    """Stops a pass where the upper part begins."""


@dataclass(frozen=True)
class Split:
    """Where a backbone is split."""

    first: str  # module of the timm model that the upper part begins with
    before: tuple[str, ...]  # modules that run before it; none of them lies in another
    shape: tuple[int, ...]  # of a photo's activations


def split(backbone: Backbone) -> Split:
    """Find the place before the first module that learns, as `requires_grad` of parameters tells.

    Raises:
        ConfigError: the model's stages cannot be told apart.
    """
    noise = torch.Generator().manual_seed(0)
    photos = torch.randint(0, 256, (2, backbone.size, backbone.size, 3), generator=noise)
    photos = photos.to(backbone.scale.device, torch.uint8)
    backbone.eval()
    try:
        with torch.no_grad():
            first, before = _place(backbone, photos)
            activations = lower_pass(backbone, first, photos)
            found = Split(first, before, tuple(activations.shape[1:]))
            one, other = backbone(photos), upper_backbone(backbone, found)(activations)
        if one.shape != other.shape or (one - other).abs().max() > TOLERANCE * one.abs().max():
            raise ValueError(f"it does more than its modules do before {first}")
    except Exception as error:  # each architecture has its own way to fail
        raise ConfigError(_refusal(backbone, error)) from error
    return found


def lower_pass(backbone: Backbone, first: str, photos: Tensor) -> Tensor:
    """Photos (b, size, size, 3) -> the input (b, ...) of the module `first`, without a gradient.

    Raises:
        ValueError: it takes something else beside one tensor.
    """
    given: list[Any] = []

    def stop(module: nn.Module, positional: tuple[Any, ...], named: dict[str, Any]) -> None:
        given.extend([*positional, *named.values()])
        raise _ReachedError

    hook = backbone.model.get_submodule(first).register_forward_pre_hook(stop, with_kwargs=True)
    with torch.no_grad(), _removed([hook]), suppress(_ReachedError):
        backbone(photos)
    if len(given) != 1 or not isinstance(given[0], Tensor) or len(given[0]) != len(photos):
        raise ValueError(f"its {first} takes more than one tensor")
    return given[0]


def upper_part(model: Regressor, place: Split) -> Regressor:
    """The network from activations (b, ...) on; its parameters are those of `model` themselves."""
    twin = _twin(model)
    twin.backbone = upper_backbone(model.backbone, place)
    return twin


def upper_backbone(backbone: Backbone, place: Split) -> Backbone:
    twin = _twin(backbone)
    twin.model = _without(backbone.model, place.before)
    if hasattr(twin.model, "_pos_embed"):  # of transformers, between modules
        twin.model.__dict__["_pos_embed"] = lambda activations: activations
    twin.takes_activations = True
    return twin


def measured_split(section: BackboneSection, stages: int) -> Split:
    """Of a backbone with `stages` frozen, without its weights."""
    backbone = build_backbone(section, 0, load=False)
    freeze(backbone, stages)
    return split(backbone)


def _place(backbone: Backbone, photos: Tensor) -> tuple[str, tuple[str, ...]]:
    """Name of the module that the upper part begins with, and of those that run before it."""
    learning, done = _until_one_learns(backbone, photos)
    parts = learning.split(".")
    paths = [".".join(parts[: n + 1]) for n in range(len(parts))]
    # The outermost one of which nothing with parameters has run: a block may begin by pooling.
    model = backbone.model
    weighty = [name for name in done if any(True for _ in model.get_submodule(name).parameters())]
    first = next(path for path in paths if not any(one.startswith(f"{path}.") for one in weighty))
    known = {name for name in done if not name.startswith(f"{first}.")}
    return first, tuple(sorted(name for name in known if not known & {*_above(name)}))


def _until_one_learns(backbone: Backbone, photos: Tensor) -> tuple[str, list[str]]:
    """The first module that has parameters which learn, and all that ended before it began."""
    begun: list[str] = []
    done: list[str] = []

    def begin(name: str, module: nn.Module) -> None:
        if any(parameter.requires_grad for parameter in module.parameters(recurse=False)):
            begun.append(name)
            raise _ReachedError

    hooks = []
    for name, module in backbone.model.named_modules():
        if name:
            hooks += [
                module.register_forward_pre_hook(lambda m, _, name=name: begin(name, m)),
                module.register_forward_hook(lambda m, _, out, name=name: done.append(name)),
            ]
    with _removed(hooks), suppress(_ReachedError):
        backbone(photos)
    if not begun:
        raise ValueError("none of its modules learns")
    return begun[0], done


@contextmanager
def _removed(hooks: list[Any]) -> Iterator[None]:
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _above(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts))]


def _without(module: nn.Module, names: tuple[str, ...]) -> Any:
    """The module whose named parts hand on what they get."""
    twin = _twin(module)
    for name in names:
        head, _, rest = name.partition(".")
        child = twin.get_submodule(head)
        twin._modules[head] = _without(child, (rest,)) if rest else nn.Identity()
    return twin


def _twin(module: Any) -> Any:
    """A second module with the same parameters and parts, which may be given other parts."""
    twin = copy.copy(module)
    twin._modules = dict(module._modules)
    return twin


def _refusal(backbone: Backbone, error: Exception) -> str:
    has = ", ".join(name for name, _ in backbone.model.named_children())
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return (
        f"finetune.views: what comes before the first stage of backbone {backbone.name} that learns"
        f" cannot be kept: {reason}; the model consists of {has}; set finetune.views: null, which"
        " computes it every time, or take a model whose stages run one after another, such as a"
        " Swin, ConvNeXt or EfficientNet"
    )
