"""What a cluster is given to do: each task waits for those that make what it needs."""

import pytest
from helpers.commands import write_config

from paw_stack.cluster import steps as cluster_steps
from paw_stack.cluster.tasks import Task
from paw_stack.config import load_config
from paw_stack.pipeline.experiment import open_job
from paw_stack.pipeline.graph import STAGES, plan


@pytest.fixture
def submitted(monkeypatch) -> list[Task]:
    """Tasks that would be done by a cluster; here nobody does them."""
    found: list[Task] = []
    monkeypatch.setattr(cluster_steps, "run_tasks", lambda tasks, *_: found.extend(tasks))
    return found


def test_a_task_waits_for_those_that_it_needs_and_are_not_done(sample_folder, tmp_path, submitted):
    config = load_config(write_config(tmp_path, sample_folder, heads={"ridge": {}}))
    job, done = open_job(config), {"finetune swin fold 0"}
    before = plan(job, [0, 1])
    for name in done:
        before[name].begin()
        before[name].finish()
    steps = plan(job, [0, 1])
    cluster_steps.run_steps(job, [0, 1], steps, None)
    wanted = {
        name: {need.name for need in step.needs.values()} - done
        for name, step in steps.items()
        if step.stage in STAGES and name not in done
    }
    assert {task.name: set(task.needs) for task in submitted} == wanted
    assert wanted["embed swin fold 0"] == set()
    assert wanted["embed swin fold 1"] == {"finetune swin fold 1"}
    started: set[str] = set()
    for task in submitted:
        assert set(task.needs) <= started, task.name
        started.add(task.name)
