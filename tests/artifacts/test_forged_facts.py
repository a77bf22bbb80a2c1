"""Facts and tables of a run that have a form and make no sense: told in one error of ours."""

import json
import os
import shutil
from pathlib import Path

import pytest
from helpers.runs import replaced, rewritten

from paw_stack.artifacts.files import write_text
from paw_stack.artifacts.finished.model import open_finished
from paw_stack.artifacts.finished.runs import listed_runs
from paw_stack.artifacts.run_folder import RunFolder
from paw_stack.commands.results.compare import compare
from paw_stack.commands.results.report import make_report
from paw_stack.commands.results.runs import show_runs
from paw_stack.config import load_config
from paw_stack.data.tables import read_cells
from paw_stack.errors import ArtifactError
from paw_stack.inference.explain import explain
from paw_stack.inference.predict import predict

SENSELESS = "cannot be read as a run of this version"


@pytest.fixture
def photo(sample_folder, tmp_path) -> Path:
    return Path(shutil.copy(next((sample_folder / "test").iterdir()), tmp_path / "photo.jpg"))


def without(key: str):
    return lambda facts: facts.pop(key)


@pytest.mark.parametrize(
    "place, change",
    [
        ("finetune/swin/fold0/done.json", lambda facts: facts.update(span=["1", "2"])),
        ("finetune/swin/fold0/done.json", lambda facts: facts.update(span={"a": 1})),
        ("blend/blend.json", without("model")),
        ("blend/blend.json", lambda facts: facts.update(model=[1])),
        ("blend/blend.json", lambda facts: facts["model"].update(calibration=3)),
        ("blend/blend.json", lambda facts: facts.update(interval="x")),
        ("blend/blend.json", lambda facts: facts["interval"].update(level="x" * 9000)),
        ("blend/blend.json", lambda facts: facts["interval"].update(level=None)),
        ("blend/blend.json", lambda facts: facts.update(made_from=[1])),
        ("blend/blend.json", lambda facts: facts["model"].update(bounds=["a", "b"])),
    ],
)
def test_a_forged_record_is_one_error_of_predict(place, change, copy, photo):
    rewritten(copy / place, change)
    with pytest.raises(ArtifactError, match=SENSELESS) as caught:
        predict(copy, [photo], batch_size=1)
    (said,) = caught.value.problems
    assert len(said) < 1000
    assert said.isprintable()


def test_a_forged_table_is_one_error_of_an_explanation(copy, photo):
    opened = open_finished(copy)
    table = (copy / "blend" / "blend.csv").read_text().replace("prediction", "x", 1)
    replaced(copy / "blend" / "blend.csv", lambda path: path.write_text(table))
    with pytest.raises(ArtifactError, match="KeyError: 'prediction'"):
        explain(opened, photo, None)


@pytest.mark.parametrize("value", ["x", {}, [[1]], None])
def test_a_forged_record_is_one_error_of_report(value, copy):
    rewritten(
        copy / "predictions" / "swin.gbm.done.json", lambda facts: facts.update(seconds=value)
    )
    rewritten(copy / "predictions" / "swin.svr.done.json", without("versions"))
    with pytest.raises(ArtifactError, match=SENSELESS):
        make_report(copy)


def test_a_forged_table_is_one_error_of_compare(copy, run):
    table = (copy / "labelled.csv").read_text().replace("target", "x", 1)
    replaced(copy / "labelled.csv", lambda path: path.write_text(table))
    with pytest.raises(ArtifactError, match=SENSELESS):
        compare(run, copy)


@pytest.mark.parametrize("scores", [[], {"blend": 1}, {"swin.nn": {"rmse": "x"}, "blend": {}}, 7])
def test_runs_lists_the_others_beside_a_forged_one(scores, copy, run, capsys):
    shutil.copytree(run, copy.with_name("whole"), copy_function=os.link)
    rewritten(copy / "blend" / "blend.json", lambda facts: facts.update(scores=scores))
    table = show_runs(copy.parent).set_index("run")
    assert table["state"].to_dict() == {"tiny": "cannot be read", "whole": "finished"}


@pytest.mark.parametrize("number", ["1" + "0" * 400, "1e999", "-Infinity", "NaN", '"7"'])
def test_numbers_that_are_none_are_left_out(number, copy):
    before = listed_runs(copy.parent)[0].seconds
    done = copy / "predictions" / "swin.gbm.done.json"
    own = json.loads(done.read_text())["seconds"]
    replaced(done, lambda path: path.write_text(f'{{"seconds": {number}}}'))
    (copy / "leaderboard.json").write_text(f'{{"public": {number}, "private": 3}}')
    (found,) = listed_runs(copy.parent)
    assert found.seconds == pytest.approx(before - own)
    assert found.leaderboard == {"private": 3.0}
    show_runs(copy.parent)


@pytest.mark.parametrize("forged", [0.5, [1], "x", None])
def test_a_blend_that_was_made_from_nothing_is_none(forged, copy):
    """Which is what `status` asks."""
    rewritten(copy / "blend" / "blend.json", lambda facts: facts.update(made_from=forged))
    settings = load_config(copy / "config.yaml", [f"run.root={copy.parent}"])
    assert RunFolder(settings).blended() is None


@pytest.mark.parametrize("start", [b"", b"Id,fold\na,1\n"])
def test_a_table_of_holes_is_refused_before_it_fills_memory(start, tmp_path):
    """pandas takes six times its size."""
    path = tmp_path / "table.csv"
    path.write_bytes(start)
    os.truncate(path, 2**31)
    with pytest.raises(ValueError, match="NUL bytes, which are in no text"):
        read_cells(path)


def test_a_folder_where_a_file_is_to_be_written_is_one_error(tmp_path):
    (tmp_path / "labelled.csv" / "inside").mkdir(parents=True)
    with pytest.raises(ArtifactError, match="a folder lies where a file is to be written"):
        write_text(tmp_path / "labelled.csv", "Id,target")
    assert [path.name for path in tmp_path.iterdir()] == ["labelled.csv"]
    assert (tmp_path / "labelled.csv" / "inside").is_dir()
