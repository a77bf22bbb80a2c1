"""Disk and memory that the stages ahead will need, before the first of them starts.

Files are counted as they will be written: weights, embeddings and, at most, a head that keeps every
training row. Memory is what must be held at once: parameters, gradients and momenta of one fold, or
the vectors that a head learns from with the copies that are made of them; what passes through the
network comes on top, and says so itself where it does not fit.
"""

import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from paw_stack.artifacts import Stage
from paw_stack.console import say
from paw_stack.data.images.cache import DISK_RESERVE
from paw_stack.errors import ConfigError
from paw_stack.heads.registry import HEADS
from paw_stack.pipeline.candidates import Source, candidates
from paw_stack.pipeline.experiment import Job
from paw_stack.pipeline.graph import STAGES, Steps
from paw_stack.pipeline.pretrained_files import facts_of
from paw_stack.processes import usable_cores

Facts = dict[str, Any]  # of a backbone, as `facts_of` gives them

MEGABYTE = 1_000_000
FLOAT = 4  # bytes
HEAD_COPIES = 3  # of the vectors: as read, standardised, as the engine wants them


@dataclass(frozen=True)
class Need:
    """Disk and memory that a backbone's or head's steps take, and settings that lessen it."""

    what: str
    disk: int  # bytes, of all of them
    memory: int  # bytes, of one at a time
    setting: str


def available_memory() -> int | None:
    """Bytes that a program may still take, on Linux; a container's own limit counts."""
    try:
        available = _facts("/proc/meminfo")["MemAvailable:"] * 1024
    except (OSError, ValueError, KeyError):
        return None
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = (int((group / f"memory.{name}").read_text()) for name in ("max", "current"))
        free = limit - used + _facts(str(group / "memory.stat"))["inactive_file"]
    except (OSError, ValueError, KeyError):  # no container, or one without a limit ("max")
        return available
    return min(available, max(0, free))


def require_room(
    job: Job,
    folds: Sequence[int],
    steps: Steps,
    stages: Sequence[Stage] = STAGES,
    free_disk: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
    free_memory: Callable[[], int | None] = available_memory,
) -> None:
    """Say what the steps of these stages that are not done will need.

    Raises:
        ConfigError: there is less; names the largest part and the setting that makes it smaller.
    """
    needs = _needs(job, folds, steps, stages)
    if not needs:
        return
    free, available = free_disk(job.run.root), free_memory()
    disk = sum(need.disk for need in needs)
    most = max(needs, key=lambda need: need.memory)
    say(
        f"ahead: at most {_megabytes(disk)} on the disk, which has {_megabytes(free)} free, and"
        f" {_megabytes(most.memory)} of memory besides what passes through the network"
    )
    problems = []
    if free < disk + DISK_RESERVE:
        largest = max(needs, key=lambda need: need.disk)
        problems.append(
            f"{_megabytes(disk)} are needed on the disk of {job.run.root}, which has"
            f" {_megabytes(free)} free; {_megabytes(largest.disk)} are for {largest.what}:"
            f" {largest.setting}, or set run.root to a folder on another disk"
        )
    if available is not None and available < most.memory:
        problems.append(
            f"{most.what}: needs {_megabytes(most.memory)} of memory,"
            f" {_megabytes(available)} are available; {most.setting}"
        )
    if problems:
        raise ConfigError(problems)


def _needs(job: Job, folds: Sequence[int], steps: Steps, stages: Sequence[Stage]) -> list[Need]:
    """Of what is not done; nothing where all is."""
    todo = {
        (one.stage, one.short)
        for one in steps.values()
        if one.stage in stages and one.record() is None
    }
    if not todo:
        return []
    cache, kept = job.run.cache, job.config.finetune.kept_stages
    sizes = {one.name: facts_of(one, cache, kept) for one in job.config.backbones}
    found = []
    for name, size in sizes.items():
        names = (name, *(f"{name} fold {fold}" for fold in folds))
        if n := sum(("finetune", one) in todo for one in names):
            found.append(_finetune_need(job, name, size, n))
            found += _activations_need(job, name, size, n)
        if n := sum(("embed", one) in todo for one in names):
            found.append(_embed_need(job, name, size, n))
    for source, head in candidates(job.config):
        if ("fit-heads", f"{source.name}.{head}") in todo:
            found.append(_head_need(job, source, head, sizes, len(folds)))
    return found


