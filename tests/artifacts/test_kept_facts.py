"""What a run keeps of itself: clocks, versions, locks, files by their steps, figures read back."""

import json
import os
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.runs import step_at

from paw_stack.artifacts import lock
from paw_stack.artifacts.files import write_json
from paw_stack.artifacts.finished.model import FinishedRun
from paw_stack.artifacts.finished.runs import ListedRun, listed_runs
from paw_stack.artifacts.finished.surroundings import read_surroundings, write_surroundings
from paw_stack.artifacts.finished.targets import open_targets, save_targets
from paw_stack.artifacts.finished.trust import require_version
from paw_stack.artifacts.predictions import save_heads, write_blend
from paw_stack.artifacts.run_folder import RunFolder
from paw_stack.artifacts.step import Location, Step, versions
from paw_stack.config import Config
from paw_stack.data.types import Blend, Predictions, StoredHead
from paw_stack.errors import ArtifactError


def test_the_seconds_of_a_step_count_from_its_beginning(tmp_path):
    """A plan is made long before its last step begins."""
    step = step_at(tmp_path / "done.json")
    step.start -= 1000
    step.begin()
    step.finish(device="cpu", folds=[1])
    found = json.loads(step.done.read_text())
    assert 0 <= found["seconds"] < 500
    assert (found["device"], found["folds"], found["inputs"]) == ("cpu", [1], {"seed": 0})
    assert found["versions"] == versions()
    assert step_at(tmp_path / "done.json").record() == found


def test_versions_are_of_all_that_results_depend_on():
    packages = ("paw-stack", "torch", "timm", "scikit-learn", "lightgbm")
    assert {name: version(name) for name in packages}.items() <= versions().items()
    assert versions()["python"].count(".") == 2


def test_without_links_a_lock_is_one_all_the_same(tmp_path, monkeypatch):
    def refused(*given):
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", refused)
    place = tmp_path / "lock.json"
    lock.take(place, "mine")
    before = place.read_text()
    assert json.loads(before)["pid"] == os.getpid()
    with pytest.raises(ArtifactError, match=f"written by process {os.getpid()}"):
        lock.take(place, "mine")
    assert place.read_text() == before
    assert [path.name for path in tmp_path.iterdir()] == ["lock.json"]


def test_scratch_is_empty_and_goes_also_after_an_error(empty_run):
    left = empty_run.root / "scratch" / "left"
    left.mkdir(parents=True)
    with pytest.raises(KeyError), empty_run.scratch() as folder:
        assert list(folder.iterdir()) == []
        (folder / "0.npy").touch()
        raise KeyError
    assert not left.parent.exists()


def write(root: Path, *names: str) -> None:
    for size, name in enumerate(names, 1):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x" * size)


def test_files_of_a_step_are_its_own(empty_run):
    """A candidate's lie beside those of others, whose names may begin alike."""
    own = ["predictions/a.csv", "predictions/a.test.csv", "predictions/a.done.json"]
    own += ["heads/a/fold0.txt", "heads/a/fold1.txt"]
    others = ["predictions/ab.csv", "heads/ab/fold0.txt", "embeddings/a/all/done.json"]
    write(empty_run.root, *own, *others)
    step = step_at(empty_run.candidate_location("a").done)
    assert {str(f.relative_to(empty_run.root)) for f in empty_run.files(step)} == {*own}
    assert empty_run.size(step) == sum(range(1, 6))
    assert len(empty_run.files()) == len(own + others)
    place = step_at(empty_run.location("embeddings/a/all").done)
    assert [f.name for f in empty_run.files(place)] == ["done.json"]


def test_what_belongs_to_no_step_goes_to_the_store(empty_run, tmp_path):
    config = {"root": tmp_path / "runs", "name": "r", "store": f"file://{tmp_path}/store"}
    section = {"run": config, "data": {"root": tmp_path, "target": "score", "bounds": [1, 9]}}
    section["backbones"] = [{"name": "a", "model": "resnet10t"}]
    run = RunFolder(Config.model_validate(section))
    own = ["config.yaml", "folds.csv", "submission.csv", "check/photos.csv", "check/metadata.npy"]
    own += ["blend/blend.json", "blend/done.json", "blend/config.yaml"]
    write(run.root, *own, "scratch/a.npy", "predictions/a.svr.csv", "report.html")
    run.publish()
    store = tmp_path / "store" / "r"
    assert {str(f.relative_to(store)) for f in store.rglob("*") if f.is_file()} == {*own}


