"""Units (fit, head, source): their inputs, their call, what they write."""

from typing import TYPE_CHECKING

import numpy as np

from paw_stack.artifacts import Unit
from paw_stack.config import Config, HeadSection, SvrSection
from paw_stack.console import say
from paw_stack.data.nouns import Predictions
from paw_stack.pipeline.candidates import Source, candidates
from paw_stack.pipeline.job import Job
from paw_stack.pipeline.sources import (
    fingerprints,
    fold_rows,
    fold_vectors,
    layer_vectors,
    source_is_optimistic,
)

if TYPE_CHECKING:
    from paw_stack.heads.cross_fit import CrossFitted

DRAWS = ("gbm", "nystroem")  # heads that draw by run.seed


def fit_all(job: Job, heads: list[str], folds: list[int]) -> list[Predictions]:
    """Fit what is not done yet; candidates in the order of the config."""
    return [fit_one(job, source, head, folds) for source, head in possible(job, heads, folds)]


def possible(job: Job, heads: list[str], folds: list[int]) -> list[tuple[Source, str]]:
    """Candidates of these heads that these folds suffice for; the others are named."""
    found = []
    for source, head in candidates(job.config):
        if head in heads and not are_enough(job, source, folds):
            say(f"fit {source.name}.{head}: needs all folds, left out")
        elif head in heads:
            found.append((source, head))
    return found


def are_enough(job: Job, source: Source, folds: list[int]) -> bool:
    """A selection is made over all folds."""
    return not source.chosen_from or len(folds) == job.folds.n


def fitted_predictions(job: Job) -> list[Predictions]:
    """Candidates of all heads that were fitted; the others are named and left out."""
    everything = list(range(job.folds.n))
    found = []
    for source, head in candidates(job.config):
        unit = fit_unit(job, source, head, everything)
        if unit.exists():
            found.append(_load(job, unit, source, head))
        else:
            say(f"{source.name}.{head}: not fitted, left out of the blend")
    return found


def load_fitted(job: Job, source: Source, head: str, folds: list[int]) -> Predictions:
    """What `fit_one` made, perhaps on another machine.

    Raises:
        ArtifactError: it is not there.
    """
    return _load(job, fit_unit(job, source, head, folds), source, head)


def fit_unit(job: Job, source: Source, head: str, folds: list[int]) -> Unit:
    section = head_section(job.config, source, head)
    metadata = _metadata(job, section)
    return job.run.candidate_unit(
        f"{source.name}.{head}",
        {
            f"heads.{head}": section,
            "engine": _engine(section, head),
            "heads.selection": job.config.heads.selection if source.chosen_from else None,
            "run.seed": job.config.run.seed if head in DRAWS else None,
            "groups": job.folds.group_of.tolist() if head == "gbm" else None,
            "embeddings": fingerprints(job, source, folds),
            "metadata": None if metadata is None else [part.tolist() for part in metadata],
            "target": job.target_digest,
            "folds": job.folds.fold_of.tolist(),
            "chosen folds": str(folds),
        },
    )


def head_section(config: Config, source: Source, head: str) -> HeadSection:
    """The settings of a candidate's head; a selection takes the SVR's, by its own engine."""
    section = config.heads.named()[head]
    if not source.chosen_from:
        return section
    return section.model_copy(update={"engine": "gram", "grid": None, "metadata": False})


def _engine(section: HeadSection, head: str) -> str:
    from paw_stack.heads.svr import resolve_engine

    return resolve_engine(section) if isinstance(section, SvrSection) else head


def _metadata(job: Job, section: HeadSection) -> tuple[np.ndarray, np.ndarray] | None:
    wanted = section.metadata and job.config.data.metadata
    labelled, test = job.competition.labelled.metadata, job.competition.test.metadata
    return (labelled, test) if wanted else None


def fit_one(job: Job, source: Source, head: str, folds: list[int]) -> Predictions:
    """Fit a head on a source, or load what an earlier call made."""
    from paw_stack.heads.stored import predict_heads

    unit, name = fit_unit(job, source, head, folds), f"{source.name}.{head}"
    if unit.record():
        say(f"fit {name}: done before, skipped")
        return _load(job, unit, source, head)
    fold_rows(job, source, None)(folds[0])  # what is missing is said before anything is touched
    unit.begin()
    section = head_section(job.config, source, head)
    fitted = _fitted(job, source, head, section, folds)
    job.run.save_heads(name, fitted.heads, fitted.search)
    # By what is kept, not by the engine: what a photo gets later is what it gets here.
    rows = fold_rows(job, source, _metadata(job, section))
    test = predict_heads(fitted.heads, lambda fold: rows(fold)[1])
    predictions = Predictions(name, fitted.oof, test, tuple(folds), job.folds.fold_of)
    job.run.save_predictions(unit.folder, predictions, job.competition)
    unit.finish(**{"engine": _engine(section, head), **fitted.facts}, folds=folds)
    for remark in fitted.remarks:
        say(f"fit {name}: {remark}")
    return _load(job, unit, source, head)


def _fitted(
    job: Job, source: Source, head: str, section: HeadSection, folds: list[int]
) -> "CrossFitted":
    from paw_stack.heads.cross_fit import Problem
    from paw_stack.heads.fit import fit_head

    if source.chosen_from:
        return _selected(job, source, section)
    read = fold_rows if head == "nystroem" else fold_vectors
    vectors = read(job, source, _metadata(job, section))
    seed, what = job.config.run.seed, f"fit {source.name}.{head}"
    target = job.competition.target
    problem = Problem(vectors, target, job.folds, folds, source.shared, seed, what)
    return fit_head(section, _engine(section, head), problem)


def _selected(job: Job, source: Source, section: HeadSection) -> "CrossFitted":
    from paw_stack.heads.selected import select_layers

    selection = job.config.heads.selection
    assert isinstance(section, SvrSection)
    assert selection is not None
    layers, memory_bytes = layer_vectors(job, source), job.config.heads.memory_gb * 1e9
    with job.run.scratch() as folder:
        target, fold_of = job.competition.target, job.folds.fold_of
        return select_layers(section, selection, layers, target, fold_of, folder, memory_bytes)


def _load(job: Job, unit: Unit, source: Source, head: str) -> Predictions:
    optimistic, name = source_is_optimistic(job, source), f"{source.name}.{head}"
    return job.run.load_predictions(unit, name, job.competition, job.folds, optimistic)
