"""Shards of a large collection as tasks: as many at once as the cluster has room for.

A worker loads the networks once and holds one shard at a time, so what is in memory does not grow
with the collection. All machines see the same files and the same run folder.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import lru_cache

from paw_stack.cluster.tasks import Task, run_tasks
from paw_stack.config import Config
from paw_stack.console import say
from paw_stack.data.images.shards import Shard
from paw_stack.errors import ArtifactError
from paw_stack.pipeline.steps.embed_shard import (
    ShardFacts,
    SourceNetworks,
    embed_shard,
    facts_before,
    source_networks,
)


def run_shards(
    config: Config, shards: Sequence[Shard], n_photos: int, address: str | None
) -> list[ShardFacts]:
    """Embed on a cluster the shards that are not done.

    Args:
        n_photos: of the collection, about; chooses the engine, the same on all workers.

    Raises:
        ArtifactError: a shard that a worker wrote is not in the run folder here.
    """
    before = {shard.number: facts_before(config, shard) for shard in shards}
    settings = config.model_dump_json()
    tasks = [
        Task(
            f"embed shard {shard.number}",
            "embed",
            (),
            do_shard,
            (settings, str(n_photos), json.dumps(asdict(shard))),
        )
        for shard in shards
        if before[shard.number] is None
    ]
    run_tasks(tasks, config.cluster, address)
    return [before[shard.number] or _made(config, shard) for shard in shards]


def _made(config: Config, shard: Shard) -> ShardFacts:
    facts = facts_before(config, shard)
    if facts is None:
        raise ArtifactError(
            f"shard {shard.number}: not in {config.run.root} after it was embedded; all machines"
            " must share run.root and the collection"
        )
    return replace(facts, done_before=False)


def do_shard(settings: str, n_photos: str, shard: str) -> None:
    """Embed one shard, given as JSON, on a worker."""
    config, facts = Config.model_validate_json(settings), json.loads(shard)
    part = Shard(**{**facts, "paths": tuple(facts["paths"])})
    found = embed_shard(config, part, _networks(settings, n_photos))
    say(f"embed shard {part.number}: {found.n_photos} photos, {found.n_unreadable} unreadable")


@lru_cache(maxsize=1)
def _networks(settings: str, n_photos: str) -> SourceNetworks:
    return source_networks(Config.model_validate_json(settings), int(n_photos))
