"""Several targets in one config: a run for each on the same folds, and what they have in common."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.commands import FROZEN, call, failure, write_config

from paw_stack.config import load_config
from paw_stack.config.targets import load_targets
from paw_stack.errors import ConfigError

TARGETS = ["Pawpularity", "age of pet"]


@pytest.fixture(scope="module")
def competition(sample_folder, tmp_path_factory) -> Path:
    """The sample with a second score."""
    folder = Path(shutil.copytree(sample_folder, tmp_path_factory.mktemp("two") / "photos"))
    table = pd.read_csv(folder / "train.csv", dtype={"Id": str})
    rng = np.random.default_rng(0)
    table[TARGETS[1]] = (table["Pawpularity"] / 10 + rng.normal(size=len(table))).round(2)
    table.to_csv(folder / "train.csv", index=False)
    return folder


def config_of(folder: Path, competition: Path, **data) -> Path:
    bounds = {TARGETS[0]: [1, 100], TARGETS[1]: None}
    known = {"target": TARGETS, "bounds": bounds, "sample_submission": None, **data}
    return write_config(folder, competition, known, backbones=[FROZEN], heads={"ridge": {}})


@pytest.fixture(scope="module")
def runs(competition, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("targets")
    call("run", config_of(folder, competition))
    return folder / "runs"


def test_each_target_is_a_run_on_the_same_folds(runs):
    first, second = runs / "tiny-Pawpularity", runs / "tiny-age_of_pet"
    assert (first / "folds.csv").read_bytes() == (second / "folds.csv").read_bytes()
    targets = [pd.read_csv(run / "labelled.csv")["target"] for run in (first, second)]
    assert not np.allclose(*targets)
    facts = [json.loads((run / "blend" / "blend.json").read_text()) for run in (first, second)]
    assert [fact["model"]["bounds"] for fact in facts] == [[1, 100], [None, None]]


def test_the_second_target_embeds_nothing(runs):
    record = runs / "tiny-age_of_pet" / "embeddings" / "swin" / "all" / "done.json"
    assert json.loads(record.read_text())["embedded"] == 0


def test_one_submission_holds_what_each_run_submits(runs):
    together = pd.read_csv(runs / "tiny" / "submission.csv", dtype=str)
    assert together.columns.tolist() == ["Id", *TARGETS]
    for target, name in zip(TARGETS, ("tiny-Pawpularity", "tiny-age_of_pet"), strict=True):
        alone = pd.read_csv(runs / name / "submission.csv", dtype=str)
        pd.testing.assert_frame_equal(together[["Id", target]], alone)


def test_one_page_leads_to_each_report(runs):
    page = (runs / "tiny" / "report.html").read_text()
    for name in ("tiny-Pawpularity", "tiny-age_of_pet"):
        assert f'href="../{name}/report.html"' in page
        assert (runs / name / "report.html").is_file()
        rmse = json.loads((runs / name / "blend" / "blend.json").read_text())["scores"]["blend"]
        assert f"{rmse['rmse']:.2f}" in page


def test_photos_get_a_score_for_each_target(runs, competition, tmp_path, capsys):
    photo = sorted((competition / "test").glob("*.jpg"))[0]
    call("predict", runs / "tiny", photo, "--out", tmp_path / "scores.csv")
    scores = pd.read_csv(tmp_path / "scores.csv")
    submitted = pd.read_csv(runs / "tiny" / "submission.csv", dtype={"Id": str}).set_index("Id")
    for target in TARGETS:
        assert scores[target][0] == pytest.approx(submitted.loc[photo.stem, target], abs=1e-3)
        assert scores[f"{target} low"][0] <= scores[target][0] <= scores[f"{target} high"][0]
    capsys.readouterr()
    call("predict", runs / "tiny", photo)
    assert f"{scores[TARGETS[0]][0]:.2f}" in capsys.readouterr().out


def test_a_target_that_was_run_again_with_another_network_is_scored_by_that(
    runs, competition, tmp_path
):
    own = Path(shutil.copytree(runs, tmp_path / "runs"))
    config = config_of(tmp_path, competition, target=TARGETS[1], bounds=None)
    again = {"drop_path_rate": 0.0, "image_size": 48, "model_args.window_size": 3}
    words = [f"backbones.0.{key}={value}" for key, value in again.items()]
    words += ["run.name=tiny-age_of_pet", f"folds.by={TARGETS[0]}"]
    call("run", config, *(word for given in words for word in ("--set", given)))
    photo = sorted((competition / "test").glob("*.jpg"))[0]
    call("predict", own / "tiny", photo, "--out", tmp_path / "scores.csv")
    alone = pd.read_csv(own / "tiny-age_of_pet" / "submission.csv", dtype={"Id": str})
    expected = alone.set_index("Id").loc[photo.stem, TARGETS[1]]
    assert pd.read_csv(tmp_path / "scores.csv")[TARGETS[1]][0] == pytest.approx(expected, abs=1e-4)


def test_an_explanation_is_of_one_target(runs, competition, capsys, monkeypatch):
    photo = sorted((competition / "test").glob("*.jpg"))[0]
    said = failure(capsys, monkeypatch, "predict", runs / "tiny", "--explain", photo)
    assert "tells one target's score" in said
    assert "tiny-age_of_pet" in said


@pytest.mark.parametrize("names", ['["a", "../b"]', '{"a": "../../etc"}', "{}", '{"a": 3}'])
def test_a_folder_that_names_no_runs_beside_it_is_refused(
    names, runs, competition, tmp_path, capsys, monkeypatch
):
    (tmp_path / "targets.json").write_text(names)
    photo = sorted((competition / "test").glob("*.jpg"))[0]
    said = failure(capsys, monkeypatch, "predict", tmp_path, photo)
    assert "targets.json" in said or "no run" in said


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"target": ["a b", "a_b"]}, "expected two columns or more"),
        ({"target": ["alone"]}, "expected two columns or more"),
        ({"target": ["a", 3]}, "expected two columns or more"),
        ({"bounds": {TARGETS[0]: [1, 100]}}, "bounds by target, without an entry for age of pet"),
    ],
)
def test_what_makes_no_runs_is_told(data, said, competition, tmp_path):
    with pytest.raises(ConfigError, match=said):
        load_targets(config_of(tmp_path, competition, **data))


def test_who_takes_one_target_says_so(competition, tmp_path):
    path = config_of(tmp_path, competition)
    with pytest.raises(ConfigError, match="here choose one with --set"):
        load_config(path)
    one = [f"data.target={TARGETS[0]}", "data.bounds=[1,100]"]
    assert load_config(path, one).data.target == TARGETS[0]
    assert load_targets(path, one).folder is None
