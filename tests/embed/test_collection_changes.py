"""A collection that was embedded before: whatever changed, it ends as if it were embedded anew."""

import contextlib
import io
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.commands import FROZEN, call, failure, write_config
from helpers.shards import jpeg
from hypothesis import given, settings
from hypothesis import strategies as st

import paw_stack.atomic as atomic
from paw_stack.artifacts.collection import CollectionFolder
from paw_stack.commands.embed_collection import embed_source
from paw_stack.config import load_config
from paw_stack.console import printing
from paw_stack.data.images.shards import find_shards
from paw_stack.errors import DataError
from paw_stack.pipeline.steps.embed_shard import embed_shard, source_networks

PHOTOS = [jpeg(number) for number in range(6)]
BROKEN = (b"no photo", b"")
contents = st.lists(st.sampled_from([*range(len(PHOTOS)), *range(-len(BROKEN), 0)]), max_size=4)
names = st.sampled_from(["a", "b", "c", "d"])
changes = st.one_of(
    st.tuples(st.just("put"), names, contents),
    st.tuples(st.just("remove"), names, st.none()),
    st.tuples(st.just("rename"), names, names),
    st.tuples(st.just("cut"), names, st.none()),
    st.tuples(st.just("kill"), st.none(), st.integers(1, 9)),
    st.tuples(st.just("embed"), st.none(), st.none()),
)


def write_tar(path: Path, numbers: list[int]) -> None:
    with tarfile.open(path, "w") as archive:
        for number in numbers:
            data = PHOTOS[number] if number >= 0 else BROKEN[number]
            member = tarfile.TarInfo(f"k{number}.jpg")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def apply(change, source: Path, config) -> None:
    kind, name, value = change
    path = source / f"{name}.tar"
    if kind == "put":
        write_tar(path, value)
    elif kind == "kill":
        embed_killed(config, source, value)
    elif kind == "embed":
        embed_or_refuse(config, source)
    elif path.exists():
        if kind == "remove":
            path.unlink()
        elif kind == "rename":
            path.rename(source / f"{value}.tar")
        else:
            path.write_bytes(path.read_bytes()[:700])


