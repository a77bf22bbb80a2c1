"""Photos without a score as training sees them: given ones, drawn ones, and reconstructions.

A step gets them from those that it needs: "drawn photos" of a fold's generator, "reconstructions"
of the autoencoder.
"""

from pathlib import Path

import numpy as np

from paw_stack.artifacts import Step, Steps
from paw_stack.config import BackboneSection
from paw_stack.pipeline.experiment import Job


def encoder(job: Job) -> BackboneSection | None:
    """The backbone that the autoencoder trains, if there is one."""
    section = job.config.extra.autoencoder
    named = {backbone.name: backbone for backbone in job.config.backbones}
    return named[section.backbone] if section else None


def is_fed(job: Job, backbone: BackboneSection) -> bool:
    """Whether the backbone sees reconstructions in place of photos."""
    section = job.config.extra.autoencoder
    return section is not None and backbone.name in section.feed


def known_pixels(job: Job, backbone: BackboneSection, needs: Steps) -> Path:
    """`.npy` of labelled and test photos as the backbone sees them."""
    fed = needs.get("reconstructions")
    return _made(job, fed) / "known.npy" if fed else job.pixels(backbone)


def all_pixels(job: Job, backbone: BackboneSection, needs: Steps) -> Path:
    """`.npy` of labelled, test, extra and drawn photos, as the backbone sees them."""
    from paw_stack.network.backbone import input_size

    if fed := needs.get("reconstructions"):
        return _made(job, fed) / "all.npy"
    photos = [*job.paths, *job.extra.paths, *_drawn_photos(job, needs)]
    return job.decoded(photos, input_size(backbone))


def extra_ids(job: Job, needs: Steps) -> np.ndarray:
    """(e,) str: extra rows, then those that the fold's generator has drawn."""
    drawn = [f"drawn {path.stem}" for path in _drawn_photos(job, needs)]
    return np.array([*job.extra.ids, *drawn], dtype=str)


def _drawn_photos(job: Job, needs: Steps) -> list[Path]:
    section, step = job.config.extra.gan, needs.get("drawn photos")
    if section is None or step is None:
        return []
    folder = _made(job, step)
    return [folder / f"drawn_{number:05}.png" for number in range(section.images)]


def _made(job: Job, step: Step) -> Path:
    job.run.require(step)
    return step.folder
