"""Pseudo-labels: fold k's network labels fold k's extra rows."""

from dataclasses import replace

import numpy as np
import pandas as pd

from paw_stack.artifacts import Step, read_weights, write_csv
from paw_stack.config import BackboneSection, TtaSection
from paw_stack.console import say
from paw_stack.metrics import taken
from paw_stack.pipeline.experiment import Job
from paw_stack.pipeline.steps.finetune import (
    fold_recipe,
    fold_rows,
    seed_of,
    teacher_weights,
)
from paw_stack.pipeline.steps.training_data import with_extra
from paw_stack.pipeline.steps.unlabelled_photos import all_pixels, extra_ids


def label_fold(job: Job, backbone: BackboneSection, fold: int, step: Step) -> None:
    """Write `labels.csv`: Id, prediction and label in points, weight."""
    from paw_stack.semi_supervised.pseudo_labels import confidence, make_labels

    pseudo = job.config.extra.pseudo
    assert pseudo is not None
    prediction, mirrored = _predicted(job, backbone, fold, step)
    step.begin()
    ids = extra_ids(job, step.needs)
    fit, seed = job.folds.training_rows(fold), seed_of(job.config.run.seed, "pseudo", fold)
    fit_target, fit_weight = job.competition.target[fit], taken(job.competition.weight, fit)
    label = make_labels(prediction, fit_target, pseudo, seed, fit_weight)
    weight = confidence(prediction, mirrored) if pseudo.confidence else np.ones(len(ids))
    table = pd.DataFrame({"Id": ids, "prediction": prediction, "label": label, "weight": weight})
    write_csv(step.folder / "labels.csv", table)
    step.finish()
    say(f"{step.name}: {len(ids)} rows, mean {label.mean():.2f}, SD {label.std():.2f}")


def _predicted(
    job: Job, backbone: BackboneSection, fold: int, step: Step
) -> tuple[np.ndarray, np.ndarray]:
    """What fold k's network says of all extra rows, and of their mirror images, in points."""
    from paw_stack.network.predict import predict
    from paw_stack.network.trainer import make_model

    weights = read_weights(teacher_weights(job, backbone, fold, step))
    recipe, rows = fold_recipe(job, backbone, fold), fold_rows(job, fold)
    unlabelled = np.full(len(extra_ids(job, step.needs)), np.nan)
    rows = replace(with_extra(rows, unlabelled, unlabelled), weight=None)
    model = make_model(recipe, rows, weights)
    pixels, metadata = all_pixels(job, backbone, step.needs), rows.standardised()
    plain, both = (
        predict(model, pixels, rows.extra, metadata, recipe.device, tta)
        for tta in (None, TtaSection(flip=True))
    )
    return plain, 2 * both - plain  # `both` is the mean of a photo and its mirror image
