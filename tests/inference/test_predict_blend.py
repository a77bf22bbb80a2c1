"""A new photo's score is the blend's, by its own weights and calibration, as it was made."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.commands import FROZEN, SWIN, call, write_config
from PIL import Image

from paw_stack.artifacts.finished.model import open_finished
from paw_stack.commands.results.runs import show_runs
from paw_stack.inference.explain import explain, occluded
from paw_stack.inference.predict import predict, score_paths
from paw_stack.metrics import rmse

MODEL = {"method": "simplex", "calibration": "affine"}


@pytest.fixture(scope="module")
def config(sample_folder, tmp_path_factory) -> Path:
    """A run of a tuned and a frozen backbone, by weights that differ and a line."""
    folder = tmp_path_factory.mktemp("blend")
    backbones, heads = [SWIN, {**FROZEN, "name": "b"}], {"ridge": {}, "knn": {"k": 5}}
    path = write_config(folder, sample_folder, backbones=backbones, heads=heads, blend=MODEL)
    call("run", path)
    return path


@pytest.fixture
def run(config, tmp_path) -> Path:
    """A copy that may be changed."""
    return Path(shutil.copytree(config.parent / "runs" / "tiny", tmp_path / "tiny"))


def facts_of(run: Path) -> dict:
    return json.loads((run / "blend" / "blend.json").read_text())


def scores(run: Path, photos: Path) -> pd.DataFrame:
    table = predict(run, [photos])
    return table.set_index(table["photo"].map(lambda path: Path(path).stem))


def test_a_test_photo_gets_the_submissions_score_within_its_interval(run, sample_folder):
    found = scores(run, sample_folder / "test")
    submitted = pd.read_csv(run / "submission.csv", dtype={"Id": str}).set_index("Id")
    np.testing.assert_allclose(found["score"], submitted["Pawpularity"][found.index], atol=1e-6)
    assert (found["low"] <= found["score"]).all()
    assert (found["score"] <= found["high"]).all()
    assert (found["low"] < found["high"]).any()


def test_unequal_weights_and_a_line_are_applied_to_the_candidates(run, sample_folder):
    facts = facts_of(run)
    weights = [0.05, 0.1, 0.15, 0.3, 0.4]
    line = {"kind": "affine", "intercept": 7.0, "slope": 0.7}
    assert len(facts["weights"]) == len(weights) == len(facts["model"]["weights"])
    facts["model"] |= {"weights": weights, "calibration": line, "intercept": 0.0}
    (run / "blend" / "blend.json").write_text(json.dumps(facts))
    found = scores(run, sample_folder / "test")
    mean = sum(weight * found[name] for name, weight in zip(facts["weights"], weights, strict=True))
    np.testing.assert_allclose(found["score"], 7 + 0.7 * mean, rtol=1e-9)


def test_a_score_stays_within_the_bounds(run, sample_folder):
    facts = facts_of(run)
    facts["model"]["calibration"] = {"kind": "affine", "intercept": 400.0, "slope": 1.0}
    (run / "blend" / "blend.json").write_text(json.dumps(facts))
    found = scores(run, sample_folder / "test")
    assert (found[["score", "high"]] == 100).all(axis=None)


LATER = {  # each changes what a photo gets, where it is read
    "data.resize": "squash",
    "data.bounds": "[0, 5000]",
    "embed.flip": "true",
    "finetune.tta": "{flip: true}",
    "loss.kind": "mse",
}


def test_a_later_config_changes_no_score(config, sample_folder, capsys):
    """`check` with other settings writes the run's config anew; the blend keeps its own."""
    run = config.parent / "runs" / "tiny"
    before = scores(run, sample_folder / "test")
    changes = [word for key, value in LATER.items() for word in ("--set", f"{key}={value}")]
    try:
        call("check", config, *changes)
        assert "squash" in (run / "config.yaml").read_text()
        pd.testing.assert_frame_equal(scores(run, sample_folder / "test"), before)
        assert open_finished(run).config.loss.kind == "bce"
        assert show_runs(run.parent, csv=run.parent / "log.csv")["loss"].tolist() == ["bce"]
    finally:
        call("check", config)


def test_the_in_sample_score_is_that_of_the_model_that_is_kept(run):
    """By hand from the candidates' tables; the nested score is told as the blend's."""
    facts, record = facts_of(run), open_finished(run)
    candidates = record.oof[list(facts["weights"])].to_numpy()
    model = facts["model"]
    line = model["calibration"]
    fitted = candidates @ np.array(model["weights"]) + model["intercept"]
    fitted = (line["intercept"] + line["slope"] * fitted).clip(1, 100)
    target = record.labelled["target"]
    assert facts["in_sample_rmse"] == pytest.approx(rmse(target, fitted))
    assert facts["scores"]["blend"]["rmse"] == pytest.approx(rmse(target, record.oof["blend"]))
    assert facts["nested"]["rmse"] == pytest.approx(facts["scores"]["blend"]["rmse"])
    for name in facts["weights"]:
        assert facts["scores"][name]["rmse"] == pytest.approx(rmse(target, record.oof[name]))


def test_a_map_tells_what_the_score_loses_without_each_square(run, sample_folder, tmp_path):
    """The covered pictures, scored as photos of their own; positive where a part adds."""
    opened = open_finished(run)
    photo = sorted((sample_folder / "test").iterdir())[1]
    found = explain(opened, photo, np.empty((1, 0)))
    places = [tmp_path / f"{number}.png" for number in range(50)]
    for place, pixels in zip(places, occluded(found.pixels), strict=True):
        Image.fromarray(pixels).save(place)
    whole, *covered = score_paths(opened, places)["score"]
    np.testing.assert_allclose(found.heat.ravel(), whole - np.array(covered), atol=1e-3)
    assert np.ptp(found.heat) > 0.01
    oof = pd.read_csv(run / "blend" / "blend.csv")["prediction"]
    assert found.share_below == (oof < found.row["score"]).mean()
