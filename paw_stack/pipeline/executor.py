"""The steps of a plan, done on this machine one after another; what is done is skipped and said."""

from collections.abc import Sequence

from paw_stack.allocator import give_back_memory
from paw_stack.artifacts import Step
from paw_stack.console import say
from paw_stack.data.types import Predictions
from paw_stack.distributed import n_processes
from paw_stack.pipeline.candidates import Source, are_enough, candidates, embed_name
from paw_stack.pipeline.experiment import Job
from paw_stack.pipeline.graph import Steps
from paw_stack.pipeline.steps.embed import Waiting, embed_together, passes
from paw_stack.pipeline.steps.fit_head import load_fitted


def finetune_all(job: Job, steps: Steps) -> None:
    """Train what is not done yet, and first what training waits for."""
    label_all(job, steps)
    _do(job, [step for name, step in steps.items() if name.startswith("finetune ")])
    if n_processes() > 1:
        from paw_stack.network.device import leave_group

        leave_group()


def label_all(job: Job, steps: Steps) -> None:
    """Do the steps that training waits for: pretraining, generated photos, pseudo-labels."""
    if job.extra.remark:
        say(job.extra.remark)
    training = [step for step in steps.values() if step.stage == "finetune"]
    _do(job, [step for step in training if not step.name.startswith("finetune ")])


def _do(job: Job, steps: Sequence[Step]) -> None:
    for step in steps:
        if _is_done(job, step):
            say(f"{step.name}: done before, skipped")
        else:
            step.do()
            give_back_memory()


def _is_done(job: Job, step: Step) -> bool:
    """The first of several processes knows what is done."""
    if n_processes() == 1:
        return step.record() is not None
    from paw_stack.network.device import from_first, resolve_device

    return bool(from_first(step.record(), resolve_device(job.config.compute)))


def embed_all(job: Job, folds: list[int], steps: Steps) -> None:
    """Embed what is not done yet, backbones of one input size together."""
    waiting: list[Waiting] = []
    for backbone in job.config.backbones:
        for fold in [None] if backbone.frozen else folds:
            step = steps[f"embed {embed_name(backbone, fold)}"]
            if step.record():
                say(f"{step.name}: done before, skipped")
            else:
                waiting.append((backbone, fold, step))
    for group in passes(waiting) if waiting else []:
        embed_together(job, group)
        give_back_memory()


def fit_all(job: Job, heads: list[str], folds: list[int], steps: Steps) -> list[Predictions]:
    """Fit what is not done yet; candidates in the order of the config."""
    found = []
    for source, head in possible(job, heads, folds):
        step = steps[f"fit {source.name}.{head}"]
        if step.record():
            say(f"{step.name}: done before, skipped")
        else:
            step.do()
        found.append(load_fitted(job, source, step))
    return found


def load_all(job: Job, heads: list[str], folds: list[int], steps: Steps) -> list[Predictions]:
    """Load the predictions that `fit_all` made, perhaps on another machine.

    Raises:
        ArtifactError: it is not there.
    """
    return [
        load_fitted(job, source, steps[f"fit {source.name}.{head}"])
        for source, head in possible(job, heads, folds)
    ]


def possible(job: Job, heads: list[str], folds: list[int]) -> list[tuple[Source, str]]:
    """Candidates of these heads that these folds suffice for; the others are named."""
    found = []
    for source, head in candidates(job.config):
        if head in heads and not are_enough(source, folds, job.folds.n):
            say(f"fit {source.name}.{head}: needs all folds, left out")
        elif head in heads:
            found.append((source, head))
    return found
