"""One file or name at a time: what a disk may hold of it after a power cut at any point."""

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from helpers.commands import FROZEN, call, write_config
from helpers.runs import NAMES, make, step_at, step_in_store
from power_loss.disk import CASES, Disk, Tree, write_tree
from power_loss.recorder import reason_not_to, record

from paw_stack import atomic
from paw_stack.artifacts import predictions as blend_files
from paw_stack.artifacts import run_folder as run_files
from paw_stack.artifacts.remote import Store
from paw_stack.artifacts.reuse import take_over
from paw_stack.artifacts.tidy import tidy
from paw_stack.commands.status import _submission
from paw_stack.config import load_config
from paw_stack.errors import ArtifactError
from paw_stack.pipeline.experiment import open_job
from paw_stack.pipeline.graph import plan

recorded = pytest.mark.skipif(bool(reason_not_to()), reason=reason_not_to())
DRAWS = 6  # of each case at each point
GONE = 2**22 + 1  # above any process number of Linux
START = """
import sys
from pathlib import Path
from paw_stack.artifacts.lock import take
from paw_stack.artifacts.remote import Store
from paw_stack.atomic import link, remove, write_file
root = Path(sys.argv[1])
def write(name, text):
    write_file(root / name, lambda path: path.write_text(text))
"""


def trees(tmp_path: Path, code: str, before: Tree | None = None) -> Iterator[Tree]:
    """All that a disk may hold, drawn, at each point of `code`; without what is unfinished."""
    folder, work = tmp_path / "disk", tmp_path / "recording"
    write_tree(before or {}, folder)
    work.mkdir(parents=True)
    operations = record(folder, work, folder, code=START + code)
    disk, draw = Disk(before or {}), Random(0)
    for operation in [None, *operations]:
        if operation:
            disk.do(operation)
        for case in [*CASES] * DRAWS:
            tree = disk.after_power_loss(case, draw)
            yield {name: data for name, data in tree.items() if ".tmp" not in name}


@recorded
def test_a_file_is_the_old_or_the_new_one_and_the_next_finds_the_new(tmp_path):
    code = "write('a', 'new' * 999)\nwrite('deep/er/b', 'next')"
    found = list(trees(tmp_path, code, {"a": b"old"}))
    assert {tree["a"] for tree in found} == {b"old", b"new" * 999}
    assert {tree["a"] for tree in found if "deep" in tree} == {b"new" * 999}
    assert {tree.get("deep/er/b") for tree in found} == {None, b"next"}


@recorded
@pytest.mark.parametrize("how", ["write('new/folder/a', 'a')", "link(root / 'old', root / 'n/a')"])
def test_what_is_there_vouches_for_all_that_came_before(how, tmp_path):
    found = list(trees(tmp_path, f"{how}\nwrite('record', 'done')", {"old": b"a"}))
    done = [tree for tree in found if tree.get("record") == b"done"]
    assert 0 < len(done) < len(found)
    assert all(tree.get("new/folder/a", tree.get("n/a")) == b"a" for tree in done)


@recorded
def test_what_was_removed_is_gone_before_anything_takes_its_place(tmp_path):
    before = {"record": b"of old", "there": None, "there/a": b"old"}
    found = list(trees(tmp_path, "remove(root / 'record')\nwrite('there/a', 'new')", before))
    assert {(tree.get("record"), tree["there/a"]) for tree in found} == {
        (b"of old", b"old"),
        (None, b"old"),
        (None, b"new"),
    }


@recorded
def test_a_store_on_a_disk_holds_whole_files_in_their_order(tmp_path):
    code = (
        "store = Store(f'file://{root}/store', root / 'run')\n"
        "write('run/u/a', 'a' * 999)\n"
        "write('run/u/done', 'a')\n"
        "store.push(root / 'run/u/a')\n"
        "store.push(root / 'run/u/done')\n"
    )
    found = list(trees(tmp_path, code))
    assert {tree.get("store/run/u/a") for tree in found} == {None, b"a" * 999}
    assert all("store/run/u/a" in tree for tree in found if "store/run/u/done" in tree)


@recorded
def test_a_lock_can_be_read_whenever_it_is_there(tmp_path):
    """Else nobody could tell that its holder is gone, and a person had to delete it."""
    found = list(trees(tmp_path, "take(root / 'lock.json', 'mine')"))
    locks = {tree["lock.json"] for tree in found if "lock.json" in tree}
    assert [json.loads(lock)["host"] for lock in locks] == [socket.gethostname()]


