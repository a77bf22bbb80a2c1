"""A run's units of work as tasks: which there are, what each needs, and one of them on a worker."""

import tempfile
from functools import lru_cache
from pathlib import Path

from paw_stack.cluster.tasks import Task, import_ray, run_tasks
from paw_stack.config import Config
from paw_stack.console import say
from paw_stack.data.nouns import Predictions
from paw_stack.errors import ArtifactError
from paw_stack.pipeline.head_units import load_fitted, possible
from paw_stack.pipeline.job import Job, open_job
from paw_stack.pipeline.units import Work, units


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
    """Name -> unit, each after those that it needs; embeddings are made for heads alone."""
    wanted = ("finetune", "embed", "fit-heads") if job.config.heads.named() else ("finetune",)
    return {work.name: work for work in units(job, folds) if work.stage in wanted}


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
