"""Folders numbered from 1 give labelled and test photos the same ids; they are other photos."""

import shutil

import numpy as np
import pandas as pd
import pytest
from helpers.commands import FROZEN, SWIN, call, write_config
from PIL import Image

from paw_stack.artifacts.finished.model import open_finished
from paw_stack.inference.explain import explain

TARGET = "Pawpularity"


def numbered(folder, to, first_test):
    """The sample with ids 0, 1, ... for labelled photos and `first_test`, ... for test ones.

    The first test photo is made a near-duplicate of the fifth labelled one.
    """
    for kind, start in (("train", 0), ("test", first_test)):
        table = pd.read_csv(folder / f"{kind}.csv", dtype={"Id": str})
        (to / kind).mkdir(parents=True)
        names = [str(start + row) for row in range(len(table))]
        for old, new in zip(table["Id"], names, strict=True):
            shutil.copy(folder / kind / f"{old}.jpg", to / kind / f"{new}.jpg")
        table.assign(Id=names).to_csv(to / f"{kind}.csv", index=False)
    with Image.open(to / "train" / "4.jpg") as photo:
        photo.save(to / "test" / f"{first_test}.jpg", quality=80)
    return to


@pytest.fixture(scope="module", params=["frozen", "tuned"])
def runs(request, sample_folder, tmp_path_factory):
    """The same photos twice, with ids of both tables that are equal, and with others."""
    backbone = FROZEN if request.param == "frozen" else SWIN
    folders = []
    for first_test in (0, 1000):
        place = tmp_path_factory.mktemp("ids")
        config = write_config(
            place,
            numbered(sample_folder, place / "photos", first_test),
            data={"metadata": ["Eyes", "Blur"], "sample_submission": None},
            backbones=[backbone],
            finetune={"epochs": 1, "batch_size": 8},
            heads={"ridge": {"metadata": True}, "knn": {"k": 3}},
        )
        call("run", config)
        folders.append(place / "runs" / "tiny")
    return folders


def test_the_submission_is_that_of_the_same_photos_under_other_names(runs):
    equal, other = (pd.read_csv(run / "submission.csv") for run in runs)
    assert (equal["Id"] + 1000).tolist() == other["Id"].tolist()
    np.testing.assert_array_equal(equal[TARGET], other[TARGET])
    for name in ("blend/blend.csv", "predictions/swin.ridge.csv", "labelled.csv", "folds.csv"):
        assert (runs[0] / name).read_bytes() == (runs[1] / name).read_bytes()


def test_the_report_shows_the_same_photos(runs):
    equal, other = (open_finished(run) for run in runs)
    np.testing.assert_array_equal(equal.oof, other.oof)
    np.testing.assert_array_equal(equal.test, other.test)
    np.testing.assert_array_equal(equal.sample.vectors, other.sample.vectors)
    np.testing.assert_array_equal(equal.sample.rows, other.sample.rows)
    pairs = equal.pairs[["set_a", "Id_a", "set_b", "Id_b"]].agg(" ".join, axis=1)
    assert "labelled 4 test 0" in pairs.tolist()
    assert (runs[0] / "report.html").stat().st_size > 10_000


def test_a_photo_is_explained_by_the_labelled_photos(runs, tmp_path):
    """Photo 4 of both folders: the labelled one is most like itself, in both runs the same."""
    found = []
    for run in runs:
        photo = run.parents[1] / "photos" / "train" / "7.jpg"
        opened = open_finished(run)
        found.append(explain(opened, photo, np.array([[1.0, 0.0]])))
        assert found[-1].similar["Id"][0] == "7"
        assert opened.pictures("labelled", "7") != opened.pictures("test", "7")
    np.testing.assert_array_equal(found[0].similar["cosine"], found[1].similar["cosine"])
    np.testing.assert_array_equal(found[0].row.to_numpy(), found[1].row.to_numpy())


def test_a_table_of_test_rows_is_not_taken_for_labelled_photos(runs, tmp_path, capsys):
    """`predict` of a test folder by its own table gives the submission again."""
    photos = runs[0].parents[1] / "photos"
    words = [runs[0], photos / "test", "--metadata", photos / "test.csv"]
    call("predict", *words, "--out", tmp_path / "scores.csv")
    table = pd.read_csv(tmp_path / "scores.csv")
    ids = [int(path.rpartition("/")[2].removesuffix(".jpg")) for path in table["photo"]]
    expected = pd.read_csv(runs[0] / "submission.csv").set_index("Id")[TARGET][ids]
    np.testing.assert_allclose(table["score"], expected, atol=1e-6, rtol=0)
