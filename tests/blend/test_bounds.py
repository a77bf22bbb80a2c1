"""Bounds only clip: wide ones, open ones and none give the same predictions inside them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.commands import FROZEN, call, write_config
from tools.units import fit, make_case

from paw_stack import PawStack
from paw_stack.blend import Recipe, blend, predict_blend, predict_interval
from paw_stack.config import Config, DataSection, LossSection, make_config
from paw_stack.data.types import Predictions
from paw_stack.errors import ConfigError
from paw_stack.metrics import decimals, shown_range
from paw_stack.network.regressor import span_of
from paw_stack.report.verdict import verdict

INF = float("inf")
OPEN = [None, [None, None], [-INF, INF], [0, INF], [0, None], [None, 1000], [-INF, 1000]]


def data(bounds) -> DataSection:
    return DataSection(root=Path("somewhere"), target="score", bounds=bounds)


def sections(bounds, kind="bce", frozen=False) -> dict:
    backbone = {"name": "a", "model": "resnet18", "frozen": frozen}
    return {
        "run": {"name": "x"},
        "data": {"root": "somewhere", "target": "score", "bounds": bounds},
        "backbones": [backbone],
        "loss": {"kind": kind},
    }


@pytest.mark.parametrize("bounds", OPEN)
def test_an_open_end_is_null_in_files_and_infinite_in_numbers(bounds):
    section = data(bounds)
    low, high = section.limits
    assert low == (0 if bounds and bounds[0] == 0 else -INF)
    assert high == (1000 if bounds and bounds[1] == 1000 else INF)
    again = section.model_dump(mode="json")
    assert json.loads(json.dumps(again, allow_nan=False)) == again
    assert DataSection(**again) == section
    assert (section.bounds is None) == (low == -high)


@pytest.mark.parametrize(
    "bounds", [[5, 5], [9, 1], [INF, None], [None, -INF], [float("nan"), 3], [INF, INF], [1], []]
)
def test_what_is_no_range_is_refused(bounds):
    with pytest.raises(ConfigError, match="bounds"):
        make_config(sections(bounds, "mse"))


@pytest.mark.parametrize("kind", ["bce", "bins", "ordinal"])
def test_a_loss_that_needs_a_range_is_refused_without_one(kind):
    for bounds in OPEN:
        with pytest.raises(ConfigError, match=f"loss.kind: {kind} .* set loss.kind: mse"):
            make_config(sections(bounds, kind))
        assert isinstance(make_config(sections(bounds, kind, frozen=True)), Config)
    assert make_config(sections([1, 10], kind)).data.limits == (1, 10)


@pytest.fixture(scope="module")
def candidates():
    case = make_case(n=90, d=6)
    folds = case.folds(case.scores)
    found = []
    for head in ("ridge", "knn", "kernel_ridge"):
        fitted = fit(case, head, case.scores)
        wide = np.concatenate([fitted.test, [-40.0, 4.0, 60.0]])  # far beyond any score
        found.append(Predictions(head, fitted.oof, wide, (0, 1, 2, 3), folds.fold_of))
    return case.scores, folds, found


@pytest.fixture(scope="module", params=[("auto", "auto"), ("ridge", "spline"), ("nnls", "affine")])
def tight(request, candidates):
    """A recipe, and the blend by it whose bounds are the scores' own."""
    scores, folds, found = candidates
    return request.param, blend(found, scores, folds, Recipe(*request.param, (1, 10)))


@pytest.mark.parametrize("bounds", [(0, 1000), (-INF, INF), (1, INF)])
def test_a_blend_does_not_know_its_bounds(candidates, tight, bounds):
    scores, folds, found = candidates
    recipe, tight = tight
    loose = blend(found, scores, folds, Recipe(*recipe, bounds))
    for name in ("weights", "intercept", "lines", "calibration", "chosen_calibration", "method"):
        assert loose.record["model"][name] == tight.record["model"][name]
    known = [dict(result.record["interval"]) for result in (tight, loose)]
    for facts in known:
        del facts["bounds"], facts["mean_width"]  # of ends that are clipped
    assert known[0] == known[1]
    for part in ("oof", "test"):
        clipped = np.clip(getattr(loose.predictions, part), 1, 10)
        np.testing.assert_array_equal(clipped, getattr(tight.predictions, part))
    assert np.isfinite(loose.predictions.test).all()


def test_no_interval_is_wider_than_those_that_were_seen(candidates):
    """What lies beyond all predictions of labelled photos gets the widest interval of these."""
    scores, folds, found = candidates
    result = blend(found, scores, folds, Recipe("ridge", "none"))
    seen = np.ptp(predict_interval(result.record, result.predictions.oof), axis=1)
    beyond = predict_interval(result.record, np.array([-1e3, -10, 20, 1e3, 1e9]))
    assert (np.ptp(beyond, axis=1) <= seen.max() * (1 + 1e-9)).all()
    assert (np.ptp(beyond, axis=1) > 0).all()


