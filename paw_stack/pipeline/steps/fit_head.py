"""Fitting a head on a source: its settings, its call, what it writes."""

from typing import TYPE_CHECKING

import numpy as np

from paw_stack.artifacts import Step
from paw_stack.artifacts.predictions import load_predictions, save_heads, write_predictions
from paw_stack.config import Config, HeadSection, SvrSection
from paw_stack.console import say
from paw_stack.data.types import Predictions
from paw_stack.heads.kernels.gpu.found import products_on
from paw_stack.heads.registry import HEADS, engine_of, fit_head
from paw_stack.heads.svr import what_auto_took
from paw_stack.pipeline.candidates import Source, source_is_optimistic
from paw_stack.pipeline.experiment import Job
from paw_stack.pipeline.steps.features import fold_vectors, layer_vectors, mapped_vectors

if TYPE_CHECKING:
    from paw_stack.heads.cross_fit import CrossFitted


def head_section(config: Config, source: Source, head: str) -> HeadSection:
    """The settings of a candidate's head; a selection takes the SVR's, by its own engine."""
    section = config.heads.named()[head]
    if not source.chosen_from:
        return section
    return section.model_copy(update={"engine": "gram", "grid": None, "metadata": False})


def metadata_of(job: Job, section: HeadSection) -> tuple[np.ndarray, np.ndarray] | None:
    wanted = section.metadata and job.config.data.metadata
    labelled, test = job.competition.labelled.metadata, job.competition.test.metadata
    return (labelled, test) if wanted else None


def fit_one(job: Job, source: Source, head: str, folds: list[int], step: Step) -> None:
    """Fit a head on a source: its heads, their search, out-of-fold and test predictions."""
    from paw_stack.heads.stored import predict_heads

    name = f"{source.name}.{head}"
    mapped_vectors(job, source, step.needs, None)(
        folds[0]
    )  # what is missing is said before all else
    step.begin()
    section, compute = head_section(job.config, source, head), job.config.compute
    fitted = _fitted(job, source, head, section, folds, step)
    save_heads(job.run.heads(name), fitted.heads, fitted.search)
    # The heads as they are kept predict the test rows, not the engine that fitted them: whatever
    # photo comes later gets the same score.
    rows = mapped_vectors(job, source, step.needs, metadata_of(job, section))
    test = predict_heads(fitted.heads, lambda fold: rows(fold)[1])
    predictions = Predictions(name, fitted.oof, test, tuple(folds), job.folds.fold_of)
    ids, test_ids = job.competition.labelled.ids, job.competition.test.ids
    write_predictions(step.folder, predictions, ids, test_ids)
    step.finish(**{"engine": engine_of(section, compute), **fitted.facts}, folds=folds)
    told = what_auto_took(section, compute) if isinstance(section, SvrSection) else []
    for remark in told + fitted.remarks:
        say(f"{step.name}: {remark}")


def load_fitted(job: Job, source: Source, step: Step) -> Predictions:
    """Load what `fit_one` made, perhaps on another machine.

    Raises:
        ArtifactError: it is not there.
    """
    optimistic = source_is_optimistic(job.config, source)
    record = job.run.require(step)
    return load_predictions(step, record, job.competition, job.folds, optimistic)


def _fitted(
    job: Job, source: Source, head: str, section: HeadSection, folds: list[int], step: Step
) -> "CrossFitted":
    from paw_stack.heads.cross_fit import Problem

    if source.chosen_from:
        return _selected(job, source, section, step)
    read = mapped_vectors if HEADS[head].streams else fold_vectors
    vectors = read(job, source, step.needs, metadata_of(job, section))
    seed, what = job.config.run.seed, step.name
    target = job.competition.target
    weight = job.competition.weight
    compute = job.config.compute
    device = products_on(compute)
    problem = Problem(vectors, target, job.folds, folds, source.shared, seed, what, weight, device)
    return fit_head(section, engine_of(section, compute), problem)


def _selected(job: Job, source: Source, section: HeadSection, step: Step) -> "CrossFitted":
    from paw_stack.heads.selection_head import select_layers

    selection = job.config.heads.selection
    assert isinstance(section, SvrSection)
    assert selection is not None
    layers, memory_bytes = layer_vectors(job, source, step.needs), job.config.heads.memory_gb * 1e9
    with job.run.scratch() as folder:
        target, fold_of = job.competition.target, job.folds.fold_of
        weight = job.competition.weight
        return select_layers(
            section, selection, layers, target, fold_of, folder, memory_bytes, weight
        )
