"""Which steps of embedding go through the photos together."""

import pytest
from helpers.commands import FROZEN, SWIN, write_config

from paw_stack.config import load_config
from paw_stack.pipeline.experiment import open_job
from paw_stack.pipeline.graph import plan
from paw_stack.pipeline.steps.embed import TOGETHER, Waiting, passes


@pytest.fixture
def waiting(sample_folder, tmp_path) -> list[Waiting]:
    """Steps of a tuned backbone's folds, and of frozen ones of two sizes."""
    few = [{**FROZEN, "name": f"still{n}"} for n in range(TOGETHER + 1)]
    large = {**FROZEN, "name": "large", "image_size": 64}
    path = write_config(tmp_path, sample_folder, backbones=[few[0], SWIN, large, *few[1:]])
    job = open_job(load_config(path))
    steps = [step for step in plan(job, range(2)).values() if step.stage == "embed"]
    named = {backbone.name: backbone for backbone in job.config.backbones}
    return [
        (named[step.short.split()[0]], int(step.short[-1]) if " " in step.short else None, step)
        for step in steps
    ]


def test_a_tuned_network_goes_alone_and_frozen_ones_of_one_size_together(waiting):
    found = [[step.short for _, _, step in group] for group in passes(waiting)]
    still = [f"still{n}" for n in range(TOGETHER + 1)]
    assert found == [
        still[:TOGETHER],
        still[TOGETHER:],
        ["swin fold 0"],
        ["swin fold 1"],
        ["large"],
    ]
    for group in passes(waiting):
        for backbone, fold, step in group:
            assert step.short == (backbone.name if fold is None else f"{backbone.name} fold {fold}")
