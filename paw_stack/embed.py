"""Photos -> embeddings: one vector per row and layer, float32, in the order of the image cache."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from paw_stack.config import BackboneSection, EmbedSection
from paw_stack.errors import ArtifactError, DataError, offenders
from paw_stack.network.backbone import Backbone, build_backbone
from paw_stack.network.batches import filled
from paw_stack.network.device import Device
from paw_stack.progress import track


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
    backbone = build_backbone(section.model_copy(update={"pretrained": False}), 0, n_planes)
    prefix = "backbone."
    own = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
    try:
        backbone.load_state_dict(own, strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise ArtifactError(f"backbone {section.name}: weights do not fit: {reason}") from error
    return backbone


def embed(
    backbone: Backbone,
    pixels: Path,
    layers: Sequence[str],
    section: EmbedSection,
    device: Device,
    what: str,
    planes: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Layer -> vectors (n_rows, width) float32 of all photos of the cache.

    Args:
        planes: (n_rows, n_planes) float32, standardised metadata of early fusion.

    Raises:
        DataError: a vector is not finite.
    """
    photos = np.load(pixels, mmap_mode="r")
    backbone.eval().to(device.name)
    vectors: dict[str, np.ndarray] = {}
    starts = range(0, len(photos), section.batch_size)
    for start in track(starts, what, total=len(photos), size=section.batch_size):
        own = slice(start, min(start + section.batch_size, len(photos)))
        batch = filled(torch.from_numpy(np.array(photos[own])), section.batch_size).to(device.name)
        columns = None
        if planes is not None:
            columns = filled(torch.from_numpy(planes[own]), section.batch_size).to(device.name)
        for layer, part in _layers(backbone, batch, columns, layers, section, device):
            rows = vectors.setdefault(layer, _unfilled(len(photos), part.shape[1]))
            rows[own] = part[: own.stop - start].cpu().numpy()
    for layer, rows in vectors.items():
        bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        if len(bad):
            raise DataError(f"{what}: {layer} is not finite for cache rows {offenders(bad)}")
    return vectors


def _unfilled(n_rows: int, width: int) -> np.ndarray:
    """NaN everywhere, so that a row that no batch filled is found."""
    return np.full((n_rows, width), np.nan, dtype=np.float32)


def _layers(
    backbone: Backbone,
    batch: torch.Tensor,
    planes: torch.Tensor | None,
    layers: Sequence[str],
    section: EmbedSection,
    device: Device,
) -> list[tuple[str, torch.Tensor]]:
    views = [batch, batch.flip(2)] if section.flip else [batch]
    parts: dict[str, list[torch.Tensor]] = {layer: [] for layer in layers}
    with torch.inference_mode(), device.autocast():
        for view in views:
            embedding = backbone(view, planes)
            for layer in layers:
                out = embedding if layer == "embedding" else backbone.logits(embedding)
                parts[layer].append(out.float())
    return [(layer, torch.stack(out).mean(0)) for layer, out in parts.items()]
