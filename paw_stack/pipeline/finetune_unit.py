"""Unit (finetune, backbone, fold): its inputs, its call, what it writes, how it goes on."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from paw_stack.artifacts import (
    Unit,
    read_state,
    read_weights,
    write_csv,
    write_file,
    write_state,
    write_weights,
)
from paw_stack.config import BackboneSection, digest
from paw_stack.console import say
from paw_stack.data.folds import make_folds
from paw_stack.data.nouns import State
from paw_stack.pipeline.job import Job
from paw_stack.ranks import n_processes, rank

if TYPE_CHECKING:
    import torch


def finetune_unit(job: Job, backbone: BackboneSection, fold: int) -> Unit:
    config = job.config
    uses_metadata = config.regressor.metadata != "none"
    classes = job.competition.classes
    return job.run.unit(
        f"finetune/{backbone.name}/fold{fold}",
        {
            "run.seed": config.run.seed,
            "data.resize": config.data.resize,
            "backbone": backbone,
            "backbone.weights": job.weights_digest(backbone),
            "regressor": config.regressor,
            "loss": config.loss,
            "finetune": config.finetune,
            "compute": config.compute,
            "photos": job.photos_digest,
            "target": job.target_digest,
            "held-out rows": job.folds.held_out_rows(fold).tolist(),
            "groups": job.folds.group_of.tolist() if config.finetune.keep == "best_inner" else None,
            "metadata": job.metadata.tolist() if uses_metadata else None,
            "auxiliary classes": None if classes is None else classes.tolist(),
            "warm start": _warm_digest(job, backbone, fold),
        },
    )


def finetune_one(job: Job, backbone: BackboneSection, fold: int, unit: Unit) -> None:
    """Train, from the last finished epoch where an interrupted run left its state.

    Of several processes all train, and the first alone reads and writes.
    """
    from paw_stack.network.device import from_first
    from paw_stack.network.finetune import finetune_fold

    recipe, rows = _recipe(job, backbone, fold), _rows(job, fold)
    what = f"finetune {backbone.name} fold {fold}"
    resumed, start = from_first(_beginning(job, backbone, fold, unit), recipe.device)
    if resumed:
        say(f"{what}: goes on after epoch {resumed.epoch}")
    if n_processes() > 1:
        section = job.config.finetune
        say(
            f"{what}: {n_processes()} processes share batches of {section.batch_size} photos,"
            f" learning rate {section.learning_rate:g}"
        )
    pixels = job.pixels(backbone)
    if rank():
        finetune_fold(pixels, rows, recipe, what, start, resumed)
        return
    unit.begin()
    result = finetune_fold(pixels, rows, recipe, what, start, resumed, partial(_keep, unit))
    _write(unit, rows, result)
    unit.finish(device=str(recipe.device), processes=n_processes(), metadata=rows.scale())
    unit.state.unlink(missing_ok=True)
    say(_sentence(what, result.history, str(recipe.device)))


def _beginning(
    job: Job, backbone: BackboneSection, fold: int, unit: Unit
) -> tuple[State | None, dict[str, "torch.Tensor"] | None]:
    """What an interrupted run left, or the weights to warm-start from."""
    if rank():
        return None, None
    if unit.twin:
        unit.twin.fetch_state()
    resumed = read_state(unit.state, unit.fingerprint)
    warm = None if resumed else _warm_file(job, backbone, fold)
    return resumed, read_weights(warm) if warm else None


def _keep(unit: Unit, state: State) -> None:
    write_state(unit.state, state, unit.fingerprint)
    if unit.twin:
        unit.twin.push_state()
    _write_history(unit, state.history)


def _sentence(what: str, history: list[dict[str, float]], device: str) -> str:
    last = history[-1]
    return (
        f"{what}: {last['epoch']} epochs, fit RMSE {last['fit_rmse']:.2f},"
        f" {last['photos_per_second']:.0f} photos/s, on {device}"
    )


def _recipe(job: Job, backbone: BackboneSection, fold: int) -> Any:
    from paw_stack.network.device import resolve_device
    from paw_stack.network.finetune import Recipe

    config = job.config
    return Recipe(
        backbone,
        config.regressor,
        config.loss,
        config.finetune,
        job.competition.bounds,
        resolve_device(config.compute),
        seed=_seed(config.run.seed, backbone.name, fold),
        workers=config.run.workers,
    )


def _rows(job: Job, fold: int) -> Any:
    from paw_stack.network.batches import FoldRows

    competition, n = job.competition, len(job.competition.target)
    m = len(job.paths) - n
    fit, inner = _inner_split(job, job.folds.fit_rows(fold))
    label, n_classes = _labels(competition.classes, m)
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
    )


def fold_metadata(job: Job, fold: int) -> np.ndarray:
    """Metadata (n + m, n_metadata) float32 as fold `fold`'s network sees it."""
    standardised: np.ndarray = _rows(job, fold).standardised()
    return standardised


def _inner_split(job: Job, fit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The fit rows, and those of them that choose the epoch: stratified, no group in both."""
    section = job.config.finetune
    if section.keep != "best_inner":
        return fit, fit[:0]
    parts = round(1 / section.inner_share)
    target, group_of = job.competition.target[fit], job.folds.group_of[fit]
    inner = make_folds(target, group_of, parts, None, job.config.run.seed)
    return fit[inner.fit_rows(0)], fit[inner.held_out_rows(0)]


def _labels(classes: np.ndarray | None, m: int) -> tuple[np.ndarray | None, int]:
    """Class numbers (n + m,) int64 in alphabetical order, -1 for unknown and test rows."""
    if classes is None:
        return None, 0
    names = sorted(set(classes) - {""})
    number = {name: index for index, name in enumerate(names)}
    labelled = np.array([number.get(name, -1) for name in classes], dtype=np.int64)
    return np.concatenate([labelled, np.full(m, -1)]), len(names)


def _warm_file(job: Job, backbone: BackboneSection, fold: int) -> Path | None:
    source = job.config.finetune.warm_start
    if source is None:
        return None
    folds = pd.Series(job.folds.fold_of, index=job.competition.labelled.ids)
    return job.run.warm_start(source, backbone.name, fold, folds)


def _warm_digest(job: Job, backbone: BackboneSection, fold: int) -> str | None:
    """Of the record that the other run's unit ended with."""
    weights = _warm_file(job, backbone, fold)
    if weights is None:
        return None
    return digest((weights.parent / "done.json").read_text(encoding="utf-8"))


def _write(unit: Unit, rows: Any, result: Any) -> None:
    from paw_stack.report.history import draw_history

    write_weights(unit.folder / "weights.safetensors", result.weights)
    _write_history(unit, result.history)
    write_file(unit.folder / "history.png", lambda path: draw_history(result.history, path))
    for name, chosen, predicted in (
        ("held_out", rows.held_out, result.held_out),
        ("test", rows.test, result.test),
    ):
        table = pd.DataFrame({"Id": rows.ids[chosen], "prediction": predicted})
        write_csv(unit.folder / f"{name}.csv", table)


def _write_history(unit: Unit, history: list[dict[str, float]]) -> None:
    from paw_stack.report.history import write_events

    write_csv(unit.folder / "history.csv", pd.DataFrame(history))
    write_file(unit.folder / "events.out.tfevents.history", partial(write_events, history))


def _seed(*parts: Any) -> int:
    """A 31-bit seed that differs between backbones and folds."""
    return int(digest(*parts)[:8], 16) >> 1
