"""What a backbone can do, seen from shapes alone, before anything is decoded or trained.

The model is built and run on torch's meta device, where tensors have shapes and no values: it costs
about a second and no memory, and finds the sizes that an architecture cannot take and the layers
that it does not have. Shapes do not tell whether an index lies inside its table: a model that
computes indices while it runs is also run on black photos, where its size is given. What an older
torch cannot do by shapes alone is done with values.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from paw_stack.config import BackboneSection, Layer
from paw_stack.errors import ConfigError
from paw_stack.network.backbone import Backbone, build_backbone, input_size
from paw_stack.network.pretrained.quick import import_timm

STEPS = (14, 16, 32, 56, 64)  # sides of patches and windows, whose multiples sizes must be
SHOWN_SIZES = 3
N_PHOTOS = 2
Found = TypeVar("Found")


@dataclass(frozen=True)
class Shapes:
    """Widths and parameters of a backbone that can do what its config asks for."""

    parameters: int
    widths: dict[Layer, int]


def measure(section: BackboneSection) -> Shapes:
    """Run the backbone on shapes, once a process.

    Raises:
        ConfigError: it cannot be built, cannot take photos of its input size, or has no such layer.
    """
    return _measured(section.model_dump_json())


@cache
def _measured(settings: str) -> Shapes:
    section = BackboneSection.model_validate_json(settings)
    try:
        return _by_shapes(lambda device: _shapes(section, device))
    except Exception as error:  # each architecture has its own way to fail
        size = section.image_size
        if size and _works(own := section.model_copy(update={"image_size": None})):
            raise ConfigError(_refusal(section, size, input_size(own), error)) from error
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(
            f"backbone {section.name}: {section.model} cannot give {', '.join(section.layers)}:"
            f" {_reason(error)}; take another model, or other layers"
        ) from error


def find_weights(section: BackboneSection) -> str:
    """See whether the local file's tensors fit; in words, which they are.

    Raises:
        ConfigError: they do not.
    """
    if not section.weights:
        return ""
    return _by_shapes(lambda device: _built(section, device, load=True).source)


def _by_shapes(ask: Callable[[str], Found]) -> Found:
    """The answer on the meta device, or on a processor where torch lacks an operator there."""
    try:
        return ask("meta")
    except Exception as error:
        if not _lacks_operator(error):
            raise
    return ask("cpu")


def _lacks_operator(error: BaseException | None) -> bool:
    while error is not None:
        if re.search("meta tensor|unsupported scalartype", str(error).lower()):
            return True
        error = error.__cause__
    return False


def _shapes(section: BackboneSection, device: str) -> Shapes:
    backbone = _built(section, device)
    widths = _run(backbone, section, device)
    return Shapes(sum(parameter.numel() for parameter in backbone.parameters()), widths)


def _built(section: BackboneSection, device: str, load: bool = False) -> Backbone:
    import_timm()  # before: while it is imported, older torch reads tensors' values

    with torch.device(device):
        return build_backbone(section, 0, load=load)


class _Indices(TorchDispatchMode):
    """Sees whether a model looks things up by indices that are not its own buffers."""

    def __init__(self, model: torch.nn.Module):
        super().__init__()
        self._own = {buffer.untyped_storage()._cdata for buffer in model.buffers()}
        self.computed = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.index.Tensor:
            by = [index.untyped_storage()._cdata for index in args[1] if index is not None]
            self.computed |= not self._own.issuperset(by)
        return func(*args, **(kwargs or {}))


def _run(backbone: Backbone, section: BackboneSection, device: str) -> dict[Layer, int]:
    """Widths of the layers, each of which must be one vector a photo."""
    names: list[Layer] = list(dict.fromkeys([*section.layers, "embedding"]))
    with _Indices(backbone) as indices:
        made = dict(zip(names, _layers(backbone, names, device), strict=True))
    for name, vectors in made.items():
        if vectors.ndim != 2 or len(vectors) != N_PHOTOS:
            raise ValueError(f"its {name} is {tuple(vectors.shape)}, not one vector a photo")
    if (width := made["embedding"].shape[1]) != backbone.width:
        raise ValueError(f"its embedding has {width} values where timm says {backbone.width}")
    if indices.computed and section.image_size:
        _layers(build_backbone(section, 0, load=False), ["embedding"], "cpu")
    return {name: made[name].shape[1] for name in section.layers}


def _layers(backbone: Backbone, names: list[Layer], device: str) -> tuple[torch.Tensor, ...]:
    shape = N_PHOTOS, backbone.size, backbone.size, 3
    with torch.inference_mode():
        return backbone.eval().layers(torch.zeros(shape, dtype=torch.uint8, device=device), names)


def _works(section: BackboneSection) -> bool:
    try:
        _by_shapes(lambda device: _shapes(section, device))
    except Exception:
        return False
    return True


def _refusal(section: BackboneSection, size: int, own: int, error: Exception) -> str:
    near = {max(16, n * step) for step in STEPS for n in (size // step, size // step + 1)}
    fitting: list[int] = []
    for side in sorted(near - {own, size}, key=lambda side: abs(side - size)):
        if len(fitting) < SHOWN_SIZES and _works(section.model_copy(update={"image_size": side})):
            fitting.append(side)
    sizes = ", ".join(str(side) for side in sorted({*fitting, own}))
    return (
        f"backbone {section.name}: {section.model} cannot take image_size: {size}"
        f" ({_reason(error)}); it can take {sizes} (its own is {own})"
    )


def _reason(error: Exception) -> str:
    words = " ".join(str(error).split())
    return (words.rpartition("cannot be built: ")[2] or type(error).__name__)[:200]
