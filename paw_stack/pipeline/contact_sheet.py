"""A picture of what augmentation does to the photos of a run."""

from pathlib import Path

import numpy as np

from paw_stack.pipeline.job import Job

PHOTOS, DRAWS = 6, 7


def write_contact_sheet(job: Job) -> Path:
    """Photos from the lowest score to the highest, each with seven draws."""
    from paw_stack.data.augment import AugmentedPhotos, contact_sheet, make_augment
    from paw_stack.network.backbone import input_size

    trained = [b for b in job.config.backbones if not b.frozen] or job.config.backbones
    augment = make_augment(job.config.finetune, input_size(trained[0]))
    photos = AugmentedPhotos(job.pixels(trained[0]), augment, job.config.run.seed)
    by_score = np.argsort(job.competition.target, kind="stable")
    rows = by_score[np.linspace(0, len(by_score) - 1, PHOTOS).astype(int)].tolist()
    return job.run.save_contact_sheet(contact_sheet(photos, rows, DRAWS))