def test_a_blend_keeps_what_json_cannot_hold_as_nothing(tmp_path):
    predictions = Predictions("blend", np.array([1.0]), np.empty(0), (0,), np.array([0]))
    hole = {"a": [1.0, float("nan")], "b": (float("inf"), {"c": float("-inf")}), "d": "nan"}
    ids = np.array(["p"])
    write_blend(tmp_path, Blend({"x": 1.0}, 2.0, predictions, 3.0, hole), ids, ids[:0])
    found = json.loads((tmp_path / "blend.json").read_text(), parse_constant=pytest.fail)
    assert found["a"] == [1.0, None]
    assert found["b"] == [None, {"c": None}]
    assert (found["d"], found["weights"], found["intercept"]) == ("nan", {"x": 1.0}, 2.0)


def test_a_fit_without_a_search_leaves_none_of_the_one_before(tmp_path):
    trees = {"fold0": StoredHead("trees", {}, "text")}
    save_heads(tmp_path, trees, pd.DataFrame({"C": [1.0]}))
    assert {path.name for path in tmp_path.iterdir()} == {
        *("fold0.safetensors", "fold0.txt", "search.csv")
    }
    save_heads(tmp_path, {"all": StoredHead("linear", {"a": np.ones(1)})})
    assert [path.name for path in tmp_path.iterdir()] == ["all.safetensors"]


@pytest.mark.parametrize(("part", "fits"), [(0, False), (1, False), (2, True)])
def test_a_later_repair_of_this_version_reads_its_runs(part, fits, tmp_path):
    words = versions()["paw-stack"].split(".")
    words[part] = str(int(words[part]) + 7)
    facts = {"versions": {"paw-stack": ".".join(words)}, "made_from": {}}
    if fits:
        return require_version(tmp_path, facts, "again")
    with pytest.raises(ArtifactError, match="made by paw-stack"):
        require_version(tmp_path, facts, "again")


@pytest.fixture
def read_back(tmp_path):
    """A run of four labelled photos with weights and two metadata columns."""
    write(tmp_path, "blend/blend.csv", "predictions/a.csv", "check/metadata.npy")
    ids = pd.DataFrame({"Id": ["a", "NA", "007", "d"]})
    known = ids.assign(target=[1.0, 2, 3, 9.5], weight=[3.0, 0.5, 0.25, 0.25])
    known.to_csv(tmp_path / "labelled.csv", index=False)
    blend = [1.5, 2.0, 5.0, 6.0]
    for name in ("blend/blend.csv", "predictions/a.csv"):
        ids.assign(fold=0, prediction=blend)[::-1].to_csv(tmp_path / name, index=False)
    np.save(tmp_path / "check" / "metadata.npy", np.array([[1.0, 0], [2, 0], [3, 0], [90, 1]]))
    data = {"root": tmp_path, "target": "score", "bounds": [1, 9], "metadata": ["m", "n"]}
    section = {"run": {"name": "r"}, "data": data}
    section["backbones"] = [{"name": "a", "model": "resnet10t"}]
    return FinishedRun(tmp_path, Config.model_validate(section), {"weights": {"a": 1.0}})


def test_figures_of_a_run_are_those_of_its_rows(read_back):
    """Each with a naive reference that a mean, an order or a weight beside it would miss."""
    assert read_back.usual_error == np.median([0.5, 0, 2, 3.5])
    assert read_back.mean_score == pytest.approx((3 + 1 + 0.75 + 9.5 / 4) / 4)
    np.testing.assert_array_equal(read_back.usual_metadata, [2.5, 0])
    np.testing.assert_array_equal(read_back.predicted, [1.5, 2, 5, 6])
    assert read_back.shown_range == (1, 9)
    assert read_back.folder.name == read_back.name
    assert read_back.suspicious is None


def test_the_mean_score_stays_within_the_bounds(read_back, tmp_path):
    outside = pd.DataFrame({"Id": ["a", "b"], "target": [20.0, 30.0]})
    outside.to_csv(tmp_path / "labelled.csv", index=False)
    assert FinishedRun(tmp_path, read_back.config, {"weights": {}}).mean_score == 9


