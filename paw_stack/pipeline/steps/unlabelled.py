"""Everything about photos without a score that a fold's training waits for."""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from paw_stack.artifacts import (
    Step,
    read_weights,
    write_array,
    write_csv,
    write_picture,
    write_weights,
)
from paw_stack.config import AuxiliarySection, BackboneSection, LossSection
from paw_stack.console import say
from paw_stack.data.types import Checkpoint
from paw_stack.errors import ConfigError
from paw_stack.pipeline.experiment import Job
from paw_stack.pipeline.steps.finetune import (
    fold_recipe,
    fold_rows,
    seed_of,
)
from paw_stack.pipeline.steps.training_data import with_extra
from paw_stack.pipeline.steps.unlabelled_photos import all_pixels, encoder

if TYPE_CHECKING:
    from paw_stack.network.dataloader import FoldRows

KEEP_EVERY_S = 5.0
SHOWN = 8  # photos in a line of a contact sheet, and lines


def _begun(step: Step) -> Checkpoint | None:
    """Begin a step; the state after its last finished epoch, where it was interrupted."""
    resumed = step.interrupted()
    if resumed:
        say(f"{step.name}: goes on after epoch {resumed.epoch}")
    step.begin()
    return resumed


def _keeper(step: Step) -> Callable[[Checkpoint], None]:
    """Writes the state after an epoch, unless it was written a moment ago: epochs are short."""
    last = -math.inf

    def keep(state: Checkpoint) -> None:
        nonlocal last
        if time.perf_counter() - last >= KEEP_EVERY_S:
            step.keep(state)
            last = time.perf_counter()

    return keep


def pretrain(job: Job, backbone: BackboneSection, step: Step) -> None:
    """Let the backbone learn the class column of the extra rows.

    Scores weigh nothing and no labelled row takes part.
    """
    from paw_stack.network.train_loop import finetune_fold

    resumed = _begun(step)
    section = job.config.extra.pretrain
    assert section is not None
    rows = _class_rows(job)
    recipe = fold_recipe(job, backbone, fold=0)
    changes = {"epochs": section.epochs, "keep": "last", "patience": None, "freeze": 0, "mixup": 0}
    changes["views"] = None
    changes["learning_rate"] = section.learning_rate or recipe.finetune.learning_rate
    recipe = replace(
        recipe,
        loss=LossSection(kind="mse", auxiliary=AuxiliarySection(column="class", weight=1.0)),
        finetune=recipe.finetune.model_copy(update=changes),
        seed=seed_of(job.config.run.seed, "pretrain", backbone.name),
    )
    pixels = all_pixels(job, backbone, step.needs)
    done = finetune_fold(pixels, rows, recipe, step.name, None, resumed, _keeper(step))
    kept = {name: part for name, part in done.weights.items() if name.startswith("backbone.")}
    write_weights(step.folder / "weights.safetensors", kept)
    history = pd.DataFrame(done.history).drop(columns=["loss_main", "fit_rmse"])
    write_csv(step.folder / "history.csv", history)
    loss = float(history["loss_auxiliary"].iloc[-1])
    step.finish(cross_entropy=loss, classes=rows.n_classes)
    say(f"{step.name}: {len(rows.fit)} rows, {rows.n_classes} classes, cross entropy {loss:.3f}")


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
        sample_weight=None,
    )


def autoencode(job: Job, step: Step) -> None:
    """Train the autoencoder on the extra and the test photos; measure it on the labelled ones."""
    from paw_stack.network.backbone import input_size
    from paw_stack.network.device import resolve_device
    from paw_stack.semi_supervised.autoencoder import pixel_rmse, reconstruct, train_autoencoder

    resumed = _begun(step)
    section, backbone = job.config.extra.autoencoder, encoder(job)
    assert section is not None and backbone is not None
    device, n = resolve_device(job.config.compute), len(job.competition.target)
    pixels = job.decoded([*job.paths, *job.extra.paths], input_size(backbone))
    photos = np.load(pixels, mmap_mode="r")
    rows = np.arange(n, len(photos))
    if not len(rows):
        raise ConfigError("extra.autoencoder: learns photos without a label; set data.extra")
    seed = seed_of(job.config.run.seed, "autoencoder")
    keep = _keeper(step)
    done = train_autoencoder(pixels, rows, backbone, section, device, seed, resumed, keep)
    weights = {name: part.cpu() for name, part in done.model.state_dict().items()}
    write_weights(step.folder / "weights.safetensors", weights)
    write_csv(step.folder / "history.csv", pd.DataFrame(done.history))
    pictures = reconstruct(done.model, photos[:n], device)
    mean = photos[rows].mean(axis=0)
    errors = pixel_rmse(pictures, photos[:n]), pixel_rmse(mean[None], photos[:n])
    shown = np.linspace(0, n - 1, SHOWN * SHOWN // 2).astype(int)
    write_picture(step.folder / "samples.png", _pairs(photos[shown], pictures[shown]))
    step.finish(pixel_rmse=errors[0], mean_image_rmse=errors[1])
    say(
        f"{step.name}: {len(rows)} photos; on the {n} labelled ones, which it never saw, it misses"
        f" a pixel by {errors[0]:.1f} levels, a mean image by {errors[1]:.1f};"
        f" {step.folder / 'samples.png'}"
    )


def reconstruct_photos(job: Job, step: Step) -> None:
    """Keep what the autoencoder makes of every photo."""
    from paw_stack.network.backbone import input_size
    from paw_stack.network.device import resolve_device
    from paw_stack.semi_supervised.autoencoder import load_autoencoder, reconstruct

    step.begin()
    section, backbone = job.config.extra.autoencoder, encoder(job)
    assert section is not None and backbone is not None
    source = step.needs["autoencoder"]
    job.run.require(source)
    weights = read_weights(source.folder / "weights.safetensors")
    pixels = job.decoded([*job.paths, *job.extra.paths], input_size(backbone))
    model, device = load_autoencoder(backbone, section, weights), resolve_device(job.config.compute)
    pictures = reconstruct(model.to(device.name), np.load(pixels, mmap_mode="r"), device)
    write_array(step.folder / "all.npy", pictures)
    write_array(step.folder / "known.npy", pictures[: len(job.ids)])
    step.finish()
    say(f"{step.name}: {len(pictures)} photos")


def draw(job: Job, fold: int, step: Step) -> None:
    """Train fold k's generator on its training rows and keep what it draws."""
    from paw_stack.network.device import Device, resolve_device
    from paw_stack.semi_supervised.gan import train_gan

    resumed = _begun(step)
    section = job.config.extra.gan
    assert section is not None
    pixels = job.decoded(job.paths, section.size)
    rows, seed = job.folds.training_rows(fold), seed_of(job.config.run.seed, "gan", fold)
    # The two networks' balance is lost in bfloat16, and networks so small gain no time by it.
    device, keep = Device(resolve_device(job.config.compute).name, "fp32"), _keeper(step)
    done = train_gan(pixels, rows, section, device, seed, resumed, keep)
    for number, photo in enumerate(done.photos):
        write_picture(step.folder / f"drawn_{number:05}.png", photo)
    write_csv(step.folder / "history.csv", pd.DataFrame(done.history))
    write_picture(step.folder / "samples.png", _sheet(done.photos[: SHOWN * SHOWN]))
    step.finish()
    drawn = f"{len(done.photos)} photos drawn from {len(rows)}"
    say(f"{step.name}: {drawn}; {step.folder / 'samples.png'}")


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
