"""A backbone with its weights and one layer or more, ready to run on batches of photos."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from paw_stack.config import BackboneSection, EmbedSection, Layer
from paw_stack.embed.engines import Engine, Forward, batch_size, make_forward
from paw_stack.errors import ArtifactError, ConfigError
from paw_stack.network.backbone import Backbone, build_backbone
from paw_stack.network.device import Device


@dataclass(frozen=True)
class Network:
    """One forward pass and what it is given beside the photos."""

    name: str  # for messages
    engine: Engine
    layers: tuple[Layer, ...]
    forward: Forward = field(repr=False)
    planes: np.ndarray | None = None  # (n_rows, n_planes) float32, standardised
    at_once: int = 1  # photos of a pass


def load_backbone(
    section: BackboneSection, weights: dict[str, torch.Tensor] | None, n_planes: int = 0
) -> Backbone:
    """The pretrained backbone, or the one that `weights` of a fine-tuned regressor hold.

    Args:
        n_planes: metadata columns that it takes as image planes (regressor.metadata: early).

    Raises:
        ArtifactError: the weights are another model's.
    """
    if weights is None:
        return build_backbone(section, seed=0)
    # What pretraining gave is about to be overwritten, so it is not loaded (or downloaded).
    backbone = build_backbone(section, 0, n_planes, load=False)
    prefix = "backbone."
    own = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
    try:
        backbone.load_state_dict(own, strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise ArtifactError(f"backbone {section.name}: weights do not fit: {reason}") from error
    return backbone


def make_network(
    name: str,
    backbone: Backbone,
    layers: Sequence[Layer],
    section: EmbedSection,
    engine: Engine,
    device: Device,
    planes: np.ndarray | None = None,
    cache: Path | None = None,
) -> Network:
    """`backbone` behind an engine, for batches of `section`.

    Args:
        cache: folder that keeps what was converted for OpenVINO; None: it is converted anew.

    Raises:
        ConfigError: the engine cannot take this model.
    """
    example = black_photos(backbone.size, section, device)
    try:
        forward = make_forward(backbone, layers, engine, device, example, cache)
    except Exception as error:  # exporters and converters raise nearly anything
        if engine == "torch":
            raise
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"{name}: {engine} cannot take this model ({reason}); set embed.engine: torch"
        ) from error
    return Network(name, engine, tuple(layers), forward, planes, len(example))


def black_photos(size: int, section: EmbedSection, device: Device) -> torch.Tensor:
    """A batch (b, size, size, 3) as the networks of `section` take it."""
    # Corner crops are resized, to levels between the whole ones.
    dtype = torch.float32 if section.crops > 1 else torch.uint8
    shape = batch_size(section, device, size), size, size, 3
    return torch.zeros(shape, dtype=dtype, device=device.name)
