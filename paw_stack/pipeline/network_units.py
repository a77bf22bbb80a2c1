"""Candidates `<backbone>.nn`: what fine-tuned networks predicted, gathered from the folds."""

import numpy as np
import pandas as pd

from paw_stack.artifacts import read_csv
from paw_stack.config import BackboneSection
from paw_stack.data.nouns import Predictions
from paw_stack.pipeline.finetune_unit import finetune_unit
from paw_stack.pipeline.job import Job


def is_optimistic(job: Job, backbone: BackboneSection) -> bool:
    """Held-out rows chose the epoch, so whatever is built on it looks better than it is."""
    return not backbone.frozen and job.config.finetune.keep == "best_held_out"


def network_predictions(job: Job, folds: list[int]) -> list[Predictions]:
    """Candidates `<backbone>.nn`, gathered from the folds."""
    return [_gather(job, b, folds) for b in job.config.backbones if not b.frozen]


def _gather(job: Job, backbone: BackboneSection, folds: list[int]) -> Predictions:
    ids = job.competition.labelled.ids
    oof, tests, seconds = pd.Series(np.nan, index=ids), [], 0.0
    for fold in folds:
        unit = finetune_unit(job, backbone, fold)
        seconds += job.run.require(unit)["seconds"]
        held_out = read_csv(unit.folder / "held_out.csv", needs=("Id", "prediction")).set_index(
            "Id"
        )
        oof.update(held_out["prediction"])
        test = read_csv(unit.folder / "test.csv", needs=("Id", "prediction")).set_index("Id")
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
        is_optimistic(job, backbone),
    )
