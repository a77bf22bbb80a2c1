"""What a backbone can do is seen once, by all runs that share a cache."""

import json

from helpers.commands import FROZEN, call, write_config
from helpers.imports import heavy_before

from paw_stack.network.pretrained import probe
from paw_stack.pipeline.pretrained_files import facts_of


def test_facts_are_those_of_the_model_and_are_seen_once(tiny_swin, tmp_path, monkeypatch):
    found = facts_of(tiny_swin, tmp_path)
    shapes = probe.measure(tiny_swin)
    assert (found["parameters"], found["widths"]) == (shapes.parameters, shapes.widths)
    monkeypatch.setattr(probe, "measure", lambda section: 1 / 0)
    assert facts_of(tiny_swin, tmp_path) == found


def test_a_note_that_lacks_something_is_written_anew(tiny_swin, tmp_path):
    found = facts_of(tiny_swin, tmp_path)
    (note,) = (tmp_path / "backbones").iterdir()
    note.write_text(json.dumps({"weights": found["weights"]}))  # as an earlier version left it
    assert facts_of(tiny_swin, tmp_path) == found
    assert json.loads(note.read_text()) == found


def test_another_run_on_the_same_photos_begins_without_torch(sample_folder, tmp_path):
    config = write_config(tmp_path, sample_folder, backbones=[FROZEN], heads={"ridge": {}})
    call("check", config)
    assert heavy_before("_do_steps", config, "run.name=second") == "[]"
