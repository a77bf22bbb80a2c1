"""Units (finetune, backbone, fold) and (embed, backbone, fold)."""

from typing import Any

import numpy as np
import pandas as pd

from paw_stack.artifacts import Unit, read_csv, read_weights, write_csv, write_weights
from paw_stack.config import BackboneSection, digest
from paw_stack.console import say
from paw_stack.data.nouns import Predictions
from paw_stack.pipeline.job import Job


def finetune_unit(job: Job, backbone: BackboneSection, fold: int) -> Unit:
    config = job.config
    return job.run.unit(
        f"finetune/{backbone.name}/fold{fold}",
        config.run.seed,
        config.data.resize,
        backbone,
        config.finetune,
        config.compute,
        job.photos_digest,
        job.target_digest,
        job.folds.held_out_rows(fold).tolist(),
    )


def finetune_all(job: Job, folds: list[int]) -> None:
    for backbone in (b for b in job.config.backbones if not b.frozen):
        for fold in folds:
            unit = finetune_unit(job, backbone, fold)
            if unit.record():
                say(f"finetune {backbone.name} fold {fold}: done before, skipped")
            else:
                _finetune_one(job, backbone, fold, unit)


def _finetune_one(job: Job, backbone: BackboneSection, fold: int, unit: Unit) -> None:
    from paw_stack.network.device import resolve_device
    from paw_stack.network.finetune import FoldRows, finetune_fold

    config, competition = job.config, job.competition
    n = len(competition.target)
    fit = job.folds.fit_rows(fold)
    rows = FoldRows(
        fit, competition.target[fit], job.folds.held_out_rows(fold), np.arange(n, len(job.paths))
    )
    device = resolve_device(config.compute)
    pixels = job.pixels(backbone)
    unit.begin()
    what = f"finetune {backbone.name} fold {fold}"
    result = finetune_fold(
        pixels,
        rows,
        backbone,
        config.finetune,
        competition.bounds,
        device,
        seed=_seed(config.run.seed, backbone.name, fold),
        workers=config.run.workers,
        what=what,
    )
    write_weights(unit.folder / "weights.safetensors", result.weights)
    write_csv(unit.folder / "history.csv", pd.DataFrame(result.history))
    for name, ids, predicted in (
        ("held_out", competition.labelled.ids[rows.held_out], result.held_out),
        ("test", competition.test.ids, result.test),
    ):
        write_csv(unit.folder / f"{name}.csv", pd.DataFrame({"Id": ids, "prediction": predicted}))
    unit.finish(device=str(device))
    say(f"{what}: fit RMSE {result.history[-1]['fit_rmse']:.2f} in the last epoch, on {device}")


def _seed(*parts: Any) -> int:
    """A 31-bit seed that differs between backbones and folds."""
    return int(digest(*parts)[:8], 16) >> 1


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
    return Predictions(name, oof.to_numpy(), mean, tuple(folds), job.folds.fold_of, seconds)


def embed_unit(job: Job, backbone: BackboneSection, fold: int | None) -> Unit:
    config = job.config
    source = "" if fold is None else finetune_unit(job, backbone, fold).fingerprint
    return job.run.unit(
        f"embeddings/{backbone.name}/{'all' if fold is None else f'fold{fold}'}",
        config.data.resize,
        backbone,
        config.embed,
        config.compute,
        job.photos_digest,
        source,
    )


def embed_all(job: Job, folds: list[int]) -> None:
    for backbone in job.config.backbones:
        for fold in [None] if backbone.frozen else folds:
            unit = embed_unit(job, backbone, fold)
            if unit.record():
                say(f"embed {_place(backbone, fold)}: done before, skipped")
            else:
                _embed_one(job, backbone, fold, unit)


def _embed_one(job: Job, backbone: BackboneSection, fold: int | None, unit: Unit) -> None:
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
    network = load_backbone(backbone, weights)
    vectors = embed_photos(network, pixels, backbone.layers, job.config.embed, device, what)
    stored = {layer: rows.astype(job.config.embed.dtype) for layer, rows in vectors.items()}
    job.run.save_embeddings(unit, job.ids, stored)
    unit.finish(device=str(device))
    widths = ", ".join(f"{layer} {rows.shape[1]}" for layer, rows in stored.items())
    say(f"{what}: {len(job.ids)} rows, {widths} wide -> {unit.folder}")


def _place(backbone: BackboneSection, fold: int | None) -> str:
    return backbone.name if fold is None else f"{backbone.name} fold {fold}"
