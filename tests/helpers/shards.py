"""Collections in tar shards, and what embedding them leaves, kills and memory included."""

import io
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import simplejpeg
from PIL import Image

from helpers.commands import FROZEN, run_folder, write_config
from helpers.photos import encoded

N, BAD = 11, 4  # photos, and the number of the one that is cut short
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


def jpeg(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    return encoded(Image.fromarray(pixels), "JPEG")


def one_damaged() -> dict[str, bytes]:
    """Key -> bytes of eleven photos; one is damaged."""
    return {f"k{number:02d}": jpeg(number)[: 300 if number == BAD else None] for number in range(N)}


def tiles(n: int) -> dict[str, bytes]:
    """Number -> bytes of photos of 32 pixels, no two alike."""
    found = {}
    for number in range(n):
        small = np.random.default_rng(number).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        pixels = np.kron(small, np.ones((8, 8, 1), dtype=np.uint8))
        found[f"{number:06d}"] = simplejpeg.encode_jpeg(pixels, 90)
    return found


def write_tars(folder: Path, photos: dict[str, bytes], a_shard: int = 6) -> Path:
    folder.mkdir(parents=True)
    for first in range(0, len(photos), a_shard):
        with tarfile.open(folder / f"{first // a_shard:05d}.tar", "w") as archive:
            for key in list(photos)[first : first + a_shard]:
                for suffix, data in ((".json", b"{}"), (".jpg", photos[key])):
                    member = tarfile.TarInfo(key + suffix)
                    member.size = len(data)
                    archive.addfile(member, io.BytesIO(data))
    return folder


def stream_config(folder: Path, sample: Path, batch_size: int = 64) -> Path:
    embed = {"batch_size": batch_size, "engine": "torch"}
    return write_config(folder, sample, backbones=[FROZEN], embed=embed)


def collected(folder: Path) -> tuple[list[str], np.ndarray]:
    """Ids and vectors of all shards, as they lie there."""
    root = run_folder(folder) / "collection"
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
    done = run_folder(folder) / "collection" / "done"
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
