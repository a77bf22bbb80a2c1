"""A shard as a worker gets it, and what is told of it afterwards."""

import json
from dataclasses import asdict

import pytest
from helpers.commands import FROZEN, write_config
from helpers.shards import one_damaged

from paw_stack.cluster.shards import _made, do_shard
from paw_stack.config import load_config
from paw_stack.data.images.shards import find_shards
from paw_stack.errors import ArtifactError
from paw_stack.pipeline.steps.embed_shard import ShardFacts, facts_before


def test_a_shard_that_a_worker_made_was_not_done_before(sample_folder, tmp_path):
    keys = {"embed": {"batch_size": 4}, "compute": {"precision": "fp32"}}
    config = load_config(write_config(tmp_path, sample_folder, backbones=[FROZEN], **keys))
    (tmp_path / "source").mkdir()
    for name, data in list(one_damaged().items())[:7]:
        (tmp_path / "source" / f"{name}.jpg").write_bytes(data)
    _, shard = find_shards(tmp_path / "source", size=4)
    with pytest.raises(ArtifactError, match="shard 1: not in"):
        _made(config, shard)
    do_shard(config.model_dump_json(), "7", json.dumps(asdict(shard)))
    known = facts_before(config, shard)
    assert known.done_before
    assert known.n_photos + known.n_unreadable == 3
    assert _made(config, shard) == ShardFacts(known.n_photos, known.n_unreadable, False)
