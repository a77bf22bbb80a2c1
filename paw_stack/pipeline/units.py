"""All units of a run, each with what it waits for and the call that makes it.

One list serves the stages here, the tasks on a cluster, `status`, `--force` and the estimate of
room. It is in the order of the stages, and every unit comes after those that it needs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

from paw_stack.artifacts import Unit
from paw_stack.config import BackboneSection
from paw_stack.errors import ConfigError
from paw_stack.pipeline.candidates import candidates, places
from paw_stack.pipeline.embed_units import embed_name, embed_places, embed_unit
from paw_stack.pipeline.extra_units import (
    autoencoder_unit,
    encoder,
    gan_unit,
    is_fed,
    pictures_unit,
    pretrain_unit,
)
from paw_stack.pipeline.extra_work import autoencode, draw, pretrain, reconstruct_photos
from paw_stack.pipeline.finetune_unit import finetune_one, finetune_unit, labels_unit, teacher_unit
from paw_stack.pipeline.head_units import are_enough, fit_one, fit_unit
from paw_stack.pipeline.job import Job
from paw_stack.pipeline.pseudo_unit import label_fold

Stage = Literal["finetune", "embed", "fit-heads"]
STAGES: tuple[Stage, ...] = get_args(Stage)


@dataclass(frozen=True)
class Work:
    """One unit."""

    stage: Stage
    name: str  # as it is said, `finetune swin fold 0`
    unit: Unit
    needs: tuple[str, ...]  # names of earlier ones
    do: Callable[[], object]

    @property
    def short(self) -> str:
        """Without the stage, `swin fold 0`."""
        return self.name.removeprefix(f"{self.stage.split('-')[0]} ")


def units(job: Job, folds: Sequence[int]) -> list[Work]:
    """Candidates that need all folds are left out where only some are chosen."""
    chosen = list(folds)
    return [
        *extra_works(job, chosen),
        *finetune_works(job, chosen),
        *_embed_works(job, chosen),
        *_fit_works(job, chosen),
    ]


def extra_works(job: Job, folds: list[int]) -> list[Work]:
    """What fine-tuning waits for where photos without a score take part."""
    extra, works = job.config.extra, []
    if extra.autoencoder:
        do = partial(autoencode, job)
        works.append(Work("finetune", "autoencoder", autoencoder_unit(job), (), do))
        if extra.autoencoder.feed:
            do, needs = partial(reconstruct_photos, job), ("autoencoder",)
            works.append(Work("finetune", "reconstructions", pictures_unit(job), needs, do))
    for fold in folds if extra.gan else []:
        do = partial(draw, job, fold)
        works.append(Work("finetune", f"gan fold {fold}", gan_unit(job, fold), (), do))
    for backbone in (b for b in job.config.backbones if not b.frozen):
        if extra.pretrain:
            unit, do = pretrain_unit(job, backbone), partial(pretrain, job, backbone)
            works.append(Work("finetune", f"pretrain {backbone.name}", unit, (), do))
        for fold in folds if extra.pseudo else []:
            works += _label_works(job, backbone, fold)
    return works


def _label_works(job: Job, backbone: BackboneSection, fold: int) -> list[Work]:
    """The first round, unless another run is the source, and the labels that it gives."""
    extra, works = job.config.extra, []
    name, needs = f"{backbone.name} fold {fold}", _before_training(job, backbone)
    if extra.pseudo and not extra.pseudo.source:
        unit = teacher_unit(job, backbone, fold)
        do = partial(finetune_one, job, backbone, fold, unit)
        works.append(Work("finetune", f"teacher {name}", unit, needs, do))
        needs = (*needs, works[0].name)
    if extra.gan:
        needs = (*needs, f"gan fold {fold}")
    unit, label = labels_unit(job, backbone, fold), partial(label_fold, job, backbone, fold)
    return [*works, Work("finetune", f"pseudo-labels {name}", unit, needs, label)]


def finetune_works(job: Job, folds: list[int]) -> list[Work]:
    works = []
    for backbone in (b for b in job.config.backbones if not b.frozen):
        before = _before_training(job, backbone)
        for fold in folds:
            unit = finetune_unit(job, backbone, fold)
            labels = (f"pseudo-labels {backbone.name} fold {fold}",)
            needs = (*before, *labels) if job.config.extra.pseudo else before
            do = partial(finetune_one, job, backbone, fold, unit)
            works.append(Work("finetune", f"finetune {backbone.name} fold {fold}", unit, needs, do))
    return works


def _before_training(job: Job, backbone: BackboneSection) -> tuple[str, ...]:
    """What all folds of a backbone share."""
    pretrained = (f"pretrain {backbone.name}",) if job.config.extra.pretrain else ()
    return (*pretrained, "reconstructions") if is_fed(job, backbone) else pretrained


def _embed_works(job: Job, folds: list[int]) -> list[Work]:
    works = []
    for backbone in job.config.backbones:
        shared = ("autoencoder",) if backbone == encoder(job) else ()
        for fold in [None] if backbone.frozen else folds:
            needs = shared if fold is None else (f"finetune {backbone.name} fold {fold}",)
            name, unit = f"embed {embed_name(backbone, fold)}", embed_unit(job, backbone, fold)
            do = partial(embed_places, job, [(backbone, fold)])
            works.append(Work("embed", name, unit, needs, do))
    return works


def _fit_works(job: Job, folds: list[int]) -> list[Work]:
    works = []
    for source, head in candidates(job.config):
        if are_enough(job, source, folds):
            read = [place for fold in folds for place in places(source, fold)]
            needs = dict.fromkeys(f"embed {embed_name(b, place)}" for b, _, place in read)
            unit = fit_unit(job, source, head, folds)
            do = partial(fit_one, job, source, head, folds)
            works.append(Work("fit-heads", f"fit {source.name}.{head}", unit, tuple(needs), do))
    return works


def forget(job: Job, folds: Sequence[int], stage: str, heads: Sequence[str] | None) -> None:
    """Let the units of a stage, and all that is built on them, count as not done.

    Args:
        heads: only these heads; None: all.

    Raises:
        ConfigError: there is no such stage.
    """
    if stage not in STAGES:
        raise ConfigError(f"--force {stage}: the stages are {', '.join(STAGES)}")
    for work in units(job, folds):
        head = work.name.rpartition(".")[2] if work.stage == "fit-heads" else None
        if STAGES.index(work.stage) >= STAGES.index(stage) and (not heads or head in heads):
            work.unit.forget()
