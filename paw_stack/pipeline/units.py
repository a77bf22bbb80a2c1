"""All units of a run in the order of their stages, and which of them `--force` does again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from paw_stack.artifacts import Unit
from paw_stack.errors import ConfigError
from paw_stack.pipeline.embed_units import embed_unit
from paw_stack.pipeline.extra_units import (
    autoencoder_unit,
    gan_unit,
    pictures_unit,
    pretrain_unit,
)
from paw_stack.pipeline.finetune_unit import finetune_unit, labels_unit, teacher_unit
from paw_stack.pipeline.head_units import fit_unit
from paw_stack.pipeline.job import Job
from paw_stack.pipeline.sources import candidates

Stage = Literal["finetune", "embed", "fit-heads"]
STAGES: tuple[Stage, ...] = get_args(Stage)


@dataclass(frozen=True)
class Listed:
    """A unit with its stage and the name that the commands give it."""

    stage: Stage
    name: str
    unit: Unit


def units(job: Job, folds: Sequence[int]) -> list[Listed]:
    folds, found = list(folds), _of_extra(job, folds)
    for backbone in job.config.backbones:
        for fold in [] if backbone.frozen else folds:
            name = f"{backbone.name} fold {fold}"
            found.append(Listed("finetune", name, finetune_unit(job, backbone, fold)))
        for place in [None] if backbone.frozen else folds:
            name = backbone.name if place is None else f"{backbone.name} fold {place}"
            found.append(Listed("embed", name, embed_unit(job, backbone, place)))
    for source, head in candidates(job.config):
        unit = fit_unit(job, source, head, folds)
        found.append(Listed("fit-heads", f"{source.name}.{head}", unit))
    return sorted(found, key=lambda listed: STAGES.index(listed.stage))


def _of_extra(job: Job, folds: Sequence[int]) -> list[Listed]:
    """What fine-tuning waits for where photos without a score take part."""
    extra, found = job.config.extra, []
    if extra.autoencoder:
        found.append(("autoencoder", autoencoder_unit(job)))
        if extra.autoencoder.feed:
            found.append(("reconstructions", pictures_unit(job)))
    if extra.gan:
        found += [(f"gan fold {fold}", gan_unit(job, fold)) for fold in folds]
    for backbone in (b for b in job.config.backbones if not b.frozen):
        if extra.pretrain:
            found.append((f"pretrain {backbone.name}", pretrain_unit(job, backbone)))
        for fold in folds if extra.pseudo else []:
            name = f"{backbone.name} fold {fold}"
            if extra.pseudo and not extra.pseudo.source:
                found.append((f"teacher {name}", teacher_unit(job, backbone, fold)))
            found.append((f"pseudo-labels {name}", labels_unit(job, backbone, fold)))
    return [Listed("finetune", name, unit) for name, unit in found]


def forget(job: Job, folds: Sequence[int], stage: str, heads: Sequence[str] | None) -> None:
    """Let the units of a stage, and all that is built on them, count as not done.

    Args:
        heads: only these heads; None: all.

    Raises:
        ConfigError: there is no such stage.
    """
    if stage not in STAGES:
        raise ConfigError(f"--force {stage}: the stages are {', '.join(STAGES)}")
    for listed in units(job, folds):
        head = listed.name.rpartition(".")[2] if listed.stage == "fit-heads" else None
        if STAGES.index(listed.stage) >= STAGES.index(stage) and (not heads or head in heads):
            listed.unit.forget()
