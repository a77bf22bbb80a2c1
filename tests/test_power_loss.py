"""After a power cut no step is called done whose files are not whole, and the run ends as ever.

A command's changes of its folder are recorded. For points between any two of them, trees that a
disk may hold after the power failed there (`power_loss/disk.py`) are laid out and read by the
product; some are gone on from.
"""

from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import pytest
from conftest import FROZEN
from power_loss.disk import CASES, Disk, Tree, read_tree, write_tree
from power_loss.recorder import Operation, reason_not_to, record
from test_end_to_end import call, write_config

from paw_stack.artifacts import Unit
from paw_stack.config import Config, load_config
from paw_stack.data.collection import find_shards
from paw_stack.data.images import cached_photos
from paw_stack.data.sample import write_sample
from paw_stack.pipeline.embed_source import facts_before
from paw_stack.pipeline.job import Job, open_job
from paw_stack.pipeline.status import _submission
from paw_stack.pipeline.units import Work, units

pytestmark = pytest.mark.skipif(bool(reason_not_to()), reason=reason_not_to())
SEED, FEW, MANY, RESUMED = 0, 40, 150, 10
TRAINING = {"epochs": 3, "batch_size": 8, "learning_rate": 1e-3}


@dataclass(frozen=True)
class Recording:
    """A command that changed `folder` from `before` to `after`."""

    folder: Path
    before: Tree
    operations: list[Operation]
    after: Tree


def recorded(folder: Path, work: Path, *words: object) -> Recording:
    folder.mkdir(parents=True, exist_ok=True)
    work.mkdir()
    before = read_tree(folder)
    return Recording(folder, before, record(folder, work, *words), read_tree(folder))


def power_cuts(recording: Recording, n: int, seed: int = SEED):
    """`n` trees after a power cut, each with where and how it happened."""
    draw = Random(seed)
    points = [draw.randrange(len(recording.operations) + 1) for _ in range(n)]
    cases = [list(CASES)[number % len(CASES)] for number in range(n)]
    disk, done = Disk(recording.before), 0
    for point, case in sorted(zip(points, cases, strict=True)):
        for operation in recording.operations[done:point]:
            disk.do(operation)
        done = point
        yield f"after {point} operations, {case}, seed {seed}", disk.after_power_loss(case, draw)


@dataclass(frozen=True)
class Reader:
    """Steps of a run, and the files that each vouches for once it is done."""

    job: Job
    works: list[Work]
    whole: dict[str, dict[str, bytes]]

    @classmethod
    def of(cls, config: Config) -> "Reader":
        """Of a run that is finished."""
        job = open_job(config)
        works = units(job, range(job.folds.n))
        for work in works:
            job.run.require(work.unit)
        whole = {work.name: files(job, work.unit) for work in works}
        return cls(job, works, {**whole, "blend": blended(job)})

    def lies(self) -> list[str]:
        """Steps that are called done and whose files are not whole."""
        done = [work for work in self.works if work.unit.record()]
        for work in done:
            work.unit.fetch()
        found = [w.name for w in done if files(self.job, w.unit) != self.whole[w.name]]
        if _submission(self.job, self.works) == "done" and blended(self.job) != self.whole["blend"]:
            found.append("blend")
        return found


def files(job: Job, unit: Unit) -> dict[str, bytes]:
    """All that lies there but what is unfinished."""
    return {
        str(path.relative_to(job.run.root)): path.read_bytes()
        for path in job.run.files(unit)
        if ".tmp" not in str(path) and path != unit.state
    }


def blended(job: Job) -> dict[str, bytes]:
    paths = [job.run.root / "submission.csv", *sorted(job.run.root.glob("blend/[!.]*"))]
    return {path.name: path.read_bytes() for path in paths if path.exists()}


@pytest.fixture(scope="module")
def run_recorded(sample_folder, tmp_path_factory) -> tuple[Path, Recording]:
    """A whole run with its image cache, and its copy in a store."""
    folder = tmp_path_factory.mktemp("run")
    run = {"name": "tiny", "root": str(folder / "disk" / "runs")}
    store = f"file://{folder / 'disk' / 'store'}"
    path = write_config(folder, sample_folder, finetune=TRAINING, run={**run, "store": store})
    found = recorded(folder / "disk", folder / "work", "run", path)
    return path, found


def test_replaying_all_operations_gives_the_very_tree(run_recorded):
    _, recording = run_recorded
    disk = Disk(recording.before)
    for operation in recording.operations:
        disk.do(operation)
    assert disk.now() == recording.after
    assert {op.what for op in recording.operations} > {"mkdir", "content", "synced", "rename"}


@pytest.mark.parametrize("n", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
def test_no_step_of_a_run_is_called_done_that_is_not_whole(n, run_recorded, tmp_path):
    path, recording = run_recorded
    write_tree(recording.after, recording.folder)
    elsewhere = tmp_path / "elsewhere"
    reader = Reader.of(load_config(path, ["run.store=null"]))
    other = Reader.of(load_config(path, [f"run.root={elsewhere}"]))
    photos = (reader.job.paths, 32, "crop", reader.job.run.cache)
    pixels = np.array(cached_photos(*photos).pixels)
    for what, tree in power_cuts(recording, n):
        write_tree(tree, recording.folder)
        write_tree({}, elsewhere)
        a, b = reader.lies(), other.lies()
        if a or b:
            print(what, a, b)
        assert (cached_photos(*photos).pixels == pixels).all(), what
    print(f"{n} power cuts, seed {SEED}")
