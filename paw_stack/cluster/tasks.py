"""Named tasks on Ray: submitted with what they need, watched, cancelled.

Enters: tasks, each after those that it needs. Ray starts a task once those are over, on a machine
with room for its stage's resources, and again elsewhere if that machine is lost. Leaves: nothing;
what a task printed is printed here once it is over. The first task that fails stops the others.
"""

import io
import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paw_stack.artifacts import Stage
from paw_stack.cluster.table import TaskTable
from paw_stack.config import ClusterSection, ResourcesSection
from paw_stack.console import printing, say
from paw_stack.errors import ArtifactError, ConfigError, PawStackError
from paw_stack.signals import grace

OBJECT_STORE_BYTES = 200_000_000  # of a cluster that is started here; results are a few lines each
LOOK_EVERY_S = 0.5
GRACE_S = 10.0  # for a cancelled task to remove its temporary files
SETTLE_S = 2.0  # for what needs a task that failed to fail as well


@dataclass(frozen=True)
class Task:
    """A call of a module's function with texts, so that any worker can make it."""

    name: str
    stage: Stage
    needs: tuple[str, ...]  # names of earlier tasks
    call: Callable[..., None]
    arguments: tuple[str, ...]


def run_tasks(tasks: Sequence[Task], section: ClusterSection, address: str | None) -> None:
    """Do all tasks on the cluster at `address`, or on one that is started on this machine.

    Raises:
        ConfigError: ray is not installed, or no cluster answers.
        PawStackError: what a task raised.
        ArtifactError: a task was lost with its machines more often than `retries` allows.
    """
    if not tasks:
        return
    with grace(2 * GRACE_S), _connected(address) as ray:
        _say_what_is_missing(ray, {task.stage for task in tasks}, section)
        running = _submit(ray, tasks, section)
        try:
            _watch(ray, running, TaskTable([task.stage for task in tasks]))
        except BaseException as error:
            _cancel(ray, list(running), SETTLE_S if isinstance(error, Exception) else 0.0)
            raise


@contextmanager
def _connected(address: str | None) -> Iterator[Any]:
    ray = import_ray()
    where: dict[str, Any] = {"address": address}
    if not address and "RAY_ADDRESS" not in os.environ:
        # "local", or Ray would join what it last started here, which may be about to end.
        where = {"address": "local", "include_dashboard": False}
        where["object_store_memory"] = OBJECT_STORE_BYTES
    try:
        ray.init(log_to_driver=False, logging_level="ERROR", **where)
    except (ConnectionError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(
            f"--address {address}: no Ray cluster answers ({reason}); start one with ray start"
        ) from None
    try:
        yield ray
    finally:
        ray.shutdown()


def import_ray() -> Any:
    # Ray reports its use to its makers unless told not to.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise ConfigError("--on ray: ray is missing; pip install 'paw-stack[cluster]'") from None
    return ray


def _say_what_is_missing(ray: Any, stages: set[Stage], section: ClusterSection) -> None:
    """Sentences, not errors: clusters may grow on demand."""
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = sum(machine.get("GPU", 0) for machine in machines)
    cores = sum(machine.get("CPU", 0) for machine in machines)
    say(f"ray: {len(machines)} machines, {cores:g} cores, {gpus:g} GPUs")
    for stage in sorted(stages):
        needed = _needed(section, stage)
        if gpus and not needed.gpus and stage != "fit-heads":
            say(f"cluster.{stage}.gpus is 0: {stage} leaves the GPUs alone")
        if not any(_has_room(machine, needed) for machine in machines):
            say(f"no machine has what cluster.{_key(stage)} asks for; waiting until one joins")


def _needed(section: ClusterSection, stage: Stage) -> ResourcesSection:
    found: ResourcesSection = getattr(section, _key(stage))
    return found


def _key(stage: Stage) -> str:
    return stage.replace("-", "_")


def _has_room(machine: dict[str, float], needed: ResourcesSection) -> bool:
    memory = (needed.memory_gb or 0) * 1e9
    return (
        machine.get("CPU", 0) >= needed.cpus
        and machine.get("GPU", 0) >= needed.gpus
        and machine.get("memory", 0) >= memory
    )


def _submit(ray: Any, tasks: Sequence[Task], section: ClusterSection) -> dict[Any, Task]:
    work = ray.remote(_work)
    refs: dict[str, Any] = {}
    for task in tasks:
        needed = _needed(section, task.stage)
        options = {
            "name": task.name,
            "num_cpus": needed.cpus,
            "num_gpus": needed.gpus,
            "memory": needed.memory_gb and int(needed.memory_gb * 1e9),
            "max_retries": section.retries,
        }
        awaited = [refs[name] for name in task.needs]
        arguments = (str(Path.cwd()), task.call, task.arguments, *awaited)
        refs[task.name] = work.options(**options).remote(*arguments)
    return {refs[task.name]: task for task in tasks}


def _work(folder: str, call: Callable[..., None], arguments: tuple[str, ...], *needs: str) -> str:
    """On a worker: make the call in the driver's folder, return what it printed.

    Args:
        needs: results of earlier tasks, here only to be waited for.
    """
    if not Path(folder).is_dir():
        raise ConfigError(f"{socket.gethostname()}: no {folder}; every machine needs this folder")
    os.chdir(folder)  # paths in a config are relative to it
    logging.getLogger("paw_stack.progress").disabled = True  # of interest while it runs, not after
    with redirect_stdout(io.StringIO()) as said, printing():
        call(*arguments)
    return said.getvalue()


def _watch(ray: Any, running: dict[Any, Task], table: TaskTable) -> None:
    """Print what finished tasks said; `running` keeps those that are not over."""
    with table.shown():
        while running:
            over, _ = ray.wait(list(running), num_returns=len(running), timeout=LOOK_EVERY_S)
            for ref in over:
                task = running[ref]
                for line in _result(ray, ref, task).splitlines():
                    say(line)
                del running[ref]
                table.finished(task.stage)


def _result(ray: Any, ref: Any, task: Task) -> str:
    try:
        text: str = ray.get(ref)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, PawStackError):
            raise error.cause from None
        raise
    except ray.exceptions.RayError as error:
        reason = str(error).split("\n")[0]
        raise ArtifactError(
            f"{task.name}: lost with its machine ({reason}); what is done stays: run it again,"
            " with more cluster.retries or cluster memory_gb"
        ) from None
    return text


def _cancel(ray: Any, refs: list[Any], settle_s: float) -> None:
    """Interrupt the tasks so that they tidy up; end those that do not.

    Ray 2.60 ends this very process ("Tried to complete task that was not pending") where a task is
    over while it is being cancelled, as those are that need one that has just failed: each is sent
    to a worker, which only then finds what it needs to be an error. They get a moment first.
    """
    left = _left(ray, refs, settle_s)
    for ref in reversed(left):  # the waiting ones first, else they would start
        ray.cancel(ref)
    for ref in _left(ray, left, GRACE_S):
        ray.cancel(ref, force=True)


def _left(ray: Any, refs: list[Any], seconds: float) -> list[Any]:
    """Those that are not over after so many seconds."""
    left: list[Any] = ray.wait(refs, num_returns=len(refs), timeout=seconds)[1] if refs else []
    return left
