"""What was done before counts like what is done now."""

import numpy as np
from helpers.commands import FROZEN, write_config

from paw_stack.config import load_config
from paw_stack.pipeline.executor import embed_all, fit_all
from paw_stack.pipeline.experiment import open_job
from paw_stack.pipeline.graph import plan


def test_heads_that_were_fitted_before_are_candidates_in_the_order_of_the_config(
    sample_folder, tmp_path
):
    heads = {"ridge": {}, "knn": {"k": 3}}
    config = write_config(tmp_path, sample_folder, backbones=[FROZEN], heads=heads)
    job = open_job(load_config(config))
    embed_all(job, [0, 1], plan(job, [0, 1]))
    asked = (["knn"], ["ridge", "knn"], ["ridge", "knn"])
    found = [fit_all(job, names, [0, 1], plan(job, [0, 1])) for names in asked]
    assert [[one.name for one in each] for each in found] == [
        ["swin.knn"],
        ["swin.ridge", "swin.knn"],
        ["swin.ridge", "swin.knn"],
    ]
    for first, again in zip(found[1], found[2], strict=True):
        np.testing.assert_array_equal(first.oof, again.oof)
        np.testing.assert_array_equal(first.test, again.test)
        assert (first.folds, first.optimistic) == (again.folds, again.optimistic)
