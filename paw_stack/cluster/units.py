"""A run's units of work as tasks: which there are, what each needs, and one of them on a worker."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from paw_stack.artifacts import Unit
from paw_stack.cluster.tasks import Stage, Task, import_ray, run_tasks
from paw_stack.config import Config
from paw_stack.console import say
from paw_stack.data.nouns import Predictions
from paw_stack.errors import ArtifactError
from paw_stack.pipeline.embed_units import embed_places, embed_unit
from paw_stack.pipeline.finetune_unit import finetune_one, finetune_unit
from paw_stack.pipeline.head_units import fit_one, fit_unit, load_fitted, possible
from paw_stack.pipeline.job import Job, open_job
from paw_stack.pipeline.sources import places


@dataclass(frozen=True)
class Work:
    """One unit, the names of those that it reads, and the call that makes it."""

    stage: Stage
    unit: Unit
    needs: tuple[str, ...]
    do: Callable[[], object]


def run_units(job: Job, folds: list[int], address: str | None) -> list[Predictions]:
    """Do on a cluster what is not done yet; returns the heads' predictions.

    Raises:
        ArtifactError: a machine sees other photos, tables or engines than this one.
    """
    works = plan(job, folds)
    todo = {name: work for name, work in works.items() if not work.unit.record()}
    if len(todo) < len(works):
        say(f"{len(works) - len(todo)} of {len(works)} units: done before, skipped")
    settings, numbers = job.config.model_dump_json(), ",".join(map(str, folds))
    tasks = [
        Task(
            name,
            work.stage,
            tuple(need for need in work.needs if need in todo),
            do_unit,
            (settings, numbers, name, work.unit.fingerprint),
        )
        for name, work in todo.items()
    ]
    run_tasks(tasks, job.config.cluster, address)
    heads = list(job.config.heads.named())
    return [load_fitted(job, source, head, folds) for source, head in possible(job, heads, folds)]


def plan(job: Job, folds: list[int]) -> dict[str, Work]:
    """Name -> unit, each after those that it needs."""
    works: dict[str, Work] = {}
    for backbone in job.config.backbones:
        for fold in [None] if backbone.frozen else folds:
            needs: tuple[str, ...] = ()
            if fold is not None:
                tuned = finetune_unit(job, backbone, fold)
                needs = (f"finetune {backbone.name} fold {fold}",)
                do = partial(finetune_one, job, backbone, fold, tuned)
                works[needs[0]] = Work("finetune", tuned, (), do)
            if job.config.heads.named():
                unit = embed_unit(job, backbone, fold)
                do_embed = partial(embed_places, job, [(backbone, fold)])
                works[_embed_name(backbone.name, fold)] = Work("embed", unit, needs, do_embed)
    return works | _fits(job, folds)


def _fits(job: Job, folds: list[int]) -> dict[str, Work]:
    works = {}
    for source, head in possible(job, list(job.config.heads.named()), folds):
        read = [place for fold in folds for place in places(source, fold)]
        needs = tuple(dict.fromkeys(_embed_name(b.name, place) for b, _, place in read))
        unit = fit_unit(job, source, head, folds)
        do = partial(fit_one, job, source, head, folds)
        works[f"fit {source.name}.{head}"] = Work("fit", unit, needs, do)
    return works


def _embed_name(backbone: str, fold: int | None) -> str:
    return f"embed {backbone}" if fold is None else f"embed {backbone} fold {fold}"


def do_unit(settings: str, folds: str, name: str, fingerprint: str) -> None:
    """On a worker: do one unit, unless an attempt that was thought lost has done it."""
    work = _opened(settings, folds)[name]
    if work.unit.fingerprint != fingerprint:
        raise ArtifactError(
            f"{name}: this machine sees other inputs than the one that started the run; photos and"
            " tables must be the same on all, and an engine that is auto must be named"
        )
    if work.unit.record():
        say(f"{name}: done before, skipped")
    else:
        work.do()


@lru_cache(maxsize=1)
def _opened(settings: str, folds: str) -> dict[str, Work]:
    """Once a worker process: tables are read, photos hashed and decoded where they are new."""
    config = Config.model_validate_json(settings)
    if config.run.store:
        config = config.model_copy(update={"run": config.run.model_copy(update={"root": _own()})})
    return plan(open_job(config), [int(fold) for fold in folds.split(",")])


def _own() -> Path:
    """This machine's folder of copies; the store holds what counts."""
    node = import_ray().get_runtime_context().get_node_id()
    return Path(tempfile.gettempdir()) / "paw-stack" / node[:16]
