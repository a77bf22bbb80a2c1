"""Collections in shards: each photo's own vector, whatever the container; kills, bad photos."""

import io
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import simplejpeg
import torch
from conftest import TINY_SWIN
from test_end_to_end import call, failure, write_config

from paw_stack.config import BackboneSection
from paw_stack.data.decode import decode
from paw_stack.network.backbone import build_backbone

FROZEN = {
    "name": "swin",
    "model": "swin_tiny_patch4_window7_224",
    "model_args": TINY_SWIN,
    "pretrained": False,
    "frozen": True,
    "image_size": 32,
}
N = 30
KILLED = """
import os, signal, sys
import paw_stack.pipeline.embed_source as stream
from paw_stack import cli

save_shard, saved = stream.save_shard, []

def save_and_die(*words, **facts):
    save_shard(*words, **facts)
    saved.append(1)
    if len(saved) == int(os.environ["SHARDS"]):
        os.kill(os.getpid(), signal.SIGKILL)

stream.save_shard = save_and_die
cli.app(sys.argv[1:], standalone_mode=False)
"""


def jpeg(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return simplejpeg.encode_jpeg(np.kron(pixels, np.ones((8, 8, 1), dtype=np.uint8)), 90)


def write_tars(folder: Path, n: int, a_shard: int) -> None:
    folder.mkdir(parents=True)
    for first in range(0, n, a_shard):
        with tarfile.open(folder / f"photos-{first // a_shard:04d}.tar", "w") as tar:
            for number in range(first, min(n, first + a_shard)):
                add(tar, f"{number:06d}.jpg", jpeg(number))
                add(tar, f"{number:06d}.json", b"{}")


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    about = tarfile.TarInfo(name)
    about.size = len(data)
    tar.addfile(about, io.BytesIO(data))


def write_folder(folder: Path) -> None:
    folder.mkdir()
    for number in range(N):
        (folder / f"{number:06d}.jpg").write_bytes(jpeg(number))


def write_parquet(folder: Path) -> None:
    pytest.importorskip("pyarrow", reason="needs paw-stack[parquet]")
    folder.mkdir()
    for first in range(0, N, 10):
        rows = [{"Id": f"{n:06d}", "image": {"bytes": jpeg(n), "path": "x"}, "likes": n}
                for n in range(first, first + 10)]  # fmt: skip
        pd.DataFrame(rows).to_parquet(folder / f"part-{first:03d}.parquet")


@pytest.fixture
def config(sample_folder, tmp_path) -> Path:
    backbones, compute = [FROZEN], {"precision": "fp32"}
    embed = {"batch_size": 7, "engine": "torch"}
    path = write_config(tmp_path, sample_folder, backbones=backbones, compute=compute, embed=embed)
    return path


def collected(to: Path) -> tuple[list[str], np.ndarray]:
    """Ids and vectors of all shards in the order of their files."""
    folder = to / "swin"
    ids = pd.concat([pd.read_csv(f, dtype=str) for f in sorted((folder / "ids").glob("*.csv"))])
    rows = [np.load(file) for file in sorted((folder / "embedding").glob("*.npy"))]
    return ids["Id"].tolist(), np.concatenate(rows)


@pytest.fixture(scope="module")
def one_by_one() -> np.ndarray:
    """(N, width): each photo alone through the network."""
    backbone = build_backbone(BackboneSection(**FROZEN), seed=0).eval()
    photos = [torch.from_numpy(decode(jpeg(n), 32, "crop"))[None] for n in range(N)]
    with torch.inference_mode():
        return np.concatenate([backbone(photo).numpy() for photo in photos])


@pytest.mark.parametrize("kind", ["tars", "folder", "parquet"])
def test_every_container_gives_each_photo_its_vector(tmp_path, config, kind, one_by_one, capsys):
    source, to = tmp_path / kind, tmp_path / "vectors"
    writers = {"tars": lambda f: write_tars(f, N, 10), "folder": write_folder}
    writers.get(kind, write_parquet)(source)
    words = ("embed", config, "--source", source, "--to", to, "--shard", 10)
    call(*words)
    ids, rows = collected(to)
    assert [Path(name).stem for name in ids] == [f"{n:06d}" for n in range(N)]
    np.testing.assert_allclose(rows, one_by_one, atol=1e-5)
    assert sorted(path.name for path in (to / "swin" / "embedding").iterdir()) == [
        f"embedding_0000{k}.npy" for k in range(3)
    ]
    capsys.readouterr()
    call(*words)
    assert "3 shards, 3 done before, skipped" in capsys.readouterr().out


def test_bad_photos_are_named_and_the_others_keep_their_vectors(tmp_path, config, one_by_one):
    source, to = tmp_path / "tars", tmp_path / "vectors"
    source.mkdir()
    with tarfile.open(source / "a.tar", "w") as tar:
        add(tar, "dogs/000000.jpg", jpeg(0))
        add(tar, "empty.png", b"")
        add(tar, "dogs/000001.JPG", jpeg(1))
        add(tar, "cut.jpg", jpeg(2)[:200])
        add(tar, "dogs/000001.png", jpeg(3))
    whole = (source / "a.tar").read_bytes()
    (source / "b.tar").write_bytes(whole[:700])  # ends in the first photo
    call("embed", config, "--source", source, "--to", to)
    ids, rows = collected(to)
    assert ids == ["dogs/000000", "dogs/000001"]
    np.testing.assert_allclose(rows, one_by_one[:2], atol=1e-5)
    bad = pd.concat([pd.read_csv(file) for file in sorted((to / "swin" / "bad").iterdir())])
    assert bad["Id"].tolist() == ["empty", "cut", "dogs/000001", "b.tar"]
    assert bad["reason"].str.len().gt(0).all()


def test_only_a_changed_shard_is_done_again(tmp_path, config, capsys):
    source, to = tmp_path / "tars", tmp_path / "vectors"
    write_tars(source, N, 10)
    words = ("embed", config, "--source", source, "--to", to)
    call(*words)
    with tarfile.open(source / "photos-0001.tar", "a") as tar:
        add(tar, "more.jpg", jpeg(99))
    capsys.readouterr()
    call(*words)
    said = capsys.readouterr().out
    assert "3 shards, 2 done before, skipped" in said
    assert "31 photos embedded, 0 cannot be read" in said
    assert collected(to)[0][10:21] == [*(f"{n:06d}" for n in range(10, 20)), "more"]


def test_what_cannot_be_embedded_is_told(tmp_path, config, sample_folder, capsys, monkeypatch):
    write_folder(tmp_path / "folder")
    write_tars(tmp_path / "folder" / "tars", 3, 3)
    words = ("embed", config, "--to", tmp_path / "to", "--source")
    mixed = failure(capsys, monkeypatch, *words, tmp_path / "folder")
    assert "expected files of one of these kinds" in mixed
    nothing = failure(capsys, monkeypatch, *words, tmp_path / "nowhere")
    assert "no photos, .tar or .parquet files" in nothing
    tuned = write_config(tmp_path / "tuned", sample_folder)
    said = failure(capsys, monkeypatch, "embed", tuned, "--source", tmp_path / "folder" / "tars")
    assert "swin is fine-tuned once a fold" in said
    call(*words, tmp_path / "folder" / "tars")
    write_tars(tmp_path / "longer", N, 10)
    call("embed", config, "--to", tmp_path / "to3", "--source", tmp_path / "longer")
    shorter = ("embed", config, "--to", tmp_path / "to3", "--source", tmp_path / "folder" / "tars")
    assert "choose another --to" in failure(capsys, monkeypatch, *shorter)


def killed_after(n_shards: int, *words: object) -> None:
    command = [sys.executable, "-c", KILLED, *map(str, words)]
    environment = {**os.environ, "SHARDS": str(n_shards)}
    died = subprocess.run(command, capture_output=True, env=environment)
    assert died.returncode == -signal.SIGKILL, died.stderr


def test_a_killed_stream_goes_on_without_a_row_lost_or_doubled(tmp_path, config, capsys):
    source = tmp_path / "tars"
    write_tars(source, N, 5)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    call("embed", config, "--source", source, "--to", whole)
    words = ("embed", config, "--source", source, "--to", broken)
    killed_after(2, *words)
    capsys.readouterr()
    call(*words)
    assert "6 shards, 2 done before, skipped" in capsys.readouterr().out
    assert collected(broken)[0] == collected(whole)[0] == [f"{n:06d}" for n in range(N)]
    np.testing.assert_array_equal(collected(broken)[1], collected(whole)[1])


@pytest.mark.slow
def test_shards_on_a_cluster_are_those_of_one_process(tmp_path, config, capsys):
    pytest.importorskip("ray", reason="needs paw-stack[cluster]")
    source = tmp_path / "tars"
    write_tars(source, N, 5)
    for name, more in (("here", ()), ("there", ("--on", "ray"))):
        call("embed", config, "--source", source, "--to", tmp_path / name, *more)
    assert "30 photos embedded, 0 cannot be read" in capsys.readouterr().out
    here, there = collected(tmp_path / "here"), collected(tmp_path / "there")
    assert here[0] == there[0]
    np.testing.assert_allclose(here[1], there[1], atol=1e-5)


@pytest.mark.slow
def test_memory_stays_flat_and_a_kill_costs_no_row(tmp_path, config):
    """20,000 photos in 40 shards; `bench_stream.py` does the same with 100,000."""
    source, to, n = tmp_path / "tars", tmp_path / "to", 20_000
    write_tars(source, n, 500)
    words = ("embed", config, "--source", source, "--to", to)
    killed_after(10, *words)
    megabytes = watched(*words)
    ids, rows = collected(to)
    assert ids == [f"{number:06d}" for number in range(n)]
    assert np.isfinite(rows).all()
    assert len(megabytes) == 30
    # 15,000 photos: pixels alone would be 46 MB, and the vectors 2 MB.
    assert max(megabytes[10:]) - min(megabytes[10:]) < 20


def watched(*words: object) -> list[float]:
    """Run a command in a process of its own; its memory, megabytes, after every shard."""
    command = [Path(sys.executable).parent / "paw-stack", *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        said = process.stdout
        found = [resident_megabytes(process.pid) for line in said if b"embed shard" in line]
    assert process.returncode == 0
    return found


def resident_megabytes(pid: int) -> float:
    """Anonymous memory: mapped files are the system's to drop."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("RssAnon"))
