"""Unit (finetune, backbone, fold): its inputs, its call, what it writes, how it goes on."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from paw_stack.artifacts import (
    Unit,
    read_csv,
    read_weights,
    write_csv,
    write_weights,
)
from paw_stack.atomic import write_file
from paw_stack.config import BackboneSection, digest
from paw_stack.console import say
from paw_stack.data.folds import make_folds
from paw_stack.data.nouns import State
from paw_stack.errors import ConfigError
from paw_stack.pipeline.extra_units import (
    all_pixels,
    gan_unit,
    is_fed,
    known_pixels,
    pictures_unit,
    pretrain_unit,
)
from paw_stack.pipeline.job import Job
from paw_stack.pipeline.published import weights_digest
from paw_stack.pipeline.second_round import second_round
from paw_stack.ranks import n_processes, rank

if TYPE_CHECKING:
    import torch


def finetune_unit(job: Job, backbone: BackboneSection, fold: int) -> Unit:
    inputs = _inputs(job, backbone, fold)
    extra = job.config.extra
    if extra.pseudo:
        inputs |= {
            "pseudo-labels": labels_unit(job, backbone, fold).fingerprint,
            "extra.pseudo.share": extra.pseudo.share,
            "extra.pseudo.start": extra.pseudo.start,
            "extra.gan.auxiliary": extra.gan.auxiliary if extra.gan else 0.0,
        }
    return job.run.unit(f"finetune/{backbone.name}/fold{fold}", inputs)


def teacher_unit(job: Job, backbone: BackboneSection, fold: int) -> Unit:
    """The first round of a run with pseudo-labels: the same training without extra rows."""
    return job.run.unit(f"teacher/{backbone.name}/fold{fold}", _inputs(job, backbone, fold))


def labels_unit(job: Job, backbone: BackboneSection, fold: int) -> Unit:
    """Pseudo-labels of fold k's extra rows."""
    pseudo, source = job.config.extra.pseudo, _source_file(job, backbone, fold)
    if pseudo is None:
        raise ConfigError("extra.pseudo: is not in the config, which must say how to label")
    teacher = _digest_of(source) if source else teacher_unit(job, backbone, fold).fingerprint
    return job.run.unit(
        f"pseudo/{backbone.name}/fold{fold}",
        {
            "extra.pseudo": pseudo.model_dump(include={"policy", "soft", "confidence"}),
            "run.seed": job.config.run.seed,
            "teacher": teacher,
            "extra photos": job.extra.content,
            "drawn photos": gan_unit(job, fold).fingerprint if job.config.extra.gan else None,
            "target": job.target_digest,
            "held-out rows": job.folds.held_out_rows(fold).tolist(),
        },
    )


def teacher_weights(job: Job, backbone: BackboneSection, fold: int) -> Path:
    """Of the network that labels: another run's fold k, or this run's first round.

    Raises:
        ArtifactError: it is not there.
    """
    source = _source_file(job, backbone, fold)
    if source:
        return source
    unit = teacher_unit(job, backbone, fold)
    job.run.require(unit)
    return unit.folder / "weights.safetensors"


def _inputs(job: Job, backbone: BackboneSection, fold: int) -> dict[str, Any]:
    config = job.config
    uses_metadata = config.regressor.metadata != "none"
    classes = job.competition.classes
    inputs = {
        "run.seed": config.run.seed,
        "data.resize": config.data.resize,
        "backbone": backbone,
        "backbone.weights": weights_digest(backbone),
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
    }
    if config.extra.pretrain:
        inputs["pretrained backbone"] = pretrain_unit(job, backbone).fingerprint
    if is_fed(job, backbone):
        inputs["reconstructions"] = pictures_unit(job).fingerprint
    return inputs


