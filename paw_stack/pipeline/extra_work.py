"""Everything about photos without a score that a fold's training waits for."""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from paw_stack.artifacts import (
    Unit,
    read_weights,
    write_array,
    write_csv,
    write_picture,
    write_weights,
)
from paw_stack.config import AuxiliarySection, BackboneSection, LossSection
from paw_stack.console import say
from paw_stack.data.nouns import State
from paw_stack.errors import ConfigError
from paw_stack.pipeline.extra_units import (
    all_pixels,
    autoencoder_unit,
    encoder,
    gan_unit,
    pictures_unit,
    pretrain_unit,
)
from paw_stack.pipeline.finetune_unit import (
    fold_recipe,
    fold_rows,
    seed_of,
)
from paw_stack.pipeline.job import Job
from paw_stack.pipeline.second_round import with_extra

if TYPE_CHECKING:
    from paw_stack.network.batches import FoldRows

KEEP_EVERY_S = 5.0
SHOWN = 8  # photos in a line of a contact sheet, and lines


def autoencode(job: Job) -> None:
    """Train the autoencoder on the extra and the test photos."""
    _make(job, autoencoder_unit(job), "autoencoder", _autoencode)


def reconstruct_photos(job: Job) -> None:
    """Keep what the autoencoder makes of every photo."""
    _make(job, pictures_unit(job), "reconstructions", _reconstruct)


def pretrain(job: Job, backbone: BackboneSection) -> None:
    """Let the backbone learn the class column of the extra rows."""
    work = partial(_pretrain, backbone=backbone)
    _make(job, pretrain_unit(job, backbone), f"pretrain {backbone.name}", work)


def draw(job: Job, fold: int) -> None:
    """Train fold k's generator on its fit rows and keep what it draws."""
    _make(job, gan_unit(job, fold), f"gan fold {fold}", partial(_draw, fold=fold))


def _make(job: Job, unit: Unit, what: str, work: Any) -> None:
    """Do the unit's work, from the last finished epoch."""
    resumed = unit.interrupted()
    if resumed:
        say(f"{what}: goes on after epoch {resumed.epoch}")
    unit.begin()
    facts, sentence = work(job, unit, resumed)
    unit.finish(**facts)
    say(f"{what}: {sentence}")


def _keeper(unit: Unit) -> Callable[[State], None]:
    """Writes the state after an epoch, unless it was written a moment ago: epochs are short."""
    last = -math.inf

    def keep(state: State) -> None:
        nonlocal last
        if time.perf_counter() - last >= KEEP_EVERY_S:
            unit.keep(state)
            last = time.perf_counter()

    return keep


def _pretrain(
    job: Job, unit: Unit, resumed: State | None, backbone: BackboneSection
) -> tuple[dict[str, Any], str]:
    """The backbone learns the class column; scores weigh nothing and no labelled row takes part."""
    from paw_stack.network.finetune import finetune_fold

    section = job.config.extra.pretrain
    assert section is not None
    rows = _class_rows(job)
    recipe = fold_recipe(job, backbone, fold=0)
    changes = {"epochs": section.epochs, "keep": "last", "patience": None, "freeze": 0, "mixup": 0}
    changes["learning_rate"] = section.learning_rate or recipe.finetune.learning_rate
    recipe = replace(
        recipe,
        loss=LossSection(kind="mse", auxiliary=AuxiliarySection(column="class", weight=1.0)),
        finetune=recipe.finetune.model_copy(update=changes),
        seed=seed_of(job.config.run.seed, "pretrain", backbone.name),
    )
    pixels = all_pixels(job, backbone)
    what = f"pretrain {backbone.name}"
    done = finetune_fold(pixels, rows, recipe, what, None, resumed, _keeper(unit))
    kept = {name: part for name, part in done.weights.items() if name.startswith("backbone.")}
    write_weights(unit.folder / "weights.safetensors", kept)
    history = pd.DataFrame(done.history).drop(columns=["loss_main", "fit_rmse"])
    write_csv(unit.folder / "history.csv", history)
    loss = float(history["loss_auxiliary"].iloc[-1])
    return {"cross_entropy": loss, "classes": rows.n_classes}, (
        f"{len(rows.fit)} rows, {rows.n_classes} classes, cross entropy {loss:.3f}"
    )


def _class_rows(job: Job) -> "FoldRows":
    """Extra rows whose class is known, to be learned from; nothing to be predicted.

    Raises:
        ConfigError: fewer than two classes.
    """
    names = sorted(set(job.extra.classes) - {""})
    if len(names) < 2:
        column = job.config.data.extra and job.config.data.extra.column
        raise ConfigError(
            f"data.extra.column: {column} holds {names}; expected two or more classes"
        )
    number = {name: index for index, name in enumerate(names)}
    label = np.array([number.get(name, -1) for name in job.extra.classes], dtype=np.int64)
    n, e = len(job.ids), len(label)
    middle = float(np.clip(0.0, *job.competition.bounds))  # any score: it weighs nothing
    rows = with_extra(fold_rows(job, 0), np.full(e, middle), np.zeros(e))
    known = n + np.flatnonzero(label >= 0)
    return replace(
        rows,
        fit=known,
        inner=known[:0],
        held_out=known[:0],
        test=known[:0],
        target=np.full(n + e, middle),
        metadata=np.zeros_like(rows.metadata),
        label=np.concatenate([np.full(n, -1, dtype=np.int64), label]),
        n_classes=len(names),
        extra=known[:0],
    )


