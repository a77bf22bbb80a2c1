"""The table of runs, leaderboard scores, and the comparison of two runs."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml
from helpers.commands import FROZEN, call, failure, write_config

from paw_stack.artifacts.finished.runs import listed_runs, set_leaderboard
from paw_stack.commands.results.compare import compare
from paw_stack.commands.results.runs import show_runs
from paw_stack.console import printing
from paw_stack.metrics import rmse


@pytest.fixture(scope="module")
def runs(tmp_path_factory, sample_folder):
    """Three finished runs of a frozen backbone, and one that was only checked."""
    folder = tmp_path_factory.mktemp("runs")
    config = write_config(folder, sample_folder, backbones=[FROZEN], heads={"ridge": {}})
    changes = {"tiny": "ridge: {}", "weak": "ridge: {alphas: [1.0e-9]}", "other": "knn: {k: 9}"}
    for name, heads in changes.items():
        call("run", config, "--set", f"run.name={name}", "--set", f"heads={{{heads}}}")
    call("check", config, "--set", "run.name=begun")
    return folder / "runs"


def test_every_run_is_a_row_with_the_scores_of_its_blend(runs):
    table = show_runs(runs, sort="-blend").set_index("run")
    assert set(table.index) == {"tiny", "weak", "other", "begun"}
    assert table["state"].to_dict() == {
        **dict.fromkeys(["tiny", "weak", "other"], "finished"),
        "begun": "not finished",
    }
    for name in ("tiny", "weak", "other"):
        scores = json.loads((runs / name / "blend" / "blend.json").read_text())["scores"]
        assert table.loc[name, "blend"] == scores["blend"]["rmse"]
        assert table.loc[name, "slope"] == scores["blend"]["slope"]
    assert table.loc["other", "rmse swin.knn"] == table.loc["other", "best"]
    assert np.isnan(table.loc["other", "rmse swin.ridge"])
    finished = table["blend"].dropna()
    assert finished.is_monotonic_decreasing
    assert (table["folds"] == 2).all()


def test_a_filter_and_a_csv(runs, tmp_path, capsys):
    call("runs", "--root", runs, "--filter", "OTHER", "--csv", tmp_path / "log.csv")
    table = pd.read_csv(tmp_path / "log.csv")
    assert table["run"].tolist() == ["other"]
    assert "1 runs" in capsys.readouterr().out


def test_three_leaderboard_scores_tell_how_far_cross_validation_can_be_trusted(runs, capsys):
    table = show_runs(runs).dropna(subset="blend").set_index("run")
    for number, name in enumerate(["tiny", "weak", "other"]):
        public = table.loc[name, "blend"] + 0.5
        capsys.readouterr()
        call("runs", "--set-lb", runs / name, f"public={public}", f"private={public - number}")
        call("runs", "--root", runs)
        told = "public of 3 runs: r 1.00, leaderboard minus cross-validation +0.500"
        assert (told in capsys.readouterr().out) == (number == 2)
    shown = show_runs(runs).set_index("run")
    assert shown.loc["weak", "lb private"] == pytest.approx(table.loc["weak", "blend"] - 0.5)
    assert show_runs(runs, sort="public")["run"].iloc[-1] == "begun"  # no score comes last


def test_a_damaged_run_is_listed_and_the_others_are_unharmed(runs, tmp_path):
    for name in ("tiny", "weak"):
        shutil.copytree(runs / name, tmp_path / name)
    (tmp_path / "weak" / "blend" / "config.yaml").write_text("data: [")
    (tmp_path / "weak" / "blend" / "blend.json").write_text("{")
    (tmp_path / "tiny" / "leaderboard.json").write_text('{"public": "high", "private": NaN}')
    (tmp_path / "weak" / "leaderboard.json").unlink(missing_ok=True)
    table = show_runs(tmp_path).set_index("run")
    assert table.loc["weak", "state"] == "cannot be read"
    assert table.loc["tiny", "state"] == "finished"
    assert not [name for name in table.columns if name.startswith("lb")]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--sort", "score"], "--sort score: no such column; there are run, when,"),
        (["--root", "nowhere"], "nowhere: no such folder"),
        (["--set-lb", "RUN"], "--set-lb: give scores, such as public=18.04"),
        (
            ["--set-lb", "RUN", "public"],
            "expected name=score, such as public=18.04; found 'public'",
        ),
        (["--set-lb", "RUN", "public=high"], "found 'public=high'"),
        (["--set-lb", "nowhere", "public=1"], "nowhere: no run; give a folder"),
    ],
)
def test_what_cannot_be_listed_or_noted_is_one_line(runs, words, message, capsys, monkeypatch):
    words = [str(runs / "tiny") if word == "RUN" else word for word in words]
    where = [] if "--root" in words else ["--root", runs]
    said = failure(capsys, monkeypatch, "runs", *where, *words)
    assert message in said
    assert len(said.splitlines()) == 1


def test_compare_names_the_keys_and_tells_noise_from_difference(runs, capsys):
    with printing():
        found = {row.name: row for row in compare(runs / "tiny", runs / "weak")}
    said = capsys.readouterr().out
    assert "heads.ridge.alphas.0: 1.0 -> 1e-09" in said
    assert "run.name" not in said
    assert set(found) == {"blend", "swin.ridge"}
    target = pd.read_csv(runs / "tiny" / "labelled.csv")["target"]
    own = pd.read_csv(runs / "weak" / "predictions" / "swin.ridge.csv")["prediction"]
    assert found["swin.ridge"].second == pytest.approx(rmse(target, own))
    assert not found["swin.ridge"].is_noise
    assert found["swin.ridge"].low > 0
    (same, *_) = compare(runs / "tiny", runs / "tiny")
    assert same.is_noise
    assert (same.low, same.high) == (0, 0)


def test_runs_on_other_scores_are_not_compared(runs, tmp_path, capsys, monkeypatch):
    shutil.copytree(runs / "tiny", tmp_path / "other")
    labelled = pd.read_csv(tmp_path / "other" / "labelled.csv", dtype={"Id": str})
    labelled.loc[3, "target"] += 1
    labelled.to_csv(tmp_path / "other" / "labelled.csv", index=False)
    said = failure(capsys, monkeypatch, "compare", runs / "tiny", tmp_path / "other")
    assert f"learn other scores for '{labelled.loc[3, 'Id']}' (1 in all)" in said


def test_a_run_can_be_named_by_its_config(runs, tmp_path):
    config = yaml.safe_load((runs / "tiny" / "config.yaml").read_text())
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(config))
    (blend, _) = compare(tmp_path / "mine.yaml", runs / "tiny")
    assert blend.first == blend.second


def test_a_later_score_replaces_its_own_name_and_leaves_the_others(tmp_path):
    folder = tmp_path / "first"
    folder.mkdir()
    (folder / "config.yaml").touch()
    known: dict[str, float] = {}
    for scores in ({"public": 18.5}, {"private": 17.25}, {"public": 18.0, "late": 20.0}):
        set_leaderboard(folder, scores)
        known |= scores
        assert listed_runs(tmp_path)[0].leaderboard == known
    assert known == {"public": 18.0, "private": 17.25, "late": 20.0}
