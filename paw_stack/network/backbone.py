"""timm models as backbones: uint8 photos in, pre-logits embeddings (or classifier logits) out.

Normalisation happens here, on the device, so that photos travel as uint8.
"""

import difflib
from typing import Any

import torch
from torch import nn

from paw_stack.config import BackboneSection
from paw_stack.errors import ConfigError


class Backbone(nn.Module):
    """A timm model behind its own normalisation.

    `forward` takes uint8 photos (b, size, size, 3) and gives the embedding (b, width) that the
    model's classifier sees; `logits` gives what that classifier makes of it (b, n_classes).
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, model: Any, size: int):
        super().__init__()
        self.model: Any = model
        self.size = size
        self.width: int = model.head_hidden_size or model.num_features
        config: dict[str, Any] = model.pretrained_cfg
        for name in ("mean", "std"):
            level = torch.tensor(config.get(name) or (0.5, 0.5, 0.5)).reshape(1, 3, 1, 1) * 255
            self.register_buffer(name, level, persistent=False)

    def forward(self, photos: torch.Tensor) -> torch.Tensor:
        x = photos.permute(0, 3, 1, 2).float()  # (b, 3, size, size)
        x = (x - self.mean) / self.std
        return self.model.forward_head(self.model.forward_features(x), pre_logits=True)

    def logits(self, embedding: torch.Tensor) -> torch.Tensor:
        """(b, width) -> (b, n_classes)."""
        return self.model.get_classifier()(embedding)


def input_size(section: BackboneSection) -> int:
    """Side of the square input, pixels: the config's or the model's own."""
    if section.image_size:
        return section.image_size
    return _pretrained_cfg(section).input_size[-1]


def build_backbone(section: BackboneSection, seed: int) -> Backbone:
    """Create the model; its classifier is kept only where a layer needs it.

    Raises:
        ConfigError: an unknown model, arguments it does not take, or weights that do not fit.
    """
    import timm

    check_backbone(section)
    size = input_size(section)
    arguments = dict(section.model_args)
    if "logits" not in section.layers:
        arguments["num_classes"] = 0
    if _pretrained_cfg(section).get("fixed_input_size", False) or "img_size" in arguments:
        arguments["img_size"] = size
    if section.weights:
        arguments["pretrained_cfg_overlay"] = {"file": str(section.weights)}
    torch.manual_seed(seed)
    try:
        model = timm.create_model(section.model, pretrained=section.pretrained, **arguments)
    except (TypeError, RuntimeError, ValueError, AssertionError, OSError) as error:
        reason = " ".join(str(error).split())[:400]
        raise ConfigError(
            f"backbone {section.name}: {section.model} cannot be built: {reason}{_hint(section)}"
        ) from error
    return Backbone(model, size)


def check_backbone(section: BackboneSection) -> None:
    """Raise ConfigError where the model is unknown or the weights file does not exist."""
    import timm

    name = section.model
    hub = name.startswith(("hf-hub:", "hf_hub:", "local-dir:"))
    if not hub and not timm.is_model(name):
        known = timm.list_models(pretrained=False)
        close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        raise ConfigError(
            f"backbone {section.name}: timm has no model {name!r};"
            f" the closest names are {', '.join(close) or 'none'}"
        )
    if section.weights and not section.weights.is_file():
        raise ConfigError(
            f"backbone {section.name}: no weights file {section.weights};"
            " put it there, set weights: null to download, or pretrained: false to do without"
        )


def _hint(section: BackboneSection) -> str:
    if section.pretrained and not section.weights:
        return "; without a network give a local file as `weights`, or set pretrained: false"
    return ""


def _pretrained_cfg(section: BackboneSection) -> Any:
    import timm
    from timm.models import get_pretrained_cfg

    check_backbone(section)
    config = get_pretrained_cfg(section.model, allow_unregistered=True)
    if config is None:
        known = ", ".join(timm.list_pretrained(f"{section.model.split('.')[0]}.*")) or "none"
        raise ConfigError(
            f"backbone {section.name}: timm has no weights {section.model!r}; it has {known}"
        )
    return config
