"""Units (fit, head, source): their inputs, their call, what they write."""

import numpy as np

from paw_stack.artifacts import Unit
from paw_stack.config import SvrSection
from paw_stack.console import say
from paw_stack.data.nouns import Predictions
from paw_stack.pipeline.job import Job
from paw_stack.pipeline.sources import (
    Source,
    fingerprints,
    fold_vectors,
    source_is_optimistic,
    sources,
)


def fit_all(job: Job, heads: list[str], folds: list[int]) -> list[Predictions]:
    """Fit what is not done yet; candidates in the order of the config."""
    return [fit_one(job, source, head, folds) for source in sources(job.config) for head in heads]


def head_predictions(job: Job, heads: list[str], folds: list[int]) -> list[Predictions]:
    """Candidates that were fitted before, as `fit_all` returns them."""
    return [
        _load(job, fit_unit(job, source, head, folds), source, head)
        for source in sources(job.config)
        for head in heads
    ]


def fitted_predictions(job: Job) -> list[Predictions]:
    """Candidates of all heads that were fitted; the others are named and left out."""
    everything = list(range(job.folds.n))
    found = []
    for source in sources(job.config):
        for head in job.config.heads.named():
            unit = fit_unit(job, source, head, everything)
            if unit.exists():
                found.append(_load(job, unit, source, head))
            else:
                say(f"{source.name}.{head}: not fitted, left out of the blend")
    return found


def fit_unit(job: Job, source: Source, head: str, folds: list[int]) -> Unit:
    metadata = _metadata(job, head)
    return job.run.candidate_unit(
        f"{source.name}.{head}",
        {
            f"heads.{head}": job.config.heads.named()[head],
            "engine": _engine(job, head),
            "run.seed": job.config.run.seed if head == "gbm" else None,
            "groups": job.folds.group_of.tolist() if head == "gbm" else None,
            "embeddings": fingerprints(job, source, folds),
            "metadata": None if metadata is None else [part.tolist() for part in metadata],
            "target": job.target_digest,
            "folds": job.folds.fold_of.tolist(),
            "chosen folds": str(folds),
        },
    )


def _engine(job: Job, head: str) -> str:
    from paw_stack.heads.svr import resolve_engine

    section = job.config.heads.named()[head]
    return resolve_engine(section) if isinstance(section, SvrSection) else head


def _metadata(job: Job, head: str) -> tuple[np.ndarray, np.ndarray] | None:
    wanted = job.config.heads.named()[head].metadata and job.config.data.metadata
    labelled, test = job.competition.labelled.metadata, job.competition.test.metadata
    return (labelled, test) if wanted else None


def fit_one(job: Job, source: Source, head: str, folds: list[int]) -> Predictions:
    """Fit a head on a source, or load what an earlier call made."""
    from paw_stack.heads.fit import fit_head

    unit, name = fit_unit(job, source, head, folds), f"{source.name}.{head}"
    if unit.record():
        say(f"fit {name}: done before, skipped")
        return _load(job, unit, source, head)
    vectors = fold_vectors(job, source, _metadata(job, head))
    vectors(folds[0])  # what is missing is said before anything is touched
    unit.begin()
    engine = _engine(job, head)
    fitted = fit_head(
        job.config.heads.named()[head],
        engine,
        vectors,
        source.shared,
        job.competition.target,
        job.folds,
        folds,
        job.config.run.seed,
        f"fit {name}",
    )
    job.run.save_heads(name, fitted.heads)
    predictions = Predictions(name, fitted.oof, fitted.test, tuple(folds), job.folds.fold_of)
    job.run.save_predictions(unit.folder, predictions, job.competition)
    unit.finish(**{"engine": engine, **fitted.facts}, folds=folds)
    for remark in fitted.remarks:
        say(f"fit {name}: {remark}")
    return _load(job, unit, source, head)


def _load(job: Job, unit: Unit, source: Source, head: str) -> Predictions:
    optimistic, name = source_is_optimistic(job, source), f"{source.name}.{head}"
    return job.run.load_predictions(unit, name, job.competition, job.folds, optimistic)
