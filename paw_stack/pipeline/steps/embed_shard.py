"""A shard of a large collection, embedded by frozen backbones and without any scores.

A shard is a step: `embed_shard` takes plain values and what `source_networks` made, and may run
here or on another machine. A shard that is done is skipped; one that was interrupted begins
anew, and nothing of it is there before. Memory holds the vectors of one shard and a few batches of
photos, whatever the size of the collection.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from paw_stack.artifacts import RunFolder, Step
from paw_stack.artifacts.collection import CollectionFolder
from paw_stack.config import Config
from paw_stack.data.images.shards import Shard, shard_photos
from paw_stack.errors import ConfigError
from paw_stack.pipeline.pretrained_files import weights_digest

if TYPE_CHECKING:
    from paw_stack.embed import Network
    from paw_stack.network.device import Device


@dataclass
class SourceNetworks:
    """What embeds a shard; made once a process."""

    networks: list["Network"]
    device: "Device"
    size: int  # side of the photos, pixels
    batch_size: int


@dataclass(frozen=True)
class ShardFacts:
    """What a shard held."""

    n_photos: int
    n_unreadable: int
    done_before: bool = False


def source_networks(config: Config, n_photos: int) -> SourceNetworks:
    """The config's backbones, ready; `n_photos` of the collection, about, chooses the engine.

    Raises:
        ConfigError: a backbone is to be fine-tuned, or input sizes differ.
    """
    from paw_stack.embed import batch_size, fastest_network, load_backbone
    from paw_stack.network.device import resolve_device

    size = one_size(config)
    section, device = config.embed, resolve_device(config.compute)
    cache = RunFolder(config).cache
    networks = [
        fastest_network(b.name, load_backbone(b, None), b, section, device, None, n_photos, cache)
        for b in config.backbones
    ]
    return SourceNetworks(networks, device, size, batch_size(section, device, size))


def embed_shard(config: Config, shard: Shard, about: SourceNetworks) -> ShardFacts:
    """Write a shard's vectors, ids and unreadable photos, unless they are there."""
    from paw_stack.embed import extract

    step = _step(config, shard)
    if before := facts_before(config, shard):
        return before
    step.begin()
    ids: list[str] = []
    unreadable: list[tuple[str, str]] = []
    photos = _decoded(shard, about, config, ids, unreadable)
    blocks: dict[tuple[str, str], list[np.ndarray]] = {}
    for block in extract(about.networks, photos, config.embed, about.device):
        place = about.networks[block.network].name, block.layer
        blocks.setdefault(place, []).append(block.rows.astype(config.embed.dtype))
    vectors = {place: np.concatenate(rows) for place, rows in blocks.items()}
    vectors = vectors or _none(config, about)
    CollectionFolder(config).save_shard(shard.number, vectors, ids, unreadable)
    facts = {"photos": len(ids), "unreadable": len(unreadable)}
    step.finish(
        device=str(about.device),
        engine=", ".join(sorted({n.engine for n in about.networks})),
        **facts,
    )
    return ShardFacts(len(ids), len(unreadable))


def facts_before(config: Config, shard: Shard) -> ShardFacts | None:
    """Of a shard that is done."""
    record = _step(config, shard).record()
    if record is None:
        return None
    whole = CollectionFolder(config).holds(shard.number, embedded_places(config), record["photos"])
    return ShardFacts(record["photos"], record["unreadable"], True) if whole else None


def embedded_places(config: Config) -> list[tuple[str, str]]:
    """Backbone and layer of all vectors of a shard."""
    return [(backbone.name, layer) for backbone in config.backbones for layer in backbone.layers]


def _none(config: Config, about: SourceNetworks) -> dict[tuple[str, str], np.ndarray]:
    """(0, d) of every place, for a shard without a readable photo: a black one tells d."""
    from paw_stack.embed import extract

    black = np.zeros((1, about.size, about.size, 3), dtype=np.uint8)
    return {
        (about.networks[block.network].name, block.layer): block.rows[:0].astype(config.embed.dtype)
        for block in extract(about.networks, [black], config.embed, about.device)
    }


def _step(config: Config, shard: Shard) -> Step:
    return CollectionFolder(config).step(
        shard.number,
        {
            "contents": shard.contents(),
            "resize": config.data.resize,
            "backbones": [backbone.model_dump(mode="json") for backbone in config.backbones],
            "embed": config.embed,
            "compute": config.compute,
            **_local_weights(config),
        },
    )


def _local_weights(config: Config) -> dict[str, str]:
    """Digests of the backbones' local files, where they have some."""
    found = {f"weights of {b.name}": weights_digest(b) for b in config.backbones}
    return {name: value for name, value in found.items() if value}


def _decoded(
    shard: Shard,
    about: SourceNetworks,
    config: Config,
    ids: list[str],
    unreadable: list[tuple[str, str]],
) -> Iterator[np.ndarray]:
    """Batches (b, size, size, 3) uint8 of the readable photos; all are told in the two lists."""
    from paw_stack.data.images.decode_pool import decode_isolated

    decode = partial(decode_isolated, size=about.size, resize=config.data.resize)
    with ThreadPoolExecutor() as threads:
        for group in _groups(shard_photos(shard), about.batch_size):
            found = threads.map(decode, [data for _, data in group])
            pixels = []
            for (name, _), (facts, photo) in zip(group, found, strict=True):
                if photo is None:
                    unreadable.append((name, facts.reason))
                else:
                    ids.append(name)
                    pixels.append(photo)
            if pixels:
                yield np.stack(pixels)


def _groups(items: Iterable[tuple[str, bytes]], size: int) -> Iterator[list[tuple[str, bytes]]]:
    iterator = iter(items)
    while group := list(islice(iterator, size)):
        yield group


def one_size(config: Config) -> int:
    """Side of all backbones' photos, pixels; a ConfigError where one is trained or sizes differ."""
    from paw_stack.network.backbone import input_size

    tuned = [backbone.name for backbone in config.backbones if not backbone.frozen]
    if tuned:
        raise ConfigError(
            f"embed --source: {tuned} are to be fine-tuned, which needs scores; set frozen: true"
        )
    if config.extra.autoencoder:
        raise ConfigError(
            f"embed --source: {config.extra.autoencoder.backbone} is trained by the run itself;"
            " leave extra.autoencoder and its backbone out"
        )
    sizes = {backbone.name: input_size(backbone) for backbone in config.backbones}
    if len(set(sizes.values())) > 1:
        raise ConfigError(
            f"embed --source: input sizes differ, {sizes}; set one image_size, or run each apart"
        )
    return next(iter(sizes.values()))
