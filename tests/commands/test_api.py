"""The notebook's way: the same stages, the same scores as the commands."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from helpers.commands import FROZEN, N_LABELLED, call, write_config

import paw_stack
from paw_stack.errors import ArtifactError, ConfigError, DataError


@pytest.fixture(scope="module")
def labelled(sample_folder):
    """Photos, scores and metadata as a notebook has them."""
    table = pd.read_csv(sample_folder / "train.csv", dtype={"Id": str})
    photos = [sample_folder / "train" / f"{name}.jpg" for name in table["Id"]]
    return photos, table["Pawpularity"], table[["Eyes", "Blur"]]


@pytest.fixture(scope="module")
def model(tmp_path_factory, labelled):
    sections = {
        "run": {"root": str(tmp_path_factory.mktemp("api"))},
        "data": {"bounds": [1, 100]},
        "folds": {"n": 2},
        "backbones": [FROZEN],
        "heads": {"ridge": {"metadata": True}, "knn": {"k": 3}},
    }
    return paw_stack.PawStack(sections).fit(*labelled)


def test_ten_lines_of_a_notebook(model, labelled, sample_folder):
    photos, _, metadata = labelled
    test = pd.read_csv(sample_folder / "test.csv", dtype={"Id": str})
    new = [sample_folder / "test" / f"{name}.jpg" for name in test["Id"]]
    scores = model.predict(new, test)
    assert scores.shape == (len(test),)
    assert ((scores >= 1) & (scores <= 100)).all()
    assert list(model.candidates_.index) == ["swin.ridge", "swin.knn", "blend"]
    assert model.rmse_ == model.candidates_.loc["blend", "rmse"]
    assert len(pd.read_csv(model.folder_ / "labelled.csv")) == N_LABELLED
    table = model.predict_table(photos[:2], metadata[:2])
    assert table["photo"].tolist() == [str(photo) for photo in photos[:2]]


def test_a_finished_run_predicts_by_its_folder_and_by_its_sections(model, labelled):
    photos, _, metadata = labelled
    expected = model.predict(photos[:3], metadata[:3])
    for config in (model.folder_, model.config):
        again = paw_stack.PawStack(config).predict(photos[:3], metadata[:3])
        np.testing.assert_array_equal(again, expected)


def test_fit_of_a_config_is_the_run_command(sample_folder, tmp_path):
    config = write_config(tmp_path, sample_folder, backbones=[FROZEN], heads={"ridge": {}})
    call("run", config)
    written = (tmp_path / "runs" / "tiny" / "submission.csv").read_bytes()
    fitted = paw_stack.PawStack(config, ["run.name=again"]).fit()
    assert fitted.folder_.name == "again"
    assert (fitted.folder_ / "submission.csv").read_bytes() == written


def test_an_unreadable_photo_has_no_score_and_keeps_its_place(model, labelled, tmp_path):
    photos, _, metadata = labelled
    (tmp_path / "text.jpg").write_text("no photo")
    found = model.predict([photos[0], tmp_path / "text.jpg", photos[1]], metadata[:3])
    assert np.isnan(found).tolist() == [False, True, False]


def test_photos_of_one_name_are_told_apart(labelled, tmp_path):
    """The ids hold the place in the list; lists of different lengths are refused."""
    photos, scores, _ = labelled
    sections = {
        "run": {"root": str(tmp_path)},
        "data": {"bounds": [1, 100]},
        "folds": {"n": 2},
        "backbones": [FROZEN],
        "heads": {"ridge": {}},
    }
    model = paw_stack.PawStack(sections).fit([*photos[:20], *photos[:20]], [*scores[:20]] * 2)
    ids = pd.read_csv(model.folder_ / "labelled.csv", dtype={"Id": str})["Id"]
    assert ids[20] == f"000020-{photos[0].name}"
    with pytest.raises(DataError, match="found 3 photos, 2 scores"):
        paw_stack.PawStack(sections).fit(photos[:3], scores[:2])


def test_what_is_missing_is_said(model, labelled, tmp_path):
    photos, _, _ = labelled
    with pytest.raises(DataError, match=r"swin\.ridge need the columns Eyes, Blur"):
        model.predict(photos[:1])
    with pytest.raises(ArtifactError, match="no run; give a folder"):
        paw_stack.PawStack(tmp_path).predict(photos[:1])
    with pytest.raises(ConfigError, match="config: backbones: missing"):
        paw_stack.PawStack({"data": {}}).fit()
    with pytest.raises(AttributeError, match="no attribute 'PawStac'"):
        _ = paw_stack.PawStac


def test_importing_the_package_takes_no_time():
    code = "import sys, paw_stack; print(sorted({'torch', 'numpy', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