def _finetune_need(job: Job, name: str, size: Facts, n_folds: int) -> Need:
    """Weights of every fold, and of one the state: the last epoch's while the next is written.

    In memory on a CPU: the state's tensors, their copies for the file, and the gradients.
    """
    from paw_stack.network.device import resolve_device

    section, weights = job.config.finetune, size["parameters"] * FLOAT
    momenta = 1 if section.optimizer == "sgd" else 2
    state = weights * (1 + momenta + (section.ema is not None) + (section.keep != "last"))
    on_cpu = resolve_device(job.config.compute).name == "cpu"
    return Need(
        f"weights and training state of {name}",
        weights * n_folds + 2 * state,
        2 * state + weights if on_cpu else 0,
        "take a smaller model, finetune.optimizer: sgd or finetune.ema: null",
    )


def _activations_need(job: Job, name: str, size: Facts, n_folds: int) -> list[Need]:
    """What frozen stages make of photos, where it is kept: once for all folds that share it.

    The plain photos, and the views of those that are learned from; once more with photos that have
    pseudo-labels. Folds that start from weights of their own, or have drawn photos, share nothing.
    """
    section, extra = job.config.finetune, job.config.extra
    if not section.views:
        return []
    (backbone,) = (one for one in job.config.backbones if one.name == name)
    views = section.n_views if section.augment not in ("none", []) else 0
    photos = len(job.ids) + views * len(job.competition.target)
    if extra.pseudo:
        n_extra = len(job.extra.ids) + (extra.gan.images if extra.gan else 0)
        photos += photos + (1 + views) * n_extra
    random = not backbone.pretrained and backbone.weights is None
    apart = random or section.warm_start or extra.gan or (extra.pseudo and extra.pseudo.source)
    kept = (n_folds if apart else 1) * photos * math.prod(size["activations"]) * FLOAT
    setting = "lower finetune.views, freeze more stages, or set finetune.views: null"
    return [Need(f"activations of the frozen stages of {name}", kept, 0, setting)]


def _embed_need(job: Job, name: str, size: Facts, n_places: int) -> Need:
    """A frozen backbone's vectors are kept beside the image cache too."""
    frozen = any(backbone.name == name and backbone.frozen for backbone in job.config.backbones)
    n_values = len(job.ids) * sum(size["widths"].values())
    itemsize = np.dtype(job.config.embed.dtype).itemsize
    setting = "set embed.dtype: float16" if itemsize == FLOAT else "take a smaller model"
    return Need(
        f"embeddings of {name}",
        (n_places + frozen) * n_values * itemsize,
        n_values * FLOAT,
        setting,
    )


def _head_need(job: Job, source: Source, head: str, sizes: dict[str, Facts], n_folds: int) -> Need:
    width = sum(sizes[backbone.name]["widths"][layer] for backbone, layer in source.layers)
    kept = n_folds * len(job.competition.target) * width * FLOAT if HEADS[head].keeps_rows else 0
    side_by_side = HEADS[head].side_by_side and not source.shared
    at_once = min(n_folds, usable_cores()) if side_by_side else 1
    return Need(
        f"head {source.name}.{head}",
        kept,
        HEAD_COPIES * at_once * len(job.ids) * width * FLOAT,
        f"leave out heads.{head} or take a backbone with shorter vectors",
    )


def _facts(path: str) -> dict[str, int]:
    """The lines `name number ...` of a file of the system."""
    lines = [line.split() for line in Path(path).read_text(encoding="utf-8").splitlines()]
    return {words[0]: int(words[1]) for words in lines}


def _megabytes(size: int) -> str:
    return f"{size / MEGABYTE:,.0f} MB"
