"""Embedding backbones, frozen ones or of one fold: passes over the photos, what they write.

Frozen backbones of one input size go through the photos together. A fine-tuned one goes alone: its
weights are one set a fold, and reading cached photos costs little beside the network.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from paw_stack.artifacts import Step, read_weights
from paw_stack.artifacts.embeddings import PutRows, embedding_writer
from paw_stack.artifacts.files import write_json
from paw_stack.artifacts.kept_embeddings import KeptEmbeddings
from paw_stack.config import BackboneSection, Layer, digest
from paw_stack.console import say
from paw_stack.pipeline.candidates import embed_name
from paw_stack.pipeline.experiment import Job
from paw_stack.pipeline.pretrained_files import weights_digest
from paw_stack.pipeline.steps.finetune import fold_metadata
from paw_stack.pipeline.steps.unlabelled_photos import known_pixels
from paw_stack.regular import json_or_nothing

if TYPE_CHECKING:
    from paw_stack.embed import Network
    from paw_stack.network.backbone import Backbone
    from paw_stack.network.device import Device

Waiting = tuple[BackboneSection, int | None, Step]  # None: frozen, one embedding for all folds
FACTS = "facts.json"  # beside kept vectors: how they were made
TOGETHER = 4  # networks of a pass: the weights of all are in memory


@dataclass
class _Item:
    """A step with what it embeds, and where its vectors go."""

    step: Step
    section: BackboneSection
    fold: int | None
    kept: dict[Layer, KeptEmbeddings]  # of a frozen backbone that nobody trained
    rows: np.ndarray  # (k,) that are to be computed
    facts: dict[str, Any] = field(default_factory=dict)  # of how its vectors were made

    @property
    def name(self) -> str:
        return embed_name(self.section, self.fold)


@dataclass(frozen=True)
class _Loaded:
    """A backbone, and what it is given beside the photos."""

    item: _Item
    backbone: "Backbone"
    planes: np.ndarray | None  # (n + m, n_planes) float32


def embed_one(job: Job, backbone: BackboneSection, fold: int | None, step: Step) -> None:
    """Embed one backbone alone."""
    embed_together(job, [(backbone, fold, step)])


def embed_together(job: Job, group: Sequence[Waiting]) -> None:
    """Embed backbones of one input size in one pass over the photos that are not known yet."""
    from paw_stack.network.device import resolve_device

    device = resolve_device(job.config.compute)
    items = [_item(job, *waiting, device) for waiting in group]
    for item in items:
        item.step.begin()
    if lacking := [item for item in items if len(item.rows)]:
        rows = np.unique(np.concatenate([item.rows for item in lacking]))
        _compute(job, lacking, rows, device)
    for item in items:
        if item.kept:
            _copy(job, item)
        item.step.finish(device=str(device), **item.facts, embedded=len(item.rows))
        how = f"by {item.facts['engine']}, {device}"
        new = "" if len(item.rows) == len(job.ids) else f", {len(item.rows)} of them new"
        say(f"embed {item.name}: {len(job.ids)} rows {how}{new} -> {item.step.folder}")


def _item(
    job: Job, section: BackboneSection, fold: int | None, step: Step, device: "Device"
) -> _Item:
    if step.needs:
        return _Item(step, section, fold, {}, np.arange(len(job.ids)))
    place, dtype = kept_place(job, section, device), job.config.embed.dtype
    kept = {layer: KeptEmbeddings(place / layer, dtype) for layer in section.layers}
    facts = {} if step.is_forced else json_or_nothing(place / FACTS)
    return _Item(step, section, fold, kept, _lacking(job, kept if facts else {}), facts)


def kept_place(job: Job, section: BackboneSection, device: "Device") -> Path:
    """The folder of all vectors that are made as this run makes them."""
    from paw_stack.data.images.decode import DECODER_VERSION

    own = {"name", "layers", "weights", "frozen", "drop_path_rate", "grad_checkpointing"}
    recipe = [
        section.model_dump(mode="json", exclude=own),
        weights_digest(section),
        job.config.embed.model_dump(mode="json", exclude={"batch_size"}),
        job.config.data.resize,
        DECODER_VERSION,
        str(device),
    ]
    return job.run.cache / "embeddings" / digest(*recipe)


def _lacking(job: Job, kept: dict[Layer, KeptEmbeddings]) -> np.ndarray:
    """Rows (k,) of photos that are not kept; of those that are the same, the first."""
    first = np.unique(job.photo_digests, return_index=True)[1]
    lacks = [layer.lacks(job.photo_digests) for layer in kept.values()]
    return np.intersect1d(np.flatnonzero(np.any(lacks, axis=0)) if lacks else first, first)


def _compute(job: Job, items: Sequence[_Item], rows: np.ndarray, device: "Device") -> None:
    """One pass over the photos `rows` (k,)."""
    from paw_stack.embed import batch_size, extract, read_batches
    from paw_stack.network.device import peak_megabytes

    section = job.config.embed
    loaded = [_load(job, item) for item in items]
    weights = items[0].step.needs.get("weights")
    pixels = known_pixels(job, items[0].section, weights.needs if weights else {})
    networks = [_ready(job, one, device, pixels) for one in loaded]
    names = [network.name for network in networks]
    n = batch_size(section, device, loaded[0].backbone.size)
    batches = read_batches(pixels, n, f"embed {', '.join(names)}", rows)
    start = time.perf_counter()
    with ExitStack() as files:
        puts = [files.enter_context(_sink(job, item, rows)) for item in items]
        for block in extract(networks, batches, section, device):
            puts[block.network](block.layer, block.start, block.rows)
    rate = round(len(rows) / (time.perf_counter() - start), 1)
    peak = peak_megabytes(device)
    for item in items:
        item.facts |= {"photos_per_second": rate, "together": names, "peak_megabytes": peak}


@contextmanager
def _sink(job: Job, item: _Item, rows: np.ndarray) -> Iterator[PutRows]:
    """Takes the blocks of one network: to the kept ones, or straight to the run's files."""
    if not item.kept:
        with embedding_writer(item.step, job.ids, job.config.embed.dtype) as put:
            yield put
        return
    photos = [job.photo_digests[row] for row in rows]

    def keep(layer: Any, start: int, vectors: np.ndarray) -> None:
        item.kept[layer].put(photos[start : start + len(vectors)], vectors)

    yield keep
    for kept in item.kept.values():
        kept.flush()