def _autoencode(job: Job, unit: Unit, resumed: State | None) -> tuple[dict[str, Any], str]:
    """Trained on photos without a label, measured on those that have one."""
    from paw_stack.extra.autoencoder import pixel_rmse, reconstruct, train_autoencoder
    from paw_stack.network.backbone import input_size
    from paw_stack.network.device import resolve_device

    section, backbone = job.config.extra.autoencoder, encoder(job)
    assert section is not None and backbone is not None
    device, n = resolve_device(job.config.compute), len(job.competition.target)
    pixels = job.decoded([*job.paths, *job.extra.paths], input_size(backbone))
    photos = np.load(pixels, mmap_mode="r")
    rows = np.arange(n, len(photos))
    if not len(rows):
        raise ConfigError("extra.autoencoder: learns photos without a label; set data.extra")
    seed = seed_of(job.config.run.seed, "autoencoder")
    keep = _keeper(unit)
    done = train_autoencoder(pixels, rows, backbone, section, device, seed, resumed, keep)
    weights = {name: part.cpu() for name, part in done.model.state_dict().items()}
    write_weights(unit.folder / "weights.safetensors", weights)
    write_csv(unit.folder / "history.csv", pd.DataFrame(done.history))
    pictures = reconstruct(done.model, photos[:n], device)
    mean = photos[rows].mean(axis=0)
    errors = pixel_rmse(pictures, photos[:n]), pixel_rmse(mean[None], photos[:n])
    shown = np.linspace(0, n - 1, SHOWN * SHOWN // 2).astype(int)
    write_picture(unit.folder / "samples.png", _pairs(photos[shown], pictures[shown]))
    return {"pixel_rmse": errors[0], "mean_image_rmse": errors[1]}, (
        f"{len(rows)} photos; on the {n} labelled ones, which it never saw, it misses a pixel by"
        f" {errors[0]:.1f} levels, a mean image by {errors[1]:.1f}; {unit.folder / 'samples.png'}"
    )


def _reconstruct(job: Job, unit: Unit, resumed: State | None) -> tuple[dict[str, Any], str]:
    from paw_stack.extra.autoencoder import load_autoencoder, reconstruct
    from paw_stack.network.backbone import input_size
    from paw_stack.network.device import resolve_device

    section, backbone = job.config.extra.autoencoder, encoder(job)
    assert section is not None and backbone is not None
    source = autoencoder_unit(job)
    job.run.require(source)
    weights = read_weights(source.folder / "weights.safetensors")
    pixels = job.decoded([*job.paths, *job.extra.paths], input_size(backbone))
    model, device = load_autoencoder(backbone, section, weights), resolve_device(job.config.compute)
    pictures = reconstruct(model.to(device.name), np.load(pixels, mmap_mode="r"), device)
    write_array(unit.folder / "all.npy", pictures)
    write_array(unit.folder / "known.npy", pictures[: len(job.ids)])
    return {}, f"{len(pictures)} photos"


def _draw(job: Job, unit: Unit, resumed: State | None, fold: int) -> tuple[dict[str, Any], str]:
    from paw_stack.extra.gan import train_gan
    from paw_stack.network.device import Device, resolve_device

    section = job.config.extra.gan
    assert section is not None
    pixels = job.decoded(job.paths, section.size)
    rows, seed = job.folds.fit_rows(fold), seed_of(job.config.run.seed, "gan", fold)
    # The two networks' balance is lost in bfloat16, and networks so small gain no time by it.
    device, keep = Device(resolve_device(job.config.compute).name, "fp32"), _keeper(unit)
    done = train_gan(pixels, rows, section, device, seed, resumed, keep)
    for number, photo in enumerate(done.photos):
        write_picture(unit.folder / f"drawn_{number:05}.png", photo)
    write_csv(unit.folder / "history.csv", pd.DataFrame(done.history))
    write_picture(unit.folder / "samples.png", _sheet(done.photos[: SHOWN * SHOWN]))
    return {}, f"{len(done.photos)} photos drawn from {len(rows)}; {unit.folder / 'samples.png'}"


def _sheet(photos: np.ndarray) -> np.ndarray:
    """(n, h, w, 3) -> one picture, SHOWN photos a line."""
    whole = photos[: max(SHOWN, len(photos) // SHOWN * SHOWN)]
    lines = [list(whole[i : i + SHOWN]) for i in range(0, len(whole), SHOWN)]
    return np.vstack([np.hstack(line) for line in lines])


def _pairs(photos: np.ndarray, pictures: np.ndarray) -> np.ndarray:
    """Each line of photos above the line of their reconstructions."""
    both = np.stack(
        [
            photos.reshape(-1, SHOWN, *photos.shape[1:]),
            pictures.reshape(-1, SHOWN, *photos.shape[1:]),
        ],
        axis=1,
    )
    return _sheet(both.reshape(-1, *photos.shape[1:]))
