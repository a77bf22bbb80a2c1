"""Candidates of other runs: optimistic ones stay so, whichever way they come; the page's errors."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from helpers.commands import blend_words, call

from paw_stack.artifacts import candidate_files, read_candidates
from paw_stack.artifacts.finished.model import open_finished
from paw_stack.blend import Recipe, blend
from paw_stack.data.folds import Folds
from paw_stack.errors import DataError
from paw_stack.inference.app_page import Desk, _plain, batch_scorer, scorer
from paw_stack.inference.app_visits import Visits


@pytest.fixture
def theirs(files) -> Path:
    """A run's folder with two candidates; held-out rows chose the epoch of the second."""
    folder = files / "theirs"
    (folder / "predictions").mkdir(parents=True)
    (folder / "blend").mkdir()
    for name, source in (("a", "v1"), ("b", "v2")):
        for end in (".csv", ".test.csv"):
            shutil.copyfile(files / f"{source}{end}", folder / "predictions" / f"{name}{end}")
    shutil.copyfile(files / "v2.csv", folder / "blend" / "blend.csv")
    (folder / "blend" / "blend.json").write_text(json.dumps({"optimistic": ["b", "blend"]}))
    return folder


def test_a_runs_optimistic_candidates_are_known_by_the_folder_and_by_the_file(theirs):
    assert [(f.name, f.optimistic) for f in candidate_files(theirs)] == [
        ("theirs.a", False),
        ("theirs.b", True),
    ]
    for place, optimistic in (
        ("predictions/a", False),
        ("predictions/b", True),
        ("blend/blend", 1),
    ):
        (file,) = candidate_files(theirs / f"{place}.csv")
        assert file.optimistic == optimistic


def test_what_is_built_on_them_is_optimistic_too(theirs, files):
    labelled = pd.read_csv(files / "labelled.csv", dtype={"Id": str})
    ids, target = labelled["Id"].to_numpy(dtype=str), labelled["score"].to_numpy()
    folds = Folds(labelled["fold"].to_numpy(), np.arange(len(ids)))
    found, _ = read_candidates(candidate_files(theirs), ids, folds, np.empty(0, str))
    assert [candidate.optimistic for candidate in found] == [False, True]
    whole = blend(found, target, folds, Recipe("mean", "none", (1, 100)))
    assert whole.predictions.optimistic
    assert whole.record["optimistic"] == ["theirs.b", "blend"]
    honest = blend(found[:1], target, folds, Recipe("mean", "none", (1, 100)))
    assert not honest.predictions.optimistic
    assert honest.record["optimistic"] == []


def test_a_blend_of_files_says_so_and_hands_it_on(theirs, files, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    call(*blend_words(files, "--candidates", theirs))
    said = capsys.readouterr().out
    assert "theirs.b (optimistic)" in said and "blend (optimistic)" in said
    assert "theirs.a (optimistic)" not in said and "v2 (optimistic)" not in said
    assert "every score built on it is optimistic" in said
    facts = json.loads((files / "out" / "blend.json").read_text())
    assert facts["optimistic"] == ["theirs.b", "blend"]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"optimistic": 3}', '{"optimistic": null}'])
def test_a_run_without_a_blend_or_with_a_damaged_one_is_read(text, theirs):
    (theirs / "blend" / "blend.json").write_text(text)
    assert [file.optimistic for file in candidate_files(theirs)] == [False, False]


GRADIO = SimpleNamespace(Error=ValueError, Request=object)  # what the scorers take of it
REQUEST = SimpleNamespace(session_hash="one")
NAME = "<img src=x onerror=alert(1)>&.jpg"


def test_the_pages_errors_are_text_without_the_folders_of_uploads(run, tmp_path):
    """A name is markup for whoever shows it as it is."""
    photo = tmp_path / "uploads" / NAME
    photo.parent.mkdir()
    photo.write_text("<b>no photo</b>")
    desk = Desk(open_finished(run), Visits(tmp_path))
    calls = {
        "one": lambda: scorer(GRADIO, desk)(REQUEST, str(photo)),
        "many": lambda: batch_scorer(GRADIO, desk)(REQUEST, [str(photo)], None),
    }
    for ask in calls.values():
        with pytest.raises(ValueError, match="not an image") as caught:
            ask()
        said = str(caught.value)
        assert "&lt;img src=x onerror=alert(1)&gt;&amp;.jpg" in said
        assert "<" not in said
        assert "uploads" not in said


def test_all_problems_are_told_on_the_page():
    error = DataError(["/up/a.jpg: 'quoted'", "/up/b.jpg: <i>"])
    assert _plain(error, "/up/a.jpg", "/up/b.jpg") == "a.jpg: &#x27;quoted&#x27; b.jpg: &lt;i&gt;"
