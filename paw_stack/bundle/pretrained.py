"""Weights of frozen networks, and configs of models that are no timm names, brought into a run."""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paw_stack.artifacts.files import write_weights
from paw_stack.artifacts.finished.cut import SAVED
from paw_stack.atomic import make_folder
from paw_stack.config import BackboneSection, digest

if TYPE_CHECKING:
    import torch

BYTES = {False: 4, True: 2}  # of a weight, in float32 and in float16


def bring(
    backbone: BackboneSection,
    folder: Path,
    pretrained: Path,
    half: bool,
) -> BackboneSection:
    """The section of a backbone that needs nothing besides the run in `folder`.

    Its files lie in `pretrained` under names that tell their content apart, so that runs share
    them. A fine-tuned one has its weights in the run; of those it began with none are needed.
    """
    from paw_stack.network.pretrained.names import place_of

    has_weights = backbone.pretrained or backbone.weights is not None
    changes: dict[str, Any] = {"pretrained": has_weights, "weights": None}
    key = f"{backbone.name}-{digest(backbone, _digest_of_source(backbone))[:8]}"
    if place_of(backbone.model)[0]:
        _copy_config(backbone.model, pretrained / key)
        changes["model"] = SAVED + os.path.relpath(pretrained / key, folder)
    if backbone.frozen:
        path = pretrained / f"{key}.safetensors"
        if not path.is_file():
            from paw_stack.embed import load_backbone

            model = load_backbone(backbone, None).model
            own = {name: tensor.clone() for name, tensor in model.state_dict().items()}
            write_weights(path, stored(own, half))
        changes["weights"] = Path(os.path.relpath(path, folder))
    return BackboneSection.model_validate({**backbone.model_dump(), **changes})


def stored(weights: "dict[str, torch.Tensor]", half: bool) -> "dict[str, torch.Tensor]":
    """Weights as they are written: as they are, or in float16 as far as its range goes."""
    return {name: _half(tensor) for name, tensor in weights.items()} if half else weights


def _half(tensor: "torch.Tensor") -> "torch.Tensor":
    if not tensor.is_floating_point():
        return tensor
    half = tensor.half()
    return half if half.isfinite().all() else tensor


def size_of_pretrained(backbone: BackboneSection) -> int:
    """Bytes of a backbone's weights in float32, from its shapes alone."""
    from paw_stack.network.pretrained.probe import measure

    return BYTES[False] * measure(backbone).parameters


def _digest_of_source(backbone: BackboneSection) -> str | None:
    from paw_stack.pipeline.pretrained_files import weights_digest

    return weights_digest(backbone) if backbone.frozen else None


def _copy_config(model: str, folder: Path) -> None:
    """What tells the architecture of a folder that timm saved, or of a hub's repository."""
    from paw_stack.network.pretrained.names import place_of

    source, place = place_of(model)
    if source == "local-dir":
        path = Path(place) / "config.json"
    else:
        from timm.models._hub import download_from_hf

        path = Path(download_from_hf(place, "config.json"))
    make_folder(folder)
    shutil.copyfile(path, folder / "config.json")
