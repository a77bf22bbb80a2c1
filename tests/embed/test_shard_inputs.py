"""What a shard of a collection was made from: what its vectors follow from, and nothing else."""

import os
from pathlib import Path

import pytest
from helpers.commands import FROZEN

from paw_stack.config import Config
from paw_stack.data.images.shards import Shard
from paw_stack.errors import ConfigError
from paw_stack.pipeline.steps.embed_shard import _step, embedded_places, one_size

TWO = [{**FROZEN, "layers": ["embedding", "features"]}, {**FROZEN, "name": "other"}]


def config(tmp_path: Path, **changes) -> Config:
    data = {"root": tmp_path, "target": "score", "bounds": [1, 9], **changes.pop("data", {})}
    own = {"run": {"name": "r", "root": tmp_path / "runs"}, "data": data, "backbones": [FROZEN]}
    return Config.model_validate({**own, **changes})


@pytest.fixture
def shard(tmp_path) -> Shard:
    (tmp_path / "a.jpg").write_bytes(b"12345")
    return Shard(3, "files", str(tmp_path), (str(tmp_path / "a.jpg"),))


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({"data": {"resize": "squash"}}, True),
        ({"embed": {"dtype": "float16"}}, True),
        ({"embed": {"flip": True}}, True),
        ({"embed": {"engine": "torch"}}, True),
        ({"compute": {"precision": "fp32"}}, True),
        ({"backbones": TWO}, True),
        ({"backbones": [{**FROZEN, "image_size": 64}]}, True),
        ({"heads": {"knn": {}}}, False),
        ({"data": {"bounds": [0, 50]}}, False),
        ({"finetune": {"epochs": 3}}, False),
    ],
)
def test_a_shard_is_done_again_where_its_vectors_would_differ(changes, counts, tmp_path, shard):
    before, after = (_step(config(tmp_path, **own), shard) for own in ({}, changes))
    assert (before.fingerprint != after.fingerprint) == counts
    assert before.done == after.done


def test_a_shard_follows_its_files_and_the_weights(tmp_path, shard):
    weights = tmp_path / "w.pth"
    weights.write_bytes(b"1")
    given = config(tmp_path, backbones=[{**FROZEN, "weights": weights, "pretrained": True}])
    seen = [_step(given, shard).fingerprint]
    weights.write_bytes(b"2")
    os.utime(weights, (1, 1))
    seen.append(_step(given, shard).fingerprint)
    os.utime(tmp_path / "a.jpg", (5, 5))
    seen.append(_step(given, shard).fingerprint)
    (tmp_path / "a.jpg").write_bytes(b"123456")
    os.utime(tmp_path / "a.jpg", (5, 5))
    seen.append(_step(given, shard).fingerprint)
    assert len(set(seen)) == 4
    assert _step(given, shard).fingerprint == seen[-1]


def test_places_are_the_layers_of_every_backbone(tmp_path):
    assert embedded_places(config(tmp_path, backbones=TWO)) == [
        *(("swin", "embedding"), ("swin", "features"), ("other", "embedding"))
    ]


def test_photos_have_one_size_for_all_networks(tmp_path):
    assert one_size(config(tmp_path, backbones=TWO)) == 32
    large = [FROZEN, {**FROZEN, "name": "large", "image_size": 64}]
    with pytest.raises(ConfigError, match=r"input sizes differ, \{'swin': 32, 'large': 64\}"):
        one_size(config(tmp_path, backbones=large))
