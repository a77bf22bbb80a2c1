"""What a fold learns from once its unlabelled rows have labels."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from paw_stack.config import AuxiliarySection
from paw_stack.pipeline.experiment import Job

if TYPE_CHECKING:
    from paw_stack.network.dataloader import FoldRows
    from paw_stack.network.trainer import Recipe

REAL, DRAWN = 0, 1


def with_labels(
    job: Job, recipe: "Recipe", rows: "FoldRows", labels: pd.DataFrame
) -> "tuple[Recipe, FoldRows]":
    """The fold's recipe and rows, with the extra rows behind those of the image cache.

    Args:
        labels: a row an extra photo, drawn ones last: label (points) and weight.
    """
    pseudo, gan = job.config.extra.pseudo, job.config.extra.gan
    taught = with_extra(rows, labels["label"].to_numpy(), labels["weight"].to_numpy())
    taught = replace(taught, extra_share=pseudo.share if pseudo else 0.0)
    if gan is None or not gan.auxiliary:
        return recipe, taught
    auxiliary = AuxiliarySection(column="drawn", weight=gan.auxiliary)
    loss = recipe.loss.model_copy(update={"auxiliary": auxiliary})
    label = np.full(len(taught.ids), REAL, dtype=np.int64)
    label[len(label) - gan.images :] = DRAWN
    return replace(recipe, loss=loss), replace(taught, label=label, n_classes=2)


def with_extra(rows: "FoldRows", label: np.ndarray, weight: np.ndarray) -> "FoldRows":
    """Rows with `label` (e,) points and `weight` (e,) of extra ones behind them.

    They have no metadata, which the mean of the training rows stands for, and no auxiliary class.
    Their weights stand as they are beside those of the labelled rows, whose mean is 1.
    """
    n, e = len(rows.ids), len(label)
    mean = np.tile(np.array(rows.scale()["mean"]), (e, 1))
    own = np.ones(n) if rows.weight is None else rows.weight
    unknown = np.full(e, -1, dtype=np.int64)
    return replace(
        rows,
        ids=np.concatenate([rows.ids, [f"extra row {number}" for number in range(e)]]),
        target=np.concatenate([rows.target, label]),
        metadata=np.concatenate([rows.metadata, mean]),
        label=None if rows.label is None else np.concatenate([rows.label, unknown]),
        extra=np.arange(n, n + e),
        weight=np.concatenate([own, weight]).astype(np.float32),
    )
