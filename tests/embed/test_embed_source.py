"""Collections: what is read from each kind, what a shard writes, and what a second run does."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.commands import FROZEN, call, failure, write_config
from helpers.shards import BAD, N, jpeg, one_damaged, write_tars

from paw_stack.config import EmbedSection, load_config
from paw_stack.data.images.decode import decode
from paw_stack.data.images.shards import find_shards, shard_photos
from paw_stack.embed import embed, load_backbone
from paw_stack.errors import DataError
from paw_stack.network.device import resolve_device
from paw_stack.pipeline.steps.embed_shard import embed_shard, source_networks


@pytest.fixture
def photos() -> dict[str, bytes]:
    return one_damaged()


@pytest.fixture
def config(tmp_path, sample_folder):
    keys = {"embed": {"batch_size": 4}, "compute": {"precision": "fp32"}}
    return write_config(tmp_path, sample_folder, backbones=[FROZEN], **keys)


def write_folder(folder, photos):
    for key, data in photos.items():
        path = folder / ("a" if key < "k05" else "b") / f"{key}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (folder / "a" / "notes.txt").write_text("no photo")


def write_parquet(folder, photos):
    pytest.importorskip("pyarrow", reason="the extra `parquet` is not installed")
    folder.mkdir()
    cells = [{"bytes": data, "path": None} for data in photos.values()]
    pd.DataFrame({"image": cells, "key": list(photos)}).to_parquet(folder / "part.parquet")


def read(root, number, name="swin"):
    """Ids and vectors of a shard."""
    ids = pd.read_csv(root / "metadata" / f"metadata_{number:04d}.csv", dtype=str)["Id"].tolist()
    rows = np.load(root / name / "embedding" / "img_emb" / f"img_emb_{number:04d}.npy")
    return dict(zip(ids, rows, strict=True))


def collected(root):
    found = [read(root, n) for n in range(len(list((root / "metadata").iterdir())))]
    return {Path(key).stem: row for part in found for key, row in part.items()}


@pytest.mark.parametrize("write", [write_folder, write_tars, write_parquet])
def test_every_kind_gives_the_vectors_of_its_readable_photos(
    write, photos, config, tmp_path, capsys
):
    write(tmp_path / "source", photos)
    call("embed", config, "--source", tmp_path / "source")
    assert f"{N - 1} photos embedded, 1 unreadable" in capsys.readouterr().out
    root = tmp_path / "runs" / "tiny" / "collection"
    found = collected(root)
    assert list(found) == [key for key in photos if key != f"k{BAD:02d}"]
    refused = pd.concat(pd.read_csv(path) for path in (root / "unreadable").iterdir())
    assert len(refused) == 1
    assert f"k{BAD:02d}" in refused["Id"].iloc[0]
    assert refused["reason"].str.startswith("damaged JPEG").all()
    # The way of a competition's photos leads to the same vectors.
    settings = load_config(config)
    readable = [decode(photos[key], 32, "crop") for key in found]
    np.save(tmp_path / "pixels.npy", np.stack(readable))
    backbone = load_backbone(settings.backbones[0], None)
    device = resolve_device(settings.compute)
    one = embed(backbone, tmp_path / "pixels.npy", ["embedding"], EmbedSection(), device, "test")
    np.testing.assert_allclose(
        np.stack(list(found.values())), one["embedding"], rtol=0.05, atol=0.05
    )


def test_a_second_run_skips_shards_and_redoes_the_one_that_changed(
    photos, config, tmp_path, capsys
):
    write_tars(tmp_path / "source", photos)
    call("embed", config, "--source", tmp_path / "source")
    root = tmp_path / "runs" / "tiny" / "collection"
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    (root / "done" / "0001.done.json").unlink()  # as a kill in the middle of the shard leaves it
    capsys.readouterr()
    call("embed", config, "--source", tmp_path / "source")
    assert f"2 shards, 1 done before and skipped: {N - 1} photos" in capsys.readouterr().out
    arrays = [path for path in before if path.suffix != ".json"]
    assert [path for path in arrays if path.read_bytes() != before[path]] == []
    os.utime(tmp_path / "source" / "00000.tar", ns=(1, 1))
    call("embed", config, "--source", tmp_path / "source")
    assert "1 done before" in capsys.readouterr().out
    call("embed", config, "--source", tmp_path / "source", "--set", "embed.flip=true")
    assert "0 done before" in capsys.readouterr().out


def test_a_shard_is_a_unit_of_plain_values(photos, config, tmp_path):
    """Folders in shards of four: any order, any process, the same files."""
    write_folder(tmp_path / "source", photos)
    settings = load_config(config)
    shards = find_shards(tmp_path / "source", size=4)
    assert [len(shard.paths) for shard in shards] == [4, 4, 3]
    networks = source_networks(settings, N)
    facts = [embed_shard(settings, shard, networks) for shard in reversed(shards)]
    assert [(fact.n_photos, fact.n_unreadable) for fact in facts] == [(3, 0), (3, 1), (4, 0)]
    root = tmp_path / "runs" / "tiny" / "collection"
    assert len(collected(root)) == N - 1
    record = json.loads((root / "done" / "0001.done.json").read_text())
    assert (record["photos"], record["unreadable"], record["engine"]) == (3, 1, "torch")
    assert embed_shard(settings, shards[1], networks).done_before


def test_photos_are_read_one_after_another(tmp_path, photos):
    write_tars(tmp_path / "source", photos)
    first = shard_photos(find_shards(tmp_path / "source")[0])
    assert next(first) == ("k00", photos["k00"])


def test_damaged_and_empty_collections_are_told(tmp_path, config, capsys, monkeypatch):
    empty, cut = tmp_path / "empty", tmp_path / "cut"
    empty.mkdir()
    said = failure(capsys, monkeypatch, "embed", config, "--source", empty)
    assert "no photos; give a folder of photos, of .tar or of .parquet files" in said
    write_tars(cut, {"k": jpeg(0)})
    tar = cut / "00000.tar"
    tar.write_bytes(tar.read_bytes()[:2000])
    with pytest.raises(DataError, match=r"00000.tar: damaged tar file"):
        list(shard_photos(find_shards(cut)[0]))


def test_a_parquet_file_without_photos_is_told(tmp_path):
    pytest.importorskip("pyarrow", reason="the extra `parquet` is not installed")
    pd.DataFrame({"caption": ["a dog"]}).to_parquet(tmp_path / "part.parquet")
    with pytest.raises(DataError, match=r"columns \['caption'\], none of photos"):
        list(shard_photos(find_shards(tmp_path)[0]))


def test_networks_that_need_scores_or_differ_in_size_are_refused(
    tmp_path, config, photos, capsys, monkeypatch
):
    write_folder(tmp_path / "source", photos)
    words = ["embed", config, "--source", tmp_path / "source", "--set"]
    said = failure(capsys, monkeypatch, *words, "backbones.0.frozen=false")
    assert "['swin'] are to be fine-tuned" in said
    two = [
        FROZEN,
        {**FROZEN, "name": "b", "model": "lcnet_035", "model_args": {}, "image_size": 64},
    ]
    said = failure(capsys, monkeypatch, *words, f"backbones={two}")
    assert "input sizes differ, {'swin': 32, 'b': 64}" in said
    assert not (tmp_path / "runs" / "tiny").exists()
