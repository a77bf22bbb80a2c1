"""Vectors of frozen backbones are kept by photo: no run computes one that is there."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.commands import FROZEN, call, write_config

from paw_stack.artifacts import kept_embeddings
from paw_stack.artifacts.kept_embeddings import KeptEmbeddings
from paw_stack.errors import ArtifactError

LAYERS = ["embedding", "features"]
BACKBONE = {
    **FROZEN,
    "model": "mobilenetv3_small_050",
    "model_args": {},
    "layers": LAYERS,
}


@pytest.fixture(autouse=True, scope="module")
def small_blocks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept_embeddings, "BLOCK", 16)
        yield


@pytest.fixture(scope="module")
def competition(sample_folder, tmp_path_factory) -> Path:
    """Thirty labelled photos, ten of them a second time under other ids, and no test photos."""
    folder = tmp_path_factory.mktemp("kept") / "photos"
    shutil.copytree(sample_folder, folder)
    table = pd.read_csv(folder / "train.csv", dtype={"Id": str})[:30]
    again = table[:10].assign(Id="again " + table["Id"][:10])
    for old, new in zip(table["Id"], again["Id"], strict=False):
        shutil.copy(folder / "train" / f"{old}.jpg", folder / "train" / f"{new}.jpg")
    pd.concat([table, again]).to_csv(folder / "train.csv", index=False)
    return folder


def embedded(folder: Path, competition: Path, name: str, *words: object, **changes) -> dict:
    """Vectors by id and layer, and the step's record."""
    data = {"test": None, "sample_submission": None, "duplicates": "keep"}
    changes = {"compute": {"precision": "fp32"}, **changes}
    config = write_config(folder, competition, data, backbones=[BACKBONE], **changes)
    call("embed", config, "--set", f"run.name={name}", *words)
    place = folder / "runs" / name / "embeddings" / FROZEN["name"] / "all"
    ids = pd.read_csv(place / "ids.csv", dtype=str)["Id"]
    found = {
        layer: dict(zip(ids, np.load(place / f"{layer}.npy"), strict=True)) for layer in LAYERS
    }
    return {**found, "record": json.loads((place / "done.json").read_text())}


def require_alike(one: dict, other: dict, exactly: bool = True) -> None:
    for layer in LAYERS:
        for photo in set(one[layer]) & set(other[layer]):
            a, b = one[layer][photo], other[layer][photo]
            np.testing.assert_allclose(a, b, rtol=0, atol=0 if exactly else 1e-5)


@pytest.fixture(scope="module")
def first(competition, tmp_path_factory):
    folder = tmp_path_factory.mktemp("first")
    return folder, embedded(folder, competition, "first", "--set", "embed.batch_size=8")


def copied(first, tmp_path) -> Path:
    """The cache of the first run, without the run."""
    shutil.copytree(first[0] / "runs" / "cache", tmp_path / "runs" / "cache")
    return tmp_path


def test_photos_that_are_the_same_are_embedded_once(first):
    assert first[1]["record"]["embedded"] == 30
    vectors = first[1]["embedding"]
    for photo in (name for name in vectors if name.startswith("again ")):
        np.testing.assert_array_equal(vectors[photo], vectors[photo.removeprefix("again ")])


def test_another_run_computes_nothing(first, competition, tmp_path, monkeypatch):
    import paw_stack.embed as embed

    folder = copied(first, tmp_path)
    monkeypatch.setattr(embed, "extract", None)
    found = embedded(
        folder, competition, "second", "--set", "embed.batch_size=7", heads={"ridge": {}}
    )
    assert found["record"]["embedded"] == 0
    assert found["record"]["engine"] == first[1]["record"]["engine"]
    assert found["record"]["closeness"] == first[1]["record"]["closeness"]
    require_alike(first[1], found)


def test_rows_in_another_order_get_their_own_vectors_and_new_photos_alone_are_embedded(
    first, competition, sample_folder, tmp_path
):
    folder, other = copied(first, tmp_path), tmp_path / "other"
    shutil.copytree(sample_folder, other)
    table = pd.read_csv(other / "train.csv", dtype={"Id": str})[20:42].iloc[::-1]
    table.to_csv(other / "train.csv", index=False)
    found = embedded(folder, other, "other")
    assert found["record"]["embedded"] == 12
    alone = tmp_path / "alone"
    alone.mkdir()
    anew = embedded(alone, other, "anew")
    assert anew["record"]["embedded"] == 22
    require_alike(found, anew, exactly=False)
    require_alike(found, first[1])


@pytest.mark.parametrize(
    "change",
    [
        "embed.flip=true",
        "embed.dtype=float16",
        "data.resize=squash",
        "compute.precision=bf16",
        "backbones.0.image_size=48",
    ],
)
def test_what_a_vector_follows_from_is_part_of_its_place(change, first, competition, tmp_path):
    found = embedded(copied(first, tmp_path), competition, "changed", "--set", change)
    assert found["record"]["embedded"] == 30


def test_a_forced_stage_is_made_anew(first, competition, tmp_path):
    folder = copied(first, tmp_path)
    embedded(folder, competition, "forced")
    assert embedded(folder, competition, "forced", "--force", "embed")["record"]["embedded"] == 30


@pytest.mark.parametrize("how", ["cut", "another array"])
def test_damaged_blocks_count_as_not_there(how, first, competition, tmp_path):
    folder = copied(first, tmp_path)
    blocks = sorted(folder.glob("runs/cache/embeddings/*/features/*.npy"))
    assert len(blocks) == 2  # of 16 and 14 photos
    sizes = [len(np.load(block)) for block in blocks]
    if how == "cut":
        blocks[0].write_bytes(blocks[0].read_bytes()[:-9])
    else:
        np.save(blocks[0], np.ones((3, 4)))
    found = embedded(folder, competition, "damaged")
    assert found["record"]["embedded"] == sizes[0]
    require_alike(first[1], found, exactly=False)


def test_an_interrupted_pass_goes_on_behind_its_last_block(
    first, competition, tmp_path, monkeypatch
):
    import paw_stack.embed as embed

    extract = embed.extract

    def interrupted(networks, batches, *rest):
        for number, block in enumerate(extract(networks, batches, *rest)):
            if number == 6:  # three batches of both layers
                raise RuntimeError("cut")
            yield block

    monkeypatch.setattr(embed, "extract", interrupted)
    words = ("--set", "embed.batch_size=8")
    with pytest.raises(RuntimeError, match="cut"):
        embedded(tmp_path, competition, "cut", *words)
    assert not (
        tmp_path / "runs" / "cut" / "embeddings" / FROZEN["name"] / "all" / "done.json"
    ).exists()
    monkeypatch.setattr(embed, "extract", extract)
    found = embedded(tmp_path, competition, "cut", *words)
    assert found["record"]["embedded"] == 30 - 16
    require_alike(first[1], found, exactly=False)


def test_values_that_the_dtype_cannot_hold_are_refused(tmp_path):
    kept = KeptEmbeddings(tmp_path, "float16")
    with pytest.raises(ArtifactError, match=r"float16 cannot hold in rows 'b'"):
        kept.put(["a", "b"], np.array([[1.0], [1e6]]))
    kept.flush()
    assert not list(tmp_path.iterdir())
