"""Embedding backbones, frozen ones or of one fold: passes over the photos, what they write.

Frozen backbones of one input size go through the photos together. A fine-tuned one goes alone: its
weights are one set a fold, and reading cached photos costs little beside the network.
"""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from paw_stack.artifacts import Step, read_weights
from paw_stack.artifacts.embeddings import embedding_writer, load_rows
from paw_stack.config import BackboneSection
from paw_stack.console import say
from paw_stack.errors import ConfigError
from paw_stack.pipeline.candidates import embed_name
from paw_stack.pipeline.experiment import Job
from paw_stack.pipeline.steps.finetune import fold_metadata
from paw_stack.pipeline.steps.unlabelled_photos import known_pixels

if TYPE_CHECKING:
    from paw_stack.embed import Network
    from paw_stack.network.backbone import Backbone
    from paw_stack.network.device import Device

Waiting = tuple[BackboneSection, int | None, Step]  # None: frozen, one embedding for all folds
TOGETHER = 4  # networks of a pass: the weights of all are in memory


@dataclass(frozen=True)
class _Loaded:
    """A step with its backbone and what that is given beside the photos."""

    step: Step
    section: BackboneSection
    name: str
    backbone: "Backbone"
    planes: np.ndarray | None  # (n + m, n_planes) float32


def embed_one(job: Job, backbone: BackboneSection, fold: int | None, step: Step) -> None:
    """Embed one backbone alone."""
    embed_together(job, [(backbone, fold, step)])


def embed_together(job: Job, group: Sequence[Waiting]) -> None:
    """Embed backbones of one input size in one pass over the photos."""
    from paw_stack.embed import extract, read_batches
    from paw_stack.network.device import peak_megabytes, resolve_device

    section, device = job.config.embed, resolve_device(job.config.compute)
    loaded = [_load(job, *waiting) for waiting in group]
    weights = loaded[0].step.needs.get("weights")
    pixels = known_pixels(job, loaded[0].section, weights.needs if weights else {})
    for item in loaded:
        item.step.begin()
    ready = [_ready(job, item, device) for item in loaded]
    networks = [network for network, _ in ready]
    batches = read_batches(
        pixels, section.batch_size, f"embed {', '.join(n.name for n in networks)}"
    )
    start = time.perf_counter()
    with ExitStack() as files:
        writers = [embedding_writer(item.step, job.ids, section.dtype) for item in loaded]
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
        item.step.finish(device=str(device), **facts, closeness=close)
        say(f"embed {item.name}: {len(job.ids)} rows by {engine}, {device} -> {item.step.folder}")


def passes(waiting: Sequence[Waiting]) -> list[list[Waiting]]:
    """Steps that go through the photos together, in the order of their first."""
    from paw_stack.network.backbone import input_size

    groups: dict[Any, list[Waiting]] = {}
    for backbone, fold, step in waiting:
        key = input_size(backbone) if backbone.frozen else (backbone.name, fold)
        groups.setdefault(key, []).append((backbone, fold, step))
    starts = [(group, at) for group in groups.values() for at in range(0, len(group), TOGETHER)]
    return [group[at : at + TOGETHER] for group, at in starts]


def _load(job: Job, section: BackboneSection, fold: int | None, step: Step) -> _Loaded:
    from paw_stack.embed import load_backbone

    weights = planes = None
    if source := step.needs.get("weights"):
        job.run.require(source)
        weights = read_weights(source.folder / "weights.safetensors")
    if fold is not None:
        planes = fold_metadata(job, fold) if job.config.regressor.metadata == "early" else None
    backbone = load_backbone(section, weights, 0 if planes is None else planes.shape[1])
    return _Loaded(step, section, embed_name(section, fold), backbone, planes)


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
        block.layer: closeness(load_rows(item.step, block.layer, len(job.ids))[rows], block.rows)
        for block in exact
    }
