"""Large collections in a stream: shards of photos -> shards of vectors.

Each shard is a unit of its own: it is read once, front to back, its photos are decoded by threads
while the network computes on the batch before, and no more than three batches of pixels are in
memory beside the shard's vectors. A shard that is done and whose file has the same size and date is
skipped; one that was interrupted is done again from its start. Photos that cannot be read are
listed with the reason and have no vector. The output has the layout of clip-retrieval:

    <to>/<backbone>/<layer>/<layer>_00012.npy   (rows of shard 12, width)
    <to>/<backbone>/ids/ids_00012.csv           Id, in the order of the rows
    <to>/<backbone>/bad/bad_00012.csv           Id, reason
    <to>/<backbone>/done/done_00012.json
"""

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from paw_stack.artifacts import Unit, require_no_more, save_shard, shard_unit
from paw_stack.config import BackboneSection, Config
from paw_stack.console import say
from paw_stack.data.shards import Raw, Shard, list_shards, read_shard, shard_from_json
from paw_stack.errors import ConfigError
from paw_stack.progress import track

if TYPE_CHECKING:
    from paw_stack.embed import Network

DECODERS = 2  # threads a worker; more only where a GPU outruns them
REPAYS = 100_000  # photos that a network of a stream will see, for the choice of its engine


def embed_source(
    config: Config,
    source: Path,
    to: Path,
    photos_a_shard: int,
    on: str = "here",
    address: str | None = None,
) -> None:
    """Embed every photo of a collection with every frozen backbone of the config.

    Raises:
        ConfigError: a backbone is fine-tuned.
        DataError: nothing to embed at `source`.
    """
    _require_frozen(config)
    shards = list_shards(source, photos_a_shard)
    units = {shard.number: _units(config, to, shard) for shard in shards}
    todo = [s for s in shards if not all(unit.record() for unit in units[s.number].values())]
    for backbone in config.backbones:
        require_no_more(to / backbone.name, len(shards))
    say(f"{source}: {len(shards)} shards, {len(shards) - len(todo)} done before, skipped")
    calls = [(config.model_dump_json(), str(to), shard.to_json()) for shard in todo]
    if on == "ray":
        from paw_stack.cluster import Task, run_tasks

        names = [f"embed shard {shard.number}" for shard in todo]
        tasks = [
            Task(name, "embed", (), embed_shard, call)
            for name, call in zip(names, calls, strict=True)
        ]
        run_tasks(tasks, config.cluster, address)
    else:
        for call in track(calls, "Embedding", total=len(calls), unit="shards"):
            embed_shard(*call)
    _summarise(list(units.values()), to)


def embed_shard(settings: str, to: str, shard: str) -> None:
    """One shard with all backbones; a photo is decoded once for those of one input size."""
    config, part = Config.model_validate_json(settings), shard_from_json(shard)
    units = _units(config, Path(to), part)
    for size, networks in _networks(settings).items():
        todo = [network for network in networks if not units[network.name].record()]
        if todo:
            _embed_size(config, part, size, todo, units)


def _embed_size(
    config: Config, shard: Shard, size: int, networks: "list[Network]", units: dict[str, Unit]
) -> None:
    from paw_stack.embed import extract
    from paw_stack.network.device import resolve_device

    device = resolve_device(config.compute)
    ids: list[str] = []
    bad: list[tuple[str, str]] = []
    vectors: dict[tuple[str, str], list[np.ndarray]] = {}
    for network in networks:
        units[network.name].begin()
    with ThreadPoolExecutor(DECODERS) as threads:
        photos = _decoded(config, shard, size, threads, ids, bad)
        for block in extract(networks, photos, config.embed, device):
            key = networks[block.network].name, block.layer
            vectors.setdefault(key, []).append(block.rows.astype(config.embed.dtype))
    for network in networks:
        layers = {str(layer): vectors.get((network.name, layer), []) for layer in network.layers}
        save_shard(units[network.name], ids, bad, layers, device=str(device))
    say(f"embed shard {shard.number}: {len(ids)} photos, {len(bad)} cannot be read")


def _decoded(
    config: Config,
    shard: Shard,
    size: int,
    threads: Executor,
    ids: list[str],
    bad: list[tuple[str, str]],
) -> Iterator[np.ndarray]:
    """Batches (b, size, size, 3) uint8; ids and bad photos are noted as they go by."""
    raws = read_shard(shard, config.data.id)
    seen: set[str] = set()
    decode = partial(_decode, size=size, resize=config.data.resize)
    while group := list(islice(raws, config.embed.batch_size)):
        good = []
        for raw, (pixels, reason) in zip(group, threads.map(decode, group), strict=True):
            if pixels is not None and raw.id in seen:
                pixels, reason = None, "an earlier photo of the shard has this id"
            if pixels is None:
                bad.append((raw.id, reason))
                continue
            seen.add(raw.id)
            ids.append(raw.id)
            good.append(pixels)
        if good:
            yield np.stack(good)


def _decode(raw: Raw, size: int, resize: Any) -> tuple[np.ndarray | None, str]:
    from paw_stack.data.decode import decode_with_facts

    if raw.reason:
        return None, raw.reason
    facts, pixels = decode_with_facts(raw.data, size, resize)
    return pixels, facts.reason


@lru_cache(maxsize=1)
def _networks(settings: str) -> "dict[int, list[Network]]":
    """Input size -> networks, loaded once a process for all its shards."""
    from paw_stack.embed import load_backbone, make_network, resolve_engine
    from paw_stack.network.backbone import input_size
    from paw_stack.network.device import resolve_device

    config = Config.model_validate_json(settings)
    device = resolve_device(config.compute)
    engine = resolve_engine(config.embed, device, REPAYS)
    found: dict[int, list[Network]] = {}
    for section in config.backbones:
        about = (section.name, load_backbone(section, None), section.layers, config.embed)
        network = make_network(*about, engine, device)
        found.setdefault(input_size(section), []).append(network)
    return found


def _units(config: Config, to: Path, shard: Shard) -> dict[str, Unit]:
    """The shard's unit of every backbone."""
    return {
        backbone.name: shard_unit(
            to / backbone.name, shard.number, _inputs(config, backbone, shard)
        )
        for backbone in config.backbones
    }


def _inputs(config: Config, backbone: BackboneSection, shard: Shard) -> dict[str, Any]:
    return {
        "backbone": backbone,
        "data.resize": config.data.resize,
        "data.id": config.data.id,
        "embed": config.embed,
        "compute": config.compute,
        "shard": [shard.kind, Path(shard.path).name, list(shard.photos), list(shard.stamp)],
    }


def _require_frozen(config: Config) -> None:
    tuned = [backbone.name for backbone in config.backbones if not backbone.frozen]
    if tuned:
        raise ConfigError(
            f"embed --source: {', '.join(tuned)} is fine-tuned once a fold, which gives as many"
            " embeddings; set frozen: true"
        )


def _summarise(units: list[dict[str, Unit]], to: Path) -> None:
    records = [record for unit in units if (record := next(iter(unit.values())).record())]
    rows, bad = (sum(record[key] for record in records) for key in ("rows", "bad"))
    say(f"{rows:,} photos embedded, {bad:,} cannot be read -> {to}")
