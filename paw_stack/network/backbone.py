"""timm models as backbones: uint8 photos in, pre-logits embeddings (or other layers) out.

Normalisation happens here, on the device, so that photos travel as uint8.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from paw_stack.config import BackboneSection, Layer
from paw_stack.errors import ConfigError
from paw_stack.network.layers import widen_input
from paw_stack.network.pretrained.create import create_bare, create_from_file, create_from_hub
from paw_stack.network.pretrained.names import (
    closest_names,
    current_name,
    known_model,
    place_of,
    saved_config,
)
from paw_stack.network.pretrained.quick import import_timm


class Backbone(nn.Module):
    """A timm model behind its own normalisation.

    `forward` takes uint8 photos (b, size, size, 3), and with early fusion the metadata `planes`
    (b, n_planes) float32, and gives the embedding (b, width) that the model's classifier sees;
    `layers` gives that and what lies before and behind it.
    """

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, model: Any, size: int, name: str, n_planes: int = 0):
        super().__init__()
        self.model: Any = model
        self.size, self.name, self.n_planes = size, name, n_planes
        self.source = ""  # in words, which weights of a file it has
        self.takes_activations = False  # in place of photos, as the upper part of a split one
        self.width: int = model.head_hidden_size or model.num_features
        config: dict[str, Any] = model.pretrained_cfg
        mean, std = (
            torch.tensor(config.get(name) or (0.5, 0.5, 0.5)).reshape(1, 3, 1, 1) * 255
            for name in ("mean", "std")
        )
        self.register_buffer("scale", 1 / std, persistent=False)
        self.register_buffer("shift", -mean / std, persistent=False)

    def forward(self, photos: torch.Tensor, planes: torch.Tensor | None = None) -> torch.Tensor:
        return self._embedding(self._maps(photos, planes))

    def layers(
        self, photos: torch.Tensor, names: Sequence[Layer], planes: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, ...]:
        """The named layers, (b, width of each), of one pass.

        `features` are the last maps' means (b, num_features), `embedding` is what `forward` gives,
        `logits` what the pretrained model's own head gives (b, n_classes): the mean of two
        classifiers in a distilled model, with a norm before it or a second one beside it in others.
        """
        maps = self._maps(photos, planes)
        embedding = self._embedding(maps)
        made = {"embedding": embedding}
        if "features" in names:
            made["features"] = maps.mean(self._places())
        if "logits" in names:
            made["logits"] = self.model.forward_head(maps)
        return tuple(made[name] for name in names)

    def _maps(self, photos: torch.Tensor, planes: torch.Tensor | None) -> torch.Tensor:
        if self.takes_activations:
            return self.model.forward_features(photos)
        x = photos.permute(0, 3, 1, 2).float()  # (b, 3, size, size)
        x = torch.addcmul(self.shift, x, self.scale)  # one pass, where (x - mean) / std takes two
        if planes is not None:
            # Standardised already, so they join after the normalisation of colours.
            constant = planes.to(x.dtype)[:, :, None, None].expand(-1, -1, *x.shape[2:])
            x = torch.cat([x, constant], dim=1)
        return self.model.forward_features(x)

    def _embedding(self, maps: torch.Tensor) -> torch.Tensor:
        return self.model.forward_head(maps, pre_logits=True)

    def _places(self) -> tuple[int, int]:
        """Height and width among the axes of the last maps."""
        return (1, 2) if getattr(self.model, "output_fmt", "NCHW") == "NHWC" else (2, 3)


def input_size(section: BackboneSection) -> int:
    """Side of the square input, pixels: the config's or the model's own."""
    if section.image_size:
        return section.image_size
    size: int = _published(section)[0].input_size[-1]
    return size


def build_backbone(
    section: BackboneSection, seed: int, n_planes: int = 0, load: bool = True
) -> Backbone:
    """Create the model; its classifier is kept only where a layer needs it.

    Args:
        n_planes: metadata columns that it takes as image planes beside the three colours.
        load: the pretrained weights; False: others follow.

    Raises:
        ConfigError: an unknown model, arguments it does not take, weights that do not fit, or a
            model that has no checkpointing, no place for planes or no such layer where it is asked.
    """
    if not load:  # built as for pretrained weights, which need not be there
        pretrained = section.pretrained or section.weights is not None
        section = section.model_copy(update={"pretrained": pretrained, "weights": None})
    check_backbone(section)
    torch.manual_seed(seed)
    model, source = _created(section, load)
    _require_layers(model, section)
    if section.grad_checkpointing:
        _checkpoint(model, section)
    if n_planes:
        widen_input(model, n_planes)
    backbone = Backbone(model, input_size(section), section.name, n_planes)
    backbone.source = source
    return backbone


def _created(section: BackboneSection, load: bool) -> tuple[Any, str]:
    name, arguments = current_name(section.model), _arguments(section)
    what = f"backbone {section.name}: {section.model} cannot be built"
    try:
        if load and section.weights:
            return create_from_file(name, section.weights, arguments, what)
        if load and section.pretrained:
            return create_from_hub(name, arguments, what), ""
        return create_bare(name, section.pretrained, arguments), ""
    except ConfigError:
        raise
    except Exception as error:  # timm, torch, safetensors and hubs raise nearly anything
        reason = " ".join(str(error).split())[:400] or type(error).__name__
        raise ConfigError(f"{what}: {reason}{_hint(section)}") from error


def _require_layers(model: Any, section: BackboneSection) -> None:
    if "features" in section.layers and model.head_hidden_size in (None, model.num_features):
        raise ConfigError(
            f"backbone {section.name}: {section.model} has no hidden layer before its classifier,"
            " so its features are its embedding; take layers: [embedding]"
        )
    if "logits" in section.layers and not model.num_classes:
        raise ConfigError(
            f"backbone {section.name}: {section.model} was published without a classifier, so it"
            " has no logits; take layers: [embedding]"
        )


def check_backbone(section: BackboneSection) -> None:
    """Raise ConfigError where the model is unknown or the weights file does not exist."""
    name = current_name(section.model)
    if not place_of(name)[0] and not known_model(name):
        raise ConfigError(
            f"backbone {section.name}: timm has no model {name!r};"
            f" the closest names are {', '.join(closest_names(name)) or 'none'}"
        )
    if section.weights and not section.weights.is_file():
        raise ConfigError(
            f"backbone {section.name}: no weights file {section.weights};"
            " put it there, or set weights: null to download them"
        )


def _arguments(section: BackboneSection) -> dict[str, Any]:
    """What timm.create_model is given beside the name."""
    arguments = dict(section.model_args)
    if "logits" not in section.layers:
        arguments["num_classes"] = 0
    config, saved = _published(section)
    if config.fixed_input_size or "img_size" in {*arguments, *saved}:
        arguments["img_size"] = input_size(section)
    if section.drop_path_rate is not None:
        arguments["drop_path_rate"] = section.drop_path_rate
    return arguments


def _checkpoint(model: Any, section: BackboneSection) -> None:
    try:
        model.set_grad_checkpointing(True)
    except (AssertionError, AttributeError) as error:  # timm's way to say that it cannot
        raise ConfigError(
            f"backbone {section.name}: {section.model} has no gradient checkpointing;"
            " set grad_checkpointing: false and take a smaller batch"
        ) from error


def _hint(section: BackboneSection) -> str:
    if section.pretrained and not section.weights:
        return "; without a network give a local file as `weights`, or set pretrained: false"
    return ""


def _published(section: BackboneSection) -> tuple[Any, dict[str, Any]]:
    """The model's published configuration, and arguments that were saved with it."""
    timm = import_timm()
    check_backbone(section)
    name = current_name(section.model)
    if place_of(name)[0]:
        try:
            return saved_config(name)
        except Exception as error:  # hubs raise nearly anything
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            raise ConfigError(
                f"backbone {section.name}: {section.model} is no model that timm can read:"
                f" {reason}; a folder needs config.json and model.safetensors, a hub a network"
            ) from error
    try:
        config = timm.models.get_pretrained_cfg(name, allow_unregistered=True)
    except RuntimeError:  # the architecture has no such tag
        config = None
    if config is None:
        known = ", ".join(timm.list_pretrained(f"{name.split('.')[0]}.*")) or "none"
        raise ConfigError(f"backbone {section.name}: timm has no weights {name!r}; it has {known}")
    return config, {}
