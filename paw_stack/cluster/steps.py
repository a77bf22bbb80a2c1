"""A run's steps as tasks: which there are, what each needs, and one of them on a worker."""

import tempfile
from functools import lru_cache
from pathlib import Path

from paw_stack.artifacts import Step
from paw_stack.cluster.tasks import Task, import_ray, run_tasks
from paw_stack.config import Config
from paw_stack.console import say
from paw_stack.errors import ArtifactError
from paw_stack.pipeline.experiment import Job, open_job
from paw_stack.pipeline.graph import STAGES, Steps, plan


def run_steps(job: Job, folds: list[int], steps: Steps, address: str | None) -> None:
    """Do on a cluster what is not done yet.

    Raises:
        ArtifactError: a machine sees other photos, tables or engines than this one.
    """
    wanted = _wanted(job.config, steps)
    todo = {step.name: step for step in wanted if not step.record()}
    if len(todo) < len(wanted):
        say(f"{len(wanted) - len(todo)} of {len(wanted)} steps: done before, skipped")
    settings, numbers = job.config.model_dump_json(), ",".join(map(str, folds))
    tasks = [
        Task(
            name,
            step.stage,
            tuple(need.name for need in step.needs.values() if need.name in todo),
            do_step,
            (settings, numbers, name, step.fingerprint),
        )
        for name, step in todo.items()
    ]
    run_tasks(tasks, job.config.cluster, address)


def _wanted(config: Config, steps: Steps) -> list[Step]:
    """Steps of the stages; embeddings are made for heads alone."""
    stages = STAGES if config.heads.named() else ("finetune",)
    return [step for step in steps.values() if step.stage in stages]


def do_step(settings: str, folds: str, name: str, fingerprint: str) -> None:
    """Do one step on a worker, unless an attempt that was thought lost has done it."""
    step = _opened(settings, folds)[name]
    if step.fingerprint != fingerprint:
        raise ArtifactError(
            f"{name}: this machine sees other inputs than the one that started the run; photos and"
            " tables must be the same on all, and an engine that is auto must be named"
        )
    if step.record():
        say(f"{name}: done before, skipped")
    else:
        step.do()


@lru_cache(maxsize=1)
def _opened(settings: str, folds: str) -> Steps:
    """Once a worker process: tables are read, photos hashed and decoded where they are new."""
    config = Config.model_validate_json(settings)
    if config.run.store:
        config = config.model_copy(update={"run": config.run.model_copy(update={"root": _own()})})
    return plan(open_job(config), [int(fold) for fold in folds.split(",")])


def _own() -> Path:
    """This machine's folder of copies; the store holds what counts."""
    node = import_ray().get_runtime_context().get_node_id()
    return Path(tempfile.gettempdir()) / "paw-stack" / node[:16]
