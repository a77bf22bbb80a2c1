"""Full disks and short memory: told before or when it happens; nothing that was done is lost."""

import shutil
import subprocess
import tempfile
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.commands import call, done_records, write_config

from paw_stack import cli
from paw_stack.config import load_config
from paw_stack.errors import ConfigError
from paw_stack.pipeline import resources as room
from paw_stack.pipeline.experiment import Job, open_job
from paw_stack.pipeline.graph import plan

KILOBYTE, GIGABYTE = 1000, 10**9
Usage = namedtuple("Usage", "total used free")


class Disk:
    """A file system in memory whose size can be set."""

    def __init__(self, folder: Path):
        self.folder = folder

    def resize(self, size: int, *options: str) -> bool:
        how = ",".join([*options, f"size={size}"])
        words = ["mount", "-t", "tmpfs", "-o", how, "tmpfs", str(self.folder)]
        return subprocess.run(words, capture_output=True).returncode == 0


@pytest.fixture
def disk(tmp_path) -> Iterator[Disk]:
    # Not below tmp_path, which other sessions of pytest clean up: they could not remove it.
    folder = Path(tempfile.mkdtemp(prefix="paw-stack-disk-"))
    small = Disk(folder)
    if not shutil.which("mount") or not small.resize(64 * KILOBYTE):
        folder.rmdir()
        pytest.skip("a disk of a given size needs the right to mount one")
    # The image cache has an estimate and a test of its own.
    (tmp_path / "cache").mkdir()
    (folder / "cache").symlink_to(tmp_path / "cache")
    yield small
    # A run of this process may still hold a file of it.
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
    folder.rmdir()


def attempt(config: Path, capsys, monkeypatch) -> tuple[int, str]:
    """Exit code and what a user reads on stderr."""
    monkeypatch.setattr("sys.argv", ["paw-stack", "run", str(config)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return int(caught.value.code or 0), capsys.readouterr().err


@pytest.mark.parametrize(
    "step", [100 * KILOBYTE, pytest.param(8 * KILOBYTE, marks=pytest.mark.slow)]
)
def test_a_run_on_a_full_disk_says_so_and_goes_on_when_there_is_room(
    step, disk, sample_folder, tmp_path, tmp_path_factory, capsys, monkeypatch
):
    """The disk grows by a step after each failure, so that it fills at one write after another."""
    monkeypatch.setattr(room.shutil, "disk_usage", lambda folder: Usage(0, 0, GIGABYTE))
    run = {"name": "tiny", "root": str(disk.folder)}
    config = write_config(tmp_path, sample_folder, run=run)
    whole = write_config(tmp_path_factory.mktemp("roomy"), sample_folder)
    call("run", whole)
    kept: dict[Path, bytes] = {}
    size, failures = 64 * KILOBYTE, 0
    while (ended := attempt(config, capsys, monkeypatch))[0] != 0:
        code, said = ended
        failures += 1
        assert code == 2
        assert "the disk is full; what was finished before is kept" in said
        assert "Traceback" not in said
        assert kept.items() <= done_records(disk.folder).items()
        kept = done_records(disk.folder)
        assert [p.name for p in disk.folder.rglob("*") if ".tmp" in p.name] == []
        size += step
        assert disk.resize(size, "remount")
    assert failures >= 3
    print(f"{failures} full disks")
    for name in ("submission.csv", "blend/blend.json", "predictions/swin.svr.csv"):
        there, here = whole.parent / "runs" / "tiny" / name, disk.folder / "tiny" / name
        assert here.read_bytes() == there.read_bytes()


def needs(config, **limits) -> str:
    job = open_job(config)
    job.run.root.mkdir(parents=True, exist_ok=True)
    with pytest.raises(ConfigError) as caught:
        folds = range(job.folds.n)
        room.require_room(job, folds, plan(job, folds), **limits)
    return str(caught.value)


def test_what_cannot_fit_is_refused_with_the_setting_that_would(sample_folder, tmp_path):
    config = load_config(write_config(tmp_path, sample_folder))
    said = needs(config, free_disk=lambda folder: 10**6)
    assert "which has 1 MB free" in said
    assert "set run.root to a folder on another disk" in said
    said = needs(config, free_memory=lambda: 1000)
    assert "weights and training state of swin: needs" in said
    assert "finetune.optimizer: sgd" in said


def still_needed(job: Job) -> list[room.Need]:
    return room._needs(job, range(2), plan(job, range(2)), room.STAGES)


def test_the_estimate_bounds_what_a_run_writes(sample_folder, tmp_path, capsys):
    config = write_config(tmp_path, sample_folder)
    job = open_job(load_config(config))
    estimated = sum(need.disk for need in still_needed(job))
    call("run", config)
    run = tmp_path / "runs" / "tiny"
    large = [*run.rglob("*.safetensors"), *run.rglob("*.npy")]
    written = sum(path.stat().st_size for path in large)
    # Beside headers; the state of a fold in training is gone by now.
    assert 0.2 * estimated < written < estimated + 4096 * len(large)
    assert still_needed(job) == []
    capsys.readouterr()
    call("run", config)
    assert "ahead:" not in capsys.readouterr().out


def test_this_machine_has_memory():
    available = room.available_memory()
    assert available is None or available > 10**7
