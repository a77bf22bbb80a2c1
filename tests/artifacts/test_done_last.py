"""`done.json` vouches for what is there: it comes last, goes first, and files are whole."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from helpers.commands import FROZEN, SWIN, call, write_config
from helpers.runs import NAMES, make, step_at, step_in_store

from paw_stack.artifacts.embeddings import RowsFile
from paw_stack.artifacts.remote import Store
from paw_stack.artifacts.reuse import take_over
from paw_stack.errors import ArtifactError


@dataclass
class Journal:
    """What was given a name or taken away, in order, and which of it lay on the disk before."""

    events: list[tuple[str, Path]] = field(default_factory=list)
    synced: set[int] = field(default_factory=set)  # inodes
    unsynced: list[Path] = field(default_factory=list)

    def named(self) -> list[Path]:
        return [path for what, path in self.events if what == "named"]


@pytest.fixture
def journal(monkeypatch) -> Journal:
    """The real calls, told of."""
    found = Journal()
    replace, unlink, fsync = os.replace, os.unlink, os.fsync

    def seen_replace(source, target, **how):
        if Path(source).stat().st_ino not in found.synced:
            found.unsynced.append(Path(target))
        found.events.append(("named", Path(target)))
        replace(source, target, **how)

    def seen_unlink(path, **how):
        unlink(path, **how)
        found.events.append(("gone", Path(path)))

    def seen_fsync(descriptor):
        found.synced.add(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    monkeypatch.setattr(os, "replace", seen_replace)
    monkeypatch.setattr(os, "unlink", seen_unlink)
    monkeypatch.setattr(os, "fsync", seen_fsync)
    return found


def vouched_for(done: Path, run: Path, path: Path) -> bool:
    """Whether a file is an output of the unit of this `done.json`."""
    if done.parent.name == "predictions":
        name = done.name.removesuffix(".done.json")
        files = [done, *(done.with_name(f"{name}{end}") for end in (".csv", ".test.csv"))]
        return path in files or path.parent == run / "heads" / name
    return done.parent in path.parents


def test_in_a_run_every_record_comes_last_and_goes_first(sample_folder, tmp_path, journal):
    """Then a second time from other settings: the old record goes before anything is touched."""
    backbones, heads = [SWIN, {**FROZEN, "name": "b"}], {"ridge": {}, "knn": {}}
    config = write_config(tmp_path, sample_folder, backbones=backbones, heads=heads)
    run = tmp_path / "runs" / "tiny"
    call("run", config)
    done = sorted(path for path in run.rglob("*done.json"))
    assert len(done) == 2 + 3 + 4 + 2  # networks, embeddings, candidates, blend and pictures
    for record in done:
        own = [path for path in journal.named() if vouched_for(record, run, path)]
        assert len(own) > 1
        assert own.index(record) == len(own) - 1
    journal.events.clear()
    call("run", config, "--set", "run.seed=1", "--set", "embed.flip=true")
    for record in (path for path in done if path.parent.name != "pictures"):  # of photos alone
        own = [(what, path) for what, path in journal.events if vouched_for(record, run, path)]
        assert own[0] == ("gone", record)
        assert own[-1] == ("named", record) or own[-1][0] == "gone"


def test_files_of_a_run_are_on_the_disk_before_they_have_their_names(
    sample_folder, tmp_path, journal
):
    """After a power cut a name may else be there without its content."""
    store = f"run.store=file://{tmp_path / 'store'}"
    config = write_config(tmp_path, sample_folder, backbones=[FROZEN], heads={"ridge": {}})
    call("run", config, "--set", store)
    again = write_config(tmp_path / "again", sample_folder, backbones=[FROZEN], heads={"ridge": {}})
    call("run", again, "--set", store)  # fetched
    kinds = {path.suffix for path in journal.named()}
    assert {".npy", ".csv", ".json", ".safetensors", ".yaml"} <= kinds
    assert journal.unsynced == []


def test_a_unit_that_began_anew_is_not_done_by_its_old_inputs(tmp_path):
    old, new = (step_at(tmp_path / "u" / "done.json", seed) for seed in (0, 1))
    make(old)
    assert old.record() is not None
    new.begin()  # killed here, half of its outputs the new ones
    assert new.record() is None
    old.begin()
    assert old.record() is None
    assert step_at(old.done).record() is None
    assert not old.exists()


def test_a_record_that_lacks_its_last_line_is_none(tmp_path):
    unit = step_at(tmp_path / "done.json")
    unit.finish()
    whole = json.loads(unit.done.read_text())
    assert unit.record() == whole
    for key in ("fingerprint", "seconds"):
        unit.done.write_text(json.dumps({name: v for name, v in whole.items() if name != key}))
        assert step_at(unit.done).record() is None


@pytest.fixture
def traffic(monkeypatch) -> list[tuple[str, str]]:
    """What a store is asked to do, in order; it does it."""
    found: list[tuple[str, str]] = []
    for name in ("push", "pull", "remove"):
        real = getattr(Store, name)

        def seen(store, path, name=name, real=real):
            found.append((name, path.name))
            return real(store, path)

        monkeypatch.setattr(Store, name, seen)
    return found


def test_a_store_loses_the_record_first_and_gets_it_last(tmp_path, traffic):
    url = f"file://{tmp_path / 'store'}"
    make(step_in_store(tmp_path / "here", url))
    assert traffic[0] == ("remove", "done.json")
    pushed = [name for what, name in traffic if what == "push"]
    assert pushed == [*sorted(NAMES), "done.json"]
    traffic.clear()
    there = step_in_store(tmp_path / "there", url)
    there.fetch()
    assert [name for what, name in traffic if what == "pull"] == [*sorted(NAMES), "done.json"]


def test_a_store_vouches_for_nothing_while_other_files_take_the_place(tmp_path, traffic):
    """The unit was made before the run had a store, where another one of other inputs lies."""
    url = f"file://{tmp_path / 'store'}"
    make(step_in_store(tmp_path / "there", url, seed=0))
    here = step_in_store(tmp_path / "here", url, seed=1)
    make(step_at(here.done, 1), NAMES[:1])
    traffic.clear()
    assert here.record() is not None
    assert traffic[0] == ("remove", "done.json")
    assert traffic[-2:] == [("push", "done.json"), ("remove", "state.safetensors")]
    assert ("remove", NAMES[1]) in traffic


def test_a_unit_that_is_taken_over_gets_its_record_last(tmp_path, journal):
    theirs = step_at(tmp_path / "runs" / "other" / "u" / "done.json")
    make(theirs)
    mine = step_at(tmp_path / "runs" / "mine" / "u" / "done.json", 0, "u/*")
    journal.events.clear()
    take_over([mine], tmp_path / "runs" / "mine", tmp_path / "runs")
    named = journal.named()
    assert {path.name for path in named} == {*NAMES, "done.json"}
    assert named.index(mine.done) == len(named) - 1 == 2
    assert mine.record() == theirs.record()
    other = step_at(tmp_path / "runs" / "third" / "u" / "done.json", 1, "u/*")
    take_over([other], tmp_path / "runs" / "third", tmp_path / "runs")
    assert not other.folder.exists()


def test_a_shards_record_comes_last_and_goes_first(sample_folder, tmp_path, journal):
    config = write_config(tmp_path, sample_folder, backbones=[FROZEN])
    call("embed", config, "--source", sample_folder / "test")
    done = tmp_path / "runs" / "tiny" / "collection" / "done" / "0000.done.json"
    root = done.parents[1]
    own = [path for path in journal.named() if root in path.parents]
    assert len(own) == 4
    assert own.index(done) == 3
    journal.events.clear()
    call("embed", config, "--source", sample_folder / "test", "--set", "embed.flip=true")
    own = [(what, path) for what, path in journal.events if root in path.parents]
    assert own[0] == ("gone", done)
    assert own[-1] != ("gone", done)
    assert done.exists()


@pytest.fixture
def rows(tmp_path):
    file = RowsFile(tmp_path / "x.npy", (5, 3), "float32")
    yield file
    file.discard()


def test_rows_have_no_name_before_each_of_them_was_put(rows):
    values = np.arange(15, dtype=np.float32).reshape(5, 3)
    rows.put(3, values[3:])
    rows.put(0, values[:2])
    with pytest.raises(ArtifactError, match=r"no values for rows '2' \(1 in all\)"):
        rows.finish()
    assert not rows.path.exists()
    rows.put(2, values[2:3])
    rows.finish()
    np.testing.assert_array_equal(np.load(rows.path), values)
    assert [path.name for path in rows.path.parent.iterdir()] == ["x.npy"]


def test_rows_that_a_dtype_cannot_hold_are_told_by_their_places(tmp_path):
    file = RowsFile(tmp_path / "x.npy", (4, 2), "float16")
    try:
        with pytest.raises(ArtifactError, match=r"in rows '3' \(1 in all\).*float32"):
            file.put(2, np.array([[1, 2], [3, 1e6]], dtype=np.float32))
    finally:
        file.discard()
    assert list(tmp_path.iterdir()) == []
