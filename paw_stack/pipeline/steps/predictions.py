"""Candidates `<backbone>.nn`: what fine-tuned networks predicted, gathered from the folds."""

import numpy as np
import pandas as pd

from paw_stack.artifacts import Steps, read_csv
from paw_stack.config import BackboneSection
from paw_stack.data.types import Predictions
from paw_stack.pipeline.candidates import is_optimistic
from paw_stack.pipeline.experiment import Job


def network_predictions(job: Job, folds: list[int], steps: Steps) -> list[Predictions]:
    """Candidates `<backbone>.nn`, gathered from the folds; `steps` by their names."""
    return [_gather(job, b, folds, steps) for b in job.config.backbones if not b.frozen]


def _gather(job: Job, backbone: BackboneSection, folds: list[int], steps: Steps) -> Predictions:
    ids = job.competition.labelled.ids
    oof, tests, seconds = pd.Series(np.nan, index=ids), [], 0.0
    for fold in folds:
        step = steps[f"finetune {backbone.name} fold {fold}"]
        seconds += job.run.require(step)["seconds"]
        held_out = read_csv(step.folder / "held_out.csv", needs=("Id", "prediction")).set_index(
            "Id"
        )
        oof.update(held_out["prediction"])
        test = read_csv(step.folder / "test.csv", needs=("Id", "prediction")).set_index("Id")
        tests.append(test["prediction"].reindex(job.competition.test.ids).to_numpy(dtype=float))
    name = f"{backbone.name}.nn"
    mean = np.mean(tests, axis=0)
    return Predictions(
        name,
        oof.to_numpy(),
        mean,
        tuple(folds),
        job.folds.fold_of,
        seconds,
        is_optimistic(job.config, backbone),
    )