def test_a_record_that_was_read_back_predicts_the_same(candidates):
    scores, folds, found = candidates
    result = blend(found, scores, folds, Recipe("ridge", "affine"))
    written = json.loads(json.dumps(result.record["model"]).replace("-Infinity", "null"))
    written["bounds"] = [None, None]
    columns = np.column_stack([candidate.test for candidate in found])
    np.testing.assert_array_equal(predict_blend(written, columns), result.predictions.test)


def test_the_span_of_a_network_is_its_fit_rows_unless_its_loss_needs_the_bounds():
    target = np.array([3.0, 9, 4])
    assert span_of(LossSection(kind="mse"), (0, 1000), target) == (3, 9)
    assert span_of(LossSection(kind="smooth_l1"), (-INF, INF), target) == (3, 9)
    assert span_of(LossSection(kind="bce"), (0, 1000), target) == (0, 1000)
    assert span_of(LossSection(kind="rmse"), (0, 9), np.full(3, 5.0)) == (5, 6)


def test_a_network_without_bounds_learns_and_predicts_in_points(tiny_swin):
    from paw_stack.config import RegressorSection
    from paw_stack.network.backbone import build_backbone
    from paw_stack.network.regressor import Outputs, Regressor

    loss = LossSection(kind="mse")
    backbone = build_backbone(tiny_swin, 0)
    model = Regressor(backbone, RegressorSection(), loss, (0.0, INF), span=(20.0, 40.0))
    raw = Outputs(torch.tensor([[0.5], [2.0], [-3.0]]), None, None)
    torch.testing.assert_close(model.points(raw), torch.tensor([30.0, 60.0, 0.0]))
    terms = model.losses(raw, torch.tensor([30.0, 60.0, -40.0]), None)
    torch.testing.assert_close(terms["main"], torch.tensor(0.0))


@pytest.mark.parametrize(
    ("bounds", "shown"),
    [((1, 10), (1, 10)), ((None, None), (2, 7)), ((0, None), (0, 7)), ((-INF, INF), (2, 7))],
)
def test_what_is_shown_of_a_scale(bounds, shown):
    assert shown_range(bounds, np.array([2.0, 7, 4])) == shown
    page = verdict({"score": 5.0, "low": 3.0, "high": 6.0}, 0.9, [], shown, np.arange(9.0), [])
    assert f"of {shown[0]:g} to {shown[1]:g}" in page


def test_small_scales_show_more_decimals():
    assert [decimals(0, high) for high in (100, 9, 1, 0.1, 1e-4)] == [2, 3, 4, 5, 8]


def open_run(folder: Path, sample: Path, bounds) -> Path:
    """A whole run of a small network and frozen vectors, its scores bounded like that."""
    config = write_config(folder, sample, {"bounds": bounds}, loss={"kind": "mse"})
    call("check", config)
    call("run", config)
    return folder / "runs" / "tiny"


@pytest.mark.slow
@pytest.mark.parametrize("bounds", [None, [0, None], [-1000, 1000]])
def test_every_stage_works_without_bounds(tmp_path, sample_folder, bounds, capsys):
    run = open_run(tmp_path, sample_folder, bounds)
    submission = pd.read_csv(run / "submission.csv")
    scores = pd.read_csv(sample_folder / "train.csv")["Pawpularity"]
    assert submission.iloc[:, 1].between(scores.min() - 60, scores.max() + 60).all()
    page = (run / "report.html").read_text()
    assert "nan" not in page.split("</style>")[1].split("Config")[0].lower().replace("finance", "")
    assert "Infinity" not in (run / "blend" / "blend.json").read_text()
    capsys.readouterr()
    call("predict", run, sample_folder / "test", "--out", tmp_path / "scores.csv")
    told = pd.read_csv(tmp_path / "scores.csv").set_index("photo")["score"]
    assert len(told) == len(submission) and np.isfinite(told).all()
    expected = submission.set_index(submission.columns[0]).iloc[:, 0]
    found = told.rename(lambda path: Path(path).stem)
    np.testing.assert_allclose(found[expected.index], expected, atol=1e-4)


@pytest.mark.slow
def test_a_notebook_needs_no_bounds(tmp_path, sample_folder):
    table = pd.read_csv(sample_folder / "train.csv")
    photos = [str(sample_folder / "train" / f"{name}.jpg") for name in table["Id"]]
    model = PawStack(
        {
            "run": {"name": "open", "root": str(tmp_path)},
            "data": {"bounds": None},
            "folds": {"n": 2},
            "backbones": [FROZEN],
            "heads": {"svr": {}, "ridge": {}},
        }
    )
    million = 1e4 * table["Pawpularity"]
    found = model.fit(photos, million).predict_table(photos[:3])
    assert np.isfinite(found[["score", "low", "high"]].to_numpy()).all()
    assert model.rmse_ < 1.5 * million.std()
