"""All units of fine-tuning on this machine, and those that it waits for, one after another."""

from paw_stack.console import say
from paw_stack.pipeline.job import Job
from paw_stack.pipeline.units import Work, extra_works, finetune_works


def finetune_all(job: Job, folds: list[int]) -> None:
    """Train what is not done yet, and first what training waits for."""
    from paw_stack.network.device import leave_group

    label_all(job, folds)
    _do(job, finetune_works(job, folds))
    leave_group()


def label_all(job: Job, folds: list[int]) -> None:
    """What training waits for: pretrained backbones, drawn photos, pseudo-labels."""
    if job.extra.remark:
        say(job.extra.remark)
    _do(job, extra_works(job, folds))


def _do(job: Job, works: list[Work]) -> None:
    """The first of several processes knows what is done."""
    from paw_stack.network.device import from_first, resolve_device

    device = resolve_device(job.config.compute)
    for work in works:
        if from_first(work.unit.record(), device):
            say(f"{work.name}: done before, skipped")
        else:
            work.do()
