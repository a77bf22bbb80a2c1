"""After a power cut no step is called done whose files are not whole, and a run ends as ever.

What a command does to a folder is recorded. For points between any two of its operations, trees
that a disk may hold after the power failed there (`power_loss/disk.py`) are laid out and read by
the product; some are gone on from.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import pytest
from helpers.commands import FROZEN, call, write_config
from helpers.shards import one_damaged, write_tars
from power_loss.disk import CASES, Disk, Tree, read_tree, write_tree
from power_loss.recorder import Operation, reason_not_to, record

from paw_stack.artifacts import Step
from paw_stack.commands.status import _submission
from paw_stack.config import Config, load_config
from paw_stack.data.images.cache import cached_photos
from paw_stack.data.images.shards import Shard, find_shards
from paw_stack.data.synthetic.competition import MARKER, write_sample
from paw_stack.pipeline.experiment import Job, open_job
from paw_stack.pipeline.graph import plan
from paw_stack.pipeline.steps.embed_shard import facts_before

pytestmark = pytest.mark.skipif(bool(reason_not_to()), reason=reason_not_to())
SEED, FEW, MANY = 0, 40, 300
RUN = {
    "finetune": {"epochs": 2, "batch_size": 8, "learning_rate": 1e-3},
    "heads": {"gbm": {"trees": 5, "min_rows": 5}, "ridge": {}},
}


@dataclass(frozen=True)
class Recording:
    """A command that changed `folder` from `before` to `after`."""

    words: tuple[object, ...]
    folder: Path
    before: Tree
    operations: list[Operation]
    after: Tree


def recorded(folder: Path, *words: object) -> Recording:
    folder.mkdir(parents=True, exist_ok=True)
    work = folder.with_name("recording")
    work.mkdir()
    before = read_tree(folder)
    return Recording(words, folder, before, record(folder, work, *words), read_tree(folder))


def power_cuts(recording: Recording, n: int, seed: int = SEED) -> Iterator[str]:
    """Lay out `n` trees after a power cut, one after another; where and how it happened."""
    draw = Random(seed)
    points = sorted(draw.randrange(len(recording.operations) + 1) for _ in range(n))
    disk, done = Disk(recording.before), 0
    for number, point in enumerate(points):
        for operation in recording.operations[done:point]:
            disk.do(operation)
        done, case = point, list(CASES)[number % len(CASES)]
        write_tree(disk.after_power_loss(case, draw), recording.folder)
        yield f"after {point} of {len(recording.operations)} operations, {case}, seed {seed}"
    print(f"{n} power cuts in {len(recording.operations)} operations, seed {seed}")


@dataclass(frozen=True)
class Reader:
    """Steps of a run, and the files that each vouches for once it is done."""

    job: Job
    whole: dict[str, dict[str, bytes]]

    @classmethod
    def of(cls, config: Config) -> "Reader":
        """Of a run that is finished."""
        job = open_job(config)
        steps = plan(job, range(job.folds.n)).values()
        for step in steps:
            job.run.require(step)
        whole = {step.name: files(job, step) for step in steps}
        return cls(job, {**whole, "blend": blended(job)})

    def lies(self) -> list[str]:
        """Steps that are called done and whose files are not whole."""
        steps = list(plan(self.job, range(self.job.folds.n)).values())
        done = [step for step in steps if step.record()]
        for step in done:
            step.fetch()
        found = [step.name for step in done if files(self.job, step) != self.whole[step.name]]
        if _submission(self.job, steps) == "done" and blended(self.job) != self.whole["blend"]:
            found.append("blend")
        return found


def files(job: Job, step: Step) -> dict[str, bytes]:
    """All that lies there but what is unfinished."""
    return {
        str(path.relative_to(job.run.root)): path.read_bytes()
        for path in job.run.files(step)
        if ".tmp" not in str(path) and path != step.checkpoint
    }


def blended(job: Job) -> dict[str, bytes]:
    paths = [job.run.root / "submission.csv", *job.run.root.glob("blend/[!.]*")]
    # Its record comes last: a blend without it is whole, and fitted again by the next command.
    there = [path for path in paths if path.exists() and path.name != "done.json"]
    return {path.name: path.read_bytes() for path in there}


def ends_as_ever(recording: Recording) -> None:
    """Go on: the same predictions, the same files, and nothing unfinished left."""
    call(*recording.words)
    there = read_tree(recording.folder)
    assert there.keys() == recording.after.keys()
    assert [name for name in there if name.endswith("submission.csv")]
    for name in there:
        is_table = "predictions/" in name and name.endswith(".csv")
        if is_table or name.endswith(("submission.csv", "blend.json", "pixels.npy")):
            assert there[name] == recording.after[name], name


def holds(recording: Recording, old: Reader, new: Reader) -> None:
    """No step is called done by either's settings that is not whole, and a few runs go on."""
    for what in power_cuts(recording, MANY):
        assert (old.lies(), new.lies()) == ([], []), what
    for what in power_cuts(recording, 3, seed=1):
        print(what)
        ends_as_ever(recording)


