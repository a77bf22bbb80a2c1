"""A collection in a stream: kills, a cluster, memory."""

import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import simplejpeg
from test_embed_source import FROZEN
from test_end_to_end import call, write_config

KILLED = """
import os, signal, sys
from paw_stack import cli
from paw_stack.artifacts.collection import CollectionFolder

save_shard, saved = CollectionFolder.save_shard, []

def save_and_die(*words):
    save_shard(*words)
    saved.append(1)
    if len(saved) > int(os.environ["SHARDS"]):
        os.kill(os.getpid(), signal.SIGKILL)  # its files are there, its record is not

CollectionFolder.save_shard = save_and_die
cli.app(sys.argv[1:], standalone_mode=False)
"""
LOOK_EVERY_S = 0.05


def write_tars(folder: Path, n: int, a_shard: int) -> Path:
    """Photos of 32 pixels, no two alike, called by their number."""
    folder.mkdir(parents=True)
    for first in range(0, n, a_shard):
        with tarfile.open(folder / f"{first // a_shard:05d}.tar", "w") as tar:
            for number in range(first, min(n, first + a_shard)):
                about, data = tarfile.TarInfo(f"{number:06d}.jpg"), jpeg(number)
                about.size = len(data)
                tar.addfile(about, BytesIO(data))
    return folder


def jpeg(number: int) -> bytes:
    tiles = np.random.default_rng(number).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return simplejpeg.encode_jpeg(np.kron(tiles, np.ones((8, 8, 1), dtype=np.uint8)), 90)


def stream_config(folder: Path, sample: Path, batch_size: int = 64) -> Path:
    embed = {"batch_size": batch_size, "engine": "torch"}
    return write_config(folder, sample, backbones=[FROZEN], embed=embed)


def collected(folder: Path) -> tuple[list[str], np.ndarray]:
    """Ids and vectors of all shards, as they lie there."""
    root = folder / "runs" / "tiny" / "collection"
    tables = sorted((root / "metadata").glob("*.csv"))
    ids = [i for table in tables for i in pd.read_csv(table, dtype=str)["Id"]]
    arrays = sorted((root / "swin" / "embedding" / "img_emb").glob("*.npy"))
    return ids, np.concatenate([np.load(array) for array in arrays])


def killed_after(n_shards: int, *words: object) -> None:
    command = [sys.executable, "-c", KILLED, *map(str, words)]
    environment = {**os.environ, "SHARDS": str(n_shards)}
    died = subprocess.run(command, capture_output=True, env=environment)
    assert died.returncode == -signal.SIGKILL, died.stderr


def megabytes_by_shard(folder: Path, *words: object) -> Iterator[float]:
    """Run a command in a process of its own; its memory whenever more shards are done."""
    done = folder / "runs" / "tiny" / "collection" / "done"
    command = [Path(sys.executable).parent / "paw-stack", *map(str, words)]
    process, known = subprocess.Popen(command, stdout=subprocess.DEVNULL), len(list(done.iterdir()))
    while process.poll() is None:
        if (n := len(list(done.iterdir()))) > known:
            known = n
            yield resident_megabytes(process.pid)
        try:
            process.wait(LOOK_EVERY_S)
        except subprocess.TimeoutExpired:
            continue
    assert process.returncode == 0


def resident_megabytes(pid: int) -> float:
    """Anonymous memory: mapped files are the system's to drop. 0 of a process that has ended."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) / 1000 for line in lines if "RssAnon" in line), 0.0)


@pytest.mark.slow
def test_a_killed_stream_goes_on_without_a_row_lost_or_doubled(sample_folder, tmp_path, capsys):
    source = write_tars(tmp_path / "tars", 30, 5)
    whole, broken = (stream_config(tmp_path / k, sample_folder, 4) for k in ("whole", "broken"))
    call("embed", whole, "--source", source)
    killed_after(2, "embed", broken, "--source", source)
    capsys.readouterr()
    call("embed", broken, "--source", source)
    assert "6 shards, 2 done before and skipped: 30 photos" in capsys.readouterr().out
    ids, rows = collected(tmp_path / "broken")
    assert ids == [f"{number:06d}" for number in range(30)]
    np.testing.assert_array_equal(rows, collected(tmp_path / "whole")[1])


@pytest.mark.slow
def test_shards_on_a_cluster_are_those_of_one_process(sample_folder, tmp_path, capsys):
    pytest.importorskip("ray", reason="needs paw-stack[cluster]")
    source = write_tars(tmp_path / "tars", 30, 5)
    here, there = (stream_config(tmp_path / name, sample_folder, 4) for name in ("here", "there"))
    call("embed", here, "--source", source, "--set", "compute.precision=fp32")
    killed_after(2, "embed", there, "--source", source, "--set", "compute.precision=fp32")
    on_ray = ("--set", "compute.precision=fp32", "--on", "ray")
    capsys.readouterr()
    call("embed", there, "--source", source, *on_ray)
    said = capsys.readouterr().out
    assert said.count("embed shard") == 4
    assert "6 shards, 2 done before and skipped: 30 photos embedded, 0 unreadable" in said
    ours, theirs = collected(tmp_path / "here"), collected(tmp_path / "there")
    assert ours[0] == theirs[0]
    np.testing.assert_allclose(ours[1], theirs[1], atol=1e-5)


@pytest.mark.slow
def test_memory_stays_flat_and_a_kill_costs_no_row(sample_folder, tmp_path):
    """20,000 photos in 40 shards; `bench_stream.py` does the same with 100,000."""
    n = 20_000
    source, config = write_tars(tmp_path / "tars", n, 500), stream_config(tmp_path, sample_folder)
    words = ("embed", config, "--source", source)
    killed_after(10, *words)
    megabytes = list(megabytes_by_shard(tmp_path, *words))
    ids, rows = collected(tmp_path)
    assert ids == [f"{number:06d}" for number in range(n)]
    assert len(rows) == n
    assert np.isfinite(rows).all()
    late = megabytes[len(megabytes) // 3 : -1]
    assert len(late) >= 10
    # 10,000 photos: their pixels alone are 31 MB.
    assert max(late) - min(late) < 15
