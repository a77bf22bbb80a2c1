"""The run of a bundle: it predicts as its source does, and holds nothing of the photos."""

import json
import shutil
import stat
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import timm
import yaml
from bundle.conftest import cut
from helpers.commands import SWIN, call, failure, write_config

import paw_stack
from paw_stack.artifacts.files import read_weights
from paw_stack.artifacts.finished.model import open_finished
from paw_stack.errors import ArtifactError
from paw_stack.inference.app_page import _shown
from paw_stack.inference.explain import explain
from paw_stack.inference.predict import score_paths


@pytest.fixture(scope="module")
def mixed(tmp_path_factory, sample_folder):
    """A fine-tuned network, a frozen one of a local file, one of a folder that timm saved."""
    folder = tmp_path_factory.mktemp("mixed")
    model, saved = timm.create_model("test_resnet", num_classes=5), folder / "saved"
    timm.models.save_for_hf(model, saved, safe_serialization=True)
    common = {"image_size": 32, "frozen": True}
    weights = str(saved / "model.safetensors")
    file = {"name": "file", "model": "test_resnet", "weights": weights, **common}
    place = {"name": "place", "model": f"local-dir:{saved}", **common}
    config = write_config(
        folder,
        sample_folder,
        data={"metadata": ["Eyes", "Blur"]},
        backbones=[SWIN, file, place],
        regressor={"metadata": "late"},
        heads={"ridge": {"metadata": True}, "gbm": {"trees": 3, "min_rows": 5}},
    )
    call("run", config)
    return config.parent / "runs" / "tiny"


@pytest.fixture(scope="module")
def photos(sample_folder):
    return sorted((sample_folder / "test").iterdir())


@pytest.fixture(scope="module")
def columns(sample_folder, photos):
    table = pd.read_csv(sample_folder / "test.csv", dtype={"Id": str}).set_index("Id")
    return table.loc[[path.stem for path in photos], ["Eyes", "Blur"]].to_numpy(dtype=float)


def numbers(table: pd.DataFrame) -> np.ndarray:
    return table.drop(columns=["photo", "reason"]).to_numpy(dtype=float)


def test_scores_intervals_and_candidates_are_the_source_runs(run, photos, tmp_path):
    expected = score_paths(open_finished(run), photos)
    found = score_paths(cut(run, tmp_path / "run"), photos)
    assert found.columns.tolist() == expected.columns.tolist()
    np.testing.assert_allclose(numbers(found), numbers(expected), atol=1e-6, rtol=0)


def test_it_needs_no_file_of_the_source_and_no_working_directory(
    mixed, photos, columns, tmp_path, monkeypatch
):
    """Frozen weights and saved configs lie in the bundle's run, wherever that is moved."""
    expected = score_paths(open_finished(mixed), photos, columns)
    cut(mixed, tmp_path / "made")
    moved = tmp_path / "elsewhere" / "run"
    shutil.copytree(tmp_path / "made", moved)
    shutil.rmtree(tmp_path / "made")
    away = mixed.parents[1] / "away"
    saved = mixed.parents[1] / "saved"
    saved.rename(away)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    try:
        found = score_paths(open_finished(moved), photos, columns)
    finally:
        away.rename(saved)
    np.testing.assert_allclose(numbers(found), numbers(expected), atol=1e-6, rtol=0)


def test_float16_weights_take_half_and_move_scores_little(run, photos, tmp_path):
    whole, half = cut(run, tmp_path / "whole"), cut(run, tmp_path / "half", half=True)
    weights = "finetune/swin/fold0/weights.safetensors"
    sizes = [(one.folder / weights).stat().st_size for one in (whole, half)]
    assert sizes[1] < 0.6 * sizes[0]
    kinds = {str(t.dtype) for t in read_weights(half.folder / weights).values() if t.ndim}
    assert "torch.float32" not in kinds
    moved = score_paths(half, photos)["score"] - score_paths(whole, photos)["score"]
    assert 0 < moved.abs().max() < 1e-2 * 99


def test_it_holds_nothing_of_photos_labels_and_the_machine(run, sample_folder, tmp_path):
    folder = cut(run, tmp_path / "run").folder
    kinds = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert kinds == {".yaml", ".json", ".safetensors", ".txt"}
    ids = pd.read_csv(sample_folder / "train.csv", dtype=str)["Id"]
    texts = [p.read_text() for p in folder.rglob("*") if p.suffix in (".yaml", ".json")]
    for text in texts:
        assert not any(name in text for name in ids)
        assert str(sample_folder) not in text
        assert str(run.parents[1]) not in text


def test_predicting_and_explaining_write_nothing_into_it(mixed, photos, columns, tmp_path):
    folder = cut(mixed, tmp_path / "run").folder
    for path in [folder, *folder.rglob("*")]:
        path.chmod(stat.S_IRUSR | (stat.S_IXUSR if path.is_dir() else 0))
    before = {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}
    opened = paw_stack.PawStack(folder)
    table = pd.DataFrame(columns, columns=["Eyes", "Blur"])
    assert np.isfinite(opened.predict(photos, table)).all()
    found = explain(open_finished(folder), photos[0], columns[:1])
    assert 0 <= found.share_below <= 1
    assert len(found.similar) == 0
    assert {p: p.stat().st_mtime_ns for p in [folder, *folder.rglob("*")]} == before
    for path in [folder, *folder.rglob("*")]:
        path.chmod(stat.S_IRWXU)


def test_the_page_shows_what_it_can_without_labels(mixed, photos, columns, tmp_path):
    own = cut(mixed, tmp_path / "run")
    found = explain(own, photos[0], columns[:1])
    said, picture, gallery = _shown(own, tmp_path, found, columns[:1])
    assert " of 1 to 100 " in said
    assert "of the labelled photos' predictions" in said
    assert Path(picture).is_file()
    assert gallery == []


def test_what_its_tables_told_is_kept_as_numbers(mixed, tmp_path):
    source, own = open_finished(mixed), cut(mixed, tmp_path / "run")
    assert own.shown_range == source.shown_range
    assert own.mean_score == source.mean_score
    np.testing.assert_array_equal(own.usual_metadata, source.usual_metadata)
    middle = float(np.median(source.predicted))
    share = (own.predicted < middle).mean() - (source.predicted < middle).mean()
    assert abs(share) < 0.02
    assert own.blend["scores"] == source.blend["scores"]


def test_what_needs_labels_says_so_in_one_line(run, tmp_path, capsys, monkeypatch):
    folder = cut(run, tmp_path / "run").folder
    for words in (("report", folder), ("compare", folder, run), ("compare", run, folder)):
        said = failure(capsys, monkeypatch, *words)
        assert "a bundle's run, cut down to what predicting needs" in said
        assert len(said.splitlines()) == 1


@pytest.mark.parametrize("forged", [5, {}, {"shown_range": [1], "mean_score": "a"}, None])
def test_forged_numbers_in_place_of_tables_are_one_error(forged, run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    facts = json.loads((copy / "blend" / "blend.json").read_text())
    (copy / "blend" / "blend.json").write_text(json.dumps({**facts, "cut": forged}))
    with pytest.raises(ArtifactError, match="cannot be read as a run of this version"):
        open_finished(copy)


def test_a_frozen_network_of_the_cut_run_is_named_from_the_run_alone(mixed, tmp_path):
    folder = cut(mixed, tmp_path / "run").folder
    config = yaml.safe_load((folder / "blend" / "config.yaml").read_text())
    swin, file, place = config["backbones"]
    assert swin["weights"] is None
    assert (folder / file["weights"]).is_file()
    assert place["model"].startswith("local-dir:pretrained/")
