"""All units of a run in the order of their stages, and which of them `--force` does again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from paw_stack.artifacts import Unit
from paw_stack.errors import ConfigError
from paw_stack.pipeline.embed_units import embed_unit
from paw_stack.pipeline.finetune_unit import finetune_unit
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
    folds, found = list(folds), []
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
