"""Units that are made of photos without a score: what they depend on, and what they leave.

pretrain/<backbone>     the backbone that has learned the class column; every fold starts there
gan/fold<k>             photos drawn by a network that saw fold k's fit rows alone
autoencoder             an encoder and its decoder
reconstructions         every photo as the autoencoder gives it back, where that is fed on
"""

from pathlib import Path
from typing import Any

import numpy as np

from paw_stack.artifacts import Unit
from paw_stack.config import BackboneSection
from paw_stack.pipeline.job import Job
from paw_stack.pipeline.published import weights_digest


def pretrain_unit(job: Job, backbone: BackboneSection) -> Unit:
    config = job.config
    return _unit(
        job,
        f"pretrain/{backbone.name}",
        {
            "backbone": backbone,
            "backbone.weights": weights_digest(backbone),
            "regressor": config.regressor,
            "finetune": config.finetune,
            "pretrain": config.extra.pretrain,
            "extra photos": job.extra.content,
            "classes": job.extra.classes.tolist(),
            "first row": len(job.ids),  # augmentation draws by row, and the others come first
        },
    )


def gan_unit(job: Job, fold: int) -> Unit:
    return _unit(
        job,
        f"gan/fold{fold}",
        {
            "gan": job.config.extra.gan,
            "photos": job.photos_digest,
            "held-out rows": job.folds.held_out_rows(fold).tolist(),
        },
    )


def autoencoder_unit(job: Job) -> Unit:
    section, backbone = job.config.extra.autoencoder, encoder(job)
    return _unit(
        job,
        "autoencoder",
        {
            "autoencoder": section.model_dump(exclude={"feed"}) if section else None,
            "backbone": backbone,
            "backbone.weights": weights_digest(backbone) if backbone else None,
            "photos": job.photos_digest,
            "extra photos": job.extra.content,
        },
    )


def _unit(job: Job, place: str, inputs: dict[str, Any]) -> Unit:
    config = job.config
    common = {
        "run.seed": config.run.seed,
        "data.resize": config.data.resize,
        "compute": config.compute,
    }
    return job.run.unit(place, {**common, **inputs})


def pictures_unit(job: Job) -> Unit:
    """What the autoencoder makes of every photo."""
    inputs = {"autoencoder": autoencoder_unit(job).fingerprint}
    return job.run.unit("reconstructions", inputs)


def encoder(job: Job) -> BackboneSection | None:
    """The backbone that the autoencoder trains, if there is one."""
    section = job.config.extra.autoencoder
    named = {backbone.name: backbone for backbone in job.config.backbones}
    return named[section.backbone] if section else None


def is_fed(job: Job, backbone: BackboneSection) -> bool:
    """Whether the backbone sees reconstructions in place of photos."""
    section = job.config.extra.autoencoder
    return section is not None and backbone.name in section.feed


def drawn_photos(job: Job, fold: int) -> list[Path]:
    """What fold k's generator has drawn; nothing without one."""
    section = job.config.extra.gan
    if section is None:
        return []
    folder = gan_unit(job, fold).folder
    return [folder / f"drawn_{number:05}.png" for number in range(section.images)]


def known_pixels(job: Job, backbone: BackboneSection) -> Path:
    """`.npy` of labelled and test photos as the backbone sees them."""
    fed = is_fed(job, backbone)
    return _pictures(job) / "known.npy" if fed else job.pixels(backbone)


def all_pixels(job: Job, backbone: BackboneSection, fold: int | None = None) -> Path:
    """`.npy` of labelled, test, extra and, for a fold, drawn photos, as the backbone sees them."""
    from paw_stack.network.backbone import input_size

    if is_fed(job, backbone):
        return _pictures(job) / "all.npy"
    drawn = [] if fold is None else drawn_photos(job, fold)
    if drawn and fold is not None:
        job.run.require(gan_unit(job, fold))
    return job.decoded([*job.paths, *job.extra.paths, *drawn], input_size(backbone))


def _pictures(job: Job) -> Path:
    unit = pictures_unit(job)
    job.run.require(unit)
    return unit.folder


def extra_ids(job: Job, fold: int) -> np.ndarray:
    """(e,) str: extra rows, then those that fold k's generator has drawn."""
    drawn = [f"drawn {path.stem}" for path in drawn_photos(job, fold)]
    return np.array([*job.extra.ids, *drawn], dtype=str)