def test_runs_of_several_targets_make_one_submission_by_id(tmp_path):
    runs = {}
    for target, ids in (("one", ["b", "NA", "007"]), ("two", ["007", "b", "NA"])):
        table = pd.DataFrame({"Id": ids, target: [f"{name}-{target}" for name in ids]})
        (tmp_path / f"r-{target}").mkdir()
        table.to_csv(tmp_path / f"r-{target}" / "submission.csv", index=False)
        runs[target] = FinishedRun(tmp_path / f"r-{target}", None, {})
    path = save_targets(tmp_path / "r", runs, "<p>page")
    found = pd.read_csv(path, dtype=str, keep_default_na=False)
    assert found.to_dict("list") == {
        "Id": ["b", "NA", "007"],
        "one": ["b-one", "NA-one", "007-one"],
        "two": ["b-two", "NA-two", "007-two"],
    }
    assert (tmp_path / "r" / "report.html").read_text() == "<p>page"
    assert json.loads((path.parent / "targets.json").read_text()) == {
        "one": "r-one",
        "two": "r-two",
    }
    (tmp_path / "r-two" / "submission.csv").unlink()
    assert save_targets(tmp_path / "r", runs, "") is None  # no test photos


@pytest.mark.parametrize("named", [{}, {"one": "../r-one"}, {"one": "r-one", "two": "a/b"}])
def test_targets_name_runs_beside_them(named, tmp_path):
    write_json(tmp_path / "targets.json", named)
    with pytest.raises(ArtifactError, match="names no runs"):
        open_targets(tmp_path)


def test_a_folder_that_is_no_run_of_ours_is_listed_by_its_name(tmp_path):
    for name in ("b", "a"):
        write(tmp_path, f"{name}/config.yaml")
        os.utime(tmp_path / name / "config.yaml", (86_400 * 365, 86_400 * 365))
    write(tmp_path, "no-run/other.yaml")
    (tmp_path / "b" / "link").symlink_to("/")
    found = listed_runs(tmp_path)
    assert found[1] == ListedRun("b")
    assert (found[0].name, found[0].when[:4], found[0].config) == ("a", "1971", None)
    with pytest.raises(ArtifactError, match="no such folder"):
        listed_runs(tmp_path / "gone")


def test_what_changed_of_a_steps_inputs_is_told_by_name_and_value(tmp_path):
    before = {"seed": 1, "rows": [1, 2], "loss": {"kind": "mse", "bins": 9}, "same": "x"}
    after = {
        "seed": 2,
        "rows": [1, 3],
        "loss": {"kind": "mse", "bins": 8},
        "same": "x",
        "new": 3,
    }
    place = tmp_path / "a" / "done.json"
    step, other = (Step("a", Location(place), inputs) for inputs in (before, after))
    assert step.changes() is None
    with pytest.raises(ArtifactError, match="a: not there; run me"):
        step.require("me")
    step.begin()
    step.finish()
    assert step.changes() == []
    assert other.changes() == ["loss.bins: 9 -> 8", "new: None -> 3", "rows", "seed: 1 -> 2"]
    assert (step.exists(), other.exists(), other.record()) == (True, True, None)
    with pytest.raises(ArtifactError, match="a: made from other inputs; run me"):
        other.require("me")
    assert step.require("me") == step.record()
    place.write_text("{}")
    assert other.changes() is None


@pytest.mark.parametrize(
    ("stage", "name", "short"),
    [
        ("finetune", "finetune swin fold 0", "swin fold 0"),
        ("fit-heads", "fit swin.svr", "swin.svr"),
        ("embed", "embed embed", "embed"),
        ("report", "pictures", "pictures"),
    ],
)
def test_a_steps_short_name_is_without_its_stage(stage, name, short, tmp_path):
    assert Step(name, Location(tmp_path / "done.json"), {}, stage).short == short


def test_surroundings_are_those_of_the_last_blend_or_none(tmp_path):
    kept = StoredHead("surroundings", {"a": np.arange(3.0)})
    digest = write_surroundings(tmp_path, kept)
    found = read_surroundings(tmp_path, {"novelty": {"digest": digest}})
    np.testing.assert_array_equal(found.arrays["a"], kept.arrays["a"])
    other = write_surroundings(tmp_path / "b", StoredHead("surroundings", {"a": np.arange(4.0)}))
    assert other != digest
    with pytest.raises(ArtifactError, match="not the file that its blend was made with"):
        read_surroundings(tmp_path, {"novelty": {"digest": other}})
    for facts in ({}, {"novelty": None}, {"novelty": {"digest": None}}):
        assert read_surroundings(tmp_path, facts) is None
    assert write_surroundings(tmp_path, None) is None
    assert not (tmp_path / "surroundings.safetensors").exists()
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_surroundings(tmp_path, {"novelty": {"digest": digest}})
