"""Units kept in a store: fetched where they are missing, copied once they are done."""

import json
import uuid

import pytest
import torch
from helpers.commands import call, failure, submission, write_config
from helpers.runs import NAMES, make, step_at, step_in_store

from paw_stack.artifacts.step import Step
from paw_stack.data.types import Checkpoint


@pytest.fixture(params=["memory", "disk"])
def url(request, tmp_path) -> str:
    if request.param == "disk":
        return f"file://{tmp_path / 'store'}"
    return f"memory://{uuid.uuid4().hex}"


def contents(unit: Step) -> dict[str, str]:
    return {path.name: path.read_text() for path in unit.folder.iterdir()}


def test_a_unit_of_another_machine_is_done_and_fetched_whole(tmp_path, url):
    here, there = step_in_store(tmp_path / "here", url), step_in_store(tmp_path / "there", url)
    assert there.record() is None
    make(here)
    assert there.record()["device"] == "cpu"
    assert not there.folder.exists()
    there.fetch()
    assert contents(there) == contents(here)
    assert there.record() == here.record()


def test_other_inputs_are_not_done_and_take_the_place(tmp_path, url):
    make(step_in_store(tmp_path / "here", url))
    other = step_in_store(tmp_path / "there", url, 1)
    assert other.record() is None
    assert other.exists()
    make(other, NAMES[:1])
    fetched = step_in_store(tmp_path / "third", url, 1)
    fetched.fetch()
    assert sorted(contents(fetched)) == ["done.json", NAMES[0]]
    assert step_in_store(tmp_path / "fourth", url, 0).record() is None


def test_a_unit_that_began_anew_is_not_done_anywhere(tmp_path, url):
    unit = step_in_store(tmp_path / "here", url)
    make(unit)
    unit.begin()
    assert step_in_store(tmp_path / "there", url).record() is None


def test_a_unit_made_before_there_was_a_store_is_copied_there(tmp_path, url):
    unit = step_in_store(tmp_path / "here", url)
    alone = step_at(unit.done)
    make(alone)
    assert unit.record() == alone.record()
    there = step_in_store(tmp_path / "there", url)
    there.fetch()
    assert contents(there) == contents(unit)


def test_a_state_moves_with_its_unit_and_is_no_output(tmp_path, url):
    here, there = step_in_store(tmp_path / "here", url), step_in_store(tmp_path / "there", url)
    here.begin()
    here.keep(Checkpoint(2, {"model/weight": torch.ones(3)}))
    assert there.interrupted().epoch == 2
    assert step_in_store(tmp_path / "other", url, 1).interrupted() is None
    make(there)
    late = step_in_store(tmp_path / "late", url)
    late.fetch()
    assert late.interrupted() is None


def test_a_store_that_nothing_serves_is_told(sample_folder, tmp_path, capsys, monkeypatch):
    config = write_config(tmp_path, sample_folder)
    said = failure(capsys, monkeypatch, "run", config, "--set", "run.store=nosuch://a")
    assert "run.store: nosuch://a/tiny cannot be opened" in said


def test_a_run_goes_on_from_a_store_on_an_empty_machine(sample_folder, tmp_path, capsys):
    store = ("--set", f"run.store=file://{tmp_path / 'store'}")
    first = write_config(tmp_path / "first", sample_folder)
    call("run", first, *store)
    second = write_config(tmp_path / "second", sample_folder)
    capsys.readouterr()
    call("run", second, *store)
    assert capsys.readouterr().out.count("done before, skipped") == 2 + 2 + 3
    assert submission(tmp_path / "second") == submission(tmp_path / "first")
    kept = tmp_path / "store" / "tiny"
    assert (kept / "submission.csv").read_bytes() == submission(tmp_path / "first")
    assert json.loads((kept / "predictions" / "swin.svr.done.json").read_text())["folds"] == [0, 1]
    assert list(kept.glob("heads/swin.ridge/*.safetensors"))