def test_what_any_writer_left_is_swept_with_all_that_is_in_it(tmp_path):
    """Libraries that fill a file of their own beside the one they are given leave that, too."""
    host = socket.gethostname()
    dead, alive = (tmp_path / f".weights.{pid}@{host}.tmp" for pid in (GONE, os.getpid()))
    for folder in (dead, alive):
        folder.mkdir()
        (folder / ".tmpXyZ123").write_text("half of the weights")
    atomic.sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [alive.name]


def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    def fail(path: Path) -> None:
        path.write_text("half")
        path.with_name(".own").write_text("half")
        raise OSError(28, "No space left on device")

    atomic.write_file(tmp_path / "a", lambda path: path.write_text("old"))
    with pytest.raises(ArtifactError, match="the disk is full"):
        atomic.write_file(tmp_path / "a", fail)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "old")]


def test_a_blend_that_was_interrupted_is_not_done_by_the_old_or_the_new_settings(
    sample_folder, tmp_path, monkeypatch
):
    config = write_config(tmp_path, sample_folder, backbones=[FROZEN], heads={"ridge": {}})
    call("run", config)
    changes = [[], ["blend.method=mean"]]
    jobs = [open_job(load_config(config, change)) for change in changes]

    def state(job) -> str:
        return _submission(job, list(plan(job, range(job.folds.n)).values()))

    assert [state(job).split()[0] for job in jobs] == ["done", "stale"]
    for module, name in ((run_files, "write_submission"), (blend_files, "write_json")):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, lambda *args: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                call("blend", config, "--set", "blend.method=mean")
        assert [state(job) for job in jobs] == ["missing", "missing"]
    call("blend", config, "--set", "blend.method=mean")
    assert [state(job).split()[0] for job in jobs] == ["stale", "done"]


def test_a_unit_that_is_taken_over_begins_like_any_other(tmp_path, monkeypatch):
    """No record vouches for what is replaced; nothing of it is left, nor taken half."""
    runs = tmp_path / "runs"
    theirs = step_at(runs / "other" / "u" / "done.json")
    make(theirs)
    atomic.write_file(theirs.folder / ".x.1@host.tmp" / "x", Path.touch)
    mine, old = (step_at(runs / "mine" / "u" / "done.json", seed, "u/*") for seed in (0, 1))
    make(old, [*NAMES, "only_here.csv"])
    with monkeypatch.context() as patch:
        patch.setattr("paw_stack.artifacts.reuse.link", lambda *paths: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            take_over([mine], runs / "mine", runs)
    assert (mine.record(), step_at(old.done, 1).record()) == (None, None)
    take_over([mine], runs / "mine", runs)
    assert mine.record() == theirs.record()
    assert {path.name for path in mine.folder.iterdir()} == {*NAMES, "done.json"}


def test_states_that_their_units_outlived_go(tmp_path):
    """A process was killed after it wrote the record and before it removed the state."""
    url = f"file://{tmp_path / 'store'}"
    done, undone = (step_in_store(tmp_path / place, url) for place in ("here", "there"))
    make(done)
    undone.begin()
    for unit in (done, undone):
        unit.checkpoint.write_text("state")
    store, kept = tmp_path / "store" / "run", tmp_path / "store" / "run" / "finetune" / "a"
    (kept / "fold0" / "done.json").write_text("{}")
    for folder in ("fold0", "fold1"):
        atomic.write_file(kept / folder / "state.safetensors", Path.touch)
    for place in ("here", "there"):
        tidy(tmp_path / place / "run", tmp_path / "cache", Store(url, tmp_path / place / "run"))
    assert (done.checkpoint.exists(), undone.checkpoint.exists()) == (False, True)
    assert [path.parent.name for path in store.rglob("state.safetensors")] == ["fold1"]


@recorded
def test_a_complete_sample_has_its_photos(tmp_path):
    write = (
        "from paw_stack.data.synthetic.competition import write_sample\n"
        "write_sample(root, {}, 1, seed=5)"
    )
    before = list(trees(tmp_path / "first", write.format(4)))[-1]
    found = list(trees(tmp_path / "second", write.format(2), before))
    complete = [tree for tree in found if b'"complete": true' in tree["sample.json"]]
    assert all(tree in (before, found[-1]) for tree in complete)
    assert len(complete) < len(found) and found[-1] != before
