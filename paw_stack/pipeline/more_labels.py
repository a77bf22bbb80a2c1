"""What more labels would bring the run: the learning curve of one cheap head on frozen vectors.

Enters: vectors that no score has taught, the blend's nested predictions. Leaves: the curve, and the
RMSE that the blend is expected to have with twice as many labels. What a backbone learned when it
was fine-tuned came from all labels, so its vectors tell nothing of fewer.
"""

from typing import Any

import numpy as np

from paw_stack.artifacts import Steps
from paw_stack.artifacts.embeddings import load_embeddings
from paw_stack.blend.labels.more_labels import twice_as_many
from paw_stack.config import KernelRidgeSection
from paw_stack.data.folds import Folds
from paw_stack.data.types import Blend
from paw_stack.metrics import is_constant, taken
from paw_stack.pipeline.candidates import embed_name, layer_name
from paw_stack.pipeline.experiment import Job
from paw_stack.pipeline.flattery import whole_groups


def more_labels(job: Job, steps: Steps, blended: Blend) -> dict[str, Any] | None:
    """The facts of `twice_as_many` and the names of the layers; None where nothing can be told.

    That is: no frozen backbone was embedded, the photos are too few, or all have one score. Of many
    photos some are drawn, by whole groups, and the law tells how it goes on.

    Args:
        blended: with its nested predictions.
    """
    from paw_stack.heads.kernels.learning_curve import learning_curve, shared_kernel

    competition, folds, seed = job.competition, job.folds, job.config.run.seed
    rows = whole_groups(folds.group_of, seed)
    layers = _frozen_layers(job, steps, rows)
    target, weight = competition.target, competition.weight
    if not layers or is_constant(target[rows]):
        return None
    known = taken(weight, rows)
    own = Folds(np.unique(folds.fold_of[rows], return_inverse=True)[1], folds.group_of[rows])
    K = shared_kernel(list(layers.values()), known)
    curve = learning_curve(K, target[rows], own, KernelRidgeSection().alphas, seed, known)
    if curve is None:
        return None
    told = twice_as_many(
        curve.sizes,
        curve.squares,
        (blended.predictions.oof - target) ** 2,
        _floor(job),
        (known, weight),
        (own.group_of, folds.group_of),
        seed,
    )
    return {"layers": list(layers), **told}


def _frozen_layers(job: Job, steps: Steps, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Name -> vectors (k, d) float32 of these labelled rows, of every layer that is there."""
    n, found = len(job.competition.target), {}
    for backbone in job.config.backbones:
        step = steps.get(f"embed {embed_name(backbone, None)}") if backbone.frozen else None
        if step is None or not step.record():
            continue
        for layer in backbone.layers:
            stored = load_embeddings(step, backbone.name, layer, None, n, len(job.ids))
            found[layer_name(backbone, layer)] = stored.labelled[rows].astype(np.float32)
    return found


def _floor(job: Job) -> float:
    """What the label noise is at least, points; 0 where it is not known."""
    noise = job.competition.rating_noise or job.findings.noise
    return noise.low if noise else 0.0