def _copy(job: Job, item: _Item) -> None:
    with embedding_writer(item.step, job.ids, job.config.embed.dtype) as put:
        for layer, kept in item.kept.items():
            for start, vectors in kept.rows(job.photo_digests):
                put(layer, start, vectors)


def passes(waiting: Sequence[Waiting]) -> list[list[Waiting]]:
    """Steps that go through the photos together, in the order of their first."""
    from paw_stack.network.backbone import input_size

    groups: dict[Any, list[Waiting]] = {}
    for backbone, fold, step in waiting:
        key = step.name if step.needs else input_size(backbone)
        groups.setdefault(key, []).append((backbone, fold, step))
    starts = [(group, at) for group in groups.values() for at in range(0, len(group), TOGETHER)]
    return [group[at : at + TOGETHER] for group, at in starts]


def _load(job: Job, item: _Item) -> _Loaded:
    from paw_stack.embed import load_backbone

    weights = planes = None
    if source := item.step.needs.get("weights"):
        job.run.require(source)
        weights = read_weights(source.folder / "weights.safetensors")
    if item.fold is not None:
        early = job.config.regressor.metadata == "early"
        planes = fold_metadata(job, item.fold) if early else None
    n_planes = 0 if planes is None else planes.shape[1]
    return _Loaded(item, load_backbone(item.section, weights, n_planes), planes)


def _ready(job: Job, one: _Loaded, device: "Device", pixels: Path) -> "Network":
    """The network behind its engine; how it was made is noted before its first vector is."""
    from paw_stack.embed import fastest_network

    section, item = job.config.embed, one.item
    about = (item.name, one.backbone, item.section, section, device, one.planes)
    network = fastest_network(*about, len(job.ids), job.run.cache)
    reduced = network.engine != "torch" or device.precision != "fp32"
    close = _closeness(job, one, network, device, pixels) if reduced else {}
    item.facts = {"engine": network.engine, "closeness": close}
    if item.kept:
        write_json(kept_place(job, item.section, device) / FACTS, item.facts)
    return network


def _closeness(
    job: Job, one: _Loaded, network: "Network", device: "Device", pixels: Path
) -> dict[str, Any]:
    """Layer -> how far the network's vectors of a sample of rows are from float32's.

    Photos are not mirrored for it: one view tells as much as their mean.
    """
    from paw_stack.embed import batch_size, by_layer, closeness, extract, make_network, sample_rows
    from paw_stack.network.device import Device

    section = job.config.embed.model_copy(update={"flip": False})
    layers = one.item.section.layers
    rows, exactly = sample_rows(len(job.ids)), Device(device.name, "fp32")
    planes = None if one.planes is None else one.planes[rows]
    photos = np.array(np.load(pixels, mmap_mode="r")[rows])
    by_torch = make_network(
        network.name, one.backbone, layers, section, "torch", exactly, one.planes
    )
    n = batch_size(section, device, one.backbone.size)
    batches = [photos[start : start + n] for start in range(0, len(photos), n)]
    found, exact = (
        by_layer(extract([replace(net, planes=planes)], batches, section, on))
        for net, on in ((network, device), (by_torch, exactly))
    )
    return {layer: closeness(found[layer], exact[layer]) for layer in layers}