@pytest.fixture
def no_flushes(monkeypatch) -> None:
    """Whoever looks at a disk after the power failed need not flush what is fetched to look."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


@pytest.fixture(scope="module")
def run_recorded(sample_folder, tmp_path_factory) -> tuple[Path, Recording]:
    """A whole run with its image cache, and its copy in a store."""
    folder = tmp_path_factory.mktemp("run")
    run = {"name": "tiny", "root": str(folder / "disk" / "runs")}
    store = f"file://{folder / 'disk' / 'store'}"
    path = write_config(folder, sample_folder, run={**run, "store": store}, **RUN)
    return path, recorded(folder / "disk", "run", path)


def test_replaying_all_operations_gives_the_very_tree(run_recorded):
    _, recording = run_recorded
    disk = Disk(recording.before)
    for operation in recording.operations:
        disk.do(operation)
    assert disk.now() == recording.after
    assert {op.what for op in recording.operations} > {"mkdir", "content", "synced", "rename"}


@pytest.mark.parametrize("n", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
def test_no_step_of_a_run_is_called_done_that_is_not_whole(n, run_recorded, tmp_path, no_flushes):
    """Neither here, nor by a machine that has the store alone; nor is a half cache taken."""
    path, recording = run_recorded
    write_tree(recording.after, recording.folder)
    elsewhere = tmp_path / "elsewhere"
    here = Reader.of(load_config(path, ["run.store=null"]))
    there = Reader.of(load_config(path, [f"run.root={elsewhere}"]))
    photos = (here.job.paths, 32, "crop", here.job.run.cache)
    pixels = np.array(cached_photos(*photos).pixels)
    for what in power_cuts(recording, n):
        write_tree({}, elsewhere)
        assert here.lies() == [], what
        assert there.lies() == [], f"{what}, in the store"
        assert (cached_photos(*photos).pixels == pixels).all(), what


@pytest.mark.parametrize("n", [1, pytest.param(30, marks=pytest.mark.slow)])
def test_a_run_goes_on_after_a_power_cut_and_ends_as_ever(n, run_recorded):
    _, recording = run_recorded
    for what in power_cuts(recording, n, seed=1):
        print(what)
        ends_as_ever(recording)


@pytest.mark.slow
def test_settings_that_changed_leave_no_step_that_is_half_of_each(
    sample_folder, tmp_path, no_flushes
):
    """The run was finished before, from other settings: what is done is by its own settings."""
    run = {"name": "tiny", "root": str(tmp_path / "disk")}
    path = write_config(tmp_path, sample_folder, run=run, **RUN)
    call("run", path)
    old = Reader.of(load_config(path))
    changed = ("run.seed=1", "embed.flip=true", "blend.method=mean")
    words = [word for change in changed for word in ("--set", change)]
    recording = recorded(tmp_path / "disk", "run", path, *words)
    new = Reader.of(load_config(path, list(changed)))
    holds(recording, old, new)


@pytest.mark.slow
def test_steps_of_another_run_are_taken_over_whole(sample_folder, tmp_path, no_flushes):
    """In the place of such that were made from other settings."""
    disk = tmp_path / "disk"
    run = {"name": "other", "root": str(disk)}
    path = write_config(tmp_path, sample_folder, run=run, **RUN)
    call("run", path)
    call("run", path, "--set", "run.name=mine", "--set", "run.seed=1")
    mine = ["run.name=mine", f"run.reuse={disk}"]
    words = [word for change in mine for word in ("--set", change)]
    old = Reader.of(load_config(path, ["run.name=mine", "run.seed=1"]))
    recording = recorded(disk, "run", path, *words)
    new = Reader.of(load_config(path, ["run.name=mine"]))
    holds(recording, old, new)


@pytest.mark.slow
def test_shards_that_are_called_done_are_whole(sample_folder, tmp_path, no_flushes):
    """An earlier call had other settings and more shards."""
    disk, source = tmp_path / "disk", tmp_path / "source"
    run = {"name": "tiny", "root": str(disk)}
    path = write_config(tmp_path, sample_folder, backbones=[FROZEN], run=run)
    write_tars(source, one_damaged())
    call("embed", path, "--source", source)
    old = shards_of(load_config(path), source)
    (source / "00001.tar").unlink()
    recording = recorded(disk, "embed", path, "--source", source, "--set", "embed.flip=true")
    new = shards_of(load_config(path, ["embed.flip=true"]), source)
    assert (len(old), len(new)) == (2, 1)
    for what in power_cuts(recording, MANY):
        for shard, config, whole in (*old.values(), *new.values()):
            assert not facts_before(config, shard) or shard_files(disk, shard) == whole, what
    for what in power_cuts(recording, 3, seed=1):
        print(what)
        call(*recording.words)
        assert read_tree(disk).keys() == recording.after.keys(), what


def shards_of(config: Config, source: Path) -> dict[int, tuple[Shard, Config, dict[str, bytes]]]:
    """By number, of a collection that is embedded: the files that its record vouches for."""
    found = find_shards(source)
    assert all(facts_before(config, shard) for shard in found)
    return {s.number: (s, config, shard_files(config.run.root, s)) for s in found}


def shard_files(disk: Path, shard: Shard) -> dict[str, bytes]:
    paths = (disk / "tiny" / "collection").rglob(f"*_{shard.number:04d}.*")
    return {str(path): path.read_bytes() for path in paths if ".tmp" not in str(path)}


@pytest.mark.slow
def test_a_sample_that_is_called_complete_is_whole(tmp_path, no_flushes):
    """In the place of a larger one; drawn again where it is not."""
    folder = tmp_path / "disk"
    write_sample(folder, 13, 3, seed=5)
    larger = read_tree(folder)
    recording = recorded(folder, "sample", folder, "--labelled", 10, "--test", 2, "--seed", 5)
    for what in power_cuts(recording, 100):
        found = {name: data for name, data in read_tree(folder).items() if ".tmp" not in name}
        if b'"complete": true' in found[MARKER]:
            assert found in (larger, recording.after), what
        write_sample(folder, 10, 2, seed=5)
        assert read_tree(folder) == recording.after, what
