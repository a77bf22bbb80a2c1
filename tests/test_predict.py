"""Scores of new photos: a test photo gets the submission's, in whatever company it comes."""

import numpy as np
import pandas as pd
import pytest
from conftest import TINY_SWIN
from test_end_to_end import call, write_config

from paw_stack.artifacts.finished import open_finished
from paw_stack.pipeline.predict import predict


@pytest.fixture(scope="module")
def finished(tmp_path_factory, sample_folder):
    """A run with every kind of candidate: views, a frozen backbone, layers together, metadata."""
    swin = {
        "name": "swin",
        "model": "swin_tiny_patch4_window7_224",
        "model_args": TINY_SWIN,
        "pretrained": False,
        "image_size": 32,
    }
    frozen = {**swin, "name": "random", "frozen": True, "image_size": 64}
    config = write_config(
        tmp_path_factory.mktemp("finished"),
        sample_folder,
        data={
            "root": str(sample_folder),
            "target": "Pawpularity",
            "bounds": [1, 100],
            "metadata": ["Eyes", "Blur"],
        },
        backbones=[swin, frozen],
        regressor={"metadata": "late"},
        finetune={"epochs": 1, "batch_size": 8, "learning_rate": 1e-3, "tta": {"flip": True}},
        embed={"dtype": "float16", "flip": True},
        heads={
            "svr": {"metadata": True},
            "gbm": {"trees": 5, "min_rows": 5, "pca": 4},
            "kernel_ridge": {},
            "ridge": {},
            "knn": {"k": 3},
            "together": [["swin", "random"]],
        },
    )
    call("run", config)
    return config, config.parent / "runs" / "tiny"


def submission(run):
    table = pd.read_csv(run / "submission.csv", dtype={"Id": str})
    return table.set_index("Id")["Pawpularity"]


def test_a_test_photo_gets_the_submissions_score_and_candidates(finished, sample_folder):
    _, run = finished
    table = predict(run, [sample_folder / "test"], metadata=sample_folder / "test.csv")
    ids = [path.rsplit("/", 1)[-1].removesuffix(".jpg") for path in table["photo"]]
    np.testing.assert_allclose(table["score"], submission(run)[ids], atol=1e-6, rtol=0)
    for name in open_finished(run).candidates:
        own = pd.read_csv(run / "predictions" / f"{name}.test.csv", dtype={"Id": str})
        expected = own.set_index("Id")["prediction"][ids]
        np.testing.assert_allclose(table[name], expected, atol=1e-6, rtol=0)


def test_a_photos_score_does_not_depend_on_its_company(finished, sample_folder):
    config, run = finished
    photos = sorted((sample_folder / "test").iterdir())
    alone = [
        predict(config, [photo], metadata=sample_folder / "test.csv")["score"][0]
        for photo in photos[:2]
    ]
    together = predict(run, [photos[4], photos[1], photos[0]], metadata=sample_folder / "test.csv")
    np.testing.assert_allclose(alone, together["score"][[2, 1]], atol=1e-6, rtol=0)
