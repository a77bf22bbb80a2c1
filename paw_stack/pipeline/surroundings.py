"""What lies around labelled and test photos in the embeddings of a run."""

from collections.abc import Callable
from typing import Any

import numpy as np

from paw_stack.artifacts import Step, Steps
from paw_stack.artifacts.embeddings import load_embeddings
from paw_stack.blend.intervals import Signs
from paw_stack.blend.uncertainty.surroundings import (
    fit_surroundings,
    labelled_signs,
    look_around,
    novelty_p,
    stored_surroundings,
)
from paw_stack.config import BackboneSection
from paw_stack.data.types import Embeddings, StoredHead
from paw_stack.metrics import NOVEL
from paw_stack.pipeline.candidates import embed_name
from paw_stack.pipeline.experiment import Job


def surroundings(job: Job, steps: Steps) -> tuple[Signs, dict[str, Any], StoredHead] | None:
    """Signs of difficulty, facts of novelty, and what is kept for new photos.

    The first layer of each backbone that has embeddings of every fold is looked at; None where
    there is none: a run of networks alone, or of predictions from elsewhere.
    """
    backbones = [b for b in job.config.backbones if _embedded(job, b, steps)]
    if not backbones:
        return None
    known, around = fit_surroundings(_blocks(job, backbones, steps, "labelled"), job.folds.fold_of)
    facts = {"backbones": [b.name for b in backbones], "level": NOVEL}
    facts |= {"n_test": len(job.competition.test.ids), "n_novel": 0}
    if facts["n_test"]:
        near = look_around(known, _blocks(job, backbones, steps, "test"))
        facts["n_novel"] = int((novelty_p(known, near, job.folds.group_of) <= NOVEL).sum())

    def signs(*unseen: int) -> np.ndarray:
        return labelled_signs(known, around, job.competition.target, unseen)

    kept = stored_surroundings(known, job.folds.group_of, job.competition.target)
    return signs, facts, kept


def _blocks(
    job: Job, backbones: list[BackboneSection], steps: Steps, rows: str
) -> Callable[[int], list[np.ndarray]]:
    """Fold -> embeddings of the `labelled` or the `test` rows, a block a backbone."""

    def blocks(fold: int) -> list[np.ndarray]:
        return [getattr(_embeddings(job, backbone, fold, steps), rows) for backbone in backbones]

    return blocks


def _embeddings(job: Job, backbone: BackboneSection, fold: int, steps: Steps) -> Embeddings:
    place = None if backbone.frozen else fold
    step = steps[f"embed {embed_name(backbone, place)}"]
    n = len(job.competition.target)
    return load_embeddings(step, backbone.name, backbone.layers[0], place, n, len(job.ids))


def _embedded(job: Job, backbone: BackboneSection, steps: Steps) -> bool:
    folds = [None] if backbone.frozen else range(job.folds.n)
    found: list[Step | None] = [steps.get(f"embed {embed_name(backbone, fold)}") for fold in folds]
    return all(step is not None and step.record() for step in found)