def finetune_one(job: Job, backbone: BackboneSection, fold: int, unit: Unit) -> None:
    """Train, from the last finished epoch where an interrupted run left its state.

    With pseudo-labels the unit is a first round, without extra rows, or the second, with them. Of
    several processes all train, and the first alone reads and writes.
    """
    from paw_stack.network.device import from_first
    from paw_stack.network.finetune import finetune_fold
    from paw_stack.network.regressor import span_of

    taught = bool(job.config.extra.pseudo) and unit.folder.parents[1].name == "finetune"
    recipe, rows = fold_recipe(job, backbone, fold), fold_rows(job, fold)
    pixels = known_pixels(job, backbone)
    if taught:
        labels = labels_unit(job, backbone, fold)
        job.run.require(labels)
        recipe, rows = second_round(job, recipe, rows, read_csv(labels.folder / "labels.csv"))
        pixels = all_pixels(job, backbone, fold)
    what = f"{unit.folder.parents[1].name} {backbone.name} fold {fold}"
    resumed, start = from_first(_beginning(job, backbone, fold, unit, taught), recipe.device)
    if resumed:
        say(f"{what}: goes on after epoch {resumed.epoch}")
    if n_processes() > 1:
        section = job.config.finetune
        say(
            f"{what}: {n_processes()} processes share batches of {section.batch_size} photos,"
            f" learning rate {section.learning_rate:g}"
        )
    if rank():
        finetune_fold(pixels, rows, recipe, what, start, resumed)
        return
    unit.begin()
    result = finetune_fold(pixels, rows, recipe, what, start, resumed, partial(_keep, unit))
    _write(unit, rows, result)
    span = span_of(recipe.loss, recipe.bounds, rows.target[rows.fit])
    facts = {"metadata": rows.scale(), "span": list(span)}
    unit.finish(device=str(recipe.device), processes=n_processes(), **facts)
    if start and (anew := _parts(result.weights) - _parts(start)):
        say(f"{what}: {', '.join(sorted(anew))} began at random: what it starts from has none")
    say(_sentence(what, result.history, str(recipe.device)))


def _parts(weights: dict[str, "torch.Tensor"]) -> set[str]:
    return {name.partition(".")[0] for name in weights}


def _beginning(
    job: Job, backbone: BackboneSection, fold: int, unit: Unit, taught: bool
) -> tuple[State | None, dict[str, "torch.Tensor"] | None]:
    """What an interrupted run left, or the weights to warm-start from."""
    if rank():
        return None, None
    resumed = unit.interrupted()
    start = None if resumed else _start_file(job, backbone, fold, taught)
    return resumed, read_weights(start) if start else None


def _start_file(job: Job, backbone: BackboneSection, fold: int, taught: bool) -> Path | None:
    """Weights to begin from, in place of the pretrained ones."""
    extra = job.config.extra
    if taught and extra.pseudo and extra.pseudo.start == "teacher":
        return teacher_weights(job, backbone, fold)
    if extra.pretrain:
        unit = pretrain_unit(job, backbone)
        job.run.require(unit)
        return unit.folder / "weights.safetensors"
    return _warm_file(job, backbone, fold)


def _keep(unit: Unit, state: State) -> None:
    unit.keep(state)
    _write_history(unit, state.history)


def _sentence(what: str, history: list[dict[str, float]], device: str) -> str:
    last = history[-1]
    return (
        f"{what}: {last['epoch']} epochs, fit RMSE {last['fit_rmse']:.2f},"
        f" {last['photos_per_second']:.0f} photos/s, on {device}"
    )


def fold_recipe(job: Job, backbone: BackboneSection, fold: int) -> Any:
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
        seed=seed_of(config.run.seed, backbone.name, fold),
        workers=config.run.workers,
    )


def fold_rows(job: Job, fold: int) -> Any:
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
    standardised: np.ndarray = fold_rows(job, fold).standardised()
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
    return _other_runs(job, "finetune.warm_start", source, backbone, fold)


def _source_file(job: Job, backbone: BackboneSection, fold: int) -> Path | None:
    pseudo = job.config.extra.pseudo
    return _other_runs(
        job, "extra.pseudo.source", pseudo.source if pseudo else None, backbone, fold
    )


def _other_runs(
    job: Job, key: str, source: Path | None, backbone: BackboneSection, fold: int
) -> Path | None:
    """Weights of fold k of the run that the config's `key` names."""
    if source is None:
        return None
    folds = pd.Series(job.folds.fold_of, index=job.competition.labelled.ids)
    return job.run.warm_start(key, source, backbone.name, fold, folds)


def _warm_digest(job: Job, backbone: BackboneSection, fold: int) -> str | None:
    weights = _warm_file(job, backbone, fold)
    return _digest_of(weights) if weights else None


def _digest_of(weights: Path) -> str:
    """Of the record that the other run's unit ended with."""
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


def seed_of(*parts: Any) -> int:
    """A 31-bit seed that differs between backbones and folds."""
    return int(digest(*parts)[:8], 16) >> 1
