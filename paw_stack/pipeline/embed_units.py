"""Units (embed, backbone, fold): their inputs, passes over the photos, what they write.

Frozen backbones of one input size go through the photos together. A fine-tuned one goes alone: its
weights are one set a fold, and reading cached photos costs little beside the network.

The fingerprint covers `embed.engine` and `compute` as they are written: `auto` is resolved when the
unit is made and recorded with it, so that a unit of a GPU machine still counts on a laptop.
"""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from paw_stack.artifacts import Unit, read_weights
from paw_stack.config import BackboneSection
from paw_stack.console import say
from paw_stack.errors import ConfigError
from paw_stack.pipeline.extra_units import autoencoder_unit, encoder, known_pixels
from paw_stack.pipeline.finetune_unit import finetune_unit, fold_metadata
from paw_stack.pipeline.job import Job
from paw_stack.pipeline.published import weights_digest

if TYPE_CHECKING:
    from paw_stack.embed import Network
    from paw_stack.network.backbone import Backbone
    from paw_stack.network.device import Device

Place = tuple[BackboneSection, int | None]  # None: frozen, one embedding for all folds
TOGETHER = 4  # networks of a pass: the weights of all are in memory


@dataclass(frozen=True)
class _Loaded:
    """A unit with its backbone and what that is given beside the photos."""

    unit: Unit
    section: BackboneSection
    name: str
    backbone: "Backbone"
    planes: np.ndarray | None  # (n + m, n_planes) float32


def embed_unit(job: Job, backbone: BackboneSection, fold: int | None) -> Unit:
    config = job.config
    source = _weights_unit(job, backbone, fold)
    return job.run.unit(
        f"embeddings/{backbone.name}/{'all' if fold is None else f'fold{fold}'}",
        {
            "data.resize": config.data.resize,
            "backbone": backbone,
            "backbone.weights": weights_digest(backbone),
            "embed": config.embed,
            "compute": config.compute,
            "photos": job.photos_digest,
            "weights": source.fingerprint if source else "",
        },
    )


def _weights_unit(job: Job, backbone: BackboneSection, fold: int | None) -> Unit | None:
    """What makes the backbone's weights; None: they are as they were published."""
    if fold is not None:
        return finetune_unit(job, backbone, fold)
    return autoencoder_unit(job) if backbone == encoder(job) else None


def embed_all(job: Job, folds: list[int]) -> None:
    """Embed what is not done yet."""
    waiting: list[Place] = []
    for backbone in job.config.backbones:
        for fold in [None] if backbone.frozen else folds:
            if embed_unit(job, backbone, fold).record():
                say(f"embed {embed_name(backbone, fold)}: done before, skipped")
            else:
                waiting.append((backbone, fold))
    for places in _passes(waiting):
        embed_places(job, places)


def embed_places(job: Job, places: Sequence[Place]) -> None:
    """Embed backbones of one input size in one pass over the photos."""
    from paw_stack.embed import extract, read_batches
    from paw_stack.network.device import peak_megabytes, resolve_device

    section, device = job.config.embed, resolve_device(job.config.compute)
    loaded = [_load(job, backbone, fold) for backbone, fold in places]
    pixels = known_pixels(job, loaded[0].section)
    for item in loaded:
        item.unit.begin()
    ready = [_ready(job, item, device) for item in loaded]
    networks = [network for network, _ in ready]
    batches = read_batches(
        pixels, section.batch_size, f"embed {', '.join(n.name for n in networks)}"
    )
    start = time.perf_counter()
    with ExitStack() as files:
        writers = [job.run.embedding_writer(item.unit, job.ids, section.dtype) for item in loaded]
        puts = [files.enter_context(writer) for writer in writers]
        for block in extract(networks, batches, section, device):
            puts[block.network](block.layer, block.start, block.rows)
    rate = round(len(job.ids) / (time.perf_counter() - start), 1)
    for item, (_, engine) in zip(loaded, ready, strict=True):
        facts = {
            "engine": engine,
            "photos_per_second": rate,
            "together": [n.name for n in networks],
            "peak_megabytes": peak_megabytes(device),
        }
        reduced = engine != "torch" or device.precision != "fp32"
        close = _closeness(job, item, device, pixels) if reduced else {}
        item.unit.finish(device=str(device), **facts, closeness=close)
        say(f"embed {item.name}: {len(job.ids)} rows by {engine}, {device} -> {item.unit.folder}")


def _passes(places: Sequence[Place]) -> list[list[Place]]:
    """Places that go through the photos together, in the order of their first."""
    from paw_stack.network.backbone import input_size

    groups: dict[Any, list[Place]] = {}
    for backbone, fold in places:
        key = input_size(backbone) if backbone.frozen else (backbone.name, fold)
        groups.setdefault(key, []).append((backbone, fold))
    starts = [(group, at) for group in groups.values() for at in range(0, len(group), TOGETHER)]
    return [group[at : at + TOGETHER] for group, at in starts]


def _load(job: Job, section: BackboneSection, fold: int | None) -> _Loaded:
    from paw_stack.embed import load_backbone

    weights = planes = None
    if source := _weights_unit(job, section, fold):
        job.run.require(source)
        weights = read_weights(source.folder / "weights.safetensors")
    if fold is not None:
        planes = fold_metadata(job, fold) if job.config.regressor.metadata == "early" else None
    backbone = load_backbone(section, weights, 0 if planes is None else planes.shape[1])
    name = embed_name(section, fold)
    return _Loaded(embed_unit(job, section, fold), section, name, backbone, planes)


def _ready(job: Job, item: _Loaded, device: "Device") -> tuple["Network", str]:
    """The network and its engine; with `auto`, torch where the better one cannot take the model."""
    from paw_stack.embed import make_network, resolve_engine

    section = job.config.embed
    engine = resolve_engine(section, device, len(job.ids))
    about = (item.name, item.backbone, item.section.layers, section)
    try:
        return make_network(*about, engine, device, item.planes), engine
    except ConfigError as error:
        if section.engine != "auto":
            raise
        say(f"{error}: goes on with it")
        return make_network(*about, "torch", device, item.planes), "torch"


def _closeness(job: Job, item: _Loaded, device: "Device", pixels: Path) -> dict[str, Any]:
    """Layer -> how far the stored vectors of a sample of rows are from float32's."""
    from paw_stack.embed import closeness, extract, make_network, sample_rows
    from paw_stack.network.device import Device

    section, layers = job.config.embed, item.section.layers
    rows, exactly = sample_rows(len(job.ids)), Device(device.name, "fp32")
    planes = None if item.planes is None else item.planes[rows]
    network = make_network(item.name, item.backbone, layers, section, "torch", exactly, planes)
    photos = np.array(np.load(pixels, mmap_mode="r")[rows])
    exact = extract([network], [photos], section, exactly)
    return {
        block.layer: closeness(
            job.run.load_rows(item.unit, block.layer, len(job.ids))[rows], block.rows
        )
        for block in exact
    }


def embed_name(backbone: BackboneSection, fold: int | None) -> str:
    """As a unit is called: `swin`, or `swin fold 0`."""
    return backbone.name if fold is None else f"{backbone.name} fold {fold}"
