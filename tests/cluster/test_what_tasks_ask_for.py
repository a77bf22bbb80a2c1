"""What a cluster is asked for and told: resources of each stage, machines that lack them."""

from types import SimpleNamespace

import pytest

from paw_stack.cluster import tasks
from paw_stack.cluster.table import TaskTable
from paw_stack.cluster.tasks import Task
from paw_stack.config import ClusterSection

SECTION = ClusterSection(
    **{
        "finetune": {"cpus": 3, "gpus": 0.5, "memory_gb": 1.5},
        "embed": {"cpus": 2, "gpus": 0},
        "fit_heads": {"cpus": 1, "gpus": 0, "memory_gb": None},
        "retries": 7,
    }
)


class Recorder:
    """Takes what is submitted and gives the task's name back, as Ray gives a reference."""

    def __init__(self):
        self.asked, self.given = [], {}

    def remote(self, work):
        assert work is tasks._work
        return SimpleNamespace(options=self._options)

    def _options(self, **options):
        self.asked.append(options)

        def submit(folder, call, arguments, *awaited):
            self.given[options["name"]] = (call, arguments, awaited)
            return f"ref {options['name']}"

        return SimpleNamespace(remote=submit)


def test_each_task_asks_for_its_stages_resources_and_waits():
    ray = Recorder()
    some = [
        Task("a", "finetune", (), print, ("1",)),
        Task("b", "embed", ("a",), repr, ("2", "3")),
        Task("c", "fit-heads", ("b", "a"), print, ()),
    ]
    running = tasks._submit(ray, some, SECTION)
    assert running == {f"ref {task.name}": task for task in some}
    asked = [(one["num_cpus"], one["num_gpus"], one["memory"]) for one in ray.asked]
    assert asked == [(3, 0.5, 1_500_000_000), (2, 0, None), (1, 0, None)]
    assert {one["max_retries"] for one in ray.asked} == {7}
    assert ray.given["b"] == (repr, ("2", "3"), ("ref a",))
    assert ray.given["c"] == (print, (), ("ref b", "ref a"))


@pytest.mark.parametrize(
    ("nodes", "wanted"),
    [
        (
            [{"CPU": 3, "GPU": 1, "memory": 1.5e9}],
            ["1 machines, 3 cores, 1 GPUs", "embed.gpus is 0"],
        ),
        ([{"CPU": 3, "GPU": 0.5, "memory": 1.4e9}], ["cluster.finetune", "embed.gpus is 0"]),
        ([{"CPU": 2, "GPU": 1, "memory": 9e9}, {"CPU": 2}], ["4 cores", "cluster.finetune asks"]),
        ([{"CPU": 1}], ["cluster.embed asks", "cluster.finetune asks"]),
    ],
)
def test_machines_that_lack_what_is_asked_for_are_told(nodes, wanted, monkeypatch):
    """One that has gone counts for nothing."""
    alive = [{"Resources": found, "Alive": True} for found in nodes]
    gone = {"Resources": {"CPU": 64, "GPU": 8, "memory": 1e12}, "Alive": False}
    said: list[str] = []
    monkeypatch.setattr(tasks, "say", said.append)
    ray = SimpleNamespace(nodes=lambda: [*alive, gone])
    tasks._say_what_is_missing(ray, {"finetune", "embed", "fit-heads"}, SECTION)
    assert all(any(words in line for line in said) for words in wanted), said
    assert not any("fit" in line for line in said)
    told = sum("waiting until one joins" in line for line in said)
    assert told == sum("finetune" in words or "embed asks" in words for words in wanted)


def test_what_is_left_is_told_by_the_pace_of_what_is_done():
    table = TaskTable(["embed"] * 6 + ["fit-heads"])
    table.start -= 600  # ten minutes ago
    for _ in range(4):
        table.finished("embed")
    drawn = table.drawn()
    cells = [list(column.cells) for column in drawn.columns]
    assert cells == [["embed", "fit-heads"], ["4", "0"], ["6", "1"], ["5.0", "?"]]
    assert "10.0 minutes" in str(drawn.title)