def embed_killed(config, source: Path, after: int) -> None:
    """A call that ends in the middle: before its `after`-th file is put in place."""
    left, put_in_place = [after], atomic.put_in_place

    def put(temporary, path):
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        put_in_place(temporary, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(atomic, "put_in_place", put)
        with contextlib.suppress(KeyboardInterrupt):
            embed_or_refuse(config, source)


def embed_or_refuse(config, source: Path) -> bool:
    """False where there is no photo, or a damaged tar: an error that says so."""
    try:
        embed_source(config, source)
    except DataError:
        return False
    return True


def require_sound(root: Path) -> None:
    """Ids that are there stand beside as many vectors, at any time."""
    for table in root.glob("metadata/*.csv"):
        ids = pd.read_csv(table)
        number = table.stem.rpartition("_")[2]
        for place in root.glob("*/*/img_emb"):
            vectors = place / f"img_emb_{number}.npy"
            assert not vectors.exists() or len(np.load(vectors)) == len(ids)
        if (root / "done" / f"{number}.done.json").exists():
            assert (root / "swin" / "embedding" / "img_emb" / f"img_emb_{number}.npy").exists()


def written(root: Path) -> dict[str, bytes]:
    """All but the records, which hold times."""
    found = [path for path in root.rglob("*") if path.is_file() and path.suffix != ".json"]
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


@pytest.fixture(scope="module")
def config(tmp_path_factory, sample_folder):
    keys = {"embed": {"batch_size": 2}, "compute": {"precision": "fp32"}}
    path = write_config(
        tmp_path_factory.mktemp("config"), sample_folder, backbones=[FROZEN], **keys
    )
    return load_config(path)


def elsewhere(config, root: Path):
    return config.model_copy(update={"run": config.run.model_copy(update={"root": root})})


def ends_as_if_embedded_anew(config, folder: Path, sequence) -> None:
    source, again, anew = folder / "source", folder / "again", folder / "anew"
    source.mkdir()
    before = elsewhere(config, again)
    root = CollectionFolder(before).root
    for change in sequence:
        apply(change, source, before)
        require_sound(root)
    for cut in source.glob("*.tar"):
        if cut.stat().st_size == 700:
            cut.unlink()
    if embed_or_refuse(before, source):
        require_sound(root)
        embed_source(elsewhere(config, anew), source)
        assert written(root) == written(CollectionFolder(elsewhere(config, anew)).root)


@settings(max_examples=5, deadline=None)
@given(sequence=st.lists(changes, min_size=3, max_size=8))
def test_any_sequence_of_changes_ends_as_if_embedded_anew(config, tmp_path_factory, sequence):
    ends_as_if_embedded_anew(config, tmp_path_factory.mktemp("sequence"), sequence)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(sequence=st.lists(changes, min_size=3, max_size=12))
def test_many_long_sequences_do(config, tmp_path_factory, sequence):
    ends_as_if_embedded_anew(config, tmp_path_factory.mktemp("sequence"), sequence)


SEQUENCES = {
    "a tar goes": [("put", "a", [0, 1]), ("put", "b", [2]), ("embed",), ("remove", "b")],
    "the first goes": [("put", "a", [0, 1]), ("put", "b", [2]), ("embed",), ("remove", "a")],
    "no photo is left": [("put", "a", [0, 1]), ("put", "b", [2]), ("embed",), ("put", "a", [-1])],
    "a tar is empty": [("put", "a", [0, 1]), ("put", "b", [2]), ("embed",), ("put", "b", [])],
    "a kill": [("put", "a", [0, 1]), ("embed",), ("put", "a", [2]), ("kill", None, 3)],
}


@pytest.mark.parametrize("kind", SEQUENCES)
def test_what_is_known_to_go_wrong(kind, config, tmp_path):
    whole = [(*change, None, None)[:3] for change in SEQUENCES[kind]]
    ends_as_if_embedded_anew(config, tmp_path, whole)


def test_what_was_there_stays_until_the_rest_is_whole(config, tmp_path):
    """A call that fails on its way removes nothing: shards of an earlier call hold their photos."""
    source, own = tmp_path / "source", elsewhere(config, tmp_path / "runs")
    source.mkdir()
    for number, name in enumerate("abc"):
        write_tar(source / f"{name}.tar", [number])
    embed_source(own, source)
    (source / "a.tar").unlink()
    (source / "c.tar").write_bytes((source / "c.tar").read_bytes()[:700])
    with pytest.raises(DataError, match=r"c\.tar: damaged"):
        embed_source(own, source)
    root = CollectionFolder(own).root
    assert len(list((root / "metadata").iterdir())) == 3
    require_sound(root)


def test_vectors_of_other_backbones_go_with_the_photos_that_they_were_of(config, tmp_path):
    source, own = tmp_path / "source", elsewhere(config, tmp_path / "runs")
    source.mkdir()
    write_tar(source / "a.tar", [0, 1])
    embed_source(own, source)
    renamed = own.backbones[0].model_copy(update={"name": "other"})
    write_tar(source / "a.tar", [2])
    embed_source(own.model_copy(update={"backbones": [renamed]}), source)
    vectors = list(CollectionFolder(own).root.rglob("*.npy"))
    assert [path.parts[-4] for path in vectors] == ["other"]


def test_a_shard_whose_vectors_do_not_fit_its_record_is_done_again(config, tmp_path, capsys):
    source, own = tmp_path / "source", elsewhere(config, tmp_path / "runs")
    source.mkdir()
    write_tar(source / "a.tar", [0, 1])
    embed_source(own, source)
    root = CollectionFolder(own).root
    before = written(root)
    vectors = next(root.rglob("*.npy"))
    for spoil in (vectors.unlink, lambda: np.save(vectors, np.ones((5, 32), np.float32))):
        spoil()
        with printing():
            embed_source(own, source)
        assert "0 done before" in capsys.readouterr().out.splitlines()[-1]
        assert written(root) == before


def test_photos_move_between_shards_of_a_folder(config, tmp_path):
    """Shards of two: after the first photo went, every photo has its place once."""
    source, own = tmp_path / "source", elsewhere(config, tmp_path / "runs")
    source.mkdir()
    networks = source_networks(own, len(PHOTOS))
    folder = CollectionFolder(own)
    for number, data in enumerate(PHOTOS):
        (source / f"k{number}.jpg").write_bytes(data)
    for gone in ("k0.jpg", "k3.jpg", "k5.jpg"):
        for shard in find_shards(source, size=2):
            embed_shard(own, shard, networks)
        (source / gone).unlink()
    left = find_shards(source, size=2)
    for shard in left:
        embed_shard(own, shard, networks)
    assert folder.keep_only(len(left), [("swin", "embedding")]) == 1
    ids = [pd.read_csv(path)["Id"].tolist() for path in sorted(folder.root.glob("metadata/*"))]
    assert ids == [["k1.jpg", "k2.jpg"], ["k4.jpg"]]
    require_sound(folder.root)


def test_a_photo_that_goes_while_it_is_embedded_is_named(config, tmp_path):
    source, own = tmp_path / "source", elsewhere(config, tmp_path / "runs")
    source.mkdir()
    for number in (0, 1):
        (source / f"k{number}.jpg").write_bytes(PHOTOS[number])
    (shard,) = find_shards(source)
    (source / "k0.jpg").unlink()
    facts = embed_shard(own, shard, source_networks(own, 2))
    assert (facts.n_photos, facts.n_unreadable) == (1, 1)


def test_an_empty_source_is_refused_and_changes_nothing(
    config, sample_folder, tmp_path, capsys, monkeypatch
):
    path = write_config(tmp_path, sample_folder, backbones=[FROZEN])
    source = tmp_path / "source"
    source.mkdir()
    write_tar(source / "a.tar", [0, 1])
    write_tar(source / "b.tar", [2])
    call("embed", path, "--source", source)
    root = tmp_path / "runs" / "tiny" / "collection"
    before = written(root)
    (source / "a.tar").unlink()
    shutil.move(source / "b.tar", tmp_path)
    assert "no photos" in failure(capsys, monkeypatch, "embed", path, "--source", source)
    assert written(root) == before
