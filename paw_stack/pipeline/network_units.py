"""Units (finetune, backbone, fold) and (embed, backbone, fold)."""

import numpy as np
import pandas as pd

from paw_stack.artifacts import Unit, read_csv, read_weights
from paw_stack.config import BackboneSection
from paw_stack.console import say
from paw_stack.data.nouns import Predictions
from paw_stack.pipeline.finetune_unit import finetune_one, finetune_unit, fold_metadata
from paw_stack.pipeline.job import Job


def finetune_all(job: Job, folds: list[int]) -> None:
    """Train what is not done yet. The first of several processes knows what that is."""
    from paw_stack.network.device import from_first, leave_group, resolve_device

    device = resolve_device(job.config.compute)
    for backbone in (b for b in job.config.backbones if not b.frozen):
        for fold in folds:
            unit = finetune_unit(job, backbone, fold)
            if from_first(unit.record(), device):
                say(f"finetune {backbone.name} fold {fold}: done before, skipped")
            else:
                finetune_one(job, backbone, fold, unit)
    leave_group()


def is_optimistic(job: Job, backbone: BackboneSection) -> bool:
    """Held-out rows chose the epoch, so whatever is built on it looks better than it is."""
    return not backbone.frozen and job.config.finetune.keep == "best_held_out"


def network_predictions(job: Job, folds: list[int]) -> list[Predictions]:
    """Candidates `<backbone>.nn`, gathered from the folds."""
    return [_gather(job, b, folds) for b in job.config.backbones if not b.frozen]


def _gather(job: Job, backbone: BackboneSection, folds: list[int]) -> Predictions:
    ids = job.competition.labelled.ids
    oof, tests, seconds = pd.Series(np.nan, index=ids), [], 0.0
    for fold in folds:
        unit = finetune_unit(job, backbone, fold)
        seconds += job.run.require(unit)["seconds"]
        held_out = read_csv(unit.folder / "held_out.csv").set_index("Id")
        oof[held_out.index] = held_out["prediction"]
        test = read_csv(unit.folder / "test.csv").set_index("Id")
        tests.append(test["prediction"].reindex(job.competition.test.ids).to_numpy(dtype=float))
    name = f"{backbone.name}.nn"
    mean = np.mean(tests, axis=0)
    return Predictions(
        name,
        oof.to_numpy(),
        mean,
        tuple(folds),
        job.folds.fold_of,
        seconds,
        is_optimistic(job, backbone),
    )


def embed_unit(job: Job, backbone: BackboneSection, fold: int | None) -> Unit:
    config = job.config
    source = "" if fold is None else finetune_unit(job, backbone, fold).fingerprint
    return job.run.unit(
        f"embeddings/{backbone.name}/{'all' if fold is None else f'fold{fold}'}",
        {
            "data.resize": config.data.resize,
            "backbone": backbone,
            "embed": config.embed,
            "compute": config.compute,
            "photos": job.photos_digest,
            "weights": source,
        },
    )


def embed_all(job: Job, folds: list[int]) -> None:
    for backbone in job.config.backbones:
        for fold in [None] if backbone.frozen else folds:
            unit = embed_unit(job, backbone, fold)
            if unit.record():
                say(f"embed {_place(backbone, fold)}: done before, skipped")
            else:
                embed_one(job, backbone, fold, unit)


def embed_one(job: Job, backbone: BackboneSection, fold: int | None, unit: Unit) -> None:
    from paw_stack.embed import embed as embed_photos
    from paw_stack.embed import load_backbone
    from paw_stack.network.device import resolve_device

    weights = None
    if fold is not None:
        source = finetune_unit(job, backbone, fold)
        job.run.require(source)
        weights = read_weights(source.folder / "weights.safetensors")
    device = resolve_device(job.config.compute)
    pixels = job.pixels(backbone)
    unit.begin()
    what = f"embed {_place(backbone, fold)}"
    planes = None
    if fold is not None and job.config.regressor.metadata == "early":
        planes = fold_metadata(job, fold)
    network = load_backbone(backbone, weights, 0 if planes is None else planes.shape[1])
    vectors = embed_photos(network, pixels, backbone.layers, job.config.embed, device, what, planes)
    stored = {layer: rows.astype(job.config.embed.dtype) for layer, rows in vectors.items()}
    job.run.save_embeddings(unit, job.ids, stored)
    unit.finish(device=str(device))
    widths = ", ".join(f"{layer} {rows.shape[1]}" for layer, rows in stored.items())
    say(f"{what}: {len(job.ids)} rows, {widths} wide -> {unit.folder}")


def _place(backbone: BackboneSection, fold: int | None) -> str:
    return backbone.name if fold is None else f"{backbone.name} fold {fold}"
