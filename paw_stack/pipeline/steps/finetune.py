"""Fine-tuning a backbone on one fold: its call, what it writes, how it goes on."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from paw_stack.artifacts import Step, Steps, read_csv, read_weights, write_csv, write_weights
from paw_stack.atomic import write_file
from paw_stack.config import BackboneSection, digest
from paw_stack.console import say
from paw_stack.data.folds import make_folds
from paw_stack.data.types import Checkpoint
from paw_stack.distributed import n_processes, rank
from paw_stack.pipeline.experiment import Job
from paw_stack.pipeline.steps.training_data import with_labels
from paw_stack.pipeline.steps.unlabelled_photos import all_pixels, known_pixels
from paw_stack.pipeline.warm_start import labelling_weights, start_weights

if TYPE_CHECKING:
    import torch

    from paw_stack.network.dataloader import FoldRows
    from paw_stack.network.train_loop import FinetunedFold
    from paw_stack.network.trainer import Recipe


def finetune_one(job: Job, backbone: BackboneSection, fold: int, step: Step) -> None:
    """Train, from the last finished epoch where an interrupted run left its state.

    A step that needs pseudo-labels learns from extra rows too; a teacher does not. Of several
    processes all train, and the first alone reads and writes.
    """
    from paw_stack.network.device import from_first
    from paw_stack.network.regressor import span_of
    from paw_stack.network.train_loop import finetune_fold

    recipe, rows, what = fold_recipe(job, backbone, fold), fold_rows(job, fold), step.name
    labels = step.needs.get("pseudo-labels")
    if labels:
        job.run.require(labels)
        recipe, rows = with_labels(job, recipe, rows, read_csv(labels.folder / "labels.csv"))
        pixels = all_pixels(job, backbone, labels.needs)
    else:
        pixels = known_pixels(job, backbone, step.needs)
    kept = activations_folder(job, backbone, labels.needs if labels else step.needs, pixels)
    resumed, start = from_first(_beginning(job, backbone, fold, step), recipe.device)
    if resumed:
        say(f"{what}: goes on after epoch {resumed.epoch}")
    if n_processes() > 1:
        section = job.config.finetune
        say(
            f"{what}: {n_processes()} processes share batches of {section.batch_size} photos,"
            f" learning rate {section.learning_rate:g}"
        )
    if rank():
        finetune_fold(pixels, rows, recipe, what, start, resumed, kept=kept)
        return
    step.begin()
    result = finetune_fold(pixels, rows, recipe, what, start, resumed, partial(_keep, step), kept)
    _write(step, rows, result)
    span = span_of(recipe.loss, recipe.bounds, rows.target[rows.fit])
    facts = {"metadata": rows.scale(), "span": list(span)}
    step.finish(device=str(recipe.device), processes=n_processes(), **facts)
    if start and (anew := _parts(result.weights) - _parts(start)):
        say(f"{what}: {', '.join(sorted(anew))} began at random: what it starts from has none")
    say(_sentence(what, result.history, str(recipe.device)))


def activations_folder(job: Job, backbone: BackboneSection, needs: Steps, pixels: Path) -> Path:
    """Beside the image cache, for what a model's frozen stages make of the photos of `pixels`."""
    fed = needs.get("reconstructions")
    # The folder of an image cache is named by the content of its photos.
    photos = [fed.fingerprint if fed else pixels.parent.name, pixels.name]
    model = backbone.model_dump(mode="json", include={"model", "model_args", "image_size"})
    return job.run.cache / "activations" / digest(photos, model, job.config.finetune.freeze)


def _parts(weights: dict[str, "torch.Tensor"]) -> set[str]:
    return {name.partition(".")[0] for name in weights}


def _beginning(
    job: Job, backbone: BackboneSection, fold: int, step: Step
) -> tuple[Checkpoint | None, dict[str, "torch.Tensor"] | None]:
    """What an interrupted run left, or the weights to warm-start from."""
    if rank():
        return None, None
    resumed = step.interrupted()
    start = None if resumed else _start_file(job, backbone, fold, step)
    return resumed, read_weights(start) if start else None


def _start_file(job: Job, backbone: BackboneSection, fold: int, step: Step) -> Path | None:
    """Weights to begin from, in place of the pretrained ones."""
    labels, pseudo = step.needs.get("pseudo-labels"), job.config.extra.pseudo
    if labels and pseudo and pseudo.start == "teacher":
        return teacher_weights(job, backbone, fold, labels)
    if pretrained := step.needs.get("pretrained backbone"):
        job.run.require(pretrained)
        return pretrained.folder / "weights.safetensors"
    return start_weights(job, backbone, fold)


