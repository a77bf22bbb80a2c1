"""Weights of another run's fold that this run's fold goes on from, or is labelled by."""

from pathlib import Path

import pandas as pd

from paw_stack.config import BackboneSection, digest
from paw_stack.pipeline.experiment import Job


def start_weights(job: Job, backbone: BackboneSection, fold: int) -> Path | None:
    """File of the run that `finetune.warm_start` names; None: it names none.

    Raises:
        ArtifactError: it is not there, or was trained on other folds.
    """
    source = job.config.finetune.warm_start
    return _weights(job, "finetune.warm_start", source, backbone, fold)


def labelling_weights(job: Job, backbone: BackboneSection, fold: int) -> Path | None:
    """Weights of fold k in the run that `extra.pseudo.source` names, made with the same folds."""
    pseudo = job.config.extra.pseudo
    source = pseudo.source if pseudo else None
    return _weights(job, "extra.pseudo.source", source, backbone, fold)


def digest_of(weights: Path | None) -> str | None:
    """Digest of the `done.json` beside another run's weights; None without weights."""
    return digest((weights.parent / "done.json").read_text(encoding="utf-8")) if weights else None


def _weights(
    job: Job, key: str, source: Path | None, backbone: BackboneSection, fold: int
) -> Path | None:
    if source is None:
        return None
    folds = pd.Series(job.folds.fold_of, index=job.competition.labelled.ids)
    return job.run.warm_start(key, source, backbone.name, fold, folds)
