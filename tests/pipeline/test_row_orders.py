"""Rows are told apart by their ids: no table's order changes a score or a difference."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.commands import FROZEN, call, write_config

from paw_stack.artifacts import CandidateFile, read_candidates
from paw_stack.artifacts.finished.model import open_finished
from paw_stack.commands.results.compare import compared
from paw_stack.commands.results.study import Studied, _compared
from paw_stack.config import load_config
from paw_stack.data.folds import Folds
from paw_stack.data.in_memory import photo_columns
from paw_stack.data.types import Predictions
from paw_stack.metrics import paired_bootstrap, rmse
from paw_stack.pipeline.experiment import Job, open_job
from paw_stack.pipeline.graph import plan
from paw_stack.pipeline.steps.blend import _chosen


def reversed_rows(path: Path) -> None:
    """The same table with its last row first."""
    pd.read_csv(path, dtype=str, keep_default_na=False)[::-1].to_csv(path, index=False)


@pytest.fixture(scope="module")
def finished(sample_folder, tmp_path_factory) -> tuple[Path, Path]:
    """Config and folder of a run whose sample submission has another order than the test table."""
    folder = tmp_path_factory.mktemp("orders")
    shutil.copytree(sample_folder, folder / "competition")
    table = pd.read_csv(folder / "competition" / "sample_submission.csv", dtype=str)
    table = table.sample(frac=1, random_state=1)
    table.to_csv(folder / "competition" / "sample_submission.csv", index=False)
    config = write_config(folder, folder / "competition", heads={"ridge": {}})
    call("run", config)
    return config, folder / "runs" / "tiny"


def by_id(path: Path, column: str = "prediction") -> pd.Series:
    return pd.read_csv(path, dtype=str).set_index("Id")[column].map(float)


def test_a_submission_holds_each_photos_own_score_in_the_samples_order(finished):
    _, run = finished
    wanted = pd.read_csv(run.parents[1] / "competition" / "sample_submission.csv", dtype=str)["Id"]
    table = pd.read_csv(run.parents[1] / "competition" / "test.csv", dtype=str)["Id"]
    assert wanted.tolist() != table.tolist()
    submitted, blend = (
        by_id(run / "submission.csv", "Pawpularity"),
        by_id(run / "blend/blend.test.csv"),
    )
    assert submitted.index.tolist() == wanted.tolist()
    assert blend.index.tolist() == table.tolist()
    assert blend.nunique() == len(blend)
    np.testing.assert_allclose(submitted, blend[wanted], rtol=1e-12)


def predictions(job: Job) -> list[Predictions]:
    return _chosen(job, plan(job, [0, 1]))


def test_predictions_that_lie_in_another_order_are_read_by_id(finished, tmp_path):
    """As an editor may leave them: those of networks, of heads, and what a report reads."""
    copy = tmp_path / "runs" / "tiny"
    shutil.copytree(finished[1], copy)
    job = open_job(load_config(finished[0], [f"run.root={copy.parent}"]))
    before, record = predictions(job), open_finished(copy)
    for path in [*copy.glob("finetune/*/*/*.csv"), *copy.glob("predictions/*.csv")]:
        if path.name != "history.csv":
            reversed_rows(path)
    after, again = predictions(job), open_finished(copy)
    assert len(after) == 2
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one.oof, other.oof)
        np.testing.assert_array_equal(one.test, other.test)
    pd.testing.assert_frame_equal(record.oof, again.oof)
    assert (
        by_id(copy / "blend/blend.csv")[record.labelled["Id"]] == record.oof["blend"].to_numpy()
    ).all()


@pytest.mark.parametrize("order", [[2, 0, 3, 1], [3, 2, 1, 0]])
def test_a_candidates_rows_may_come_in_any_order(tmp_path, order):
    ids, fold_of = np.array(["a", "b", "c", "d"]), np.array([0, 1, 0, 1])
    table = pd.DataFrame({"Id": ids, "fold": fold_of, "prediction": [1.0, 2.0, 3.0, 4.0]})
    table.iloc[order].to_csv(tmp_path / "x.csv", index=False)
    test = pd.DataFrame({"Id": ["u", "v", "w"], "prediction": [5.0, 6.0, 7.0]})
    test.iloc[[2, 0, 1]].to_csv(tmp_path / "x.test.csv", index=False)
    file, folds = CandidateFile("x", tmp_path / "x.csv"), Folds(fold_of, np.arange(4))
    (found,), warnings = read_candidates([file], ids, folds, np.array(["u", "v", "w"]))
    assert found.oof.tolist() == [1, 2, 3, 4]
    assert found.test.tolist() == [5, 6, 7]
    assert warnings == []  # its folds are ours, row by row


def test_runs_are_compared_row_by_row(finished, tmp_path):
    """The second run lacks two photos and has the others in another order."""
    first, other = finished[1], tmp_path / "other"
    shutil.copytree(first, other)
    path = other / "predictions" / "swin.ridge.csv"
    table = pd.read_csv(path, dtype={"Id": str})
    noise = np.random.default_rng(0).normal(0, 5, len(table))
    table.assign(prediction=table["prediction"] + noise)[::-1].to_csv(path, index=False)
    reversed_rows(other / "blend" / "blend.csv")
    labelled = pd.read_csv(other / "labelled.csv", dtype={"Id": str})
    labelled[:1:-1].to_csv(other / "labelled.csv", index=False)
    found = {row.name: row for row in compared(open_finished(first), open_finished(other))}
    assert (found["blend"].first, found["blend"].low, found["blend"].high) == pytest.approx(
        (found["blend"].second, 0, 0)
    )
    ids = labelled["Id"][2:]
    y = labelled.set_index("Id")["target"][ids].to_numpy()
    a, b = (by_id(run / "predictions" / "swin.ridge.csv")[ids].to_numpy() for run in (first, other))
    assert found["swin.ridge"].first == pytest.approx(rmse(y, a))
    assert found["swin.ridge"].second == pytest.approx(rmse(y, b))
    low, high = paired_bootstrap(y, a, b)
    assert (found["swin.ridge"].low, found["swin.ridge"].high) == pytest.approx(
        (low, high), abs=0.2
    )


@pytest.fixture
def base() -> Studied:
    rng = np.random.default_rng(0)
    ids, target = np.array([f"p{i}" for i in range(40)]), rng.normal(50, 9, 40)
    folds = Folds(np.arange(40) % 4, np.arange(40) // 2)
    return Studied(ids, target, target + rng.normal(0, 5, 40), folds, 2.0, 1.0)


def test_a_study_takes_no_difference_over_different_rows(base):
    order = np.r_[1, 0, 2:40]
    others = {
        "other photos": replace(base, ids=np.array([f"q{i}" for i in range(40)])),
        "another order": replace(base, ids=base.ids[order]),
        "another target": replace(base, target=np.r_[base.target[:-1], 3.0]),
    }
    for found in others.values():
        facts = _compared(base, found)
        assert facts["remark"] == "other rows: not comparable"
        assert not {"difference", "low", "high"} & facts.keys()
        assert facts["rmse"] == rmse(found.target, found.prediction)


def test_a_studys_difference_is_the_variants_less_the_bases_by_groups(base):
    worse = replace(base, prediction=base.target + 2 * (base.prediction - base.target))
    facts = _compared(base, worse)
    assert facts["difference"] == pytest.approx(rmse(base.target, base.prediction))
    ends = paired_bootstrap(
        base.target, base.prediction, worse.prediction, group_of=base.folds.group_of
    )
    assert (facts["low"], facts["high"]) == ends
    assert facts["low"] > 0
    assert facts["remark"] == ""
    apart = replace(worse, folds=Folds(np.arange(40) // 10, base.folds.group_of))
    assert _compared(base, apart)["remark"] == "other folds"


def test_columns_of_new_photos_are_found_by_id(tmp_path):
    (tmp_path / "t.csv").write_text("b,Id,a\n1,x,2\n3,y,4\n5,z,word\n")
    found = photo_columns(
        tmp_path / "t.csv", "Id", ["a", "b"], [Path("z.jpg"), Path("x.jpg"), Path("gone.jpg")]
    )
    np.testing.assert_array_equal(found, [[np.nan, 5], [2, 1], [np.nan, np.nan]])


def test_rows_of_the_tables_may_come_in_any_order(sample_folder, tmp_path):
    """Folds are given, so that nothing but the order differs: each photo keeps its prediction."""
    plain = write_config(tmp_path / "a", sample_folder, backbones=[FROZEN], heads={"ridge": {}})
    call("run", plain)
    run = tmp_path / "a" / "runs" / "tiny"
    copy = tmp_path / "shuffled"
    shutil.copytree(sample_folder, copy)
    for name in ("train.csv", "test.csv"):
        reversed_rows(copy / name)
    folds = {"n": 2, "file": str(run / "folds.csv")}
    other = write_config(tmp_path / "b", copy, backbones=[FROZEN], heads={"ridge": {}}, folds=folds)
    call("run", other, "--set", "compute.precision=fp32")
    call("run", plain, "--set", "compute.precision=fp32")
    for name in ("swin.ridge.csv", "swin.ridge.test.csv"):
        one, again = (by_id(tmp_path / f / "runs/tiny/predictions" / name) for f in "ab")
        assert again.index.tolist() == one.index.tolist()[::-1]
        np.testing.assert_allclose(again[one.index], one, atol=1e-3)
