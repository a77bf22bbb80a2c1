"""Runs whose labelled rows have weights: what is said of them, kept, and compared."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.commands import FROZEN, blend_words, call, failure, write_config

from paw_stack.artifacts.finished.model import open_finished
from paw_stack.commands.results.compare import compare
from paw_stack.config import KnnSection, RidgeSection, load_config
from paw_stack.data.folds import Folds
from paw_stack.heads.cross_fit import Problem
from paw_stack.heads.registry import fit_head
from paw_stack.metrics import rmse, sd
from paw_stack.pipeline.experiment import open_job
from paw_stack.pipeline.graph import plan
from paw_stack.pipeline.steps.finetune import fold_rows

HEADS = {
    "ridge": {},
    "svr": {"engine": "gram"},
    "gbm": {"trees": 5, "min_rows": 5},
    "knn": {"k": 5},
    "kernel_ridge": {},
    "nystroem": {"landmarks": 20},
}
LIGHT = {"backbones": [FROZEN], "heads": {"ridge": {}, "knn": {"k": 5}}}


@pytest.fixture(scope="module")
def voted(sample_folder, tmp_path_factory) -> Path:
    """The sample with numbers of votes, others, and a column that is the same for all."""
    folder = Path(shutil.copytree(sample_folder, tmp_path_factory.mktemp("voted") / "competition"))
    table = pd.read_csv(folder / "train.csv")
    rng = np.random.default_rng(0)
    table["votes"] = rng.integers(1, 30, len(table))
    table["others"] = rng.integers(1, 30, len(table))
    table["same"] = 7
    table.to_csv(folder / "train.csv", index=False)
    return folder


def weighted(voted: Path, folder: Path, column: str | None = "votes", **changes) -> Path:
    return write_config(folder, voted, data={"weight": column}, **changes)


def job_of(config: Path):
    return open_job(load_config(config))


@pytest.fixture(scope="module")
def run(voted, tmp_path_factory) -> Path:
    """A whole weighted run with a fine-tuned network and heads of every kind."""
    config = weighted(voted, tmp_path_factory.mktemp("weighted"), heads=HEADS)
    call("run", config)
    return config.parent / "runs" / "tiny"


@pytest.fixture(scope="module")
def light(voted, tmp_path_factory) -> dict[str, Path]:
    """Runs by what weighs their rows; `votes` twice, of which one has other heads."""
    found = {}
    for name, column in {
        "votes": "votes",
        "again": "votes",
        "others": "others",
        "none": None,
    }.items():
        changes = LIGHT | ({"heads": {"ridge": {"alphas": [3.0]}}} if name == "again" else {})
        config = weighted(voted, tmp_path_factory.mktemp(name), column, **changes)
        call("run", config)
        found[name] = config.parent / "runs" / "tiny"
    return found


def test_every_score_is_weighted_and_says_so(run, voted, capsys):
    labelled = pd.read_csv(run / "labelled.csv", dtype={"Id": str}).set_index("Id")
    votes = pd.read_csv(voted / "train.csv", dtype={"Id": str}).set_index("Id")["votes"]
    votes = votes.reindex(labelled.index)
    np.testing.assert_allclose(labelled["weight"], votes / votes.mean())
    facts = json.loads((run / "blend" / "blend.json").read_text())
    assert facts["constant_rmse"] == pytest.approx(sd(labelled["target"], labelled["weight"]))
    for name in [*facts["weights"], "blend"]:
        place = "blend" if name == "blend" else "predictions"
        oof = pd.read_csv(run / place / f"{name}.csv", dtype={"Id": str}).set_index("Id")
        predicted = oof["prediction"].reindex(labelled.index)
        score = rmse(labelled["target"], predicted, labelled["weight"])
        assert facts["scores"][name]["rmse"] == pytest.approx(score)
    assert len(facts["weights"]) == 7
    capsys.readouterr()
    call("blend", run.parents[1] / "config.yaml")
    said = " ".join(capsys.readouterr().out.split())
    assert "out-of-fold scores, points; weighted by votes" in said
    page = (run / "report.html").read_text()
    assert "Weighted by votes: photos count by it" in page
    call("runs", "--root", run.parent)
    assert "weighted" in capsys.readouterr().out


def test_a_fold_learns_with_the_weights_of_its_rows(voted, tmp_path):
    job = job_of(weighted(voted, tmp_path))
    rows, weight = fold_rows(job, 0), job.competition.weight
    for own in (rows.weight, rows.sample_weight):
        np.testing.assert_allclose(own[: len(weight)], weight, rtol=1e-6)
        np.testing.assert_array_equal(own[len(weight) :], 1)
    assert len(rows.weight) == len(rows.target)


def test_heads_of_a_run_are_fitted_with_its_weights(light):
    run = light["votes"]
    labelled = pd.read_csv(run / "labelled.csv", dtype={"Id": str})
    folds = pd.read_csv(run / "folds.csv")
    vectors = np.load(run / "embeddings" / "swin" / "all" / "embedding.npy")
    n, w = len(labelled), labelled["weight"].to_numpy()
    parts = Folds(folds["fold"].to_numpy(), folds["group"].to_numpy())
    target = labelled["target"].to_numpy()
    problem = Problem(lambda fold: (vectors[:n], vectors[n:]), target, parts, [0, 1], weight=w)
    for name, section in {"ridge": RidgeSection(), "knn": KnnSection(k=5)}.items():
        kept = pd.read_csv(run / "predictions" / f"swin.{name}.csv")["prediction"]
        np.testing.assert_allclose(kept, fit_head(section, name, problem).oof, rtol=1e-6)


def test_check_says_how_far_weights_go(voted, tmp_path, capsys):
    call("check", weighted(voted, tmp_path, **LIGHT))
    said = " ".join(capsys.readouterr().out.split())
    table = pd.read_csv(voted / "train.csv")
    w, y = table["votes"].astype(float), table["Pawpularity"]
    assert f"mean {np.average(y, weights=w):.2f}, SD {sd(y, w):.2f}" in said
    told = re.search(r"weighted by votes: .* (\d+) rows tell a mean as well as (\d+)", said)
    assert int(told[1]) == len(w)
    assert int(told[2]) == round(w.sum() ** 2 / (w**2).sum())
    call("check", weighted(voted, tmp_path, "same", **LIGHT))
    assert "same is 7 for all rows, so each counts once" in " ".join(
        capsys.readouterr().out.split()
    )


def test_weights_that_are_all_alike_are_none(voted, tmp_path):
    alike, none = (job_of(weighted(voted, tmp_path, column)) for column in ("same", None))
    assert alike.competition.weight is None
    steps = [plan(job, range(2)) for job in (alike, none)]
    assert [s.fingerprint for s in steps[0].values()] == [s.fingerprint for s in steps[1].values()]


def test_other_weights_make_what_learns_stale_and_nothing_else(voted, tmp_path):
    one, other = (
        plan(job_of(weighted(voted, tmp_path / c, c)), range(2)) for c in ("votes", "others")
    )
    frozen = [
        plan(job_of(weighted(voted, tmp_path / c, c, **LIGHT)), range(2))
        for c in ("votes", "others")
    ]
    moved = {name for name, step in one.items() if step.fingerprint != other[name].fingerprint}
    assert {step for step in one if step.startswith(("finetune", "fit"))} <= moved
    moved = {
        name for name, step in frozen[0].items() if step.fingerprint != frozen[1][name].fingerprint
    }
    assert moved == {"fit swin.ridge", "fit swin.knn"}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["0", "-2"], "votes is not above 0 for ids"),
        (["many", ""], "column votes holds no finite number"),
        (["inf"], "column votes holds no finite number"),
        (["1e-9"], "votes runs from 1e-09 to"),
    ],
)
def test_weights_that_cannot_be_are_refused_by_name(
    voted, tmp_path, capsys, monkeypatch, values, said
):
    broken = Path(shutil.copytree(voted, tmp_path / "competition"))
    table = pd.read_csv(broken / "train.csv", dtype=str)
    table.loc[: len(values) - 1, "votes"] = values
    table.to_csv(broken / "train.csv", index=False)
    error = " ".join(failure(capsys, monkeypatch, "check", weighted(broken, tmp_path)).split())
    assert said in error
    for row in range(len(values)):
        assert table["Id"][row] in error or said.endswith("to")
    assert not (tmp_path / "runs" / "tiny" / "config.yaml").exists()


@pytest.mark.parametrize(
    "loss", [{"spread": 0.1}, {"difference": 0.2}, {"auxiliary": {"column": "Human"}}]
)
def test_terms_of_the_loss_that_know_no_weights_are_refused(
    voted, tmp_path, capsys, monkeypatch, loss
):
    config = weighted(voted, tmp_path, loss=loss)
    error = failure(capsys, monkeypatch, "check", config)
    assert f"loss.{next(iter(loss))}" in error
    call("check", weighted(voted, tmp_path, loss=loss, **LIGHT))  # nothing is fine-tuned
    call("check", weighted(voted, tmp_path, None, loss=loss))


def test_a_column_that_is_not_there_is_told(voted, tmp_path, capsys, monkeypatch):
    assert "no column 'stars'" in failure(
        capsys, monkeypatch, "check", weighted(voted, tmp_path, "stars")
    )


def test_merged_photos_have_the_weighted_mean_and_count_once(voted, tmp_path):
    twins = Path(shutil.copytree(voted, tmp_path / "competition"))
    table = pd.read_csv(twins / "train.csv", dtype={"Id": str})
    first, second = table["Id"][:2]
    shutil.copyfile(twins / "train" / f"{first}.jpg", twins / "train" / f"{second}.jpg")
    table.loc[[0, 1], "votes"] = [1, 3]
    table.loc[[0, 1], "Pawpularity"] = [20, 60]
    table.to_csv(twins / "train.csv", index=False)
    data = {"weight": "votes", "duplicates": "merge"}
    found = job_of(write_config(tmp_path, twins, data=data)).competition
    assert second not in found.labelled.ids
    row = found.labelled.ids.tolist().index(first)
    assert found.target[row] == 50
    assert found.weight.mean() == pytest.approx(1)
    others = table[table["Id"].isin(found.labelled.ids)].set_index("Id")["votes"].astype(float)
    expected = others.reindex(found.labelled.ids).to_numpy(copy=True)
    expected[row] = 2
    # The copies count (1 + 3) / 2 before the mean is brought to 1; the sample has two of its own.
    alike = np.isclose(2 * found.weight / found.weight[row], expected)
    assert alike.sum() == len(alike) - 1


def test_two_runs_of_the_same_weights_are_compared_by_them(light, capsys):
    found = compare(light["votes"], light["again"])[0]
    call("compare", light["votes"], light["again"])
    labelled = open_finished(light["votes"]).labelled.set_index("Id")
    again = open_finished(light["again"])
    predicted = again.oof["blend"].set_axis(again.labelled["Id"]).reindex(labelled.index)
    score = rmse(labelled["target"], predicted, labelled["weight"])
    assert found.second == pytest.approx(score)
    assert "weigh rows differently" not in capsys.readouterr().out


@pytest.mark.parametrize("other", ["others", "none"])
def test_two_runs_of_other_weights_are_compared_row_by_row(light, capsys, other):
    found = compare(light["votes"], light[other])[0]
    call("compare", light["votes"], light[other])
    assert "the runs weigh rows differently (data.weight)" in " ".join(
        capsys.readouterr().out.split()
    )
    labelled = open_finished(light["votes"]).labelled.set_index("Id")
    predicted = open_finished(light["votes"]).oof["blend"]
    assert found.first == pytest.approx(rmse(labelled["target"].to_numpy(), predicted.to_numpy()))


def test_a_study_says_where_weights_differ(voted, tmp_path):
    weighted(voted, tmp_path, **LIGHT)
    study = {"root": str(tmp_path / "study"), "config": "config.yaml"}
    study["variants"] = [
        {"name": "base"},
        {"name": "plain", "set": ["data.weight=null"]},
        {"name": "ridge", "set": ["heads={ridge: {alphas: [3.0]}}"]},
    ]
    (tmp_path / "study.yaml").write_text(json.dumps(study))
    call("study", tmp_path / "study.yaml")
    table = pd.read_csv(tmp_path / "study" / "study.csv").set_index("variant")
    assert "other weights" in table.loc["plain", "remark"]
    assert pd.isna(table.loc["ridge", "remark"])
    gap = table.loc["ridge", "rmse"] - table.loc["base", "rmse"]
    assert table.loc["ridge", "difference"] == pytest.approx(gap)


@pytest.mark.parametrize("value", ["-1", "x", "inf", ""])
def test_forged_weights_make_no_run(light, tmp_path, capsys, monkeypatch, value):
    copy = Path(shutil.copytree(light["votes"], tmp_path / "copy"))
    table = pd.read_csv(copy / "labelled.csv", dtype=str)
    table.loc[3, "weight"] = value
    table.to_csv(copy / "labelled.csv", index=False)
    for words in (("report", copy), ("compare", light["votes"], copy)):
        assert "cannot be read" in failure(capsys, monkeypatch, *words)


def test_files_are_blended_by_a_column_of_weights(files, capsys, monkeypatch):
    table = pd.read_csv(files / "labelled.csv", dtype={"Id": str})
    table["votes"] = np.random.default_rng(0).integers(1, 9, len(table))
    table.to_csv(files / "labelled.csv", index=False)
    call(*blend_words(files, "--weight", "votes"))
    assert "weighted by votes" in " ".join(capsys.readouterr().out.split())
    facts = json.loads((files / "out" / "blend.json").read_text())
    blended = pd.read_csv(files / "out" / "blend.csv", dtype={"Id": str})
    assert blended["Id"].tolist() == table["Id"].tolist()
    score = rmse(table["score"], blended["prediction"], table["votes"].astype(float))
    assert facts["scores"]["blend"]["rmse"] == pytest.approx(score)
    table.loc[4, "votes"] = 0
    table.to_csv(files / "labelled.csv", index=False)
    assert "--weight: votes is not above 0 for ids '004'" in failure(
        capsys, monkeypatch, *blend_words(files, "--weight", "votes")
    )
    assert "--labelled" in failure(capsys, monkeypatch, "blend", "x.yaml", "--weight", "votes")