def teacher_weights(job: Job, backbone: BackboneSection, fold: int, labels: Step) -> Path:
    """Weights of the network that labels: another run's fold k, or this run's teacher.

    Raises:
        ArtifactError: it is not there.
    """
    if source := labelling_weights(job, backbone, fold):
        return source
    teacher = labels.needs["teacher"]
    job.run.require(teacher)
    return teacher.folder / "weights.safetensors"


def _keep(step: Step, state: Checkpoint) -> None:
    step.keep(state)
    _write_history(step, state.history)


def _sentence(what: str, history: list[dict[str, float]], device: str) -> str:
    last = history[-1]
    return (
        f"{what}: {last['epoch']} epochs, fit RMSE {last['fit_rmse']:.2f},"
        f" {last['photos_per_second']:.0f} photos/s, on {device}"
    )


def fold_recipe(job: Job, backbone: BackboneSection, fold: int) -> "Recipe":
    """Settings that fold k's network is trained with."""
    from paw_stack.network.device import n_workers, resolve_device
    from paw_stack.network.train_loop import Recipe

    config, device = job.config, resolve_device(job.config.compute)
    return Recipe(
        backbone,
        config.regressor,
        config.loss,
        config.finetune,
        job.competition.bounds,
        device,
        seed=seed_of(config.run.seed, backbone.name, fold),
        workers=n_workers(config.run.workers, device),
        views_seed=config.run.seed,
    )


def fold_rows(job: Job, fold: int) -> "FoldRows":
    """Rows that fold k's network learns from, is chosen by and predicts."""
    from paw_stack.network.dataloader import FoldRows

    competition, n = job.competition, len(job.competition.target)
    m = len(job.paths) - n
    fit, inner = _inner_split(job, job.folds.training_rows(fold))
    label, n_classes = _labels(competition.classes, m)
    weight = competition.weight
    counted = None if weight is None else np.concatenate([weight, np.ones(m)])
    return FoldRows(
        fit=fit,
        inner=inner,
        held_out=job.folds.held_out_rows(fold),
        test=np.arange(n, n + m),
        ids=job.ids,
        target=np.concatenate([competition.target, np.full(m, np.nan)]),
        metadata=job.metadata if job.config.regressor.metadata != "none" else np.empty((n + m, 0)),
        label=label,
        n_classes=n_classes,
        weight=None if counted is None else counted.astype(np.float32),
        sample_weight=counted,
    )


def fold_metadata(job: Job, fold: int) -> np.ndarray:
    """Metadata (n + m, n_metadata) float32 as fold `fold`'s network sees it."""
    return fold_rows(job, fold).standardised()


def _inner_split(job: Job, fit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The training rows, and those of them that choose the epoch: stratified, no group in both."""
    section = job.config.finetune
    if section.keep != "best_inner":
        return fit, fit[:0]
    target, group_of = job.competition.target[fit], job.folds.group_of[fit]
    parts = min(round(1 / section.inner_share), len(np.unique(group_of)))
    inner = make_folds(target, group_of, parts, None, job.config.run.seed)
    return fit[inner.training_rows(0)], fit[inner.held_out_rows(0)]


def _labels(classes: np.ndarray | None, m: int) -> tuple[np.ndarray | None, int]:
    """Class numbers (n + m,) int64 in alphabetical order, -1 for unknown and test rows."""
    if classes is None:
        return None, 0
    names = sorted(set(classes) - {""})
    number = {name: index for index, name in enumerate(names)}
    labelled = np.array([number.get(name, -1) for name in classes], dtype=np.int64)
    return np.concatenate([labelled, np.full(m, -1)]), len(names)


def _write(step: Step, rows: "FoldRows", result: "FinetunedFold") -> None:
    from paw_stack.report.history import draw_history

    write_weights(step.folder / "weights.safetensors", result.weights)
    _write_history(step, result.history)
    write_file(step.folder / "history.png", lambda path: draw_history(result.history, path))
    for name, chosen, predicted in (
        ("held_out", rows.held_out, result.held_out),
        ("test", rows.test, result.test),
    ):
        table = pd.DataFrame({"Id": rows.ids[chosen], "prediction": predicted})
        write_csv(step.folder / f"{name}.csv", table)


def _write_history(step: Step, history: list[dict[str, float]]) -> None:
    from paw_stack.report.history import write_events

    write_csv(step.folder / "history.csv", pd.DataFrame(history))
    write_file(step.folder / "events.out.tfevents.history", partial(write_events, history))


def seed_of(*parts: Any) -> int:
    """A 31-bit seed that differs between backbones and folds."""
    return int(digest(*parts)[:8], 16) >> 1
