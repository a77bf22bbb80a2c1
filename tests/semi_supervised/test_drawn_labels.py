"""Labels that are drawn from the training rows' scores: each fold draws its own."""

import numpy as np
import pandas as pd
from helpers.commands import extra_config

from paw_stack.config import load_config
from paw_stack.pipeline.experiment import Job, open_job
from paw_stack.pipeline.graph import plan
from paw_stack.pipeline.steps import pseudo_label


def labels(job: Job, fold: int) -> np.ndarray:
    step = plan(job, [0, 1])[f"pseudo-labels swin fold {fold}"]
    step.do()
    return pd.read_csv(step.folder / "labels.csv")["label"].to_numpy()


def test_no_two_folds_draw_the_same_places(sample_folder, tmp_path, monkeypatch):
    """What the network says has no part in these labels, so none is trained."""
    extra = {"pseudo": {"policy": "random", "soft": 0}}
    job = open_job(load_config(extra_config(tmp_path, sample_folder, extra)))
    said = np.zeros(len(job.extra.ids))
    monkeypatch.setattr(pseudo_label, "_predicted", lambda *_: (said, said))
    target = job.competition.target
    possible = []  # (rows, places): whether a label may have been drawn from there
    for fold in (0, 1):
        fit, drawn = target[job.folds.training_rows(fold)], labels(job, fold)
        assert np.isin(drawn, fit).all()
        possible.append(drawn[:, None] == fit[:20])
    same = (possible[0] & possible[1]).any(axis=1)
    assert same.mean() < 0.5
    np.testing.assert_array_equal(labels(job, 1), drawn)
