"""What a run leaves of its scores: which to look at again, and what more of them would bring."""

import shutil

import numpy as np
import pandas as pd
import pytest
from helpers.commands import FROZEN, TINY_SWIN, call, run_folder, write_config

from paw_stack.artifacts.finished.model import open_finished
from paw_stack.blend.labels.more_labels import more_labels_sentence
from paw_stack.blend.labels.suspicious import surprise
from paw_stack.config import load_config
from paw_stack.data.synthetic.competition import write_sample
from paw_stack.pipeline.experiment import open_job
from paw_stack.pipeline.graph import plan
from paw_stack.pipeline.more_labels import _frozen_layers

AGAIN, MORE = "Scores to look at again", "What more scores would bring"


@pytest.fixture(scope="module")
def frozen(tmp_path_factory):
    """A run of 160 drawn photos on two frozen networks, and what it said."""
    folder = tmp_path_factory.mktemp("frozen")
    write_sample(folder / "sample", 160, 4, seed=5)
    wide = {**FROZEN, "name": "wide", "model_args": {**TINY_SWIN, "embed_dim": 32}}
    config = write_config(folder, folder / "sample", backbones=[FROZEN, wide], heads={"ridge": {}})
    call("run", config)
    return folder


def page(folder) -> str:
    return (folder / "report.html").read_text()


def test_every_labelled_photo_is_ranked_by_its_surprise(frozen):
    run = open_finished(run_folder(frozen))
    table = pd.read_csv(run.folder / "suspicious.csv").set_index("Id")
    assert sorted(table.index) == sorted(run.labelled["Id"])
    assert (np.diff(table["surprise"]) <= 0).all()
    nested, target = run.oof["blend"].to_numpy(), run.labelled["target"].to_numpy()
    columns = run.oof[run.candidates].to_numpy()
    times, expected = surprise(columns, nested, target, run.folds.fold_of)
    ordered = table.loc[run.labelled["Id"]]
    np.testing.assert_allclose(ordered["surprise"], times)
    np.testing.assert_allclose(ordered["expected_error"], expected)
    np.testing.assert_allclose(ordered["predicted"], nested)
    np.testing.assert_allclose(ordered["score"], target)
    assert f"{table['surprise'].iloc[0]:.1f} times the error expected" in page(run.folder)


def test_the_curve_is_of_all_layers_and_goes_on_from_the_blend(frozen):
    run = open_finished(run_folder(frozen))
    told = run.blend["more_labels"]
    assert told["layers"] == ["swin", "wide"]
    assert told["sizes"] == [40, 80, 160]
    assert told["now"] == {"size": 160, "rmse": pytest.approx(run.blend["scores"]["blend"]["rmse"])}
    twice = told["twice"]
    assert twice["low"] < twice["rmse"] < twice["high"]
    assert MORE in page(run.folder)
    assert f"photos, {twice['size']:,}, expect an RMSE of {twice['rmse']:.2f}" in page(run.folder)


def test_a_blend_that_is_told_again_writes_and_says_the_same(frozen, tmp_path, capsys):
    """Of a list that was taken away the report says nothing until then."""
    folder = shutil.copytree(frozen, tmp_path / "copy")
    own = run_folder(folder)
    (own / "suspicious.csv").unlink()
    call("report", own)
    assert AGAIN not in page(own)
    call("blend", folder / "config.yaml", "--set", f"run.root={folder / 'runs'}")
    said = " ".join(capsys.readouterr().out.split())
    assert more_labels_sentence(open_finished(own).blend["more_labels"]) in said
    given = (run_folder(frozen) / "suspicious.csv").read_bytes()
    assert (own / "suspicious.csv").read_bytes() == given
    assert AGAIN in page(own)


def test_vectors_that_the_scores_taught_tell_no_curve(record, run):
    """Every network of this run was fine-tuned on all scores."""
    job = open_job(load_config(run / "config.yaml"))
    assert _frozen_layers(job, plan(job, range(job.folds.n)), np.arange(5)) == {}
    assert record.blend["more_labels"] is None
    assert MORE not in page(run)
    assert AGAIN in page(run)
