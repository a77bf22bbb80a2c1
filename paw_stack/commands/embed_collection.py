"""Embeddings of a large collection, shard by shard, here or on a cluster."""

from pathlib import Path

from paw_stack.artifacts import RunFolder
from paw_stack.artifacts.collection import CollectionFolder
from paw_stack.config import Config
from paw_stack.console import say
from paw_stack.data.images.shards import Shard, find_shards
from paw_stack.pipeline.pretrained_files import require_able
from paw_stack.pipeline.steps.embed_shard import (
    ShardFacts,
    embed_shard,
    embedded_places,
    one_size,
    source_networks,
)
from paw_stack.progress import track


def embed_source(
    config: Config, source: Path, on: str = "here", address: str | None = None
) -> None:
    """Embed all shards of a folder, of tar files or of Parquet files that are not done."""
    run = RunFolder(config)
    one_size(config)
    for backbone in config.backbones:
        require_able(backbone, run.cache)
    shards = find_shards(source)
    n_photos = sum(shard.about_photos() for shard in shards)
    with run.writer():
        run.save_config(config)
        facts = _embed_all(config, shards, n_photos, on, address)
        # Not before all others are whole: what an earlier call made is there until then.
        gone = CollectionFolder(config).keep_only(len(shards), embedded_places(config))
    before = sum(fact.done_before for fact in facts)
    n, bad = (sum(getattr(fact, name) for fact in facts) for name in ("n_photos", "n_unreadable"))
    say(
        f"{len(shards)} shards, {before} done before and skipped: {n} photos embedded, {bad}"
        f" unreadable -> {CollectionFolder(config).root}"
    )
    if gone:
        say(f"{gone} shards of an earlier call removed: the collection has fewer by now")


def _embed_all(
    config: Config, shards: list[Shard], n_photos: int, on: str, address: str | None
) -> list[ShardFacts]:
    if on == "ray":
        from paw_stack.cluster import run_shards

        return run_shards(config, shards, n_photos, address)
    networks = source_networks(config, n_photos)
    return [
        embed_shard(config, shard, networks)
        for shard in track(shards, "embed the collection", len(shards), "shards")
    ]
